/**
 * A client's HTTP/1 connection: reads heads and bodies, one request at a time, writes answers, keeps the connection
 * alive or closes it so that nothing sent is lost.
 */
import { Buffer } from 'node:buffer';
import type { ClientAddress, ClientBound, ClientTunnel, ClientChannel, TlsInfo } from '../request.ts';
import { HELD, HttpRequest, SENT } from '../request.ts';
import type { FieldList } from '../fields.ts';
import type { HttpGeneration } from '../runtime.ts';
import type { ClientConnection } from './connection-list.ts';
import { nextSerial } from './connection-list.ts';
import type { HttpListen } from './listen.ts';
import type { ProxyProtocolInfo } from '../../net/proxy-protocol.ts';
import { readArea } from '../../net/read-area.ts';
import type { Transport, TransportOwner } from '../../net/transport.ts';
import { clock } from '../../net/clock.ts';
import { output } from '../../net/output.ts';
import { Timer } from '../../net/timers.ts';
import { DONE, MORE } from '../wire/outcomes.ts';
import { CHUNKS_BAD, CHUNKS_GO_ON, chunksIn } from '../wire/chunked.ts';
import { H } from '../wire/known.ts';
import type { RequestHead } from '../wire/request-head.ts';
import { composeFields, composeStatusLine } from '../wire/writer.ts';
import { composeAnswerHead, composeChunk, composeLastChunk, hasTrailers } from './answer-writer.ts';
import { FEED_TOO_LARGE, FEED_FAILED, RequestBody } from './body.ts';
import { CONNECTION_CLOSE, CONNECTION_KEEP_ALIVE, connectionFlags, requestBodyLength } from './framing.ts';
import { HeadReader } from './http1-head.ts';
import { fits, framed, frameChunk, frameHead } from './in-place.ts';
import {
  HEAD,
  BODY,
  BUSY,
  TUNNEL,
  LINGER,
  CLOSED,
  ORPHANED,
  WAIT_HEAD,
  WAIT_IDLE,
  WAIT_BODY,
  WAIT_SEND,
  WAIT_LINGER,
} from './connection-state.ts';
import { mayKeepAlive } from './keepalive.ts';
import type { Refusal } from './refusals.ts';
import { RequestCheck } from './request-check.ts';
import * as engine from '../engine.ts';
import { flushTurn } from '../../observe/access-log-writer.ts';
import { BEGUN, CLOSED as GONE, ENDED, READING, traffic } from '../../observe/traffic.ts';
import { logRequest } from '../request-log.ts';

const INVALID_CHUNKS: Refusal = { status: 400, why: 'client sent invalid chunked body' };
const NOT_TAKEN = 'client timed out (110: Connection timed out) while sending to client';
const CONTINUE = Buffer.from('HTTP/1.1 100 Continue\r\n\r\n');

export class Http1Connection implements ClientChannel, ClientConnection, TransportOwner {
  readonly serial: number = nextSerial();
  readonly acceptedAt: number = clock.now;
  readonly peer: ClientAddress;
  readonly tls: TlsInfo | null;
  readonly proxyProtocol: ProxyProtocolInfo | null;
  requestCount = 0;
  bound: ClientBound | null = null;
  /** Neighbours in the list of the worker's connections. */
  next: ClientConnection | null = null;
  previous: ClientConnection | null = null;

  readonly #transport: Transport;
  readonly #listen: HttpListen;
  readonly #reader = new HeadReader();
  readonly #head: RequestHead = this.#reader.head;
  readonly #check: RequestCheck;
  readonly #request: HttpRequest;
  readonly #timer = new Timer(() => this.#timedOut());
  #timerKind = WAIT_HEAD;
  #state = HEAD;
  /** Bytes that arrived before anybody wanted them: body before its handler, pipelined requests. */
  #ahead: Buffer | null = null;
  /** Inside `#consume`: completion is left to its loop. */
  #dispatching = false;
  /** The last write is held by the transport. */
  #held = false;
  #chunked = false;
  #tunnel: ClientTunnel | null = null;
  #continueSent = false;
  /** A part of a head has arrived; `stub_status` tells how many such connections there are. */
  #partial = false;
  /** Number of the request whose first bytes came with those of the one before it. */
  #pipelinedAt = 0;
  /** Close when the present request is over (the worker is leaving). */
  #closing = false;

  /** `proxyProtocol`: what the balancer in front told; null: nothing. */
  constructor(
    transport: Transport,
    listen: HttpListen,
    peer: ClientAddress,
    tls: TlsInfo | null,
    proxyProtocol: ProxyProtocolInfo | null = null,
  ) {
    this.#transport = transport;
    this.#listen = listen;
    this.peer = peer;
    this.tls = tls;
    this.proxyProtocol = proxyProtocol;
    this.#check = new RequestCheck(listen, tls !== null);
    this.#request = new HttpRequest(this);
    this.#request.body = new RequestBody();
    this.#request.gen = listen.generation;
    transport.owner = this;
    this.#arm(WAIT_HEAD, listen.defaultServer.config.clientHeaderTimeoutMs);
    listen.connections.add(this);
  }

  /** The present request had come before the answer to the one before it was out (`$pipe`). */
  get pipelined(): boolean {
    return this.#pipelinedAt === this.requestCount;
  }

  get listenAddress(): string {
    return this.#listen.config.address;
  }

  localAddress(): string {
    return this.#listen.config.kind === 'unix' ? this.listenAddress : (this.#transport.socket.localAddress ?? '');
  }

  localPort(): number {
    return this.#transport.socket.localPort ?? this.#listen.config.port;
  }

  // ------------------------------------------------------------------------------------ reading

  onData(src: Buffer, start: number, end: number): void {
    if (this.#ahead !== null) {
      this.#stash(src, start, end);
      return;
    }
    this.#consume(src, start, end);
  }

  #consume(src: Buffer, pos: number, end: number): void {
    this.#dispatching = true;
    while (pos < end) {
      if (this.#state === HEAD) {
        pos = this.#readHead(src, pos, end);
      } else if (this.#state === BODY) {
        const body = this.#request.body;
        if (body.undecided || body.held) {
          this.#stash(src, pos, end);
          break;
        }
        pos = this.#readBody(src, pos, end);
      } else if (this.#state === TUNNEL) {
        this.#request.bytesReceived += end - pos;
        if (this.#tunnel!.onClientData(src, pos, end) === HELD) this.#transport.pause();
        break;
      } else if (this.#state === BUSY) {
        this.#stash(src, pos, end);
        break;
      } else {
        // LINGER, CLOSED: thrown away.
        break;
      }
      if (this.#isOver()) {
        this.#complete();
        if (pos < end) this.#pipelinedAt = this.requestCount + 1;
      }
    }
    this.#dispatching = false;
    if (this.#isOver()) this.#complete();
  }

  /** Keeps bytes for later and stops reading: at most what one read brought, plus what is here already. */
  #stash(src: Buffer, pos: number, end: number): void {
    const more = src.subarray(pos, end);
    this.#ahead = this.#ahead === null ? Buffer.from(more) : Buffer.concat([this.#ahead, more]);
    this.#transport.pause();
  }

  /** Goes on with bytes that were kept. */
  #unstash(): void {
    const ahead = this.#ahead;
    this.#ahead = null;
    if (ahead !== null && this.#state === HEAD) this.#pipelinedAt = this.requestCount + 1;
    this.#transport.resume();
    if (ahead !== null) this.#consume(ahead, 0, ahead.length);
  }

  /** @returns where the head ends in `src`, or `end` when more is needed or it was refused */
  #readHead(src: Buffer, pos: number, end: number): number {
    const reader = this.#reader;
    const { config } = this.#listen.defaultServer;
    if (reader.length === 0) this.#request.startedAt = clock.now;
    const result = reader.read(src, pos, end, config);
    const at = reader.pos;
    if (result === DONE) this.#begin(src, at, end);
    else if (result !== MORE) this.#beginRefused(reader.refusal.status, reader.refusal.why);
    else {
      if (!this.#partial) {
        this.#partial = true;
        traffic.row[READING]!++;
      }
      if (this.#timerKind !== WAIT_HEAD || !this.#timer.armed) this.#arm(WAIT_HEAD, config.clientHeaderTimeoutMs);
    }
    return at;
  }

  /** A head that cannot be understood: answer and close. */
  #beginRefused(status: number, why: string): void {
    const r = this.#request;
    this.#enter(r);
    r.head = this.#head;
    r.method = this.#head.method;
    r.version = 11;
    r.uri = '';
    r.args = '';
    r.host = '';
    r.keepAlive = false;
    r.body.begin(r, 0);
    this.#state = BUSY;
    this.#head.giveUp(this.#reader.length);
    logRequest(r, 'info', why);
    engine.finalize(r, status);
  }

  /** Common beginning of a request, good or bad. */
  #enter(r: HttpRequest): void {
    this.#timer.cancel();
    if (this.#partial) this.#notPartial();
    traffic.row[BEGUN]!++;
    this.requestCount++;
    r.reset();
    const listen = this.#listen;
    r.gen = listen.generation;
    r.gen.active++;
    r.server = listen.defaultServer;
    r.loc = r.server.root;
    r.client = this.peer;
    r.startedWall = clock.wall;
    this.#continueSent = false;
    this.#chunked = false;
  }

  #notPartial(): void {
    this.#partial = false;
    traffic.row[READING]!--;
  }

  /** A head is complete; what came behind it stands in `src[pos, end)`. */
  #begin(src: Buffer, pos: number, end: number): void {
    const r = this.#request;
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
      this.#state = BUSY;
      logRequest(r, 'info', wrong.why);
      engine.finalize(r, wrong.status);
      return;
    }
    r.bodyLength = length;
    r.body.begin(r, length);
    r.body.atHand = atHand;
    this.#state = length === 0 ? BUSY : BODY;
    r.args = head.argsStart < 0 ? '' : head.args();
    // RFC 9110 section 10.1.1 lets us answer at once where no body follows; nginx does not.
    if (length === 0 && head.has(H.expect)) this.#maybeContinue(r);
    engine.start(r);
  }

  #readBody(src: Buffer, pos: number, end: number): number {
    const r = this.#request;
    const next = r.body.feed(src, pos, end);
    if (next >= 0) {
      r.bytesReceived += next - pos;
      if (r.body.complete) {
        if (this.#state === BODY) this.#state = BUSY;
        if (this.#timerKind === WAIT_BODY) this.#timer.cancel();
      } else if (!r.body.held) this.#arm(WAIT_BODY, r.loc.core.clientBodyTimeoutMs);
      return next;
    }
    r.keepAlive = false;
    r.body.discard();
    if (next === FEED_TOO_LARGE) this.#bodyFailed(413, 'client intended to send too large chunked body');
    else if (next === FEED_FAILED) this.#bodyFailed(500, 'request body could not be stored');
    else this.#bodyFailed(400, 'client sent invalid chunked body');
    return end;
  }

  /** The body cannot be read on: tell whoever answers, answer if nothing was sent yet. */
  #bodyFailed(status: number, why: string): void {
    const r = this.#request;
    this.#state = BUSY;
    r.body.complete = true;
    if (this.#isOver() || r.ended) return;
    logRequest(r, 'error', why);
    const producer = r.producer;
    r.producer = null;
    if (producer !== null) producer.onAbort(r);
    if (r.headSent) this.abort(r);
    else engine.finalize(r, status);
  }

  resumeReading(r: HttpRequest): void {
    if (r.body.held) r.body.held = false;
    if (this.#state === TUNNEL) {
      this.#transport.resume();
      return;
    }
    if (!r.body.complete) {
      if (!this.#continueSent && r.body.received === 0 && this.#ahead === null) this.#maybeContinue(r);
      if (this.#timerKind !== WAIT_SEND || !this.#timer.armed) this.#arm(WAIT_BODY, r.loc.core.clientBodyTimeoutMs);
    }
    if (!this.#dispatching && (this.#ahead !== null || this.#transport.paused)) this.#unstash();
  }

  /** Expect: 100-continue (RFC 9110 section 10.1.1): somebody wants the body now. */
  #maybeContinue(r: HttpRequest): void {
    this.#continueSent = true;
    if (r.version < 11) return;
    const i = this.#head.first(H.expect);
    if (i >= 0 && this.#head.valueIs(i, '100-continue') && !r.headSent)
      this.#transport.write(CONTINUE, 0, CONTINUE.length);
  }

  // ------------------------------------------------------------------------------------ writing

  sendHead(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    if (this.#state === ORPHANED) return this.#answeredNobody(r);
    const o = output;
    o.length = 0;
    r.headSent = true;
    const headerOnly = r.headerOnly;
    this.#chunked = false;
    // Where a tunnel begins behind the head the request is not over.
    if (headerOnly) last = !r.tunnels;
    else if (r.contentLength < 0) {
      if (r.version >= 11 && r.loc.core.chunkedTransferEncoding) this.#chunked = true;
      else r.keepAlive = false;
    }
    if (this.#closing || !mayKeepAlive(r, this)) r.keepAlive = false;
    // An unread body is read and thrown away, unless that could take for ever.
    if (!r.body.complete && r.body.undecided && !this.#continueSent && head100(r)) r.keepAlive = false;

    composeAnswerHead(o, r, this.#listen.serverLines(r), this.#chunked);
    const headLength = o.length;
    if (r.headBudget >= 0 && headLength > r.headBudget) {
      r.headRest = Buffer.from(o.buf.subarray(r.headBudget, headLength));
      o.length = r.headBudget;
      r.bytesSent += o.length;
      return this.#writeOutput(r, false);
    }
    if (
      !headerOnly &&
      fits(buf, start, end, headLength) &&
      r.block?.buf !== buf &&
      !(last && this.#chunked && hasTrailers(r))
    ) {
      this.#frame(start, end, last);
      frameHead(o.buf, headLength);
      return this.#writeFramed(r, headLength, last);
    }
    if (!headerOnly && buf !== null && end > start) {
      if (this.#chunked) composeChunk(o, buf, start, end);
      else o.bytes(buf, start, end);
    }
    if (last && this.#chunked) composeLastChunk(output, r);
    r.bytesSent += o.length;
    r.bodyBytesSent += o.length - headLength;
    return this.#writeOutput(r, last);
  }

  sendHeadRest(r: HttpRequest, n: number): number {
    const rest = r.headRest;
    if (rest === null || this.#state === CLOSED) return SENT;
    r.headRest = n < rest.length ? rest.subarray(n) : null;
    r.bytesSent += Math.min(n, rest.length);
    const result = this.#transport.write(rest, 0, Math.min(n, rest.length));
    if (result === HELD) this.#hold(r);
    return result;
  }

  /** The answer of a request whose client is gone begins. Not from within its producer's call. */
  #answeredNobody(r: HttpRequest): number {
    if (!r.headSent) setImmediate(() => this.#gone('client closed connection'));
    r.headSent = true;
    return SENT;
  }

  sendBody(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    if (r.ended || this.#state === CLOSED || this.#state === ORPHANED) return SENT;
    if (this.#chunked) {
      if (fits(buf, start, end, 0) && !(last && hasTrailers(r))) {
        this.#frame(start, end, last);
        return this.#writeFramed(r, 0, last);
      }
      const o = output;
      o.length = 0;
      if (buf !== null && end > start) composeChunk(o, buf, start, end);
      if (last) composeLastChunk(output, r);
      r.bytesSent += o.length;
      r.bodyBytesSent += o.length;
      return this.#writeOutput(r, last);
    }
    if (buf === null || end === start) {
      if (last) this.#ended(r, this.#held);
      return this.#held ? HELD : SENT;
    }
    r.bytesSent += end - start;
    r.bodyBytesSent += end - start;
    const result = this.#transport.write(buf, start, end);
    if (result === HELD) this.#hold(r);
    if (last) this.#ended(r, result === HELD);
    return result;
  }

  #frame(start: number, end: number, last: boolean): void {
    if (this.#chunked) frameChunk(start, end, last);
    else {
      framed.start = start;
      framed.end = end;
    }
  }

  /** Writes what was framed in the read area. */
  #writeFramed(r: HttpRequest, headLength: number, last: boolean): number {
    const n = framed.end - framed.start;
    r.bytesSent += n;
    r.bodyBytesSent += n - headLength;
    const result = this.#transport.write(readArea, framed.start, framed.end);
    if (result === HELD) this.#hold(r);
    if (last) this.#ended(r, result === HELD);
    return result;
  }

  #writeOutput(r: HttpRequest, last: boolean): number {
    const result =
      output.length === 0 ? (this.#held ? HELD : SENT) : this.#transport.write(output.buf, 0, output.length);
    if (result === HELD && output.length !== 0) this.#hold(r);
    if (last) this.#ended(r, result === HELD);
    return result;
  }

  #hold(r: HttpRequest): void {
    this.#held = true;
    this.#arm(WAIT_SEND, r.loc.core.sendTimeoutMs);
  }

  #ended(r: HttpRequest, held: boolean): void {
    r.ended = true;
    this.#held = held;
    if (!this.#dispatching && !held) this.#complete();
  }

  sendInformational(r: HttpRequest, status: number, fields: FieldList | null): void {
    if (r.headSent || r.version < 11 || this.#state === CLOSED || this.#state === ORPHANED) return;
    output.length = 0;
    composeStatusLine(output, status, null, null);
    if (fields !== null) composeFields(output, fields);
    output.crlf();
    r.bytesSent += output.length;
    this.#transport.write(output.buf, 0, output.length);
  }

  onDrain(): void {
    // Bytes that were taken for sent may have waited, too: nobody is held up by those.
    const held = this.#held;
    this.#held = false;
    if (this.#timerKind === WAIT_SEND) this.#timer.cancel();
    if (this.#state === TUNNEL) {
      this.#tunnel!.onClientDrain();
      return;
    }
    const r = this.#request;
    if (!held) return;
    if (r.ended) {
      if (!this.#dispatching && this.#state !== LINGER && this.#state !== CLOSED) this.#complete();
      return;
    }
    const producer = r.producer;
    if (producer !== null) producer.onDrain(r);
  }

  // ------------------------------------------------------------------------------------ ends

  /** The answer is out, and nothing of it waits to be taken. */
  #isOver(): boolean {
    return this.#request.ended && !this.#held && (this.#state === BUSY || this.#state === BODY);
  }

  /** The answer is out: end the request, then go on with the next one or close. */
  #complete(): void {
    const r = this.#request;
    if (this.#state === BODY) {
      if (r.keepAlive || !r.body.complete) {
        if (!r.body.discarding) {
          r.body.discard();
          if (!r.keepAlive) {
            this.#finishRequest(r);
            this.#linger(r);
            return;
          }
          this.#arm(WAIT_BODY, r.loc.core.lingeringTimeoutMs);
          if (!this.#dispatching) this.#unstash();
          else if (this.#transport.paused && this.#ahead === null) this.#transport.resume();
          return;
        }
        if (!r.body.complete) return;
      }
    }
    const keepAlive = r.keepAlive && !this.#closing && !this.#transport.ended;
    const loc = r.loc;
    this.#finishRequest(r);
    if (!keepAlive || loc.core.keepaliveTimeoutMs === 0) {
      if (loc.core.lingeringClose === 'always' || this.#ahead !== null) this.#linger(r);
      else this.#shut();
      return;
    }
    if (loc.core.keepaliveTimeMs > 0 && clock.now - this.acceptedAt > loc.core.keepaliveTimeMs) {
      this.#shut();
      return;
    }
    this.#state = HEAD;
    this.#reader.next();
    this.#arm(WAIT_IDLE, loc.core.keepaliveTimeoutMs);
    if (!this.#dispatching && (this.#ahead !== null || this.#transport.paused)) this.#unstash();
    else if (this.#transport.paused && this.#ahead === null) this.#transport.resume();
  }

  #finishRequest(r: HttpRequest): void {
    traffic.row[ENDED]!++;
    engine.finished(r);
    r.body.close();
    r.clearAnswer();
    r.gen.release();
  }

  /** Sends FIN and reads what still comes for a while, so that the client can read our answer before a reset. */
  #linger(r: HttpRequest): void {
    const core = r.loc.core;
    this.#state = LINGER;
    if (core.lingeringClose === 'off' || this.#transport.ended) {
      this.#shut();
      return;
    }
    this.#ahead = null;
    flushTurn();
    this.#transport.end();
    this.#transport.resume();
    this.#arm(WAIT_LINGER, Math.min(core.lingeringTimeoutMs, core.lingeringTimeMs));
  }

  /** Whoever sees the end of the connection finds its requests in the log. */
  #close(reset = false): void {
    flushTurn();
    if (reset) this.#transport.destroy(true);
    else this.#transport.close(this.#listen.defaultServer.root.core.sendTimeoutMs);
  }

  /** Closes at once: nobody takes what still waits. */
  #cut(reset: boolean): void {
    flushTurn();
    this.#transport.flush();
    this.#transport.destroy(reset);
  }

  #shut(): void {
    this.#state = CLOSED;
    this.#timer.cancel();
    this.#close();
  }

  abort(r: HttpRequest, reset = false): void {
    if (this.#state === CLOSED) return;
    r.aborted = true;
    r.ended = true;
    this.#state = CLOSED;
    this.#timer.cancel();
    this.#finishRequest(r);
    this.#close(reset);
  }

  closeSilently(r: HttpRequest): void {
    this.abort(r, r.loc.core.resetTimedoutConnection);
  }

  takeOver(r: HttpRequest, tunnel: ClientTunnel): void {
    this.#tunnel = tunnel;
    this.#state = TUNNEL;
    this.#timer.cancel();
    r.body.complete = true;
    if (!this.#dispatching && (this.#ahead !== null || this.#transport.paused)) this.#unstash();
  }

  /** Bytes from the other side of a tunnel. */
  tunnelWrite(buf: Buffer, start: number, end: number): number {
    this.#request.bytesSent += end - start;
    this.#request.bodyBytesSent += end - start;
    return this.#transport.write(buf, start, end);
  }

  tunnelEnd(): void {
    this.#transport.end();
  }

  onEnd(): void {
    if (this.#state === TUNNEL) {
      this.#tunnel!.onClientEnd();
      return;
    }
    if (this.#state === HEAD) {
      if (this.#reader.length > 0) this.#listen.log('info', 'client prematurely closed connection', this.peer.text);
      this.#shut();
      return;
    }
    if (this.#state === LINGER) {
      this.#shut();
      return;
    }
    if (this.#state === CLOSED) return;
    const r = this.#request;
    r.keepAlive = false;
    if (this.#state === BODY && !r.body.complete) {
      this.#gone('client prematurely closed connection');
      return;
    }
    if (r.ended || !r.loc.abortOnClientEnd(r)) return;
    this.#gone('client prematurely closed connection');
  }

  onClose(error: Error | null): void {
    this.#timer.drop();
    this.bound?.clientGone();
    if (this.#state === TUNNEL) {
      this.#tunnel!.onClientClose();
    } else if (this.#state === BUSY || this.#state === BODY) {
      if (this.#state === BUSY && !this.#request.headSent && this.#request.loc.goesOnAlone(this.#request)) {
        this.#state = ORPHANED;
        this.#request.keepAlive = false;
      } else this.#gone(error === null ? 'client closed connection' : `client closed connection (${error.message})`);
    }
    if (this.#partial) this.#notPartial();
    traffic.row[GONE]!++;
    this.#listen.connections.remove(this);
    if (this.#state === ORPHANED) return;
    this.#state = CLOSED;
    this.#reader.close();
    this.#ahead = null;
  }

  /** The client left in the middle of a request. */
  #gone(why: string, reset = false): void {
    const r = this.#request;
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.#timer.cancel();
    r.aborted = true;
    logRequest(r, 'info', why);
    if (!r.headSent) r.status = 499;
    const producer = r.producer;
    r.producer = null;
    if (producer !== null) producer.onAbort(r);
    this.#finishRequest(r);
    this.#cut(reset);
  }

  /** @internal For a tunnel that has ended on both sides. */
  tunnelClosed(): void {
    if (this.#state !== TUNNEL) return;
    this.#state = CLOSED;
    this.#request.ended = true;
    this.#finishRequest(this.#request);
    this.#close();
  }

  #arm(kind: number, ms: number): void {
    this.#timerKind = kind;
    this.#timer.arm(ms);
  }

  #timedOut(): void {
    const r = this.#request;
    switch (this.#timerKind) {
      case WAIT_HEAD:
        if (this.#reader.length > 0) {
          // nginx answers 408 to a head that does not come to its end.
          this.#beginRefused(408, 'client timed out (110: Connection timed out) while reading client request headers');
        } else this.#shut();
        return;
      case WAIT_BODY:
        if (this.#state !== BODY) return;
        if (r.ended) {
          this.#finishRequest(r);
          this.#shut();
          return;
        }
        r.keepAlive = false;
        r.body.discard();
        this.#bodyFailed(408, 'client timed out (110: Connection timed out) while reading client request body');
        return;
      case WAIT_SEND:
        if (this.#state === TUNNEL) return;
        this.#gone(NOT_TAKEN, r.loc.core.resetTimedoutConnection);
        return;
      case WAIT_LINGER:
        this.#shut();
        return;
      default:
        if (this.#state === HEAD) this.#shut();
    }
  }

  /** The next request runs under the new generation. */
  reload(): void {}

  /** The worker leaves: close when idle, else after the present request. */
  quit(): void {
    this.#closing = true;
    if (this.#state === HEAD && this.#reader.length === 0) this.#shut();
  }

  /** The generation was replaced and its time is over: close, unless a request has begun under a later one. */
  expire(generation: HttpGeneration): void {
    if (this.#request.gen !== generation) return;
    if (this.#state === HEAD || this.#state === LINGER) this.#shut();
    else this.kill();
  }

  /** Close whatever is under way. */
  kill(): void {
    if (this.#state === BUSY || this.#state === BODY) this.#gone('worker is shutting down');
    else this.#transport.destroy();
  }
}

/** Whether the client waits for `100 Continue` and so may never send its body. */
function head100(r: HttpRequest): boolean {
  return r.head.has(H.expect);
}
