/** Reads a connection's frames from bytes in whatever pieces; payload goes on as it comes, nothing of it is kept. */
import { Buffer } from 'node:buffer';
import { CONTROL_MAX, DATA, FRAME_HEADER, PAYLOAD_MAX, readOffset } from './wire.ts';

export interface FrameHandler {
  /** Payload of a DATA frame, or a piece of it: `offset` is that of `buf[start]`. Valid during the call. */
  onPayload(offset: number, buf: Buffer, start: number, end: number): void;
  /** A DATA frame has come to its end. */
  onDataFrame(): void;
  /** Any other frame; `payload` is valid during the call. */
  onControl(type: number, payload: Buffer): void;
}

const OFFSET_BYTES = 8;

export class FrameReader {
  readonly #handler: FrameHandler;
  readonly #scratch = Buffer.allocUnsafeSlow(CONTROL_MAX);
  /** Of the header, of an offset, of a control frame: how much there is, and how much it takes. */
  #have = 0;
  #need = FRAME_HEADER;
  #type = -1;
  /** Payload of the present DATA frame that has not come; -1: its offset has not, or there is none. */
  #rest = -1;
  #offset = 0;
  #length = 0;
  #stopped = false;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /** Between two frames: an end here cuts none. */
  get clean(): boolean {
    return this.#type < 0 && this.#have === 0;
  }

  /** Nothing more is told, whatever is still in the bytes that are being read. */
  stop(): void {
    this.#stopped = true;
  }

  /** @returns false: these are no frames; the reader must not be used again */
  feed(buf: Buffer, start: number, end: number): boolean {
    let at = start;
    while (at < end && !this.#stopped) {
      if (this.#rest >= 0) {
        at = this.#payload(buf, at, end);
        continue;
      }
      const taken = Math.min(this.#need - this.#have, end - at);
      buf.copy(this.#scratch, this.#have, at, at + taken);
      this.#have += taken;
      at += taken;
      if (this.#have === this.#need && !this.#filled()) return false;
    }
    return true;
  }

  #payload(buf: Buffer, at: number, end: number): number {
    const stop = Math.min(end, at + this.#rest);
    const offset = this.#offset;
    this.#offset += stop - at;
    this.#rest -= stop - at;
    const last = this.#rest === 0;
    if (last) this.#next();
    if (stop > at) this.#handler.onPayload(offset, buf, at, stop);
    if (last && !this.#stopped) this.#handler.onDataFrame();
    return stop;
  }

  #next(): void {
    this.#type = -1;
    this.#rest = -1;
    this.#have = 0;
    this.#need = FRAME_HEADER;
  }

  /** A header, an offset or a control frame is complete. */
  #filled(): boolean {
    const bytes = this.#scratch;
    if (this.#type < 0) {
      const length = (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!;
      this.#type = bytes[0]!;
      this.#length = length;
      this.#have = 0;
      if (this.#type === DATA) {
        this.#need = OFFSET_BYTES;
        return length > OFFSET_BYTES && length <= OFFSET_BYTES + PAYLOAD_MAX;
      }
      this.#need = length;
      if (length > CONTROL_MAX) return false;
      return length > 0 || this.#control();
    }
    if (this.#type !== DATA) return this.#control();
    this.#offset = readOffset(bytes, 0);
    this.#rest = this.#length - OFFSET_BYTES;
    return this.#offset >= 0;
  }

  #control(): boolean {
    const type = this.#type;
    const payload = this.#scratch.subarray(0, this.#length);
    this.#next();
    this.#handler.onControl(type, payload);
    return true;
  }
}
