/**
 * TLS of a worker's listening addresses: a context for each server block, chosen by SNI; one for each certificate where
 * the names of certificates hold variables.
 */
import type { Socket } from 'node:net';
import type { SslServerConfig } from '../config/model.ts';
import { CertificateStore } from '../net/certificate-store.ts';
import { ClientStatus } from '../net/ocsp/client-status.ts';
import type { OcspLog } from '../net/ocsp/stapler.ts';
import { handshakes, isNative, serverTls } from '../net/tls-context.ts';
import type { Credentials } from '../net/tls-context.ts';
import type { ServerTls, TlsChooser } from '../net/tls-server.ts';
import { withStaples } from './tls-staples.ts';
import type { HelloChoice } from './tls-staples.ts';
import type { TicketSecret } from '../net/tls-tickets.ts';

/** A server block of http or stream, as far as TLS goes. */
interface TlsServer {
  readonly config: { readonly ssl: SslServerConfig | null };
}

/** The servers of a listening address. */
export interface TlsListen<S extends TlsServer> {
  readonly servers: readonly S[];
  readonly defaultServer: S;
  readonly hosts: { byName(name: string): S };
}

/** What texts with variables are for one handshake. */
export type Evaluate<A> = (serverName: string, socket: Socket, about: A) => string[];

/** What http and stream say of their servers. */
export interface TlsOptions<S extends TlsServer, A> {
  /** Protocols that a server offers. */
  alpn(server: S): string[];
  /** Somebody looks at `$ssl_ciphers` or `$ssl_curves`. */
  keepsHello: boolean;
  /** Of the configuration file: what names of certificates are relative to. */
  directory: string;
  log: OcspLog;
  /** Compiles texts with variables. */
  evaluate(server: S, texts: readonly string[]): Evaluate<A>;
}

/** Contexts of a listening address, by server. `A`: what names with variables are evaluated against. */
export class TlsTable<S extends TlsServer, A> implements TlsChooser<A> {
  readonly keepsHello: boolean;
  readonly native: boolean;
  readonly #listen: TlsListen<S>;
  readonly #contexts = new Map<SslServerConfig, ServerTls | HelloChoice | NamedTls<A>>();
  readonly #statuses = new Map<SslServerConfig, ClientStatus>();
  /** Servers may share certificates and yet offer different protocols. */
  readonly #alpn = new Map<S, string[]>();

  /** @throws when a certificate or key cannot be used */
  constructor(listen: TlsListen<S>, tickets: TicketSecret, options: TlsOptions<S, A>) {
    this.#listen = listen;
    this.keepsHello = options.keepsHello;
    this.native = listen.servers.every(({ config: { ssl } }) => ssl === null || isNative(ssl));
    for (const server of listen.servers) {
      const { ssl } = server.config;
      const alpn = options.alpn(server);
      this.#alpn.set(server, alpn);
      if (ssl?.ocsp !== undefined && !this.#statuses.has(ssl))
        this.#statuses.set(ssl, new ClientStatus(ssl.ocsp, options.log));
      if (!handshakes(ssl) || this.#contexts.has(ssl)) continue;
      const named = ssl.certificates.some(({ certificate, key }) => certificate === '' || key === '');
      this.#contexts.set(
        ssl,
        named
          ? new NamedTls(ssl, options.directory, options.evaluate(server, namesOf(ssl)), (pems) =>
              serverTls(ssl, tickets, alpn, pems),
            )
          : withStaples(ssl, (pairs) => serverTls(ssl, tickets, alpn, pairs), options.log),
      );
    }
  }

  choose(serverName: string, socket: Socket, about: A, hello: Buffer): ServerTls {
    const { defaultServer, hosts } = this.#listen;
    const server = serverName === '' ? defaultServer : hosts.byName(serverName.toLowerCase());
    const { ssl } = server.config;
    const tls =
      (handshakes(ssl) ? this.#contexts.get(ssl) : undefined) ?? this.#contexts.get(defaultServer.config.ssl!)!;
    let made = tls instanceof NamedTls ? tls.of(serverName, socket, about) : 'of' in tls ? tls.of(hello) : tls;
    const status = this.#statuses.get(ssl ?? defaultServer.config.ssl!);
    if (status !== undefined) made = { ...made, clientStatus: status };
    const alpn = this.#alpn.get(server);
    return alpn === undefined || alpn === made.alpn ? made : { ...made, alpn };
  }
}

/** No more contexts than that are kept for one server whose certificates variables name. */
const MAX_CONTEXTS = 100;

/** Certificate, key, certificate, key … */
function namesOf(ssl: SslServerConfig): string[] {
  return ssl.certificates.flatMap(({ certificateFile, keyFile }) => [certificateFile, keyFile]);
}

/** A server whose certificates are named by variables: each handshake reads its own, or takes them from a cache. */
class NamedTls<A> {
  readonly #ssl: SslServerConfig;
  readonly #store: CertificateStore;
  readonly #evaluate: Evaluate<A>;
  readonly #make: (pems: readonly Credentials[]) => ServerTls;
  /** By contents, the oldest first: a context costs far more than reading the files. */
  readonly #made = new Map<string, ServerTls>();

  constructor(
    ssl: SslServerConfig,
    directory: string,
    evaluate: Evaluate<A>,
    make: (pems: readonly Credentials[]) => ServerTls,
  ) {
    this.#ssl = ssl;
    this.#store = CertificateStore.of(ssl.certificateCache, directory);
    this.#evaluate = evaluate;
    this.#make = make;
  }

  /** @throws when a file cannot be read or used */
  of(serverName: string, socket: Socket, about: A): ServerTls {
    const names = this.#evaluate(serverName, socket, about);
    const pems = this.#ssl.certificates.map(({ certificate, key }, i) => ({
      certificate: certificate === '' ? this.#load('certificate', names[2 * i]!) : certificate,
      key: key === '' ? this.#load('certificate key', names[2 * i + 1]!) : key,
    }));
    const contents = JSON.stringify(pems);
    let tls = this.#made.get(contents);
    if (tls === undefined) {
      tls = this.#make(pems);
      if (this.#made.size >= MAX_CONTEXTS) this.#made.delete(this.#made.keys().next().value!);
      this.#made.set(contents, tls);
    }
    return tls;
  }

  #load(what: string, name: string): string {
    try {
      return this.#store.load(name);
    } catch (error) {
      throw new Error(`cannot load ${what} "${name}": ${(error as Error).message}`, { cause: error });
    }
  }
}
