/**
 * What a store that is elsewhere held last, in a file of this machine: a node that starts while the database is away
 * carries traffic by it. There are private keys in it: it is for its owner alone.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Entities, Snapshot } from './store.ts';

/** Changes that come together are written together. */
const DELAY_MS = 5000;

export class LastKnown {
  readonly #file: string;
  readonly #place: string;
  #timer: NodeJS.Timeout | null = null;
  /** What has not been written; null: nothing. */
  #pending: (() => Entities) | null = null;
  readonly #failed: (error: unknown) => void;
  #told = false;

  /**
   * @param place of the store: what another one held is not meant
   * @param failed told once when it cannot be written
   */
  constructor(dataDir: string, place: string, failed: (error: unknown) => void) {
    this.#file = join(dataDir, 'last-known.json');
    this.#place = place;
    this.#failed = failed;
  }

  /** Null: there is nothing, or nothing of this store. Its revision is before all others: what came since is to be told whole. */
  read(): Snapshot | null {
    try {
      const { place, entities } = JSON.parse(readFileSync(this.#file, 'utf8')) as { place: string; entities: Entities };
      return place === this.#place ? { revision: -1, entities } : null;
    } catch {
      return null;
    }
  }

  /** Will be written some time after this, or at the end. @param entities asked for then */
  note(entities: () => Entities): void {
    this.#pending = entities;
    this.#timer ??= setTimeout(() => this.flush(), DELAY_MS).unref();
  }

  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const entities = this.#pending?.();
    this.#pending = null;
    if (entities === undefined) return;
    try {
      mkdirSync(dirname(this.#file), { recursive: true, mode: 0o700 });
      const fresh = `${this.#file}.new`;
      writeFileSync(fresh, JSON.stringify({ place: this.#place, entities }), { mode: 0o600 });
      renameSync(fresh, this.#file);
      this.#told = false;
    } catch (error) {
      // A full disk: the next change tries again, and until then the file says what was known before.
      if (!this.#told) this.#failed(error);
      this.#told = true;
    }
  }
}
