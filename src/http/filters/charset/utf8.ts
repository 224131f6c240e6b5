/**
 * UTF-8 that comes in pieces, to a charset of single bytes. What the charset has not becomes a character reference of HTML
 * (`&#8364;`), what is no UTF-8 becomes `?` (ngx_http_charset_recode_from_utf8). A byte of ASCII is never taken for the
 * rest of a broken character: quotes and angle brackets stay.
 */
import type { Buffer } from 'node:buffer';

/** `&#1114111;` */
const LONGEST_REFERENCE = 10;
const UNKNOWN = 0x3f;

export class Utf8Reader {
  readonly #table: Uint8Array;
  /** Code point so far, and how many bytes of it are to come. */
  #point = 0;
  #missing = 0;
  /** Smallest code point that is written with so many bytes: a shorter form is no UTF-8. */
  #least = 0;

  /** @param table byte of the charset by code point; 0: it has none */
  constructor(table: Uint8Array) {
    this.#table = table;
  }

  /** Room that `n` bytes may need. */
  static room(n: number): number {
    // Two bytes may become a reference of seven, and the first one ends what was begun before.
    return n * 5 + LONGEST_REFERENCE;
  }

  /** Recodes `buf[start, end)` into `out`. @returns how many bytes were written */
  read(buf: Buffer, start: number, end: number, out: Buffer): number {
    let at = 0;
    for (let i = start; i < end; i++) {
      const b = buf[i]!;
      if (this.#missing > 0) {
        if ((b & 0xc0) === 0x80) {
          this.#point = (this.#point << 6) | (b & 0x3f);
          if (--this.#missing === 0) at = this.#write(out, at);
          continue;
        }
        this.#missing = 0;
        out[at++] = UNKNOWN;
      }
      if (b < 0x80) out[at++] = this.#table[b] || b;
      else if (b >= 0xf0 && b < 0xf5) this.#begin(b & 7, 3, 0x10000);
      else if (b >= 0xe0 && b < 0xf0) this.#begin(b & 15, 2, 0x800);
      else if (b >= 0xc2 && b < 0xe0) this.#begin(b & 31, 1, 0x80);
      else out[at++] = UNKNOWN;
    }
    return at;
  }

  #begin(bits: number, missing: number, least: number): void {
    this.#point = bits;
    this.#missing = missing;
    this.#least = least;
  }

  #write(out: Buffer, at: number): number {
    const point = this.#point;
    if (point < this.#least || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) {
      out[at] = UNKNOWN;
      return at + 1;
    }
    const byte = point < 0x10000 ? this.#table[point]! : 0;
    if (byte === 0) return at + out.latin1Write(`&#${point};`, at);
    out[at] = byte;
    return at + 1;
  }
}
