/** TLS of a worker's listening addresses: a context for each server block, chosen by SNI. */
import type { SslServerConfig } from '../config/model.ts';
import { handshakes, serverTls } from '../net/tls-context.ts';
import type { ServerTls, TlsChooser } from '../net/tls-server.ts';
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

/** Contexts of a listening address, by server. */
export class TlsTable<S extends TlsServer> implements TlsChooser {
  readonly #listen: TlsListen<S>;
  readonly #contexts = new Map<SslServerConfig, ServerTls>();

  /**
   * @param alpn protocols that a server offers
   * @throws when a certificate or key cannot be used
   */
  constructor(listen: TlsListen<S>, tickets: TicketSecret, alpn: (server: S) => string[]) {
    this.#listen = listen;
    for (const server of listen.servers) {
      const { ssl } = server.config;
      if (handshakes(ssl) && !this.#contexts.has(ssl)) this.#contexts.set(ssl, serverTls(ssl, tickets, alpn(server)));
    }
  }

  choose(serverName: string): ServerTls {
    const { defaultServer, hosts } = this.#listen;
    const server = serverName === '' ? defaultServer : hosts.byName(serverName.toLowerCase());
    const { ssl } = server.config;
    return (handshakes(ssl) ? this.#contexts.get(ssl) : undefined) ?? this.#contexts.get(defaultServer.config.ssl!)!;
  }
}
