/** Frames in (RFC 9113 section 4): pure, takes bytes as they come. One for each side of each connection. */
import { Buffer } from 'node:buffer';
import {
  CONTINUATION,
  DATA,
  FLAG_PADDED,
  FLAG_PRIORITY,
  FRAME_HEAD,
  FRAME_SIZE_ERROR,
  GOAWAY,
  HEADERS,
  PROTOCOL_ERROR,
  PUSH_PROMISE,
  SETTINGS,
} from './constants.ts';

/** The bytes ran out. */
export const FRAME_MORE = 0;
/** A frame begins: `type`, `flags`, `id`, `length` are set; `skip` leaves its payload out. */
export const FRAME_BEGIN = 1;
/** Payload of DATA, HEADERS or CONTINUATION at `buf[start, end)`; `done` when it is the last of the frame. */
export const FRAME_PIECE = 2;
/** The whole payload of any other frame at `bytes[start, end)`. */
export const FRAME_WHOLE = 3;
/** The connection cannot go on: `error`, `message`. */
export const FRAME_BAD = 4;

const HEAD = 0;
const PREFIX = 1;
const BEGIN = 2;
const STREAMED = 3;
const WHOLE = 4;
const SKIP = 5;

/** No SETTINGS frame is as long; other frames that are read in whole are of fixed sizes. */
const MAX_WHOLE = 16384;

export class FrameReader {
  type = 0;
  flags = 0;
  id = 0;
  /** Of the payload without padding and priority. */
  length = 0;
  /** Of the payload as the frame's head says it: what flow control counts. */
  frameLength = 0;
  /** Of HEADERS with the PRIORITY flag: the stream it depends on, and so on; -1: none. */
  dependency = -1;
  exclusive = false;
  weight = 16;

  /** Where the next call reads on. */
  pos = 0;
  bytes: Buffer = EMPTY;
  start = 0;
  end = 0;
  done = false;
  error = 0;
  message = '';

  #state = HEAD;
  #need = FRAME_HEAD;
  /** Bytes of a head, prefix or whole payload that came in pieces. */
  #held: Buffer = Buffer.alloc(32);
  #have = 0;
  #left = 0;
  #padding = 0;

  /** Reads on at `buf[pos, end)`; returns `FRAME_…` and sets `pos`. */
  next(buf: Buffer, pos: number, end: number): number {
    for (;;) {
      switch (this.#state) {
        case HEAD:
          if (!this.#collect(buf, pos, end)) return FRAME_MORE;
          pos = this.pos;
          this.#readHead();
          continue;
        case PREFIX:
          if (!this.#collect(buf, pos, end)) return FRAME_MORE;
          pos = this.pos;
          if (!this.#readPrefix()) return FRAME_BAD;
          continue;
        case BEGIN:
          this.#afterBegin();
          this.pos = pos;
          if (this.#state === BEGIN) return FRAME_BAD;
          return FRAME_BEGIN;
        case STREAMED: {
          if (pos >= end && this.#left > 0) return this.#more(end);
          const n = Math.min(this.#left, end - pos);
          this.start = pos;
          this.end = pos + n;
          this.pos = pos + n;
          this.#left -= n;
          this.done = this.#left === 0;
          if (this.done) this.#skipRest(this.#padding);
          return FRAME_PIECE;
        }
        case WHOLE:
          if (!this.#collect(buf, pos, end)) return FRAME_MORE;
          this.#skipRest(this.#left);
          return FRAME_WHOLE;
        default: {
          const n = Math.min(this.#left, end - pos);
          this.#left -= n;
          pos += n;
          if (this.#left > 0) return this.#more(pos);
          this.#state = HEAD;
          this.#need = FRAME_HEAD;
          if (pos >= end) return this.#more(pos);
        }
      }
    }
  }

  /** After `FRAME_BEGIN` or a piece: the rest of the frame is of no interest. */
  skip(): void {
    if (this.#state === STREAMED) this.#skipRest(this.#left + this.#padding);
    else if (this.#state === WHOLE) this.#skipRest(this.#need + this.#left);
  }

  /** A frame has begun and is not complete. */
  get partial(): boolean {
    return this.#state !== HEAD || this.#have > 0;
  }

  #more(pos: number): number {
    this.pos = pos;
    return FRAME_MORE;
  }

  #skipRest(n: number): void {
    this.#left = n;
    this.#padding = 0;
    this.#state = n > 0 ? SKIP : HEAD;
    this.#need = FRAME_HEAD;
    this.#have = 0;
  }

  /** Gets `#need` bytes together at `bytes[start, end)`; false: they have not all come. */
  #collect(buf: Buffer, pos: number, end: number): boolean {
    const need = this.#need;
    if (this.#have === 0 && end - pos >= need) {
      this.bytes = buf;
      this.start = pos;
      this.end = this.pos = pos + need;
      return true;
    }
    if (this.#held.length < need) this.#held = Buffer.allocUnsafeSlow(need);
    const n = Math.min(need - this.#have, end - pos);
    buf.copy(this.#held, this.#have, pos, pos + n);
    this.#have += n;
    this.pos = pos + n;
    if (this.#have < need) return false;
    this.#have = 0;
    this.bytes = this.#held;
    this.start = 0;
    this.end = need;
    return true;
  }

  #readHead(): void {
    const { bytes } = this;
    const at = this.start;
    this.length = this.frameLength = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
    this.type = bytes[at + 3]!;
    this.flags = bytes[at + 4]!;
    this.id = readUint31(bytes, at + 5);
    this.dependency = -1;
    this.exclusive = false;
    this.weight = 16;
    this.#padding = 0;
    let prefix = 0;
    if (this.type === DATA || this.type === HEADERS || this.type === PUSH_PROMISE) {
      if ((this.flags & FLAG_PADDED) !== 0) prefix++;
      if (this.type === HEADERS && (this.flags & FLAG_PRIORITY) !== 0) prefix += 5;
    }
    this.#need = prefix;
    this.#state = prefix > 0 ? PREFIX : BEGIN;
    if (prefix > this.length) this.#state = BEGIN;
  }

  /** Padding's length and priority, which stand before the payload. */
  #readPrefix(): boolean {
    const { bytes } = this;
    let at = this.start;
    this.length -= this.end - at;
    if ((this.flags & FLAG_PADDED) !== 0) {
      this.#padding = bytes[at++]!;
      if (this.#padding > this.length) {
        const name = this.type === DATA ? 'DATA' : 'HEADERS';
        this.#bad(
          PROTOCOL_ERROR,
          `padded ${name} frame with incorrect length: ${this.frameLength}, padding: ${this.#padding}`,
        );
        return false;
      }
      this.length -= this.#padding;
    }
    if (this.end - at >= 5) {
      this.exclusive = bytes[at]! >= 0x80;
      this.dependency = readUint31(bytes, at);
      this.weight = bytes[at + 4]! + 1;
    }
    this.#need = 0;
    this.#state = BEGIN;
    return true;
  }

  #afterBegin(): void {
    const { type } = this;
    if (this.#need > this.length) {
      this.#bad(FRAME_SIZE_ERROR, `${NAMES[type]} frame with incorrect length ${this.length}`);
      return;
    }
    this.#have = 0;
    if (type === DATA || type === HEADERS || type === CONTINUATION || type === PUSH_PROMISE) {
      this.#left = this.length;
      this.#state = STREAMED;
    } else if (type > CONTINUATION) this.#skipRest(this.length);
    else {
      const whole = type === GOAWAY ? Math.min(this.length, 8) : this.length;
      if (whole > MAX_WHOLE || (type !== SETTINGS && whole > 32)) {
        this.#bad(FRAME_SIZE_ERROR, `${NAMES[type]} frame with incorrect length ${this.length}`);
        return;
      }
      this.#need = whole;
      this.#left = this.length - whole;
      this.#state = WHOLE;
    }
  }

  #bad(error: number, message: string): void {
    this.error = error;
    this.message = message;
  }
}

const EMPTY = Buffer.alloc(0);
const NAMES = [
  'DATA',
  'HEADERS',
  'PRIORITY',
  'RST_STREAM',
  'SETTINGS',
  'PUSH_PROMISE',
  'PING',
  'GOAWAY',
  'WINDOW_UPDATE',
  'CONTINUATION',
];

/** Name of a frame's type, for messages. */
export function frameName(type: number): string {
  return NAMES[type] ?? `type ${type}`;
}

/** 31 bits; the reserved one is ignored. */
export function readUint31(bytes: Buffer, at: number): number {
  return ((bytes[at]! & 0x7f) << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

export function readUint32(bytes: Buffer, at: number): number {
  return (bytes[at]! * 0x1000000 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!)) >>> 0;
}
