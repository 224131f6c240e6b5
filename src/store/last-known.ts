/**
 * What a store that is elsewhere held last, in a file of this machine: a node that starts while the database is away
 * carries traffic by it. There are private keys in it: it is for its owner alone.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runSliced } from '../shared/slices.ts';
import type { Entities, Snapshot } from './store.ts';

/** Changes that come together are written together. */
const DELAY_MS = 5000;

const FOR_OWNER = { mode: 0o600 };

/** Characters that are written at a time. */
const PART = 64 * 1024;

/** The file's text, in steps. @param parts it is put in here */
function* textOf(place: string, entities: Entities, parts: string[]): Generator<void, void> {
  let text = `{"place":${JSON.stringify(place)},"entities":{`;
  let comma = '';
  for (const [kind, list] of Object.entries(entities)) {
    text += `${comma}${JSON.stringify(kind)}:[`;
    comma = '';
    for (const entity of list) {
      text += comma + JSON.stringify(entity);
      comma = ',';
      if (text.length > PART) {
        parts.push(text);
        text = '';
      }
      yield;
    }
    text += ']';
    comma = ',';
  }
  parts.push(`${text}}}`);
}

export class LastKnown {
  readonly #file: string;
  readonly #place: string;
  readonly #delayMs: number;
  #timer: NodeJS.Timeout | null = null;
  /** What has not been written; null: nothing. */
  #pending: (() => Entities) | null = null;
  readonly #failed: (error: unknown) => void;
  #told = false;
  /** Counts up when something is written: what was begun before is given up. */
  #run = 0;

  /**
   * @param place of the store: what another one held is not meant
   * @param failed told once when it cannot be written
   */
  constructor(dataDir: string, place: string, failed: (error: unknown) => void, delayMs: number = DELAY_MS) {
    this.#delayMs = delayMs;
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
    this.#timer ??= setTimeout(() => void this.#write(), this.#delayMs).unref();
  }

  /** Writes what was noted, at once: nothing comes after this. */
  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#run++;
    const entities = this.#pending?.();
    this.#pending = null;
    if (entities === undefined) return;
    try {
      this.#makeDirectory();
      // not the file that may be being written
      const last = `${this.#file}.last`;
      writeFileSync(last, JSON.stringify({ place: this.#place, entities }), FOR_OWNER);
      renameSync(last, this.#file);
      this.#told = false;
    } catch (error) {
      this.#tell(error);
    }
  }

  /** Writes what was noted while the thread does other things: there may be tens of thousands of entities. */
  async #write(): Promise<void> {
    this.#timer = null;
    const noted = this.#pending;
    if (noted === null) return;
    const run = ++this.#run;
    const goOn = (): boolean => run === this.#run;
    try {
      const parts: string[] = [];
      await runSliced(textOf(this.#place, noted(), parts), goOn);
      if (!goOn()) return;
      this.#makeDirectory();
      const fresh = `${this.#file}.new`;
      await writeFile(fresh, parts, FOR_OWNER);
      if (!goOn()) return;
      renameSync(fresh, this.#file);
      if (this.#pending === noted) this.#pending = null;
      this.#told = false;
    } catch (error) {
      this.#tell(error);
    }
  }

  #makeDirectory(): void {
    mkdirSync(dirname(this.#file), { recursive: true, mode: 0o700 });
  }

  /** A full disk: the next change tries again, and until then the file says what was known before. */
  #tell(error: unknown): void {
    if (!this.#told) this.#failed(error);
    this.#told = true;
  }
}
