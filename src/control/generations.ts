/**
 * Configurations that run: the current one, and older ones whose last requests are still under way. Here their shared
 * memory is made, carried over by a reload, and cleaned after a worker's death.
 */
import type { LimitZoneConfig } from '../config/model-access.ts';
import { reclaimKeyvalZone } from '../keyval/layout.ts';
import { reclaimKeysZone, reloadKeysZone } from '../cache/keys-zone.ts';
import type { KeyvalZoneConfig } from '../config/model-variables.ts';
import type { Config, LocationConfig, ResolverConfig, UpstreamConfig } from '../config/model.ts';
// Not from group.ts: the main thread has no use for balancers, and starts faster without them.
import { createTable } from '../upstream/table/create.ts';
import { reclaimWorker } from '../upstream/table/reclaim.ts';
import { reloadTable } from '../upstream/table/reload.ts';
import { reclaimLearner, reloadLearnTable } from '../upstream/sticky/learn.ts';
import { makeLimitZones, reclaimLimitZone } from '../limit/zones.ts';
import { mandatoryGroups } from '../config/health-checks.ts';
import { createTicketSecret } from '../net/tls-tickets.ts';
import { counters, createCounters, TLS_KEY } from '../observe/counters.ts';
import { createTraffic } from '../observe/traffic.ts';
import { createZone } from '../observe/zones.ts';
import type { GenerationData, GroupMemory, StatusZones } from '../worker/protocol.ts';

/** Tables have room for this many worker threads, so that a reload may raise their number and keep all state. */
const MIN_WORKERS = 32;

/** A generation as the main thread knows it. */
export interface Generation {
  data: GenerationData;
  config: Config;
  /** Number of worker threads that its tables have room for. */
  maxWorkers: number;
}

interface Draining {
  generation: Generation;
  /** Workers that still may have requests of it. */
  workers: Set<number>;
}

/** What makes a group the same one over a reload. */
export function identity({ implicit, name, port }: UpstreamConfig): string {
  return implicit ? `implicit ${name} ${port}` : name;
}

/** The groups of http and those of stream, each with their memory. */
export function groupsOf({
  config,
  data,
}: Generation): { upstreams: readonly UpstreamConfig[]; memory: GroupMemory }[] {
  return [
    { upstreams: config.http?.upstreams ?? [], memory: data },
    { upstreams: config.stream?.upstreams ?? [], memory: data.stream },
  ];
}

/** Does any server of it have to be resolved while it runs? */
export function needsResolving(generation: Generation): boolean {
  return groupsOf(generation).some(({ upstreams }) =>
    upstreams.some(({ servers }) => servers.some(({ resolve }) => resolve)),
  );
}

/**
 * Memory for groups. What `before` has of the same groups goes on.
 *
 * @param before null: everything is made anew
 * @param mandatory groups, by index, whose new servers wait for their first check
 */
function makeMemory(
  upstreams: readonly UpstreamConfig[],
  before: { upstreams: readonly UpstreamConfig[]; memory: GroupMemory } | null,
  maxWorkers: number,
  mandatory: ReadonlySet<number>,
): GroupMemory {
  const old = new Map<string, { config: UpstreamConfig; table: SharedArrayBuffer }>();
  for (const [i, upstream] of (before?.upstreams ?? []).entries()) {
    const table = before?.memory.tables[i];
    if (table !== undefined) old.set(identity(upstream), { config: upstream, table });
  }
  const learnZones: Record<string, SharedArrayBuffer> = {};
  const tables = upstreams.map((upstream, i) => {
    const known = old.get(identity(upstream));
    if (upstream.sticky?.mode === 'learn') {
      const { name } = upstream.sticky.zone;
      const zone = known === undefined ? null : (before?.memory.learnZones[name] ?? null);
      const learned = reloadLearnTable(zone, known?.config ?? null, upstream, maxWorkers);
      if (learned !== null) learnZones[name] = learned;
    }
    return known === undefined
      ? createTable(upstream, { maxWorkers, mandatory: mandatory.has(i) })
      : reloadTable(known.table, upstream, Date.now(), mandatory.has(i));
  });
  return { tables, learnZones };
}

/** Zones of limit_req and limit_conn; http and stream cannot have the same names. */
function zonesOf({ http, stream }: Config): LimitZoneConfig[] {
  return [...(http?.limitZones ?? []), ...(stream?.limitZones ?? [])];
}

function limitsOf({ config, data }: Generation): Parameters<typeof makeLimitZones>[1] {
  return { zones: zonesOf(config), memory: data.limitZones };
}

/** Zones of keyval_zone; http and stream cannot have the same names. */
export function keyvalZonesOf({ http, stream }: Config): KeyvalZoneConfig[] {
  return [...(http?.keyvalZones ?? []), ...(stream?.keyvalZones ?? [])];
}

/** Makes the memory of a configuration's keyval zones. `before`: what runs; null: nothing, or nothing with room for the workers */
export type MakeKeyvals = (
  config: Config,
  before: Generation | null,
  maxWorkers: number,
) => Record<string, SharedArrayBuffer>;

/** What workers are told of a configuration. */
function forWorkers(config: Config): Config {
  // They have no use for the texts of the files, nor for the Admin API's settings and secrets.
  const told: Config = { ...config, sources: [], admin: null };
  const without = (zones: readonly KeyvalZoneConfig[]): KeyvalZoneConfig[] =>
    zones.map((zone) => ({ ...zone, records: [] }));
  if (config.http?.keyvalZones !== undefined)
    told.http = { ...config.http, keyvalZones: without(config.http.keyvalZones) };
  if (config.stream?.keyvalZones !== undefined)
    told.stream = { ...config.stream, keyvalZones: without(config.stream.keyvalZones) };
  return told;
}

/** Memory for the names of `status_zone`; names that stay keep theirs. */
function makeStatusZones({ http, stream }: Config, before: StatusZones | null): StatusZones {
  const made: StatusZones = { server: {}, location: {}, stream: {} };
  const add = (kind: keyof StatusZones, name: string | undefined): void => {
    if (name !== undefined) made[kind][name] ??= before?.[kind][name] ?? createZone();
  };
  const visit = (location: LocationConfig): void => {
    add('location', location.statusZone);
    for (const inner of location.locations) visit(inner);
    if (location.limitExcept !== null) visit(location.limitExcept);
  };
  for (const server of http?.servers ?? []) {
    add('server', server.statusZone);
    for (const location of server.root.locations) visit(location);
  }
  for (const server of stream?.servers ?? []) add('stream', server.statusZone);
  return made;
}

/** Resolvers with a `status_zone`, wherever they stand. */
function resolverZones({ http, stream }: Config): string[] {
  const found = new Set<string>();
  const add = (resolver: ResolverConfig | null): void => {
    if (resolver !== null && resolver.statusZone !== null) found.add(resolver.statusZone);
  };
  const visit = ({ core, locations, limitExcept }: LocationConfig): void => {
    add(core.resolver);
    for (const inner of locations) visit(inner);
    if (limitExcept !== null) visit(limitExcept);
  };
  for (const { root } of http?.servers ?? []) visit(root);
  for (const { core } of stream?.servers ?? []) add(core.resolver);
  for (const { resolver } of [...(http?.upstreams ?? []), ...(stream?.upstreams ?? [])]) add(resolver);
  return [...found];
}

/** Memory for `observe/counters.ts`; what stays keeps its own. */
function makeCounters(config: Config, before: GenerationData['counters'] | null): GenerationData['counters'] {
  const keys = [
    TLS_KEY,
    ...zonesOf(config).map(({ kind, name }) => `limit_${kind} ${name}`),
    ...resolverZones(config).map((name) => `resolver ${name}`),
  ];
  return Object.fromEntries(keys.map((key) => [key, before?.[key] ?? createCounters()]));
}

/** Does any of its locations show the dashboard? */
export function hasDashboard({ config }: Generation): boolean {
  const shows = ({ handler, locations }: LocationConfig): boolean =>
    (handler.kind === 'admin' && handler.what === 'dashboard') || locations.some(shows);
  return (config.http?.servers ?? []).some(({ root }) => shows(root));
}

export class Generations {
  #lastId = 0;
  readonly #traffic = createTraffic();
  readonly #tickets = createTicketSecret();
  #current: Generation | null = null;
  readonly #draining = new Map<number, Draining>();

  /** Counters of all workers (`observe/traffic.ts`). */
  get traffic(): SharedArrayBuffer {
    return this.#traffic;
  }

  get current(): Generation | null {
    return this.#current;
  }

  /**
   * Makes the next generation. Groups that the running one has too go on in their tables, which change at once:
   * call it when nothing but the workers' word is missing, and `rollBack` if they refuse.
   *
   * @param makeKeyvals null: the configuration has no keyval_zone. What it throws is thrown before anything has changed
   */
  make(config: Config, makeKeyvals: MakeKeyvals | null = null): Generation {
    const previous = this.#current;
    const wanted = config.main.workerProcesses;
    // Without room for another row a table has to be made anew, and its counters start from zero.
    const carry = previous !== null && wanted <= previous.maxWorkers;
    const maxWorkers = carry ? previous.maxWorkers : Math.max(MIN_WORKERS, wanted);
    const keyvalZones = makeKeyvals?.(config, carry ? previous : null, maxWorkers) ?? {};
    const [http, stream] = carry ? groupsOf(previous) : [];
    const cacheZones: Record<string, SharedArrayBuffer> = {};
    const cachesBefore = carry ? (previous.config.http?.caches ?? []) : [];
    for (const cache of config.http?.caches ?? []) {
      const before = cachesBefore.find(({ name }) => name === cache.name) ?? null;
      const zone = before === null ? null : (previous?.data.cacheZones[cache.name] ?? null);
      cacheZones[cache.name] = reloadKeysZone(zone, before, cache, maxWorkers);
    }
    const mandatory = mandatoryGroups(config);
    const data: GenerationData = {
      id: ++this.#lastId,
      config: forWorkers(config),
      ...makeMemory(config.http?.upstreams ?? [], http ?? null, maxWorkers, mandatory.http),
      stream: makeMemory(config.stream?.upstreams ?? [], stream ?? null, maxWorkers, mandatory.stream),
      limitZones: makeLimitZones(zonesOf(config), carry ? limitsOf(previous) : null, maxWorkers),
      keyvalZones,
      cacheZones,
      counters: makeCounters(config, previous?.data.counters ?? null),
      statusZones: makeStatusZones(config, previous?.data.statusZones ?? null),
      traffic: this.#traffic,
      kong: null,
      tickets: this.#tickets,
    };
    return { data, config, maxWorkers };
  }

  /** The workers have refused the generation made last: tables go back to what the running one says. */
  rollBack(refused: Generation): void {
    const current = this.#current;
    if (current === null) return;
    const mandatory = mandatoryGroups(current.config);
    const used = groupsOf(refused).flatMap(({ memory }) => memory.tables);
    for (const { upstreams, memory } of groupsOf(current)) {
      for (const [i, upstream] of upstreams.entries()) {
        const table = memory.tables[i];
        if (table === undefined || !used.includes(table)) continue;
        const waits = (memory === current.data ? mandatory.http : mandatory.stream).has(i);
        const back = reloadTable(table, upstream, Date.now(), waits);
        // Only if it has grown meanwhile, which a smaller configuration does not make it do.
        if (back !== table) memory.tables[i] = back;
      }
    }
  }

  /** The generation runs from now on; the one before it drains. */
  commit(generation: Generation): void {
    const previous = this.#current;
    this.#current = generation;
    counters.use(generation.data.counters, -1);
    // Without either there is nothing to drain, and no worker will say that it is.
    if (previous === null || (previous.config.http === null && previous.config.stream === null)) return;
    const workers = new Set(Array.from({ length: previous.config.main.workerProcesses }, (_, id) => id));
    this.#draining.set(previous.data.id, { generation: previous, workers });
  }

  /** A worker has ended its last request of a generation, or the worker itself has ended (then of all). */
  drained(workerId: number, id: number): void {
    const draining = this.#draining.get(id);
    if (draining === undefined) return;
    draining.workers.delete(workerId);
    if (draining.workers.size === 0) this.#draining.delete(id);
  }

  /** Gives back what a dead worker held. Call it before another one starts under its number. */
  reclaim(workerId: number): void {
    const generations = [...this.#draining.values()].map(({ generation }) => generation.data);
    if (this.#current !== null) generations.push(this.#current.data);
    const all = generations.flatMap((data): GroupMemory[] => [data, data.stream]);
    for (const table of new Set(all.flatMap(({ tables }) => tables))) reclaimWorker(table, workerId);
    for (const zone of new Set(all.flatMap(({ learnZones }) => Object.values(learnZones))))
      reclaimLearner(zone, workerId);
    for (const zone of new Set(generations.flatMap(({ limitZones }) => Object.values(limitZones))))
      reclaimLimitZone(zone, workerId);
    for (const zone of new Set(generations.flatMap(({ keyvalZones }) => Object.values(keyvalZones))))
      reclaimKeyvalZone(zone, workerId);
    for (const zone of new Set(generations.flatMap(({ cacheZones }) => Object.values(cacheZones))))
      reclaimKeysZone(zone, workerId);
    for (const id of this.#draining.keys()) this.drained(workerId, id);
  }
}
