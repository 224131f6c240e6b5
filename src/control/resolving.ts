/**
 * Keeps the servers with `resolve` of the running generation resolved and writes the answers into the peer tables.
 */
import type { UpstreamConfig } from '../config/model.ts';
import { Monitor } from '../discovery/monitor.ts';
import { type ResolverLease, ResolverPool } from '../discovery/resolver-pool.ts';
import { SystemResolver } from '../discovery/system-resolver.ts';
import type { ServiceRecord } from '../discovery/types.ts';
import type { ErrorLog } from '../observe/error-log.ts';
import { replaceResolved } from '../upstream/table/resolve.ts';
import { groupsOf } from './generations.ts';
import type { Generation } from './generations.ts';
import type { Door } from './groups.ts';

const clock = { ms: (): number => performance.now() };

const protocolOf = (door: Door): number => (door === 'http' ? 0 : 1);

const watchId = (protocol: number, { name }: UpstreamConfig, index: number): string => `${protocol} ${index} ${name}`;

export class Resolving {
  readonly #log: ErrorLog;
  readonly #monitor: Monitor;
  readonly #pool: ResolverPool;
  /** Ends a watch, by protocol, group and place of the name in it. */
  #stops = new Map<string, () => void>();
  #leases: ResolverLease[] = [];
  /** Until when answers are good, by group, name and service: they outlive a reload, as the peers do. */
  #validUntil = new Map<string, number>();

  constructor(log: ErrorLog) {
    this.#log = log;
    const write = log.write.bind(log);
    this.#monitor = new Monitor({ clock, log: write });
    this.#pool = new ResolverPool({ clock, log: write });
  }

  /** Watches the names of this generation instead of those of the one before. */
  follow(generation: Generation): void {
    const stops = this.#stops;
    const leases = this.#leases;
    const known = this.#validUntil;
    this.#stops = new Map();
    this.#leases = [];
    this.#validUntil = new Map();
    for (const stop of stops.values()) stop();
    for (const [protocol, { upstreams, memory }] of groupsOf(generation).entries()) {
      for (const [i, upstream] of upstreams.entries()) {
        const table = memory.tables[i];
        if (table === undefined || !upstream.servers.some(({ resolve }) => resolve)) continue;
        this.#watchGroup(protocol, upstream, table, known);
      }
    }
    // Only now: a resolver that both generations use keeps its cache.
    for (const lease of leases) lease.release();
  }

  /** @param protocol 0: http; 1: stream, whose groups may have the same names */
  #watchGroup(
    protocol: number,
    upstream: UpstreamConfig,
    table: SharedArrayBuffer,
    known: ReadonlyMap<string, number>,
  ): void {
    for (const [index, { resolve }] of upstream.servers.entries()) {
      if (resolve) this.#watch(protocol, upstream, table, index, known);
    }
  }

  /** Follows a name of a group that runs, too: one that was added. */
  watch(door: Door, upstream: UpstreamConfig, table: SharedArrayBuffer, index: number): void {
    this.#watch(protocolOf(door), upstream, table, index, new Map());
  }

  unwatch(door: Door, upstream: UpstreamConfig, index: number): void {
    const id = watchId(protocolOf(door), upstream, index);
    this.#stops.get(id)?.();
    this.#stops.delete(id);
  }

  #watch(
    protocol: number,
    upstream: UpstreamConfig,
    table: SharedArrayBuffer,
    index: number,
    known: ReadonlyMap<string, number>,
  ): void {
    const { host, service, lookup } = upstream.servers[index]!;
    let lease: ResolverLease | null = null;
    if (lookup === undefined && upstream.resolver !== null && upstream.resolver.addresses.length > 0) {
      lease = this.#pool.acquire(upstream.resolver);
      this.#leases.push(lease);
    }
    const key = JSON.stringify([protocol, upstream.name, host, service]);
    const validUntilMs = known.get(key);
    if (validUntilMs !== undefined) this.#validUntil.set(key, validUntilMs);
    const stop = this.#monitor.watch(
      {
        key: upstream.name,
        resolver: lookup === undefined ? (lease?.resolver ?? null) : new SystemResolver(lookup.intervalMs, clock),
        host,
        service,
        timeoutMs: lookup?.timeoutMs ?? upstream.resolverTimeoutMs,
        ...(validUntilMs === undefined ? {} : { initialValidUntilMs: validUntilMs }),
      },
      (records, validUntil) => {
        this.#validUntil.set(key, validUntil);
        this.#take(upstream, table, index, records);
      },
    );
    this.#stops.set(watchId(protocol, upstream, index), stop);
  }

  #take(upstream: UpstreamConfig, table: SharedArrayBuffer, index: number, records: readonly ServiceRecord[]): void {
    const { exhausted } = replaceResolved(
      table,
      upstream,
      index,
      records.map(({ address, family, port, priority, weight, target }) => {
        return { host: address, family, port, priority, weight, target };
      }),
      Date.now(),
    );
    if (exhausted > 0) this.#log.error(`cannot add new server to upstream "${upstream.name}", memory exhausted`);
  }

  /** Stops everything. */
  close(): void {
    this.#monitor.close();
    this.#pool.close();
    this.#stops.clear();
    this.#leases = [];
  }
}
