/**
 * Keys and what is counted for them, in memory that all threads share: a fixed number of nodes, found by hash chains,
 * in a list by last use. One lock; each operation is O(1).
 *
 * A key of up to 16 bytes stands in its node; of a longer one its SHA-256 does, so that nobody can make two keys meet.
 * Chains are chosen with a secret, so that nobody can fill one.
 */
import { NIL, dequeue, enqueue } from '../shared/lru.ts';
import { hash, randomInt } from 'node:crypto';
import { LOCK, rowOf, SharedLock } from '../shared/lock.ts';
import { chainsFor, link, putFree, takeFree, unlink } from '../shared/chains.ts';
import { Carver, MEASURE } from '../shared/carver.ts';
import type { Lockable } from '../shared/lock.ts';

/** Words of the header; those of `LOCK` belong to the lock. */
const W = { magic: 0, capacity: 1, rows: 2, used: 7, free: 8, newest: 9, oldest: 10, seed: 11, planes: 13, words: 16 };

const MAGIC = 0x48724b31; // 'HrK1'
export { NIL };
/** Words of a key in its node: four of bytes, and its length, or `DIGEST`. */
const KEY_WORDS = 5;
const DIGEST = -1;

/** What a kind of table keeps for each key besides the key. */
export interface Shape {
  /** Whether each worker has a count of its own. */
  planes: boolean;
}

/**
 * Makes an empty table. Main thread.
 * @param capacity number of keys
 */
export function createKeyTable(capacity: number, { planes }: Shape, maxWorkers: number): SharedArrayBuffer {
  const rows = maxWorkers + 1;
  const dimensions = { capacity, rows, planes };
  const buffer = new SharedArrayBuffer(new KeyMemory(MEASURE, dimensions).size);
  const { head } = new KeyMemory(buffer, dimensions);
  head[W.magic] = MAGIC;
  head[W.capacity] = capacity;
  head[W.rows] = rows;
  head[W.planes] = planes ? 1 : 0;
  head[W.seed] = randomInt(-0x80000000, 0x7fffffff);
  new KeyTable(buffer, -1).clear();
  return buffer;
}

interface Dimensions extends Shape {
  capacity: number;
  rows: number;
}

/** What the header of a table says. */
function dimensionsOf(buffer: SharedArrayBuffer): Dimensions {
  const head = new Int32Array(buffer, 0, W.words);
  if (head[W.magic] !== MAGIC) throw new TypeError('not a table of keys');
  return { capacity: head[W.capacity]!, rows: head[W.rows]!, planes: head[W.planes] === 1 };
}

/** What a table is made of. */
class KeyMemory implements Lockable {
  readonly head: Int32Array;
  readonly alive: Int32Array;
  readonly capacity: number;
  readonly rows: number;
  /** Milliseconds since the epoch; what it means is the user's. */
  readonly time: Float64Array;
  /** What is counted for the key. */
  readonly value: Int32Array;
  /** The value's parts, a row for each worker; empty without planes. */
  readonly parts: Uint16Array;
  readonly newer: Int32Array;
  readonly older: Int32Array;
  readonly chains: Int32Array;
  readonly keys: Int32Array;
  readonly chainNext: Int32Array;
  readonly taken: Int32Array;
  /** Bytes of all of it. */
  readonly size: number;

  constructor(buffer: SharedArrayBuffer, { capacity: n, rows, planes } = dimensionsOf(buffer)) {
    const c = new Carver(buffer);
    this.head = c.int32(W.words);
    this.capacity = n;
    this.rows = rows;
    this.time = c.float64(n);
    this.alive = c.int32(rows);
    this.chains = c.int32(chainsFor(n));
    this.keys = c.int32(n * KEY_WORDS);
    this.chainNext = c.int32(n);
    this.newer = c.int32(n);
    this.older = c.int32(n);
    this.taken = c.int32(n);
    this.value = c.int32(n);
    this.parts = c.uint16(planes ? n * rows : 0);
    this.size = c.size;
  }
}

/** A thread's view of a table. All but `capacity` is guarded by the lock. */
export class KeyTable extends KeyMemory {
  /** This thread's row. */
  readonly row: number;
  readonly #lock: SharedLock;
  /** The key that `find` and `insert` are about. */
  readonly #key = new Int32Array(KEY_WORDS);

  /** @param workerId -1: the main thread */
  constructor(buffer: SharedArrayBuffer, workerId: number) {
    super(buffer);
    this.row = rowOf(this, workerId);
    this.#lock = new SharedLock(this, this.row);
    Atomics.store(this.alive, this.row, 1);
  }

  /** Keys held. */
  get used(): number {
    return this.head[W.used]!;
  }

  enter(): void {
    this.#lock.enter();
    // Whoever held the lock died: chains and lists may be half changed, what is counted is whole.
    if (this.head[LOCK.indexStale] !== 0) this.#rebuild();
  }

  leave(): void {
    this.#lock.leave();
  }

  /** Node of a key, or NIL. @param key one character a byte */
  find(key: string): number {
    this.#set(key);
    const wanted = this.#key;
    for (let node = this.chains[this.#chainOf(wanted, 0)]!; node !== NIL; node = this.chainNext[node]!) {
      if (this.#holds(node, wanted)) return node;
    }
    return NIL;
  }

  /**
   * Makes a node for the key that `find` did not find, with value and time 0.
   * @param evict make room by dropping the key that was not used for longest
   * @returns NIL: the table is full
   */
  insert(evict: boolean): number {
    const { head } = this;
    if (head[W.free] === NIL) {
      if (!evict) return NIL;
      this.remove(head[W.oldest]!);
    }
    const node = takeFree(this, W);
    this.keys.set(this.#key, node * KEY_WORDS);
    this.taken[node] = 1;
    this.value[node] = 0;
    this.time[node] = 0;
    this.#chain(node);
    enqueue(this, W, node);
    return node;
  }

  /** The key was used now. */
  touch(node: number): void {
    if (this.head[W.newest] === node) return;
    dequeue(this, W, node);
    enqueue(this, W, node);
  }

  remove(node: number): void {
    unlink(this, this.#chainOf(this.keys, node * KEY_WORDS), node);
    dequeue(this, W, node);
    this.#discard(node);
    this.head[W.used] = this.head[W.used]! - 1;
  }

  isTaken(node: number): boolean {
    return this.taken[node] === 1;
  }

  /** Forgets all keys. */
  clear(): void {
    this.chains.fill(NIL);
    for (const word of [W.newest, W.oldest, W.free]) this.head[word] = NIL;
    this.head[W.used] = 0;
    for (let node = this.capacity - 1; node >= 0; node--) this.#discard(node);
  }

  // -------------------------------------------------------------------------------- with the lock held

  #holds(node: number, wanted: Int32Array): boolean {
    const at = node * KEY_WORDS;
    for (let i = 0; i < KEY_WORDS; i++) if (this.keys[at + i] !== wanted[i]) return false;
    return true;
  }

  #set(key: string): void {
    const words = this.#key;
    if (key.length > 16) {
      const digest = hash('sha256', Buffer.from(key, 'latin1'), 'buffer');
      for (let i = 0; i < 4; i++) words[i] = digest.readInt32LE(i * 4);
      words[4] = DIGEST;
      return;
    }
    words.fill(0);
    for (let i = 0; i < key.length; i++) words[i >> 2]! |= key.charCodeAt(i) << ((i & 3) * 8);
    words[4] = key.length;
  }

  /** The words are mixed as murmur3 does, beginning with the table's secret. */
  #chainOf(words: Int32Array, at: number): number {
    let h = this.head[W.seed]!;
    for (let i = at; i < at + KEY_WORDS; i++) {
      let k = Math.imul(words[i]!, 0xcc9e2d51);
      k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
      h ^= k;
      h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
    }
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    return (h ^ (h >>> 16)) & (this.chains.length - 1);
  }

  #discard(node: number): void {
    this.taken[node] = 0;
    putFree(this, W, node);
  }

  #chain(node: number): void {
    link(this, this.#chainOf(this.keys, node * KEY_WORDS), node);
  }

  /** Chains and lists anew; the order of use is lost. */
  #rebuild(): void {
    const nodes = [...this.taken.keys()].filter((node) => this.taken[node] === 1);
    const held = new Set(nodes);
    this.chains.fill(NIL);
    for (const word of [W.newest, W.oldest, W.free]) this.head[word] = NIL;
    for (let node = this.capacity - 1; node >= 0; node--) if (!held.has(node)) this.#discard(node);
    nodes.sort((a, b) => this.time[a]! - this.time[b]!);
    for (const node of nodes) {
      this.#chain(node);
      enqueue(this, W, node);
    }
    this.head[W.used] = nodes.length;
    this.head[LOCK.indexStale] = 0;
  }
}
