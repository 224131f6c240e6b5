/**
 * A session: one TCP connection of a client, or its datagrams until they stop. What variables, logs and handlers know of
 * it; how bytes come and go is `tcp-session.ts` and `udp-session.ts`.
 */
import type { LogLevel } from '../config/model.ts';
import type { Hello } from '../net/anyproxy/packet.ts';
import { clock } from '../net/clock.ts';
import type { ClientAddress } from '../net/client-address.ts';
import type { PrereadHello } from '../net/hello-preread.ts';
import type { ProxyProtocolInfo } from '../net/proxy-protocol.ts';
import type { ZoneCounter } from '../observe/zones.ts';
import type { TlsInfo } from '../net/tls-info.ts';
import type { VariableContext } from '../variables/context.ts';
import type { KongCase } from './kong/case.ts';
import type { StreamListen } from './listen.ts';
import { releaseSlots } from './limits.ts';
import type { LimitSlot } from './limits.ts';
import type { StreamGeneration, StreamServer } from './runtime.ts';

/** How sessions end (`$status`). */
export const OK = 200;
export const BAD_REQUEST = 400;
export const FORBIDDEN = 403;
export const INTERNAL_ERROR = 500;
export const BAD_GATEWAY = 502;
export const UNAVAILABLE = 503;

/** One attempt at a server, for `$upstream_…`. */
export interface UpstreamAttempt {
  /** Address, or the group's name when no server could be chosen. */
  address: string;
  /** Milliseconds since the attempt began; -1: not reached. */
  connectMs: number;
  firstByteMs: number;
  sessionMs: number;
  bytesSent: number;
  bytesReceived: number;
}

/** Bytes that went from and to the server of a session now. */
export interface UpstreamBytes {
  readonly received: number;
  readonly sent: number;
}

let serials = 0;

export abstract class Session implements VariableContext {
  vars: (string | null)[] | null = null;
  captures: readonly (string | undefined)[] | null = null;
  readonly listen: StreamListen;
  readonly generation: StreamGeneration;
  /** The default server of the address until a name says otherwise. */
  server: StreamServer;
  /** `$connection`. */
  readonly serial: number = ++serials;
  abstract readonly udp: boolean;
  /** The connection's own address. */
  readonly peer: ClientAddress;
  /** After realip. */
  client: ClientAddress;
  proxyProtocol: ProxyProtocolInfo | null = null;
  tls: TlsInfo | null = null;
  readonly startedAt: number = clock.now;
  /** Bytes taken from the client; a PROXY protocol header is not among them. */
  received = 0;
  /** 0: the session goes on. */
  status = 0;
  attempts: UpstreamAttempt[] | null = null;
  lastServerName = '';
  /** What `ssl_preread` has found; null: nothing, or it was not asked. */
  hello: PrereadHello | null = null;
  /** What the Kong door keeps of it; null: it is not one of its sessions. */
  kong: KongCase | null = null;
  /** What the proxy before this one has told; null: nothing, or nobody was asked. */
  told: Hello | null = null;
  /** Null: nobody has asked for it yet (`requestIdOf`). */
  requestId: string | null = null;
  /** What was read of the client and not passed on yet. */
  held: Buffer | null = null;
  /** What `preread_bytes` waited for (`$preread_data`), one character a byte; null: nothing was read in advance. */
  firstBytes: string | null = null;
  /** Slots that it holds in zones of limit_conn. */
  slots: LimitSlot[] | null = null;
  /** `$limit_conn_status`; null: no limit was asked. */
  limitStatus: string | null = null;
  /** What is being done, for the log: ` while <action>`; empty: nothing to tell. */
  action = 'initializing session';
  /** Its server's zone counts it among those under way. */
  inZone = false;
  next: Session | null = null;
  previous: Session | null = null;

  constructor(listen: StreamListen, peer: ClientAddress) {
    const { generation, defaultServer } = listen.runtime;
    this.listen = listen;
    this.generation = generation;
    this.server = defaultServer;
    this.peer = peer;
    this.client = peer;
    generation.active++;
    listen.sessions.add(this);
  }

  /** Bytes given to the client. */
  abstract get sent(): number;
  abstract localAddress(): string;
  abstract localPort(): number;
  /** Of the connection to the server, if there is one now. */
  abstract get upstreamBytes(): UpstreamBytes | null;

  /** Ends the session: logs it and lets go of everything. Only the first call counts. */
  abstract finalize(status: number): void;
  /** The worker is about to end. */
  abstract shutdown(): void;
  /** The time that worker_shutdown_timeout gives is over. */
  expire(): void {
    this.log('info', 'shutdown timeout');
    this.finalize(OK);
  }

  /** The part of `finalize` that all sessions share. Call it once, or `depart` instead. */
  protected leave(status: number): void {
    this.status = status;
    this.log('debug', 'session is over');
    this.server.accessLog?.write(this);
    this.depart();
  }

  /** The session's server is known, and serves it. */
  protected enterZone(): void {
    if (this.server.zone === null) return;
    this.inZone = true;
    this.server.zone.begin();
  }

  /** A client that left before anything was done for it is discarded. */
  #count(zone: ZoneCounter): void {
    if (!this.inZone) zone.begin();
    const discarded = !this.inZone && this.status === OK;
    zone.end(discarded ? 0 : this.status, this.received, this.sent, clock.now - this.startedAt);
  }

  /** Leaves without a line in the access log. */
  protected depart(): void {
    if (this.server.zone !== null) this.#count(this.server.zone);
    if (this.slots !== null) releaseSlots(this.slots);
    this.listen.sessions.remove(this);
    this.generation.leave();
  }

  /** The present attempt, or undefined. */
  get attempt(): UpstreamAttempt | undefined {
    return this.attempts === null ? undefined : this.attempts[this.attempts.length - 1];
  }

  /** Writes a line into the error log, with nginx's suffix. */
  log(level: LogLevel, message: string): void {
    const { log } = this.server;
    const { debugConnections } = this.generation;
    const chosen = debugConnections !== null && debugConnections.has(this.client.bytes);
    if (!chosen && !log.enabled(level)) return;
    let line = message;
    if (this.action !== '') line += ` while ${this.action}`;
    line += `, ${this.udp ? 'udp ' : ''}client: ${this.client.text}, server: ${this.listen.address}`;
    if (this.attempts !== null) {
      const { attempt } = this;
      if (attempt !== undefined) line += `, upstream: "${attempt.address}"`;
      line += `, ${this.bytesText()}`;
    }
    log.write(level, line, this.serial, chosen);
  }

  /** Writes a line without suffix. */
  note(message: string): void {
    this.server.log.write('info', message, this.serial);
  }

  bytesText(): string {
    const upstream = this.upstreamBytes;
    return (
      `bytes from/to client:${this.received}/${this.sent}, ` +
      `bytes from/to upstream:${upstream?.received ?? 0}/${upstream?.sent ?? 0}`
    );
  }

  /** `connected to` line of the log. */
  noteConnected(): void {
    if (!this.server.log.enabled('info')) return;
    const { text, port } = this.peer;
    const address = port === 0 ? text : text.includes(':') ? `[${text}]:${port}` : `${text}:${port}`;
    this.note(`${this.udp ? 'udp ' : ''}client ${address} connected to ${this.listen.address}`);
  }
}
