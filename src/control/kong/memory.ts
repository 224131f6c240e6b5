/**
 * Who was unhealthy when it was taken away: a target, or a whole upstream, that comes back soon is what it was, as in Kong. So
 * a script that deletes and makes anew does not send requests to servers that are known to be down.
 */

/** Kong's time. */
const KEPT_MS = 300_000;

export class HealthMemory {
  /** By upstream and address, the oldest first: until when. */
  readonly #until = new Map<string, number>();

  /** @param now milliseconds of any steady clock */
  remember(upstream: string, peer: string, now: number): void {
    for (const [key, until] of this.#until) {
      if (until > now) break;
      this.#until.delete(key);
    }
    const key = keyOf(upstream, peer);
    this.#until.delete(key);
    this.#until.set(key, now + KEPT_MS);
  }

  /** Was it unhealthy when it was last seen? It is asked for once. */
  recall(upstream: string, peer: string, now: number): boolean {
    const key = keyOf(upstream, peer);
    const until = this.#until.get(key) ?? 0;
    this.#until.delete(key);
    return until > now;
  }

  get size(): number {
    return this.#until.size;
  }
}

const keyOf = (upstream: string, peer: string): string => `${upstream}\n${peer}`;
