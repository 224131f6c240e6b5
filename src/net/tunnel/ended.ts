/** Streams of a tunnel that have ended, remembered for a while: who comes too late is told, instead of beginning a new one. */
import { clock } from '../clock.ts';
import { Timer } from '../timers.ts';

/** Most streams that are remembered. */
const ENDED_MAX = 100_000;

export class EndedStreams<T> {
  /** The oldest first. */
  readonly #ended = new Map<string, { how: T; at: number }>();
  readonly #rememberMs: () => number;
  readonly #sweep = new Timer(() => this.#forget());

  /** @param rememberMs nobody comes back later than this */
  constructor(rememberMs: () => number) {
    this.#rememberMs = rememberMs;
  }

  /** How a stream has ended; undefined: it is not known to have. */
  get(key: string): T | undefined {
    return this.#ended.get(key)?.how;
  }

  add(key: string, how: T): void {
    if (this.#ended.size >= ENDED_MAX) this.#ended.delete(this.#ended.keys().next().value!);
    this.#ended.set(key, { how, at: clock.now });
    if (!this.#sweep.armed) this.#sweep.arm(this.#rememberMs());
  }

  #forget(): void {
    const rememberMs = this.#rememberMs();
    for (const [key, { at }] of this.#ended) {
      if (clock.now - at < rememberMs) break;
      this.#ended.delete(key);
    }
    if (this.#ended.size > 0) this.#sweep.arm(rememberMs);
  }
}
