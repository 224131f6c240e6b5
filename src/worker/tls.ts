/** TLS of a worker's listening addresses: a context for each server block, and what is known of a connection. */
import { constants, X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { SslServerConfig } from '../config/model.ts';
import type { TlsInfo } from '../http/request.ts';
import { protocolRange } from '../http/proxy/tls.ts';
import type { ListenRuntime } from '../http/server/listen.ts';
import { intermediates, openKey } from '../net/tls-peer.ts';
import { secureContext } from '../net/tls-server.ts';
import type { ServerTls, TlsChooser } from '../net/tls-server.ts';
import { sessionIdentity, TicketKeys } from '../net/tls-tickets.ts';
import type { TicketSecret } from '../net/tls-tickets.ts';

/** Contexts of a listening address, by server. */
export class TlsTable implements TlsChooser {
  readonly #runtime: ListenRuntime;
  readonly #contexts = new Map<SslServerConfig, ServerTls>();

  /** Throws when a certificate or key cannot be used. */
  constructor(runtime: ListenRuntime, tickets: TicketSecret) {
    this.#runtime = runtime;
    for (const index of runtime.config.servers) {
      const { ssl } = runtime.generation.servers[index]!.config;
      if (usable(ssl) && !this.#contexts.has(ssl)) this.#contexts.set(ssl, makeContext(ssl, tickets));
    }
  }

  choose(serverName: string): ServerTls {
    const server =
      serverName === '' ? this.#runtime.defaultServer : this.#runtime.hosts.byName(serverName.toLowerCase());
    const { ssl } = server.config;
    return (
      (usable(ssl) ? this.#contexts.get(ssl) : undefined) ??
      this.#contexts.get(this.#runtime.defaultServer.config.ssl!)!
    );
  }
}

/** A server without certificates may say who is let in; the handshake is the default server's. */
function usable(ssl: SslServerConfig | null): ssl is SslServerConfig {
  return ssl !== null && (ssl.certificates.length > 0 || ssl.rejectHandshake);
}

function makeContext(ssl: SslServerConfig, tickets: TicketSecret): ServerTls {
  const ca = authorities(ssl);
  const identity = sessionIdentity([
    ssl.certificates.map((c) => c.certificate),
    ssl.clientCertificate,
    ssl.trustedCertificate,
    ssl.crl,
    ssl.verifyClient,
    ssl.verifyDepth,
    ssl.protocols,
    ssl.ciphers,
  ]);
  // Node offers no cache of sessions: where one is configured, tickets do its work.
  const resumes = ssl.sessionTickets || ssl.sessionCache === 'shared' || ssl.sessionCache === 'builtin';
  const context = secureContext({
    ...(ssl.certificates.length === 0
      ? null
      : {
          cert: ssl.certificates.map((c) => c.certificate),
          key: ssl.certificates.map((c) => ({ pem: openKey(c.key, ssl.passphrases), passphrase: '' })),
        }),
    ...(ca.length === 0 ? null : { ca }),
    ...(ssl.crl === null ? null : { crl: ssl.crl }),
    ...(ssl.dhparam === null ? null : { dhparam: ssl.dhparam }),
    ...(ssl.ciphers === '' || ssl.ciphers === 'DEFAULT' ? null : { ciphers: ssl.ciphers }),
    ...(ssl.ecdhCurve === '' || ssl.ecdhCurve === 'auto' ? null : { ecdhCurve: ssl.ecdhCurve }),
    // Clients may not begin another handshake on a connection (TLS 1.2), as nginx has it.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | (resumes ? 0 : constants.SSL_OP_NO_TICKET),
    honorCipherOrder: ssl.preferServerCiphers,
    sessionTimeout: ssl.sessionTimeoutSec,
    sessionIdContext: identity,
    ...protocolRange(ssl.protocols),
  });
  if (resumes) new TicketKeys(tickets, identity, ssl.sessionTimeoutSec, ssl.sessionTicketKeys).install(context);
  return {
    context,
    requestCertificate: ssl.verifyClient !== 'off',
    rejectHandshake: ssl.rejectHandshake,
    verifyDepth: ssl.verifyDepth,
    alpn: ['http/1.1', 'http/1.0'],
  };
}

/** Trusted certificates, each once; they are also those that a client is asked for. */
function authorities(ssl: SslServerConfig): string[] {
  const found = new Map<string, string>();
  for (const pem of [ssl.clientCertificate, ssl.trustedCertificate]) {
    for (const [text] of (pem ?? '').matchAll(/-----BEGIN [^-]*CERTIFICATE-----[^-]*-----END [^-]*CERTIFICATE-----/g)) {
      found.set(new X509Certificate(text).fingerprint256, text);
    }
  }
  return [...found.values()];
}

/** What is known of a TLS connection; read when somebody asks. */
export class SocketTls implements TlsInfo {
  readonly serverName: string;
  readonly #socket: TLSSocket;
  readonly #depth: number;
  #verify = '';

  constructor(socket: TLSSocket, serverName: string, { verifyDepth }: ServerTls) {
    this.#socket = socket;
    this.serverName = serverName;
    this.#depth = verifyDepth;
  }

  get protocol(): string {
    return this.#socket.getProtocol() ?? '';
  }
  get cipher(): string {
    return this.#socket.getCipher()?.standardName === undefined ? '' : this.#socket.getCipher().name;
  }
  get sessionReused(): boolean {
    return this.#socket.isSessionReused();
  }
  get sessionId(): string {
    return sessionIdOf(this.#socket.getSession());
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
      const handle = (this.#socket as unknown as { _handle?: { verifyError(): Error | null | undefined } | null })
        ._handle;
      const error = handle == null ? new Error('connection is closed') : handle.verifyError();
      if (error != null) this.#verify = `FAILED:${error.message}`;
      else this.#verify = intermediates(this.#socket) > this.#depth ? 'FAILED:certificate chain too long' : 'SUCCESS';
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

/** The session's id in hexadecimal, out of its DER form: version, protocol and cipher stand before it. */
function sessionIdOf(session: Buffer | undefined): string {
  if (session === undefined) return '';
  try {
    let at = 1;
    at += session[at]! < 0x80 ? 1 : 1 + (session[at]! & 0x7f);
    for (let skip = 0; skip < 3; skip++) at += 2 + session[at + 1]!;
    return session[at] === 4 ? session.toString('hex', at + 2, at + 2 + session[at + 1]!) : '';
  } catch {
    return '';
  }
}
