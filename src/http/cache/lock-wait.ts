/** Waiting for another request to update a key (proxy_cache_lock), in this worker or another one. */
import type { Buffer } from 'node:buffer';
import { clock } from '../../net/clock.ts';
import { Timer } from '../../net/timers.ts';
import type { CacheZone } from './zone.ts';

/** Those who wait for another worker's update look every so often. */
const LOOK_MS = 60;

export class LockWait {
  readonly #zone: CacheZone;
  readonly #done: (timedOut: boolean) => void;
  readonly #timer = new Timer(() => this.#look());
  #key: Buffer;
  #until = 0;

  /** @param done the update is over, or the time is */
  constructor(zone: CacheZone, key: Buffer, done: (timedOut: boolean) => void) {
    this.#zone = zone;
    this.#key = key;
    this.#done = done;
  }

  /** @param patienceMs counts from the first call on */
  start(key: Buffer, patienceMs: number): void {
    this.#key = key;
    if (this.#until === 0) this.#until = clock.now + patienceMs;
    this.#again();
  }

  #again(): void {
    this.#zone.wait(this.#key, this.#wake);
    this.#timer.arm(LOOK_MS);
  }

  readonly #wake = (): void => {
    if (!this.#timer.armed) return;
    clock.update();
    this.#look();
  };

  #look(): void {
    const timedOut = clock.now >= this.#until;
    if (!timedOut && this.#zone.store.keys.claimed(this.#key, clock.wall)) {
      this.#again();
      return;
    }
    this.stop();
    this.#done(timedOut);
  }

  stop(): void {
    this.#timer.drop();
    this.#zone.stopWaiting(this.#key, this.#wake);
  }
}
