/**
 * any-proxy's language: lines of typed assignments, raw blocks, and blocks in braces. Text in, a tree out; what the keys
 * mean stands elsewhere.
 *
 * ```
 * name {                       # a block; the brace stands on the line of its name
 *     key str = value;         # or: key = value;  bool, strs, raw, and numbers like u64, f64s
 *     key linux_bool = true;   # on other systems it is read and dropped
 *     key raw = r```
 *         any = "TOML"
 *     ```r;
 * }
 * r###
 * a block comment
 * ###r
 * include = ./other.conf;
 * ```
 *
 * Texts are byte strings.
 */
import { ConfigError, at } from '../errors.ts';
import type { Place } from '../model.ts';

export type ValueKind = 'bool' | 'int' | 'ints' | 'float' | 'floats' | 'str' | 'strs' | 'raw';

export interface Assignment {
  kind: 'assignment';
  key: string;
  /** Written or implied. */
  type: ValueKind;
  /** As written, quotes taken off; of `raw` the body. */
  value: string;
  /** Words of a list, or the one word. */
  words: string[];
  place: Place;
  /** Of `raw`: line of the file on which the body begins. */
  bodyLine: number;
}

export interface Block {
  kind: 'block';
  key: string;
  items: Item[];
  place: Place;
}

export type Item = Assignment | Block;

/** Where included files come from. */
export interface Files {
  /**
   * Texts of the files that an `include` names.
   * @throws {ConfigError} at the place of the include
   */
  include(value: string, from: Place): { file: string; text: string }[];
  /** `process.platform`. */
  platform: string;
}

const MAX_DEPTH = 64;
const KEY = String.raw`[A-Za-z_][A-Za-z0-9_]*`;
const OPEN = new RegExp(String.raw`^(${KEY})\s*\{\s*(#.*)?$`);
const EMPTY = new RegExp(String.raw`^(${KEY})\s*\{\s*\}\s*(#.*)?$`);
const CLOSE = /^\}\s*(#.*)?$/;
const LEFT = new RegExp(String.raw`^(${KEY})(?:\s+(\S+))?\s*$`);
const WHOLE = /^[iu](8|16|32|64|128|size)$/;
const FENCE = '```';

/** @throws {ConfigError} */
function fail(text: string, place: Place): never {
  throw new ConfigError(text, place, at(place));
}

/** What a type is, and whether its value counts on this system. @throws {ConfigError} */
function typeOf(text: string, place: Place, platform: string): { type: ValueKind; here: boolean } {
  const [, prefix = '', name = ''] = /^(?:([a-z]+)_)?(.*)$/.exec(text) ?? [];
  const windows = platform === 'win32';
  let here = true;
  if (prefix === 'linux' || prefix === 'unix') here = !windows;
  else if (prefix === 'window' || prefix === 'windows') here = windows;
  else if (prefix !== '')
    fail(`unknown platform "${prefix}" in type "${text}", it must be linux, unix or windows`, place);
  if (name === 'bool' || name === 'str' || name === 'strs' || name === 'raw') return { type: name, here };
  const list = name.endsWith('s') && !/^[iu]size$/.test(name) ? 's' : '';
  const single = list === '' ? name : name.slice(0, -1);
  if (WHOLE.test(single)) return { type: `int${list}`, here };
  if (/^f(32|64)$/.test(single)) return { type: `float${list}`, here };
  return fail(`unknown type "${text}", it must be bool, str, strs, raw, or a number like u64, i32, usize, f64`, place);
}

/** One file on its way to items. */
class Reader {
  readonly #lines: string[];
  readonly #file: string;
  #at = 0;

  constructor(file: string, text: string) {
    this.#file = file;
    // A byte order mark is no part of the text.
    this.#lines = text.replace(/^\xef\xbb\xbf/, '').split(/\r\n|\n/);
  }

  get place(): Place {
    return { file: this.#file, line: this.#at };
  }

  /** The next line that says something, trimmed; null at the end. */
  next(): string | null {
    while (this.#at < this.#lines.length) {
      const line = this.#lines[this.#at++]!.trim();
      if (line === 'r###') this.#skipComment();
      else if (line !== '' && !line.startsWith('#')) return line;
    }
    return null;
  }

  #skipComment(): void {
    const from = this.place;
    while (this.#at < this.#lines.length) if (this.#lines[this.#at++]!.trim() === '###r') return;
    fail('block comment is not closed by "###r"', from);
  }

  /** The body of a raw value. @param first what follows the opening fence on its line */
  raw(first: string): { body: string; rest: string } {
    const from = this.place;
    const body: string[] = [];
    for (let line: string | undefined = first; line !== undefined; line = this.#lines[this.#at++]) {
      const end = line.indexOf(`${FENCE}r`);
      if (end < 0) {
        body.push(line);
        continue;
      }
      // Where the closing fence stands is nobody's business: the blanks before it are no part of the TOML.
      body.push(line.slice(0, end));
      return { body: body.join('\n'), rest: line.slice(end + 4).trim() };
    }
    return fail(`raw value is not closed by "${FENCE}r;"`, from);
  }
}

/**
 * Reads a file and those that it includes.
 *
 * @throws {ConfigError} of the first mistake
 */
export function parseAnyproxy(file: string, text: string, files: Files): Item[] {
  const items: Item[] = [];
  readItems(new Reader(file, text), items, null, files, [file]);
  return items;
}

/** @param open the block that is read; null: the file's own level */
function readItems(reader: Reader, into: Item[], open: Place | null, files: Files, within: string[]): void {
  for (;;) {
    const line = reader.next();
    if (line === null) {
      if (open !== null) fail('unexpected end of file, expecting "}" of this block', open);
      return;
    }
    const { place } = reader;
    if (CLOSE.test(line)) {
      if (open === null) fail('unexpected "}"', place);
      return;
    }
    const empty = EMPTY.exec(line);
    const opening = empty ?? OPEN.exec(line);
    if (opening !== null) {
      const block: Block = { kind: 'block', key: opening[1]!, items: [], place };
      into.push(block);
      if (within.length + 1 > MAX_DEPTH) fail('blocks and includes are nested too deeply', place);
      if (empty === null) readItems(reader, block.items, place, files, within);
      continue;
    }
    const equals = line.indexOf('=');
    if (equals < 0) {
      fail(`"${line}" is neither "key type = value;" nor "name {" nor "}"`, place);
    }
    const assignment = readAssignment(reader, line.slice(0, equals), line.slice(equals + 1).trim(), place, files);
    if (assignment === null) continue;
    if (assignment.key === 'include') readIncludes(assignment, into, open, files, within);
    else into.push(assignment);
  }
}

function readIncludes(
  { value, place }: Assignment,
  into: Item[],
  open: Place | null,
  files: Files,
  within: string[],
): void {
  for (const { file, text } of files.include(value, place)) {
    if (within.includes(file)) fail(`"${file}" includes itself`, place);
    if (within.length + 1 > MAX_DEPTH) fail(`too many nested includes of "${file}"`, place);
    const items: Item[] = [];
    readItems(new Reader(file, text), items, null, files, [...within, file]);
    // As if its text stood here.
    for (const item of items) {
      if (open === null && item.kind === 'assignment') fail(`"${item.key}" is not allowed here`, item.place);
      into.push(item);
    }
  }
}

/** @returns null: it is not for this system */
function readAssignment(
  reader: Reader,
  leftText: string,
  right: string,
  place: Place,
  files: Files,
): Assignment | null {
  const left = LEFT.exec(leftText);
  if (left === null) fail(`"${leftText.trim()}" is not "key" or "key type"`, place);
  const [, key = '', typeText = 'str'] = left;
  const { type, here } = typeOf(typeText, place, files.platform);
  let value: string;
  let words: string[] = [];
  let rest: string;
  let bodyLine = 0;
  if (type === 'raw') {
    if (!right.startsWith(`r${FENCE}`)) fail(`a raw value must begin with "r${FENCE}"`, place);
    const first = right.slice(4);
    bodyLine = place.line;
    const raw = reader.raw(first);
    value = raw.body;
    rest = raw.rest;
    if (!rest.startsWith(';')) fail(`";" is missing after "${FENCE}r"`, reader.place);
    rest = rest.slice(1).trim();
  } else {
    const end = endOfValue(right, place);
    const written = right.slice(0, end).trim();
    rest = right.slice(end + 1).trim();
    words = wordsOf(written);
    value = type.endsWith('s') ? written : /^"[^"]*"$/.test(written) ? written.slice(1, -1) : written;
    if (type !== 'str' && words.length === 0) fail(`"${key}" has no value`, place);
  }
  if (rest !== '' && !rest.startsWith('#')) fail(`unexpected "${rest}" after ";"`, reader.place);
  return here ? { kind: 'assignment', key, type, value, words, place, bodyLine } : null;
}

/** Where the `;` stands that ends a value: outside of quotes. */
function endOfValue(text: string, place: Place): number {
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '"') quoted = !quoted;
    else if (text[i] === ';' && !quoted) return i;
  }
  return fail(quoted ? 'a quote is not closed' : '";" is missing at the end of the value', place);
}

/** Words between blanks; what stands in quotes is one. */
function wordsOf(text: string): string[] {
  return Array.from(text.matchAll(/"([^"]*)"|[^\s"]+/g), (match) => match[1] ?? match[0]);
}
