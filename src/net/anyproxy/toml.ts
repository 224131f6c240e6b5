/**
 * The little of TOML that any-proxy's packets and tunnel frames are made of: lines of `key = value` with integers,
 * booleans and strings. Texts come from peers: at most 4096 bytes, read in one pass.
 */

export type TomlValue = string | number | boolean;

const INTEGER = /^[+-]?\d{1,15}$/;

/**
 * Reads lines of `key = value`. Keys with values of other kinds (dates, arrays, tables) are left out, for readers ignore
 * what they do not know.
 * @returns null: this is no TOML
 */
export function readToml(text: string): Map<string, TomlValue> | null {
  const values = new Map<string, TomlValue>();
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const equals = line.indexOf('=');
    if (equals <= 0) return null;
    const key = unquoted(line.slice(0, equals).trim());
    const value = readValue(line.slice(equals + 1).trim());
    if (value !== null) values.set(key, value);
  }
  return values;
}

function unquoted(key: string): string {
  return /^(["']).*\1$/.test(key) ? key.slice(1, -1) : key;
}

function readValue(text: string): TomlValue | null {
  if (text.startsWith('"')) return basicString(text);
  if (text.startsWith("'")) {
    const end = text.indexOf("'", 1);
    return end > 0 && nothingAfter(text, end + 1) ? text.slice(1, end) : null;
  }
  const bare = text.split('#', 1)[0]!.trim();
  if (bare === 'true') return true;
  if (bare === 'false') return false;
  return INTEGER.test(bare) ? Number(bare) : null;
}

function nothingAfter(text: string, at: number): boolean {
  const rest = text.slice(at).trim();
  return rest === '' || rest.startsWith('#');
}

const ESCAPES: Readonly<Record<string, string>> = {
  b: '\b',
  t: '\t',
  n: '\n',
  f: '\f',
  r: '\r',
  '"': '"',
  '\\': '\\',
};

function basicString(text: string): string | null {
  let out = '';
  for (let at = 1; at < text.length; at++) {
    const c = text[at]!;
    if (c === '"') return nothingAfter(text, at + 1) ? out : null;
    if (c !== '\\') {
      out += c;
      continue;
    }
    const e = text[++at] ?? '';
    const plain = ESCAPES[e];
    if (plain !== undefined) {
      out += plain;
      continue;
    }
    const digits = e === 'u' ? 4 : e === 'U' ? 8 : 0;
    const hex = text.slice(at + 1, at + 1 + digits);
    if (digits === 0 || !/^[0-9A-Fa-f]+$/.test(hex) || hex.length < digits) return null;
    const point = Number.parseInt(hex, 16);
    if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return null;
    out += String.fromCodePoint(point);
    at += digits;
  }
  return null;
}

/** Writes lines of `key = value`, in the order given. */
export function writeToml(entries: readonly (readonly [string, TomlValue])[]): string {
  return entries.map(([key, value]) => `${key} = ${typeof value === 'string' ? quote(value) : value}\n`).join('');
}

function quote(text: string): string {
  const escaped = text.replace(/["\\\u0000-\u001f\u007f]/g, (c) =>
    c === '"' || c === '\\' ? `\\${c}` : `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `"${escaped}"`;
}
