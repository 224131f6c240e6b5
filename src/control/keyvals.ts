/**
 * The zones of `keyval_zone` in the main thread: their memory over reloads, changes by the API, what has ended, and files of
 * their state. Loaded when a configuration has such zones.
 */
import { formatKeyvalPair, formatKeyvalState } from '../config/keyval-state.ts';
import type { Config } from '../config/model.ts';
import type { KeyvalZoneConfig } from '../config/model-variables.ts';
import { createKeyvalZone, DONE, FULL, INVALID, KeyvalStore, MISSING } from '../keyval/store.ts';
import type { End, Pair } from '../keyval/store.ts';
import { describeError } from '../observe/errno.ts';
import type { ErrorLog } from '../observe/error-log.ts';
import { runSliced } from '../shared/slices.ts';
import { type Generation, keyvalZonesOf } from './generations.ts';
import type { Door } from './groups.ts';
import { ConfigRefused } from './load-config.ts';
import { StateFile } from './state-file.ts';

/** The main thread is worker -1 of shared tables. */
const MAIN_THREAD = -1;
/** So often what has ended is given back, and what `set` has changed is written down. */
const ROUND_MS = 1000;
/** A file that takes long to make is not made more often than this many times that long. */
const REST = 20;
/** A file that could not be written is tried again after this time. */
const RETRY_MS = 10_000;

/** A change that could not be made; `code` is stable, as the API has it. */
export class KeyvalError extends Error {
  readonly code: string;

  constructor(code: string, text: string) {
    super(text);
    this.code = code;
  }
}

/** A change of a pair. Keys and values are byte strings. */
export interface KeyvalChange {
  key: string;
  /** Undefined: as it is. */
  value?: string;
  /** Milliseconds from now, instead of the zone's timeout. */
  expireMs?: number;
}

/** A zone that runs: what changes it from here goes through this. */
export class ManagedKeyval {
  readonly config: KeyvalZoneConfig;
  readonly door: Door;
  readonly store: KeyvalStore;
  /** @internal */
  readonly state: StateFile | null;
  readonly #memory: SharedArrayBuffer;
  readonly #log: ErrorLog;
  /** The version that the file has, or that is being written. */
  #written: number;
  #restUntil = 0;
  /** A round is under way. */
  #rounds = false;
  /** The write that began last. */
  #writing: Promise<void> = Promise.resolve();

  constructor(
    config: KeyvalZoneConfig,
    door: Door,
    memory: SharedArrayBuffer,
    before: ManagedKeyval | null,
    state: StateFile | null,
    log: ErrorLog,
  ) {
    this.config = config;
    this.door = door;
    this.#memory = memory;
    this.#log = log;
    this.state = state;
    const same = before !== null && before.#memory === memory;
    this.store = same ? before.store : new KeyvalStore(memory, MAIN_THREAD);
    // What another zone has left, or no file, is to be written; what a file has brought is in the file.
    this.#written = same && before.state === state ? before.#written : this.store.version - (before === null ? 0 : 1);
    if (same && before.config.timeoutMs !== config.timeoutMs) this.store.forgetOrder();
  }

  /** @returns the value of a pair; null: there is none */
  get(key: string): string | null {
    return this.store.exact(key, Date.now());
  }

  /** All pairs, some at a time; keys and values are byte strings. */
  pieces(): Generator<Pair[], void> {
    return this.store.pieces(Date.now());
  }

  /**
   * Adds pairs: one, or, to an empty zone, as many as there are.
   * @throws {KeyvalError} of the first one that cannot be added; those before it are taken back
   */
  async add(changes: readonly KeyvalChange[]): Promise<void> {
    const now = Date.now();
    if (changes.length > 1 && !this.store.isEmpty(now)) {
      throw new KeyvalError('KeyvalFormatError', 'only one key can be added');
    }
    const ends = changes.map((change) => this.#end(change, now));
    for (const [i, { key, value = '' }] of changes.entries()) {
      const result = this.store.add(key, value, ends[i]!, now);
      if (result === DONE) continue;
      for (const { key: earlier } of changes.slice(0, i)) this.store.remove(earlier, now);
      throw this.#fault(result, key);
    }
    await this.#done();
  }

  /** Changes a pair that is there. @throws {KeyvalError} */
  async change(change: KeyvalChange): Promise<void> {
    const now = Date.now();
    const { key, value = null } = change;
    const result = this.store.change(key, value, this.#end(change, now), now);
    if (result !== DONE) throw this.#fault(result, key);
    await this.#done();
  }

  /** @throws {KeyvalError} */
  async remove(key: string): Promise<void> {
    if (this.store.remove(key, Date.now()) !== DONE) throw this.#fault(MISSING, key);
    await this.#done();
  }

  /** Removes all pairs. @throws {KeyvalError} only of the state file */
  async clear(): Promise<void> {
    this.store.clear();
    await this.#done();
  }

  /** What has ended goes; what requests have changed is written. */
  async round(): Promise<void> {
    if (this.#rounds) return;
    this.#rounds = true;
    try {
      await runSliced(this.store.sweep(Date.now()));
    } finally {
      this.#rounds = false;
    }
    if (this.state === null || this.store.version === this.#written || performance.now() < this.#restUntil) return;
    try {
      await this.#write();
    } catch (error) {
      this.#log.alert(`state file "${this.state.path}" could not be written: ${describeError(error)}`);
    }
  }

  /** Writes what is not written yet. */
  async flush(): Promise<void> {
    await this.#writing.catch(() => {});
    if (this.state === null || this.store.version === this.#written) return;
    await this.#write();
  }

  #end({ expireMs }: KeyvalChange, now: number): End {
    const { timeoutMs } = this.config;
    if (expireMs === undefined) return { at: timeoutMs === 0 ? 0 : now + timeoutMs, own: false };
    if (timeoutMs === 0) throw new KeyvalError('KeyvalFormatError', 'keyval timeout is not enabled');
    return { at: now + expireMs, own: true };
  }

  #fault(result: number, key: string): KeyvalError {
    const shown = Buffer.from(key, 'latin1').toString();
    const { name } = this.config;
    if (result === MISSING) return new KeyvalError('KeyvalKeyNotFound', `key "${shown}" not found`);
    if (result === FULL) {
      const text = `no room for key "${shown}" in keyval zone "${name}": its size may be larger`;
      return new KeyvalError('KeyvalOutOfMemory', text);
    }
    if (result === INVALID) {
      const why = key === '' ? 'key required' : `invalid key format: "${shown}" is neither an address nor a network`;
      return new KeyvalError('KeyvalFormatError', why);
    }
    return new KeyvalError('KeyvalKeyExists', `key "${shown}" already exists`);
  }

  async #done(): Promise<void> {
    if (this.state === null) return;
    try {
      await this.#write();
    } catch (error) {
      const text = `state file "${this.state.path}" could not be written: ${(error as Error).message}`;
      throw new KeyvalError('StateNotWritten', `${text}; the change is in effect, and writing will be tried again`);
    }
  }

  #write(): Promise<void> {
    this.#writing = this.#replaceFile();
    return this.#writing;
  }

  async #replaceFile(): Promise<void> {
    let version = 0;
    const text = async (): Promise<string> => {
      // The version first: what changes meanwhile is written again.
      version = this.#written = this.store.version;
      const lines: string[] = [];
      let busyMs = 0;
      const steps = function* (pieces: Iterable<Pair[]>): Generator<void> {
        let begun = performance.now();
        for (const pairs of pieces) {
          for (const pair of pairs) lines.push(formatKeyvalPair(pair));
          busyMs += performance.now() - begun;
          yield;
          begun = performance.now();
        }
      };
      await runSliced(steps(this.pieces()));
      this.#restUntil = performance.now() + REST * busyMs;
      return formatKeyvalState(lines);
    };
    try {
      await this.state!.write(text);
    } catch (error) {
      // A later round tries again.
      if (this.#written === version) this.#written = version - 1;
      this.#restUntil = performance.now() + RETRY_MS;
      throw error;
    }
  }
}

export class KeyvalZones {
  readonly #log: ErrorLog;
  #zones = new Map<string, ManagedKeyval>();
  #timer: NodeJS.Timeout | null = null;

  constructor(log: ErrorLog) {
    this.#log = log;
  }

  /**
   * Memory for the zones of a configuration. One that runs goes on; with another size or type its pairs come along. Others
   * begin with what their state files hold.
   *
   * @param before null: nothing runs, or nothing that has room for the workers
   * @throws {ConfigRefused} if a zone has no room for its pairs
   */
  memory(config: Config, before: Generation | null, maxWorkers: number): Record<string, SharedArrayBuffer> {
    const memory: Record<string, SharedArrayBuffer> = {};
    const known = new Map(before === null ? [] : keyvalZonesOf(before.config).map((zone) => [zone.name, zone]));
    for (const zone of keyvalZonesOf(config)) {
      const old = known.get(zone.name);
      const running = before?.data.keyvalZones[zone.name];
      const same = old !== undefined && running !== undefined && old.size === zone.size && old.type === zone.type;
      memory[zone.name] = same ? running : this.#make(zone, maxWorkers);
    }
    return memory;
  }

  #make(zone: KeyvalZoneConfig, maxWorkers: number): SharedArrayBuffer {
    const made = create(zone, maxWorkers);
    const store = new KeyvalStore(made, MAIN_THREAD);
    const now = Date.now();
    const running = this.#zones.get(zone.name);
    const pairs = running === undefined ? zone.records : running.store.pairs(now);
    for (const { key, value, end } of pairs) {
      if (end !== 0 && end <= now) continue;
      const result = store.set(key, value, { at: end, own: true }, now);
      if (result === DONE) continue;
      const source = running === undefined ? `its state file "${zone.stateFile}"` : 'the zone that runs';
      const why = result === FULL ? 'is too small for' : `of type "${zone.type}" cannot have key "${key}", one of`;
      throw new ConfigRefused([`keyval_zone "${zone.name}" ${why} the ${pairs.length} pairs of ${source}`]);
    }
    return made;
  }

  /** From now on it is about the zones of this generation. */
  follow({ config, data }: Generation): void {
    const before = this.#zones;
    this.#zones = new Map();
    for (const door of ['http', 'stream'] as const) {
      for (const zone of config[door]?.keyvalZones ?? []) {
        const old = before.get(zone.name) ?? null;
        const memory = data.keyvalZones[zone.name]!;
        // They are in memory now.
        zone.records = [];
        this.#zones.set(zone.name, new ManagedKeyval(zone, door, memory, old, stateOf(zone, before), this.#log));
      }
    }
    if (this.#zones.size === 0 && this.#timer !== null) clearInterval(this.#timer);
    if (this.#zones.size === 0) this.#timer = null;
    else this.#timer ??= setInterval(() => this.#round(), ROUND_MS).unref();
  }

  /** Zones of http or stream, in the configuration's order. */
  list(door: Door): ManagedKeyval[] {
    return [...this.#zones.values()].filter((zone) => zone.door === door);
  }

  get(door: Door, name: string): ManagedKeyval | null {
    const zone = this.#zones.get(name);
    return zone?.door === door ? zone : null;
  }

  /** The process ends: what is not written yet is written. */
  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    for (const zone of this.#zones.values()) {
      try {
        await zone.flush();
      } catch (error) {
        this.#log.alert(`state file "${zone.state!.path}" could not be written: ${describeError(error)}`);
      }
    }
  }

  #round(): void {
    for (const zone of this.#zones.values()) void zone.round();
  }
}

/** @throws {ConfigRefused} */
function create({ name, size, type }: KeyvalZoneConfig, maxWorkers: number): SharedArrayBuffer {
  try {
    return createKeyvalZone(size, type, maxWorkers);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ConfigRefused([`keyval_zone "${name}": there is no memory for its size of ${size} bytes`]);
  }
}

/** One file has one writer: a write may be under way. */
function stateOf({ stateFile }: KeyvalZoneConfig, before: ReadonlyMap<string, ManagedKeyval>): StateFile | null {
  if (stateFile === null) return null;
  for (const { state } of before.values()) if (state?.path === stateFile) return state;
  return new StateFile(stateFile);
}
