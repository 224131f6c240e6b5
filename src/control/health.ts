/** Runs the health checks of the running generation, and tells what they know. */
import type { ErrorLog } from '../observe/error-log.ts';
import { type CheckedGroup, type HealthCounters, HealthMonitor } from '../health/monitor.ts';
import { prepareChecks } from '../http/health/prepare.ts';
import { type Generation, identity } from './generations.ts';

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
    const { http } = config;
    if (http === null) {
      this.monitor.follow([]);
      return;
    }
    const groups: CheckedGroup[] = [];
    for (const [index, checks] of prepareChecks(config, http, this.#log)) {
      const upstream = http.upstreams[index]!;
      groups.push({ key: identity(upstream), name: upstream.name, table: data.tables[index]!, checks });
    }
    this.monitor.follow(groups);
  }

  /** Counters of a group's servers by `peerKey`; null: it has no checks. */
  counters(group: string): Map<string, HealthCounters> | null {
    return this.monitor.counters(group);
  }

  close(): void {
    this.monitor.close();
  }
}
