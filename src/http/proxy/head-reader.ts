/** Reads an answer's head out of reads of any size: in place when it comes in one piece, gathered when it does not. */
import { Buffer } from 'node:buffer';
import { plainNumber } from '../server/framing.ts';
import { H } from '../wire/known.ts';
import { DONE, MORE, TOO_LONG } from '../wire/outcomes.ts';
import { ResponseHead } from '../wire/response-head.ts';

/** What the log's texts end with. */
export const READING_HEAD = 'while reading response header from upstream';
export const READING_BODY = 'while reading upstream';

/** The log's text for a head that was refused. @param result of `read` */
export function headFault(result: number): string {
  return `upstream sent ${result === TOO_LONG ? 'too big' : 'invalid'} header ${READING_HEAD}`;
}

/** Length of the body as a CGI head announces it; -1: not at all, -2: not so that it could be believed. */
export function announcedLength(head: ResponseHead): number {
  const at = head.first(H['content-length']);
  if (at < 0) return -1;
  const length = head.next(at) >= 0 ? -1 : plainNumber(head, at);
  return length < 0 ? -2 : length;
}

export class HeadReader {
  readonly head: ResponseHead;
  /** After `DONE`: where the bytes that follow the head begin in what was read last. */
  bodyStart = 0;
  /** Bytes of a head that has not come to its end, or of one that must outlive the read area. */
  #buf: Buffer | null = null;
  #length = 0;
  #limit = 0;

  constructor(head: ResponseHead = new ResponseHead()) {
    this.head = head;
  }

  /** @param limit largest head in bytes */
  begin(limit: number): void {
    this.#limit = limit;
    this.#length = 0;
  }

  /** @returns `DONE`, `MORE`, `TOO_LONG`, or what the parser said against it */
  read(src: Buffer, pos: number, end: number): number {
    const { head } = this;
    let result: number;
    if (this.#length === 0) {
      head.reset(src, pos);
      result = head.parse(end);
      if (result === MORE) {
        if (end - pos > this.#limit) return TOO_LONG;
        this.#keepBytes(src, pos, end);
        head.rebase(this.#buf!, -pos);
        return MORE;
      }
      this.bodyStart = head.pos;
    } else {
      const before = this.#length;
      this.#append(src, pos, end);
      head.rebase(this.#buf!, 0);
      result = head.parse(this.#length);
      if (result === MORE) return this.#length > this.#limit ? TOO_LONG : MORE;
      this.bodyStart = pos + head.pos - before;
    }
    // The same for a head that came at once as for one that came in pieces.
    return result === DONE && head.pos - head.headStart > this.#limit ? TOO_LONG : result;
  }

  /** The head was an interim one: another one follows. */
  again(): void {
    this.#length = 0;
  }

  /** Moves the head out of the area that others read into: for whoever asks for it after this read. */
  keep(): void {
    const { head } = this;
    if (head.buf === this.#buf) return;
    const from = head.headStart;
    this.#keepBytes(head.buf, from, head.pos);
    head.rebase(this.#buf!, -from);
  }

  #keepBytes(src: Buffer, start: number, end: number): void {
    const n = end - start;
    if (this.#buf === null || this.#buf.length < n) this.#buf = Buffer.allocUnsafe(Math.max(n, 1024));
    src.copy(this.#buf, 0, start, end);
    this.#length = n;
  }

  #append(src: Buffer, start: number, end: number): void {
    // No more than the limit can belong to the head.
    const n = Math.min(end - start, Math.max(0, this.#limit + 1 - this.#length));
    if (this.#buf!.length < this.#length + n) {
      const grown = Buffer.allocUnsafe((this.#length + n) * 2);
      this.#buf!.copy(grown, 0, 0, this.#length);
      this.#buf = grown;
    }
    src.copy(this.#buf!, this.#length, start, start + n);
    this.#length += n;
  }
}
