/** What building `HttpConfig` and `StreamConfig` has in common: the groups, and what modules may ask. */
import type { UpstreamConfig } from '../model.ts';
import type { Cycle } from './cycle.ts';
import type { Build, ModuleDef } from './module.ts';
import { finishResolver } from './resolver.ts';
import type { RawResolver } from './resolver.ts';
import type { Scope } from './scope.ts';
import { upstreamConfig, upstreamsSlot } from './upstreams.ts';
import type { RawUpstream } from './upstreams.ts';

export abstract class BlockBuilder implements Build {
  readonly cycle: Cycle;
  readonly block: Scope;
  protected readonly modules: readonly ModuleDef[];
  /** Explicit groups first, then the implicit ones. */
  readonly upstreams: readonly RawUpstream[];
  readonly #indexes: ReadonlyMap<RawUpstream, number>;

  constructor(cycle: Cycle, block: Scope, modules: readonly ModuleDef[]) {
    this.cycle = cycle;
    this.block = block;
    this.modules = modules;
    const { list } = block.main.get(upstreamsSlot);
    this.upstreams = [...list.filter((raw) => raw.explicit), ...list.filter((raw) => !raw.explicit)];
    this.#indexes = new Map(this.upstreams.map((raw, i) => [raw, i]));
  }

  upstreamIndex(upstream: RawUpstream): number {
    return this.#indexes.get(upstream) as number;
  }

  /** @param resolver that of the block, for groups without their own */
  protected buildUpstreams(resolver: RawResolver | undefined, timeoutMs: number | undefined): UpstreamConfig[] {
    return this.upstreams.map((raw) =>
      upstreamConfig(
        raw,
        finishResolver(raw.resolver ?? resolver),
        raw.resolverTimeoutMs ?? timeoutMs ?? 30_000,
        (name) => this.cycle.zones.get(name)?.size ?? 0,
        this,
      ),
    );
  }
}
