/**
 * A cache in a worker: the store, what the thread remembers of it, and who waits for what another request fetches.
 *
 * What is remembered is only used while the keys zone says that it is still the key's answer, which costs one read of
 * shared memory; once a second it is asked whether the file is still there, so that files removed by hand are missed.
 */
import { closeSync, statSync } from 'node:fs';
import type { Buffer } from 'node:buffer';
import type { CacheZoneConfig } from '../../config/cache-model.ts';
import { CacheStore } from '../../cache/store.ts';
import type { StoreLog } from '../../cache/store.ts';
import { FETCHED, FROM_CACHE } from '../../cache/counts.ts';
import { CachedAnswer } from './entry.ts';
import { BYPASS, EXPIRED, HIT, MISS, REVALIDATED, STALE, UPDATING } from './plan.ts';

/** Places of counters, by status as `plan.ts` numbers them. */
const PLACES: Readonly<Record<number, number>> = {
  [MISS]: FETCHED.miss,
  [BYPASS]: FETCHED.bypass,
  [EXPIRED]: FETCHED.expired,
  [STALE]: FROM_CACHE.stale,
  [UPDATING]: FROM_CACHE.updating,
  [REVALIDATED]: FROM_CACHE.revalidated,
  [HIT]: FROM_CACHE.hit,
};

/** Of one cache in one worker. */
const MEMORY = 16 * 1024 * 1024;
const MOST_ANSWERS = 8192;
const MOST_FILES = 256;

export class CacheZone {
  readonly config: CacheZoneConfig;
  readonly store: CacheStore;
  /** By name; least recently used first. */
  readonly #answers = new Map<string, CachedAnswer>();
  #memory = 0;
  #files = 0;
  /** Requests that wait for another one of this worker, by key in hexadecimal. */
  readonly #waiting = new Map<string, Set<() => void>>();

  constructor(config: CacheZoneConfig, memory: SharedArrayBuffer, workerId: number, log: StoreLog) {
    this.config = config;
    this.store = new CacheStore(memory, workerId, config, log);
  }

  /**
   * The answer that is remembered under a name, if it is still the key's.
   *
   * @param name the key in words, or what tells a variant
   */
  remembered(name: string, nowSec: number): CachedAnswer | null {
    const answer = this.#answers.get(name);
    if (answer === undefined) return null;
    if (!this.store.keys.current(answer.node, answer.version)) {
      this.#forget(name, answer);
      return null;
    }
    if (answer.checkedSec === nowSec) return answer;
    answer.checkedSec = nowSec;
    if (!this.#stillThere(answer, nowSec)) {
      this.#forget(name, answer);
      return null;
    }
    this.#answers.delete(name);
    this.#answers.set(name, answer);
    return answer;
  }

  #stillThere(answer: CachedAnswer, nowSec: number): boolean {
    const { keys } = this.store;
    if (!keys.touch(answer.node, answer.version, nowSec)) return false;
    let inode = -1;
    try {
      inode = statSync(answer.path, { throwIfNoEntry: false })?.ino ?? -1;
    } catch {
      // A directory on the way cannot be read any more: neither can the file.
    }
    if (inode === answer.inode) return true;
    keys.forget(answer.key, answer.version);
    return false;
  }

  /** Reads the answer of a key from its file and remembers it. @returns null: there is none */
  open(name: string, key: Buffer, text: string): CachedAnswer | null {
    const entry = this.store.read(key, text);
    if (entry === null) return null;
    const answer = CachedAnswer.of(key, entry);
    if (answer === null) this.store.unlink(key);
    return answer;
  }

  /** @param node and version: of the key, as of when the file was opened */
  remember(name: string, answer: CachedAnswer, node: number, version: number, nowSec: number): void {
    answer.node = node;
    answer.version = version;
    answer.checkedSec = nowSec;
    const before = this.#answers.get(name);
    if (before !== undefined) this.#forget(name, before);
    this.#answers.set(name, answer);
    this.#memory += answer.weight;
    if (answer.open) this.#files++;
    for (const [oldest, old] of this.#answers) {
      const full = this.#memory > MEMORY || this.#answers.size > MOST_ANSWERS || this.#files > MOST_FILES;
      if (!full || old === answer) break;
      this.#forget(oldest, old);
    }
  }

  #forget(name: string, answer: CachedAnswer): void {
    this.#answers.delete(name);
    this.#memory -= answer.weight;
    if (answer.open) this.#files--;
    answer.drop();
  }

  /** Removes a key's answer. @returns whether there was one; `variants`: there may be others of the same key */
  purge(key: Buffer, name: string): boolean | 'variants' {
    const entry = this.store.read(key, name);
    if (entry !== null && entry.fd >= 0) closeSync(entry.fd);
    const remembered = this.#answers.get(name);
    if (remembered !== undefined) this.#forget(name, remembered);
    const had = this.store.remove(key);
    return entry !== null && entry.header.vary !== '' ? 'variants' : had || entry !== null;
  }

  /** Files and memory are given back: nobody looks anything up any more. */
  close(): void {
    for (const [name, answer] of this.#answers) this.#forget(name, answer);
  }

  // ------------------------------------------------------------------------------------ counting

  /** An answer was sent from the cache. @param status how @param bytes of its body */
  countServed(status: number, bytes: number): void {
    const { keys } = this.store;
    const at = PLACES[status]!;
    keys.count(at, 1);
    keys.count(at + 1, bytes);
  }

  /** A fetch is over; what was served from the cache after all is counted already. @param written bytes of its file, or 0 */
  countFetched(status: number, bytes: number, written: number): void {
    if (status !== MISS && status !== EXPIRED && status !== BYPASS) return;
    this.countServed(status, bytes);
    if (written === 0) return;
    const { keys } = this.store;
    const at = PLACES[status]!;
    keys.count(at + 2, 1);
    keys.count(at + 3, written);
  }

  // ------------------------------------------------------------------------------------ waiting

  wait(key: Buffer, wake: () => void): void {
    const name = key.toString('hex');
    const set = this.#waiting.get(name);
    if (set === undefined) this.#waiting.set(name, new Set([wake]));
    else set.add(wake);
  }

  stopWaiting(key: Buffer, wake: () => void): void {
    const name = key.toString('hex');
    const set = this.#waiting.get(name);
    set?.delete(wake);
    if (set?.size === 0) this.#waiting.delete(name);
  }

  /** What others waited for has come, or will not. */
  wake(key: Buffer): void {
    if (this.#waiting.size === 0) return;
    const name = key.toString('hex');
    const set = this.#waiting.get(name);
    if (set === undefined) return;
    this.#waiting.delete(name);
    for (const wake of set) setImmediate(wake);
  }
}
