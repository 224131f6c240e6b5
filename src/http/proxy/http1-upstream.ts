/**
 * A connection to a server that speaks HTTP/1, and the reading side of that protocol: bytes in, events out. It outlives
 * exchanges: between two it lies in the group's idle pool.
 */
import { Buffer } from 'node:buffer';
import type { Transport, TransportOwner } from '../../net/transport.ts';
import { clock } from '../../net/clock.ts';
import { failedText } from '../../observe/errno.ts';
import { ChunkedDecoder, CHUNK_BAD, CHUNK_DATA, CHUNK_END } from '../wire/chunked.ts';
import type { IdleEntry } from '../../upstream/pool.ts';
import { EOL_CRLF } from '../wire/header-block.ts';
import type { HeaderBlock } from '../wire/header-block.ts';
import { H } from '../wire/known.ts';
import { DONE, MORE, NOT_HTTP } from '../wire/outcomes.ts';
import { ResponseHead } from '../wire/response-head.ts';
import { CONNECTION_CLOSE, connectionFlags, plainNumber } from '../server/framing.ts';

/** What an exchange is told by its connection. */
export interface UpstreamEvents {
  /** A final or interim head; body bytes follow by `onBody`. `again`: an interim head, another one follows. */
  onHead(head: ResponseHead): void;
  /** Body bytes of one read; `last`: the body ends with them. Also called without bytes to end it. */
  onBody(buf: Buffer, start: number, end: number, last: boolean): void;
  /** The server broke the protocol, or the connection. */
  onFailure(failure: Failure): void;
  /** What was written has been taken. */
  onUpstreamDrain(): void;
  /** Bytes after a 101. */
  onTunnelData(buf: Buffer, start: number, end: number): void;
  onTunnelEnd(): void;
}

export type FailureKind = 'error' | 'invalid' | 'cut';

export interface Failure {
  /** `error`: connection or premature end; `invalid`: not a valid answer; `cut`: the body broke off. */
  kind: FailureKind;
  /** The log's text. */
  message: string;
}

const IDLE = 0;
const HEAD = 1;
const BODY_LENGTH = 2;
const BODY_CHUNKED = 3;
const BODY_CLOSE = 4;
const TUNNEL = 5;
const CLOSED = 6;

export class Http1Upstream implements TransportOwner {
  transport!: Transport;
  readonly createdAt: number = clock.now;
  /** Exchanges so far. */
  requests = 0;
  readonly head = new ResponseHead();
  events: UpstreamEvents | null = null;
  /** The answer that was read leaves the connection fit for another exchange. */
  reusable = false;
  trailers: HeaderBlock | null = null;
  /** Body bytes of the present answer. */
  bodyLength = 0;
  /** Length as announced; -1: unknown. */
  contentLength = -1;
  /** More bytes arrived than the answer has ("upstream sent more data than specified"). */
  extra = false;
  /** Called when the connection ends while it lies in the pool. */
  onIdleClose: ((conn: Http1Upstream) => void) | null = null;
  idleEntry: IdleEntry<Http1Upstream> | null = null;

  #state = IDLE;
  #left = 0;
  #decoder: ChunkedDecoder | null = null;
  /** Bytes of a head that has not come to its end, or of one that must outlive the read buffer. */
  #buf: Buffer | null = null;
  #length = 0;
  #headRequest = false;
  #limit = 0;

  /** Begins an exchange. `headLimit`: proxy_buffer_size; `headRequest`: the answer has no body (HEAD). */
  begin(events: UpstreamEvents, headRequest: boolean, headLimit: number): void {
    this.events = events;
    this.requests++;
    this.reusable = false;
    this.extra = false;
    this.trailers = null;
    this.bodyLength = 0;
    this.contentLength = -1;
    this.#headRequest = headRequest;
    this.#limit = headLimit;
    this.#length = 0;
    this.#state = HEAD;
  }

  /** Ends an exchange: the connection is idle, or closed when it cannot be used again. */
  release(): void {
    this.events = null;
    if (this.#state !== CLOSED) this.#state = IDLE;
    // A pooled connection is watched: whatever arrives ends it.
    this.transport.resume();
  }

  /** Closes at once; no event follows. */
  destroy(): void {
    this.events = null;
    this.#state = CLOSED;
    this.transport.destroy();
  }

  get closed(): boolean {
    return this.#state === CLOSED || this.transport.closed;
  }

  onData(src: Buffer, pos: number, end: number): void {
    switch (this.#state) {
      case HEAD:
        this.#readHead(src, pos, end);
        return;
      case BODY_LENGTH:
      case BODY_CHUNKED:
      case BODY_CLOSE:
        this.#readBody(src, pos, end);
        return;
      case TUNNEL:
        this.events?.onTunnelData(src, pos, end);
        return;
      case IDLE:
        this.#dropIdle();
    }
  }

  #dropIdle(): void {
    this.#state = CLOSED;
    this.onIdleClose?.(this);
    this.transport.destroy();
  }

  #readHead(src: Buffer, pos: number, end: number): void {
    const head = this.head;
    let bodyStart = pos;
    for (;;) {
      let result: number;
      if (this.#length === 0) {
        head.reset(src, pos);
        result = head.parse(end);
        if (result === MORE) {
          if (end - pos > this.#limit) {
            this.#fail('invalid', 'upstream sent too big header while reading response header from upstream');
            return;
          }
          this.#keepBytes(src, pos, end);
          head.rebase(this.#buf!, -pos);
          return;
        }
        bodyStart = head.pos;
      } else {
        const before = this.#length;
        this.#append(src, pos, end);
        head.rebase(this.#buf!, 0);
        result = head.parse(this.#length);
        if (result === MORE) {
          if (this.#length > this.#limit) {
            this.#fail('invalid', 'upstream sent too big header while reading response header from upstream');
          }
          return;
        }
        bodyStart = pos + head.pos - before;
      }
      if (result !== DONE) {
        this.#invalidHead(result);
        return;
      }
      // The same for a head that came at once as for one that came in pieces.
      if (head.pos - head.headStart > this.#limit) {
        this.#fail('invalid', 'upstream sent too big header while reading response header from upstream');
        return;
      }
      if (head.status === 101 || head.status >= 200) break;
      // Interim answers are not for us; the next head follows (RFC 9110 section 15.2).
      this.#length = 0;
      pos = bodyStart;
      if (pos >= end) return;
    }

    const message = this.#frame(head);
    if (message !== null) {
      this.#fail('invalid', message);
      return;
    }
    const events = this.events!;
    const state = this.#state;
    // A pipelined request may begin its exchange on this connection, even by the same object, before these calls return.
    const exchange = this.requests;
    events.onHead(head);
    if (this.requests !== exchange) return;
    if (this.events !== events || this.#state !== state) {
      if (this.#state === TUNNEL && this.events === events && bodyStart < end) events.onTunnelData(src, bodyStart, end);
      return;
    }
    this.#readBody(src, bodyStart, end);
    // What refers to the head later (logs, variables) must not look into the shared read area.
    if (this.requests === exchange && this.events === events) this.keepHead();
  }

  /** Moves the head out of the area that others read into: for whoever asks for it after this read. */
  keepHead(): void {
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

  #invalidHead(result: number): void {
    if (result === NOT_HTTP) {
      this.#fail('invalid', 'upstream sent no valid HTTP/1.0 header while reading response header from upstream');
    } else this.#fail('invalid', 'upstream sent invalid header while reading response header from upstream');
  }

  /** Decides how the body is framed (RFC 9112 section 6.3); returns what is wrong with it, or null. */
  #frame(head: ResponseHead): string | null {
    const te = head.first(H['transfer-encoding']);
    const cl = head.first(H['content-length']);
    const keep =
      head.version >= 11 &&
      head.eol === EOL_CRLF &&
      !head.mixed &&
      (!head.has(H.connection) || (connectionFlags(head) & CONNECTION_CLOSE) === 0);
    this.reusable = keep;
    this.contentLength = -1;
    if (cl >= 0) {
      if (te >= 0)
        return 'upstream sent "Content-Length" and "Transfer-Encoding" headers at the same time while reading response header from upstream';
      if (head.next(cl) >= 0)
        return 'upstream sent duplicate header line: "Content-Length" while reading response header from upstream';
      this.contentLength = plainNumber(head, cl);
      if (this.contentLength < 0)
        return `upstream sent invalid "Content-Length" header: "${head.value(cl)}" while reading response header from upstream`;
    }
    if (te >= 0 && (head.next(te) >= 0 || !head.valueIs(te, 'chunked'))) {
      return `upstream sent unknown "Transfer-Encoding": "${head.value(te)}" while reading response header from upstream`;
    }
    if (this.#headRequest || head.status === 204 || head.status === 304 || head.status === 101) {
      this.#state = BODY_LENGTH;
      this.#left = 0;
      // A 204 has no body (RFC 9110 section 15.3.5): one that announces it may still send it.
      if (head.status === 204 && (te >= 0 || this.contentLength > 0)) this.reusable = false;
    } else if (te >= 0) {
      this.#state = BODY_CHUNKED;
      this.#decoder ??= new ChunkedDecoder(false);
      this.#decoder.reset();
    } else if (cl >= 0) {
      this.#state = BODY_LENGTH;
      this.#left = this.contentLength;
    } else {
      this.#state = BODY_CLOSE;
      this.reusable = false;
    }
    return null;
  }

  #readBody(src: Buffer, pos: number, end: number): void {
    const events = this.events!;
    if (this.#state === BODY_LENGTH) {
      const take = Math.min(this.#left, end - pos);
      this.#left -= take;
      this.bodyLength += take;
      const last = this.#left === 0;
      if (!last && take === 0) {
        events.onBody(src, pos, pos, false);
        return;
      }
      if (last) {
        this.#state = IDLE;
        // More than was announced: whatever it is, it is not an answer to anything.
        if (end - pos > take) {
          this.reusable = false;
          this.extra = true;
        }
      }
      events.onBody(src, pos, pos + take, last);
      return;
    }
    if (this.#state === BODY_CLOSE) {
      this.bodyLength += end - pos;
      events.onBody(src, pos, end, false);
      return;
    }
    this.#readChunked(src, pos, end, events);
  }

  /** Moves the data of all chunks in this read together, so that it goes on as one piece. */
  #readChunked(src: Buffer, pos: number, end: number, events: UpstreamEvents): void {
    const decoder = this.#decoder!;
    let start = pos;
    let at = pos;
    for (;;) {
      const event = decoder.next(src, pos, end);
      pos = decoder.pos;
      if (event === CHUNK_DATA) {
        if (at === start) {
          start = decoder.dataStart;
          at = decoder.dataEnd;
        } else {
          if (decoder.dataStart !== at) src.copyWithin(at, decoder.dataStart, decoder.dataEnd);
          at += decoder.dataEnd - decoder.dataStart;
        }
        continue;
      }
      this.bodyLength += at - start;
      if (event === CHUNK_BAD) {
        const exchange = this.requests;
        if (at > start) events.onBody(src, start, at, false);
        if (this.requests === exchange && this.events === events)
          this.#fail('cut', 'upstream sent invalid chunked response while reading upstream');
        return;
      }
      const last = event === CHUNK_END;
      if (last) {
        this.#state = IDLE;
        this.trailers = decoder.trailers;
        if (decoder.unclean) this.reusable = false;
        if (pos < end) {
          this.reusable = false;
          this.extra = true;
        }
      }
      events.onBody(src, start, at, last);
      return;
    }
  }

  /** From now on bytes pass uninterpreted. */
  upgrade(): void {
    this.#state = TUNNEL;
    this.reusable = false;
  }

  #fail(kind: FailureKind, message: string): void {
    const events = this.events;
    this.#state = CLOSED;
    this.reusable = false;
    if (events !== null) events.onFailure({ kind, message });
  }

  onEnd(): void {
    this.#over(null);
  }

  onClose(error: Error | null): void {
    if (this.#state === TUNNEL) {
      const events = this.events;
      this.#state = CLOSED;
      events?.onTunnelEnd();
      return;
    }
    this.#over(error);
  }

  #over(error: Error | null): void {
    const events = this.events;
    switch (this.#state) {
      case IDLE:
        if (events === null) this.#dropIdle();
        return;
      case HEAD:
        this.#fail(
          'error',
          error === null
            ? 'upstream prematurely closed connection while reading response header from upstream'
            : `${failedText('recv()', error)} while reading response header from upstream`,
        );
        return;
      case BODY_CLOSE:
        if (error !== null) {
          this.#fail('cut', `${failedText('recv()', error)} while reading upstream`);
          return;
        }
        this.#state = CLOSED;
        if (events !== null) events.onBody(EMPTY, 0, 0, true);
        return;
      case BODY_LENGTH:
      case BODY_CHUNKED:
        this.#fail(
          'cut',
          error === null
            ? 'upstream prematurely closed connection while reading upstream'
            : `${failedText('recv()', error)} while reading upstream`,
        );
        return;
      case TUNNEL:
        events?.onTunnelEnd();
    }
  }

  onDrain(): void {
    this.events?.onUpstreamDrain();
  }
}

const EMPTY = Buffer.alloc(0);
