/**
 * Active health checks of one upstream, by Kong's rules: one cycle for targets that are healthy, another for those that are not,
 * each with its own interval, and no more probes at a time than `concurrency`. Runs in the main thread.
 */
import type { HealthEvent } from './target-health.ts';
import { probe, type ProbeAddress, type ProbeSettings } from './probe.ts';

export interface CheckedTarget extends ProbeAddress {
  slot: number;
  generation: number;
  healthy: boolean;
}

export interface ActiveEnv {
  /** Those that are to be checked, as they are now. */
  targets(): CheckedTarget[];
  report(target: CheckedTarget, event: HealthEvent, detail: string): void;
}

export class ActiveChecks {
  readonly #env: ActiveEnv;
  #settings: ProbeSettings | null = null;
  #timers: NodeJS.Timeout[] = [];
  /** Probes under way, by slot and generation. */
  readonly #running = new Map<string, () => void>();
  #waiting: CheckedTarget[] = [];

  constructor(env: ActiveEnv) {
    this.#env = env;
  }

  /** Checks by these settings from now on; null: not at all. Cycles go on as they are when nothing has changed. */
  follow(settings: ProbeSettings | null): void {
    if (JSON.stringify(settings) === JSON.stringify(this.#settings)) return;
    this.close();
    this.#settings = settings;
    if (settings === null) return;
    const { healthy, unhealthy } = settings.active;
    this.#cycle(healthy.intervalMs, true);
    this.#cycle(unhealthy.intervalMs, false);
  }

  #cycle(intervalMs: number, healthy: boolean): void {
    if (intervalMs <= 0) return;
    const timer = setInterval(() => {
      // Who still waits from the last turn is not asked twice.
      const waiting = new Set(this.#waiting.map(keyOf));
      const due = this.#env.targets().filter((one) => one.healthy === healthy && !waiting.has(keyOf(one)));
      this.#waiting.push(...due);
      this.#next();
    }, intervalMs);
    timer.unref();
    this.#timers.push(timer);
  }

  #next(): void {
    const settings = this.#settings;
    if (settings === null) return;
    while (this.#running.size < settings.active.concurrency) {
      const target = this.#waiting.shift();
      if (target === undefined) return;
      const key = keyOf(target);
      if (this.#running.has(key)) continue;
      const stop = probe(target, settings, (event, detail) => {
        this.#running.delete(key);
        if (event !== null) this.#env.report(target, event, detail);
        this.#next();
      });
      this.#running.set(key, stop);
    }
  }

  close(): void {
    this.#settings = null;
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
    this.#waiting = [];
    for (const stop of this.#running.values()) stop();
    this.#running.clear();
  }
}

const keyOf = ({ slot, generation }: CheckedTarget): string => `${slot}:${generation}`;
