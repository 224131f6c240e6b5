/**
 * The body of a request of HTTP/2: what comes goes to whoever takes it, or waits; the client may send as much as there is
 * room for (RFC 9113 section 5.2).
 */
import { Buffer } from 'node:buffer';
import type { HttpRequest } from '../request.ts';
import * as engine from '../engine.ts';
import { logRequest } from '../request-log.ts';
import { H } from '../wire/known.ts';
import { MAX_WINDOW } from '../wire/h2/constants.ts';
import { FEED_FAILED, FEED_TOO_LARGE } from './body.ts';
import type { Http2Stream } from './http2-stream.ts';

/** Pieces below this are put together. */
const GATHERED = 4096;
const EMPTY = Buffer.alloc(0);

/** One a stream, for all of its requests. */
export class Http2Body {
  readonly #stream: Http2Stream;
  /** What came before anybody wanted it. */
  ahead: Buffer | null = null;

  constructor(stream: Http2Stream) {
    this.#stream = stream;
  }

  /** Bytes of DATA; `last`: END_STREAM came with them. */
  take(buf: Buffer, start: number, end: number, last: boolean): void {
    const stream = this.#stream;
    const r = stream.request;
    const { body } = r;
    if (last) stream.inClosed = true;
    if (stream.over || r.ended) return;
    if (body.complete) {
      if (end > start && !body.discarding && body.received === 0 && r.bodyLength === 0) this.#tooLong();
      return;
    }
    // Small pieces of one read go on together.
    const gathers = body.streaming && end - start < GATHERED;
    if (gathers || body.undecided || body.held || this.ahead !== null) {
      if (end > start) {
        const more = buf.subarray(start, end);
        this.ahead = this.ahead === null ? Buffer.from(more) : Buffer.concat([this.ahead, more]);
      }
      stream.connection.later(stream);
      return;
    }
    this.#feed(buf, start, end);
  }

  /** The read is over: what was gathered goes on, if somebody takes it. */
  flush(): void {
    const stream = this.#stream;
    const { body } = stream.request;
    if (stream.over || stream.request.ended || body.complete || body.undecided || body.held) return;
    const ahead = this.ahead ?? EMPTY;
    this.ahead = null;
    this.#feed(ahead, 0, ahead.length);
  }

  #feed(buf: Buffer, start: number, end: number): void {
    const stream = this.#stream;
    const r = stream.request;
    const { body } = r;
    if (end > start) {
      const result = body.feed(buf, start, end, stream.inClosed && this.ahead === null);
      r.bytesReceived += end - start;
      if (result < 0) {
        if (result === FEED_TOO_LARGE) this.#failed(413, 'client intended to send too large chunked body');
        else if (result === FEED_FAILED) this.#failed(500, 'request body could not be stored');
        else this.#tooLong();
        return;
      }
    }
    if (stream.over || r.body !== body) return;
    if (stream.inClosed && this.ahead === null && !body.held) {
      stream.bodyCame();
      if (!body.end()) this.#failed(400, 'client prematurely closed stream');
      return;
    }
    if (!body.held) {
      stream.waitForBody(r.loc.core.clientBodyTimeoutMs);
      this.#openWindow();
    }
  }

  #tooLong(): void {
    this.#failed(400, 'client intended to send body data larger than declared');
  }

  #failed(status: number, why: string): void {
    const stream = this.#stream;
    const r = stream.request;
    r.body.discard();
    r.body.complete = true;
    this.ahead = null;
    if (r.ended || stream.over) return;
    logRequest(r, status === 413 ? 'error' : 'info', why);
    const { producer } = r;
    r.producer = null;
    if (producer !== null) producer.onAbort(r);
    if (r.headSent) stream.abort(r);
    else engine.finalize(r, status);
  }

  /** Lets the client send as much as there is room for. */
  #openWindow(): void {
    const stream = this.#stream;
    if (stream.inClosed || stream.reset || stream.request.body.discarding) return;
    const { body, loc } = stream.request;
    const { bodyPrereadSize } = stream.connection.settings;
    if (!body.streaming) {
      // It goes to memory or to a file as fast as it comes.
      if (stream.recvWindow >= MAX_WINDOW / 4) return;
      stream.connection.link.windowUpdate(stream.id, MAX_WINDOW - stream.recvWindow);
      stream.recvWindow = MAX_WINDOW;
      return;
    }
    const target = Math.min(MAX_WINDOW, Math.max(bodyPrereadSize, loc.core.clientBodyBufferSize));
    if (stream.recvWindow >= target) return;
    stream.connection.link.windowUpdate(stream.id, target - stream.recvWindow);
    stream.recvWindow = target;
  }

  resume(r: HttpRequest): void {
    const stream = this.#stream;
    const { body } = r;
    body.held = false;
    if (body.complete || stream.over) return;
    const ahead = this.ahead;
    this.ahead = null;
    if (ahead !== null || stream.inClosed) {
      this.#feed(ahead ?? EMPTY, 0, ahead === null ? 0 : ahead.length);
      return;
    }
    this.#maybeContinue(r);
    stream.waitForBody(r.loc.core.clientBodyTimeoutMs);
    this.#openWindow();
  }

  #maybeContinue(r: HttpRequest): void {
    if (r.headSent || r.body.received > 0 || !r.head.has(H.expect)) return;
    const i = r.head.first(H.expect);
    if (r.head.valueIs(i, '100-continue')) this.#stream.sendInformational(r, 100, null);
  }
}
