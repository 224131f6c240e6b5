/** HTTP/1 to servers: bytes in, events out (RFC 9112). */
import { Buffer } from 'node:buffer';
import { output } from '../../net/output.ts';
import type { Transport } from '../../net/transport.ts';
import { ChunkedDecoder, CHUNK_BAD, CHUNK_DATA, CHUNK_END } from '../wire/chunked.ts';
import { EOL_CRLF } from '../wire/header-block.ts';
import { H } from '../wire/known.ts';
import { DONE, MORE, NOT_HTTP } from '../wire/outcomes.ts';
import type { ResponseHead } from '../wire/response-head.ts';
import { CONNECTION_CLOSE, connectionFlags, plainNumber } from '../server/framing.ts';
import { headFault, HeadReader, READING_HEAD } from './head-reader.ts';
import { CLOSED, EMPTY, IDLE, TransportChannel } from './transport-channel.ts';
import type { OutgoingRequest, UpstreamEvents } from './upstream-channel.ts';
import { UNKNOWN_LENGTH } from './upstream-channel.ts';

const HEAD = 1;
const BODY_LENGTH = 2;
const BODY_CHUNKED = 3;
const BODY_CLOSE = 4;
const TUNNEL = 5;

export class Http1Upstream extends TransportChannel {
  #left = 0;
  #decoder: ChunkedDecoder | null = null;
  readonly #reader = new HeadReader();
  #headOnly = false;
  /** The request's body goes chunked. */
  #chunked = false;

  protected beginAnswer(headOnly: boolean, headLimit: number): void {
    this.#headOnly = headOnly;
    this.#reader.begin(headLimit);
    this.state = HEAD;
  }

  sendRequest(request: OutgoingRequest): number {
    this.compose(request);
    this.#chunked = request.bodyLength === UNKNOWN_LENGTH;
    return this.transport.write(output.buf, 0, output.length);
  }

  override sendBody(buf: Buffer, start: number, end: number): number {
    if (!this.#chunked) return this.transport.write(buf, start, end);
    const o = output;
    o.length = 0;
    o.hex(end - start);
    o.crlf();
    o.bytes(buf, start, end);
    o.crlf();
    return this.transport.write(o.buf, 0, o.length);
  }

  bareBody(): Transport | null {
    return this.#chunked ? null : this.transport;
  }

  override endBody(): void {
    if (this.#chunked) this.transport.write(LAST_CHUNK, 0, LAST_CHUNK.length);
  }

  passTo(to: Transport): void {
    if (this.state === BODY_LENGTH) this.transport.passTo(to, this.#left);
    else if (this.state === BODY_CLOSE) this.transport.passTo(to, Infinity);
  }

  protected read(src: Buffer, pos: number, end: number): void {
    if (this.state === HEAD) this.#readHead(src, pos, end);
    else if (this.state === TUNNEL) this.events?.onTunnelData(src, pos, end);
    else this.#readBody(src, pos, end);
  }

  #readHead(src: Buffer, pos: number, end: number): void {
    const { head } = this.#reader;
    for (;;) {
      const result = this.#reader.read(src, pos, end);
      if (result === MORE) return;
      if (result !== DONE) {
        this.#invalidHead(result);
        return;
      }
      if (head.status === 101 || head.status >= 200) break;
      // Other interim answers are not for us; the next head follows (RFC 9110 section 15.2).
      if (head.status === 103) this.events!.onHints(head);
      this.#reader.again();
      pos = this.#reader.bodyStart;
      if (pos >= end) return;
    }

    const { bodyStart } = this.#reader;
    const message = this.#frame(head);
    if (message !== null) {
      this.fail('invalid', message);
      return;
    }
    const events = this.events!;
    const state = this.state;
    // A pipelined request may begin its exchange on this connection, even by the same object, before these calls return.
    const exchange = this.requests;
    events.onHead(head);
    if (this.requests !== exchange) return;
    if (this.events !== events || this.state !== state) {
      if (this.state === TUNNEL && this.events === events && bodyStart < end) events.onTunnelData(src, bodyStart, end);
      return;
    }
    this.#readBody(src, bodyStart, end);
    // What refers to the head later (logs, variables) must not look into the shared read area.
    if (this.requests === exchange && this.events === events) this.keepHead();
  }

  keepHead(): void {
    this.#reader.keep();
  }

  #invalidHead(result: number): void {
    this.fail(
      'invalid',
      result === NOT_HTTP ? `upstream sent no valid HTTP/1.0 header ${READING_HEAD}` : headFault(result),
    );
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
    if (this.#headOnly || head.status === 204 || head.status === 304 || head.status === 101) {
      this.state = BODY_LENGTH;
      this.#left = 0;
      // A 204 has no body (RFC 9110 section 15.3.5): one that announces it may still send it.
      if (head.status === 204 && (te >= 0 || this.contentLength > 0)) this.reusable = false;
    } else if (te >= 0) {
      this.state = BODY_CHUNKED;
      this.#decoder ??= new ChunkedDecoder(false);
      this.#decoder.reset();
    } else if (cl >= 0) {
      this.state = BODY_LENGTH;
      this.#left = this.contentLength;
    } else {
      this.state = BODY_CLOSE;
      this.reusable = false;
    }
    return null;
  }

  #readBody(src: Buffer, pos: number, end: number): void {
    const events = this.events!;
    if (this.state === BODY_LENGTH) {
      const take = Math.min(this.#left, end - pos);
      this.#left -= take;
      const last = this.#left === 0;
      if (!last && take === 0) {
        events.onBody(src, pos, pos, false);
        return;
      }
      if (last) {
        this.state = IDLE;
        // More than was announced: whatever it is, it is not an answer to anything.
        if (end - pos > take) {
          this.reusable = false;
          this.extra = true;
        }
      }
      events.onBody(src, pos, pos + take, last);
      return;
    }
    if (this.state === BODY_CLOSE) {
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
      if (event === CHUNK_BAD) {
        const exchange = this.requests;
        if (at > start) events.onBody(src, start, at, false);
        if (this.requests === exchange && this.events === events)
          this.fail('cut', 'upstream sent invalid chunked response while reading upstream');
        return;
      }
      const last = event === CHUNK_END;
      if (last) {
        this.state = IDLE;
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
  override upgrade(): void {
    this.state = TUNNEL;
    this.reusable = false;
  }

  protected ended(error: Error | null): void {
    switch (this.state) {
      case HEAD:
        this.endedInHead(error);
        return;
      case BODY_CLOSE:
        if (error !== null) this.endedInBody(error);
        else {
          this.state = CLOSED;
          this.events?.onBody(EMPTY, 0, 0, true);
        }
        return;
      case TUNNEL:
        this.events?.onTunnelEnd();
        return;
      default:
        this.endedInBody(error);
    }
  }

  override onClose(error: Error | null): void {
    if (this.state !== TUNNEL) {
      super.onClose(error);
      return;
    }
    const { events } = this;
    this.state = CLOSED;
    events?.onTunnelEnd();
  }
}

const LAST_CHUNK = Buffer.from('0\r\n\r\n');
