/** Turns accepted TCP connections into sessions. */
import type { Socket } from 'node:net';
import { addressOf } from '../net/client-address.ts';
import type { ClientAddress } from '../net/client-address.ts';
import { asSocket, transportOf } from '../net/pipe.ts';
import type { PipeSocket } from '../net/pipe.ts';
import { readProxyHeader, readProxyHeaderRaw } from '../net/proxy-header.ts';
import type { ProxyHeaderOutcome } from '../net/proxy-header.ts';
import { handshakeInfo } from '../net/tls-info.ts';
import type { TlsChooser } from '../net/tls-server.ts';
import { SocketTransport } from '../net/socket-transport.ts';
import { Transport } from '../net/transport.ts';
import { ACCEPTED, traffic } from '../observe/traffic.ts';
import type { StreamListen } from './listen.ts';
import { BAD_REQUEST, OK } from './session.ts';
import type { Session } from './session.ts';
import { TcpSession } from './tcp-session.ts';

/**
 * @param connection a bare socket where it has to be one: TLS ends here, or it may be passed on
 * @param tls null: a plain address
 * @param client the address that whoever passes it on knows; null: the connection's own
 */
export function acceptTcp(
  listen: StreamListen,
  connection: Transport | Socket,
  tls: TlsChooser<Session> | null,
  client: ClientAddress | null = null,
): void {
  traffic.row[ACCEPTED]!++;
  const { kind, proxyProtocol, soKeepalive } = listen.runtime.config;
  if (soKeepalive !== null) connection.setKeepAlive(soKeepalive.on, soKeepalive.idleMs);
  // Routes of the Kong door say whether TLS ends here, once the name is known that the client asks for.
  const late = tls !== null && listen.runtime.defaultServer.config.handler.kind === 'kong';
  const address = client ?? addressOf(connection, kind === 'unix');
  const socket = connection instanceof Transport ? connection.socket : connection;
  let transport: Transport | null = null;
  if (connection instanceof Transport) transport = connection;
  else if (tls === null || late) transport = new SocketTransport(connection, null);
  const s = new TcpSession(listen, address, socket, transport);
  s.termination = tls;
  if (transport !== null) transport.owner = s;
  s.noteConnected();
  if (!proxyProtocol) {
    s.begin(late ? null : tls);
    return;
  }
  s.action = 'reading PROXY protocol';
  const outcome: ProxyHeaderOutcome = {
    ready(info) {
      s.proxyProtocol = info;
      s.action = 'initializing session';
      s.begin(late ? null : tls);
    },
    failed(why) {
      const late = why === 'client timed out';
      if (late) s.log('info', 'client timed out (110: Connection timed out)');
      else if (why !== null) s.log('error', why);
      s.finalize(late ? OK : BAD_REQUEST);
    },
  };
  const timeout = s.server.config.core.proxyProtocolTimeoutMs;
  if (transport === null) readProxyHeaderRaw(socket!, timeout, outcome);
  else readProxyHeader(transport, timeout, outcome);
}

/** Takes what comes out of a tunnel: the beginning of a session of the address where the tunnel came in. */
export function acceptInner(listen: StreamListen, pipe: PipeSocket, first: Transport): void {
  traffic.row[ACCEPTED]!++;
  const socket = asSocket(pipe);
  const transport = transportOf(pipe);
  const s = new TcpSession(listen, addressOf(socket, false), socket, transport);
  transport.owner = s;
  s.inner = true;
  s.noteConnected();
  s.beginSecure(listen.tlsOf.get(first) ?? null);
}

/** Takes a stream of QUIC: a connection like others, whose handshake is over. */
export function acceptQuic(listen: StreamListen, stream: PipeSocket & { serverName: string; alpn: string }): void {
  traffic.row[ACCEPTED]!++;
  const socket = asSocket(stream);
  const transport = transportOf(stream);
  const s = new TcpSession(listen, addressOf(socket, false), socket, transport);
  transport.owner = s;
  s.noteConnected();
  s.beginSecure({ ...handshakeInfo(stream.serverName), protocol: 'QUIC', alpn: stream.alpn });
}
