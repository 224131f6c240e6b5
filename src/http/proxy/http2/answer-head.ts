/**
 * Makes an answer's head, or its trailers, of an HTTP/2 header block: the index over bytes that HTTP/1 answers have, over
 * bytes as HTTP/1 would have sent them.
 */
import { Buffer } from 'node:buffer';
import { EOL_CRLF } from '../../wire/header-block.ts';
import type { HeaderBlock } from '../../wire/header-block.ts';
import { H } from '../../wire/known.ts';
import { ResponseHead } from '../../wire/response-head.ts';
import { FieldSink } from '../../wire/h2/hpack-decoder.ts';
import { NAME_BAD, PSEUDO_STATUS, VALUE_BAD } from '../../wire/h2/hpack-table.ts';

const STATUS_LINE = Buffer.from('HTTP/1.1 000\r\n', 'latin1');
const DIGITS = 9;
const ROOM = 1024;

export class AnswerAssembler extends FieldSink {
  readonly head = new ResponseHead();
  /** What is wrong with the block; null: nothing. */
  fault: string | null = null;

  #block: HeaderBlock = this.head;
  #trailers = false;
  #status = 0;

  constructor() {
    super(Buffer.allocUnsafeSlow(ROOM));
  }

  beginHead(): void {
    this.fault = null;
    this.#trailers = false;
    this.#status = 0;
    this.#block = this.head;
    STATUS_LINE.copy(this.out);
    this.end = STATUS_LINE.length;
    this.head.reset(this.out, 0);
  }

  /** Trailers get bytes of their own: the head stays. */
  beginTrailers(trailers: HeaderBlock): void {
    this.fault = null;
    this.#trailers = true;
    this.#block = trailers;
    this.out = Buffer.allocUnsafeSlow(ROOM);
    this.end = 0;
    trailers.reset(this.out, 0);
  }

  onField(
    start: number,
    nameEnd: number,
    valueEnd: number,
    hash: number,
    id: number,
    flags: number,
    pseudo: number,
  ): void {
    if (this.fault !== null) {
      this.end = start;
      return;
    }
    if ((flags & (NAME_BAD | VALUE_BAD)) !== 0) {
      this.fault = `invalid header "${this.out.latin1Slice(start, valueEnd).replace(/[^\x20-\x7e]/g, '?')}"`;
      return;
    }
    if (pseudo !== 0) {
      this.#pseudo(start, nameEnd, valueEnd, pseudo);
      this.end = start;
      return;
    }
    if (!this.#trailers && this.#status === 0) {
      this.fault = 'no :status header';
      return;
    }
    if (this.#block.count >= this.#block.maxFields) {
      this.fault = 'too many header lines';
      return;
    }
    let value = nameEnd + 2;
    const { out } = this;
    while (value < valueEnd && (out[value] === 0x20 || out[value] === 9)) value++;
    while (valueEnd > value && (out[valueEnd - 1] === 0x20 || out[valueEnd - 1] === 9)) valueEnd--;
    this.#block.add(start, nameEnd, value, valueEnd, hash, id);
  }

  #pseudo(start: number, nameEnd: number, valueEnd: number, pseudo: number): void {
    const value = this.out.latin1Slice(nameEnd + 2, valueEnd);
    if (this.#trailers || pseudo !== PSEUDO_STATUS) {
      this.fault = `invalid header "${this.out.latin1Slice(start, valueEnd)}"`;
    } else if (this.#status !== 0) this.fault = 'duplicate :status header';
    else if (!/^[1-9]\d\d$/.test(value)) this.fault = `invalid :status "${value}"`;
    else if (value === '101') this.fault = 'unexpected :status "101"';
    else {
      this.#status = Number(value);
      this.out.latin1Write(value, DIGITS, 3);
    }
  }

  /** The block is complete. */
  finish(): void {
    this.reserve(2);
    const block = this.#block;
    this.out[this.end] = 13;
    this.out[this.end + 1] = 10;
    this.end += 2;
    block.buf = this.out;
    block.headStart = 0;
    block.pos = this.end;
    block.eol = EOL_CRLF;
    if (this.#trailers) return;
    const { head } = this;
    head.version = 11;
    head.status = this.#status;
    head.reasonStart = head.reasonEnd = DIGITS + 3;
    if (this.fault !== null) return;
    if (this.#status === 0) this.fault = 'no :status header';
    else if (head.has(H.connection) || head.has(H['transfer-encoding'])) {
      this.fault = `invalid header "${head.has(H.connection) ? 'connection' : 'transfer-encoding'}"`;
    }
  }
}
