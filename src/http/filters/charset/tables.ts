/** What `charset_map` comes to: how bytes of one charset become those of another. Pure. */
import { Buffer } from 'node:buffer';
import type { CharsetMap, CharsetsConfig } from '../../../config/model-answers.ts';

export type Recoding =
  /** A byte becomes a byte. */
  | { kind: 'bytes'; table: Uint8Array }
  /** A byte becomes a character of UTF-8: `table[byte]`. */
  | { kind: 'to utf-8'; table: readonly Buffer[]; longest: number }
  /** A character of UTF-8 becomes a byte: 0 where there is none. By code point, those of the first plane. */
  | { kind: 'from utf-8'; table: Uint8Array };

const ASCII = 128;
const UNKNOWN = 0x3f;

/** The charsets of a configuration. */
export class Charsets {
  /** Lower-case name to the name that clients are told. */
  readonly #names = new Map<string, string>();
  readonly #recodings = new Map<string, Recoding>();

  constructor(config: CharsetsConfig | undefined) {
    for (const name of config?.names ?? []) this.#names.set(name.toLowerCase(), name);
    for (const map of config?.maps ?? []) this.#add(map);
  }

  #add(map: CharsetMap): void {
    const utf8 = map.to.toLowerCase() === 'utf-8';
    const [there, back] = utf8 ? utf8Tables(map) : byteTables(map);
    this.#recodings.set(pair(map.from, map.to), there);
    this.#recodings.set(pair(map.to, map.from), back);
  }

  /** Whether anything can be recoded. */
  get recodes(): boolean {
    return this.#recodings.size > 0;
  }

  known(name: string): boolean {
    return this.#names.has(name.toLowerCase());
  }

  /** @returns null: no `charset_map` joins them */
  recoding(from: string, to: string): Recoding | null {
    return this.#recodings.get(pair(from, to)) ?? null;
  }
}

function pair(from: string, to: string): string {
  return `${from.toLowerCase()} ${to.toLowerCase()}`;
}

function byteTables(map: CharsetMap): [Recoding, Recoding] {
  const there = new Uint8Array(256).fill(UNKNOWN);
  for (let i = 0; i < ASCII; i++) there[i] = i;
  const back = there.slice();
  for (const [byte, [other = UNKNOWN]] of map.pairs) {
    there[byte] = other;
    back[other] = byte;
  }
  return [
    { kind: 'bytes', table: there },
    { kind: 'bytes', table: back },
  ];
}

function utf8Tables(map: CharsetMap): [Recoding, Recoding] {
  const there: Buffer[] = [];
  const back = new Uint8Array(0x10000);
  for (let i = 0; i < 256; i++) there.push(Buffer.of(i < ASCII ? i : UNKNOWN));
  for (let i = 0; i < ASCII; i++) back[i] = i;
  for (const [byte, bytes] of map.pairs) {
    const character = Buffer.from(bytes);
    there[byte] = character;
    back[character.toString('utf8').charCodeAt(0)] = byte;
  }
  const longest = Math.max(...there.map(({ length }) => length));
  return [
    { kind: 'to utf-8', table: there, longest },
    { kind: 'from utf-8', table: back },
  ];
}
