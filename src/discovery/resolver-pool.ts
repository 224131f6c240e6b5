/**
 * One resolver, with one cache and one set of sockets, for all who have the same configuration.
 */
import type { ResolverConfig } from '../config/model.ts';
import { Resolver } from './resolver.ts';
import type { ResolverEnv } from './resolver.ts';

export interface ResolverLease {
  resolver: Resolver;
  /** Gives the resolver back; the last one closes it. Calls after the first do nothing. */
  release(): void;
}

export class ResolverPool {
  readonly #env: ResolverEnv;
  readonly #shared = new Map<string, { resolver: Resolver; users: number }>();

  constructor(env: ResolverEnv) {
    this.#env = env;
  }

  /**
   * In: a configuration with at least one name server. Out: the resolver that all with an equal configuration share.
   * A new generation acquires before the old one releases, so the cache outlives a reload.
   */
  acquire(config: ResolverConfig): ResolverLease {
    const { addresses, validMs, ipv4, ipv6, statusZone } = config;
    const key = JSON.stringify([addresses.map(({ host, port }) => [host, port]), validMs, ipv4, ipv6, statusZone]);
    let shared = this.#shared.get(key);
    if (shared === undefined) {
      shared = { resolver: new Resolver(config, this.#env), users: 0 };
      this.#shared.set(key, shared);
    }
    shared.users++;
    const { resolver } = shared;
    const entry = shared;
    let released = false;
    return {
      resolver,
      release: () => {
        if (released) {
          return;
        }
        released = true;
        entry.users--;
        if (entry.users === 0 && this.#shared.get(key) === entry) {
          this.#shared.delete(key);
          resolver.close();
        }
      },
    };
  }

  /** Closes all, whoever uses them. */
  close(): void {
    for (const { resolver } of this.#shared.values()) {
      resolver.close();
    }
    this.#shared.clear();
  }
}
