/** Turns accepted sockets into client connections: plain or after a TLS handshake. */
import type { Socket } from 'node:net';
import { Http1Connection } from '../http/server/http1-connection.ts';
import type { HttpListen } from '../http/server/listen.ts';
import { addressOf } from '../net/client-address.ts';
import type { ClientAddress } from '../net/client-address.ts';
import { readProxyHeader, readProxyHeaderRaw } from '../net/proxy-header.ts';
import type { ProxyHeaderOutcome } from '../net/proxy-header.ts';
import type { ProxyProtocolInfo } from '../net/proxy-protocol.ts';
import { acceptTlsTransport } from '../net/tls-accept.ts';
import { acceptTls } from '../net/tls-server.ts';
import type { TlsChooser } from '../net/tls-server.ts';
import type { TlsTransport } from '../net/tls-transport.ts';
import { Transport } from '../net/transport.ts';
import { ACCEPTED, CLOSED, traffic } from '../observe/traffic.ts';
import { SocketTls } from '../net/tls-info.ts';
import { http2 } from './http2.ts';

/** What becomes of a PROXY protocol header on a listening address. */
function headerOutcome(
  listen: HttpListen,
  address: ClientAddress,
  ready: ProxyHeaderOutcome['ready'],
): ProxyHeaderOutcome {
  return {
    ready,
    failed(why) {
      traffic.row[CLOSED]!++;
      if (why !== null) listen.log('error', `${why} while reading PROXY protocol`, address.text);
    },
  };
}

/** A connection was accepted on a plain address. @param client its address, when whoever passes it on knows better */
export function acceptPlain(
  listen: HttpListen,
  socket: Socket,
  given: Transport | null,
  client: ClientAddress | null = null,
): void {
  traffic.row[ACCEPTED]!++;
  const { kind, proxyProtocol } = listen.config;
  const address = client ?? addressOf(socket, kind === 'unix');
  const transport = given ?? new Transport(socket, null);
  if (!proxyProtocol) {
    begin(listen, transport, address, null);
    return;
  }
  const ready = (info: ProxyProtocolInfo | null): void => begin(listen, transport, address, info);
  const timeout = listen.defaultServer.config.clientHeaderTimeoutMs;
  readProxyHeader(transport, timeout, headerOutcome(listen, address, ready));
}

function begin(listen: HttpListen, transport: Transport, address: ClientAddress, info: ProxyProtocolInfo | null): void {
  if (listen.http2) new http2!.PrefaceReader(transport, listen, address, info);
  else new Http1Connection(transport, listen, address, null, info);
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
export function acceptSecureTransport(
  listen: HttpListen,
  transport: TlsTransport,
  tls: TlsChooser<ClientAddress>,
): void {
  traffic.row[ACCEPTED]!++;
  const address = addressOf(transport.socket, listen.config.kind === 'unix');
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
      const transport = new Transport(secure, null);
      if (secure.alpnProtocol === 'h2') new http2!.Http2Connection(transport, listen, address, known, info);
      else new Http1Connection(transport, listen, address, known, info);
    },
    plain() {
      new Http1Connection(new Transport(socket, null), listen, address, null, info);
    },
    failed: (error) => handshakeFailed(listen, address, error === null ? '' : error.message),
  });
}
