/**
 * The receiving half of a logical stream: pieces that arrive over several connections, in any order and more than once,
 * come out in order, each byte once. What is ahead of its turn lies in a ring that is never larger than the window.
 */
import { Buffer } from 'node:buffer';

/** The ring begins with this, and doubles. */
const FIRST_RING = 64 * 1024;

export interface Delivery {
  /** The next bytes, in order; valid during the call. */
  deliver(buf: Buffer, start: number, end: number): void;
}

export class Reassembly {
  /** The offset of the next byte that comes out. */
  next = 0;
  /** Ring of bytes from `next` on, at their offset modulo its length; null: nothing has ever been ahead. */
  #ring: Buffer | null = null;
  /** What of it is filled: beginnings and ends in turn, ascending, apart from each other. */
  readonly #runs: number[] = [];
  readonly #maxRuns: number;

  /** @param maxRuns most gaps; more than an honest sender can make is a reason to end the stream */
  constructor(maxRuns: number) {
    this.#maxRuns = maxRuns;
  }

  /** Bytes of memory that it holds. */
  get held(): number {
    return this.#ring === null ? 0 : this.#ring.length;
  }

  /** Whether something has come that is not the next. */
  get ahead(): boolean {
    return this.#runs.length > 0;
  }

  /**
   * Takes `buf[start, end)`, whose first byte has this offset. The caller has checked that it ends within the window.
   * @returns false: more gaps than allowed
   */
  receive(offset: number, buf: Buffer, start: number, end: number, to: Delivery): boolean {
    const stop = offset + end - start;
    if (stop <= this.next) return true;
    if (offset > this.next) return this.#keep(offset, stop, buf, start);
    const from = start + this.next - offset;
    this.next = stop;
    to.deliver(buf, from, end);
    if (this.#runs.length > 0) this.#flush(to);
    return true;
  }

  /** Hands on what has become the next. */
  #flush(to: Delivery): void {
    const runs = this.#runs;
    while (runs.length > 0 && runs[0]! <= this.next) {
      const stop = runs[1]!;
      runs.splice(0, 2);
      const ring = this.#ring!;
      while (this.next < stop) {
        const at = this.next % ring.length;
        const n = Math.min(stop - this.next, ring.length - at);
        this.next += n;
        to.deliver(ring, at, at + n);
      }
    }
  }

  /** Gives the ring back, if nothing lies in it. */
  trim(): void {
    if (this.#runs.length === 0) this.#ring = null;
  }

  #keep(offset: number, stop: number, buf: Buffer, start: number): boolean {
    if (!this.#note(offset, stop)) return false;
    const ring = this.#roomFor(stop - this.next);
    const at = offset % ring.length;
    const first = Math.min(stop - offset, ring.length - at);
    buf.copy(ring, at, start, start + first);
    if (first < stop - offset) buf.copy(ring, 0, start + first, start + stop - offset);
    return true;
  }

  #roomFor(n: number): Buffer {
    const old = this.#ring;
    if (old !== null && old.length >= n) return old;
    let size = old === null ? FIRST_RING : old.length * 2;
    while (size < n) size *= 2;
    const ring = Buffer.allocUnsafeSlow(size);
    this.#ring = ring;
    if (old === null) return ring;
    // All that lies in the old one stands elsewhere in the new one.
    for (let offset = this.next; offset < this.next + old.length;) {
      const from = offset % old.length;
      const to = offset % size;
      const part = Math.min(old.length - from, size - to, this.next + old.length - offset);
      old.copy(ring, to, from, from + part);
      offset += part;
    }
    return ring;
  }

  /** Notes that `[from, to)` is there. */
  #note(from: number, to: number): boolean {
    const runs = this.#runs;
    // Usually it stands behind all others.
    const count = runs.length;
    if (count === 0 || from > runs[count - 1]!) {
      if (count >= 2 * this.#maxRuns) return false;
      runs.push(from, to);
      return true;
    }
    // The first run that ends at `from` or later, and the last one that begins at `to` or earlier.
    let low = 0;
    let high = count / 2;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (runs[2 * middle + 1]! < from) low = middle + 1;
      else high = middle;
    }
    let last = low;
    while (2 * last < count && runs[2 * last]! <= to) last++;
    if (last === low) {
      if (count >= 2 * this.#maxRuns) return false;
      runs.splice(2 * low, 0, from, to);
      return true;
    }
    const begin = Math.min(from, runs[2 * low]!);
    const end = Math.max(to, runs[2 * last - 1]!);
    runs.splice(2 * low, 2 * (last - low), begin, end);
    return true;
  }
}
