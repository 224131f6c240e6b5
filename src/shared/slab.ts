/**
 * A slab allocator in memory that all threads share: pages of 4096 bytes, cut into slots of one size each, or joined for
 * what is larger than half a page. Call with the lock of the structure that owns the memory held.
 *
 * Places are counted in cells of eight bytes, so that they fit 32 bits in memory of any size that there is.
 */
import type { Carver } from './carver.ts';

/** No place. */
export const NONE = -1;
export const PAGE = 4096;

/** Slots have 8, 16, … 2048 bytes. */
const MIN_SHIFT = 3;
const CLASSES = 9;
const MAX_SLOT = 2048;
const CELLS = PAGE / 8;

/** Words of the header; those behind `partial` have one for each size. */
const W = { free: 0, hint: 1, partial: 2, used: 2 + CLASSES, slots: 2 + 2 * CLASSES, words: 2 + 3 * CLASSES };
/** Counters behind the header, as doubles: requests for memory, and those that failed, by size. */
const COUNTERS = 2 * CLASSES;

/** What a page is: 0 is free, 1 and up slots of that size; the first page of a large piece, and those behind it. */
const LARGE = 100;
const BEHIND = 101;

/** Sizes of slots in bytes, smallest first. */
export const SLOT_SIZES: readonly number[] = Array.from({ length: CLASSES }, (_, i) => 1 << (MIN_SHIFT + i));

/** What is known of slots of one size. */
export interface SlotCounts {
  used: number;
  free: number;
}

export class Slab {
  readonly pages: number;
  /** By size: requests for memory, then those that failed. */
  readonly counters: Float64Array;
  /** The pages; cell `c` is word `2 * c`. */
  readonly bytes: Buffer;
  readonly words: Int32Array;
  readonly #head: Int32Array;
  readonly #kind: Int32Array;
  /** Slots taken; of a large piece, its pages. */
  readonly #taken: Int32Array;
  /** The first free slot: a cell. */
  readonly #slots: Int32Array;
  readonly #next: Int32Array;
  readonly #before: Int32Array;

  constructor(c: Carver, pages: number) {
    this.pages = pages;
    this.counters = c.float64(COUNTERS);
    this.#head = c.int32(W.words);
    this.#kind = c.int32(pages);
    this.#taken = c.int32(pages);
    this.#slots = c.int32(pages);
    this.#next = c.int32(pages);
    this.#before = c.int32(pages);
    this.bytes = c.bytes(pages * PAGE);
    const { buffer, byteOffset, length } = this.bytes;
    this.words = new Int32Array(buffer, byteOffset, length / 4);
  }

  /** All memory is free; counters stay. */
  clear(): void {
    const head = this.#head;
    head.fill(0);
    head.fill(NONE, W.partial, W.partial + CLASSES);
    head[W.free] = this.pages;
    this.#kind.fill(0);
  }

  get freePages(): number {
    return this.#head[W.free]!;
  }

  /** Of slots of `SLOT_SIZES[index]` bytes. */
  slotCounts(index: number): SlotCounts {
    const used = this.#head[W.used + index]!;
    return { used, free: this.#head[W.slots + index]! - used };
  }

  /** @returns a cell, or NONE: there is no room. The memory holds what it held. */
  take(bytes: number): number {
    // As nginx counts: slots, not pages.
    if (bytes > MAX_SLOT) return this.#takePages(Math.ceil(bytes / PAGE));
    const size = sizeOf(bytes);
    this.counters[size] = this.counters[size]! + 1;
    const cell = this.#takeSlot(size);
    if (cell === NONE) this.counters[CLASSES + size] = this.counters[CLASSES + size]! + 1;
    return cell;
  }

  /** Bytes of the piece that `bytes` would be given. */
  static roomFor(bytes: number): number {
    return bytes > MAX_SLOT ? Math.ceil(bytes / PAGE) * PAGE : 1 << (MIN_SHIFT + sizeOf(bytes));
  }

  give(cell: number): void {
    const page = Math.floor(cell / CELLS);
    const kind = this.#kind[page]!;
    if (kind === LARGE) {
      this.#free(page, this.#taken[page]!);
      return;
    }
    const head = this.#head;
    const size = kind - 1;
    if (this.#slots[page] === NONE) this.#link(page, size);
    this.words[cell * 2] = this.#slots[page]!;
    this.#slots[page] = cell;
    this.#taken[page] = this.#taken[page]! - 1;
    head[W.used + size] = head[W.used + size]! - 1;
    if (this.#taken[page] === 0) {
      this.#unlink(page, size);
      head[W.slots + size] = head[W.slots + size]! - (PAGE >> (MIN_SHIFT + size));
      this.#free(page, 1);
    }
  }

  /**
   * Makes the allocator's own data anew, of what is known to be in use: a thread has died while it held the lock.
   * @param pieces cells, and the bytes that were asked for
   */
  rebuild(pieces: Iterable<readonly [cell: number, bytes: number]>): void {
    this.clear();
    const slots = new Map<number, Set<number>>();
    for (const [cell, bytes] of pieces) {
      const page = Math.floor(cell / CELLS);
      if (bytes > MAX_SLOT) {
        this.#claim(page, Math.ceil(bytes / PAGE));
        continue;
      }
      let held = slots.get(page);
      if (held === undefined) {
        slots.set(page, (held = new Set()));
        this.#claim(page, 1);
        this.#kind[page] = sizeOf(bytes) + 1;
      }
      held.add(cell);
    }
    for (const [page, held] of slots) this.#restore(page, held);
  }

  #restore(page: number, held: ReadonlySet<number>): void {
    const head = this.#head;
    const size = this.#kind[page]! - 1;
    const step = 1 << size;
    this.#slots[page] = NONE;
    for (let cell = (page + 1) * CELLS - step; cell >= page * CELLS; cell -= step) {
      if (held.has(cell)) continue;
      this.words[cell * 2] = this.#slots[page]!;
      this.#slots[page] = cell;
    }
    this.#taken[page] = held.size;
    head[W.used + size] = head[W.used + size]! + held.size;
    head[W.slots + size] = head[W.slots + size]! + CELLS / step;
    if (this.#slots[page] !== NONE) this.#link(page, size);
  }

  #takeSlot(size: number): number {
    const head = this.#head;
    let page = head[W.partial + size]!;
    if (page === NONE) {
      const first = this.#takePages(1);
      if (first === NONE) return NONE;
      page = first / CELLS;
      this.#kind[page] = size + 1;
      this.#restore(page, new Set());
    }
    const cell = this.#slots[page]!;
    this.#slots[page] = this.words[cell * 2]!;
    this.#taken[page] = this.#taken[page]! + 1;
    head[W.used + size] = head[W.used + size]! + 1;
    if (this.#slots[page] === NONE) this.#unlink(page, size);
    return cell;
  }

  /** The first run of free pages that is long enough. @returns its cell, or NONE */
  #takePages(count: number): number {
    const head = this.#head;
    if (count > head[W.free]!) return NONE;
    let run = 0;
    let lowest = true;
    for (let page = head[W.hint]!; page < this.pages; page++) {
      if (this.#kind[page] !== 0) {
        run = 0;
        continue;
      }
      if (run === 0 && lowest) {
        // Nothing is free before this one.
        head[W.hint] = page;
        lowest = false;
      }
      if (++run < count) continue;
      const first = page - count + 1;
      this.#claim(first, count);
      return first * CELLS;
    }
    return NONE;
  }

  #claim(first: number, count: number): void {
    this.#kind[first] = LARGE;
    this.#taken[first] = count;
    this.#kind.fill(BEHIND, first + 1, first + count);
    this.#head[W.free] = this.#head[W.free]! - count;
  }

  #free(first: number, count: number): void {
    const head = this.#head;
    this.#kind.fill(0, first, first + count);
    head[W.free] = head[W.free]! + count;
    if (first < head[W.hint]!) head[W.hint] = first;
  }

  /** Pages that have free slots are in a list, by size. */
  #link(page: number, size: number): void {
    const first = this.#head[W.partial + size]!;
    this.#next[page] = first;
    this.#before[page] = NONE;
    if (first !== NONE) this.#before[first] = page;
    this.#head[W.partial + size] = page;
  }

  #unlink(page: number, size: number): void {
    const next = this.#next[page]!;
    const before = this.#before[page]!;
    if (before === NONE) this.#head[W.partial + size] = next;
    else this.#next[before] = next;
    if (next !== NONE) this.#before[next] = before;
  }
}

/** Index of the smallest slot that is large enough. */
function sizeOf(bytes: number): number {
  return bytes <= 8 ? 0 : 32 - Math.clz32(bytes - 1) - MIN_SHIFT;
}
