/** `proxy_pass` over UDP: one socket towards the server for each session, so that answers find their client. */
import type { Buffer } from 'node:buffer';
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { clock } from '../../net/clock.ts';
import { lookupLiteral } from '../../net/udp.ts';
import { failedText } from '../../observe/errno.ts';
import { Attempt } from '../../upstream/group.ts';
import type { PeerInfo } from '../../upstream/group.ts';
import { BAD_GATEWAY, INTERNAL_ERROR, OK } from '../session.ts';
import type { UpstreamAttempt } from '../session.ts';
import type { UdpContent, UdpSession } from '../udp-session.ts';
import { attemptFailed, choosePeer, proxyHeader, triesAnother } from './choose.ts';
import type { StreamGroup } from './group.ts';
import { DatagramPacer } from './pace.ts';
import type { ProxyPlan } from './plan.ts';
import { findTarget } from './target.ts';

/** Datagrams that wait for the server to be known; more are dropped, as a full socket buffer would. */
const MAX_WAITING = 64;

export function proxyUdp(s: UdpSession, plan: ProxyPlan): void {
  const proxy = new UdpProxy(s, plan);
  s.content = proxy;
  proxy.start();
}

class UdpProxy implements UdpContent {
  readonly #s: UdpSession;
  readonly #plan: ProxyPlan;
  readonly #attempt = new Attempt();
  #group!: StreamGroup;
  #peer: PeerInfo | null = null;
  #trace!: UpstreamAttempt;
  #socket: Socket | null = null;
  #ready = false;
  #waiting: Buffer[] = [];
  #beganAt = 0;
  #attemptAt = 0;
  #closed = false;
  /** Datagrams of the client, and of the server. */
  #requests = 0;
  #responses = 0;
  #forgotten = false;
  readonly upstreamBytes = { received: 0, sent: 0 };
  /** The socket told of an error: the server counts as failed. */
  #broken = false;
  #up: DatagramPacer | null = null;
  #down: DatagramPacer | null = null;

  constructor(s: UdpSession, plan: ProxyPlan) {
    this.#s = s;
    this.#plan = plan;
  }

  start(): void {
    const s = this.#s;
    s.action = 'connecting to upstream';
    this.#beganAt = clock.now;
    const first = s.held!;
    s.held = null;
    s.received -= first.length;
    this.#take(first);
    findTarget(s, this.#plan, (group) => {
      if (this.#closed) return;
      if (group === null) {
        s.finalize(INTERNAL_ERROR);
        return;
      }
      this.#group = group;
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
    s.onTimeout = this.#onTimeout;
    s.timer.arm(this.#plan.config.timeoutMs);
    if (peer.family === 'unix' || this.#group.vias?.get(peer.server)?.direct === false) {
      s.log('error', `datagrams cannot go to "${peer.server}"`);
      this.#nextUpstream();
      return;
    }
    const { socketRcvbuf, socketSndbuf } = this.#plan.config;
    const socket = createSocket({
      type: peer.family === 6 ? 'udp6' : 'udp4',
      lookup: lookupLiteral,
      ...(socketRcvbuf > 0 ? { recvBufferSize: socketRcvbuf } : null),
      ...(socketSndbuf > 0 ? { sendBufferSize: socketSndbuf } : null),
    });
    this.#socket = socket;
    socket.on('error', (error) => this.#onError(socket, error));
    socket.on('message', (datagram) => {
      if (socket === this.#socket) this.#onAnswer(datagram);
    });
    socket.once('connect', () => {
      if (socket === this.#socket && !this.#closed) this.#connected(socket);
    });
    const local = this.#plan.localAddress(s);
    if (local !== null) socket.bind({ address: local.text, port: local.port, exclusive: true });
    socket.connect(peer.port, peer.host);
  }

  #connected(socket: Socket): void {
    const s = this.#s;
    const { config } = this.#plan;
    clock.update();
    this.#ready = true;
    if (s.server.log.enabled('info')) {
      const { address, port, family } = socket.address();
      const local = family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
      s.note(`udp proxy ${local} connected to ${this.#trace.address}`);
    }
    this.#trace.connectMs = clock.now - this.#attemptAt;
    this.#group.peers.connected(this.#attempt, this.#trace.connectMs);
    this.#group.sticky?.connected(s, this.#peer!);
    s.action = 'proxying connection';
    const header = proxyHeader(s, this.#plan.config, true);
    if (header !== null) this.#write(header);
    const [first, ...waiting] = this.#waiting;
    this.#waiting = [];
    if (first !== undefined) this.#write(first);
    if (!this.#plan.unpaced) this.#setPacers(first === undefined ? 0 : first.length);
    for (const datagram of waiting) this.#toServer(datagram);
    s.timer.arm(config.timeoutMs);
    this.#mayEnd();
  }

  /** @param passed bytes of the client that have gone already: the first datagram is never held back */
  #setPacers(passed: number): void {
    const s = this.#s;
    const upload = this.#plan.uploadRate(s);
    const download = this.#plan.downloadRate(s);
    if (upload > 0) this.#up = new DatagramPacer(upload, this.#attemptAt, passed, (datagram) => this.#write(datagram));
    if (download > 0) this.#down = new DatagramPacer(download, this.#attemptAt, 0, (datagram) => s.send(datagram));
  }

  /** The present server cannot be asked. */
  #nextUpstream(): void {
    const s = this.#s;
    const elapsed = clock.now - this.#attemptAt;
    this.#trace.sessionMs = elapsed;
    const peer = this.#peer;
    this.#peer = null;
    this.#dropSocket();
    attemptFailed(s, this.#group, this.#attempt, peer, elapsed, false);
    if (triesAnother(this.#plan.config, this.#attempt, this.#beganAt)) this.#connect();
    else s.finalize(BAD_GATEWAY);
  }

  #dropSocket(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#ready = false;
    try {
      socket?.close();
    } catch {
      // It was never bound.
    }
  }

  // ------------------------------------------------------------------------------------------------ datagrams

  onDatagram(datagram: Buffer): void {
    if (this.#closed) return;
    clock.update();
    this.#take(datagram);
    this.#mayEnd();
  }

  #take(datagram: Buffer): void {
    this.#requests++;
    this.#s.received += datagram.length;
    if (this.#ready) {
      this.#s.timer.arm(this.#plan.config.timeoutMs);
      this.#toServer(datagram);
    } else if (this.#waiting.length < MAX_WAITING) this.#waiting.push(datagram);
    const { requests } = this.#plan.config;
    if (requests === 0 || this.#requests < requests || this.#forgotten) return;
    this.#forgotten = true;
    this.#s.forget();
  }

  #toServer(datagram: Buffer): void {
    if (this.#up !== null) this.#up.push(datagram);
    else this.#write(datagram);
  }

  #write(datagram: Uint8Array): void {
    this.upstreamBytes.sent += datagram.length;
    this.#socket?.send(datagram);
  }

  #onAnswer(datagram: Buffer): void {
    if (this.#closed) return;
    clock.update();
    const s = this.#s;
    this.upstreamBytes.received += datagram.length;
    this.#responses++;
    if (this.#trace.firstByteMs < 0) {
      this.#trace.firstByteMs = clock.now - this.#attemptAt;
      this.#group.peers.headerReceived(this.#attempt, this.#trace.firstByteMs);
      this.#group.sticky?.firstByte(s, this.#peer!);
    }
    if (this.#down !== null) this.#down.push(datagram);
    else s.send(datagram);
    s.timer.arm(this.#plan.config.timeoutMs);
    this.#mayEnd();
  }

  /** Ends the session when all that it was for has happened. */
  #mayEnd(): void {
    const { requests, responses } = this.#plan.config;
    if (this.#closed || !this.#ready) return;
    if (requests > 0 && this.#requests < requests) return;
    if (responses === null || this.#responses < responses * this.#requests) return;
    if (this.#up?.idle === false || this.#down?.idle === false) return;
    const s = this.#s;
    if (s.server.log.enabled('info')) s.note(`udp done, ${this.#countsText()}`);
    s.finalize(OK);
  }

  #countsText(): string {
    return `packets from/to client:${this.#requests}/${this.#responses}, ${this.#s.bytesText()}`;
  }

  readonly #onTimeout = (): void => {
    const s = this.#s;
    const { responses } = this.#plan.config;
    if (!this.#ready) {
      s.log('error', 'upstream timed out (110: Connection timed out)');
      this.#nextUpstream();
      return;
    }
    if (this.#up?.idle === false || this.#down?.idle === false) {
      s.timer.arm(this.#plan.config.timeoutMs);
      return;
    }
    if (responses === null || this.#responses >= responses * this.#requests) {
      if (s.server.log.enabled('info')) s.note(`udp timed out, ${this.#countsText()}`);
      s.finalize(OK);
      return;
    }
    s.log('error', 'upstream timed out (110: Connection timed out)');
    this.#broken = true;
    s.finalize(BAD_GATEWAY);
  };

  #onError(socket: Socket, error: Error): void {
    if (socket !== this.#socket || this.#closed) return;
    clock.update();
    if (!this.#ready) {
      this.#s.log('error', failedText('connect()', error));
      this.#nextUpstream();
      return;
    }
    // An ICMP message: nobody listens there. It counts as an answer without bytes, as in nginx.
    this.#s.log('error', failedText('recv()', error));
    this.#broken = true;
    this.#responses++;
    this.#mayEnd();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#up?.close();
    this.#down?.close();
    this.#waiting = [];
    const peer = this.#peer;
    if (peer !== null) {
      this.#peer = null;
      this.#giveBack(peer);
    }
    this.#dropSocket();
  }

  #giveBack(peer: PeerInfo): void {
    const trace = this.#trace;
    if (trace.sessionMs < 0) trace.sessionMs = clock.now - this.#attemptAt;
    trace.bytesReceived = this.upstreamBytes.received;
    trace.bytesSent = this.upstreamBytes.sent;
    const hadHeader = trace.firstByteMs >= 0;
    this.#group.observer?.ended(this.#s, peer, this.#broken ? BAD_GATEWAY : OK);
    this.#group.peers.done(this.#attempt, {
      failed: this.#broken,
      next: false,
      hadHeader,
      headerMs: hadHeader ? trace.firstByteMs : 0,
      responseMs: trace.sessionMs,
      bytesSent: trace.bytesSent,
      bytesReceived: trace.bytesReceived,
      ...(trace.connectMs < 0 ? null : { connectMs: trace.connectMs }),
    });
    if (!this.#broken) this.#group.sticky?.ended(this.#s, peer);
  }
}
