/** Runs the health checks of the running generation, and tells what they know. */
import type { ErrorLog } from '../observe/error-log.ts';
import type { UpstreamConfig } from '../config/model.ts';
import { type CheckedGroup, type HealthCheck, type HealthCounters, HealthMonitor } from '../health/monitor.ts';
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
      now: () => performance.now(),
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
    const add = (upstream: UpstreamConfig, table: SharedArrayBuffer, door: Door, checks: HealthCheck[]): void =>
      void groups.push({
        key: checkedKey(door, identity(upstream)),
        name: upstream.name,
        table,
        checks: distinct(checks),
      });
    if (http !== null) {
      for (const [index, checks] of prepareChecks(config, http, this.#log)) {
        add(http.upstreams[index]!, data.tables[index]!, 'http', checks);
      }
    }
    if (stream !== null) {
      for (const [index, checks] of prepareStreamChecks(config, stream, this.#log)) {
        add(stream.upstreams[index]!, data.stream.tables[index]!, 'stream', checks);
      }
    }
    this.monitor.follow(groups);
  }

  /** Counters of a group's servers by `peerKey`; null: it has no checks. */
  counters(door: Door, group: string): Map<string, HealthCounters> | null {
    return this.monitor.counters(checkedKey(door, group));
  }

  close(): void {
    this.monitor.close();
  }
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
