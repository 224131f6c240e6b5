/** TLS towards servers: contexts made when a configuration is loaded, sessions kept for reuse. */
import { connect as tlsConnect, createSecureContext } from 'node:tls';
import type { Socket } from 'node:net';
import type { ConnectionOptions, SecureContext, SecureContextOptions, TLSSocket } from 'node:tls';
import { checkServerIdentity } from 'node:tls';
import { createHash } from 'node:crypto';
import type { ProxySslConfig } from '../config/model.ts';
import { countFailedHandshake, countHandshake } from './tls-counts.ts';
import { failedText } from '../observe/errno.ts';
import { CertificateStore } from './certificate-store.ts';
import { commandOptions, ownCredentials } from './tls-context.ts';
import { openKey } from './tls-peer.ts';
import type { ConnectOptions } from './transport.ts';

const MAX_SESSIONS = 1000;
const MAX_CONTEXTS = 100;

export class ClientTls {
  readonly config: ProxySslConfig;
  readonly #context: SecureContext;
  readonly #store: CertificateStore;
  /** By contents of certificate and key, the oldest first: made anew only when a file has changed. */
  readonly #contexts = new Map<string, SecureContext>();
  /** Sessions by address and name, least recently used first. */
  readonly #sessions = new Map<string, Buffer>();

  /** @param directory of the configuration file: what names of files are relative to */
  constructor(config: ProxySslConfig, directory: string) {
    this.config = config;
    this.#store = CertificateStore.of(config.certificateCache, directory);
    this.#context = createSecureContext(contextOptions(config));
  }

  /**
   * The context for these credentials (names of certificate and key, with a line feed between; empty: those of the
   * configuration), or the log's text when they cannot be loaded.
   */
  contextOf(credentials: string): SecureContext | string {
    if (credentials === '') return this.#context;
    const [certificate = '', key = ''] = credentials.split('\n');
    try {
      return this.#store.pair(certificate, key, this.#contextFor);
    } catch (error) {
      return `cannot load certificate "${certificate}": ${(error as Error).message}`;
    }
  }

  readonly #contextFor = (certificatePem: string, certificateKeyPem: string): SecureContext => {
    const contents = `${certificatePem}\n${certificateKeyPem}`;
    const made = this.#contexts.get(contents);
    if (made !== undefined) return made;
    const context = createSecureContext(contextOptions({ ...this.config, certificatePem, certificateKeyPem }));
    if (this.#contexts.size >= MAX_CONTEXTS) this.#contexts.delete(this.#contexts.keys().next().value!);
    this.#contexts.set(contents, context);
    return context;
  };

  session(key: string): Buffer | undefined {
    return this.config.sessionReuse ? this.#sessions.get(key) : undefined;
  }

  keepSession(key: string, session: Buffer): void {
    if (!this.config.sessionReuse) return;
    this.#sessions.delete(key);
    this.#sessions.set(key, session);
    if (this.#sessions.size > MAX_SESSIONS) this.#sessions.delete(this.#sessions.keys().next().value!);
  }
}

/** A short text that differs where texts do: for keys of pools. */
export function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64').slice(0, 16);
}

function contextOptions(config: ProxySslConfig): SecureContextOptions {
  const { certificatePem, certificateKeyPem, passphrases } = config;
  const pairs =
    certificatePem === null ? [] : [{ certificate: certificatePem, key: certificateKeyPem ?? certificatePem }];
  const [own] = ownCredentials(pairs, config.commands);
  return {
    ...(config.trustedCertificate === null ? null : { ca: config.trustedCertificate }),
    ...(config.crl === null ? null : { crl: config.crl }),
    ...(own === undefined ? null : { cert: own.certificate, key: openKey(own.key, passphrases) }),
    ...(config.commands.set === undefined ? null : { secureOptions: config.commands.set }),
    ...commandOptions(config),
  };
}

/** What a handshake may have beyond its usual form. */
export interface TlsExtras {
  /** A connection that is there already. */
  over?: Socket;
  /** Protocols to ask for. */
  alpn?: string[];
}

/** An address is not sent as a name (RFC 6066 section 3). */
export function isLiteral(name: string): boolean {
  return /^[\d.]+$|:/.test(name);
}

/** Starts a handshake; the caller listens for `secureConnect`, `error` and `close`. */
export function startTls(
  tls: ClientTls,
  context: SecureContext,
  name: string,
  sessionKey: string,
  address: ConnectOptions,
  { over, alpn = [] }: TlsExtras = {},
): TLSSocket {
  const session = tls.session(sessionKey);
  const options: ConnectionOptions = {
    secureContext: context,
    rejectUnauthorized: tls.config.verify,
    checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
  };
  if (over !== undefined) options.socket = over;
  else if (address.path !== null) options.path = address.path;
  else {
    options.host = address.host;
    options.port = address.port;
  }
  if (address.localAddress !== null)
    Object.assign(options, { localAddress: address.localAddress, localPort: address.localPort });
  if (tls.config.serverName && !isLiteral(name)) options.servername = name;
  if (session !== undefined) options.session = session;
  if (alpn.length > 0) options.ALPNProtocols = alpn;
  const socket = tlsConnect(options);
  socket.setNoDelay(true);
  if (address.keepAlive) socket.setKeepAlive(true);
  let connected = false;
  socket.once('secureConnect', () => {
    connected = true;
    countHandshake(socket.isSessionReused());
  });
  // Not being able to connect is no failed handshake.
  socket.once('error', (error: NodeJS.ErrnoException) => {
    if (!connected && error.syscall !== 'connect') countFailedHandshake(error);
  });
  socket.on('session', (data: Buffer) => tls.keepSession(sessionKey, data));
  return socket;
}

/** nginx's wording of what can go wrong in a handshake. */
export function tlsFailure(error: Error | null, connected: boolean, name: string): string {
  if (error === null) return 'peer closed connection in SSL handshake while SSL handshaking to upstream';
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (!connected && code.startsWith('E') && !code.startsWith('ERR_'))
    return `${failedText('connect()', error)} while connecting to upstream`;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `upstream SSL certificate does not match "${name}" while SSL handshaking to upstream`;
  if (/CERT|SELF_SIGNED|VERIFY|CRL|UNABLE_TO/.test(code))
    return `upstream SSL certificate verify error: (${code}:${error.message}) while SSL handshaking to upstream`;
  return `SSL_do_handshake() failed (SSL: ${error.message}) while SSL handshaking to upstream`;
}
