/** `/http/keyvals/` and `/stream/keyvals/`: zones of keys and values, and changes of them. */
import { encodeText } from '../../config/bytes.ts';
import type { AdminView } from '../../control/admin-desk.ts';
import type { Door } from '../../control/groups.ts';
import { type KeyvalChange, KeyvalError, type ManagedKeyval } from '../../control/keyvals.ts';
import { ApiError, pathNotFound, statusOf } from '../errors.ts';
import { allow, type Outcome } from './upstreams.ts';

/** The first version whose pairs may have an end of their own. */
const EXPIRE_SINCE = 5;
/** Milliseconds; some thirty years. */
const LONGEST_MS = 1e12;

const bad = (text: string): ApiError => new ApiError(400, 'KeyvalFormatError', text);

/** What stands for bytes in JSON: those that are no UTF-8 are lost. */
function shown(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString();
}

/** The pairs of a zone as a JSON object, in steps. */
function* contents(zone: ManagedKeyval): Generator<string, void> {
  let separator = '{';
  for (const pairs of zone.pieces()) {
    let text = '';
    for (const { key, value } of pairs) {
      text += `${separator}${JSON.stringify(shown(key))}:${JSON.stringify(shown(value))}`;
      separator = ',';
    }
    yield text;
  }
  yield separator === '{' ? '{}' : '}';
}

/** All zones by their names. */
function* all(zones: readonly ManagedKeyval[]): Generator<string, void> {
  let separator = '{';
  for (const zone of zones) {
    yield `${separator}${JSON.stringify(zone.config.name)}:`;
    yield* contents(zone);
    separator = ',';
  }
  yield separator === '{' ? '{}' : '}';
}

function* names(zones: readonly ManagedKeyval[]): Generator<string, void> {
  yield JSON.stringify(zones.map(({ config }) => config.name));
}

export class KeyvalObjects {
  readonly #view: AdminView;
  readonly #door: Door;

  constructor(view: AdminView, door: Door) {
    this.#view = view;
    this.#door = door;
  }

  /** @param args the query: `key` @throws {ApiError} */
  async handle(method: string, version: number, path: readonly string[], body: string, args: string): Promise<Outcome> {
    const [name] = path;
    if (path.length > 1) throw pathNotFound();
    if (name === undefined) {
      allow(method, 'GET');
      const zones = this.#view.keyvals()?.list(this.#door) ?? [];
      return { status: 200, steps: (fields) => (fields?.size === 0 ? names(zones) : all(zones)) };
    }
    const zone = this.#view.keyvals()?.get(this.#door, name) ?? null;
    if (zone === null) throw new ApiError(404, 'KeyvalNotFound', `keyval "${name}" not found`);
    allow(method, 'GET', 'POST', 'PATCH', 'DELETE');
    try {
      return await this.#zone(method, version, zone, body, args);
    } catch (error) {
      if (error instanceof KeyvalError) throw new ApiError(statusOf(error.code), error.code, error.message);
      throw error;
    }
  }

  async #zone(method: string, version: number, zone: ManagedKeyval, body: string, args: string): Promise<Outcome> {
    switch (method) {
      case 'GET': {
        const key = new URLSearchParams(args).get('key');
        return key === null ? { status: 200, steps: () => contents(zone) } : { status: 200, value: found(zone, key) };
      }
      case 'POST': {
        const changes = readPairs(body, version);
        for (const { key, value } of changes) {
          if (value === undefined || value === null) throw bad(`value of key "${shown(key)}" required`);
        }
        await zone.add(changes as KeyvalChange[]);
        return { status: 201, value: null };
      }
      case 'PATCH': {
        const [change, ...others] = readPairs(body, version);
        if (others.length > 0) throw bad('only one key can be updated');
        if (change!.value === null) await zone.remove(change!.key);
        else await zone.change(change as KeyvalChange);
        return { status: 204, value: null };
      }
      default:
        await zone.clear();
        return { status: 204, value: null };
    }
  }
}

/** One pair. @throws {ApiError} */
function found(zone: ManagedKeyval, key: string): Record<string, string> {
  const value = zone.get(encodeText(key));
  if (value === null) throw new ApiError(404, 'KeyvalKeyNotFound', `key "${key}" not found`);
  return Object.fromEntries([[key, shown(value)]]);
}

/** `value` null: the pair is to go. */
type Given = Omit<KeyvalChange, 'value'> & { value?: string | null };

/** The pairs of a body: at least one. @throws {ApiError} */
function readPairs(body: string, version: number): Given[] {
  let given: unknown;
  try {
    given = JSON.parse(body);
  } catch (error) {
    throw new ApiError(415, 'JsonError', `json error: ${(error as Error).message}`);
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw bad('invalid JSON: an object expected');
  const pairs = Object.entries(given).map(([key, value]: [string, unknown]) => readPair(key, value, version));
  if (pairs.length === 0) throw bad('key required');
  return pairs;
}

function readPair(key: string, given: unknown, version: number): Given {
  if (key === '') throw bad('key required');
  const pair: Given = { key: encodeText(key) };
  if (typeof given !== 'object' || given === null) return { ...pair, value: readValue(key, given) };
  if (Array.isArray(given) || version < EXPIRE_SINCE) throw bad(`invalid value of key "${key}"`);
  for (const [name, value] of Object.entries(given) as [string, unknown][]) {
    if (name === 'value') pair.value = readValue(key, value);
    else if (name === 'expire') pair.expireMs = readExpire(key, value);
    else throw bad(`unknown parameter "${name}" of key "${key}"`);
  }
  if (pair.value === undefined && pair.expireMs === undefined) throw bad(`value of key "${key}" required`);
  return pair;
}

function readValue(key: string, value: unknown): string | null {
  if (value === null) return null;
  if (typeof value === 'string') return encodeText(value);
  if (typeof value === 'number') return String(value);
  throw bad(`invalid value of key "${key}"`);
}

function readExpire(key: string, value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= LONGEST_MS) return value;
  throw bad(`invalid "expire" of key "${key}": milliseconds from 1 on are expected`);
}
