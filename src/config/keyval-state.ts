/**
 * The state file of a `keyval_zone`: a JSON array, a pair a line; a pair is `["key","value"]`, or `["key","value",end]` with
 * the end in milliseconds since the epoch. An object `{"key":"value"}` is read as well, for files that people write.
 *
 * Not an object always: the JSON.parse of Node 26.10 takes a key of one character that is escaped for a backslash.
 *
 * Keys and values are bytes. They stand in the file as they are, so that nothing is lost of those that are not UTF-8: text
 * of the file is a byte string here.
 */
import { parseCidr } from './address.ts';
import { encodeText } from './bytes.ts';
import type { KeyvalRecord, KeyvalType } from './model-variables.ts';

/** What is wrong with a file, and in which line. */
export class StateFault extends Error {
  readonly line: number;

  constructor(text: string, line: number) {
    super(text);
    this.line = line;
  }
}

/** A file's text, of its lines. */
export function formatKeyvalState(lines: readonly string[]): string {
  return lines.length === 0 ? '[]\n' : `[\n${lines.join(',\n')}\n]\n`;
}

/** A pair's line. */
export function formatKeyvalPair({ key, value, end }: KeyvalRecord): string {
  return JSON.stringify(end === 0 ? [key, value] : [key, value, end]);
}

/**
 * @param text byte string
 * @throws {StateFault}
 */
export function parseKeyvalState(text: string, type: KeyvalType): KeyvalRecord[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new StateFault(`invalid JSON: ${(error as Error).message}`, lineOfSyntax(text, (error as Error).message));
  }
  if (typeof value !== 'object' || value === null) throw new StateFault('a list of keys and values is expected', 1);
  const entries: unknown[] = Array.isArray(value) ? value : Object.entries(value);
  return entries.map((entry) => readRecord(entry, type, text));
}

function readRecord(entry: unknown, type: KeyvalType, text: string): KeyvalRecord {
  if (!Array.isArray(entry)) throw new StateFault('a key and a value are expected', lineOf(text, entry));
  const [key, value, end = 0, ...more] = entry as unknown[];
  const fault = (what: string): StateFault => new StateFault(what, lineOf(text, key));
  if (typeof key !== 'string' || key === '') throw fault(`invalid key ${JSON.stringify(key)}`);
  if (type === 'ip' && parseCidr(key) === null) throw fault(`key "${key}" is neither an address nor a network`);
  if (typeof value !== 'string' || more.length > 0) throw fault(`invalid value of key "${key}"`);
  if (typeof end !== 'number' || !Number.isSafeInteger(end) || end < 0) throw fault(`invalid end of key "${key}"`);
  return { key: byteText(key), value: byteText(value), end };
}

/** Bytes are as they are; what `\u` has made of other text becomes UTF-8. */
function byteText(text: string): string {
  return /[^\x00-\xff]/.test(text) ? encodeText(text) : text;
}

/** The line that a message of JSON.parse is about; the last one, if it does not say. */
function lineOfSyntax(text: string, message: string): number {
  const line = /\(line (\d+) column \d+\)/.exec(message);
  const last = lineAt(text, text.trimEnd().length);
  return line === null ? last : Math.min(Number(line[1]), last);
}

/** Where something stands first. */
function lineOf(text: string, what: unknown): number {
  return lineAt(text, Math.max(0, text.indexOf(JSON.stringify(what) ?? '')));
}

function lineAt(text: string, position: number): number {
  return text.slice(0, position).split('\n').length;
}
