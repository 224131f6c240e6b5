/**
 * Makes a request head of an HTTP/2 header block: the same index over bytes that HTTP/1 gives, so that everything behind
 * it (locations, variables, what goes to servers) is one. The fields stand in the stream's buffer as HTTP/1 would have
 * sent them, `name: value` CRLF; the request line is composed behind them, for the log and `$request`.
 */
import { Buffer } from 'node:buffer';
import { HTAB, SP } from '../wire/bytes.ts';
import { EOL_CRLF } from '../wire/header-block.ts';
import { H } from '../wire/known.ts';
import { hashName } from '../wire/known.ts';
import { METHOD_CONNECT, METHOD_TRACE, methodOf } from '../wire/request-head.ts';
import type { RequestHead } from '../wire/request-head.ts';
import { FieldSink } from '../wire/h2/hpack-decoder.ts';
import {
  NAME_BAD,
  NAME_UNDERSCORE,
  PSEUDO_AUTHORITY,
  PSEUDO_METHOD,
  PSEUDO_PATH,
  PSEUDO_SCHEME,
  VALUE_BAD,
} from '../wire/h2/hpack-table.ts';
import type { Refusal } from './refusals.ts';

const LINE_END = Buffer.from(' HTTP/2.0\r\n');
const COOKIE = Buffer.from('cookie: ');
const HOST = Buffer.from('host: ');
const COOKIE_HASH = hashName('cookie');
const HOST_HASH = hashName('host');

export interface HeadLimits {
  maxFields: number;
  ignoreInvalid: boolean;
  underscores: boolean;
}

/** One a connection; header blocks come one after the other. */
export class RequestAssembler extends FieldSink {
  /** Why the request is refused: the first thing that was wrong. */
  refusal: Refusal | null = null;

  #head: RequestHead | null = null;
  #limits: HeadLimits;
  #count = 0;
  // Where the values of pseudo-headers stand in `out`; start -1: it has not come.
  #methodStart = -1;
  #methodEnd = 0;
  #schemeStart = -1;
  #pathStart = -1;
  #pathEnd = 0;
  #authorityStart = -1;
  #authorityEnd = 0;
  /** A field has come: pseudo-headers must not follow. */
  #fieldsBegun = false;
  /** Values of cookie fields, joined (RFC 9113 section 8.2.3). */
  #cookies = '';
  #hasCookies = false;

  constructor(limits: HeadLimits) {
    super(EMPTY);
    this.#limits = limits;
  }

  /** @param head null: the block is read for the table's sake alone */
  begin(head: RequestHead | null, buf: Buffer, limits: HeadLimits): void {
    this.out = buf;
    this.end = 0;
    this.#head = head;
    this.#limits = limits;
    this.refusal = null;
    this.#count = 0;
    this.#methodStart = this.#schemeStart = this.#pathStart = this.#authorityStart = -1;
    this.#fieldsBegun = false;
    this.#hasCookies = false;
    head?.reset(buf, 0);
  }

  onField(
    start: number,
    nameEnd: number,
    valueEnd: number,
    hash: number,
    id: number,
    flags: number,
    pseudo: number,
  ): void {
    const head = this.#head;
    if (head === null || this.refusal !== null) {
      this.end = start;
      return;
    }
    let value = nameEnd + 2;
    if ((flags & (NAME_BAD | VALUE_BAD)) !== 0) {
      const what = (flags & NAME_BAD) !== 0 ? 'name' : 'value';
      this.#refuse(`client sent invalid header ${what}: "${printable(this.out.latin1Slice(start, valueEnd))}"`);
      return;
    }
    if (pseudo !== 0) {
      this.#pseudo(start, nameEnd, value, valueEnd, pseudo);
      return;
    }
    this.#fieldsBegun = true;
    if ((flags & NAME_UNDERSCORE) !== 0 && !this.#limits.underscores && this.#limits.ignoreInvalid) {
      this.end = start;
      return;
    }
    // White space around a value is none of it (RFC 9110 section 5.5).
    const { out } = this;
    while (value < valueEnd && (out[value] === SP || out[value] === HTAB)) value++;
    while (valueEnd > value && (out[valueEnd - 1] === SP || out[valueEnd - 1] === HTAB)) valueEnd--;
    if (id === H.cookie) {
      const text = out.latin1Slice(value, valueEnd);
      this.#cookies = this.#hasCookies ? `${this.#cookies}; ${text}` : text;
      this.#hasCookies = true;
      this.end = start;
      return;
    }
    if (++this.#count > this.#limits.maxFields) {
      this.refusal = { status: 494, why: 'client sent too many header lines' };
      return;
    }
    head.add(start, nameEnd, value, valueEnd, hash, id);
  }

  #refuse(why: string): void {
    this.refusal = { status: 400, why };
  }

  #pseudo(start: number, nameEnd: number, value: number, end: number, pseudo: number): void {
    if (this.#fieldsBegun) {
      this.#refuse('client sent out of order pseudo-headers');
      return;
    }
    const name = this.out.latin1Slice(start, nameEnd);
    const known =
      pseudo === PSEUDO_METHOD
        ? this.#methodStart
        : pseudo === PSEUDO_SCHEME
          ? this.#schemeStart
          : pseudo === PSEUDO_PATH
            ? this.#pathStart
            : pseudo === PSEUDO_AUTHORITY
              ? this.#authorityStart
              : 0;
    if (pseudo > PSEUDO_AUTHORITY) this.#refuse(`client sent unknown pseudo-header "${printable(name)}"`);
    else if (known >= 0) this.#refuse(`client sent duplicate ${name} header`);
    else if (value === end) this.#refuse(`client sent empty ${name} header`);
    else if (pseudo === PSEUDO_METHOD) {
      this.#methodStart = value;
      this.#methodEnd = end;
    } else if (pseudo === PSEUDO_PATH) {
      this.#pathStart = value;
      this.#pathEnd = end;
    } else if (pseudo === PSEUDO_AUTHORITY) {
      this.#authorityStart = value;
      this.#authorityEnd = end;
    } else {
      this.#schemeStart = value;
      if (!/^[A-Za-z][A-Za-z0-9+.-]*$/.test(this.out.latin1Slice(value, end)))
        this.#refuse(`client sent invalid :scheme header`);
    }
  }

  /** The block is complete: finishes the head. `refusal` says whether it may be used. */
  finish(): void {
    const head = this.#head!;
    head.buf = this.out;
    head.version = 20;
    head.eol = EOL_CRLF;
    head.requestLineStart = head.requestLineEnd = 0;
    head.methodStart = head.methodEnd = head.targetStart = head.targetEnd = head.pathEnd = 0;
    head.method = 0;
    // As if an empty line followed: whoever copies runs of fields reckons with it.
    head.pos = this.end + 2;
    if (this.refusal === null) this.#check(head);
    if (this.refusal === null) this.#complete(head);
    else if (this.#methodStart >= 0) head.method = methodOf(this.out, this.#methodStart, this.#methodEnd);
    head.buf = this.out;
  }

  #check(head: RequestHead): void {
    const missing =
      this.#methodStart < 0 ? ':method' : this.#schemeStart < 0 ? ':scheme' : this.#pathStart < 0 ? ':path' : null;
    if (missing !== null) this.#refuse(`client sent no ${missing} header`);
    else if (!METHOD.test(this.out.latin1Slice(this.#methodStart, this.#methodEnd)))
      this.#refuse('client sent invalid method');
    else if (this.out[this.#pathStart] !== 0x2f) this.#refuse('client sent invalid :path header');
    else if (head.has(H.connection)) this.#refuse('client sent "Connection" header');
    else if (head.has(H['keep-alive'])) this.#refuse('client sent "Keep-Alive" header');
    else if (head.has(H['proxy-connection'])) this.#refuse('client sent "Proxy-Connection" header');
    else if (head.has(H['transfer-encoding'])) this.#refuse('client sent "Transfer-Encoding" header');
    else if (head.has(H.upgrade)) this.#refuse('client sent "Upgrade" header');
    else if (this.#badTe(head)) this.#refuse('client sent invalid "TE" header');
    else {
      const host = head.first(H.host);
      if (host < 0 && this.#authorityStart < 0) this.#refuse('client sent neither ":authority" nor "Host" header');
      else if (
        host >= 0 &&
        this.#authorityStart >= 0 &&
        !head.valueEquals(host, this.out.latin1Slice(this.#authorityStart, this.#authorityEnd))
      )
        this.#refuse('client sent ":authority" and "Host" headers with different values');
    }
  }

  #badTe(head: RequestHead): boolean {
    const te = head.first(H.te);
    return te >= 0 && (head.next(te) >= 0 || !head.valueIs(te, 'trailers'));
  }

  #complete(head: RequestHead): void {
    // For $http_host and whoever passes fields on.
    if (!head.has(H.host)) {
      const length = this.#authorityEnd - this.#authorityStart;
      this.reserve(HOST.length + length + 2);
      const start = this.end;
      HOST.copy(this.out, start);
      const value = start + HOST.length;
      this.out.copy(this.out, value, this.#authorityStart, this.#authorityEnd);
      this.#endLine(head, start, start + 4, value, value + length, HOST_HASH, H.host);
    }
    if (this.#hasCookies) {
      const { length } = this.#cookies;
      this.reserve(COOKIE.length + length + 2);
      const start = this.end;
      COOKIE.copy(this.out, start);
      const value = start + COOKIE.length;
      this.out.latin1Write(this.#cookies, value, length);
      this.#cookies = '';
      this.#endLine(head, start, start + 6, value, value + length, COOKIE_HASH, H.cookie);
    }
    head.pos = this.end + 2;
    this.#requestLine(head);
  }

  #endLine(
    head: RequestHead,
    start: number,
    nameEnd: number,
    value: number,
    end: number,
    hash: number,
    id: number,
  ): void {
    this.out[end] = 13;
    this.out[end + 1] = 10;
    this.end = end + 2;
    head.add(start, nameEnd, value, end, hash, id);
  }

  #requestLine(head: RequestHead): void {
    const methodLength = this.#methodEnd - this.#methodStart;
    const pathLength = this.#pathEnd - this.#pathStart;
    this.reserve(methodLength + pathLength + 1 + LINE_END.length);
    const { out } = this;
    let at = this.end;
    head.buf = out;
    head.requestLineStart = head.methodStart = at;
    at += out.copy(out, at, this.#methodStart, this.#methodEnd);
    head.methodEnd = at;
    head.method = methodOf(out, head.methodStart, at);
    out[at++] = SP;
    const path = at;
    at += out.copy(out, at, this.#pathStart, this.#pathEnd);
    at += LINE_END.copy(out, at);
    this.end = at;
    head.requestLineEnd = at - 2;
    if (head.scanTarget(path, at) !== path + pathLength) {
      head.targetEnd = head.pathEnd = head.argsEnd = path + pathLength;
      this.#refuse('client sent invalid :path header');
    } else if (head.method === METHOD_CONNECT || head.method === METHOD_TRACE) {
      this.refusal = { status: 405, why: `client sent ${head.methodText()} method` };
    }
  }
}

const EMPTY = Buffer.alloc(0);
const METHOD = /^[A-Z_-]+$/;

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 200);
}
