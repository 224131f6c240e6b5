/**
 * Follows a store: first everything, then each change, in order, one at a time. While the store is away nothing is
 * told, and all that was missed when it is back.
 */
import type { KongMark } from '../config/kong/model.ts';
import { type Change, type Snapshot, type Stop, type Store, StoreUnavailable } from './store.ts';

const RETRY_MS = 1000;

export interface Follower {
  /** At start, and when changes are too many or too old to be told one by one. */
  snapshot(snapshot: Snapshot): void | Promise<void>;
  changes(changes: Change[], marks: KongMark[], revision: number): void | Promise<void>;
  /** The store has gone away, or (null) is back. Told once each time. */
  trouble(error: Error | null): void;
}

export class Feed {
  readonly #store: Store;
  readonly #follower: Follower;
  #revision = -1;
  #stop: Stop | null = null;
  #retry: NodeJS.Timeout | null = null;
  #reading = false;
  #again = false;
  #away = false;
  #waiting: { revision: number; done: () => void }[] = [];

  private constructor(store: Store, follower: Follower) {
    this.#store = store;
    this.#follower = follower;
  }

  /**
   * Returns when the snapshot was told.
   *
   * @param known what the store held last: told instead while it cannot be read; null: that is an error
   * @throws {StoreUnavailable} the store cannot be read now
   */
  static async start(store: Store, follower: Follower, known: Snapshot | null = null): Promise<Feed> {
    const feed = new Feed(store, follower);
    try {
      await feed.#tellAll();
    } catch (error) {
      if (known === null || !(error instanceof StoreUnavailable)) throw error;
      feed.#away = true;
      follower.trouble(error);
      await follower.snapshot(known);
    }
    feed.#stop = store.watch(() => feed.#wake());
    feed.#wake();
    return feed;
  }

  /** What the follower has been told of. */
  get revision(): number {
    return this.#revision;
  }

  /** Waits until the follower was told of a revision, but no longer than some time. */
  async reached(revision: number, patienceMs: number): Promise<boolean> {
    if (this.#revision >= revision) return true;
    return new Promise((resolve) => {
      const waiting = {
        revision,
        done: () => {
          clearTimeout(timer);
          resolve(true);
        },
      };
      const timer = setTimeout(() => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
        resolve(false);
      }, patienceMs);
      this.#waiting.push(waiting);
    });
  }

  stop(): void {
    this.#stop?.();
    this.#stop = null;
    if (this.#retry !== null) clearTimeout(this.#retry);
    for (const { done } of this.#waiting.splice(0)) done();
  }

  #wake(): void {
    this.#again = true;
    if (!this.#reading) void this.#read();
  }

  async #read(): Promise<void> {
    this.#reading = true;
    while (this.#again && this.#stop !== null) {
      this.#again = false;
      try {
        await this.#tellChanges();
        if (this.#away) this.#follower.trouble(null);
        this.#away = false;
      } catch (error) {
        if (this.#stop === null) break;
        if (!this.#away) this.#follower.trouble(error instanceof Error ? error : new Error(String(error)));
        this.#away = true;
        if (this.#retry !== null) clearTimeout(this.#retry);
        this.#retry = setTimeout(() => this.#wake(), RETRY_MS).unref();
      }
    }
    this.#reading = false;
  }

  async #tellChanges(): Promise<void> {
    const { revision, changes, marks } = await this.#store.changes(this.#revision);
    if (changes === null) return this.#tellAll();
    if (revision === this.#revision) return;
    await this.#follower.changes(changes, marks, revision);
    this.#reachedNow(revision);
  }

  async #tellAll(): Promise<void> {
    const snapshot = await this.#store.snapshot();
    await this.#follower.snapshot(snapshot);
    this.#reachedNow(snapshot.revision);
  }

  #reachedNow(revision: number): void {
    this.#revision = revision;
    const due = this.#waiting.filter((waiting) => waiting.revision <= revision);
    this.#waiting = this.#waiting.filter((waiting) => waiting.revision > revision);
    for (const { done } of due) done();
  }
}
