/**
 * A client's HTTP/1 connection: when its requests end, whether it is kept alive, and how it is closed so that nothing sent is lost.
 * What it reads and writes is in the classes that it extends.
 */
import type { ClientAddress, ClientTunnel, HttpRequest, TlsInfo } from '../request.ts';
import type { HttpGeneration } from '../runtime.ts';
import type { ClientConnection } from './connection-list.ts';
import type { HttpListen } from './listen.ts';
import { Http1Receiver } from './http1-receiver.ts';
import type { ProxyProtocolInfo } from '../../net/proxy-protocol.ts';
import type { Transport, TransportOwner } from '../../net/transport.ts';
import { clock } from '../../net/clock.ts';
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
import * as engine from '../engine.ts';
import { flushTurn } from '../../observe/access-log-writer.ts';
import { CLOSED as GONE, ENDED, traffic } from '../../observe/traffic.ts';
import { logRequest } from '../request-log.ts';

const NOT_TAKEN = 'client timed out (110: Connection timed out) while sending to client';

export class Http1Connection extends Http1Receiver implements ClientConnection, TransportOwner {
  /** Neighbours in the list of the worker's connections. */
  next: ClientConnection | null = null;
  previous: ClientConnection | null = null;

  /** `proxyProtocol`: what the balancer in front told; null: nothing. */
  constructor(
    transport: Transport,
    listen: HttpListen,
    peer: ClientAddress,
    tls: TlsInfo | null,
    proxyProtocol: ProxyProtocolInfo | null = null,
  ) {
    super(transport, listen, peer, tls, proxyProtocol);
    transport.owner = this;
    this.arm(WAIT_HEAD, listen.defaultServer.config.clientHeaderTimeoutMs);
    listen.connections.add(this);
  }

  /** The answer is out: end the request, then go on with the next one or close. */
  protected complete(): void {
    const r = this.request;
    if (this.state === BODY) {
      if (r.keepAlive || !r.body.complete) {
        if (!r.body.discarding) {
          r.body.discard();
          if (!r.keepAlive) {
            this.finishRequest(r);
            this.#linger(r);
            return;
          }
          this.arm(WAIT_BODY, r.loc.core.lingeringTimeoutMs);
          if (!this.dispatching) this.unstash();
          else if (this.transport.paused && this.ahead === null) this.transport.resume();
          return;
        }
        if (!r.body.complete) return;
      }
    }
    const keepAlive = r.keepAlive && !this.closing && !this.transport.ended;
    const loc = r.loc;
    this.finishRequest(r);
    if (!keepAlive || loc.core.keepaliveTimeoutMs === 0) {
      if (loc.core.lingeringClose === 'always' || this.ahead !== null) this.#linger(r);
      else this.#shut();
      return;
    }
    if (loc.core.keepaliveTimeMs > 0 && clock.now - this.acceptedAt > loc.core.keepaliveTimeMs) {
      this.#shut();
      return;
    }
    this.state = HEAD;
    this.reader.next();
    this.arm(WAIT_IDLE, loc.core.keepaliveTimeoutMs);
    if (!this.dispatching && (this.ahead !== null || this.transport.paused)) this.unstash();
    else if (this.transport.paused && this.ahead === null) this.transport.resume();
  }

  protected finishRequest(r: HttpRequest): void {
    traffic.row[ENDED]!++;
    engine.finished(r);
    r.body.close();
    r.clearAnswer();
    r.gen.release();
  }

  /** Sends FIN and reads what still comes for a while, so that the client can read our answer before a reset. */
  #linger(r: HttpRequest): void {
    const core = r.loc.core;
    this.state = LINGER;
    if (core.lingeringClose === 'off' || this.transport.ended) {
      this.#shut();
      return;
    }
    this.ahead = null;
    flushTurn();
    this.transport.end();
    this.transport.resume();
    this.arm(WAIT_LINGER, Math.min(core.lingeringTimeoutMs, core.lingeringTimeMs));
  }

  /** Whoever sees the end of the connection finds its requests in the log. */
  #close(reset = false): void {
    flushTurn();
    if (reset) this.transport.destroy(true);
    else this.transport.close(this.listen.defaultServer.root.core.sendTimeoutMs);
  }

  /** Closes at once: nobody takes what still waits. */
  #cut(reset: boolean): void {
    flushTurn();
    this.transport.flush();
    this.transport.destroy(reset);
  }

  #shut(): void {
    this.state = CLOSED;
    this.timer.cancel();
    this.#close();
  }

  abort(r: HttpRequest, reset = false): void {
    if (this.state === CLOSED) return;
    r.aborted = true;
    r.ended = true;
    this.state = CLOSED;
    this.timer.cancel();
    this.finishRequest(r);
    this.#close(reset);
  }

  closeSilently(r: HttpRequest): void {
    this.abort(r, r.loc.core.resetTimedoutConnection);
  }

  takeOver(r: HttpRequest, tunnel: ClientTunnel): void {
    this.tunnel = tunnel;
    this.state = TUNNEL;
    this.timer.cancel();
    r.body.complete = true;
    if (!this.dispatching && (this.ahead !== null || this.transport.paused)) this.unstash();
  }

  onEnd(): void {
    if (this.state === TUNNEL) {
      this.tunnel!.onClientEnd();
      return;
    }
    if (this.state === HEAD) {
      if (this.reader.length > 0) this.listen.log('info', 'client prematurely closed connection', this.peer.text);
      this.#shut();
      return;
    }
    if (this.state === LINGER) {
      this.#shut();
      return;
    }
    if (this.state === CLOSED) return;
    const r = this.request;
    r.keepAlive = false;
    if (this.state === BODY && !r.body.complete) {
      this.gone('client prematurely closed connection');
      return;
    }
    if (r.ended || !r.loc.abortOnClientEnd(r)) return;
    this.gone('client prematurely closed connection');
  }

  onClose(error: Error | null): void {
    this.timer.drop();
    this.bound?.clientGone();
    if (this.state === TUNNEL) {
      this.tunnel!.onClientClose();
    } else if (this.state === BUSY || this.state === BODY) {
      if (this.state === BUSY && !this.request.headSent && this.request.loc.goesOnAlone(this.request)) {
        this.state = ORPHANED;
        this.request.keepAlive = false;
      } else this.gone(error === null ? 'client closed connection' : `client closed connection (${error.message})`);
    }
    this.notPartial();
    traffic.row[GONE]!++;
    this.listen.connections.remove(this);
    if (this.state === ORPHANED) return;
    this.state = CLOSED;
    this.reader.close();
    this.ahead = null;
  }

  /** The client left in the middle of a request. */
  protected gone(why: string, reset = false): void {
    const r = this.request;
    if (this.state === CLOSED) return;
    this.state = CLOSED;
    this.timer.cancel();
    r.aborted = true;
    logRequest(r, 'info', why);
    if (!r.headSent) r.status = 499;
    const producer = r.producer;
    r.producer = null;
    if (producer !== null) producer.onAbort(r);
    this.finishRequest(r);
    this.#cut(reset);
  }

  /** @internal For a tunnel that has ended on both sides. */
  tunnelClosed(): void {
    if (this.state !== TUNNEL) return;
    this.state = CLOSED;
    this.request.ended = true;
    this.finishRequest(this.request);
    this.#close();
  }

  protected timedOut(): void {
    const r = this.request;
    switch (this.timerKind) {
      case WAIT_HEAD:
        if (this.reader.length > 0) {
          // nginx answers 408 to a head that does not come to its end.
          this.beginRefused(408, 'client timed out (110: Connection timed out) while reading client request headers');
        } else this.#shut();
        return;
      case WAIT_BODY:
        if (this.state !== BODY) return;
        if (r.ended) {
          this.finishRequest(r);
          this.#shut();
          return;
        }
        r.keepAlive = false;
        r.body.discard();
        this.bodyFailed(408, 'client timed out (110: Connection timed out) while reading client request body');
        return;
      case WAIT_SEND:
        if (this.state === TUNNEL) return;
        this.gone(NOT_TAKEN, r.loc.core.resetTimedoutConnection);
        return;
      case WAIT_LINGER:
        this.#shut();
        return;
      default:
        if (this.state === HEAD) this.#shut();
    }
  }

  /** The next request runs under the new generation. */
  reload(): void {}

  /** The worker leaves: close when idle, else after the present request. */
  quit(): void {
    this.closing = true;
    if (this.state === HEAD && this.reader.length === 0) this.#shut();
  }

  /** The generation was replaced and its time is over: close, unless a request has begun under a later one. */
  expire(generation: HttpGeneration): void {
    if (this.request.gen !== generation) return;
    if (this.state === HEAD || this.state === LINGER) this.#shut();
    else this.kill();
  }

  /** Close whatever is under way. */
  kill(): void {
    if (this.state === BUSY || this.state === BODY) this.gone('worker is shutting down');
    else this.transport.destroy();
  }
}
