/** Making a group's table from its configuration. Main thread only. */
import type { PeerAddress, UpstreamConfig, UpstreamServerConfig } from '../../config/model.ts';
import { crc32 } from '../crc32.ts';
import { allocate, H } from './layout.ts';
import { edit, type Lists } from './lists.ts';
import { claim, type PeerSpec } from './slots.ts';

export interface TableOptions {
  /** Room for peers beyond the configured ones: resolved names, servers added at run time, zombies. */
  spareSlots?: number;
  /** Most worker threads that will use the table. Default 32. */
  maxWorkers?: number;
  /** Peers get no requests before a health check has let them in; so do those that come later. */
  mandatory?: boolean;
}

const MAX_WORKERS = 32;
const SPARE = 16;
/** Share of a zone that a peer takes in nginx, roughly: so `zone name 64k` has room for about 128. */
const ZONE_BYTES_PER_PEER = 512;
const MOST_FROM_ZONE = 4096;

/** Makes the shared memory of a group. */
export function createTable(config: UpstreamConfig, options: TableOptions = {}): SharedArrayBuffer {
  const specs = specsOf(config);
  const slots = specs.length + (options.spareSlots ?? spareFor(config));
  const t = allocate(slots, options.maxWorkers ?? MAX_WORKERS, config.queue?.size ?? 0, config.zone !== null);
  if (options.mandatory === true) t.head[H.mandatory] = 1;
  edit(t, (lists) => {
    for (const spec of specs) listOf(lists, config.servers[spec.serverIndex]!.backup).push(claim(t, spec));
  });
  return t.buffer;
}

/** Default room beyond the configured peers. */
export function spareFor(config: UpstreamConfig): number {
  const zone = config.zone === null ? 0 : Math.min(MOST_FROM_ZONE, Math.floor(config.zone.size / ZONE_BYTES_PER_PEER));
  const resolving = config.servers.some((server) => server.resolve);
  // an answer may replace all addresses at once while requests still run on the old ones
  return Math.max(SPARE, zone, resolving ? 64 : 0);
}

export function listOf(lists: Lists, backup: boolean): number[] {
  return backup ? lists.backup : lists.primary;
}

/** A peer of a server line at an address. */
export function specOf(server: UpstreamServerConfig, serverIndex: number, address: PeerAddress): PeerSpec {
  return {
    serverIndex,
    server: server.server,
    address,
    route: server.route,
    weight: server.weight,
    maxConns: server.maxConns,
    maxFails: server.maxFails,
    failTimeoutSec: server.failTimeoutSec,
    slowStartMs: server.slowStartMs,
    down: server.down,
    drain: server.drain,
    origin: originOf(server),
    resolved: false,
    priority: 0,
  };
}

/** What tells the peers of one resolved name from those of another, over reloads: host and service. */
export function originOf(server: UpstreamServerConfig): number {
  return crc32(`${server.host}\0${server.service ?? ''}`) | 0;
}

/** Peers that the configuration itself names. Those of a name that is looked up again may be replaced later. */
export function specsOf(config: UpstreamConfig): PeerSpec[] {
  return config.servers.flatMap((server, i) =>
    server.addresses.map((address) => ({ ...specOf(server, i, address), resolved: server.resolve })),
  );
}
