/**
 * A stream of a client's HTTP/2 connection: one request and its answer. What the windows of flow control do not let
 * through waits here, and whoever makes the answer is told to wait. The request's body is in `http2-body.ts`.
 */
import { Buffer } from 'node:buffer';
import type { ClientAddress, ClientChannel, TlsInfo } from '../request.ts';
import { HELD, HttpRequest, SENT } from '../request.ts';
import type { FieldList } from '../fields.ts';
import { clock } from '../../net/clock.ts';
import { output } from '../../net/output.ts';
import type { ProxyProtocolInfo } from '../../net/proxy-protocol.ts';
import { Timer } from '../../net/timers.ts';
import { BEGUN, ENDED, traffic } from '../../observe/traffic.ts';
import * as engine from '../engine.ts';
import { logRequest } from '../request-log.ts';
import { RequestHead } from '../wire/request-head.ts';
import { H } from '../wire/known.ts';
import { DATA, FLAG_END_STREAM, INTERNAL_ERROR, NO_ERROR, PROTOCOL_ERROR } from '../wire/h2/constants.ts';
import { beginHeaders, endHeaders, writeFrameHead } from '../wire/h2/frame-writer.ts';
import { hasTrailers } from './answer-writer.ts';
import { RequestBody } from './body.ts';
import { CHUNKED, requestBodyLength } from './framing.ts';
import { composeAnswerBlock, composeInformational, composeTableSize, composeTrailerBlock } from './http2-answer.ts';
import { Http2Body } from './http2-body.ts';
import type { Http2Connection } from './http2-connection.ts';
import type { Refusal } from './refusals.ts';

/** What the timer waits for. */
const WAIT_BODY = 0;
const WAIT_SEND = 1;

const NOT_TAKEN = 'client timed out (110: Connection timed out) while sending to client';
const HEAD_ROOM = 1024;
/** Bytes of body that go into one write, frames around them included. */
const WRITE_MOST = 65536;

export class Http2Stream implements ClientChannel {
  connection!: Http2Connection;
  id = 0;
  readonly request: HttpRequest;
  readonly head = new RequestHead();
  readonly body: Http2Body = new Http2Body(this);
  /** Where the head's bytes stand. */
  buf: Buffer = Buffer.allocUnsafeSlow(HEAD_ROOM);
  requestCount = 0;

  /** The client has sent its last byte. */
  inClosed = false;
  /** Our last byte was handed over. */
  outClosed = false;
  reset = false;
  sendWindow = 0;
  recvWindow = 0;
  /** Waits for a window, or for the connection to take more. */
  waiting = false;

  readonly #timer = new Timer(() => this.#timedOut());
  #timerKind = WAIT_BODY;
  /** Body of the answer that waits. */
  #pending: Buffer | null = null;
  #pendingStart = 0;
  #pendingLast = false;
  /** `HELD` was answered: the producer waits to be told. */
  #holds = false;
  /** Nothing of it is left but the object, which waits for another request. */
  over = false;

  constructor() {
    this.request = new HttpRequest(this);
    this.request.body = new RequestBody();
  }

  get serial(): number {
    return this.connection.serial;
  }
  get acceptedAt(): number {
    return this.connection.acceptedAt;
  }
  get peer(): ClientAddress {
    return this.connection.peer;
  }
  get tls(): TlsInfo | null {
    return this.connection.tls;
  }
  get proxyProtocol(): ProxyProtocolInfo | null {
    return this.connection.proxyProtocol;
  }
  get listenAddress(): string {
    return this.connection.listen.config.address;
  }
  localAddress(): string {
    return this.connection.localAddress();
  }
  localPort(): number {
    return this.connection.localPort();
  }

  // ------------------------------------------------------------------------------------ the request

  open(connection: Http2Connection, id: number, sendWindow: number, recvWindow: number): void {
    this.connection = connection;
    this.id = id;
    this.inClosed = this.outClosed = this.reset = this.waiting = false;
    this.sendWindow = sendWindow;
    this.recvWindow = recvWindow;
    this.body.ahead = this.#pending = null;
    this.#pendingLast = this.#holds = this.over = false;
    this.requestCount = connection.requestCount;
    const { listen } = connection;
    const r = this.request;
    traffic.row[BEGUN]!++;
    r.reset();
    r.gen = listen.generation;
    r.gen.active++;
    r.server = listen.defaultServer;
    r.loc = r.server.root;
    r.client = connection.peer;
    r.startedAt = clock.now;
    r.startedWall = clock.wall;
    r.head = this.head;
    r.version = 20;
    r.host = r.uri = r.args = '';
    r.method = 0;
  }

  /** The head is complete: runs the request, or answers why it is refused. */
  begin(refusal: Refusal | null, bytes: number): void {
    const r = this.request;
    const { head } = this;
    this.buf = head.buf;
    r.method = head.method;
    r.bytesReceived = bytes;
    let wrong = refusal;
    let length = 0;
    if (wrong === null) {
      length = requestBodyLength(head);
      wrong = this.connection.check.run(r, length);
      if (length > 0 && this.inClosed) {
        wrong ??= { status: 400, why: 'client prematurely closed stream' };
      } else if (length === 0 && !this.inClosed && !head.has(H['content-length'])) length = CHUNKED;
      if (wrong === null && !this.connection.servesHttp2(r.server)) {
        wrong = {
          status: 421,
          why: 'client attempted to request the server name for which the negotiated protocol is disabled',
        };
      }
    }
    if (wrong !== null) {
      r.uri = r.args = '';
      r.body.begin(r, 0);
      logRequest(r, 'info', wrong.why);
      engine.finalize(r, wrong.status);
      return;
    }
    r.bodyLength = length;
    r.body.begin(r, length, true);
    r.args = head.argsStart < 0 ? '' : head.args();
    engine.start(r);
  }

  /** Somebody wants the rest of the body. */
  resumeReading(r: HttpRequest): void {
    this.body.resume(r);
  }

  /** @internal The client has so long for more of the body. */
  waitForBody(ms: number): void {
    this.#arm(WAIT_BODY, ms);
  }

  /** @internal The body has come. */
  bodyCame(): void {
    if (this.#timerKind === WAIT_BODY) this.#timer.cancel();
  }

  // ------------------------------------------------------------------------------------ the answer

  sendHead(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    if (this.over) return SENT;
    r.headSent = true;
    const headerOnly = r.headerOnly;
    if (headerOnly) {
      last = true;
      end = start;
    }
    const o = output;
    o.length = 0;
    const trailers = !headerOnly && hasTrailers(r);
    const fin = last && end <= start && !trailers;
    const block = this.#beginBlock();
    composeAnswerBlock(o, r, this.connection.listen.serverLines(r));
    endHeaders(o, block, fin ? FLAG_END_STREAM : 0, this.id, this.connection.link.settings.maxFrame);
    r.bytesSent += o.length;
    return this.#send(buf, start, end, last, trailers, fin);
  }

  /** Begins a HEADERS frame in the output. */
  #beginBlock(): number {
    const start = beginHeaders(output);
    const { settings } = this.connection.link;
    if (settings.tellTableSize) {
      settings.tellTableSize = false;
      composeTableSize(output);
    }
    return start;
  }

  sendHeadRest(): number {
    return SENT;
  }

  sendBody(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    if (r.ended || this.over) return SENT;
    output.length = 0;
    return this.#send(buf, start, end, last, hasTrailers(r), false);
  }

  /**
   * Sends what stands in the output, and body as far as the windows allow; the rest waits.
   * @param done END_STREAM stands in the output already
   */
  #send(buf: Buffer | null, start: number, end: number, last: boolean, trailers: boolean, done: boolean): number {
    const { connection } = this;
    if (done) {
      connection.link.write(output);
      this.#ended();
      return SENT;
    }
    if (this.#pending === null && buf !== null && end > start) start = this.#frames(buf, start, end, last && !trailers);
    else if (this.#pending === null && last && !trailers) writeFrameHead(output, 0, DATA, FLAG_END_STREAM, this.id);
    if (start >= end && this.#pending === null) {
      if (last && trailers) this.#writeTrailers();
      if (output.length > 0) connection.link.write(output);
      if (last) {
        this.#ended();
        return SENT;
      }
      if (!connection.link.held) return SENT;
      this.#wait();
      return HELD;
    }
    if (output.length > 0) connection.link.write(output);
    if (end > start) {
      const rest = buf!.subarray(start, end);
      this.#pending =
        this.#pending === null ? Buffer.from(rest) : Buffer.concat([this.#pending.subarray(this.#pendingStart), rest]);
      this.#pendingStart = 0;
    }
    if (last) this.#pendingLast = true;
    this.#wait();
    return HELD;
  }

  #wait(): void {
    this.#holds = true;
    this.#arm(WAIT_SEND, this.request.loc.core.sendTimeoutMs);
    if (!this.waiting) this.connection.link.wait(this);
  }

  /** Appends DATA frames for as much of `buf[start, end)` as may go out now; returns where it stopped. */
  #frames(buf: Buffer, start: number, end: number, last: boolean): number {
    const { connection } = this;
    if (connection.link.held) return start;
    const o = output;
    const { loc } = this.request;
    const most = Math.min(connection.link.settings.maxFrame, loc.config.http2.chunkSize);
    while (start < end) {
      const n = Math.min(most, end - start, this.sendWindow, connection.link.sendWindow);
      if (n <= 0) break;
      const ends = last && start + n === end;
      writeFrameHead(o, n, DATA, ends ? FLAG_END_STREAM : 0, this.id);
      o.bytes(buf, start, start + n);
      start += n;
      this.sendWindow -= n;
      connection.link.sendWindow -= n;
      connection.guard.payload += n;
      this.request.bodyBytesSent += n;
      this.request.bytesSent += n + 9;
      if (o.length >= WRITE_MOST && start < end) {
        connection.link.write(o);
        o.length = 0;
        if (connection.link.held) break;
      }
    }
    return start;
  }

  #writeTrailers(): void {
    const before = output.length;
    const r = this.request;
    const start = beginHeaders(output);
    composeTrailerBlock(output, r);
    if (output.length === start) {
      output.length = before;
      writeFrameHead(output, 0, DATA, FLAG_END_STREAM, this.id);
    } else endHeaders(output, start, FLAG_END_STREAM, this.id, this.connection.link.settings.maxFrame);
    r.bytesSent += output.length - before;
  }

  /**
   * The windows or the connection take more.
   * @param most bytes of body at most; the others wait, too
   * @returns whether something went out, or nothing is left to wait for
   */
  pump(most: number): boolean {
    const { connection } = this;
    const pending = this.#pending;
    output.length = 0;
    let moved = pending === null;
    if (pending !== null) {
      const end = Math.min(pending.length, this.#pendingStart + most);
      const trailers = hasTrailers(this.request);
      const last = this.#pendingLast && end === pending.length && !trailers;
      const at = this.#frames(pending, this.#pendingStart, end, last);
      moved = at > this.#pendingStart;
      this.#pendingStart = at;
      if (at === pending.length) {
        this.#pending = null;
        if (this.#pendingLast && trailers) this.#writeTrailers();
      }
      if (output.length > 0) connection.link.write(output);
      if (moved) this.#arm(WAIT_SEND, this.request.loc.core.sendTimeoutMs);
    }
    if (this.#pending !== null || (connection.link.held && !this.#pendingLast)) return moved;
    connection.link.leave(this);
    if (this.#timerKind === WAIT_SEND) this.#timer.cancel();
    if (this.#pendingLast) this.#ended();
    else if (this.#holds) {
      this.#holds = false;
      const { producer } = this.request;
      if (producer !== null) producer.onDrain(this.request);
    }
    return true;
  }

  sendInformational(r: HttpRequest, status: number, fields: FieldList | null): void {
    if (r.headSent || this.over) return;
    output.length = 0;
    const block = this.#beginBlock();
    composeInformational(output, status, fields);
    endHeaders(output, block, 0, this.id, this.connection.link.settings.maxFrame);
    r.bytesSent += output.length;
    this.connection.link.write(output);
  }

  // ------------------------------------------------------------------------------------ ends

  #ended(): void {
    this.request.ended = true;
    this.outClosed = true;
    this.connection.ended(this);
  }

  /** The answer is out: the stream closes; a body that still comes is not wanted. */
  complete(): void {
    if (this.over) return;
    if (!this.inClosed && !this.reset) this.#rst(NO_ERROR);
    this.#finish();
  }

  #rst(error: number): void {
    if (this.reset) return;
    this.reset = true;
    this.connection.link.reset(this.id, error);
  }

  #finish(): void {
    this.over = true;
    this.#timer.cancel();
    this.body.ahead = this.#pending = null;
    if (this.waiting) this.connection.link.leave(this);
    const r = this.request;
    traffic.row[ENDED]!++;
    engine.finished(r);
    r.body.close();
    r.clearAnswer();
    r.gen.release();
    if (this.buf.length > HEAD_ROOM * 4) this.buf = Buffer.allocUnsafeSlow(HEAD_ROOM);
    this.connection.closed(this);
  }

  abort(r: HttpRequest): void {
    if (this.over) return;
    r.aborted = true;
    r.ended = true;
    this.#rst(INTERNAL_ERROR);
    this.#finish();
  }

  closeSilently(r: HttpRequest): void {
    this.abort(r);
  }

  /** Nothing can take a stream over: HTTP/2 knows no Upgrade. */
  takeOver(r: HttpRequest): void {
    this.abort(r);
  }

  /** The client has reset the stream, or broken its rules (`error` is told then), or is gone. */
  gone(why: string, error = -1): void {
    const r = this.request;
    if (this.over) return;
    this.inClosed = true;
    if (error >= 0) this.#rst(error);
    else this.reset = true;
    if (!r.ended) {
      r.aborted = true;
      logRequest(r, 'info', why);
      if (!r.headSent && r.status !== 408) r.status = 499;
      const { producer } = r;
      r.producer = null;
      if (producer !== null) producer.onAbort(r);
    }
    this.#finish();
  }

  /** The client took too long over its request: nginx resets the stream, and logs 408. */
  timedOut(why: string): void {
    const r = this.request;
    if (!r.headSent) r.status = 408;
    this.gone(why, PROTOCOL_ERROR);
  }

  #arm(kind: number, ms: number): void {
    this.#timerKind = kind;
    this.#timer.arm(ms);
  }

  #timedOut(): void {
    if (this.over) return;
    const r = this.request;
    if (this.#timerKind === WAIT_SEND) {
      const { link } = this.connection;
      if (link.held && clock.now - link.heldAt >= r.loc.core.sendTimeoutMs) this.connection.notTaken(NOT_TAKEN);
      else this.gone(NOT_TAKEN, PROTOCOL_ERROR);
      return;
    }
    if (!r.body.complete && !r.ended)
      this.timedOut('client timed out (110: Connection timed out) while reading client request body');
  }
}
