/**
 * The thread's scratch buffer for messages that are composed before they are written: a head and the first bytes of its
 * body go out in one write. Writing never keeps it.
 */
import { Buffer } from 'node:buffer';

const SIZE = 128 * 1024;

export class Output {
  buf: Buffer = Buffer.allocUnsafeSlow(SIZE);
  length = 0;

  /** Makes room for `n` more bytes. */
  reserve(n: number): void {
    if (this.length + n <= this.buf.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.buf.length * 2, this.length + n));
    this.buf.copy(grown, 0, 0, this.length);
    this.buf = grown;
  }

  /** Appends bytes. A native copy costs as much as 20 bytes copied by hand. */
  bytes(src: Buffer, start: number, end: number): void {
    const n = end - start;
    if (this.length + n > this.buf.length) this.reserve(n);
    if (n > 20) src.copy(this.buf, this.length, start, end);
    else {
      const dst = this.buf;
      let at = this.length;
      for (let i = start; i < end; i++) dst[at++] = src[i]!;
    }
    this.length += n;
  }

  /** Appends latin1 text. */
  text(s: string): void {
    const n = s.length;
    if (this.length + n > this.buf.length) this.reserve(n);
    if (n <= 48) {
      const dst = this.buf;
      let at = this.length;
      for (let i = 0; i < n; i++) dst[at++] = s.charCodeAt(i);
      this.length = at;
    } else {
      this.length += this.buf.latin1Write(s, this.length, n);
    }
  }

  byte(b: number): void {
    if (this.length >= this.buf.length) this.reserve(1);
    this.buf[this.length++] = b;
  }

  crlf(): void {
    if (this.length + 2 > this.buf.length) this.reserve(2);
    this.buf[this.length++] = 13;
    this.buf[this.length++] = 10;
  }

  /** Appends a number that is not negative, in decimal. */
  decimal(n: number): void {
    if (this.length + 20 > this.buf.length) this.reserve(20);
    if (n < 10) {
      this.buf[this.length++] = 48 + n;
      return;
    }
    let digits = 1;
    for (let p = 10; p <= n; p *= 10) digits++;
    let at = (this.length += digits);
    while (digits-- > 0) {
      const q = Math.floor(n / 10);
      this.buf[--at] = 48 + (n - q * 10);
      n = q;
    }
  }

  /** Appends a number in hexadecimal. */
  hex(n: number): void {
    this.text(n.toString(16));
  }
}

/** One scratch a thread. Whoever composes sets `length = 0` first and writes before anything else can run. */
export const output: Output = new Output();
