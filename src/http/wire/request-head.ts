/** The head of an HTTP/1 request: request line (RFC 9112 section 3) and header fields. Pure; strict. */
import { Buffer } from 'node:buffer';
import {
  CR,
  LF,
  METHOD,
  SP,
  TARGET,
  TARGET_DOT,
  TARGET_FRAGMENT,
  TARGET_PERCENT,
  TARGET_QUERY,
  TARGET_SLASH,
} from './bytes.ts';
import { HeaderBlock } from './header-block.ts';
import { BAD, BAD_VERSION, DONE, MORE, TOO_LONG } from './outcomes.ts';

export const METHOD_OTHER = 0;
export const METHOD_GET = 1;
export const METHOD_HEAD = 2;
export const METHOD_POST = 3;
export const METHOD_PUT = 4;
export const METHOD_DELETE = 5;
export const METHOD_OPTIONS = 6;
export const METHOD_PATCH = 7;
export const METHOD_CONNECT = 8;
export const METHOD_TRACE = 9;
export const METHOD_LOCK = 10;

const METHODS = ['', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'CONNECT', 'TRACE', 'LOCK'];

export class RequestHead extends HeaderBlock {
  /** One of `METHOD_…`. */
  method = METHOD_OTHER;
  methodStart = 0;
  methodEnd = 0;
  /** The target as sent (`$request_uri` and what goes upstream unchanged): path and query. Empty for `CONNECT`. */
  targetStart = 0;
  targetEnd = 0;
  /** The path part of the target. */
  pathEnd = 0;
  /** Query without `?`; -1: there is none. */
  argsStart = -1;
  argsEnd = 0;
  /** Host of an absolute-form target or of `CONNECT`; start -1: none. */
  hostStart = -1;
  hostEnd = 0;
  /** The path holds `%`, `//`, `/.` or a fragment: it differs from its normal form. */
  complex = false;
  /** 10, 11 or 20. */
  version = 0;
  requestLineStart = 0;
  requestLineEnd = 0;

  #lineDone = false;

  constructor() {
    super(true);
  }

  override reset(buf: Buffer, pos: number): void {
    super.reset(buf, pos);
    this.#lineDone = false;
    this.hostStart = -1;
    this.argsStart = -1;
    this.complex = false;
  }

  override rebase(buf: Buffer, delta: number): void {
    super.rebase(buf, delta);
    if (delta === 0) return;
    this.methodStart += delta;
    this.methodEnd += delta;
    this.targetStart += delta;
    this.targetEnd += delta;
    this.pathEnd += delta;
    if (this.argsStart >= 0) this.argsStart += delta;
    this.argsEnd += delta;
    if (this.hostStart >= 0) this.hostStart += delta;
    this.hostEnd += delta;
    this.requestLineStart += delta;
    this.requestLineEnd += delta;
  }

  /** Whether the request line is complete: what runs out of room after it is a header field. */
  get lineDone(): boolean {
    return this.#lineDone;
  }

  override parse(end: number): number {
    if (!this.#lineDone) {
      const result = this.#parseLine(end);
      if (result !== DONE) return result;
      if (this.pos - this.requestLineStart > this.maxLine) return TOO_LONG;
      this.#lineDone = true;
    }
    return super.parse(end);
  }

  #parseLine(end: number): number {
    const buf = this.buf;
    let i = this.pos;
    // RFC 9112 section 2.2: ignore empty lines before a request line.
    while (i < end && (buf[i] === CR || buf[i] === LF)) {
      if (buf[i] === CR) {
        if (i + 1 >= end) return MORE;
        if (buf[i + 1] !== LF) return BAD;
      }
      i++;
    }
    this.pos = i;

    this.requestLineStart = this.methodStart = i;
    while (i < end && METHOD[buf[i]!] !== 0) i++;
    if (i >= end) return MORE;
    if (buf[i] !== SP || i === this.methodStart) return BAD;
    this.methodEnd = i;
    this.method = methodOf(buf, this.methodStart, i);
    i++;

    if (this.method === METHOD_CONNECT || buf[i] !== 0x2f) {
      if (i >= end) return MORE;
      const result = this.#parseAuthority(i, end);
      if (result <= 0) return result;
      i = result;
    }

    i = this.scanTarget(i, end);
    if (i >= end) return MORE;

    let b = buf[i]!;
    // No version: HTTP/0.9 is not spoken, and has no header fields that could be waited for.
    if (b !== SP) return BAD;
    i++;
    if (i + 8 >= end) return this.#partialVersion(i, end);
    // "HTTP/1.x"
    if (buf[i] !== 0x48 || buf[i + 1] !== 0x54 || buf[i + 2] !== 0x54 || buf[i + 3] !== 0x50 || buf[i + 4] !== 0x2f)
      return BAD;
    const major = buf[i + 5]! - 0x30;
    const minor = buf[i + 7]! - 0x30;
    if (major < 0 || major > 9 || minor < 0 || minor > 9 || buf[i + 6] !== 0x2e) return BAD;
    if (major !== 1) return BAD_VERSION;
    this.version = minor === 0 ? 10 : 11;
    i += 8;
    b = buf[i]!;
    if (b !== CR && b !== LF) return BAD;
    this.requestLineEnd = i;
    return this.#endLine(i, end);
  }

  /**
   * Path and query from `start` on: sets what is known of the target.
   * @returns where the first byte stands that no target has, or `end`
   */
  scanTarget(start: number, end: number): number {
    const buf = this.buf;
    let i = start;
    this.targetStart = i;
    this.argsStart = -1;
    this.complex = false;
    let previous = 0;
    let c = 0;
    let pathEnd = -1;
    let argsEnd = -1;
    while (i < end && (c = TARGET[buf[i]!]!) !== 0) {
      if (c > 1) {
        if (c === TARGET_QUERY) {
          if (pathEnd < 0) {
            pathEnd = i;
            this.argsStart = i + 1;
          }
        } else if (c === TARGET_FRAGMENT) {
          // Neither of the path nor of the query; it goes on with the target as it was sent.
          this.complex = true;
          if (pathEnd < 0) pathEnd = i;
          else if (argsEnd < 0) argsEnd = i;
        } else if (pathEnd < 0) {
          if (c === TARGET_PERCENT || (previous === TARGET_SLASH && (c === TARGET_SLASH || c === TARGET_DOT)))
            this.complex = true;
        }
      }
      previous = c;
      i++;
    }
    this.targetEnd = i;
    this.argsEnd = argsEnd < 0 ? i : argsEnd;
    this.pathEnd = pathEnd < 0 ? i : pathEnd;
    return i;
  }

  /** Bytes end inside the version: more may come, unless they are wrong already. */
  #partialVersion(i: number, end: number): number {
    const expected = 'HTTP/';
    for (let k = 0; i + k < end && k < expected.length; k++) if (this.buf[i + k] !== expected.charCodeAt(k)) return BAD;
    for (let k = i; k < end; k++)
      if (this.buf[k] === LF || this.buf[k] === CR) return k + 1 < end || this.buf[k] === LF ? BAD : MORE;
    return MORE;
  }

  #endLine(i: number, end: number): number {
    if (this.buf[i] === LF) {
      if (!this.lineEnd(false)) return BAD;
      this.pos = i + 1;
      return DONE;
    }
    if (i + 1 >= end) return MORE;
    if (this.buf[i + 1] !== LF || !this.lineEnd(true)) return BAD;
    this.pos = i + 2;
    return DONE;
  }

  /**
   * Absolute form (`http://host:port/path`) and authority form (`CONNECT host:port`), RFC 9112 section 3.2.
   * @returns where the path begins, `MORE` or `BAD`
   */
  #parseAuthority(start: number, end: number): number {
    const buf = this.buf;
    let i = start;
    if (this.method !== METHOD_CONNECT) {
      while (i < end && isSchemeByte(buf[i]!, i === start)) i++;
      if (i + 2 >= end) return i >= end || prefixOf(buf, i, end, '://') ? MORE : BAD;
      if (i === start || buf[i] !== 0x3a || buf[i + 1] !== 0x2f || buf[i + 2] !== 0x2f) return BAD;
      i += 3;
    }
    this.hostStart = i;
    while (i < end && buf[i] !== 0x2f && buf[i] !== 0x3f && TARGET[buf[i]!] !== 0 && buf[i] !== 0x23) i++;
    if (i >= end) return MORE;
    this.hostEnd = i;
    // A fragment right behind the host would become the whole target of the next hop.
    if (i === this.hostStart || buf[i] === 0x23) return BAD;
    return i;
  }

  /** Parsing ends in the middle, at `end`: of the request line there is what a log can show. */
  giveUp(end: number): void {
    if (this.#lineDone) return;
    let lineEnd = this.requestLineStart;
    while (lineEnd < end && this.buf[lineEnd]! >= 0x20) lineEnd++;
    this.requestLineEnd = lineEnd;
    this.targetStart = this.targetEnd = this.pathEnd = lineEnd;
    this.argsStart = -1;
  }

  /** A copy that does not depend on the bytes any more. Only of a head that was parsed to its end. */
  snapshot(): RequestHead {
    const copy = new RequestHead();
    copy.token = this.token;
    copy.skipInvalid = this.skipInvalid;
    copy.maxFields = this.maxFields;
    const bytes = Buffer.from(this.buf.subarray(this.headStart, this.pos));
    copy.reset(bytes, 0);
    copy.parse(bytes.length);
    return copy;
  }

  methodText(): string {
    return METHODS[this.method] || this.buf.latin1Slice(this.methodStart, this.methodEnd);
  }

  /** Path and query as sent. */
  target(): string {
    return this.buf.latin1Slice(this.targetStart, this.targetEnd);
  }

  args(): string {
    return this.argsStart < 0 ? '' : this.buf.latin1Slice(this.argsStart, this.argsEnd);
  }

  /** The request line as sent (`$request`). */
  requestLine(): string {
    return this.buf.latin1Slice(this.requestLineStart, this.requestLineEnd);
  }
}

function prefixOf(buf: Buffer, i: number, end: number, text: string): boolean {
  for (let k = 0; i + k < end; k++) if (buf[i + k] !== text.charCodeAt(k)) return false;
  return true;
}

function isSchemeByte(b: number, first: boolean): boolean {
  const letter = (b >= 0x61 && b <= 0x7a) || (b >= 0x41 && b <= 0x5a);
  return letter || (!first && ((b >= 0x30 && b <= 0x39) || b === 0x2b || b === 0x2d || b === 0x2e));
}

/** `METHOD_…` of the name at `buf[start, end)`. */
export function methodOf(buf: Buffer, start: number, end: number): number {
  const length = end - start;
  for (let m = METHOD_GET; m <= METHOD_LOCK; m++) {
    const text = METHODS[m]!;
    if (text.length !== length || buf[start] !== text.charCodeAt(0)) continue;
    let k = 1;
    while (k < length && buf[start + k] === text.charCodeAt(k)) k++;
    if (k === length) return m;
  }
  return METHOD_OTHER;
}
