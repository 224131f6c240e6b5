/**
 * `keys_zone`: which keys a cache knows, for all threads and exactly: whether a key has a file, how often it was asked
 * for, who updates it at present. One lock; every operation is O(1). Knows neither files nor HTTP.
 *
 * Nothing is counted that a dead thread could leave behind: a node may go at any time, and whoever still works with its
 * key finds it again, or makes it again, by the key. Files are told apart by their version.
 */
import type { Buffer } from 'node:buffer';
import { findDigest } from '../shared/chains.ts';
import { LOCK, rowOf, SharedLock } from '../shared/lock.ts';
import { COUNTERS } from './counts.ts';
import {
  createKeysZone,
  insertNode,
  keyOfNode,
  KeysMemory,
  nextNumber,
  NIL,
  rebuild,
  refreshNode,
  removeNode,
  setBlocks,
  W,
} from './layout.ts';

/** The key has a file, or was asked for often enough to get one. */
export const KNOWN = 0;
/** The key was not known. While the zone is cold it may have a file nevertheless. */
export const FRESH = 1;
/** The key has no file and was not asked for often enough to get one (`min_uses`). */
export const SCARCE = 2;

/** What makes a zone the same one over a reload. */
export interface ZoneConfig {
  name: string;
  size: number;
}

/** The zone of a new configuration: the running one if name and size are equal. */
export function reloadKeysZone(
  old: SharedArrayBuffer | null,
  before: ZoneConfig | null,
  config: ZoneConfig,
  maxWorkers = 32,
): SharedArrayBuffer {
  const same = before !== null && before.name === config.name && before.size === config.size;
  return old !== null && same ? old : createKeysZone(config.size, maxWorkers);
}

/** After a worker's death, before its successor starts: nobody waits for its updates any more. */
export function reclaimKeysZone(buffer: SharedArrayBuffer, workerId: number): void {
  const m = new KeysMemory(buffer);
  const row = rowOf(m, workerId);
  Atomics.store(m.alive, row, 0);
  for (let node = 0; node < m.capacity; node++) {
    if (m.owner[node] === row) m.updating[node] = 0;
  }
}

/** A key that was forgotten. */
export interface Evicted {
  key: Buffer;
  /** It has a file that is to be removed. */
  file: boolean;
}

/** A thread's handle on a keys zone. Keys are MD5 sums (16 bytes). */
export class KeysZone {
  readonly #m: KeysMemory;
  readonly #lock: SharedLock;
  readonly #row: number;
  /** A key had to go for another one, and its file has to go too. */
  readonly #onEvicted: (key: Buffer) => void;
  #evicted: Buffer | null = null;

  // What `use` found.
  /** Number of the key's node: with `version` it tells at once, without the lock, whether a file is still the key's. */
  node = NIL;
  /** Of the key's file; 0: it has none that is known. */
  version = 0;
  /** A status that stands in for an answer; 0: none. */
  error = 0;

  /** @param onEvicted told of keys that had to go for others: their files are to be removed */
  constructor(buffer: SharedArrayBuffer, workerId: number, onEvicted: (key: Buffer) => void = () => {}) {
    this.#onEvicted = onEvicted;
    this.#m = new KeysMemory(buffer);
    this.#row = rowOf(this.#m, workerId);
    this.#lock = new SharedLock(this.#m, this.#row);
    Atomics.store(this.#m.alive, this.#row, 1);
  }

  get capacity(): number {
    return this.#m.capacity;
  }

  /** Keys that are known. */
  get size(): number {
    return this.#m.head[W.used]!;
  }

  /** Blocks of all files. */
  get blocks(): number {
    return this.#m.total[0]!;
  }

  get cold(): boolean {
    return this.#m.head[W.cold] !== 0;
  }

  set cold(cold: boolean) {
    Atomics.store(this.#m.head, W.cold, cold ? 1 : 0);
  }

  /** How many keys there may be before the manager makes room; Infinity: there was room so far. */
  get watermark(): number {
    const mark = this.#m.head[W.watermark]!;
    return mark === 0 ? Infinity : mark;
  }

  /** Whether a file that was found under a node is still the one of its key. Takes no lock. */
  current(node: number, version: number): boolean {
    return version !== 0 && Atomics.load(this.#m.version, node) === version;
  }

  /**
   * A request asks for a key; see `node`, `version` and `error` for what is known of it.
   *
   * @param minUses how often a key must be asked for until it may have a file
   * @returns `KNOWN`, `FRESH` or `SCARCE`
   */
  use(key: Buffer, nowSec: number, minUses: number): number {
    const m = this.#m;
    return this.#locked(() => {
      const node = findDigest(m, key);
      if (node !== NIL) {
        m.uses[node] = Math.min(m.uses[node]! + 1, 0x7fffffff);
        refreshNode(m, node, nowSec);
        if (m.error[node] !== 0 && m.errorUntil[node]! < nowSec) {
          m.error[node] = 0;
          return this.#found(node, FRESH);
        }
        const known = m.error[node] !== 0 || m.version[node] !== 0 || m.uses[node]! >= minUses;
        return this.#found(node, known ? KNOWN : SCARCE);
      }
      return this.#found(this.#make(key, nowSec), FRESH);
    });
  }

  #found(node: number, result: number): number {
    this.node = node;
    this.version = this.#m.version[node]!;
    this.error = this.#m.error[node]!;
    return result;
  }

  /** With the lock held: a node for a key that has none; a full zone gives up what was not used for longest. */
  #make(key: Buffer, nowSec: number): number {
    const m = this.#m;
    let node = insertNode(m, key);
    if (node === NIL) {
      m.head[W.watermark] = m.head[W.used]! - (m.head[W.used]! >> 3);
      // One that is being updated stays, unless all of the oldest are.
      let victim = m.head[W.oldest]!;
      for (let tries = 20; m.updating[victim] !== 0 && tries > 0 && m.newer[victim] !== NIL; tries--) {
        victim = m.newer[victim]!;
      }
      if (m.version[victim] !== 0) this.#evicted = keyOfNode(m, victim);
      removeNode(m, victim);
      node = insertNode(m, key);
    }
    m.accessed[node] = nowSec;
    return node;
  }

  /** A file was used again without asking. @returns false when it is not the key's any more */
  touch(node: number, version: number, nowSec: number): boolean {
    const m = this.#m;
    return this.#locked(() => {
      if (version === 0 || m.version[node] !== version) return false;
      m.uses[node] = Math.min(m.uses[node]! + 1, 0x7fffffff);
      refreshNode(m, node, nowSec);
      return true;
    });
  }

  /**
   * Asks for the right to update a key.
   *
   * @param ageMs how long others have to wait for that at most; -1: until it is given back
   * @returns a ticket; 0: another request updates it
   */
  claim(key: Buffer, nowMs: number, ageMs: number): number {
    const m = this.#m;
    return this.#locked(() => {
      let node = findDigest(m, key);
      if (node === NIL) node = this.#make(key, Math.floor(nowMs / 1000));
      if (m.updating[node] !== 0 && m.lockUntil[node]! > nowMs) return 0;
      const ticket = nextNumber(m);
      m.updating[node] = ticket;
      m.owner[node] = this.#row;
      m.lockUntil[node] = ageMs < 0 ? Infinity : nowMs + ageMs;
      return ticket;
    });
  }

  /** Whether a request has to wait for another one's update of a key. */
  claimed(key: Buffer, nowMs: number): boolean {
    const m = this.#m;
    return this.#locked(() => {
      const node = findDigest(m, key);
      return node !== NIL && m.updating[node] !== 0 && m.lockUntil[node]! > nowMs;
    });
  }

  /**
   * An update has ended without a new file.
   *
   * @param ticket what `claim` gave; 0: none
   * @param keep the key is to be remembered although it has no file (its uses are counted)
   */
  release(key: Buffer, ticket: number, keep: boolean): void {
    const m = this.#m;
    this.#locked(() => {
      const node = findDigest(m, key);
      if (node === NIL) return;
      if (ticket !== 0 && m.updating[node] === ticket) m.updating[node] = 0;
      if (!keep && m.version[node] === 0 && m.error[node] === 0 && m.updating[node] === 0) removeNode(m, node);
    });
  }

  /** An update has ended with a status that is remembered for itself. @param until seconds since the epoch */
  fail(key: Buffer, ticket: number, status: number, until: number, nowSec: number): void {
    const m = this.#m;
    this.#locked(() => {
      let node = findDigest(m, key);
      if (node === NIL) node = this.#make(key, nowSec);
      if (ticket !== 0 && m.updating[node] === ticket) m.updating[node] = 0;
      m.error[node] = status;
      m.errorUntil[node] = until;
    });
  }

  /** A key has a new file. @returns its version */
  publish(key: Buffer, ticket: number, blocks: number, nowSec: number): number {
    const m = this.#m;
    return this.#locked(() => {
      let node = findDigest(m, key);
      if (node === NIL) node = this.#make(key, nowSec);
      if (ticket === 0 || m.updating[node] === ticket) m.updating[node] = 0;
      m.error[node] = 0;
      setBlocks(m, node, blocks);
      const version = nextNumber(m);
      Atomics.store(m.version, node, version);
      this.node = node;
      return version;
    });
  }

  /** A file was found on disk. @returns its version; that of the file that the key has already, if it has one */
  adopt(key: Buffer, blocks: number, nowSec: number): number {
    const m = this.#m;
    return this.#locked(() => {
      let node = findDigest(m, key);
      if (node === NIL) node = this.#make(key, nowSec);
      if (m.version[node] === 0) {
        setBlocks(m, node, blocks);
        Atomics.store(m.version, node, nextNumber(m));
      }
      this.node = node;
      return m.version[node]!;
    });
  }

  /** What stands in a file has changed in place: threads must read it again. @returns its new version, 0: it is gone */
  renew(key: Buffer, ticket: number): number {
    const m = this.#m;
    return this.#locked(() => {
      const node = findDigest(m, key);
      if (node === NIL) return 0;
      if (ticket !== 0 && m.updating[node] === ticket) m.updating[node] = 0;
      if (m.version[node] === 0) return 0;
      const version = nextNumber(m);
      Atomics.store(m.version, node, version);
      this.node = node;
      return version;
    });
  }

  /** A file is gone or damaged. @param version only if it is this one; 0: whichever it is */
  forget(key: Buffer, version: number): void {
    const m = this.#m;
    this.#locked(() => {
      const node = findDigest(m, key);
      if (node === NIL || (version !== 0 && m.version[node] !== version)) return;
      Atomics.store(m.version, node, 0);
      setBlocks(m, node, 0);
    });
  }

  /** Forgets a key. @returns whether it had a file, which is to be removed */
  remove(key: Buffer): boolean {
    const m = this.#m;
    return this.#locked(() => {
      const node = findDigest(m, key);
      if (node === NIL) return false;
      const had = m.version[node] !== 0;
      removeNode(m, node);
      return had;
    });
  }

  /**
   * Forgets the key that was not used for longest.
   *
   * @param usedBefore seconds since the epoch: only if its last use was earlier
   * @returns null when there is none that may go
   */
  evict(usedBefore: number): Evicted | null {
    const m = this.#m;
    return this.#locked(() => {
      for (let tries = 20; tries > 0; tries--) {
        const node = m.head[W.oldest]!;
        if (node === NIL || m.accessed[node]! > usedBefore) return null;
        // Whoever updates it will want to find it.
        if (m.updating[node] !== 0) {
          refreshNode(m, node, usedBefore);
          continue;
        }
        const evicted = { key: keyOfNode(m, node), file: m.version[node] !== 0 };
        removeNode(m, node);
        return evicted;
      }
      return null;
    });
  }

  /** Seconds since the epoch of the last use of the key that was not used for longest; Infinity: there is none. */
  get oldestUse(): number {
    return this.#locked(() => {
      const node = this.#m.head[W.oldest]!;
      return node === NIL ? Infinity : this.#m.accessed[node]!;
    });
  }

  /** Keys with files, of the nodes `[from, from + count)`. */
  filesOf(from: number, count: number): Buffer[] {
    const m = this.#m;
    return this.#locked(() => {
      const found: Buffer[] = [];
      const end = Math.min(from + count, m.capacity);
      for (let node = from; node < end; node++) {
        if (m.uses[node]! > 0 && m.version[node] !== 0) found.push(keyOfNode(m, node));
      }
      return found;
    });
  }

  /** Adds to what this thread counts. */
  count(index: number, n: number): void {
    const at = this.#row * COUNTERS + index;
    this.#m.counters[at] = this.#m.counters[at]! + n;
  }

  /** Sum of a counter over all threads. */
  counted(index: number): number {
    let sum = 0;
    for (let at = index; at < this.#m.counters.length; at += COUNTERS) sum += this.#m.counters[at]!;
    return sum;
  }

  #locked<T>(work: () => T): T {
    let result: T;
    this.#lock.enter();
    try {
      if (this.#m.head[LOCK.indexStale] !== 0) {
        rebuild(this.#m);
        this.#m.head[LOCK.indexStale] = 0;
      }
      result = work();
    } finally {
      this.#lock.leave();
    }
    if (this.#evicted !== null) {
      const key = this.#evicted;
      this.#evicted = null;
      this.#onEvicted(key);
    }
    return result;
  }
}
