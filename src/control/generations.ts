/**
 * Configurations that run: the current one, and older ones whose last requests are still under way. Here their shared
 * memory is made, carried over by a reload, and cleaned after a worker's death.
 */
import type { Config, UpstreamConfig } from '../config/model.ts';
// Not from group.ts: the main thread has no use for balancers, and starts faster without them.
import { createTable } from '../upstream/table/create.ts';
import { reclaimWorker } from '../upstream/table/reclaim.ts';
import { reloadTable } from '../upstream/table/reload.ts';
import { reclaimLearner, reloadLearnTable } from '../upstream/sticky/learn.ts';
import { makeLimitZones, reclaimLimitZone } from '../limit/zones.ts';
import { createTicketSecret } from '../net/tls-tickets.ts';
import { createTraffic } from '../observe/traffic.ts';
import type { GenerationData } from '../worker/protocol.ts';

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
function identity({ implicit, name, port }: UpstreamConfig): string {
  return implicit ? `implicit ${name} ${port}` : name;
}

/** Does any server of it have to be resolved while it runs? */
export function needsResolving({ config }: Generation): boolean {
  return config.http?.upstreams.some(({ servers }) => servers.some(({ resolve }) => resolve)) ?? false;
}

function limitsOf({ config, data }: Generation): Parameters<typeof makeLimitZones>[1] {
  return { zones: config.http?.limitZones ?? [], memory: data.limitZones };
}

export class Generations {
  #lastId = 0;
  readonly #traffic = createTraffic();
  readonly #tickets = createTicketSecret();
  #current: Generation | null = null;
  readonly #draining = new Map<number, Draining>();

  get current(): Generation | null {
    return this.#current;
  }

  /**
   * Makes the next generation. Groups that the running one has too go on in their tables, which change at once:
   * call it when nothing but the workers' word is missing, and `rollBack` if they refuse.
   */
  make(config: Config): Generation {
    const previous = this.#current;
    const wanted = config.main.workerProcesses;
    // Without room for another row a table has to be made anew, and its counters start from zero.
    const carry = previous !== null && wanted <= previous.maxWorkers;
    const maxWorkers = carry ? previous.maxWorkers : Math.max(MIN_WORKERS, wanted);
    const old = new Map<string, { config: UpstreamConfig; table: SharedArrayBuffer }>();
    if (carry) {
      for (const [i, upstream] of (previous.config.http?.upstreams ?? []).entries()) {
        const table = previous.data.tables[i];
        if (table !== undefined) old.set(identity(upstream), { config: upstream, table });
      }
    }
    const learnZones: Record<string, SharedArrayBuffer> = {};
    const tables = (config.http?.upstreams ?? []).map((upstream) => {
      const before = old.get(identity(upstream));
      if (upstream.sticky?.mode === 'learn') {
        const { name } = upstream.sticky.zone;
        const zone = previous?.data.learnZones[name] ?? null;
        const learned = reloadLearnTable(
          before === undefined ? null : zone,
          before?.config ?? null,
          upstream,
          maxWorkers,
        );
        if (learned !== null) learnZones[name] = learned;
      }
      return before === undefined ? createTable(upstream, { maxWorkers }) : reloadTable(before.table, upstream);
    });
    const data: GenerationData = {
      id: ++this.#lastId,
      // Workers have no use for the texts of the files.
      config: { ...config, sources: [] },
      tables,
      learnZones,
      limitZones: makeLimitZones(config.http?.limitZones ?? [], carry ? limitsOf(previous) : null, maxWorkers),
      traffic: this.#traffic,
      tickets: this.#tickets,
    };
    return { data, config, maxWorkers };
  }

  /** The workers have refused the generation made last: tables go back to what the running one says. */
  rollBack(refused: Generation): void {
    const current = this.#current;
    if (current === null) return;
    for (const [i, upstream] of (current.config.http?.upstreams ?? []).entries()) {
      const table = current.data.tables[i];
      if (table === undefined || !refused.data.tables.includes(table)) continue;
      const back = reloadTable(table, upstream);
      // Only if it has grown meanwhile, which a smaller configuration does not make it do.
      if (back !== table) current.data.tables[i] = back;
    }
  }

  /** The generation runs from now on; the one before it drains. */
  commit(generation: Generation): void {
    const previous = this.#current;
    this.#current = generation;
    // Without http there is nothing to drain, and no worker will say that it is.
    if (previous === null || previous.config.http === null) return;
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
    const all = [...this.#draining.values()].map(({ generation }) => generation.data);
    if (this.#current !== null) all.push(this.#current.data);
    for (const table of new Set(all.flatMap(({ tables }) => tables))) reclaimWorker(table, workerId);
    for (const zone of new Set(all.flatMap(({ learnZones }) => Object.values(learnZones))))
      reclaimLearner(zone, workerId);
    for (const zone of new Set(all.flatMap(({ limitZones }) => Object.values(limitZones))))
      reclaimLimitZone(zone, workerId);
    for (const id of this.#draining.keys()) this.drained(workerId, id);
  }
}
