/**
 * Reading shared memory without its lock: a word that is odd while somebody changes the memory, and another number afterwards.
 * A reader looks at it before and after; if it was even and is the same, what was read between is what stood there.
 * Until that is known, anything may have been read: loops need a limit, places a check.
 *
 * What is read and written between are ordinary words. The order of those against the mark is kept by atomic operations on
 * either side, also on machines that reorder more than x86 does: a load of the mark behind the store that makes it odd, and
 * an atomic write (of a word that nobody else looks at) before the load that ends a reading.
 */

/** Somebody is changing it. */
export const CHANGING = -1;

/** A thread's own: what is written here only keeps order. */
const fence = new Int32Array(new SharedArrayBuffer(4));

export class ChangeMark {
  readonly #head: Int32Array;
  readonly #word: number;

  /** @param word in shared memory that nothing else uses */
  constructor(head: Int32Array, word: number) {
    this.#head = head;
    this.#word = word;
  }

  /** A change begins. With the lock held. */
  begin(): void {
    const head = this.#head;
    Atomics.store(head, this.#word, (head[this.#word]! + 1) | 1);
    Atomics.load(head, this.#word);
  }

  /** The change is whole. With the lock held. */
  end(): void {
    const head = this.#head;
    Atomics.store(head, this.#word, (head[this.#word]! + 1) & ~1);
  }

  /** Begins a reading. @returns what `unchanged` is to be given, or CHANGING: the lock is needed */
  read(): number {
    const mark = Atomics.load(this.#head, this.#word);
    return (mark & 1) === 0 ? mark >>> 1 : CHANGING;
  }

  /** Whether everything that was read since `read` stood there together. */
  unchanged(mark: number): boolean {
    Atomics.add(fence, 0, 0);
    return Atomics.load(this.#head, this.#word) === mark << 1;
  }
}
