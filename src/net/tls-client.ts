/** TLS towards servers: contexts made when a configuration is loaded, sessions kept for reuse. */
import { createSecureContext } from 'node:tls';
import type { SecureContext, SecureContextOptions } from 'node:tls';
import { createHash } from 'node:crypto';
import type { ProxySslConfig } from '../config/model.ts';
import { CertificateStore } from './certificate-store.ts';
import { commandOptions, ownCredentials } from './tls-context.ts';
import { openKey } from './tls-peer.ts';

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

/** An address is not sent as a name (RFC 6066 section 3). */
export function isLiteral(name: string): boolean {
  return /^[\d.]+$|:/.test(name);
}
