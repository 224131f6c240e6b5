/** Groups as targets with variables find them: those of the configuration, and those made of addresses found at run time. */
import { DEFAULT_SERVER } from '../config/server-defaults.ts';
import type { PeerAddress, UpstreamConfig } from '../config/model.ts';
import { createTable } from './table/create.ts';

const MAX_FOUND = 1024;

/** What targets with variables are looked up in; one per generation and worker. */
export class TargetBook<G extends { readonly config: UpstreamConfig }> {
  /** Groups of the configuration, by lower-case name; implicit ones (a literal proxy_pass) by `host:port`. */
  readonly #named = new Map<string, G>();
  /** Groups made of addresses that were found at run time, most recently used last. */
  readonly #found = new Map<string, G>();
  readonly #make: (config: UpstreamConfig, table: SharedArrayBuffer) => G;

  /** @param make makes a group of addresses that were found at run time */
  constructor(make: (config: UpstreamConfig, table: SharedArrayBuffer) => G) {
    this.#make = make;
  }

  add(group: G): void {
    const { name, implicit, port } = group.config;
    const key = name.toLowerCase();
    this.#named.set(implicit ? `${key} ${port}` : key, group);
  }

  /** @param noPort the target names no port: only such a one can mean an `upstream {}` */
  named(host: string, port: number, noPort: boolean): G | null {
    const key = host.toLowerCase();
    return (noPort ? this.#named.get(key) : undefined) ?? this.#named.get(`${key} ${port}`) ?? null;
  }

  /** A group of just these addresses; the same one as long as they stay the same. */
  of(name: string, addresses: readonly PeerAddress[]): G {
    const key = `${name} ${addresses.map((a) => a.text).join(' ')}`;
    let group = this.#found.get(key);
    if (group !== undefined) this.#found.delete(key);
    else {
      const config = implicitGroup(name, addresses);
      group = this.#make(config, createTable(config));
      if (this.#found.size >= MAX_FOUND) this.#found.delete(this.#found.keys().next().value!);
    }
    this.#found.set(key, group);
    return group;
  }
}

function implicitGroup(name: string, addresses: readonly PeerAddress[]): UpstreamConfig {
  const place = { file: '', line: 0 };
  return {
    name,
    place,
    implicit: true,
    port: addresses[0]?.port ?? 80,
    balancer: { kind: 'round_robin' },
    sticky: null,
    zone: null,
    // Each address is a server of its own. nginx makes them anew for every request: no failure is remembered.
    servers: addresses.map((address) => ({
      place,
      server: address.text,
      host: address.host,
      port: address.port,
      addresses: [address],
      ...DEFAULT_SERVER,
      maxFails: 0,
    })),
    keepalive: { connections: 0, local: false, requests: 1, timeMs: 0, timeoutMs: 0 },
    resolver: null,
    resolverTimeoutMs: 30000,
    queue: null,
    ntlm: false,
    stateFile: null,
  };
}
