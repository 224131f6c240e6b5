/** Passive health checks of an upstream: what becomes of requests and sessions, counted by Kong's rules. */
import type { KongUpstream } from '../../config/kong/model.ts';
import {
  HTTP_FAILURE,
  type HealthEvent,
  type HealthLimits,
  SUCCESS,
  TargetHealth,
  TCP_FAILURE,
  TIMEOUT,
} from './target-health.ts';

interface Peer {
  slot: number;
  generation: number;
  address: string;
}

/** Whose bits tell who is healthy. */
interface Marked {
  setUnhealthy(slot: number, generation: number, unhealthy: boolean): void;
}

export class PassiveChecks {
  readonly #health: TargetHealth;
  readonly #limits: HealthLimits;
  readonly #good: ReadonlySet<number>;
  readonly #bad: ReadonlySet<number>;
  readonly #upstream: string;

  constructor({ name, healthchecks: { passive } }: Omit<KongUpstream, 'targets'>, memory: SharedArrayBuffer) {
    const { httpFailures, tcpFailures, timeouts } = passive.unhealthy;
    this.#upstream = name;
    this.#health = new TargetHealth(memory);
    this.#limits = { successes: passive.healthy.successes, httpFailures, tcpFailures, timeouts };
    this.#good = new Set(passive.healthy.httpStatuses);
    this.#bad = new Set(passive.unhealthy.httpStatuses);
  }

  /**
   * Counts the end of an attempt.
   *
   * @param failed there was no answer; `status` 504: for want of time
   * @returns for the log, when that has changed the peer's state; null: it has not
   */
  ended(peers: Marked, peer: Peer, failed: boolean, status: number): { level: 'warn' | 'notice'; text: string } | null {
    const event = this.#eventOf(failed, status);
    if (event === null) return null;
    const { slot, generation, address } = peer;
    const verdict = this.#health.report(slot, generation, event, this.#limits);
    if (verdict === 'unchanged') return null;
    peers.setUnhealthy(slot, generation, verdict === 'unhealthy');
    const why = event === HTTP_FAILURE ? `status ${status}` : event === TIMEOUT ? 'timeout' : 'connection error';
    const text = `target ${address} of upstream "${this.#upstream}" is ${verdict}`;
    return verdict === 'unhealthy' ? { level: 'warn', text: `${text}: ${why}` } : { level: 'notice', text };
  }

  /** A timeout counts as such whether another server is tried or not. */
  #eventOf(failed: boolean, status: number): HealthEvent | null {
    if (failed) return status === 504 ? TIMEOUT : TCP_FAILURE;
    if (this.#bad.has(status)) return HTTP_FAILURE;
    return this.#good.has(status) ? SUCCESS : null;
  }
}
