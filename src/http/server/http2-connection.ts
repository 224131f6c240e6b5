/**
 * A client's HTTP/2 connection (RFC 9113): its streams, how long it may wait, how it ends. Frames come in by
 * `http2-frames.ts` and go out by `http2-link.ts`. What one client may cost is bounded throughout: streams, header
 * blocks, frames that bring nothing, resets, and what waits to be sent.
 */
import type { Buffer } from 'node:buffer';
import type { ServerConfig } from '../../config/model.ts';
import { clock } from '../../net/clock.ts';
import { Timer } from '../../net/timers.ts';
import type { Transport, TransportOwner } from '../../net/transport.ts';
import type { ProxyProtocolInfo } from '../../net/proxy-protocol.ts';
import { flushTurn } from '../../observe/access-log-writer.ts';
import { CLOSED as GONE, traffic } from '../../observe/traffic.ts';
import type { ClientAddress, TlsInfo } from '../request.ts';
import type { HttpGeneration, Server } from '../runtime.ts';
import * as h2 from '../wire/h2/constants.ts';
import type { FrameFault } from '../wire/h2/frame-check.ts';
import type { ClientConnection } from './connection-list.ts';
import { nextSerial } from './connection-list.ts';
import { FloodGuard } from './http2-guard.ts';
import { Http2Frames } from './http2-frames.ts';
import { Http2Link } from './http2-link.ts';
import { Http2Stream } from './http2-stream.ts';
import type { HttpListen } from './listen.ts';
import { RequestCheck } from './request-check.ts';

const spare: Http2Stream[] = [];
const MAX_SPARE = 1024;

export class Http2Connection implements ClientConnection, TransportOwner {
  next: ClientConnection | null = null;
  previous: ClientConnection | null = null;
  readonly serial: number = nextSerial();
  readonly acceptedAt: number = clock.now;
  readonly listen: HttpListen;
  readonly peer: ClientAddress;
  readonly tls: TlsInfo | null;
  readonly proxyProtocol: ProxyProtocolInfo | null;
  readonly check: RequestCheck;
  readonly settings: ServerConfig['http2'];
  requestCount = 0;

  readonly link: Http2Link;
  readonly guard: FloodGuard;

  /** Those that are open, by their numbers. */
  readonly streams: Map<number, Http2Stream> = new Map();
  /** The client was told that it must not open more. */
  goaway = false;
  /** Nothing is read or sent any more. */
  finished = false;

  readonly #transport: Transport;
  readonly #frames: Http2Frames;
  readonly #timer = new Timer(() => this.#timedOut());
  #waitsForBlock = false;
  /** Answers that came to their end while a frame is being looked at. */
  #done: Http2Stream[] = [];
  #later: Http2Stream[] = [];
  #dispatching = false;
  #lingering = false;

  /** `proxyProtocol`: what the balancer in front told; null: nothing. */
  constructor(
    transport: Transport,
    listen: HttpListen,
    peer: ClientAddress,
    tls: TlsInfo | null,
    proxyProtocol: ProxyProtocolInfo | null = null,
  ) {
    this.#transport = transport;
    this.listen = listen;
    this.peer = peer;
    this.tls = tls;
    this.proxyProtocol = proxyProtocol;
    this.check = new RequestCheck(listen, tls !== null);
    this.settings = listen.defaultServer.config.http2;
    this.link = new Http2Link(transport);
    this.guard = new FloodGuard(this.settings.maxConcurrentStreams);
    this.#frames = new Http2Frames(this);
    transport.owner = this;
    listen.connections.add(this);
    this.#arm(listen.defaultServer.config.clientHeaderTimeoutMs);
    this.link.hello(
      [
        [h2.SETTING_MAX_CONCURRENT_STREAMS, this.settings.maxConcurrentStreams],
        [h2.SETTING_INITIAL_WINDOW_SIZE, this.settings.bodyPrereadSize],
        [h2.SETTING_MAX_FRAME_SIZE, h2.MAX_FRAME_SIZE],
      ],
      h2.MAX_WINDOW - h2.DEFAULT_WINDOW,
    );
  }

  localAddress(): string {
    const { config } = this.listen;
    return config.kind === 'unix' ? config.address : this.#transport.localAddress;
  }

  localPort(): number {
    return this.#transport.localPort || this.listen.config.port;
  }

  /** Whether a server may be reached by HTTP/2 (`http2 on`, or `listen … http2`). */
  servesHttp2(server: Server): boolean {
    return server.config.http2.on || this.listen.config.http2;
  }

  // ------------------------------------------------------------------------------------ reading

  onData(src: Buffer, start: number, end: number): void {
    if (this.finished) return;
    this.#dispatching = true;
    this.#frames.consume(src, start, end);
    this.#flushLater();
    this.#dispatching = false;
    this.complete();
    if (this.finished) return;
    this.stop(this.guard.received(end - start));
    this.#settle();
  }

  /** Opens a stream. @param closed the client will send nothing more on it */
  open(id: number, closed: boolean): Http2Stream {
    const stream = spare.pop() ?? new Http2Stream();
    this.requestCount++;
    this.guard.request();
    stream.open(this, id, this.link.settings.initialWindow, this.settings.bodyPrereadSize);
    stream.inClosed = closed;
    this.streams.set(id, stream);
    return stream;
  }

  /** After so many requests, or such a time, the client is to come again. */
  goawayWhenDue(): void {
    const { keepaliveTimeoutMs, keepaliveRequests, keepaliveTimeMs } = this.listen.defaultServer.root.core;
    if (
      keepaliveTimeoutMs === 0 ||
      this.requestCount >= keepaliveRequests ||
      clock.now - this.acceptedAt > keepaliveTimeMs
    ) {
      this.#sayGoaway(h2.NO_ERROR);
    }
  }

  /** A stream has body that may go on when this read is over. */
  later(stream: Http2Stream): void {
    if (!this.#later.includes(stream)) this.#later.push(stream);
  }

  #flushLater(): void {
    if (this.#later.length === 0) return;
    const later = this.#later;
    this.#later = [];
    for (const stream of later) if (stream.connection === this) stream.body.flush();
  }

  /** A guard may say that it is enough. */
  stop(fault: FrameFault | null): void {
    if (fault !== null) this.fail(fault.error, fault.message);
  }

  onDrain(): void {
    this.link.drained();
    if (this.finished) return;
    this.link.pump(this.#frames.priorities);
    this.#settle();
  }

  // ------------------------------------------------------------------------------------ ends

  /** A stream's last byte was handed over. */
  ended(stream: Http2Stream): void {
    if (this.#dispatching) this.#done.push(stream);
    else {
      stream.complete();
      this.#settle();
    }
  }

  /** The streams of those answers end. */
  complete(): void {
    const done = this.#done;
    if (done.length === 0) return;
    this.#done = [];
    for (const stream of done) stream.complete();
  }

  /** A stream is over: it waits for another request, of whatever connection. */
  closed(stream: Http2Stream): void {
    if (this.streams.get(stream.id) === stream) this.streams.delete(stream.id);
    this.#frames.forget(stream);
    if (spare.length < MAX_SPARE) spare.push(stream);
    if (!this.#dispatching) this.#settle();
  }

  /** With no stream open: wait for the next one, or close. */
  #settle(): void {
    if (this.finished) return;
    if (this.#frames.blockId !== 0) {
      // Once for a block: who sends it byte by byte does not get more time.
      if (!this.#waitsForBlock) this.#arm(this.listen.defaultServer.config.clientHeaderTimeoutMs);
      this.#waitsForBlock = true;
      return;
    }
    this.#waitsForBlock = false;
    if (this.streams.size > 0) this.#timer.cancel();
    else if (this.goaway) this.#linger();
    else if (this.requestCount > 0 && !this.#timer.armed) {
      this.#arm(this.listen.defaultServer.root.core.keepaliveTimeoutMs);
    }
  }

  #sayGoaway(error: number): void {
    if (this.goaway) return;
    this.goaway = true;
    this.link.goaway(this.#frames.lastId, error);
  }

  /** Ends the connection: all streams are cut, the client is told why. */
  fail(error: number, why: string): void {
    if (this.finished) return;
    this.listen.log('info', why, this.peer.text);
    this.#sayGoaway(error);
    this.#cut(why);
    this.#linger();
  }

  #cut(why: string): void {
    this.finished = this.link.closed = true;
    for (const stream of this.streams.values()) stream.gone(why);
  }

  /** Sends FIN and reads what still comes for a while, so that the client can read our last frames before a reset. */
  #linger(): void {
    this.finished = this.link.closed = true;
    if (this.#lingering) return;
    this.#lingering = true;
    const { core } = this.listen.defaultServer.root;
    flushTurn();
    this.#transport.end();
    this.#transport.resume();
    this.#arm(Math.min(core.lingeringTimeoutMs, core.lingeringTimeMs));
  }

  #arm(ms: number): void {
    this.#timer.arm(ms);
  }

  #timedOut(): void {
    if (this.#lingering) {
      this.#close();
      return;
    }
    const stream = this.#frames.blockStream;
    if (stream !== null) {
      // The rest of its header block may still come: the other streams live.
      stream.timedOut('client timed out (110: Connection timed out) while reading client request headers');
      this.#arm(this.listen.defaultServer.root.core.keepaliveTimeoutMs);
      return;
    }
    if (this.#frames.blockId !== 0 || this.requestCount === 0 || this.#frames.partial)
      this.fail(h2.PROTOCOL_ERROR, 'client timed out (110: Connection timed out)');
    else {
      this.#sayGoaway(h2.NO_ERROR);
      this.#linger();
    }
  }

  /** A stream has waited for `send_timeout`, and all that time the client took nothing of what was sent. */
  notTaken(why: string): void {
    this.#cut(why);
    flushTurn();
    this.#transport.destroy();
  }

  #close(): void {
    flushTurn();
    this.#transport.close(this.listen.defaultServer.root.core.sendTimeoutMs);
  }

  onEnd(): void {
    if (this.#lingering) {
      this.#close();
      return;
    }
    if (this.streams.size > 0) this.listen.log('info', 'client prematurely closed connection', this.peer.text);
    this.#cut('client prematurely closed connection');
    this.#close();
  }

  onClose(error: Error | null): void {
    this.#cut(error === null ? 'client closed connection' : `client closed connection (${error.message})`);
    this.#timer.drop();
    traffic.row[GONE]!++;
    this.listen.connections.remove(this);
  }

  /** What was agreed on (streams, windows, who is served) may have changed: the client comes again. */
  reload(): void {
    this.quit();
  }

  quit(): void {
    if (this.finished) return;
    this.#sayGoaway(h2.NO_ERROR);
    if (this.streams.size === 0) this.#linger();
  }

  expire(generation: HttpGeneration): void {
    for (const stream of this.streams.values()) {
      if (stream.request.gen === generation) stream.gone('worker is shutting down', h2.INTERNAL_ERROR);
    }
  }

  kill(): void {
    this.#cut('worker is shutting down');
    this.#transport.destroy();
  }
}
