/** Turns accepted sockets into client connections: plain or after a TLS handshake. */
import type { Socket } from 'node:net';
import { Http1Connection } from '../http/server/http1-connection.ts';
import type { HttpListen } from '../http/server/listen.ts';
import type { ClientAddress } from '../http/request.ts';
import { readProxyHeader, readProxyHeaderRaw } from '../net/proxy-header.ts';
import type { ProxyHeaderOutcome } from '../net/proxy-header.ts';
import type { ProxyProtocolInfo } from '../net/proxy-protocol.ts';
import { acceptTls } from '../net/tls-server.ts';
import type { TlsChooser } from '../net/tls-server.ts';
import { Transport } from '../net/transport.ts';
import { ACCEPTED, CLOSED, traffic } from '../observe/traffic.ts';
import { SocketTls } from '../net/tls-info.ts';

const UNIX_BYTES = new Uint8Array(0);

/** The client's address; its bytes are made when a balancer asks for them. */
class SocketAddress implements ClientAddress {
  readonly text: string;
  readonly port: number;
  #bytes: Uint8Array | null = null;

  constructor(text: string, port: number) {
    this.text = text;
    this.port = port;
  }

  get bytes(): Uint8Array {
    return (this.#bytes ??= addressBytes(this.text));
  }
}

/** 4 or 16 bytes of an address; none for unix sockets. */
export function addressBytes(text: string): Uint8Array {
  if (text.startsWith('unix:') || text === '') return UNIX_BYTES;
  if (!text.includes(':')) return Uint8Array.from(text.split('.'), Number);
  const [head = '', tail] = text.replace(/%.*$/, '').split('::');
  const groups = (part: string): number[] =>
    part === ''
      ? []
      : part.split(':').flatMap((g) => {
          if (g.includes('.')) {
            const [a = 0, b = 0, c = 0, d = 0] = g.split('.').map(Number);
            return [a * 256 + b, c * 256 + d];
          }
          return [Number.parseInt(g, 16)];
        });
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const all = [...left, ...new Array<number>(Math.max(0, 8 - left.length - right.length)).fill(0), ...right];
  return Uint8Array.from(all.flatMap((g) => [g >> 8, g & 255]));
}

function addressOf(socket: Socket, unix: boolean): ClientAddress {
  if (unix) return new SocketAddress('unix:', 0);
  const text = socket.remoteAddress ?? '';
  return new SocketAddress(
    text.startsWith('::ffff:') && text.includes('.') ? text.slice(7) : text,
    socket.remotePort ?? 0,
  );
}

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

/** A connection was accepted on a plain address. */
export function acceptPlain(listen: HttpListen, socket: Socket, given: Transport | null): void {
  traffic.row[ACCEPTED]!++;
  const { kind, proxyProtocol } = listen.config;
  const address = addressOf(socket, kind === 'unix');
  const transport = given ?? new Transport(socket, null);
  if (!proxyProtocol) {
    new Http1Connection(transport, listen, address, null);
    return;
  }
  const ready = (info: ProxyProtocolInfo | null): void => {
    new Http1Connection(transport, listen, address, null, info);
  };
  const timeout = listen.defaultServer.config.clientHeaderTimeoutMs;
  readProxyHeader(transport, timeout, headerOutcome(listen, address, ready));
}

/** A connection was accepted on an `ssl` address. */
export function acceptSecure(listen: HttpListen, socket: Socket, tls: TlsChooser): void {
  traffic.row[ACCEPTED]!++;
  const { kind, proxyProtocol } = listen.config;
  const address = addressOf(socket, kind === 'unix');
  if (!proxyProtocol) {
    handshake(listen, socket, tls, address, null);
    return;
  }
  const timeout = listen.defaultServer.config.clientHeaderTimeoutMs;
  const outcome = headerOutcome(listen, address, (info) => handshake(listen, socket, tls, address, info));
  readProxyHeaderRaw(socket, timeout, outcome);
}

function handshake(
  listen: HttpListen,
  socket: Socket,
  tls: TlsChooser,
  address: ClientAddress,
  info: ProxyProtocolInfo | null,
): void {
  const timeout = listen.defaultServer.config.clientHeaderTimeoutMs;
  acceptTls(socket, tls, timeout, {
    secure(secure, serverName, chosen) {
      const known = new SocketTls(secure, serverName, chosen);
      new Http1Connection(new Transport(secure, null), listen, address, known, info);
    },
    plain() {
      new Http1Connection(new Transport(socket, null), listen, address, null, info);
    },
    failed(error) {
      traffic.row[CLOSED]!++;
      if (error !== null)
        listen.log('info', `SSL_do_handshake() failed (SSL: ${error.message}) while SSL handshaking`, address.text);
    },
  });
}
