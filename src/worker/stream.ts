/** The stream side of a worker: its listening sockets over all reloads, and the sessions on them. */
import { unlinkSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { PeerAddress } from '../config/model.ts';
import type { ClientAddress } from '../net/client-address.ts';
import { clock } from '../net/clock.ts';
import { Listener } from '../net/listener.ts';
import { LiveList } from '../net/live-list.ts';
import { serverTls } from '../net/tls-context.ts';
import { handshakeInfo } from '../net/tls-info.ts';
import type { TlsChooser } from '../net/tls-server.ts';
import type { TicketSecret } from '../net/tls-tickets.ts';
import { failedText } from '../observe/errno.ts';
import { acceptTcp } from '../stream/accept.ts';
import { compileStream } from '../stream/compile.ts';
import type { StreamEnv, StreamRuntime } from '../stream/compile.ts';
import { StreamListen } from '../stream/listen.ts';
import type { StreamListenRuntime, StreamServer } from '../stream/runtime.ts';
import type { Session } from '../stream/session.ts';
import { UdpListen } from '../stream/udp-listen.ts';
import type { KongInbox } from './kong.ts';
import { KongTls } from './kong-tls.ts';
import { listensFor } from './listens.ts';
import type { GenerationData } from './protocol.ts';
import { QuicDoor } from './quic.ts';
import { TlsTable } from './tls.ts';
import { openTunnels } from './tunnels.ts';
import type { TunnelDoor } from './tunnels.ts';

/** Contexts of an address; names of certificates are evaluated against the session. */
type StreamTls = TlsChooser<Session>;

/** A listening address of this worker. */
interface Bound {
  listen: StreamListen;
  tls: StreamTls | null;
  /** Null: UDP, or a unix socket that another worker has. */
  listener: Listener | null;
  udp: UdpListen | null;
  /** Null: tunnels are not accepted. */
  tunnels: TunnelDoor | null;
  quic: QuicDoor | null;
}

/** A generation that is compiled and bound, waiting for its commit. */
export interface PreparedStream {
  runtime: StreamRuntime;
  /** By key of `keyOf`: bound for this generation only. */
  fresh: Map<string, Bound>;
  tls: Map<string, StreamTls>;
}

/** Connections are wanted as bare sockets: for TLS, and to hand them on. */
function isRaw({ config, servers }: StreamListenRuntime): boolean {
  return config.ssl || servers.some((server) => server.config.handler.kind === 'pass');
}

/** What identifies a listening socket over reloads. */
function keyOf(runtime: StreamListenRuntime): string {
  const { kind, address, rcvbuf, sndbuf, tunnel, quic } = runtime.config;
  const tunnels = tunnel === undefined ? '' : ` tunnel ${runtime.defaultServer.config.tunnel.wire}`;
  if (quic === true) return `quic ${address}${tunnels}`;
  if (kind === 'udp') return `udp ${address} ${rcvbuf} ${sndbuf}`;
  return `${address}${isRaw(runtime) ? ' raw' : ''}${tunnels}`;
}

function tlsTable(runtime: StreamListenRuntime, tickets: TicketSecret, directory: string, kong: KongInbox): StreamTls {
  const { variables } = runtime.generation;
  const { ssl, handler, alpn } = runtime.defaultServer.config;
  const table = new TlsTable<StreamServer, Session>(runtime, tickets, {
    alpn: (server) => server.config.alpn,
    keepsHello: variables.uses('ssl_ciphers') || variables.uses('ssl_curves'),
    directory,
    log: (level, message) => runtime.defaultServer.log.write(level, message),
    evaluate: (_server, texts) => {
      const values = texts.map((text) => variables.compile(text));
      return (serverName, _socket, session) => {
        session.tls = handshakeInfo(serverName);
        return values.map((value) => value.get(session));
      };
    },
  });
  if (handler.kind !== 'kong' || ssl === null) return table;
  return new KongTls(table, kong, (credentials) => serverTls(ssl, tickets, alpn, credentials));
}

export class StreamSide {
  readonly sessions = new LiveList<Session>();
  readonly #bound = new Map<string, Bound>();
  readonly #workerId: number;
  readonly #kong: KongInbox;

  constructor(workerId: number, kong: KongInbox) {
    this.#workerId = workerId;
    this.#kong = kong;
  }

  /** What a generation's stream block means; null: it has none. */
  compile(data: GenerationData, env: StreamEnv): PreparedStream | null {
    const { config } = data;
    if (config.stream === null) return null;
    return { runtime: compileStream(data.id, config, config.stream, env), fresh: new Map(), tls: new Map() };
  }

  /**
   * Binds what a generation adds.
   *
   * @param directory of the configuration file
   * @param maxSessions most sessions of a UDP address
   * @throws {Error} with the system's reason; then call `abandon`
   */
  async bind(prepared: PreparedStream, tickets: TicketSecret, directory: string, maxSessions: number): Promise<void> {
    for (const runtime of prepared.runtime.listens) {
      const key = keyOf(runtime);
      const tls =
        runtime.config.ssl && runtime.config.quic !== true ? tlsTable(runtime, tickets, directory, this.#kong) : null;
      if (tls !== null) prepared.tls.set(key, tls);
      if (this.#bound.has(key)) continue;
      const bound: Bound = {
        listen: new StreamListen(runtime, this.sessions),
        tls,
        listener: null,
        udp: null,
        tunnels: null,
        quic: null,
      };
      prepared.fresh.set(key, bound);
      if (runtime.config.quic === true) {
        // A connection moves between addresses of its client: one worker has them all.
        if (this.#workerId === 0) await this.#bindQuic(bound);
      } else if (runtime.config.kind === 'udp') await this.#bindUdp(bound, maxSessions);
      // Unix sockets cannot be shared by SO_REUSEPORT, and all connections of a tunnel have to meet: the first worker has them.
      else if (this.#workerId === 0 || (runtime.config.kind === 'tcp' && runtime.config.tunnel === undefined)) {
        await this.#bindTcp(bound);
      }
    }
  }

  async #bindUdp(bound: Bound, maxSessions: number): Promise<void> {
    const udp = new UdpListen(bound.listen, maxSessions);
    bound.udp = udp;
    try {
      await udp.open();
    } catch (error) {
      throw new Error(failedText(`bind() to ${bound.listen.address}`, error), { cause: error });
    }
  }

  async #bindQuic(bound: Bound): Promise<void> {
    const { address, tunnel } = bound.listen.runtime.config;
    if (tunnel !== undefined) await this.#openTunnels(bound);
    bound.quic = new QuicDoor(bound.listen);
    try {
      await bound.quic.open();
    } catch (error) {
      throw new Error(`QUIC on ${address}: ${(error as Error).message}`, { cause: error });
    }
  }

  async #openTunnels(bound: Bound): Promise<void> {
    bound.tunnels = await openTunnels(bound.listen);
    bound.listen.tunnels = bound.tunnels.gate;
  }

  async #bindTcp(bound: Bound): Promise<void> {
    const { config } = bound.listen.runtime;
    if (config.tunnel !== undefined) await this.#openTunnels(bound);
    bound.listener = this.#listener(bound);
    try {
      await bound.listener.listen();
    } catch (error) {
      // A worker that died leaves the file of its unix socket behind; the main thread has seen to all other cases.
      if (config.kind !== 'unix' || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') {
        throw new Error(failedText(`bind() to ${config.address}`, error), { cause: error });
      }
      unlinkSync(config.host);
      bound.listener = this.#listener(bound);
      await bound.listener.listen();
    }
  }

  /** Its TLS is asked for with each connection, for a reload replaces it. */
  #listener(bound: Bound): Listener {
    const { runtime } = bound.listen;
    const { host, port, ipv6only, backlog } = runtime.config;
    const kind = runtime.config.kind === 'unix' ? 'unix' : 'tcp';
    return new Listener({ kind, host, port, ipv6only, backlog }, isRaw(runtime), (connection) => {
      clock.update();
      acceptTcp(bound.listen, connection, bound.tls);
    });
  }

  /** New sessions run under this generation from now on. @param prepared null: there is no stream any more */
  commit(prepared: PreparedStream | null): void {
    for (const [key, bound] of prepared?.fresh ?? []) this.#bound.set(key, bound);
    const wanted = new Map<string, StreamListenRuntime>();
    for (const runtime of prepared?.runtime.listens ?? []) wanted.set(keyOf(runtime), runtime);
    for (const [key, bound] of this.#bound) {
      const runtime = wanted.get(key);
      if (runtime === undefined) {
        bound.listener?.close();
        bound.udp?.leave();
        bound.tunnels?.close();
        bound.quic?.close();
        this.#bound.delete(key);
        continue;
      }
      bound.listen.runtime = runtime;
      bound.tunnels?.follow(runtime.defaultServer.config.tunnel);
      bound.quic?.follow(runtime);
      bound.tls = prepared?.tls.get(key) ?? null;
    }
  }

  abandon(prepared: PreparedStream): void {
    for (const bound of prepared.fresh.values()) {
      bound.listener?.close();
      bound.udp?.close();
      bound.tunnels?.close();
      bound.quic?.close();
    }
  }

  /** Takes a connection that a `pass` hands on. @returns false: no address of stream is meant */
  take(to: PeerAddress, socket: Socket, client: ClientAddress): boolean {
    for (const { listen, tls } of this.#bound.values()) {
      if (!listensFor(listen.runtime.config, to)) continue;
      acceptTcp(listen, socket, tls, client);
      return true;
    }
    return false;
  }

  /** No new sessions; UDP ends with its sockets, connections go on. */
  quit(): void {
    for (const { listener, tunnels, quic } of this.#bound.values()) {
      listener?.close();
      tunnels?.close();
      quic?.close();
    }
    this.sessions.each((session) => session.shutdown());
    for (const bound of this.#bound.values()) bound.udp?.close();
    this.#bound.clear();
  }
}
