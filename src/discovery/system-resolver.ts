/** Names as the system knows them, looked up again and again: what `lookup=` of a server and any-proxy's `dynamic_domain` ask. */
import { lookupHost } from './hosts.ts';
import type { Clock, Resolution, ServiceResolution } from './types.ts';

/** What a failed lookup is to those who know DNS: the server could not say. What was known stays. */
const SERVER_FAILURE = 2;

/** Of a resolver what a monitor uses of it for addresses. */
export class SystemResolver {
  readonly #intervalMs: number;
  readonly #clock: Clock;

  constructor(intervalMs: number, clock: Clock) {
    this.#intervalMs = intervalMs;
    this.#clock = clock;
  }

  /** @returns what calls it off: `done` is not called then */
  lookup(host: string, timeoutMs: number, done: (resolution: Resolution) => void): () => void {
    let ended = false;
    const end = (resolution: Resolution): void => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      done(resolution);
    };
    const fail = (text: string): void =>
      end({ ok: false, code: SERVER_FAILURE, text, validUntilMs: this.#clock.ms() + this.#intervalMs });
    const timer = setTimeout(() => fail('Operation timed out'), timeoutMs);
    timer.unref();
    void lookupHost(host, 0).then((found) => {
      if (found === null) fail('Host not found');
      else {
        const addresses = found.map(
          ({ family, host: address }) => ({ family: family === 6 ? 6 : 4, address }) as const,
        );
        const ttlSec = this.#intervalMs / 1000;
        end({ ok: true, addresses, validUntilMs: this.#clock.ms() + this.#intervalMs, ttlSec });
      }
    });
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }

  /** The system knows no services. */
  lookupService(
    service: string,
    _host: string,
    _timeoutMs: number,
    done: (answer: ServiceResolution) => void,
  ): () => void {
    const validUntilMs = this.#clock.ms() + this.#intervalMs;
    done({ ok: false, code: SERVER_FAILURE, text: `no service ${service}`, validUntilMs, failed: [], partial: [] });
    return () => {};
  }
}
