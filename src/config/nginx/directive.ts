/**
 * Tables of directives and the setters that most of them share (ngx_conf_set_*_slot).
 *
 * A module is a file in `modules/` that exports a `ModuleDef`, and a line in `registry.ts`.
 */
import { parseNumber, parseOffset, parseSize, parseTime } from '../units.ts';
import { decodeText } from '../bytes.ts';
import { Args } from './context.ts';
import type { Conf } from './parser.ts';
import { checkValue } from './variables.ts';
import { hasVariables } from '../value.ts';

export interface Directive {
  readonly name: string;
  /** Bits of `Context`. */
  readonly contexts: number;
  /** Bits of `Args`. */
  readonly args: number;
  readonly block?: boolean;
  /**
   * Reads the statement at hand. A returned text becomes `"name" directive <text>`; other errors are thrown with
   * `cf.error`.
   */
  readonly set: (cf: Conf, directive: Directive) => string | void;
}

export type Registry = ReadonlyMap<string, readonly Directive[]>;

/** Keys of a raw object whose values, when set, are of a type. */
export type KeysOf<R, V> = { [K in keyof R]-?: [NonNullable<R[K]>] extends [V] ? K : never }[keyof R] & string;

/** Judges a value that was just set; a returned text becomes `"name" directive <text>`. */
export type Check<V> = (cf: Conf, value: V) => string | void;

export interface Buffers {
  count: number;
  size: number;
}

/** An entry written by hand. */
export function directive(
  name: string,
  contexts: number,
  args: number,
  set: Directive['set'],
  block = false,
): Directive {
  return block ? { name, contexts, args, set, block } : { name, contexts, args, set };
}

/** @throws {ConfigError} `value must be …` */
export function bounds(low: number, high = Infinity): Check<number> {
  return (cf, value) => {
    if (value >= low && value <= high) return;
    throw cf.error(
      high === Infinity ? `value must be equal to or greater than ${low}` : `value must be between ${low} and ${high}`,
    );
  };
}

/** `max=N inactive=time valid=time …` of caches that need no memory here; checks and forgets. */
export function parameterList(
  cf: Conf,
  known: Record<string, 'number' | 'time' | 'word'>,
  invalid: (text: string) => string,
): void {
  for (const arg of cf.args.slice(1)) {
    const [key = '', value] = arg.split(/=(.*)/s);
    const kind = known[value === undefined ? key : `${key}=`];
    const good =
      kind === 'word' ||
      (kind === 'number' && parseNumber(value ?? '') !== null) ||
      (kind === 'time' && parseTime(value ?? '', 's') !== null);
    if (!good) throw cf.error(invalid(arg));
  }
}

type Raw = Record<string, unknown>;

/**
 * Makes directive entries that write into one raw object.
 *
 * @param pick the raw object of the block at hand
 */
export function table<R extends object>(pick: (cf: Conf) => R) {
  /** A directive of one value: duplicate check, parse, store, check. */
  function single<V>(
    name: string,
    contexts: number,
    args: number,
    key: string,
    parse: (cf: Conf) => V | null,
    check?: Check<V>,
    refusal = 'invalid value',
  ): Directive {
    return directive(name, contexts, args, (cf) => {
      const raw = pick(cf) as Raw;
      if (raw[key] !== undefined) return 'is duplicate';
      const value = parse(cf);
      if (value === null) return refusal;
      raw[key] = value;
      return check?.(cf, value);
    });
  }

  const word = (cf: Conf): string => cf.args[1] as string;

  return {
    /** `on` or `off`. */
    flag: (name: string, contexts: number, key: KeysOf<R, boolean>, check?: Check<boolean>): Directive =>
      single<boolean>(name, contexts, Args.one, key, (cf) => onOff(cf, word(cf)), check),

    /** Not negative integer. */
    number: (name: string, contexts: number, key: KeysOf<R, number>, check?: Check<number>): Directive =>
      single(name, contexts, Args.one, key, (cf) => parseNumber(word(cf)), check, 'invalid number'),

    /** Bytes, up to `m`. */
    size: (name: string, contexts: number, key: KeysOf<R, number>, check?: Check<number>): Directive =>
      single(name, contexts, Args.one, key, (cf) => parseSize(word(cf)), check),

    /** Bytes, up to `g`. */
    offset: (name: string, contexts: number, key: KeysOf<R, number>, check?: Check<number>): Directive =>
      single(name, contexts, Args.one, key, (cf) => parseOffset(word(cf)), check),

    /** Milliseconds. */
    msec: (name: string, contexts: number, key: KeysOf<R, number>, check?: Check<number>): Directive =>
      single(name, contexts, Args.one, key, (cf) => parseTime(word(cf), 'ms'), check),

    /** Seconds. */
    sec: (name: string, contexts: number, key: KeysOf<R, number>, check?: Check<number>): Directive =>
      single(name, contexts, Args.one, key, (cf) => parseTime(word(cf), 's'), check),

    /** Text as written. */
    text: (name: string, contexts: number, key: KeysOf<R, string>, check?: Check<string>): Directive =>
      single(name, contexts, Args.one, key, word, check),

    /** Path relative to the prefix or to the configuration file's directory, decoded. */
    path: (name: string, contexts: number, key: KeysOf<R, string>, base: 'prefix' | 'conf' = 'prefix'): Directive =>
      single(name, contexts, Args.one, key, (cf) => decodeText(cf.cycle.fullName(word(cf), base))),

    /** Directory with levels of subdirectories (`client_body_temp_path`). */
    tempPath: (name: string, contexts: number, key: KeysOf<R, string>): Directive =>
      single(name, contexts, Args.oneToFour, key, (cf) => tempPath(cf)),

    /** Text with variables. */
    value: (name: string, contexts: number, key: KeysOf<R, string>): Directive =>
      single(name, contexts, Args.one, key, (cf) => {
        checkValue(cf, word(cf));
        return word(cf);
      }),

    /** Bytes with variables; a literal is kept as plain digits. */
    sizeValue: (name: string, contexts: number, key: KeysOf<R, string>): Directive =>
      single(name, contexts, Args.one, key, (cf) => {
        const text = word(cf);
        checkValue(cf, text);
        if (hasVariables(text)) return text;
        const size = parseSize(text);
        return size === null ? null : String(size);
      }),

    /** Number of buffers and the size of one. */
    buffers: (name: string, contexts: number, key: KeysOf<R, Buffers>): Directive =>
      single(name, contexts, Args.two, key, (cf) => {
        const count = parseNumber(word(cf));
        const size = parseSize(cf.args[2] as string);
        return !count || !size ? null : { count, size };
      }),

    /** One of some words, in any case; kept as listed. */
    choice: <K extends KeysOf<R, string>>(
      name: string,
      contexts: number,
      key: K,
      choices: readonly (NonNullable<R[K]> & string)[],
      check?: Check<string>,
    ): Directive => single(name, contexts, Args.one, key, (cf) => oneOf(cf, word(cf), choices), check),

    /** Any of some words, in any case; kept as listed. May be repeated: the sets are joined. */
    words: (
      name: string,
      contexts: number,
      args: number,
      key: KeysOf<R, string[]>,
      choices: readonly string[],
    ): Directive =>
      directive(name, contexts, args, (cf) => {
        const raw = pick(cf) as Raw;
        const set = (raw[key] ?? []) as string[];
        for (const arg of cf.args.slice(1)) {
          const choice = oneOf(cf, arg, choices);
          if (set.includes(choice)) cf.warn(`duplicate value "${arg}"`);
          else set.push(choice);
        }
        raw[key] = set;
      }),

    /** One more text each time it is written. */
    list: (name: string, contexts: number, key: KeysOf<R, string[]>): Directive =>
      directive(name, contexts, Args.one, (cf) => {
        const raw = pick(cf) as Raw;
        raw[key] = [...((raw[key] ?? []) as string[]), word(cf)];
      }),

    /** A setter of its own, given the raw object. */
    custom: (
      name: string,
      contexts: number,
      args: number,
      set: (cf: Conf, raw: R, directive: Directive) => string | void,
    ): Directive => directive(name, contexts, args, (cf, self) => set(cf, pick(cf), self)),

    /** A block, given the raw object of the block around it. */
    block: (
      name: string,
      contexts: number,
      args: number,
      set: (cf: Conf, raw: R, directive: Directive) => string | void,
    ): Directive => directive(name, contexts, args, (cf, self) => set(cf, pick(cf), self), true),
  };
}

/** @throws {ConfigError} if it is neither `on` nor `off` */
export function onOff(cf: Conf, text: string): boolean {
  const lower = text.toLowerCase();
  if (lower === 'on' || lower === 'off') return lower === 'on';
  throw cf.error(`invalid value "${text}" in "${cf.args[0]}" directive, it must be "on" or "off"`);
}

/** @throws {ConfigError} if it is none of them */
export function oneOf<T extends string>(cf: Conf, text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice.toLowerCase() === text.toLowerCase());
  if (found === undefined) throw cf.error(`invalid value "${text}"`);
  return found;
}

/** Directory and levels of the statement at hand; null if the levels are not possible. */
export function tempPath(cf: Conf): string | null {
  let length = 0;
  const levels = cf.args.slice(2);
  for (const arg of levels) {
    const level = parseNumber(arg);
    if (!level) return null;
    length += level + 1;
  }
  if (length > 10 + levels.length) return null;
  const name = (cf.args[1] as string).replace(/(.)\/$/, '$1');
  return decodeText(cf.cycle.fullName(name));
}
