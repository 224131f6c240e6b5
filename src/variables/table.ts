/**
 * The variables of one generation. Names are looked up while a configuration is compiled; what requests and sessions run
 * are the functions found then. Values of `set`, of named groups and of cached variables stand in `vars`, by index.
 *
 * http and stream each derive a table of their own, with what they know of requests and sessions.
 */
import type { LogLevel, MapConfig, ValueText } from '../config/model.ts';
import type { GeoConfig, KeyvalConfig, SplitClientsConfig } from '../config/model-variables.ts';
import { parseValue } from '../config/value.ts';
import { clock } from '../net/clock.ts';
import type { VariableContext } from './context.ts';
import { defaultEnvironment } from './environment.ts';
import type { VariableEnvironment } from './environment.ts';
import { compileGeo } from './geo.ts';
import type { GeoSource } from './geo.ts';
import type { KeyvalVariable } from './keyval-source.ts';
import { compileMap } from './map.ts';
import { compileSplit } from './split-clients.ts';
import { commonLogTime, isoTime, seconds } from './times.ts';
import { compileParts, constantValue } from './value.ts';
import type { Getter, Value } from './value.ts';

/** Stores a variable's value. */
export type Setter<C extends VariableContext> = (c: C, value: string) => void;

export abstract class Variables<C extends VariableContext> {
  readonly environment: VariableEnvironment;
  readonly #builtin = new Map<string, Getter<C>>();
  readonly #maps = new Map<string, MapConfig>();
  readonly #geos = new Map<string, GeoConfig>();
  #addresses: Omit<GeoSource<C>, 'lookup'> | null = null;
  readonly #splits = new Map<string, SplitClientsConfig>();
  readonly #keyvals = new Map<string, KeyvalConfig>();
  readonly #setNames = new Set<string>();
  readonly #indexes = new Map<string, number>();
  readonly #getters = new Map<string, Getter<C>>();

  constructor(maps: readonly MapConfig[], environment: Partial<VariableEnvironment> = {}) {
    this.environment = { ...defaultEnvironment(), ...environment };
    // The last of two maps of one variable counts, as nginx overwrites the first.
    for (const map of maps) this.#maps.set(map.variable.toLowerCase(), map);
    this.define(processVariables(this.environment));
  }

  /**
   * Adds variables of `geo` and `split_clients`.
   * @param addresses tells the client's address
   */
  protected defineChosen(
    geos: readonly GeoConfig[],
    splits: readonly SplitClientsConfig[],
    addresses: Omit<GeoSource<C>, 'lookup'>,
  ): void {
    this.#addresses = addresses;
    for (const geo of geos) this.#geos.set(geo.variable, geo);
    for (const split of splits) this.#splits.set(split.variable, split);
  }

  /** Adds variables of `keyval`. */
  protected defineKeyvals(keyvals: readonly KeyvalConfig[] = []): void {
    for (const keyval of keyvals) this.#keyvals.set(keyval.variable, keyval);
  }

  /** Writes a line about a request or session into its error log. */
  abstract report(c: C, level: LogLevel, message: string): void;

  /** A variable of a family (`http_…`), or null. */
  protected abstract family(name: string): Getter<C> | null;

  /** Adds built-in variables. */
  protected define(getters: Readonly<Record<string, Getter<C>>>): void {
    for (const [name, getter] of Object.entries(getters)) this.#builtin.set(name, getter);
  }

  /** Notes that some `set` sets the variable. @param name in lower case */
  protected noteSet(name: string): void {
    this.#setNames.add(name);
  }

  /** Compiles a value. @throws {TypeError} if it is malformed, which the configuration's check would have told */
  compile(text: ValueText): Value<C> {
    if (!text.includes('$')) return constantValue(text);
    return compileParts(parseValue(text), (name) => this.lookup(name));
  }

  /** Compiles a value that may be missing. */
  compileOptional(text: ValueText | null): Value<C> | null {
    return text === null ? null : this.compile(text);
  }

  /** The function that gives a variable's value. @param name without `$`, any case */
  lookup(name: string): Getter<C> {
    const lower = name.toLowerCase();
    let getter = this.#getters.get(lower);
    if (getter === undefined) {
      // Maps may name each other: hand out a reference that is followed when it runs.
      this.#getters.set(lower, (c) => this.#getters.get(lower)!(c));
      getter = this.make(lower);
      this.#getters.set(lower, getter);
    }
    return getter;
  }

  /**
   * As `lookup`, for names that come at run time (SSI): null when there is no such variable, and nothing is kept of it.
   * @param name in lower case
   */
  find(name: string): Getter<C> | null {
    const known =
      this.#maps.has(name) ||
      this.#keyvals.has(name) ||
      this.#builtin.has(name) ||
      this.#indexes.has(name) ||
      this.#getters.has(name);
    return known ? this.lookup(name) : this.family(name);
  }

  /** The getter of a variable that is looked up for the first time. @param name in lower case */
  protected make(name: string): Getter<C> {
    const map = this.#maps.get(name);
    if (map !== undefined) return this.stored(name, compileMap(map, this), !map.volatile);
    const geo = this.#geos.get(name);
    if (geo !== undefined) {
      const source = { ...this.#addresses!, lookup: (other: string) => this.lookup(other) };
      return this.stored(name, compileGeo(geo, source), !geo.volatile);
    }
    const split = this.#splits.get(name);
    if (split !== undefined)
      return this.stored(
        name,
        compileSplit(split, (text) => this.compile(text)),
        true,
      );
    const keyval = this.#keyval(name);
    // One look-up for a request, as with maps.
    if (keyval !== null) return this.stored(name, keyval.get, true);
    const base = this.#builtin.get(name) ?? this.family(name);
    if (this.#setNames.has(name)) return this.stored(name, base ?? this.#uninitialized(name), false);
    if (base !== null) return base;
    // A named group, or nothing at all.
    return this.stored(name, () => null, false);
  }

  /** @param name in lower case @returns null: it is none of `keyval`, or there are no zones here */
  #keyval(name: string): KeyvalVariable<C> | null {
    const config = this.#keyvals.get(name);
    return config === undefined ? null : (this.environment.keyvals?.compile(config, this) ?? null);
  }

  /** What was stored, else what `compute` gives; `keep`: that is stored. */
  protected stored(name: string, compute: Getter<C>, keep: boolean): Getter<C> {
    const index = this.indexOf(name);
    return (c) => {
      const stored = c.vars === null ? undefined : c.vars[index];
      if (stored !== undefined && stored !== null) return stored;
      const value = compute(c);
      if (keep && value !== null) (c.vars ??= [])[index] = value;
      return value;
    };
  }

  /** A variable that some `set` sets, read before: empty, and nginx warns. */
  #uninitialized(name: string): Getter<C> {
    return (c) => {
      this.report(c, 'warn', `using uninitialized "${name}" variable`);
      return '';
    };
  }

  /** Whether anything that was compiled so far looks at the variable. @param name in lower case */
  uses(name: string): boolean {
    return this.#getters.has(name);
  }

  /** Index in `vars` where a variable's value is stored. */
  indexOf(name: string): number {
    const lower = name.toLowerCase();
    let index = this.#indexes.get(lower);
    if (index === undefined) this.#indexes.set(lower, (index = this.#indexes.size));
    return index;
  }

  /** The function that sets a variable (`set`). */
  setter(name: string): Setter<C> {
    const index = this.indexOf(name);
    const store: Setter<C> = (c, value) => {
      (c.vars ??= [])[index] = value;
    };
    const keyval = this.#keyval(name.toLowerCase());
    if (keyval === null) return store;
    return (c, value) => {
      if (keyval.set(c, value)) store(c, value);
    };
  }
}

/** Variables that tell of the process and the time. */
function processVariables(env: VariableEnvironment): Record<string, Getter<VariableContext>> {
  const { hostname, nginxVersion: version, connections } = env;
  const pid = String(env.pid);
  return {
    connections_active: () => String(connections().active),
    connections_reading: () => String(connections().reading),
    connections_writing: () => String(connections().writing),
    connections_waiting: () => String(connections().waiting),
    nginx_version: () => version,
    hostname: () => hostname,
    pid: () => pid,
    msec: () => seconds(clock.wall),
    time_iso8601: () => isoTime(clock.wall),
    time_local: () => commonLogTime(clock.wall),
  };
}
