/** Puts any-proxy's data frames in order: numbers instead of offsets, and nothing is ever asked for again. */
import { Buffer } from 'node:buffer';

export interface PackSink {
  /** The next bytes, in order; valid during the call. */
  deliver(buf: Buffer, start: number, end: number): void;
}

interface Ahead {
  size: number;
  have: number;
  pieces: Buffer[];
}

export class PackOrder {
  readonly #to: PackSink;
  #next = 1;
  readonly #ahead = new Map<number, Ahead>();
  /** Of the pack whose turn it is: bytes that have come of it, and how many it has; -1: it has not begun. */
  #have = 0;
  #size = -1;
  /** Bytes that wait for their turn. */
  held = 0;

  constructor(to: PackSink) {
    this.#to = to;
  }

  /** Frames that wait for their turn. */
  get waiting(): number {
    return this.#ahead.size;
  }

  /** A gap: something has come after what has not. */
  get gap(): boolean {
    return this.#ahead.size > 0 || this.#size > this.#have;
  }

  /** A data frame begins. @returns false: it has come before, and its bytes are not to be given */
  begin(id: number, size: number): boolean {
    if (id < this.#next || this.#ahead.has(id)) return false;
    if (id > this.#next) {
      this.#ahead.set(id, { size, have: 0, pieces: [] });
      return true;
    }
    if (this.#size >= 0) return false;
    this.#size = size;
    if (size === 0) this.#advance();
    return true;
  }

  bytes(id: number, buf: Buffer, start: number, end: number): void {
    if (id === this.#next) {
      this.#have += end - start;
      this.#to.deliver(buf, start, end);
      if (this.#have === this.#size) this.#advance();
      return;
    }
    const ahead = this.#ahead.get(id);
    if (ahead === undefined) return;
    ahead.pieces.push(Buffer.from(buf.subarray(start, end)));
    ahead.have += end - start;
    this.held += end - start;
  }

  #advance(): void {
    for (;;) {
      this.#next++;
      this.#have = 0;
      this.#size = -1;
      const ahead = this.#ahead.get(this.#next);
      if (ahead === undefined) return;
      this.#ahead.delete(this.#next);
      this.held -= ahead.have;
      this.#size = ahead.size;
      this.#have = ahead.have;
      for (const piece of ahead.pieces) this.#to.deliver(piece, 0, piece.length);
      if (this.#have < this.#size) return;
    }
  }
}
