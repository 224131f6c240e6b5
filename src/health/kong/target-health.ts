/**
 * What Kong's health checks know of the peers of a group, in memory that all threads share: workers count what they see of
 * real requests, the main thread what its probes say, and both count in the same cells.
 *
 * A limit of 0 switches off what it belongs to: such an event neither counts nor resets. Who reaches a limit has the state
 * changed, and learns it from `report`: it writes the change into the peer table.
 */

export const SUCCESS = 0;
export const HTTP_FAILURE = 1;
export const TCP_FAILURE = 2;
export const TIMEOUT = 3;

/** What happened to a request or a probe. */
export type HealthEvent = typeof SUCCESS | typeof HTTP_FAILURE | typeof TCP_FAILURE | typeof TIMEOUT;

/** Limits by event. */
export interface HealthLimits {
  successes: number;
  httpFailures: number;
  tcpFailures: number;
  timeouts: number;
}

export type Verdict = 'unchanged' | 'healthy' | 'unhealthy';

/** Words of a slot: which peer, whether it is unhealthy, counters by event. */
const PEER = 0;
const UNHEALTHY = 1;
const COUNTERS = 2;
const WORDS = 6;

/** Memory for the peers of a table of this capacity. */
export function allocateHealth(capacity: number): SharedArrayBuffer {
  return new SharedArrayBuffer(capacity * WORDS * Int32Array.BYTES_PER_ELEMENT);
}

export class TargetHealth {
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  /** A slot that has another peer now begins anew. */
  #at(slot: number, generation: number): number {
    const at = slot * WORDS;
    const words = this.#words;
    if (Atomics.load(words, at + PEER) === generation) return at;
    for (let i = UNHEALTHY; i < WORDS; i++) Atomics.store(words, at + i, 0);
    Atomics.store(words, at + PEER, generation);
    return at;
  }

  unhealthy(slot: number, generation: number): boolean {
    const at = slot * WORDS;
    return Atomics.load(this.#words, at + PEER) === generation && Atomics.load(this.#words, at + UNHEALTHY) === 1;
  }

  report(slot: number, generation: number, event: HealthEvent, limits: HealthLimits): Verdict {
    const limit = limitOf(event, limits);
    if (limit === 0) return 'unchanged';
    const at = this.#at(slot, generation);
    return event === SUCCESS ? this.#succeeded(at, limit) : this.#failed(at, event, limit);
  }

  #succeeded(at: number, limit: number): Verdict {
    const words = this.#words;
    const down = Atomics.load(words, at + UNHEALTHY) === 1;
    const pending = [HTTP_FAILURE, TCP_FAILURE, TIMEOUT].some(
      (event) => Atomics.load(words, at + COUNTERS + event) !== 0,
    );
    // Of who is well successes say nothing new.
    if (!down && !pending) return 'unchanged';
    for (const event of [HTTP_FAILURE, TCP_FAILURE, TIMEOUT]) Atomics.store(words, at + COUNTERS + event, 0);
    if (Atomics.add(words, at + COUNTERS + SUCCESS, 1) + 1 < limit) return 'unchanged';
    Atomics.store(words, at + COUNTERS + SUCCESS, 0);
    return Atomics.exchange(words, at + UNHEALTHY, 0) === 1 ? 'healthy' : 'unchanged';
  }

  #failed(at: number, event: HealthEvent, limit: number): Verdict {
    const words = this.#words;
    Atomics.store(words, at + COUNTERS + SUCCESS, 0);
    // An unhealthy one counts no further.
    if (Atomics.load(words, at + UNHEALTHY) === 1) return 'unchanged';
    if (Atomics.add(words, at + COUNTERS + event, 1) + 1 < limit) return 'unchanged';
    return Atomics.exchange(words, at + UNHEALTHY, 1) === 0 ? 'unhealthy' : 'unchanged';
  }

  /** By hand: counters begin anew. */
  set(slot: number, generation: number, healthy: boolean): void {
    const at = this.#at(slot, generation);
    for (let i = COUNTERS; i < WORDS; i++) Atomics.store(this.#words, at + i, 0);
    Atomics.store(this.#words, at + UNHEALTHY, healthy ? 0 : 1);
  }
}

function limitOf(event: HealthEvent, { successes, httpFailures, tcpFailures, timeouts }: HealthLimits): number {
  switch (event) {
    case SUCCESS:
      return successes;
    case HTTP_FAILURE:
      return httpFailures;
    case TCP_FAILURE:
      return tcpFailures;
    default:
      return timeouts;
  }
}
