/**
 * The TOML of raw values: parsed by smol-toml, its keys and types checked here. Mistakes are told with the line of the
 * file, and with line and column inside of the TOML.
 */
import { TomlError, parse } from 'smol-toml';
import { decodeText } from '../bytes.ts';
import { ConfigError, at } from '../errors.ts';
import type { Place } from '../model.ts';
import { nearest } from '../nginx/suggest.ts';
import type { Assignment } from './syntax.ts';

export type TomlValue = unknown;

export class Toml {
  readonly #assignment: Assignment;
  readonly #text: string;
  readonly root: TomlTable;

  /** @throws {ConfigError} when it is no TOML */
  constructor(assignment: Assignment) {
    this.#assignment = assignment;
    this.#text = decodeText(assignment.value);
    let values: Record<string, unknown>;
    try {
      values = parse(this.#text);
    } catch (error) {
      if (!(error instanceof TomlError)) throw error;
      const message = error.message.split('\n')[0]!.replace('Invalid TOML document: ', '');
      throw this.#error(`invalid TOML: ${message}`, error.line, error.column);
    }
    this.root = new TomlTable(this, values, []);
  }

  get place(): Place {
    return this.#assignment.place;
  }

  /** A mistake at a key. */
  fault(text: string, path: readonly string[]): ConfigError {
    const { line, column } = this.#find(path);
    return this.#error(text, line, column);
  }

  /** The line of the file on which a key stands. */
  placeOf(path: readonly string[]): Place {
    const { file } = this.#assignment.place;
    return { file, line: this.#assignment.bodyLine + this.#find(path).line - 1 };
  }

  #error(text: string, line: number, column: number): ConfigError {
    const { key, place, bodyLine } = this.#assignment;
    const there = { file: place.file, line: bodyLine + line - 1 };
    return new ConfigError(`${text} in "${key}", line ${line}, column ${column} of its TOML`, there, at(there));
  }

  /**
   * Where the last key of a path is written. The parser does not tell, so it is looked for: each key after the one before
   * it, outside of comments and texts.
   */
  #find(path: readonly string[]): { line: number; column: number } {
    const plain = this.#text.replace(/"""[^]*?"""|'''[^]*?'''|"(?:\\.|[^"\\\n])*"(?!\s*[=\]])|'[^'\n]*'|#.*/g, (all) =>
      all.replace(/[^\n]/g, ' '),
    );
    let from = 0;
    for (const part of path) {
      const name = part.replace(/^\d+$/, '');
      if (name === '') {
        const next = plain.indexOf('[[', from);
        if (next >= 0) from = next + (part === '0' ? 0 : 2);
        continue;
      }
      const found = new RegExp(String.raw`(?<![\w-])"?${name.replace(/[^\w-]/g, String.raw`\$&`)}"?\s*[=\]]`).exec(
        plain.slice(from),
      );
      if (found !== null) from += found.index;
    }
    const before = plain.slice(0, from).split('\n');
    return { line: before.length, column: before.at(-1)!.length + 1 };
  }
}

/** A table whose keys are taken one by one; `end` refuses those that nobody took. */
export class TomlTable {
  readonly #toml: Toml;
  readonly #values: Record<string, unknown>;
  readonly path: readonly string[];
  readonly #taken = new Set<string>();

  constructor(toml: Toml, values: Record<string, unknown>, path: readonly string[]) {
    this.#toml = toml;
    this.#values = values;
    this.path = path;
  }

  has(key: string): boolean {
    this.#taken.add(key);
    return this.#values[key] !== undefined;
  }

  place(key: string): Place {
    return this.#toml.placeOf([...this.path, key]);
  }

  fault(text: string, key?: string): ConfigError {
    return this.#toml.fault(text, key === undefined ? this.path : [...this.path, key]);
  }

  #take<T>(key: string, what: string, fits: (value: unknown) => value is T): T | null {
    this.#taken.add(key);
    const value = this.#values[key];
    if (value === undefined) return null;
    if (fits(value)) return value;
    throw this.fault(`"${key}" must be ${what}`, key);
  }

  text(key: string): string | null {
    return this.#take(key, 'a text in quotes', (value) => typeof value === 'string');
  }

  flag(key: string): boolean | null {
    return this.#take(key, 'true or false', (value) => typeof value === 'boolean');
  }

  /** A whole number. */
  number(key: string, least: number): number | null {
    const value = this.#take(key, 'a whole number', (one): one is number => Number.isInteger(one));
    if (value !== null && value < least) throw this.fault(`"${key}" must be ${least} or more`, key);
    return value;
  }

  texts(key: string): string[] | null {
    return this.#take(
      key,
      'a list of texts',
      (value): value is string[] => Array.isArray(value) && value.every((one) => typeof one === 'string'),
    );
  }

  table(key: string): TomlTable | null {
    const value = this.#take(key, 'a table', isTable);
    return value === null ? null : new TomlTable(this.#toml, value, [...this.path, key]);
  }

  /** An array of tables: `[[key]]`. */
  tables(key: string): TomlTable[] {
    const values = this.#take(
      key,
      `a list of tables: [[${key}]]`,
      (value): value is Record<string, unknown>[] => Array.isArray(value) && value.every(isTable),
    );
    return (values ?? []).map((value, i) => new TomlTable(this.#toml, value, [String(i), key]));
  }

  /** Takes keys that say nothing here. */
  skip(...keys: string[]): void {
    for (const key of keys) this.#taken.add(key);
  }

  /** @throws {ConfigError} for a key that is not known */
  end(): void {
    for (const key of Object.keys(this.#values)) {
      if (this.#taken.has(key)) continue;
      const similar = nearest(key, this.#taken);
      throw this.fault(`unknown key "${key}"${similar === null ? '' : ` (did you mean "${similar}"?)`}`, key);
    }
  }
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
