/** A header block over its HEADERS and CONTINUATION frames: lines are decoded as soon as they are complete. Pure. */
import { Buffer } from 'node:buffer';
import type { FieldSink, HpackDecoder } from './hpack-decoder.ts';

export class BlockReader {
  readonly #decoder: HpackDecoder;
  /** The beginning of a line whose rest has not come. */
  #held: Buffer | null = null;
  #length = 0;

  constructor(decoder: HpackDecoder) {
    this.#decoder = decoder;
  }

  begin(): void {
    this.#length = 0;
  }

  /**
   * Takes `buf[start, end)` of a block; `last`: it ends there.
   * @returns false: the decoder's `error` says why the connection cannot go on
   */
  feed(buf: Buffer, start: number, end: number, last: boolean, sink: FieldSink): boolean {
    let src = buf;
    if (this.#length > 0) {
      this.#append(buf, start, end);
      src = this.#held!;
      start = 0;
      end = this.#length;
    }
    const rest = this.#decoder.decode(src, start, end, last, sink);
    if (rest < 0) return false;
    if (src === this.#held) {
      src.copyWithin(0, rest, end);
      this.#length = end - rest;
    } else if (rest < end) this.#append(src, rest, end);
    if (last) this.#held = null;
    return true;
  }

  /** What is held is less than two strings of the decoder's limit, and what one read brings is added to it. */
  #append(buf: Buffer, start: number, end: number): void {
    const needed = this.#length + end - start;
    if (this.#held === null || this.#held.length < needed) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, 1024));
      if (this.#held !== null) this.#held.copy(grown, 0, 0, this.#length);
      this.#held = grown;
    }
    buf.copy(this.#held, this.#length, start, end);
    this.#length = needed;
  }
}
