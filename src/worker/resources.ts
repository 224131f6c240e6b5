/** What a generation holds of a worker's shared things, so that all of it is given back when its last request is over. */
import type { ErrorLogTarget, ResolverConfig } from '../config/model.ts';
import type { Resolver } from '../discovery/resolver.ts';
import type { ResolverPool } from '../discovery/resolver-pool.ts';
import { ErrorLog } from '../observe/error-log.ts';

/** Error logs of a thread: one for equal targets, closed by the last one that lets go. */
export class ErrorLogPool {
  readonly #logs = new Map<string, { log: ErrorLog; users: number }>();

  acquire(targets: ErrorLogTarget[]): { log: ErrorLog; release(): void } {
    const key = JSON.stringify(targets);
    let shared = this.#logs.get(key);
    if (shared === undefined) this.#logs.set(key, (shared = { log: new ErrorLog(targets), users: 0 }));
    const entry = shared;
    entry.users++;
    return {
      log: entry.log,
      release: () => {
        if (--entry.users > 0) return;
        this.#logs.delete(key);
        entry.log.close();
      },
    };
  }
}

export class Resources {
  readonly #logs: ErrorLogPool;
  readonly #resolvers: ResolverPool;
  readonly #held = new Map<string, ErrorLog>();
  #releases: (() => void)[] = [];

  constructor(logs: ErrorLogPool, resolvers: ResolverPool) {
    this.#logs = logs;
    this.#resolvers = resolvers;
  }

  errorLog(targets: ErrorLogTarget[]): ErrorLog {
    const key = JSON.stringify(targets);
    let log = this.#held.get(key);
    if (log === undefined) {
      const lease = this.#logs.acquire(targets);
      log = lease.log;
      this.#held.set(key, log);
      this.#releases.push(() => lease.release());
    }
    return log;
  }

  resolver(config: ResolverConfig): Resolver {
    const lease = this.#resolvers.acquire(config);
    this.#releases.push(() => lease.release());
    return lease.resolver;
  }

  /** Also to be released with the others. */
  add(release: () => void): void {
    this.#releases.push(release);
  }

  /** Gives all back; calls after the first do nothing. */
  release(): void {
    const releases = this.#releases;
    this.#releases = [];
    for (const release of releases) release();
  }
}
