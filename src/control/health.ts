/** Runs the health checks of the running generation, and tells what they know. */
import type { ErrorLog } from '../observe/error-log.ts';
import type { MainConfig, UpstreamConfig } from '../config/model.ts';
import { heartbeatsOf } from '../health/heartbeat.ts';
import {
  type CheckedGroup,
  type CountersOf,
  type HealthCheck,
  HealthMonitor,
  type Lateness,
} from '../health/monitor.ts';
import { clock } from '../net/clock.ts';
import { useRing } from '../net/dial.ts';
import { IoUring } from '../net/io-uring.ts';
import type { LinkLog } from '../net/via.ts';
import { prepareChecks } from '../http/health/prepare.ts';
import { prepareStreamChecks } from '../stream/health/prepare.ts';
import { type Generation, identity } from './generations.ts';
import type { Door } from './groups.ts';

export class HealthChecks {
  readonly #log: ErrorLog;
  readonly monitor: HealthMonitor;

  /** @param changed called when a server may be chosen again */
  constructor(log: ErrorLog, changed: () => void) {
    this.#log = log;
    this.monitor = new HealthMonitor({
      now: () => clock.update(),
      wall: () => Date.now(),
      random: Math.random,
      timer: (ms, fire) => {
        const timer = setTimeout(fire, ms);
        return () => clearTimeout(timer);
      },
      log: (level, message) => log.write(level, message),
      changed,
    });
  }

  /** Checks the groups of this generation instead of those of the one before. */
  follow({ config, data }: Generation): void {
    const { http, stream } = config;
    const groups: CheckedGroup[] = [];
    const log: LinkLog = (level, message) => this.#log.write(level, message);
    const add = (
      door: Door,
      upstreams: readonly UpstreamConfig[],
      tables: readonly SharedArrayBuffer[],
      written: ReadonlyMap<number, HealthCheck[]>,
    ): void => {
      for (const [index, upstream] of upstreams.entries()) {
        const table = tables[index]!;
        const beats = upstream.servers.some(({ heartbeat }) => heartbeat !== undefined);
        const checks = [...(written.get(index) ?? []), ...(beats ? heartbeatsOf(upstream, table, log) : [])];
        if (checks.length === 0) continue;
        const key = checkedKey(door, identity(upstream));
        groups.push({ key, name: upstream.name, table, checks: distinct(checks) });
      }
    };
    if (http !== null) add('http', http.upstreams, data.tables, prepareChecks(config, http, this.#log));
    if (stream !== null) {
      add('stream', stream.upstreams, data.stream.tables, prepareStreamChecks(config, stream, this.#log));
    }
    if (groups.length > 0) chooseEventMethod(config.main.eventMethod);
    this.monitor.follow(groups);
  }

  /** Counters of a group's servers; null: it has no checks. */
  counters(door: Door, group: string): CountersOf | null {
    return this.monitor.counters(checkedKey(door, group));
  }

  lateness(): Lateness {
    return this.monitor.lateness();
  }

  close(): void {
    this.monitor.close();
  }
}

/** Answers that come within this are looked at together. Who measures a server by its probes sees them so much later. */
const PATIENCE_MS = 2;

let decided = false;

/**
 * Probes use io_uring as workers do (`worker/event-method.ts`). Decided with the first check, for who has none shall not pay
 * for a ring; a configuration that insists on one is told by the workers that there is none.
 */
function chooseEventMethod(wanted: MainConfig['eventMethod']): void {
  if (decided) return;
  decided = true;
  if (wanted === 'libuv') return;
  const ring = IoUring.open(PATIENCE_MS);
  if (typeof ring !== 'string') useRing(ring);
}

/** Groups of http and of stream may have the same names. */
function checkedKey(door: Door, identity: string): string {
  return `${door} ${identity}`;
}

/** Checks that are written twice count apart: what is known of one is not the other's. */
function distinct(checks: readonly HealthCheck[]): HealthCheck[] {
  const seen = new Map<string, number>();
  return checks.map((check) => {
    const nth = seen.get(check.id) ?? 0;
    seen.set(check.id, nth + 1);
    return nth === 0 ? check : { ...check, id: `${check.id} ${nth}` };
  });
}
