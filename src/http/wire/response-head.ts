/** The head of an HTTP/1 answer from a server: status line (RFC 9112 section 4) and header fields. Pure. */
import { Buffer } from 'node:buffer';
import { CR, FIELD, LF, SP } from './bytes.ts';
import { HeaderBlock } from './header-block.ts';
import { BAD, DONE, MORE, NOT_HTTP } from './outcomes.ts';

export class ResponseHead extends HeaderBlock {
  /** 10 or 11. */
  version = 0;
  status = 0;
  reasonStart = 0;
  reasonEnd = 0;

  #lineDone = false;

  constructor() {
    super(false);
  }

  override reset(buf: Buffer, pos: number): void {
    super.reset(buf, pos);
    this.#lineDone = false;
    this.status = 0;
  }

  override rebase(buf: Buffer, delta: number): void {
    super.rebase(buf, delta);
    this.reasonStart += delta;
    this.reasonEnd += delta;
  }

  override parse(end: number): number {
    if (!this.#lineDone) {
      const result = this.parseLine(end);
      if (result !== DONE) return result;
      this.#lineDone = true;
    }
    return super.parse(end);
  }

  protected parseLine(end: number): number {
    const buf = this.buf;
    let i = this.pos;
    const expected = 'HTTP/';
    for (let k = 0; k < 5; k++) {
      if (i + k >= end) return MORE;
      if (buf[i + k] !== expected.charCodeAt(k)) return NOT_HTTP;
    }
    if (i + 12 >= end) return MORE;
    const major = buf[i + 5]! - 0x30;
    const minor = buf[i + 7]! - 0x30;
    if (major !== 1 || minor < 0 || minor > 9 || buf[i + 6] !== 0x2e || buf[i + 8] !== SP) return NOT_HTTP;
    this.version = minor === 0 ? 10 : 11;
    const a = buf[i + 9]! - 0x30;
    const b = buf[i + 10]! - 0x30;
    const c = buf[i + 11]! - 0x30;
    if (a < 1 || a > 9 || b < 0 || b > 9 || c < 0 || c > 9) return NOT_HTTP;
    this.status = a * 100 + b * 10 + c;
    i += 12;
    // The reason phrase may be missing, with or without its space.
    if (buf[i] === SP) i++;
    else if (buf[i] !== CR && buf[i] !== LF) return NOT_HTTP;
    this.reasonStart = i;
    while (i < end && FIELD[buf[i]!] !== 0) i++;
    if (i >= end) return MORE;
    this.reasonEnd = i;
    if (buf[i] === LF) {
      this.lineEnd(false);
      this.pos = i + 1;
      return DONE;
    }
    if (buf[i] !== CR) return BAD;
    if (i + 1 >= end) return MORE;
    if (buf[i + 1] !== LF) return BAD;
    this.lineEnd(true);
    this.pos = i + 2;
    return DONE;
  }

  /** A copy that does not depend on the bytes any more. */
  snapshot(): ResponseHead {
    const copy = this.empty();
    const bytes = Buffer.from(this.buf.subarray(this.headStart, this.pos));
    copy.reset(bytes, 0);
    copy.parse(bytes.length);
    return copy;
  }

  protected empty(): ResponseHead {
    return new ResponseHead();
  }

  reason(): string {
    return this.buf.latin1Slice(this.reasonStart, this.reasonEnd);
  }
}
