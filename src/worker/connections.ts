/** Turns accepted sockets into client connections: plain or after a TLS handshake. */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { SslServerConfig } from '../config/model.ts';
import { Http1Connection } from '../http/server/http1-connection.ts';
import type { HttpListen, ListenRuntime } from '../http/server/listen.ts';
import type { ClientAddress, TlsInfo } from '../http/request.ts';
import { protocolRange } from '../http/proxy/tls.ts';
import { acceptTls, secureContext } from '../net/tls-server.ts';
import type { ServerTls, TlsChooser } from '../net/tls-server.ts';
import { Transport } from '../net/transport.ts';
import { ACCEPTED, CLOSED, traffic } from '../observe/traffic.ts';

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
  return new SocketAddress(text.startsWith('::ffff:') && text.includes('.') ? text.slice(7) : text, socket.remotePort ?? 0);
}

/** Contexts of a listening address, by server. */
export class TlsTable implements TlsChooser {
  readonly #runtime: ListenRuntime;
  readonly #contexts = new Map<SslServerConfig, ServerTls>();

  /** Throws when a certificate or key cannot be used. */
  constructor(runtime: ListenRuntime) {
    this.#runtime = runtime;
    for (const index of runtime.config.servers) {
      const { ssl } = runtime.generation.servers[index]!.config;
      if (ssl !== null && !this.#contexts.has(ssl)) this.#contexts.set(ssl, makeContext(ssl));
    }
  }

  choose(serverName: string): ServerTls {
    const server = serverName === '' ? this.#runtime.defaultServer : this.#runtime.hosts.byName(serverName.toLowerCase());
    const ssl = server.config.ssl ?? this.#runtime.defaultServer.config.ssl;
    return this.#contexts.get(ssl!) ?? this.#contexts.get(this.#runtime.defaultServer.config.ssl!)!;
  }
}

function makeContext(ssl: SslServerConfig): ServerTls {
  const ca = [ssl.clientCertificate, ssl.trustedCertificate].filter((pem) => pem !== null);
  return {
    context: secureContext({
      ...(ssl.certificates.length === 0
        ? null
        : {
            cert: ssl.certificates.map((c) => c.certificate),
            key: ssl.certificates.map((c) => ({ pem: c.key, passphrase: ssl.passphrases[0] ?? '' })),
          }),
      ...(ca.length === 0 ? null : { ca }),
      ...(ssl.crl === null ? null : { crl: ssl.crl }),
      ...(ssl.dhparam === null ? null : { dhparam: ssl.dhparam }),
      ...(ssl.ciphers === '' || ssl.ciphers === 'DEFAULT' ? null : { ciphers: ssl.ciphers }),
      ...(ssl.ecdhCurve === '' || ssl.ecdhCurve === 'auto' ? null : { ecdhCurve: ssl.ecdhCurve }),
      honorCipherOrder: ssl.preferServerCiphers,
      sessionTimeout: ssl.sessionTimeoutSec,
      sessionIdContext: 'headrace',
      ...protocolRange(ssl.protocols),
    }),
    requestCertificate: ssl.verifyClient !== 'off',
    rejectHandshake: ssl.rejectHandshake,
    alpn: ['http/1.1', 'http/1.0'],
  };
}

/** What is known of a TLS connection; read when somebody asks. */
class SocketTls implements TlsInfo {
  readonly #socket: TLSSocket;
  #verify = '';
  constructor(socket: TLSSocket) {
    this.#socket = socket;
  }
  get protocol(): string {
    return this.#socket.getProtocol() ?? '';
  }
  get cipher(): string {
    return this.#socket.getCipher()?.standardName === undefined ? '' : this.#socket.getCipher().name;
  }
  get serverName(): string {
    const name: unknown = (this.#socket as TLSSocket & { servername?: unknown }).servername;
    return typeof name === 'string' ? name : '';
  }
  get sessionReused(): boolean {
    return this.#socket.isSessionReused();
  }
  get sessionId(): string {
    return '';
  }
  get alpn(): string {
    return typeof this.#socket.alpnProtocol === 'string' ? this.#socket.alpnProtocol : '';
  }
  get curve(): string {
    const info = this.#socket.getEphemeralKeyInfo() as { name?: string } | null;
    return info?.name ?? '';
  }
  get clientVerify(): string {
    if (this.clientCertificate === null) return 'NONE';
    if (this.#verify === '') {
      // `authorized` is set by tls.Server only; a socket of our own has to be asked as that does. No handle, no proof.
      const handle = (this.#socket as unknown as { _handle?: { verifyError(): Error | null | undefined } | null })._handle;
      const error = handle == null ? new Error('connection is closed') : handle.verifyError();
      this.#verify = error == null ? 'SUCCESS' : `FAILED:${error.message}`;
    }
    return this.#verify;
  }
  get clientCertificate(): TlsInfo['clientCertificate'] {
    const x509 = this.#socket.getPeerX509Certificate();
    if (x509 === undefined) return null;
    const names = (text: string): string => text.split('\n').reverse().join(',');
    return {
      pem: x509.toString(),
      subject: names(x509.subject),
      issuer: names(x509.issuer),
      serial: x509.serialNumber,
      fingerprint: x509.fingerprint.replaceAll(':', '').toLowerCase(),
      notBefore: x509.validFrom,
      notAfter: x509.validTo,
    };
  }
}

/** A connection was accepted on a plain address. */
export function acceptPlain(listen: HttpListen, socket: Socket, transport: Transport | null): void {
  traffic.row[ACCEPTED]!++;
  const unix = listen.config.kind === 'unix';
  new Http1Connection(transport ?? new Transport(socket, null), listen, addressOf(socket, unix), null);
}

/** A connection was accepted on an `ssl` address. */
export function acceptSecure(listen: HttpListen, socket: Socket, tls: TlsChooser): void {
  traffic.row[ACCEPTED]!++;
  const unix = listen.config.kind === 'unix';
  const address = addressOf(socket, unix);
  const timeout = listen.defaultServer.config.clientHeaderTimeoutMs;
  acceptTls(socket, tls, timeout, (secure, error) => {
    if (secure === null) {
      traffic.row[CLOSED]!++;
      if (error !== null) listen.log('info', `SSL_do_handshake() failed (SSL: ${error.message}) while SSL handshaking`, address.text);
      return;
    }
    new Http1Connection(new Transport(secure, null), listen, address, new SocketTls(secure));
  });
}
