/**
 * Rings between threads: a request that waits in one worker has its turn because of what happened in another, or because
 * the main thread has changed a group.
 *
 * One broadcast channel a process: measured 50 microseconds from ring to wake-up on an idle worker. (`Atomics.waitAsync`
 * does not wake a Node worker that sits in its event loop.)
 */
import { BroadcastChannel } from 'node:worker_threads';
import { clock } from '../net/clock.ts';

const CHANNEL = 'headrace bells';
/** For all workers: look for yourselves. */
const ALL = -1;
/** Peers come back by time alone; nobody rings then. */
const POLL_MS = 50;

/** What can wait: `upstream/`'s groups. */
export interface Waiters {
  readonly waiters: number;
  wake(): void;
  poll(): void;
}

export class Bells {
  readonly #workerId: number;
  readonly #groups = new Set<Waiters>();
  #channel: BroadcastChannel | null = null;
  #rungMyself = false;

  constructor(workerId: number) {
    this.#workerId = workerId;
  }

  /** The requests that wait in these groups are looked after until the returned function is called. */
  watch(groups: readonly Waiters[]): () => void {
    for (const group of groups) this.#groups.add(group);
    if (groups.length > 0) this.#open();
    return () => {
      for (const group of groups) this.#groups.delete(group);
    };
  }

  #open(): void {
    if (this.#channel !== null) return;
    this.#channel = new BroadcastChannel(CHANNEL);
    this.#channel.addEventListener('message', ({ data }) => {
      if (data === this.#workerId) this.#wake();
      else if (data === ALL) this.#poll();
    });
    this.#channel.unref();
    setInterval(() => this.#poll(), POLL_MS).unref();
  }

  /** Wakes a worker, this one too; never during the call. */
  readonly ring = (workerId: number): void => {
    if (workerId !== this.#workerId) {
      this.#channel?.postMessage(workerId);
    } else if (!this.#rungMyself) {
      this.#rungMyself = true;
      setImmediate(this.#mine);
    }
  };

  readonly #mine = (): void => {
    this.#rungMyself = false;
    this.#wake();
  };

  #wake(): void {
    clock.update();
    for (const group of this.#groups) group.wake();
  }

  #poll(): void {
    clock.update();
    for (const group of this.#groups) if (group.waiters > 0) group.poll();
  }
}

/** The main thread's side: it has changed groups, and whoever waits may have somewhere to go now. */
export class MainBell {
  #channel: BroadcastChannel | null = null;

  announce(): void {
    this.#channel ??= new BroadcastChannel(CHANNEL).unref();
    this.#channel.postMessage(ALL);
  }

  close(): void {
    this.#channel?.close();
  }
}
