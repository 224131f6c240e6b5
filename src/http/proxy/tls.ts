/** TLS towards servers: contexts made when a configuration is loaded, sessions kept for reuse. */
import { connect as tlsConnect, createSecureContext } from 'node:tls';
import type { ConnectionOptions, SecureContext, TLSSocket } from 'node:tls';
import { checkServerIdentity } from 'node:tls';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { decodeText } from '../../config/bytes.ts';
import type { ProxySslConfig } from '../../config/model.ts';
import { openKey } from '../../net/tls-peer.ts';
import type { ConnectOptions } from '../../net/transport.ts';
import type { HttpRequest } from '../request.ts';
import type { Value } from '../variables/value.ts';
import type { VariableTable } from '../variables/table.ts';

const MAX_SESSIONS = 1000;

export class UpstreamTls {
  readonly config: ProxySslConfig;
  /** What must be equal for a connection to be used again: same trust, same credentials, same protocol. */
  readonly key: string;
  readonly name: Value | null;
  readonly #context: SecureContext;
  /** With variables in their names certificates are read when they are first asked for. */
  readonly #certificate: Value | null;
  readonly #certificateKey: Value | null;
  readonly #directory: string;
  /** By what `credentialsOf` gives, the oldest first. */
  readonly #contexts = new Map<string, SecureContext>();
  /** Sessions by address and name, least recently used first. */
  readonly #sessions = new Map<string, Buffer>();

  /** @param directory of the configuration file: what names of files are relative to */
  constructor(config: ProxySslConfig, variables: VariableTable, directory: string) {
    this.config = config;
    this.name = config.name === null ? null : variables.compile(config.name);
    const named = config.certificatePem === null && config.certificate !== null;
    this.#certificate = named ? variables.compile(config.certificate!) : null;
    this.#certificateKey = named ? variables.compileOptional(config.certificateKey) : null;
    this.#directory = directory;
    this.#context = createSecureContext(contextOptions(config));
    this.key = [
      'tls',
      config.verify
        ? `verify:${hash(config.trustedCertificate ?? '')}:${hash(config.crl ?? '')}:${config.verifyDepth}`
        : 'any',
      config.serverName ? 'sni' : '',
      hash(config.certificatePem ?? ''),
      config.protocols.join(','),
      config.ciphers,
    ].join(' ');
  }

  /** The name asked for and checked (proxy_ssl_name), without port. */
  nameOf(r: HttpRequest, proxyHost: string): string {
    const name = this.name === null ? proxyHost : this.name.get(r);
    return name.startsWith('[') ? name.slice(1, name.indexOf(']')) : name.replace(/:\d+$/, '');
  }

  /** What a request's own certificate is called; empty: it has none of its own. */
  credentialsOf(r: HttpRequest): string {
    if (this.#certificate === null) return '';
    const certificate = this.#certificate.get(r);
    return certificate === '' ? '' : `${certificate}\n${this.#certificateKey?.get(r) ?? ''}`;
  }

  /** The context for these credentials, or the log's text when they cannot be loaded. */
  contextOf(credentials: string): SecureContext | string {
    if (credentials === '') return this.#context;
    const made = this.#contexts.get(credentials);
    if (made !== undefined) return made;
    const [certificate = '', key = ''] = credentials.split('\n');
    try {
      const pems = { certificatePem: this.#read(certificate), certificateKeyPem: this.#read(key) };
      const context = createSecureContext(contextOptions({ ...this.config, ...pems }));
      if (this.#contexts.size >= MAX_SESSIONS) this.#contexts.delete(this.#contexts.keys().next().value!);
      this.#contexts.set(credentials, context);
      return context;
    } catch (error) {
      return `cannot load certificate "${certificate}": ${(error as Error).message}`;
    }
  }

  #read(name: string): string {
    return name.startsWith('data:')
      ? name.slice(5)
      : readFileSync(resolve(this.#directory, decodeText(name)), 'latin1');
  }

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

function hash(text: string): string {
  let h = 5381;
  for (let i = 0; i < text.length; i++) h = (Math.imul(h, 33) ^ text.charCodeAt(i)) | 0;
  return (h >>> 0).toString(36) + text.length.toString(36);
}

function contextOptions(config: ProxySslConfig): Parameters<typeof createSecureContext>[0] {
  return {
    ...(config.trustedCertificate === null ? null : { ca: config.trustedCertificate }),
    ...(config.crl === null ? null : { crl: config.crl }),
    ...(config.certificatePem === null
      ? null
      : {
          cert: config.certificatePem,
          key: openKey(config.certificateKeyPem ?? config.certificatePem, config.passphrases),
        }),
    ...(config.ciphers === '' || config.ciphers === 'DEFAULT' ? null : { ciphers: config.ciphers }),
    ...protocolRange(config.protocols),
  };
}

const VERSIONS: Readonly<Record<string, 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'>> = {
  TLSv1: 'TLSv1',
  'TLSv1.1': 'TLSv1.1',
  'TLSv1.2': 'TLSv1.2',
  'TLSv1.3': 'TLSv1.3',
};

/** Node takes a range; the listed versions' lowest and highest are its ends. */
export function protocolRange(protocols: readonly string[]): {
  minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';
  maxVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';
} {
  const known = Object.keys(VERSIONS).filter((v) => protocols.includes(v));
  if (known.length === 0) return {};
  return { minVersion: VERSIONS[known[0]!]!, maxVersion: VERSIONS[known[known.length - 1]!]! };
}

/** Starts a handshake; the caller listens for `secureConnect`, `error` and `close`. */
export function startTls(
  tls: UpstreamTls,
  context: SecureContext,
  name: string,
  sessionKey: string,
  address: ConnectOptions,
): TLSSocket {
  const literal = /^[\d.]+$|:/.test(name);
  const session = tls.session(sessionKey);
  const options: ConnectionOptions = {
    secureContext: context,
    rejectUnauthorized: tls.config.verify,
    checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
  };
  if (address.path !== null) options.path = address.path;
  else {
    options.host = address.host;
    options.port = address.port;
  }
  if (address.localAddress !== null)
    Object.assign(options, { localAddress: address.localAddress, localPort: address.localPort });
  if (tls.config.serverName && !literal) options.servername = name;
  if (session !== undefined) options.session = session;
  const socket = tlsConnect(options);
  socket.setNoDelay(true);
  if (address.keepAlive) socket.setKeepAlive(true);
  socket.on('session', (data: Buffer) => tls.keepSession(sessionKey, data));
  return socket;
}
