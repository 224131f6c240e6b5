/**
 * How a server is reached otherwise than by plain TCP: TLS, QUIC, tunnels over any of them. Made once for each server line
 * and generation; tunnels and QUIC are loaded when the first connection asks for them.
 */
import type { UpstreamConfig } from '../config/model.ts';
import type { LogLevel } from '../config/model.ts';
import type { ViaConfig } from '../config/via-model.ts';
import { clock } from './clock.ts';
import { dialTcp } from './link.ts';
import type { DialLink, Opening } from './link.ts';
import { openSecure } from './secure-link.ts';
import { ClientTls } from './tls-client.ts';
import type { ConnectOptions } from './dial.ts';
import type * as Tunnels from './via-tunnel.ts';

export type LinkLog = (level: LogLevel, message: string) => void;

export class Via {
  readonly config: ViaConfig;
  /** A connection of its own over plain TCP: it is opened as without `via`. */
  readonly direct: boolean;
  readonly #tls: ClientTls | null;
  readonly #log: LinkLog;
  /** What two lines must have in common to share tunnels and QUIC connections. */
  readonly #key: string;

  constructor(config: ViaConfig, log: LinkLog) {
    this.config = config;
    this.direct = config.transport === 'tcp' && config.tunnel === null;
    this.#tls = config.transport === 'tls' ? new ClientTls(config.ssl!, '') : null;
    this.#log = log;
    this.#key = JSON.stringify([config.transport, config.ssl, config.tunnel]);
  }

  /** A way to a server. @param text its address as logs show it */
  to(address: ConnectOptions, text: string): DialLink {
    const { tunnel } = this.config;
    const link = this.#link(address, text);
    if (tunnel === null) return link;
    const key = `${this.#key} ${text} ${address.localAddress ?? ''}`;
    return later(async () => {
      const { throughTunnel } = await (tunnels ??= import('./via-tunnel.ts'));
      return throughTunnel(key, this, tunnel, link, this.#log);
    });
  }

  /** One connection, without tunnel. */
  #link(address: ConnectOptions, text: string): DialLink {
    const { transport, ssl } = this.config;
    if (transport === 'tcp') return dialTcp(address);
    if (transport === 'tls') return dialTls(this.#tls!, ssl!.name ?? text, address);
    return later(async () => {
      const { overQuic } = await import('./via-quic.ts');
      return overQuic(ssl!, address, text, this.#log);
    });
  }

  /** Its generation has ended. */
  close(): void {
    if (this.config.tunnel !== null) void tunnels?.then(({ letGo }) => letGo(this));
  }
}

/** Null: nobody has asked for a tunnel yet. */
let tunnels: Promise<typeof Tunnels> | null = null;

/** By what the server is called. */
export type Vias = ReadonlyMap<string, Via>;

/** Null: all servers of a group are reached by plain TCP, and nothing is to be known of them. */
export function viasOf({ servers }: UpstreamConfig, log: LinkLog): Vias | null {
  const vias = new Map<string, Via>();
  for (const { server, via } of servers) if (via !== undefined) vias.set(server, new Via(via, log));
  return vias.size === 0 ? null : vias;
}

export function closeVias(vias: Vias | null): void {
  if (vias !== null) for (const via of vias.values()) via.close();
}

/** Over TLS. @param name sent by SNI, and what the certificate has to be for */
function dialTls(tls: ClientTls, name: string, address: ConnectOptions): DialLink {
  const server = address.path ?? `${address.host}:${address.port}`;
  const parts = { tls, credentials: '', name, server, address, alpn: [], halfOpen: true, preface: null };
  return (outcome) => openSecure(parts, null, () => {}, outcome);
}

/** A way that has to be found first. */
function later(find: () => Promise<DialLink>): DialLink {
  return (outcome) => {
    let opening: Opening | null = null;
    let cancelled = false;
    const found = (dial: DialLink): void => {
      if (!cancelled) opening = dial(outcome);
    };
    find().then(found, (error: unknown) => {
      if (cancelled) return;
      clock.update();
      outcome.failed(error instanceof Error ? error.message : String(error));
    });
    return {
      cancel() {
        cancelled = true;
        opening?.cancel();
      },
    };
  };
}
