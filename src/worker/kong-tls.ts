/** TLS of the Kong door's addresses: certificates of the store by SNI, and those of the configuration for all other names. */
import type { Socket } from 'node:net';
import type { KongCertificate } from '../config/kong/model.ts';
import type { Credentials } from '../net/tls-context.ts';
import type { ServerTls, TlsChooser } from '../net/tls-server.ts';
import type { KongInbox } from './kong.ts';

/** No more contexts than that are kept: a context costs some 50 kB. */
const MAX_CONTEXTS = 1000;

export class KongTls<A> implements TlsChooser<A> {
  readonly #others: TlsChooser<A>;
  readonly #kong: Pick<KongInbox, 'certificateFor'>;
  readonly #make: (credentials: readonly Credentials[]) => ServerTls;
  /** By what they are made of, the least recently used first. */
  readonly #made = new Map<string, ServerTls>();

  /** @param make a context for these credentials, all else as the configuration says */
  constructor(
    others: TlsChooser<A>,
    kong: Pick<KongInbox, 'certificateFor'>,
    make: (credentials: readonly Credentials[]) => ServerTls,
  ) {
    this.#others = others;
    this.#kong = kong;
    this.#make = make;
  }

  get native(): boolean {
    return this.#others.native;
  }

  get keepsHello(): boolean {
    return this.#others.keepsHello;
  }

  /** @throws when a certificate cannot be used: its checks in the Admin API and those of TLS are not the same */
  choose(serverName: string, socket: Socket, about: A, hello: Buffer): ServerTls {
    const certificate = this.#kong.certificateFor(serverName);
    return certificate === null ? this.#others.choose(serverName, socket, about, hello) : this.#contextOf(certificate);
  }

  #contextOf({ cert, key, certAlt, keyAlt }: KongCertificate): ServerTls {
    const id = `${cert}\n${key}\n${certAlt ?? ''}\n${keyAlt ?? ''}`;
    const known = this.#made.get(id);
    this.#made.delete(id);
    const tls = known ?? this.#make(credentialsOf({ cert, key, certAlt, keyAlt }));
    if (this.#made.size >= MAX_CONTEXTS) this.#made.delete(this.#made.keys().next().value!);
    this.#made.set(id, tls);
    return tls;
  }
}

function credentialsOf({
  cert,
  key,
  certAlt,
  keyAlt,
}: Pick<KongCertificate, 'cert' | 'key' | 'certAlt' | 'keyAlt'>): Credentials[] {
  const own = { certificate: cert, key };
  return certAlt === null || keyAlt === null ? [own] : [own, { certificate: certAlt, key: keyAlt }];
}
