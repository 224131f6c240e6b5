/** Composes the head of an HTTP/1 answer. Pure: appends to an `Output`. */
import { Buffer } from 'node:buffer';
import type { Output } from '../../net/output.ts';
import type { FieldList } from '../fields.ts';
import type { HideTable } from '../request.ts';
import type { ResponseHead } from './response-head.ts';
import type { HeaderBlock } from './header-block.ts';
import { H, KNOWN_COUNT } from './known.ts';
import { REASONS } from './reasons.ts';

const STATUS_LINES: Buffer[] = [];
for (const [code, reason] of Object.entries(REASONS)) {
  STATUS_LINES[Number(code)] = Buffer.from(`HTTP/1.1 ${code} ${reason}\r\n`, 'latin1');
}

const HTTP11 = Buffer.from('HTTP/1.1 ');

/** Appends the status line: the server's own wording if `block` has one, else the usual. */
export function composeStatusLine(o: Output, status: number, reason: string | null, block: ResponseHead | null): void {
  if (reason === null && block !== null && block.status === status && block.reasonEnd > block.reasonStart) {
    o.bytes(HTTP11, 0, HTTP11.length);
    // "200 OK": the digits stand right before the reason.
    o.bytes(block.buf, block.reasonStart - 4, block.reasonEnd);
    o.crlf();
    return;
  }
  const line = STATUS_LINES[status];
  if (reason === null && line !== undefined) {
    o.bytes(line, 0, line.length);
    return;
  }
  o.bytes(HTTP11, 0, HTTP11.length);
  o.decimal(status);
  o.byte(32);
  o.text(reason ?? '');
  o.crlf();
}

/** Appends the fields of `block` that `hide` does not name; neighbours are copied as one run. */
export function composeBlock(o: Output, block: ResponseHead, hide: HideTable | null): void {
  if (block.mixed || block.eol !== 1) {
    composeBlockByField(o, block, hide);
    return;
  }
  let runStart = -1;
  let runEnd = 0;
  for (let i = 0; i < block.count; i++) {
    const start = block.nameStart(i);
    if (hidden(block, i, hide)) continue;
    // A skipped line in between ends the run.
    if (runStart >= 0 && start !== runEnd) {
      o.bytes(block.buf, runStart, runEnd);
      runStart = -1;
    }
    if (runStart < 0) runStart = start;
    runEnd = lineEndOf(block, i);
  }
  if (runStart >= 0) o.bytes(block.buf, runStart, runEnd);
}

/** Behind the CRLF of field `i`: white space may stand between the value and the line's end. */
function lineEndOf(block: ResponseHead, i: number): number {
  let end = block.valueEnd(i);
  while (block.buf[end] !== 10) end++;
  return end + 1;
}

/** Appends the trailer fields of `block` that may follow a body, less those that `hide` names. */
export function composeTrailers(o: Output, block: HeaderBlock, hide: HideTable | null): void {
  for (let i = 0; i < block.count; i++) {
    if (NO_TRAILERS[block.id(i)] === 1 || hidden(block, i, hide)) continue;
    composeField(o, block.name(i), block.value(i));
  }
}

/** Lines that end in a bare LF are written anew. */
function composeBlockByField(o: Output, block: ResponseHead, hide: HideTable | null): void {
  for (let i = 0; i < block.count; i++) {
    if (hidden(block, i, hide)) continue;
    o.bytes(block.buf, block.nameStart(i), block.nameEnd(i));
    o.byte(58);
    o.byte(32);
    o.bytes(block.buf, block.valueStart(i), block.valueEnd(i));
    o.crlf();
  }
}

/** What frames a message, routes it or tells how to read its content must stand in front (RFC 9110 section 6.5.1). */
export const NO_TRAILERS: Uint8Array = new Uint8Array(KNOWN_COUNT);
for (const name of [
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
  'host',
  'content-encoding',
  'content-type',
  'content-range',
] as const) {
  NO_TRAILERS[H[name]] = 1;
}

/** Whether `hide` names field `i`. */
export function hidden(block: HeaderBlock, i: number, hide: HideTable | null): boolean {
  if (hide === null) return false;
  const id = block.id(i);
  if (id !== 0) return hide.ids[id] !== 0;
  if (hide.others === null) return false;
  return block.namedAny(i, hide.others.get(block.hash(i)));
}

export function composeFields(o: Output, fields: FieldList): void {
  for (let i = 0; i < fields.count; i++) {
    o.text(fields.names[i]!);
    o.byte(58);
    o.byte(32);
    o.text(fields.values[i]!);
    o.crlf();
  }
}

export function composeField(o: Output, name: string, value: string): void {
  o.text(name);
  o.byte(58);
  o.byte(32);
  o.text(value);
  o.crlf();
}

const CONTENT_LENGTH = Buffer.from('Content-Length: ');
const CHUNKED = Buffer.from('Transfer-Encoding: chunked\r\n');
const KEEP_ALIVE = Buffer.from('Connection: keep-alive\r\n');
const CLOSE = Buffer.from('Connection: close\r\n');

export function composeContentLength(o: Output, length: number): void {
  o.bytes(CONTENT_LENGTH, 0, CONTENT_LENGTH.length);
  o.decimal(length);
  o.crlf();
}

export function composeChunked(o: Output): void {
  o.bytes(CHUNKED, 0, CHUNKED.length);
}

export function composeConnection(o: Output, keepAlive: boolean): void {
  const line = keepAlive ? KEEP_ALIVE : CLOSE;
  o.bytes(line, 0, line.length);
}

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** IMF-fixdate (RFC 9110 section 5.6.7). */
export function httpDate(ms: number): string {
  const d = new Date(ms);
  const two = (n: number): string => (n < 10 ? '0' + n : String(n));
  return (
    `${DAYS[d.getUTCDay()]}, ${two(d.getUTCDate())} ${MONTHS[d.getUTCMonth()]} ${d.getUTCFullYear()} ` +
    `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())} GMT`
  );
}

/** Whether the block brings its own field `id` to the client. */
export function passes(block: ResponseHead | null, hide: HideTable | null, id: number): boolean {
  return block !== null && block.has(id) && (hide === null || hide.ids[id] === 0);
}

/** `Server` is the block's matter: it brings its own, or there is to be none. */
export function serverPasses(block: ResponseHead | null, hide: HideTable | null): boolean {
  return passes(block, hide, H.server) || (hide !== null && hide.ownServer);
}

/** As `serverPasses`, for `Date`. */
export function datePasses(block: ResponseHead | null, hide: HideTable | null): boolean {
  return passes(block, hide, H.date) || (hide !== null && hide.ownDate);
}

/** `Server` and `Date` lines, made anew once a second. */
export class ServerLines {
  /** The value of `Server`. */
  readonly text: string;
  readonly #server: string;
  #second = -1;
  #both: Buffer = Buffer.alloc(0);
  #date: Buffer = Buffer.alloc(0);

  constructor(serverText: string) {
    this.text = serverText;
    this.#server = `Server: ${serverText}\r\n`;
  }

  compose(o: Output, wall: number, block: ResponseHead | null, hide: HideTable | null): void {
    const second = Math.floor(wall / 1000);
    if (second !== this.#second) {
      this.#second = second;
      const date = `Date: ${httpDate(second * 1000)}\r\n`;
      this.#both = Buffer.from(this.#server + date, 'latin1');
      this.#date = Buffer.from(date, 'latin1');
    }
    if (!serverPasses(block, hide)) {
      const lines = datePasses(block, hide) ? null : this.#both;
      if (lines !== null) o.bytes(lines, 0, lines.length);
      else o.text(this.#server);
    } else if (!datePasses(block, hide)) {
      o.bytes(this.#date, 0, this.#date.length);
    }
  }
}
