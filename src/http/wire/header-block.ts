/**
 * A block of header fields as an index over the bytes that arrived: no object and no string per field.
 *
 * One line is parsed at a time and parsing resumes at the line where the bytes ran out, so a head that trickles in
 * costs at most one line again per read.
 */
import { COLON, CR, FIELD, HTAB, LF, SP, TOKEN } from './bytes.ts';
import { hashName, knownId, KNOWN_COUNT, sameName } from './known.ts';
import { BAD, DONE, MORE, TOO_LONG, TOO_MANY } from './outcomes.ts';

/** Line endings of a head (see `HeaderBlock.eol`). */
export const EOL_UNKNOWN = 0;
export const EOL_CRLF = 1;
export const EOL_LF = 2;

const STRIDE = 6;
const NAME_START = 0;
const NAME_END = 1;
const VALUE_START = 2;
const VALUE_END = 3;
const ID = 4;
const HASH = 5;

const EMPTY = Buffer.alloc(0);

export class HeaderBlock {
  /** The bytes; owned by whoever parses. Offsets stay valid as long as it is not overwritten. */
  buf: Buffer = EMPTY;
  /** Where the head begins. */
  headStart = 0;
  /** Where the next line begins. */
  pos = 0;
  count = 0;
  /**
   * How the first line ended. RFC 9112 section 2.2 lets a recipient take a bare LF for a line end, and scripts send such
   * heads. A bare LF in a head that began with CRLF is the smuggler's: a peer in front saw a value where we would see a
   * line. It is refused in requests; in answers it is accepted, and `mixed` tells that the connection must not be reused.
   * The other way round is harmless: whoever took the first LF for a line's end, as every peer in front must have done,
   * finds the same lines as we do; scripts that copy a value with its CR into a head of LFs send such heads.
   */
  eol = EOL_UNKNOWN;
  mixed = false;
  /** Refuse a bare LF in a head that began with CRLF (requests). */
  strict: boolean;
  /** `TOKEN`, or the table without underscore. */
  token: Uint8Array = TOKEN;
  /** Skip lines whose name holds a byte that no token has (`ignore_invalid_headers`), instead of refusing them. */
  skipInvalid = false;
  maxFields = 1000;
  /** Longest field line in bytes, line end included. */
  maxLine = Number.MAX_SAFE_INTEGER;
  /** Fields that were skipped as invalid. */
  skipped = 0;
  /** A known name has come more than once. */
  repeats = false;

  #index = new Int32Array(STRIDE * 32);
  /** First field of each known name, counted from 1; 0: absent. */
  #first = new Uint32Array(KNOWN_COUNT);

  constructor(strict: boolean) {
    this.strict = strict;
  }

  /** Forget all fields; the next line begins at `pos` of `buf`. */
  reset(buf: Buffer, pos: number): void {
    for (let i = this.count - 1; i >= 0; i--) this.#first[this.#index[i * STRIDE + ID]!] = 0;
    this.buf = buf;
    this.headStart = pos;
    this.pos = pos;
    this.count = 0;
    this.skipped = 0;
    this.repeats = false;
    this.eol = EOL_UNKNOWN;
    this.mixed = false;
  }

  /** The same bytes now stand elsewhere: all offsets move by `delta`. */
  rebase(buf: Buffer, delta: number): void {
    this.buf = buf;
    if (delta === 0) return;
    this.headStart += delta;
    this.pos += delta;
    for (let i = 0; i < this.count * STRIDE; i += STRIDE) {
      for (let k = NAME_START; k <= VALUE_END; k++) this.#index[i + k]! += delta;
    }
  }

  /** The same fields over bytes of their own. For blocks that stand by themselves (trailers). */
  copy(): HeaderBlock {
    const copy = new HeaderBlock(this.strict);
    const bytes = Buffer.from(this.buf.subarray(this.headStart, this.pos));
    copy.reset(bytes, 0);
    copy.parse(bytes.length);
    return copy;
  }

  /** Takes note of how a line ended (`crlf`); false when it is a bare LF in a strict block that began with CRLF. */
  lineEnd(crlf: boolean): boolean {
    const eol = crlf ? EOL_CRLF : EOL_LF;
    if (this.eol === EOL_UNKNOWN) this.eol = eol;
    else if (this.eol !== eol) {
      this.mixed = true;
      return !this.strict || crlf;
    }
    return true;
  }

  /**
   * Parses field lines up to the empty line. Bytes are valid before `end`.
   * @returns `DONE` (`pos` is behind the empty line), `MORE`, `BAD`, `TOO_MANY` or `TOO_LONG`
   */
  parse(end: number): number {
    const buf = this.buf;
    const token = this.token;
    let pos = this.pos;
    for (;;) {
      if (pos >= end) break;
      let b = buf[pos]!;
      if (b === CR) {
        if (pos + 1 >= end) break;
        if (buf[pos + 1] !== LF || !this.lineEnd(true)) return BAD;
        this.pos = pos + 2;
        return DONE;
      }
      if (b === LF) {
        if (!this.lineEnd(false)) return BAD;
        this.pos = pos + 1;
        return DONE;
      }

      let i = pos;
      let hash = 0;
      let t = 0;
      while (i < end && (t = token[buf[i]!]!) !== 0) {
        hash = (Math.imul(hash, 31) + t) | 0;
        i++;
      }
      if (i >= end) break;
      const nameEnd = i;
      b = buf[i]!;
      const valid = b === COLON && i > pos;
      // White space before the colon, folding and controls are never skipped: peers disagree on what they mean.
      if (!valid && (!this.skipInvalid || b === SP || b === HTAB || FIELD[b] === 0)) return BAD;

      i++;
      while (i < end && (buf[i] === SP || buf[i] === HTAB)) i++;
      const valueStart = i;
      while (i < end && FIELD[buf[i]!] !== 0) i++;
      if (i >= end) break;
      let valueEnd = i;
      b = buf[i]!;
      if (b === CR) {
        if (i + 1 >= end) break;
        if (buf[i + 1] !== LF || !this.lineEnd(true)) return BAD;
        i += 2;
      } else if (b === LF) {
        if (!this.lineEnd(false)) return BAD;
        i++;
      } else {
        return BAD;
      }
      while (valueEnd > valueStart && (buf[valueEnd - 1] === SP || buf[valueEnd - 1] === HTAB)) valueEnd--;

      if (i - pos > this.maxLine) return TOO_LONG;
      if (valid) {
        if (this.count >= this.maxFields) return TOO_MANY;
        this.#add(pos, nameEnd, valueStart, valueEnd, hash);
      } else {
        this.skipped++;
      }
      pos = i;
    }
    this.pos = pos;
    return MORE;
  }

  #add(nameStart: number, nameEnd: number, valueStart: number, valueEnd: number, hash: number): void {
    this.add(nameStart, nameEnd, valueStart, valueEnd, hash, knownId(hash, this.buf, nameStart, nameEnd));
  }

  /** Adds a field whose bytes stand in `buf`. @param id what `knownId` says of the name */
  add(nameStart: number, nameEnd: number, valueStart: number, valueEnd: number, hash: number, id: number): void {
    let at = this.count * STRIDE;
    if (at + STRIDE > this.#index.length) {
      const grown = new Int32Array(this.#index.length * 2);
      grown.set(this.#index);
      this.#index = grown;
    }
    const index = this.#index;
    index[at++] = nameStart;
    index[at++] = nameEnd;
    index[at++] = valueStart;
    index[at++] = valueEnd;
    index[at++] = id;
    index[at] = hash;
    this.count++;
    if (id !== 0) {
      if (this.#first[id] === 0) this.#first[id] = this.count;
      else this.repeats = true;
    }
  }

  /** Index of the first field with the known name `id`, or -1. */
  first(id: number): number {
    return this.#first[id]! - 1;
  }

  has(id: number): boolean {
    return this.#first[id] !== 0;
  }

  /** Index of the next field after `i` with the same known name, or -1. */
  next(i: number): number {
    const id = this.#index[i * STRIDE + ID];
    for (let k = i + 1; k < this.count; k++) if (this.#index[k * STRIDE + ID] === id) return k;
    return -1;
  }

  id(i: number): number {
    return this.#index[i * STRIDE + ID]!;
  }

  hash(i: number): number {
    return this.#index[i * STRIDE + HASH]!;
  }

  nameStart(i: number): number {
    return this.#index[i * STRIDE + NAME_START]!;
  }

  nameEnd(i: number): number {
    return this.#index[i * STRIDE + NAME_END]!;
  }

  valueStart(i: number): number {
    return this.#index[i * STRIDE + VALUE_START]!;
  }

  valueEnd(i: number): number {
    return this.#index[i * STRIDE + VALUE_END]!;
  }

  /** The name as it was sent. */
  name(i: number): string {
    return this.buf.latin1Slice(this.nameStart(i), this.nameEnd(i));
  }

  value(i: number): string {
    return this.buf.latin1Slice(this.valueStart(i), this.valueEnd(i));
  }

  /** Value of the first field with the known name `id`, or null. */
  get(id: number): string | null {
    const i = this.first(id);
    return i < 0 ? null : this.value(i);
  }

  /** All values of a known name joined by `separator` (`, `; `; ` for cookies), or null. */
  joined(id: number, separator: string): string | null {
    let i = this.first(id);
    if (i < 0) return null;
    let text = this.value(i);
    while ((i = this.next(i)) >= 0) text += separator + this.value(i);
    return text;
  }

  /** Index of the first field named `lower` (any name, lower case) after field `after`, or -1. */
  find(lower: string, after = -1): number {
    const hash = hashName(lower);
    for (let i = after + 1; i < this.count; i++) {
      if (this.hash(i) === hash && this.#named(i, lower)) return i;
    }
    return -1;
  }

  /** Whether the name of field `i` is one of these (lower case). */
  namedAny(i: number, names: readonly string[] | undefined): boolean {
    if (names === undefined) return false;
    for (let k = 0; k < names.length; k++) if (this.#named(i, names[k]!)) return true;
    return false;
  }

  #named(i: number, lower: string): boolean {
    const start = this.nameStart(i);
    return this.nameEnd(i) - start === lower.length && sameName(lower, this.buf, start);
  }

  /** Whether the value of field `i` is exactly `text`. */
  valueEquals(i: number, text: string): boolean {
    const start = this.valueStart(i);
    const { length } = text;
    if (this.valueEnd(i) - start !== length) return false;
    for (let k = 0; k < length; k++) if (this.buf[start + k] !== text.charCodeAt(k)) return false;
    return true;
  }

  /** Whether the value of field `i` equals `lower` in any case. */
  valueIs(i: number, lower: string): boolean {
    const start = this.valueStart(i);
    return this.valueEnd(i) - start === lower.length && sameName(lower, this.buf, start);
  }
}
