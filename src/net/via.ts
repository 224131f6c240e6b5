/**
 * How a server is reached otherwise than by plain TCP: TLS, QUIC, tunnels over any of them. Made once for each server line
 * and generation; tunnels and QUIC are loaded when the first connection asks for them.
 */
import type { UpstreamConfig } from '../config/model.ts';
import type { LogLevel } from '../config/model.ts';
import type { ViaConfig } from '../config/via-model.ts';
import { clock } from './clock.ts';
import { dialTcp, dialTls } from './link.ts';
import type { DialLink, LinkOutcome, Opening } from './link.ts';
import { ClientTls, startTls, tlsFailure } from './tls-client.ts';
import type { TlsExtras } from './tls-client.ts';
import { intermediates } from './tls-peer.ts';
import { Transport } from './transport.ts';
import type { ConnectOptions } from './transport.ts';
import type { SecureContext } from 'node:tls';
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

/** What a handshake with a server goes by. */
export interface SecureParts {
  tls: ClientTls;
  context: SecureContext;
  name: string;
  /** Of sessions that may be used again. */
  key: string;
  address: ConnectOptions;
  extras?: TlsExtras;
}

/**
 * TLS over a way that is no plain connection.
 * @param begun called when the handshake begins
 */
export function secureOver(dial: DialLink, parts: SecureParts, begun: () => void, outcome: LinkOutcome): Opening {
  const { tls, context, name, key, address, extras } = parts;
  let destroy = (): void => {};
  let settled = false;
  const fail = (message: string): void => {
    if (settled) return;
    settled = true;
    clock.update();
    outcome.failed(message);
  };
  const opening = dial({
    failed: fail,
    connected(transport) {
      if (settled) return;
      begun();
      const { socket } = transport;
      transport.detach();
      const secure = startTls(tls, context, name, key, address, { ...extras, over: socket });
      destroy = () => void secure.destroy();
      let problem: Error | null = null;
      secure.once('secureConnect', () => {
        if (settled) return;
        clock.update();
        if (tls.config.verify && !secure.isSessionReused() && intermediates(secure) > tls.config.verifyDepth) {
          fail('upstream SSL certificate verify error: (22:certificate chain too long)');
          secure.destroy();
          return;
        }
        settled = true;
        outcome.connected(new Transport(secure, null));
      });
      secure.on('error', (error) => {
        problem = error;
      });
      secure.once('close', () => fail(tlsFailure(problem, true, name).replace(/ while [^"]*$/, '')));
    },
  });
  return {
    cancel() {
      if (settled) return;
      settled = true;
      opening.cancel();
      destroy();
    },
  };
}
