/**
 * Keeps a cache within its limits: what was not used for `inactive` goes, and what was not used for longest goes while
 * `max_size`, `min_free` or the zone's watermark is passed. Works in pieces; says when it wants to work again.
 */
import type { Buffer } from 'node:buffer';
import type { KeysZone } from './keys-zone.ts';

export interface ManagerConfig {
  inactiveSec: number;
  /** Bytes; Infinity: no limit. */
  maxSize: number;
  /** Bytes that are to stay free on the file system; 0: no matter. */
  minFree: number;
  /** Files in one go, pause after it, longest time of one go. */
  managerFiles: number;
  managerSleepMs: number;
  managerThresholdMs: number;
}

export interface ManagerEnv {
  blockSize: number;
  nowSec(): number;
  nowMs(): number;
  /** Removes the file of a key. */
  unlink(key: Buffer): void;
  /** Free bytes of the file system. */
  free(): number;
}

/** The longest pause when there is nothing to do. */
const IDLE_SEC = 10;

export class Manager {
  readonly #keys: KeysZone;
  readonly #config: ManagerConfig;
  readonly #env: ManagerEnv;
  /** The last piece was not all that there is to do: others have their turn for `managerSleepMs`. */
  paced = false;

  constructor(keys: KeysZone, config: ManagerConfig, env: ManagerEnv) {
    this.#keys = keys;
    this.#config = config;
    this.#env = env;
  }

  /** Does one piece of work. @returns milliseconds until the next one */
  run(): number {
    const { managerFiles, managerSleepMs, managerThresholdMs, inactiveSec } = this.#config;
    const env = this.#env;
    const began = env.nowMs();
    const inactive = env.nowSec() - inactiveSec;
    this.paced = true;
    for (let files = 0; ; files++) {
      if (files >= managerFiles || (files > 0 && env.nowMs() - began >= managerThresholdMs)) return managerSleepMs;
      const full = this.#full();
      const evicted = this.#keys.evict(full ? env.nowSec() : inactive);
      if (evicted === null) break;
      if (evicted.file) env.unlink(evicted.key);
    }
    this.paced = false;
    const next = this.#keys.oldestUse + inactiveSec - env.nowSec();
    return Math.min(IDLE_SEC, Math.max(1, next)) * 1000;
  }

  #full(): boolean {
    const { maxSize, minFree } = this.#config;
    const keys = this.#keys;
    // nginx's comparisons: a cache of exactly max_size is too large, unless it is empty.
    if (keys.size === 0) return false;
    if (keys.blocks >= maxSize / this.#env.blockSize && keys.blocks > 0) return true;
    if (keys.size >= keys.watermark) return true;
    return minFree > 0 && this.#env.free() <= minFree;
  }
}
