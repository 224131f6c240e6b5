/** `allow` and `deny`: the first rule whose network holds the client's address decides. */
import type { AccessRule } from '../config/model-access.ts';
import { NetworkList } from './networks.ts';

/** No rule fits: nothing is said. */
export const UNDECIDED = 0;
export const ALLOWED = 1;
export const DENIED = 2;

export class AccessList {
  readonly #rules: { deny: boolean; network: NetworkList | null }[];

  constructor(rules: readonly AccessRule[]) {
    this.#rules = rules.map(({ deny, network }) => ({
      deny,
      network: network === 'all' ? null : new NetworkList([network]),
    }));
  }

  /** @param address 4 or 16 bytes; none: a unix socket */
  decide(address: Uint8Array): number {
    for (let i = 0; i < this.#rules.length; i++) {
      const { deny, network } = this.#rules[i]!;
      if (network === null || network.has(address)) return deny ? DENIED : ALLOWED;
    }
    return UNDECIDED;
  }
}
