/** Composes an answer's head and trailers for HTTP/2. Pure: appends to an `Output`. */
import type { Buffer } from 'node:buffer';
import { Buffer as Bytes } from 'node:buffer';
import { clock } from '../../net/clock.ts';
import type { Output } from '../../net/output.ts';
import type { FieldList } from '../fields.ts';
import type { HideTable, HttpRequest } from '../request.ts';
import type { HeaderBlock } from '../wire/header-block.ts';
import { H } from '../wire/known.ts';
import { hidden, httpDate, NO_TRAILERS, datePasses, serverPasses } from '../wire/writer.ts';
import type { ServerLines } from '../wire/writer.ts';
import {
  encodedField,
  encodeField,
  encodeInt,
  encodeKnownName,
  encodeNameBytes,
  encodeStatus,
  encodeValue,
  encodeValueBytes,
} from '../wire/h2/hpack-encoder.ts';

/** `server` and `date`, encoded; made anew once a second. */
class ServerFields {
  readonly #server: Buffer;
  #second = -1;
  #both: Buffer = EMPTY;
  #date: Buffer = EMPTY;

  constructor(text: string) {
    this.#server = encodedField('server', text);
  }

  compose(o: Output, r: HttpRequest): void {
    const second = Math.floor(clock.wall / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#date = encodedField('date', httpDate(second * 1000));
      this.#both = Bytes.concat([this.#server, this.#date]);
    }
    const ownServer = serverPasses(r.block, r.hide);
    const ownDate = datePasses(r.block, r.hide);
    const fields = ownServer ? (ownDate ? EMPTY : this.#date) : ownDate ? this.#server : this.#both;
    o.bytes(fields, 0, fields.length);
  }
}

const EMPTY = Bytes.alloc(0);
const serverFields = new Map<string, ServerFields>();

/** Fields of a connection, which HTTP/2 does not have (RFC 9113 section 8.2.2). */
const CONNECTION_FIELDS = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);

/** Appends the header block of `r`'s answer. */
export function composeAnswerBlock(o: Output, r: HttpRequest, lines: ServerLines): void {
  encodeStatus(o, r.status);
  let server = serverFields.get(lines.text);
  if (server === undefined) serverFields.set(lines.text, (server = new ServerFields(lines.text)));
  server.compose(o, r);
  if (r.contentType !== null && r.status !== 204) {
    encodeKnownName(o, H['content-type']);
    encodeValue(o, r.contentType);
  }
  if (r.contentLength >= 0 && r.status >= 200 && r.status !== 204 && (r.status !== 304 || r.block === null)) {
    encodeKnownName(o, H['content-length']);
    const at = o.length;
    o.byte(0);
    o.decimal(r.contentLength);
    o.buf[at] = o.length - at - 1;
  }
  if (r.block !== null) {
    const { block, hide } = r;
    for (let i = 0; i < block.count; i++) if (!hidden(block, i, hide)) encodeBlockField(o, block, i);
  }
  if (r.fields.count !== 0) composeFieldList(o, r.fields);
  if (r.setCookie !== null) encodeField(o, 'set-cookie', r.setCookie);
}

/** Appends the header block of an interim answer. */
export function composeInformational(o: Output, status: number, fields: FieldList | null): void {
  encodeStatus(o, status);
  if (fields !== null) composeFieldList(o, fields);
}

/** Appends the trailers of `r`'s answer, if there are any. */
export function composeTrailerBlock(o: Output, r: HttpRequest): void {
  if (r.trailers !== null) composeBlockTrailers(o, r.trailers, r.hide);
  if (r.trailing !== null) {
    r.trailing.fill(r);
    composeFieldList(o, r.trailing.fields);
  }
}

function composeBlockTrailers(o: Output, block: HeaderBlock, hide: HideTable | null): void {
  for (let i = 0; i < block.count; i++) {
    if (NO_TRAILERS[block.id(i)] !== 1 && !hidden(block, i, hide)) encodeBlockField(o, block, i);
  }
}

function composeFieldList(o: Output, fields: FieldList): void {
  for (let i = 0; i < fields.count; i++) {
    const name = fields.names[i]!;
    if (CONNECTION_FIELDS.has(name.toLowerCase())) continue;
    encodeField(o, name, fields.values[i]!);
  }
}

/** Appends field `i` of a block. */
export function encodeBlockField(o: Output, block: HeaderBlock, i: number): void {
  const id = block.id(i);
  if (id !== 0) encodeKnownName(o, id);
  else encodeNameBytes(o, block.buf, block.nameStart(i), block.nameEnd(i));
  encodeValueBytes(o, block.buf, block.valueStart(i), block.valueEnd(i));
}

/** Appends the number of the dynamic table's size that we use. */
export function composeTableSize(o: Output): void {
  encodeInt(o, 0x20, 5, 0);
}
