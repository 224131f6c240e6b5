/**
 * memcached's text protocol, as far as answers come from it: `get KEY`, and a value, or none. Bytes in, events out.
 *
 * A value becomes an answer with status 200, its length, and `Content-Encoding: gzip` if its flags say so; no value
 * becomes 404.
 */
import { Buffer } from 'node:buffer';
import { output } from '../../../net/output.ts';
import { CgiHead } from '../../wire/cgi-head.ts';
import { EMPTY, IDLE, TransportChannel } from '../transport-channel.ts';
import type { OutgoingRequest } from '../upstream-channel.ts';

const LINE = 1;
const VALUE = 2;
const TRAILER = 3;

/** What follows a value. */
const TRAILER_BYTES = Buffer.from('\r\nEND\r\n', 'latin1');
const PLAIN = Buffer.from('\r\n', 'latin1');
const GZIPPED = Buffer.from('Content-Encoding: gzip\r\n\r\n', 'latin1');
const LF = 10;

const VALUE_LINE = /^ (\S+) (\d{1,15})$/;
const FLAGS = /^\d{1,10}$/;

export class MemcachedChannel extends TransportChannel {
  readonly #head = new CgiHead(false);
  readonly #gzipFlag: number;
  #key = '';
  /** The first line, as far as it has come. */
  #line = '';
  #limit = 0;
  #headOnly = false;
  /** Bytes of the value, or of what follows it, to come. */
  #left = 0;

  /** @param gzipFlag a value with any of these flags is compressed; 0: flags are not looked at */
  constructor(gzipFlag: number) {
    super();
    this.#gzipFlag = gzipFlag;
  }

  protected beginAnswer(headOnly: boolean, headLimit: number): void {
    this.#headOnly = headOnly;
    this.#limit = headLimit;
    this.#line = '';
    this.state = LINE;
  }

  sendRequest(request: OutgoingRequest): number {
    this.compose(request);
    // `get KEY\r\n`: what the answer must name.
    this.#key = output.buf.latin1Slice(4, output.length - 2);
    return this.transport.write(output.buf, 0, output.length);
  }

  keepHead(): void {}

  protected read(src: Buffer, pos: number, end: number): void {
    if (this.state !== LINE) {
      this.#readValue(src, pos, end);
      return;
    }
    const lf = src.indexOf(LF, pos);
    const found = lf >= 0 && lf < end;
    this.#line += src.latin1Slice(pos, found ? lf + 1 : end);
    if (this.#line.length > this.#limit) {
      this.fail('invalid', 'upstream sent too big header while reading response header from upstream');
    } else if (found) {
      if (this.#readLine(this.#line, lf + 1 === end)) this.#readValue(src, lf + 1, end);
    }
  }

  /** @param alone nothing came behind the line. @returns whether a value follows and is wanted */
  #readLine(line: string, alone: boolean): boolean {
    const text = line.endsWith('\r\n') ? line.slice(0, -2) : '';
    if (text === 'END') {
      this.events!.onMessage('info', `key: "${this.#key}" was not found by memcached`);
      this.contentLength = 0;
      this.state = TRAILER;
      this.#left = 0;
      this.reusable = this.complete = alone;
      return this.#giveHead(404, PLAIN);
    }
    if (!text.startsWith('VALUE ')) return this.#invalid(`response: "${text || line}"`);
    const named = `"${text}" for key "${this.#key}"`;
    if (!text.startsWith(this.#key, 6)) return this.#invalid(`key in response ${named}`);
    const match = VALUE_LINE.exec(text.slice(6 + this.#key.length));
    if (match === null) return this.#invalid(`response: "${text}"`);
    const [, flags = '', length] = match;
    if (this.#gzipFlag !== 0 && !FLAGS.test(flags)) return this.#invalid(`flags in response ${named}`);
    this.contentLength = this.#left = Number(length);
    this.state = VALUE;
    // Flags have 32 bits.
    const gzipped = this.#gzipFlag !== 0 && (Number(flags) & this.#gzipFlag) !== 0;
    return this.#giveHead(200, gzipped ? GZIPPED : PLAIN);
  }

  #invalid(what: string): boolean {
    this.fail('invalid', `memcached sent invalid ${what} while reading response header from upstream`);
    return false;
  }

  #giveHead(status: number, bytes: Buffer): boolean {
    const head = this.#head;
    head.reset(bytes, 0);
    head.parse(bytes.length);
    head.status = status;
    if (!this.giveHead(head)) return false;
    if (!this.#headOnly && (status === 200 || this.#left > 0)) return true;
    // What a HEAD does not ask for is not worth reading.
    if (status === 200) this.reusable = false;
    this.#done(EMPTY, 0, 0);
    return false;
  }

  #readValue(src: Buffer, pos: number, end: number): void {
    const start = pos;
    let valueEnd = pos;
    if (this.state === VALUE) {
      const take = Math.min(this.#left, end - pos);
      this.#left -= take;
      pos = valueEnd = pos + take;
      if (this.#left > 0) {
        this.events!.onBody(src, start, valueEnd, false);
        return;
      }
      this.state = TRAILER;
      this.#left = TRAILER_BYTES.length;
    }
    const take = Math.min(this.#left, end - pos);
    const from = TRAILER_BYTES.length - this.#left;
    if (TRAILER_BYTES.compare(src, pos, pos + take, from, from + take) !== 0 || end - pos > this.#left) {
      // The value is whole all the same: the answer ends here, the connection too.
      this.events!.onMessage('error', 'memcached sent invalid trailer while reading upstream');
      this.#done(src, start, valueEnd);
      return;
    }
    this.#left -= take;
    if (this.#left > 0) {
      this.events!.onBody(src, start, valueEnd, false);
      return;
    }
    this.reusable = true;
    this.#done(src, start, valueEnd);
  }

  #done(src: Buffer, start: number, end: number): void {
    this.state = IDLE;
    this.events!.onBody(src, start, end, true);
  }

  protected ended(error: Error | null): void {
    if (this.state === LINE) this.endedInHead(error);
    else this.endedInBody(error);
  }
}
