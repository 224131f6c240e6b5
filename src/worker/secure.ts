/** TLS of the addresses that http listens on: their contexts, and connections after a handshake. Loaded when there are any. */
import type { Socket } from 'node:net';
import { Http1Connection } from '../http/server/http1-connection.ts';
import { handshakeRequest } from '../http/server/handshake-request.ts';
import type { HttpListen, ListenRuntime } from '../http/server/listen.ts';
import type { Server } from '../http/runtime.ts';
import { addressOf } from '../net/client-address.ts';
import type { ClientAddress } from '../net/client-address.ts';
import type { NativeListening } from '../net/listener.ts';
import { readProxyHeaderRaw } from '../net/proxy-header.ts';
import type { ProxyProtocolInfo } from '../net/proxy-protocol.ts';
import { acceptsNatively, acceptTlsTransport } from '../net/tls-accept.ts';
import { serverTls } from '../net/tls-context.ts';
import { SocketTls } from '../net/tls-info.ts';
import { acceptTls } from '../net/tls-server.ts';
import type { TlsChooser } from '../net/tls-server.ts';
import type { TicketSecret } from '../net/tls-tickets.ts';
import { TlsTransport } from '../net/tls-transport.ts';
import { SocketTransport } from '../net/socket-transport.ts';
import type { Transport } from '../net/transport.ts';
import { ACCEPTED, CLOSED, traffic } from '../observe/traffic.ts';
import { headerOutcome } from './connections.ts';
import { http2 } from './http2.ts';
import type { KongInbox } from './kong.ts';
import { KongTls } from './kong-tls.ts';
import { TlsTable } from './tls.ts';

/** Contexts of an address; names of certificates may look at the client's address. */
type HttpTls = TlsChooser<ClientAddress>;

const HTTP1_ONLY = ['http/1.1', 'http/1.0'];
const WITH_HTTP2 = ['h2', ...HTTP1_ONLY];

export function tlsTable(runtime: ListenRuntime, tickets: TicketSecret, directory: string, kong: KongInbox): HttpTls {
  const { generation, config, defaultServer, hosts } = runtime;
  const { ssl, root } = defaultServer.config;
  const { variables } = generation;
  const servers = config.servers.map((i) => generation.servers[i]!);
  const alpn = (server: Server): string[] => (server.config.http2.on || config.http2 ? WITH_HTTP2 : HTTP1_ONLY);
  const table = new TlsTable<Server, ClientAddress>({ servers, defaultServer, hosts }, tickets, {
    alpn,
    keepsHello: variables.uses('ssl_ciphers') || variables.uses('ssl_curves'),
    directory,
    log: (level, message) => generation.log.write(level, message),
    evaluate: (server, texts) => {
      const values = texts.map((text) => variables.compile(text));
      return (serverName, socket, client) => {
        const { localAddress = '', localPort = 0 } = socket;
        const r = handshakeRequest(generation, server, { serverName, client, localAddress, localPort });
        return values.map((value) => value.get(r));
      };
    },
  });
  if (root.handler.kind !== 'kong' || ssl === null) return table;
  return new KongTls(table, kong, (credentials) => serverTls(ssl, tickets, alpn(defaultServer), credentials));
}

/** How an address is listened on whose TLS may be done without Node's streams. @param table asked for with each connection */
export function nativeListening(table: () => HttpTls | null): NativeListening {
  return {
    wanted() {
      const tls = table();
      return tls !== null && acceptsNatively(tls);
    },
    make: (ring, fd) => new TlsTransport(ring, fd),
  };
}

/** A connection was accepted on an `ssl` address, as `nativeListening` wanted it. */
export function takeSecure(listen: HttpListen, connection: Transport | Socket, tls: HttpTls): void {
  if (connection instanceof TlsTransport) acceptSecureTransport(listen, connection, tls);
  else acceptSecure(listen, connection as Socket, tls);
}

/** A connection was accepted on an `ssl` address. */
export function acceptSecure(
  listen: HttpListen,
  socket: Socket,
  tls: TlsChooser<ClientAddress>,
  client: ClientAddress | null = null,
): void {
  traffic.row[ACCEPTED]!++;
  const { kind, proxyProtocol } = listen.config;
  const address = client ?? addressOf(socket, kind === 'unix');
  if (!proxyProtocol) {
    handshake(listen, socket, tls, address, null);
    return;
  }
  const timeout = listen.defaultServer.config.clientHeaderTimeoutMs;
  const outcome = headerOutcome(listen, address, (info) => handshake(listen, socket, tls, address, info));
  readProxyHeaderRaw(socket, timeout, outcome);
}

/** A connection was accepted on an `ssl` address whose TLS is done without Node's streams. */
function acceptSecureTransport(listen: HttpListen, transport: TlsTransport, tls: TlsChooser<ClientAddress>): void {
  traffic.row[ACCEPTED]!++;
  const address = addressOf(transport, listen.config.kind === 'unix');
  acceptTlsTransport(transport, tls, address, listen.defaultServer.config.clientHeaderTimeoutMs, {
    secure(known) {
      if (known.alpn === 'h2') new http2!.Http2Connection(transport, listen, address, known, null);
      else new Http1Connection(transport, listen, address, known, null);
    },
    plain() {
      new Http1Connection(transport, listen, address, null, null);
    },
    failed: (message) => handshakeFailed(listen, address, message),
  });
}

function handshakeFailed(listen: HttpListen, address: ClientAddress, message: string): void {
  traffic.row[CLOSED]!++;
  if (message !== '')
    listen.log('info', `SSL_do_handshake() failed (SSL: ${message}) while SSL handshaking`, address.text);
}

function handshake(
  listen: HttpListen,
  socket: Socket,
  tls: TlsChooser<ClientAddress>,
  address: ClientAddress,
  info: ProxyProtocolInfo | null,
): void {
  const timeout = listen.defaultServer.config.clientHeaderTimeoutMs;
  acceptTls(socket, tls, address, timeout, {
    secure(secure, serverName, chosen, hello, revoked) {
      const known = new SocketTls(secure, serverName, chosen, hello, revoked);
      const transport = new SocketTransport(secure, null);
      if (secure.alpnProtocol === 'h2') new http2!.Http2Connection(transport, listen, address, known, info);
      else new Http1Connection(transport, listen, address, known, info);
    },
    plain() {
      new Http1Connection(new SocketTransport(socket, null), listen, address, null, info);
    },
    failed: (error) => handshakeFailed(listen, address, error === null ? '' : error.message),
  });
}
