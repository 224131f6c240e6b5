/**
 * Keeps the caches of the running configuration in order, as nginx's loader and manager processes do: finds the files of
 * a run before, removes what is inactive and what is too much. One for each cache, in pieces, with pauses.
 */
import { statfsSync } from 'node:fs';
import { Loader } from '../cache/loader.ts';
import { Manager } from '../cache/manager.ts';
import { CacheStore } from '../cache/store.ts';
import type { CacheZoneConfig } from '../config/cache-model.ts';
import { describeError } from '../observe/errno.ts';
import type { ErrorLog } from '../observe/error-log.ts';
import type { Generation } from './generations.ts';

/** The main thread is worker -1 of shared tables. */
const MAIN_THREAD = -1;
/** nginx's: who has just started has other things to do first. */
const LOADER_DELAY_MS = 200;
/** So often the manager looks whether there is something to do, at least. */
const LONGEST_MS = 1000;

const nowSec = (): number => Math.floor(Date.now() / 1000);

/** A cache that is looked after. */
class Keeper {
  readonly #config: CacheZoneConfig;
  readonly #zone: SharedArrayBuffer;
  readonly #store: CacheStore;
  readonly #log: ErrorLog;
  readonly #manager: Manager;
  readonly #blockSize: number;
  readonly #timers = new Set<NodeJS.Timeout>();
  #stopped = false;

  constructor(config: CacheZoneConfig, zone: SharedArrayBuffer, log: ErrorLog) {
    this.#config = config;
    this.#zone = zone;
    this.#log = log;
    this.#store = new CacheStore(zone, MAIN_THREAD, config, (level, text) => log.write(level, text));
    this.#blockSize = this.#store.blockSize;
    const { files, sleepMs, thresholdMs } = config.manager;
    this.#manager = new Manager(
      this.#store.keys,
      {
        inactiveSec: config.inactiveSec,
        maxSize: config.maxSize ?? Infinity,
        minFree: config.minFree,
        managerFiles: files,
        managerSleepMs: sleepMs,
        managerThresholdMs: thresholdMs,
      },
      {
        blockSize: this.#blockSize,
        nowSec,
        nowMs: () => performance.now(),
        unlink: (key) => this.#store.unlink(key),
        free: () => freeBytes(config.dir),
      },
    );
  }

  start(): void {
    this.#later(() => this.#manage(), LONGEST_MS);
    if (this.#store.keys.cold) this.#later(() => void this.#load(), LOADER_DELAY_MS);
  }

  /** The same cache, memory included, under the same rules? */
  is(config: CacheZoneConfig, zone: SharedArrayBuffer): boolean {
    return this.#zone === zone && JSON.stringify(this.#config) === JSON.stringify(config);
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #later(work: () => void, ms: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#stopped) work();
    }, ms);
    timer.unref();
    this.#timers.add(timer);
  }

  #manage(): void {
    let next = LONGEST_MS;
    try {
      const wanted = this.#manager.run();
      next = this.#manager.paced ? wanted : Math.min(LONGEST_MS, wanted);
    } catch (error) {
      this.#log.alert(`cache manager of "${this.#config.name}": ${describeError(error)}`);
    }
    this.#later(() => this.#manage(), next);
  }

  async #load(): Promise<void> {
    const { loader, dir } = this.#config;
    const store = this.#store;
    const loads = new Loader(
      store.keys,
      { dir, loaderFiles: loader.files, loaderSleepMs: loader.sleepMs, loaderThresholdMs: loader.thresholdMs },
      {
        pathOf: (key) => store.pathOf(key),
        blocksOf: (size) => store.blocksOf(size),
        nowSec,
        sleep: (ms) => new Promise((resolve) => this.#later(resolve, ms)),
        stopped: () => this.#stopped,
        log: (level, message) => this.#log.write(level, message),
      },
    );
    try {
      await loads.run();
    } catch (error) {
      this.#log.alert(`cache loader of "${this.#config.name}": ${describeError(error)}`);
      return;
    }
    if (this.#stopped) return;
    const megabytes = ((store.keys.blocks * this.#blockSize) / (1024 * 1024)).toFixed(3);
    this.#log.notice(`http file cache: ${dir} ${megabytes}M, bsize: ${this.#blockSize}`);
  }
}

function freeBytes(dir: string): number {
  try {
    const { bavail, bsize } = statfsSync(dir);
    return bavail * bsize;
  } catch {
    return Infinity;
  }
}

export class Caching {
  readonly #log: ErrorLog;
  #keepers: Keeper[] = [];

  constructor(log: ErrorLog) {
    this.#log = log;
  }

  /** Looks after the caches of a configuration from now on, and of no other. */
  follow({ config, data }: Generation): void {
    const before = this.#keepers;
    this.#keepers = (config.http?.caches ?? []).map((cache) => {
      const zone = data.cacheZones[cache.name]!;
      const same = before.find((keeper) => keeper.is(cache, zone));
      if (same !== undefined) return same;
      const keeper = new Keeper(cache, zone, this.#log);
      keeper.start();
      return keeper;
    });
    for (const keeper of before) if (!this.#keepers.includes(keeper)) keeper.stop();
  }
}
