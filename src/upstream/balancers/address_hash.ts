/**
 * any-proxy's `ip_hash` and `ip_hash_active`: the client's address, as text, modulo the number of servers. Over all of them
 * a client's server is fixed, and when it is down the client has none. Over the active ones a client whose server is down
 * gets another, and all are dealt anew.
 */
import type { Attempt } from '../attempt.ts';
import type { Selection } from '../selection.ts';
import { sipHashModulo } from '../siphash.ts';
import { type Balancer, NONE } from './balancer.ts';

export class AddressHashBalancer implements Balancer {
  readonly choosesBackup = false;
  readonly inflight = false;
  private readonly onlyActive: boolean;
  private version = -1;
  /** Slots that are not down, by list. */
  private active: [number[], number[]] = [[], []];

  constructor(onlyActive: boolean) {
    this.onlyActive = onlyActive;
  }

  defers(): boolean {
    return false;
  }

  select(s: Selection, a: Attempt, list: number): number {
    if (!this.onlyActive) {
      const count = s.count(list);
      if (count === 0) return NONE;
      const slot = s.at(list, sipHashModulo(a.hashKey, count));
      return s.usable(a, slot) ? slot : NONE;
    }
    if (this.version !== s.version) this.build(s);
    const slots = this.active[list]!;
    const count = slots.length;
    if (count === 0) return NONE;
    const from = sipHashModulo(a.hashKey, count);
    for (let i = 0; i < count; i++) {
      const slot = slots[(from + i) % count]!;
      if (s.usable(a, slot)) return slot;
    }
    return NONE;
  }

  private build(s: Selection): void {
    this.active = [[], []];
    for (const list of [0, 1] as const) {
      for (let i = 0; i < s.count(list); i++) {
        const slot = s.at(list, i);
        if (s.t.down[slot] === 0) this.active[list].push(slot);
      }
    }
    this.version = s.version;
  }
}
