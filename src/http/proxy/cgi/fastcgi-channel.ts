/** FastCGI to servers: the answer out of the records of standard output, messages out of those of standard error. */
import type { Buffer } from 'node:buffer';
import { output } from '../../../net/output.ts';
import { CgiHead } from '../../wire/cgi-head.ts';
import { DONE, MORE as MORE_HEAD } from '../../wire/outcomes.ts';
import { announcedLength, headFault, HeadReader, READING_BODY, READING_HEAD } from '../head-reader.ts';
import { EMPTY, IDLE, TransportChannel } from '../transport-channel.ts';
import type { OutgoingRequest } from '../upstream-channel.ts';
import { UNKNOWN_LENGTH } from '../upstream-channel.ts';
import {
  BAD,
  DATA,
  END,
  END_REQUEST,
  MORE,
  putEnd,
  putRecords,
  RecordReader,
  STDERR,
  STDIN,
  STDOUT,
} from './fastcgi-records.ts';

const HEAD = 1;
const BODY = 2;

export interface FastcgiOptions {
  keepConn: boolean;
  /** Texts in the error stream that make an answer invalid. */
  catchStderr: readonly string[];
}

export class FastcgiChannel extends TransportChannel {
  readonly #options: FastcgiOptions;
  readonly #records = new RecordReader();
  readonly #reader = new HeadReader(new CgiHead(false));
  #headOnly = false;
  /** Bytes of the body to come; -1: not announced. */
  #left = 0;
  #bodySent = false;
  /** Standard output has ended. */
  #closed = false;

  constructor(options: FastcgiOptions) {
    super();
    this.#options = options;
  }

  protected beginAnswer(headOnly: boolean, headLimit: number): void {
    this.#headOnly = headOnly;
    this.#records.reset();
    this.#reader.begin(headLimit);
    this.#closed = false;
    this.state = HEAD;
  }

  sendRequest(request: OutgoingRequest): number {
    const o = output;
    o.length = 0;
    request.plan.compose(o, request);
    if (request.first !== null) putRecords(o, STDIN, request.first, 0, request.firstLength);
    // A body that is here as a whole, or none: the stream ends.
    this.#bodySent = request.bodyLength !== UNKNOWN_LENGTH && request.firstLength >= request.bodyLength;
    if (this.#bodySent) putEnd(o, STDIN);
    return this.transport.write(o.buf, 0, o.length);
  }

  override sendBody(buf: Buffer, start: number, end: number): number {
    const o = output;
    o.length = 0;
    putRecords(o, STDIN, buf, start, end);
    return this.transport.write(o.buf, 0, o.length);
  }

  override endBody(): void {
    if (this.#bodySent) return;
    this.#bodySent = true;
    const o = output;
    o.length = 0;
    putEnd(o, STDIN);
    this.transport.write(o.buf, 0, o.length);
  }

  keepHead(): void {
    this.#reader.keep();
  }

  protected read(src: Buffer, pos: number, end: number): void {
    const records = this.#records;
    if (this.state === BODY) this.#readBody(src, pos, pos, pos, end);
    else if (this.#readHead(src, pos, end)) {
      const exchange = this.requests;
      this.#readBody(src, this.#reader.bodyStart, records.dataEnd, records.pos, end);
      // What refers to the head later must not look into the shared read area.
      if (this.requests === exchange && this.events !== null) this.keepHead();
    }
  }

  /** @returns whether a body follows; it begins in the bytes of the record at hand */
  #readHead(src: Buffer, pos: number, end: number): boolean {
    const records = this.#records;
    for (;;) {
      const event = records.next(src, pos, end);
      pos = records.pos;
      if (event === MORE) return false;
      if (event === BAD) return this.#invalid(records.fault);
      if (records.type === STDERR) {
        if (event === DATA && !this.#stderr(src, READING_HEAD)) return false;
        continue;
      }
      if (records.type === END_REQUEST) return this.#invalid(`upstream sent unexpected FastCGI record: ${END_REQUEST}`);
      if (event === END) return this.#invalid('upstream prematurely closed FastCGI stdout');
      const result = this.#reader.read(src, records.dataStart, records.dataEnd);
      if (result === MORE_HEAD) continue;
      if (result === DONE) return this.#headDone();
      this.fail('invalid', headFault(result));
      return false;
    }
  }

  #invalid(message: string): boolean {
    this.fail('invalid', `${message} ${READING_HEAD}`);
    return false;
  }

  #headDone(): boolean {
    const { head } = this.#reader;
    this.contentLength = announcedLength(head);
    if (this.contentLength < -1) {
      this.fail('invalid', `upstream sent invalid "Content-Length" header ${READING_HEAD}`);
      return false;
    }
    this.#left = head.status === 204 || head.status === 304 ? 0 : this.contentLength;
    this.state = BODY;
    if (!this.giveHead(head)) return false;
    if (!this.#headOnly) return true;
    // What a HEAD does not ask for is not worth reading.
    this.#done(EMPTY, 0, 0);
    return false;
  }

  /** Gives on what is in this read, moved together; `src[from, to)` is known to be of the body. */
  #readBody(src: Buffer, from: number, to: number, pos: number, end: number): void {
    const records = this.#records;
    let start = from;
    let at = this.#take(src, from, to, from);
    while (!this.extra) {
      const event = records.next(src, pos, end);
      pos = records.pos;
      if (event === MORE) {
        this.events!.onBody(src, start, at, false);
        return;
      }
      if (event === BAD) {
        this.#cut(src, start, at, records.fault);
        return;
      }
      if (records.type === STDERR) {
        if (event === DATA) this.#stderr(src, READING_BODY);
      } else if (event === DATA) {
        if (at === start) start = at = records.dataStart;
        at = this.#take(src, records.dataStart, records.dataEnd, at);
      } else {
        const what = records.type === STDOUT ? 'stdout' : 'request';
        if (this.#left > 0) {
          this.#cut(src, start, at, `upstream prematurely closed FastCGI ${what}`);
          return;
        }
        if (records.type === STDOUT) {
          // Who closes now would cut off a server that is still to say that the request has ended.
          this.#closed = true;
          continue;
        }
        this.reusable = this.#options.keepConn && end - pos === records.padding;
        break;
      }
    }
    this.#done(src, start, at);
  }

  /** Moves content to `at`, as much as was announced. @returns where it ends there */
  #take(src: Buffer, from: number, to: number, at: number): number {
    let n = to - from;
    if (this.#left >= 0) {
      if (n > this.#left) {
        n = this.#left;
        this.extra = true;
      }
      this.#left -= n;
    }
    if (from !== at) src.copyWithin(at, from, from + n);
    return at + n;
  }

  #done(src: Buffer, start: number, end: number): void {
    this.state = IDLE;
    this.events!.onBody(src, start, end, true);
  }

  /** The answer breaks off; what came of it goes on before, if it is only the head. */
  #cut(src: Buffer, start: number, end: number, message: string): void {
    const { events, requests } = this;
    events!.onBody(src, start, end, false);
    if (this.requests === requests && this.events === events) this.fail('cut', `${message} ${READING_BODY}`);
  }

  /** Logs a piece of the error stream. @returns false: it made the answer invalid */
  #stderr(src: Buffer, doing: string): boolean {
    const text = src.latin1Slice(this.#records.dataStart, this.#records.dataEnd).replace(/[\r\n. ]+$/, '');
    this.events!.onMessage('error', `FastCGI sent in stderr: "${text}" ${doing}`);
    if (this.state !== HEAD || !this.#options.catchStderr.some((caught) => text.includes(caught))) return true;
    this.fail('invalid', `FastCGI stderr holds what fastcgi_catch_stderr names ${doing}`);
    return false;
  }

  protected ended(error: Error | null): void {
    if (this.state === HEAD) this.endedInHead(error);
    else if (this.#closed || (error === null && this.#left <= 0 && !this.#options.keepConn)) this.#done(EMPTY, 0, 0);
    else this.endedInBody(error);
  }
}
