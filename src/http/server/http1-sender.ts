/**
 * A client's HTTP/1 connection, the sending side: answers to one request at a time, in as few writes as they can go out in.
 * `http1-receiver.ts` reads requests, `http1-connection.ts` says when it all ends: three files of one object.
 */
import { Buffer } from 'node:buffer';
import type { ClientAddress, ClientBound, ClientChannel, ClientTunnel, TlsInfo } from '../request.ts';
import { HELD, HttpRequest, SENT } from '../request.ts';
import type { FieldList } from '../fields.ts';
import { nextSerial } from './connection-list.ts';
import type { HttpListen } from './listen.ts';
import type { ProxyProtocolInfo } from '../../net/proxy-protocol.ts';
import { readArea } from '../../net/read-area.ts';
import type { Transport } from '../../net/transport.ts';
import { clock } from '../../net/clock.ts';
import { output } from '../../net/output.ts';
import { Timer } from '../../net/timers.ts';
import { H } from '../wire/known.ts';
import { composeFields, composeStatusLine } from '../wire/writer.ts';
import { composeAnswerHead, composeChunk, composeLastChunk, hasTrailers } from './answer-writer.ts';
import { RequestBody } from './body.ts';
import { fits, framed, frameChunk, frameHead } from './in-place.ts';
import { BODY, BUSY, CLOSED, HEAD, LINGER, ORPHANED, TUNNEL, WAIT_HEAD, WAIT_SEND } from './connection-state.ts';
import { mayKeepAlive } from './keepalive.ts';

export abstract class Http1Sender implements ClientChannel {
  readonly serial: number = nextSerial();
  readonly acceptedAt: number = clock.now;
  readonly peer: ClientAddress;
  readonly tls: TlsInfo | null;
  readonly proxyProtocol: ProxyProtocolInfo | null;
  requestCount = 0;
  bound: ClientBound | null = null;

  protected readonly transport: Transport;
  protected readonly listen: HttpListen;
  protected readonly request: HttpRequest;
  protected readonly timer: Timer = new Timer(() => this.timedOut());
  protected timerKind: number = WAIT_HEAD;
  protected state: number = HEAD;
  /** Bytes that come are being worked on: completion is left to whoever does that. */
  protected dispatching = false;
  /** The last write is held by the transport. */
  protected held = false;
  protected chunked = false;
  protected tunnel: ClientTunnel | null = null;
  protected continueSent = false;
  /** Close when the present request is over (the worker is leaving). */
  protected closing = false;

  /** `proxyProtocol`: what the balancer in front told; null: nothing. */
  constructor(
    transport: Transport,
    listen: HttpListen,
    peer: ClientAddress,
    tls: TlsInfo | null,
    proxyProtocol: ProxyProtocolInfo | null,
  ) {
    this.transport = transport;
    this.listen = listen;
    this.peer = peer;
    this.tls = tls;
    this.proxyProtocol = proxyProtocol;
    this.request = new HttpRequest(this);
    this.request.body = new RequestBody();
    this.request.gen = listen.generation;
  }

  /** The answer is out: end the request, then go on with the next one or close. */
  protected abstract complete(): void;
  /** The client left in the middle of a request. */
  protected abstract gone(why: string, reset?: boolean): void;
  protected abstract timedOut(): void;
  abstract resumeReading(r: HttpRequest): void;
  abstract takeOver(r: HttpRequest, tunnel: ClientTunnel): void;
  abstract abort(r: HttpRequest, reset?: boolean): void;
  abstract closeSilently(r: HttpRequest): void;

  get listenAddress(): string {
    return this.listen.config.address;
  }

  localAddress(): string {
    return this.listen.config.kind === 'unix' ? this.listenAddress : this.transport.localAddress;
  }

  localPort(): number {
    return this.transport.localPort || this.listen.config.port;
  }

  protected arm(kind: number, ms: number): void {
    this.timerKind = kind;
    this.timer.arm(ms);
  }

  /** The answer is out, and nothing of it waits to be taken. */
  protected isOver(): boolean {
    return this.request.ended && !this.held && (this.state === BUSY || this.state === BODY);
  }

  // ------------------------------------------------------------------------------------ the answer

  sendHead(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    if (this.state === ORPHANED) return this.#answeredNobody(r);
    const o = output;
    o.length = 0;
    r.headSent = true;
    const headerOnly = r.headerOnly;
    this.chunked = false;
    // Where a tunnel begins behind the head the request is not over.
    if (headerOnly) last = !r.tunnels;
    else if (r.contentLength < 0) {
      if (r.version >= 11 && r.loc.core.chunkedTransferEncoding) this.chunked = true;
      else r.keepAlive = false;
    }
    if (this.closing || !mayKeepAlive(r, this)) r.keepAlive = false;
    // An unread body is read and thrown away, unless that could take for ever.
    if (!r.body.complete && r.body.undecided && !this.continueSent && head100(r)) r.keepAlive = false;

    composeAnswerHead(o, r, this.listen.serverLines(r), this.chunked);
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
      !(last && this.chunked && hasTrailers(r))
    ) {
      this.#frame(start, end, last);
      frameHead(o.buf, headLength);
      return this.#writeFramed(r, headLength, last);
    }
    if (!headerOnly && buf !== null && end > start) {
      if (this.chunked) composeChunk(o, buf, start, end);
      else o.bytes(buf, start, end);
    }
    if (last && this.chunked) composeLastChunk(output, r);
    r.bytesSent += o.length;
    r.bodyBytesSent += o.length - headLength;
    return this.#writeOutput(r, last);
  }

  sendHeadRest(r: HttpRequest, n: number): number {
    const rest = r.headRest;
    if (rest === null || this.state === CLOSED) return SENT;
    r.headRest = n < rest.length ? rest.subarray(n) : null;
    r.bytesSent += Math.min(n, rest.length);
    const result = this.transport.write(rest, 0, Math.min(n, rest.length));
    if (result === HELD) this.#hold(r);
    return result;
  }

  /** The answer of a request whose client is gone begins. Not from within its producer's call. */
  #answeredNobody(r: HttpRequest): number {
    if (!r.headSent) setImmediate(() => this.gone('client closed connection'));
    r.headSent = true;
    return SENT;
  }

  sendBody(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    if (r.ended || this.state === CLOSED || this.state === ORPHANED) return SENT;
    if (this.chunked) {
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
      if (last) this.#ended(r, this.held);
      return this.held ? HELD : SENT;
    }
    r.bytesSent += end - start;
    r.bodyBytesSent += end - start;
    const result = this.transport.write(buf, start, end);
    if (result === HELD) this.#hold(r);
    if (last) this.#ended(r, result === HELD);
    return result;
  }

  bareBody(r: HttpRequest): Transport | null {
    return this.chunked || r.ended || this.state === CLOSED || this.state === ORPHANED ? null : this.transport;
  }

  #frame(start: number, end: number, last: boolean): void {
    if (this.chunked) frameChunk(start, end, last);
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
    const result = this.transport.write(readArea, framed.start, framed.end);
    if (result === HELD) this.#hold(r);
    if (last) this.#ended(r, result === HELD);
    return result;
  }

  #writeOutput(r: HttpRequest, last: boolean): number {
    const result = output.length === 0 ? (this.held ? HELD : SENT) : this.transport.write(output.buf, 0, output.length);
    if (result === HELD && output.length !== 0) this.#hold(r);
    if (last) this.#ended(r, result === HELD);
    return result;
  }

  #hold(r: HttpRequest): void {
    this.held = true;
    this.arm(WAIT_SEND, r.loc.core.sendTimeoutMs);
  }

  #ended(r: HttpRequest, held: boolean): void {
    r.ended = true;
    this.held = held;
    if (!this.dispatching && !held) this.complete();
  }

  sendInformational(r: HttpRequest, status: number, fields: FieldList | null): void {
    if (r.headSent || r.version < 11 || this.state === CLOSED || this.state === ORPHANED) return;
    output.length = 0;
    composeStatusLine(output, status, null, null);
    if (fields !== null) composeFields(output, fields);
    output.crlf();
    r.bytesSent += output.length;
    this.transport.write(output.buf, 0, output.length);
  }

  onDrain(): void {
    // Bytes that were taken for sent may have waited, too: nobody is held up by those.
    const held = this.held;
    this.held = false;
    if (this.timerKind === WAIT_SEND) this.timer.cancel();
    if (this.state === TUNNEL) {
      this.tunnel!.onClientDrain();
      return;
    }
    const r = this.request;
    if (!held) return;
    if (r.ended) {
      if (!this.dispatching && this.state !== LINGER && this.state !== CLOSED) this.complete();
      return;
    }
    const producer = r.producer;
    if (producer !== null) producer.onDrain(r);
  }

  // ------------------------------------------------------------------------------------ tunnels

  /** Bytes from the other side of a tunnel. */
  tunnelWrite(buf: Buffer, start: number, end: number): number {
    this.request.bytesSent += end - start;
    this.request.bodyBytesSent += end - start;
    return this.transport.write(buf, start, end);
  }

  tunnelEnd(): void {
    this.transport.end();
  }
}

/** Whether the client waits for `100 Continue` and so may never send its body. */
function head100(r: HttpRequest): boolean {
  return r.head.has(H.expect);
}
