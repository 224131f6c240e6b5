/**
 * Keys and their values, in memory that all threads share. One lock. A pair is one piece of the slab: found by a chain,
 * and in a list if it has an end. Keys are bytes; what they mean, and which of them match, is for `store.ts` to say.
 *
 * A chain changes by one write of a word, and never holds a pair that is not whole: whoever takes the lock over from a
 * thread that died holding it makes everything else anew of the chains.
 */
import { randomInt } from 'node:crypto';
import { MEASURE } from '../shared/carver.ts';
import { ChangeMark } from '../shared/change-mark.ts';
import { LOCK, rowOf, SharedLock } from '../shared/lock.ts';
import { NONE, PAGE, Slab } from '../shared/slab.ts';
import { Factors, mix } from './key.ts';
import type { Key } from './key.ts';
import { LENGTHS, W } from './layout.ts';
import { TableMemory } from './memory.ts';

const MAGIC = 0x48724b76; // 'HrKv'

/** Words of a pair before its bytes: key, the key as it was written if that is something else, value. */
const N = { next: 0, hash: 1, end: 2, newer: 4, older: 5, key: 6, name: 7, value: 8, words: 9 };
const HEADER = N.words * 4;
/** Neither found nor known to be missing. */
export const LOST = -2;
/** Lists that a pair may be in; a field of `N.name`. */
const IN_NONE = 0;
const IN_TIMED = 1;
const IN_OWN = 2;

/** Ends of the lists by their number. */
const OLDEST = [0, W.timedOldest, W.ownOldest];
const NEWEST = [0, W.timedNewest, W.ownNewest];

/** Places of more than this do not fit 32 bits. */
const MOST_PAGES = (2 ** 31 * 8) / PAGE - 1;

/** The type of zones whose keys are networks. */
export const NETWORKS = 1;
/** Where the counts of networks of IPv6 begin, by their bits; before them are those of IPv4. */
const OF_IPV6 = 64;

/**
 * Makes an empty table. Main thread.
 * @param size bytes for keys and values; what is needed to find them comes on top
 * @throws {RangeError} if there is not that much memory, or it is more than 16 GB
 */
export function createTable(size: number, type: number, maxWorkers: number): SharedArrayBuffer {
  const rows = maxWorkers + 1;
  const pages = Math.max(1, Math.floor(size / PAGE));
  if (pages > MOST_PAGES) throw new RangeError('too large');
  const buffer = new SharedArrayBuffer(new TableMemory(MEASURE, rows, pages).size);
  const { head } = new TableMemory(buffer, rows, pages);
  head[W.magic] = MAGIC;
  head[W.rows] = rows;
  head[W.pages] = pages;
  head[W.type] = type;
  head[W.seed] = randomInt(-0x80000000, 0x7fffffff);
  head[W.factorSeed] = randomInt(-0x80000000, 0x7fffffff);
  new Table(buffer, -1).clear();
  return buffer;
}

/** A thread's view of a zone's memory. Whatever says nothing else is to be called with the lock held. */
export class Table {
  readonly head: Int32Array;
  readonly slab: Slab;
  /** Of the hash of keys. */
  readonly factors: Factors;
  readonly chains: number;
  readonly #lengths: Int32Array;
  /** Keys are networks: their bits, and the bytes of the address. */
  readonly #networks: boolean;
  /** Whether what is read without the lock can be relied on. */
  readonly mark: ChangeMark;
  readonly #lock: SharedLock;
  #changes = false;
  readonly #chains: Int32Array;
  readonly #words: Int32Array;
  readonly #ends: Float64Array;
  readonly #bytes: Buffer;
  /** No pair begins behind this. */
  readonly #cells: number;
  readonly #seed: number;

  /** @param workerId -1: the main thread */
  constructor(buffer: SharedArrayBuffer, workerId: number) {
    const [magic, rows, pages] = new Int32Array(buffer, 0, W.words);
    if (magic !== MAGIC) throw new TypeError('not a zone of keys and values');
    const memory = new TableMemory(buffer, rows!, pages!);
    const { head, slab } = memory;
    this.head = head;
    this.slab = slab;
    this.#lengths = memory.lengths;
    this.#networks = head[W.type] === NETWORKS;
    this.#chains = memory.chains;
    this.chains = memory.chains.length;
    this.#words = slab.words;
    this.#bytes = slab.bytes;
    this.#ends = new Float64Array(buffer, slab.bytes.byteOffset, slab.bytes.length / 8);
    this.#cells = (slab.bytes.length - HEADER) / 8;
    this.#seed = head[W.seed]!;
    this.factors = new Factors(head[W.factorSeed]!);
    const row = rowOf(memory, workerId);
    this.#lock = new SharedLock(memory, row);
    this.mark = new ChangeMark(head, W.mark);
    Atomics.store(memory.alive, row, 1);
  }

  /** Takes the lock, to read. */
  enter(): void {
    this.#lock.enter();
    if (this.head[LOCK.indexStale] === 0) return;
    this.mark.begin();
    this.#rebuild();
    this.mark.end();
  }

  /** Takes the lock, to change. */
  change(): void {
    this.enter();
    this.#changes = true;
    this.mark.begin();
  }

  leave(): void {
    if (this.#changes) {
      this.#changes = false;
      this.mark.end();
    }
    this.#lock.leave();
  }

  /** Without the lock. */
  get count(): number {
    return Atomics.load(this.head, W.count);
  }

  /** Changes with every change. Without the lock. */
  get version(): number {
    return Atomics.load(this.head, W.version);
  }

  /** Whether some key may have this length. */
  hasLength(length: number): boolean {
    return this.#lengths[length < LENGTHS ? length : LENGTHS - 1] !== 0;
  }

  /** Whether some key is a network of so many bits. @param width of its address: 4 or 16 */
  hasNetwork(width: number, bits: number): boolean {
    return this.#lengths[width === 4 ? bits : OF_IPV6 + bits] !== 0;
  }

  /**
   * The pair with these bytes for a key, or NONE.
   * @param steps without the lock: how far a chain is followed. Then LOST: it is longer, or was changed meanwhile
   */
  find(bytes: Uint8Array, length: number, hash: number, steps = Infinity): number {
    const words = this.#words;
    let left = steps;
    let cell = this.#chains[this.#chainOf(hash)]!;
    while (cell !== NONE) {
      if (left-- === 0 || cell < 0 || cell >= this.#cells) return LOST;
      const at = cell * 2;
      if (words[at + N.hash] === hash && words[at + N.key] === length && this.#holds(cell, bytes, length)) return cell;
      cell = words[at]!;
    }
    return NONE;
  }

  /** The pair's end in milliseconds since the epoch; 0: it has none. */
  endOf(cell: number): number {
    return this.#ends[cell + N.end / 2]!;
  }

  /** The key, or what stands for it, one character a byte. */
  nameOf(cell: number): string {
    const at = cell * 2;
    const key = this.#words[at + N.key]!;
    const name = this.#words[at + N.name]! >> 2;
    const start = cell * 8 + HEADER;
    return name === 0
      ? this.#bytes.latin1Slice(start, start + key)
      : this.#bytes.latin1Slice(start + key, start + key + name);
  }

  /** One character a byte. */
  valueOf(cell: number): string {
    const start = this.#valueAt(cell);
    return this.#bytes.latin1Slice(start, start + this.#words[cell * 2 + N.value]!);
  }

  /** The same without the lock. @param mark that of the reading which found the pair @returns null: it has changed since */
  valueIfUnchanged(cell: number, mark: number): string | null {
    const start = this.#valueAt(cell);
    const length = this.#words[cell * 2 + N.value]!;
    // The length is to be relied on before a text is made of it.
    if (!this.mark.unchanged(mark)) return null;
    const value = this.#bytes.latin1Slice(start, start + length);
    return this.mark.unchanged(mark) ? value : null;
  }

  /**
   * Adds a pair, or puts it in the place of one.
   * @param old the pair with this key, or NONE
   * @param name the key as it was written; '': it is the key itself
   * @param end milliseconds since the epoch; 0: none
   * @param own the end is not that of the zone's timeout, counted from now
   * @returns NONE: there is no room, and nothing has changed
   */
  put(old: number, key: Key, name: string, value: string, end: number, own: boolean): number {
    const size = HEADER + key.length + name.length + value.length;
    let cell = this.slab.take(size);
    if (cell === NONE) {
      if (old === NONE || Slab.roomFor(size) !== Slab.roomFor(this.#sizeOf(old))) return NONE;
      // The same room does for the new value. Only here a thread's death could leave half of it.
      this.#dequeue(old);
      cell = old;
    } else if (old === NONE) {
      this.#count(key.length, key.bytes[0]!, 1);
    } else {
      this.#dequeue(old);
    }
    const words = this.#words;
    const at = cell * 2;
    const chain = this.#chainOf(key.hash);
    if (cell !== old) {
      words[at + N.next] = old === NONE ? this.#chains[chain]! : words[old * 2]!;
      words[at + N.hash] = key.hash;
      words[at + N.key] = key.length;
      this.#bytes.set(
        key.bytes.length === key.length ? key.bytes : key.bytes.subarray(0, key.length),
        cell * 8 + HEADER,
      );
    }
    words[at + N.name] = name.length << 2;
    words[at + N.value] = value.length;
    this.#ends[cell + N.end / 2] = end;
    const start = cell * 8 + HEADER + key.length;
    this.#bytes.latin1Write(name, start);
    this.#bytes.latin1Write(value, start + name.length);
    if (cell !== old) {
      if (old === NONE) this.#chains[chain] = cell;
      else {
        this.#point(chain, old, cell);
        this.slab.give(old);
      }
    }
    this.#enqueue(cell, end === 0 ? IN_NONE : own ? IN_OWN : IN_TIMED);
    this.#changed();
    return cell;
  }

  /** Another end for a pair. */
  setEnd(cell: number, end: number, own: boolean): void {
    this.#dequeue(cell);
    this.#ends[cell + N.end / 2] = end;
    this.#enqueue(cell, end === 0 ? IN_NONE : own ? IN_OWN : IN_TIMED);
    this.#changed();
  }

  remove(cell: number): void {
    const at = cell * 2;
    const words = this.#words;
    this.#point(this.#chainOf(words[at + N.hash]!), cell, words[at]!);
    this.#dequeue(cell);
    this.#count(words[at + N.key]!, this.#bytes[cell * 8 + HEADER]!, -1);
    this.slab.give(cell);
    this.#changed();
  }

  clear(): void {
    const { head } = this;
    this.#chains.fill(NONE);
    this.#lengths.fill(0);
    head[W.count] = 0;
    for (const list of [IN_TIMED, IN_OWN]) head[OLDEST[list]!] = head[NEWEST[list]!] = NONE;
    this.slab.clear();
    this.#changed();
  }

  /** Removes up to `limit` of those with the zone's timeout whose end has come. @returns how many */
  reap(now: number, limit: number): number {
    let n = 0;
    while (n < limit) {
      const cell = this.head[W.timedOldest]!;
      if (cell === NONE || this.endOf(cell) > now) break;
      this.remove(cell);
      n++;
    }
    return n;
  }

  /**
   * Looks at up to `limit` of those with an end of their own, and removes those whose end has come. The next call looks at
   * others.
   * @returns whether there are more than it looked at
   */
  reapOwn(now: number, limit: number): boolean {
    let first: number = NONE;
    for (let n = 0; n < limit; n++) {
      const cell = this.head[W.ownOldest]!;
      if (cell === NONE || cell === first) return false;
      if (this.endOf(cell) <= now) {
        this.remove(cell);
        continue;
      }
      if (first === NONE) first = cell;
      this.#dequeue(cell);
      this.#enqueue(cell, IN_OWN);
    }
    return true;
  }

  /**
   * Those with the zone's timeout get an end of their own: the timeout has changed, and with it their order.
   * @param limit how many, at most
   * @returns whether that was all
   */
  forgetOrder(limit: number): boolean {
    for (let n = 0; n < limit; n++) {
      const cell = this.head[W.timedOldest]!;
      if (cell === NONE) return true;
      this.#dequeue(cell);
      this.#enqueue(cell, IN_OWN);
    }
    return false;
  }

  /** Calls back for each pair of some chains. @param chain the first one @returns the first of those that follow */
  visit(chain: number, count: number, take: (cell: number) => void): number {
    const end = Math.min(chain + count, this.chains);
    for (let i = chain; i < end; i++) {
      for (let cell = this.#chains[i]!; cell !== NONE; cell = this.#words[cell * 2]!) take(cell);
    }
    return end;
  }

  #valueAt(cell: number): number {
    const at = cell * 2;
    return cell * 8 + HEADER + this.#words[at + N.key]! + (this.#words[at + N.name]! >> 2);
  }

  #sizeOf(cell: number): number {
    const at = cell * 2;
    const words = this.#words;
    return HEADER + words[at + N.key]! + (words[at + N.name]! >> 2) + words[at + N.value]!;
  }

  #holds(cell: number, bytes: Uint8Array, length: number): boolean {
    const mine = this.#bytes;
    const start = cell * 8 + HEADER;
    for (let i = 0; i < length; i++) if (mine[start + i] !== bytes[i]) return false;
    return true;
  }

  #chainOf(hash: number): number {
    return mix(hash ^ this.#seed) & (this.chains - 1);
  }

  /** Whoever pointed to one pair of a chain points to another. */
  #point(chain: number, from: number, to: number): void {
    const words = this.#words;
    let cell = this.#chains[chain]!;
    if (cell === from) {
      this.#chains[chain] = to;
      return;
    }
    while (words[cell * 2] !== from) cell = words[cell * 2]!;
    words[cell * 2] = to;
  }

  #count(length: number, first: number, by: number): void {
    let place = Math.min(length, LENGTHS - 1);
    if (this.#networks) place = length === 5 ? first : OF_IPV6 + first;
    this.#lengths[place] = this.#lengths[place]! + by;
    this.head[W.count] = this.head[W.count]! + by;
  }

  #changed(): void {
    this.head[W.version] = (this.head[W.version]! + 1) | 0;
  }

  #enqueue(cell: number, list: number): void {
    const words = this.#words;
    const at = cell * 2;
    words[at + N.name] = (words[at + N.name]! & ~3) | list;
    if (list === IN_NONE) return;
    const before = this.head[NEWEST[list]!]!;
    words[at + N.newer] = NONE;
    words[at + N.older] = before;
    if (before === NONE) this.head[OLDEST[list]!] = cell;
    else words[before * 2 + N.newer] = cell;
    this.head[NEWEST[list]!] = cell;
  }

  #dequeue(cell: number): void {
    const words = this.#words;
    const at = cell * 2;
    const list = words[at + N.name]! & 3;
    if (list === IN_NONE) return;
    const newer = words[at + N.newer]!;
    const older = words[at + N.older]!;
    if (newer === NONE) this.head[NEWEST[list]!] = older;
    else words[newer * 2 + N.older] = older;
    if (older === NONE) this.head[OLDEST[list]!] = newer;
    else words[older * 2 + N.newer] = newer;
  }

  /** The lock's owner died: everything but the chains may be half changed. */
  #rebuild(): void {
    const words = this.#words;
    const cells = new Set<number>();
    for (let chain = 0; chain < this.chains; chain++) {
      for (let cell = this.#chains[chain]!; cell !== NONE && !cells.has(cell); cell = words[cell * 2]!) cells.add(cell);
    }
    this.slab.rebuild([...cells].map((cell) => [cell, this.#sizeOf(cell)] as const));
    this.#lengths.fill(0);
    this.head[W.count] = 0;
    for (const list of [IN_TIMED, IN_OWN]) this.head[OLDEST[list]!] = this.head[NEWEST[list]!] = NONE;
    const byEnd = [...cells].sort((a, b) => this.endOf(a) - this.endOf(b));
    for (const cell of byEnd) {
      this.#count(words[cell * 2 + N.key]!, this.#bytes[cell * 8 + HEADER]!, 1);
      const list = words[cell * 2 + N.name]! & 3;
      this.#enqueue(cell, this.endOf(cell) === 0 ? IN_NONE : list === IN_TIMED ? IN_TIMED : IN_OWN);
    }
    this.#changed();
    this.head[LOCK.indexStale] = 0;
  }
}
