/** Field lines that HPACK can refer to: the static table and a connection's dynamic one (RFC 7541 section 2.3). */
import { Buffer } from 'node:buffer';
import { CR, LF, TOKEN } from '../bytes.ts';
import { knownId } from '../known.ts';
import { STATIC } from './static-table.ts';

/** Which pseudo-header a name is; 0: none, it is a field. */
export const PSEUDO_METHOD = 1;
export const PSEUDO_SCHEME = 2;
export const PSEUDO_PATH = 3;
export const PSEUDO_AUTHORITY = 4;
export const PSEUDO_STATUS = 5;
export const PSEUDO_UNKNOWN = 6;

/** What is wrong with a line, as bits (RFC 9113 section 8.2.1). */
export const NAME_UNDERSCORE = 1;
/** A token character that nginx takes for none (`ignore_invalid_headers`). */
export const NAME_UNUSUAL = 2;
/** Upper case, or no token at all. */
export const NAME_BAD = 4;
/** CR, LF or NUL: the bytes that could make another message of it. */
export const VALUE_BAD = 8;

/** Bits of each byte of a name. */
const NAME_FLAGS = new Uint8Array(256).fill(NAME_BAD);
for (let b = 0; b < 256; b++) {
  if (TOKEN[b] === 0) continue;
  const letter = b >= 0x61 && b <= 0x7a;
  const digit = b >= 0x30 && b <= 0x39;
  if (letter || digit || b === 0x2d) NAME_FLAGS[b] = 0;
  else if (b === 0x5f) NAME_FLAGS[b] = NAME_UNDERSCORE;
  else if (b < 0x41 || b > 0x5a) NAME_FLAGS[b] = NAME_UNUSUAL;
}

/** What is known of a name; filled by `inspectName`. */
export const inspected: { hash: number; id: number; flags: number; pseudo: number } = {
  hash: 0,
  id: 0,
  flags: 0,
  pseudo: 0,
};

/** Sets `inspected` for the name at `buf[start, end)`. */
export function inspectName(buf: Buffer, start: number, end: number): void {
  if (buf[start] === 0x3a) {
    inspected.pseudo = pseudoOf(buf, start, end);
    inspected.hash = inspected.id = inspected.flags = 0;
    return;
  }
  let hash = 0;
  let flags = 0;
  for (let i = start; i < end; i++) {
    const b = buf[i]!;
    flags |= NAME_FLAGS[b]!;
    hash = (Math.imul(hash, 31) + b) | 0;
  }
  inspected.pseudo = 0;
  inspected.hash = hash;
  inspected.flags = flags;
  inspected.id = (flags & NAME_BAD) === 0 ? knownId(hash, buf, start, end) : 0;
}

function pseudoOf(buf: Buffer, start: number, end: number): number {
  switch (buf.latin1Slice(start, end)) {
    case ':method':
      return PSEUDO_METHOD;
    case ':scheme':
      return PSEUDO_SCHEME;
    case ':path':
      return PSEUDO_PATH;
    case ':authority':
      return PSEUDO_AUTHORITY;
    case ':status':
      return PSEUDO_STATUS;
    default:
      return PSEUDO_UNKNOWN;
  }
}

/** `VALUE_BAD` or 0 for the value at `buf[start, end)`. */
export function inspectValue(buf: Buffer, start: number, end: number): number {
  for (let i = start; i < end; i++) {
    const b = buf[i]!;
    if (b <= CR && (b === 0 || b === LF || b === CR)) return VALUE_BAD;
  }
  return 0;
}

export class TableEntry {
  /** `name: value\r\n`. */
  readonly line: Buffer;
  readonly nameLength: number;
  /** As header blocks compute it (`known.ts`). */
  readonly hash: number;
  readonly id: number;
  readonly pseudo: number;
  readonly nameFlags: number;
  readonly valueFlags: number;
  /** RFC 7541 section 4.1. */
  readonly size: number;

  constructor(line: Buffer, nameLength: number) {
    this.line = line;
    this.nameLength = nameLength;
    inspectName(line, 0, nameLength);
    this.hash = inspected.hash;
    this.id = inspected.id;
    this.pseudo = inspected.pseudo;
    this.nameFlags = inspected.flags;
    this.valueFlags = inspectValue(line, nameLength + 2, line.length - 2);
    this.size = line.length - 4 + 32;
  }
}

const STATIC_ENTRIES: readonly TableEntry[] = STATIC.map(
  ([name, value]) => new TableEntry(Buffer.from(`${name}: ${value}\r\n`, 'latin1'), name.length),
);

/** What one side's encoder has told the other to remember. */
export class DynamicTable {
  /** Newest at `#first`; a ring. */
  #ring: (TableEntry | undefined)[] = Array.from({ length: 16 }, () => undefined);
  #first = 0;
  #count = 0;
  #size = 0;
  #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#size;
  }

  /** The entry that an index of a header block means; null: there is none. */
  at(index: number): TableEntry | null {
    if (index <= STATIC_ENTRIES.length) return STATIC_ENTRIES[index - 1] ?? null;
    const k = index - STATIC_ENTRIES.length - 1;
    if (k >= this.#count) return null;
    return this.#ring[(this.#first + k) & (this.#ring.length - 1)]!;
  }

  /** Adds an entry in front; one that is larger than the table empties it (RFC 7541 section 4.4). */
  add(entry: TableEntry): void {
    this.#evict(this.#capacity - entry.size);
    if (entry.size > this.#capacity) return;
    if (this.#count === this.#ring.length) this.#grow();
    this.#first = (this.#first - 1) & (this.#ring.length - 1);
    this.#ring[this.#first] = entry;
    this.#count++;
    this.#size += entry.size;
  }

  resize(capacity: number): void {
    this.#capacity = capacity;
    this.#evict(capacity);
  }

  #evict(most: number): void {
    while (this.#count > 0 && this.#size > most) {
      this.#count--;
      const at = (this.#first + this.#count) & (this.#ring.length - 1);
      this.#size -= this.#ring[at]!.size;
      this.#ring[at] = undefined;
    }
  }

  #grow(): void {
    const { length } = this.#ring;
    const grown = Array.from({ length: length * 2 }, (_, i) =>
      i < length ? this.#ring[(this.#first + i) & (length - 1)] : undefined,
    );
    this.#ring = grown;
    this.#first = 0;
  }
}
