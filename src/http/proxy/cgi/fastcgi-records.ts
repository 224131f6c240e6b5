/** FastCGI's records (specification 1.0, sections 3.3 and 8): how they are written, and a reader of them. Pure. */
import { Buffer } from 'node:buffer';
import type { Output } from '../../../net/output.ts';

export const BEGIN_REQUEST = 1;
export const END_REQUEST = 3;
export const PARAMS = 4;
export const STDIN = 5;
export const STDOUT = 6;
export const STDERR = 7;

const VERSION = 1;
const HEADER = 8;
/** One request at a time on a connection, so all have the same number. */
const REQUEST_ID = 1;
const RESPONDER = 1;
const KEEP_CONN = 1;
/** The longest content; a multiple of eight, so that full records need no padding. */
export const MAX_CONTENT = 65528;

/** Appends a record's header. @returns how many bytes of padding must follow the content */
export function putHeader(o: Output, type: number, length: number): number {
  const padding = (8 - (length & 7)) & 7;
  o.reserve(HEADER);
  o.buf[o.length++] = VERSION;
  o.buf[o.length++] = type;
  o.buf[o.length++] = REQUEST_ID >> 8;
  o.buf[o.length++] = REQUEST_ID;
  o.buf[o.length++] = length >> 8;
  o.buf[o.length++] = length & 0xff;
  o.buf[o.length++] = padding;
  o.buf[o.length++] = 0;
  return padding;
}

const PADDING = Buffer.alloc(8);

/** Appends content in as many records as it takes. */
export function putRecords(o: Output, type: number, buf: Buffer, start: number, end: number): void {
  for (let at = start; at < end; at += MAX_CONTENT) {
    const n = Math.min(MAX_CONTENT, end - at);
    const padding = putHeader(o, type, n);
    o.bytes(buf, at, at + n);
    o.bytes(PADDING, 0, padding);
  }
}

/** Appends the empty record that ends a stream. */
export function putEnd(o: Output, type: number): void {
  putHeader(o, type, 0);
}

export function putBegin(o: Output, keepConnection: boolean): void {
  putHeader(o, BEGIN_REQUEST, 8);
  o.reserve(8);
  o.buf.fill(0, o.length, o.length + 8);
  o.buf[o.length + 1] = RESPONDER;
  o.buf[o.length + 2] = keepConnection ? KEEP_CONN : 0;
  o.length += 8;
}

/** A name-value pair (section 3.4): lengths of one byte, or of four. */
export function putPair(o: Output, name: string, value: string): void {
  putLength(o, name.length);
  putLength(o, value.length);
  o.text(name);
  o.text(value);
}

function putLength(o: Output, n: number): void {
  if (n < 128) {
    o.byte(n);
    return;
  }
  o.reserve(4);
  o.buf.writeUInt32BE(n + 0x80000000, o.length);
  o.length += 4;
}

/** What `next` has found. */
export const MORE = 0;
/** Bytes `buf[dataStart, dataEnd)` of the stream `type`. */
export const DATA = 1;
/** The stream `type` has ended (an empty record), or, with END_REQUEST, the request. */
export const END = 2;
export const BAD = -1;

/** Takes records apart, wherever reads cut them. */
export class RecordReader {
  /** Where reading goes on. */
  pos = 0;
  type = 0;
  dataStart = 0;
  dataEnd = 0;
  /** After `BAD`: what is wrong. */
  fault = '';
  /** END_REQUEST: the protocol status (0: complete). */
  protocolStatus = 0;
  readonly #header = Buffer.alloc(HEADER);
  #have = 0;
  /** Bytes of content to come, then of padding. */
  #left = 0;
  #padding = 0;
  /** An END_REQUEST's content is under way, so many bytes of it were read. */
  #ended = 0;

  reset(): void {
    this.#have = 0;
    this.#left = 0;
    this.#padding = 0;
    this.#ended = 0;
  }

  /** Bytes of padding that follow what was read. */
  get padding(): number {
    return this.#padding;
  }

  /** Reads on in `buf[pos, end)`. @returns `MORE`, `DATA`, `END` or `BAD` */
  next(buf: Buffer, pos: number, end: number): number {
    for (;;) {
      if (this.#have < HEADER) {
        // Padding belongs to the record before.
        const skipped = Math.min(this.#padding, end - pos);
        this.#padding -= skipped;
        pos += skipped;
        if (pos >= end) {
          this.pos = pos;
          return MORE;
        }
        while (this.#have < HEADER && pos < end) this.#header[this.#have++] = buf[pos++]!;
        this.pos = pos;
        if (this.#have < HEADER) return MORE;
        if (!this.#readHeader()) return BAD;
        if (this.#left === 0) {
          this.#have = 0;
          return END;
        }
        continue;
      }
      const take = Math.min(this.#left, end - pos);
      if (take === 0) {
        this.pos = pos;
        return MORE;
      }
      this.dataStart = pos;
      this.dataEnd = pos + take;
      this.pos = pos += take;
      this.#left -= take;
      if (this.#left === 0) this.#have = 0;
      if (this.type !== END_REQUEST) return DATA;
      // appStatus has four bytes, then comes protocolStatus.
      const at = 4 - this.#ended;
      if (at >= 0 && at < take) this.protocolStatus = buf[this.dataStart + at]!;
      this.#ended += take;
      if (this.#left === 0) {
        this.#ended = 0;
        return END;
      }
    }
  }

  #readHeader(): boolean {
    const h = this.#header;
    if (h[0] !== VERSION) return this.#bad(`upstream sent unsupported FastCGI protocol version: ${h[0]}`);
    this.type = h[1]!;
    if (this.type !== STDOUT && this.type !== STDERR && this.type !== END_REQUEST)
      return this.#bad(`upstream sent invalid FastCGI record type: ${this.type}`);
    const id = (h[2]! << 8) | h[3]!;
    if (id !== REQUEST_ID) return this.#bad(`upstream sent unexpected FastCGI request id: ${id}`);
    this.#left = (h[4]! << 8) | h[5]!;
    this.#padding = h[6]!;
    return true;
  }

  #bad(fault: string): boolean {
    this.fault = fault;
    return false;
  }
}
