/**
 * `proxy_pass` over TCP: chooses a server, connects, and relays bytes both ways until one side has ended. Buffers go
 * through as they come; when one side takes no more, the other one is not read.
 */
import type { Buffer } from 'node:buffer';
import { clock } from '../../net/clock.ts';
import { HELD } from '../../net/transport.ts';
import type { Transport, TransportOwner } from '../../net/transport.ts';
import type { Via } from '../../net/via.ts';
import { failedText } from '../../observe/errno.ts';
import { Attempt } from '../../upstream/group.ts';
import type { PeerInfo } from '../../upstream/group.ts';
import { BAD_GATEWAY, INTERNAL_ERROR, OK } from '../session.ts';
import type { UpstreamAttempt } from '../session.ts';
import { closeSoon } from '../tcp-session.ts';
import type { Content, TcpSession } from '../tcp-session.ts';
import { watchDrops } from './drops.ts';
import { attemptFailed, choosePeer, proxyHeader, triesAnother } from './choose.ts';
import type { StreamGroup } from './group.ts';
import { openServer } from './open.ts';
import type { Opening } from './open.ts';
import { Pacer } from './pace.ts';
import type { ProxyPlan } from './plan.ts';
import { findTarget } from './target.ts';

/** The session's handler. */
export function proxyTcp(s: TcpSession, plan: ProxyPlan): void {
  const proxy = new TcpProxy(s, plan);
  s.content = proxy;
  proxy.start();
}

/** What the server's side tells. */
class ServerSide implements TransportOwner {
  readonly #proxy: TcpProxy;

  constructor(proxy: TcpProxy) {
    this.#proxy = proxy;
  }

  onData(buf: Buffer, start: number, end: number): void {
    this.#proxy.onServerData(buf, start, end);
  }

  onEnd(): void {
    this.#proxy.onServerEnd();
  }

  onDrain(): void {
    this.#proxy.onServerDrain();
  }

  onClose(error: Error | null): void {
    this.#proxy.onServerClose(error);
  }
}

/** Itself the owner of the client's transport. */
export class TcpProxy implements TransportOwner, Content {
  readonly #s: TcpSession;
  readonly #plan: ProxyPlan;
  readonly #client: Transport;
  readonly #attempt = new Attempt();
  #group!: StreamGroup;
  /** What TLS asks for, unless proxy_ssl_name says otherwise. */
  #host = '';
  #peer: PeerInfo | null = null;
  /** How it is reached; null: by plain TCP. */
  #via: Via | null = null;
  #trace!: UpstreamAttempt;
  #server: Transport | null = null;
  #opening: Opening | null = null;
  #beganAt = 0;
  #attemptAt = 0;
  #clientEnded = false;
  #serverEnded = false;
  /** One side has ended; what waits for the other one has still to go out. Names who ended. */
  #ending: 'client' | 'upstream' | null = null;
  #up: Pacer | null = null;
  #down: Pacer | null = null;
  #closed = false;
  #stopWatching: (() => void) | null = null;

  constructor(s: TcpSession, plan: ProxyPlan) {
    this.#s = s;
    this.#plan = plan;
    this.#client = s.transport!;
  }

  get upstreamBytes(): { received: number; sent: number } | null {
    const server = this.#server;
    return server === null ? null : { received: server.bytesRead, sent: server.bytesWritten };
  }

  // ------------------------------------------------------------------------------------------------ connecting

  start(): void {
    const s = this.#s;
    this.#client.owner = this;
    s.action = 'connecting to upstream';
    this.#beganAt = clock.now;
    findTarget(s, this.#plan, (group, host) => {
      if (this.#closed) return;
      if (group === null) {
        s.finalize(INTERNAL_ERROR);
        return;
      }
      this.#group = group;
      this.#host = host;
      group.begin(this.#attempt, s, this.#plan.config.nextUpstreamTries);
      this.#connect();
    });
  }

  #connect(): void {
    const s = this.#s;
    this.#attemptAt = clock.now;
    const { trace, peer } = choosePeer(s, this.#group, this.#attempt);
    this.#trace = trace;
    if (peer === null) {
      s.finalize(BAD_GATEWAY);
      return;
    }
    this.#peer = peer;
    s.onTimeout = this.#onConnectTimeout;
    const via = this.#group.vias?.get(peer.server) ?? null;
    this.#via = via;
    s.timer.arm(
      via !== null && via.config.connectTimeoutMs > 0
        ? via.config.connectTimeoutMs
        : this.#plan.config.connectTimeoutMs,
    );
    const header = this.#plan.tls === null ? null : proxyHeader(s, this.#plan.config, false);
    this.#opening = openServer(s, this.#plan, peer, via, this.#host, header, {
      connected: (transport) => this.#connected(transport),
      failed: (message) => {
        s.log('error', message);
        this.#nextUpstream();
      },
    });
  }

  readonly #onConnectTimeout = (): void => {
    this.#s.log('error', 'upstream timed out (110: Connection timed out)');
    this.#nextUpstream(true);
  };

  /** The present attempt has failed before the server was connected. */
  #nextUpstream(timedOut = false): void {
    const s = this.#s;
    this.#opening?.cancel();
    this.#opening = null;
    const elapsed = clock.now - this.#attemptAt;
    this.#trace.sessionMs = elapsed;
    const peer = this.#peer;
    this.#peer = null;
    attemptFailed(s, this.#group, this.#attempt, peer, elapsed, timedOut);
    if (triesAnother(this.#plan.config, this.#attempt, this.#beganAt)) this.#connect();
    else s.finalize(BAD_GATEWAY);
  }

  #connected(server: Transport): void {
    const s = this.#s;
    const { config, tls } = this.#plan;
    this.#opening = null;
    this.#server = server;
    server.owner = new ServerSide(this);
    if (!s.server.config.core.tcpNodelay) server.setNoDelay(false);
    this.#noteConnected(server);
    this.#trace.connectMs = clock.now - this.#attemptAt;
    this.#group.peers.connected(this.#attempt, this.#trace.connectMs);
    this.#group.sticky?.connected(s, this.#peer!);
    s.action = 'proxying connection';
    s.onTimeout = this.#onIdle;
    s.timer.arm(config.timeoutMs);
    if (config.sessionDrop) {
      this.#stopWatching = watchDrops(this.#group, this.#peer!, () => {
        s.log('info', 'session dropped: the server is gone or unhealthy');
        s.finalize(OK);
      });
    }
    const header = tls === null ? proxyHeader(s, this.#plan.config, false) : null;
    if (header !== null) server.write(header, 0, header.length);
    if ((config.hello.on || this.#via !== null) && !this.#sayHello(server)) return;
    if (!this.#plan.unpaced) this.#setPacers();
    const { held } = s;
    s.held = null;
    if (held !== null) this.#toServer(held, 0, held.length);
    else this.#clientGoesOn();
    this.#serverGoesOn();
    if (this.#clientEnded) this.#afterClientEnd();
  }

  /** @returns false: it cannot be written, and the session has ended */
  #sayHello(server: Transport): boolean {
    try {
      const hello = this.#plan.helloFor(this.#s, this.#via);
      if (hello !== null) server.write(hello, 0, hello.length);
    } catch (error) {
      this.#s.log('error', `hello: ${(error as Error).message}`);
      this.#s.finalize(INTERNAL_ERROR);
    }
    return !this.#closed;
  }

  #noteConnected(server: Transport): void {
    const s = this.#s;
    if (!s.server.log.enabled('info')) return;
    const { localAddress, localPort } = server;
    const local = localAddress.includes(':') ? `[${localAddress}]:${localPort}` : `${localAddress}:${localPort}`;
    s.note(`proxy ${this.#peer!.family === 'unix' ? 'unix:' : local} connected to ${this.#trace.address}`);
  }

  // ------------------------------------------------------------------------------------------------ relay

  readonly #onIdle = (): void => {
    // Nothing moves because nothing may.
    if (this.#up?.delayed === true || this.#down?.delayed === true) {
      this.#touch();
      return;
    }
    this.#s.log('info', 'connection timed out (110: Connection timed out)');
    this.#s.finalize(OK);
  };

  #touch(): void {
    this.#s.timer.arm(this.#plan.config.timeoutMs);
  }

  #toServer(buf: Buffer, start: number, end: number): void {
    if (this.#up !== null) this.#up.push(buf, start, end);
    else if (this.#server!.write(buf, start, end) === HELD) {
      this.#client.slowDown();
      this.#client.pause();
    } else this.#clientGoesOn();
  }

  /** What comes is only written to the other side, unless its pace is kept: the kernel may move it there. */
  #clientGoesOn(): void {
    this.#client.resume();
    if (this.#up === null) this.#client.passTo(this.#server!, Infinity);
  }

  #serverGoesOn(): void {
    const server = this.#server!;
    server.resume();
    if (this.#down === null) server.passTo(this.#client, Infinity);
  }

  onData(buf: Buffer, start: number, end: number): void {
    const s = this.#s;
    if (this.#closed || this.#ending !== null) return;
    s.received += end - start;
    if (this.#server === null) {
      s.hold(buf, start, end);
      if (s.held!.length >= this.#plan.config.bufferSize) this.#client.pause();
      return;
    }
    this.#touch();
    if (this.#up !== null) this.#up.push(buf, start, end);
    else if (this.#server.write(buf, start, end) === HELD) {
      this.#client.slowDown();
      this.#client.pause();
    }
  }

  onServerData(buf: Buffer, start: number, end: number): void {
    if (this.#closed || this.#ending !== null) return;
    if (this.#trace.firstByteMs < 0) this.#firstByte();
    this.#touch();
    if (this.#down !== null) this.#down.push(buf, start, end);
    else if (this.#client.write(buf, start, end) === HELD) {
      this.#server!.slowDown();
      this.#server!.pause();
    }
  }

  #firstByte(): void {
    this.#trace.firstByteMs = clock.now - this.#attemptAt;
    this.#group.peers.headerReceived(this.#attempt, this.#trace.firstByteMs);
    this.#group.sticky?.firstByte(this.#s, this.#peer!);
  }

  /** The client takes more. */
  onDrain(): void {
    if (this.#closed || this.#ending !== null) return;
    this.#touch();
    if (this.#down !== null) this.#down.resume();
    else if (this.#server !== null) this.#serverGoesOn();
  }

  onServerDrain(): void {
    if (this.#closed || this.#ending !== null) return;
    this.#touch();
    if (this.#up !== null) this.#up.resume();
    else this.#clientGoesOn();
  }

  #setPacers(): void {
    const s = this.#s;
    const most = this.#plan.config.bufferSize;
    const upload = this.#plan.uploadRate(s);
    const download = this.#plan.downloadRate(s);
    const server = this.#server!;
    if (upload > 0) this.#up = this.#pacer(upload, most, this.#client, server, () => this.#passEnd('client'));
    if (download > 0) this.#down = this.#pacer(download, most, server, this.#client, () => this.#passEnd('upstream'));
  }

  #pacer(rate: number, most: number, from: Transport, to: Transport, ended: () => void): Pacer {
    const paced = {
      pass: (buf: Buffer, start: number, end: number) => {
        this.#touch();
        return to.write(buf, start, end) !== HELD;
      },
      stop: () => from.pause(),
      go: () => from.resume(),
      ended,
    };
    return new Pacer(paced, rate, most, this.#attemptAt);
  }

  // ------------------------------------------------------------------------------------------------ the end

  onEnd(): void {
    if (this.#closed || this.#clientEnded) return;
    this.#clientEnded = true;
    if (this.#server !== null) this.#afterClientEnd();
  }

  #afterClientEnd(): void {
    if (this.#up !== null) this.#up.finish();
    else this.#passEnd('client');
  }

  onServerEnd(): void {
    if (this.#closed || this.#serverEnded) return;
    this.#serverEnded = true;
    if (this.#down !== null) this.#down.finish();
    else this.#passEnd('upstream');
  }

  /** All that one side has sent was given to the other. */
  #passEnd(from: 'client' | 'upstream'): void {
    if (this.#closed || this.#ending !== null) return;
    const to = from === 'client' ? this.#server! : this.#client;
    if (this.#plan.config.halfClose && !(this.#clientEnded && this.#serverEnded)) {
      this.#touch();
      to.end();
      return;
    }
    this.#end(from);
  }

  /** Ends the session once the other side has taken what waits for it. */
  #end(from: 'client' | 'upstream'): void {
    const to = from === 'client' ? this.#server! : this.#client;
    this.#ending = from;
    to.flush();
    if (to.gone || !to.waits) {
      this.#finish();
      return;
    }
    this.#client.pause();
    this.#server!.pause();
    this.#touch();
    // Its close tells that they are taken.
    to.close(this.#plan.config.timeoutMs);
  }

  #finish(): void {
    const s = this.#s;
    if (s.server.log.enabled('info')) s.note(`${this.#ending ?? 'client'} disconnected, ${s.bytesText()}`);
    s.finalize(OK);
  }

  /** The client's connection is gone. */
  onClose(error: Error | null): void {
    if (this.#closed) return;
    this.#clientEnded = true;
    if (error !== null) this.#s.log('info', failedText('recv()', error));
    if (this.#server === null) {
      // As in nginx the attempt goes on only as long as there is somebody to serve.
      this.#s.finalize(OK);
      return;
    }
    if (this.#ending !== null) {
      if (this.#ending === 'upstream') this.#finish();
      return;
    }
    this.#up?.close();
    this.#end('client');
  }

  onServerClose(error: Error | null): void {
    if (this.#closed) return;
    this.#serverEnded = true;
    if (error !== null) this.#s.log('error', failedText('recv()', error));
    if (this.#ending !== null) {
      if (this.#ending === 'client') this.#finish();
      return;
    }
    if (this.#down !== null && !this.#down.empty) {
      this.#down.finish();
      return;
    }
    this.#end('upstream');
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#opening?.cancel();
    this.#stopWatching?.();
    this.#up?.close();
    this.#down?.close();
    const server = this.#server;
    if (server !== null) {
      this.#trace.bytesReceived = server.bytesRead;
      this.#trace.bytesSent = server.bytesWritten;
    }
    this.#giveBack();
    if (server === null) return;
    closeSoon(server, this.#plan.tls !== null || this.#via?.direct === false);
  }

  /** The peer is free for others. */
  #giveBack(): void {
    const peer = this.#peer;
    if (peer === null) return;
    this.#peer = null;
    const trace = this.#trace;
    if (trace.sessionMs < 0) trace.sessionMs = clock.now - this.#attemptAt;
    const hadHeader = trace.firstByteMs >= 0;
    if (trace.connectMs >= 0) this.#group.observer?.ended(this.#s, peer, OK);
    this.#group.peers.done(this.#attempt, {
      failed: false,
      next: false,
      hadHeader,
      headerMs: hadHeader ? trace.firstByteMs : 0,
      responseMs: trace.sessionMs,
      bytesSent: trace.bytesSent,
      bytesReceived: trace.bytesReceived,
      ...(trace.connectMs < 0 ? null : { connectMs: trace.connectMs }),
    });
    if (trace.connectMs >= 0) this.#group.sticky?.ended(this.#s, peer);
  }
}
