/**
 * A client's HTTP/1 connection, the receiving side: heads and bodies, one request at a time; what comes too early is kept, and nothing
 * more is read.
 */
import { Buffer } from 'node:buffer';
import type { ClientAddress, TlsInfo } from '../request.ts';
import { HELD } from '../request.ts';
import type { HttpRequest } from '../request.ts';
import type { HttpListen } from './listen.ts';
import type { ProxyProtocolInfo } from '../../net/proxy-protocol.ts';
import type { Transport } from '../../net/transport.ts';
import { clock } from '../../net/clock.ts';
import { DONE, MORE } from '../wire/outcomes.ts';
import { CHUNKS_BAD, CHUNKS_GO_ON, chunksIn } from '../wire/chunked.ts';
import { H } from '../wire/known.ts';
import type { RequestHead } from '../wire/request-head.ts';
import { FEED_TOO_LARGE, FEED_FAILED } from './body.ts';
import { CONNECTION_CLOSE, CONNECTION_KEEP_ALIVE, connectionFlags, requestBodyLength } from './framing.ts';
import { HeadReader } from './http1-head.ts';
import { Http1Sender } from './http1-sender.ts';
import { BODY, BUSY, HEAD, TUNNEL, WAIT_BODY, WAIT_HEAD, WAIT_SEND } from './connection-state.ts';
import type { Refusal } from './refusals.ts';
import { RequestCheck } from './request-check.ts';
import * as engine from '../engine.ts';
import { BEGUN, READING, traffic } from '../../observe/traffic.ts';
import { logRequest } from '../request-log.ts';

const INVALID_CHUNKS: Refusal = { status: 400, why: 'client sent invalid chunked body' };
const CONTINUE = Buffer.from('HTTP/1.1 100 Continue\r\n\r\n');

export abstract class Http1Receiver extends Http1Sender {
  protected readonly reader: HeadReader = new HeadReader();
  readonly #head: RequestHead = this.reader.head;
  readonly #check: RequestCheck;
  /** Bytes that arrived before anybody wanted them: body before its handler, pipelined requests. */
  protected ahead: Buffer | null = null;
  /** A part of a head has arrived; `stub_status` tells how many such connections there are. */
  #partial = false;
  /** Number of the request whose first bytes came with those of the one before it. */
  #pipelinedAt = 0;

  constructor(
    transport: Transport,
    listen: HttpListen,
    peer: ClientAddress,
    tls: TlsInfo | null,
    proxyProtocol: ProxyProtocolInfo | null,
  ) {
    super(transport, listen, peer, tls, proxyProtocol);
    this.#check = new RequestCheck(listen, tls !== null);
  }

  /** The present request had come before the answer to the one before it was out (`$pipe`). */
  get pipelined(): boolean {
    return this.#pipelinedAt === this.requestCount;
  }

  onData(src: Buffer, start: number, end: number): void {
    if (this.ahead !== null) {
      this.#stash(src, start, end);
      return;
    }
    this.#consume(src, start, end);
  }

  #consume(src: Buffer, pos: number, end: number): void {
    this.dispatching = true;
    while (pos < end) {
      if (this.state === HEAD) {
        pos = this.#readHead(src, pos, end);
      } else if (this.state === BODY) {
        const body = this.request.body;
        if (body.undecided || body.held) {
          this.#stash(src, pos, end);
          break;
        }
        pos = this.#readBody(src, pos, end);
      } else if (this.state === TUNNEL) {
        this.request.bytesReceived += end - pos;
        if (this.tunnel!.onClientData(src, pos, end) === HELD) this.transport.pause();
        break;
      } else if (this.state === BUSY) {
        this.#stash(src, pos, end);
        break;
      } else {
        // LINGER, CLOSED: thrown away.
        break;
      }
      if (this.isOver()) {
        this.complete();
        if (pos < end) this.#pipelinedAt = this.requestCount + 1;
      }
    }
    this.dispatching = false;
    if (this.isOver()) this.complete();
  }

  /** Keeps bytes for later and stops reading: at most what one read brought, plus what is here already. */
  #stash(src: Buffer, pos: number, end: number): void {
    const more = src.subarray(pos, end);
    this.ahead = this.ahead === null ? Buffer.from(more) : Buffer.concat([this.ahead, more]);
    this.transport.pause();
  }

  /** Goes on with bytes that were kept. */
  protected unstash(): void {
    const ahead = this.ahead;
    this.ahead = null;
    if (ahead !== null && this.state === HEAD) this.#pipelinedAt = this.requestCount + 1;
    this.transport.resume();
    if (ahead !== null) this.#consume(ahead, 0, ahead.length);
  }

  // ------------------------------------------------------------------------------------ heads

  /** @returns where the head ends in `src`, or `end` when more is needed or it was refused */
  #readHead(src: Buffer, pos: number, end: number): number {
    const reader = this.reader;
    const { config } = this.listen.defaultServer;
    if (reader.length === 0) this.request.startedAt = clock.now;
    const result = reader.read(src, pos, end, config);
    const at = reader.pos;
    if (result === DONE) this.#begin(src, at, end);
    else if (result !== MORE) this.beginRefused(reader.refusal.status, reader.refusal.why);
    else {
      if (!this.#partial) {
        this.#partial = true;
        traffic.row[READING]!++;
      }
      if (this.timerKind !== WAIT_HEAD || !this.timer.armed) this.arm(WAIT_HEAD, config.clientHeaderTimeoutMs);
    }
    return at;
  }

  /** A head that cannot be understood: answer and close. */
  protected beginRefused(status: number, why: string): void {
    const r = this.request;
    this.#enter(r);
    r.head = this.#head;
    r.method = this.#head.method;
    r.version = 11;
    r.uri = '';
    r.args = '';
    r.host = '';
    r.keepAlive = false;
    r.body.begin(r, 0);
    this.state = BUSY;
    this.#head.giveUp(this.reader.length);
    logRequest(r, 'info', why);
    engine.finalize(r, status);
  }

  /** Common beginning of a request, good or bad. */
  #enter(r: HttpRequest): void {
    this.timer.cancel();
    this.notPartial();
    traffic.row[BEGUN]!++;
    this.requestCount++;
    r.reset();
    const listen = this.listen;
    r.gen = listen.generation;
    r.gen.active++;
    r.server = listen.defaultServer;
    r.loc = r.server.root;
    r.client = this.peer;
    r.startedWall = clock.wall;
    this.continueSent = false;
    this.chunked = false;
  }

  /** No head is being read any more. */
  protected notPartial(): void {
    if (!this.#partial) return;
    this.#partial = false;
    traffic.row[READING]!--;
  }

  /** A head is complete; what came behind it stands in `src[pos, end)`. */
  #begin(src: Buffer, pos: number, end: number): void {
    const r = this.request;
    const head = this.#head;
    this.#enter(r);
    r.bytesReceived = head.pos - head.requestLineStart;
    r.head = head;
    r.method = head.method;
    r.version = head.version;
    const flags = head.has(H.connection) ? connectionFlags(head) : 0;
    r.keepAlive = head.version >= 11 ? (flags & CONNECTION_CLOSE) === 0 : (flags & CONNECTION_KEEP_ALIVE) !== 0;
    const length = requestBodyLength(head);
    const atHand = length >= 0 ? (end - pos >= length ? length : CHUNKS_GO_ON) : chunksIn(src, pos, end);
    const wrong = this.#check.run(r, length) ?? (atHand === CHUNKS_BAD ? INVALID_CHUNKS : null);
    if (wrong !== null) {
      r.keepAlive = false;
      r.uri = '';
      r.args = '';
      r.body.begin(r, 0);
      this.state = BUSY;
      logRequest(r, 'info', wrong.why);
      engine.finalize(r, wrong.status);
      return;
    }
    r.bodyLength = length;
    r.body.begin(r, length);
    r.body.atHand = atHand;
    this.state = length === 0 ? BUSY : BODY;
    r.args = head.argsStart < 0 ? '' : head.args();
    // RFC 9110 section 10.1.1 lets us answer at once where no body follows; nginx does not.
    if (length === 0 && head.has(H.expect)) this.#maybeContinue(r);
    engine.start(r);
  }

  // ------------------------------------------------------------------------------------ bodies

  #readBody(src: Buffer, pos: number, end: number): number {
    const r = this.request;
    const next = r.body.feed(src, pos, end);
    if (next >= 0) {
      r.bytesReceived += next - pos;
      if (r.body.complete) {
        if (this.state === BODY) this.state = BUSY;
        if (this.timerKind === WAIT_BODY) this.timer.cancel();
      } else if (!r.body.held) this.arm(WAIT_BODY, r.loc.core.clientBodyTimeoutMs);
      return next;
    }
    r.keepAlive = false;
    r.body.discard();
    if (next === FEED_TOO_LARGE) this.bodyFailed(413, 'client intended to send too large chunked body');
    else if (next === FEED_FAILED) this.bodyFailed(500, 'request body could not be stored');
    else this.bodyFailed(400, 'client sent invalid chunked body');
    return end;
  }

  passBody(r: HttpRequest, to: Transport): void {
    if (r.bodyLength > 0 && this.state === BODY) this.transport.passTo(to, r.bodyLength - r.body.received);
  }

  /** The body cannot be read on: tell whoever answers, answer if nothing was sent yet. */
  protected bodyFailed(status: number, why: string): void {
    const r = this.request;
    this.state = BUSY;
    r.body.complete = true;
    if (this.isOver() || r.ended) return;
    logRequest(r, 'error', why);
    const producer = r.producer;
    r.producer = null;
    if (producer !== null) producer.onAbort(r);
    if (r.headSent) this.abort(r);
    else engine.finalize(r, status);
  }

  resumeReading(r: HttpRequest): void {
    if (r.body.held) r.body.held = false;
    if (this.state === TUNNEL) {
      this.transport.resume();
      return;
    }
    if (!r.body.complete) {
      if (!this.continueSent && r.body.received === 0 && this.ahead === null) this.#maybeContinue(r);
      if (this.timerKind !== WAIT_SEND || !this.timer.armed) this.arm(WAIT_BODY, r.loc.core.clientBodyTimeoutMs);
    }
    if (!this.dispatching && (this.ahead !== null || this.transport.paused)) this.unstash();
  }

  /** Expect: 100-continue (RFC 9110 section 10.1.1): somebody wants the body now. */
  #maybeContinue(r: HttpRequest): void {
    this.continueSent = true;
    if (r.version < 11) return;
    const i = this.#head.first(H.expect);
    if (i >= 0 && this.#head.valueIs(i, '100-continue') && !r.headSent)
      this.transport.write(CONTINUE, 0, CONTINUE.length);
  }
}
