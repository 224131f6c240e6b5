/**
 * Finds the files that a cache had before: walks its directory in pieces and puts their keys into the zone. Entries in
 * other directories than `levels` says are removed, for nobody would find them, as are temporary files of a run that
 * ended. Files with names that no cache gives are left alone: a path may have been mistyped.
 */
import { opendir, stat, unlink } from 'node:fs/promises';
import { Buffer } from 'node:buffer';
import { join } from 'node:path';
import { failedText } from '../observe/errno.ts';
import type { KeysZone } from './keys-zone.ts';
import { kindOfFile } from './paths.ts';

export interface LoaderConfig {
  dir: string;
  /** Files in one go, pause after it, longest time of one go. */
  loaderFiles: number;
  loaderSleepMs: number;
  loaderThresholdMs: number;
}

export interface LoaderEnv {
  pathOf(key: Buffer): string;
  blocksOf(size: number): number;
  /** Seconds since the epoch. */
  nowSec(): number;
  /** Waits; the loader goes on when it ends. */
  sleep(ms: number): Promise<void>;
  stopped(): boolean;
  log(level: 'notice' | 'crit', message: string): void;
}

/** Temporary files that are older were left behind; others may be on their way. Seconds. */
const LEFT_BEHIND_SEC = 3600;

export class Loader {
  readonly #keys: KeysZone;
  readonly #config: LoaderConfig;
  readonly #env: LoaderEnv;
  #files = 0;
  #since = 0;

  constructor(keys: KeysZone, config: LoaderConfig, env: LoaderEnv) {
    this.#keys = keys;
    this.#config = config;
    this.#env = env;
  }

  /** @returns once all files are known, or it was stopped */
  async run(): Promise<void> {
    this.#since = performance.now();
    await this.#walk(this.#config.dir, 0);
    if (!this.#env.stopped()) this.#keys.cold = false;
  }

  async #walk(dir: string, depth: number): Promise<void> {
    let entries;
    try {
      entries = await opendir(dir);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        this.#env.log('crit', failedText(`opendir() "${dir}"`, error));
      }
      return;
    }
    for await (const entry of entries) {
      if (this.#env.stopped()) return;
      const path = join(dir, entry.name);
      if (entry.isDirectory()) {
        if (depth < 3 && entry.name !== 'temp') await this.#walk(path, depth + 1);
      } else {
        await this.#file(path, entry.name);
        await this.#rest();
      }
    }
  }

  async #file(path: string, name: string): Promise<void> {
    const kind = kindOfFile(name);
    try {
      const stats = await stat(path);
      if (kind === 'foreign' || !stats.isFile()) return;
      const key = Buffer.from(name.slice(0, 32), 'hex');
      if (kind === 'entry' && this.#env.pathOf(key) === path) {
        this.#keys.adopt(key, this.#env.blocksOf(stats.size), this.#env.nowSec());
        return;
      }
      if (kind === 'temporary' && stats.mtimeMs / 1000 > this.#env.nowSec() - LEFT_BEHIND_SEC) return;
      await unlink(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      this.#env.log('crit', failedText(`cache loader: stat() or unlink() "${path}"`, error));
    }
  }

  async #rest(): Promise<void> {
    this.#files++;
    const { loaderFiles, loaderSleepMs, loaderThresholdMs } = this.#config;
    if (this.#files < loaderFiles && performance.now() - this.#since < loaderThresholdMs) return;
    await this.#env.sleep(loaderSleepMs);
    this.#files = 0;
    this.#since = performance.now();
  }
}
