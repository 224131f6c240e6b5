/** The body filter that recodes from one charset to another. */
import { Buffer } from 'node:buffer';
import type { HttpRequest } from '../../request.ts';
import { SENT } from '../../request.ts';
import { ChainedFilter } from '../chain.ts';
import type { Recoding } from './tables.ts';
import { Utf8Reader } from './utf8.ts';

/** One for all requests of the thread: whoever takes bytes copies what it cannot pass on at once. */
let scratch: Buffer = Buffer.alloc(0);

function room(n: number): Buffer {
  if (scratch.length < n) scratch = Buffer.allocUnsafeSlow(Math.max(n, 16_384));
  return scratch;
}

export class Recoder extends ChainedFilter {
  readonly #recoding: Recoding;
  readonly #reader: Utf8Reader | null;
  /** Bytes of the body so far. */
  #offset = 0;

  constructor(recoding: Recoding) {
    super();
    this.#recoding = recoding;
    this.#reader = recoding.kind === 'from utf-8' ? new Utf8Reader(recoding.table) : null;
  }

  override sendHead(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    if (r.headerOnly || buf === null || start === end) return this.nextHead(r, buf, start, end, last);
    const n = this.#recode(r, buf, start, end);
    return this.nextHead(r, scratch, 0, n, last);
  }

  override sendBody(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    if (buf === null || start === end) return this.nextBody(r, buf, start, end, last);
    const n = this.#recode(r, buf, start, end);
    return n === 0 && !last ? SENT : this.nextBody(r, scratch, 0, n, last);
  }

  /** Recodes into `scratch`. @returns how many bytes there are */
  #recode(r: HttpRequest, buf: Buffer, start: number, end: number): number {
    const n = end - start;
    const recoding = this.#recoding;
    if (this.#reader !== null) return this.#reader.read(buf, start, end, room(Utf8Reader.room(n)));
    if (recoding.kind === 'to utf-8') {
      const out = room(n * recoding.longest);
      let at = 0;
      for (let i = start; i < end; i++) {
        const character = recoding.table[buf[i]!]!;
        for (let k = 0; k < character.length; k++) out[at++] = character[k]!;
      }
      return at;
    }
    const out = room(n);
    const { table } = recoding;
    for (let i = 0; i < n; i++) out[i] = table[buf[start + i]!]!;
    if (r.multipart !== null) this.#restoreTexts(r.multipart.texts, buf, start, out, n);
    this.#offset += n;
    return n;
  }

  /** What stands between the ranges of a multipart answer is ours, and in ASCII already. */
  #restoreTexts(
    texts: readonly { start: number; end: number }[],
    buf: Buffer,
    start: number,
    out: Buffer,
    n: number,
  ): void {
    for (const text of texts) {
      const from = Math.max(text.start - this.#offset, 0);
      const to = Math.min(text.end - this.#offset, n);
      if (from < to) buf.copy(out, from, start + from, start + to);
    }
  }
}
