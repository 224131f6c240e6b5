/** `random`, `random two` (spec 2.10). */
import type { Attempt } from '../attempt.ts';
import type { LeastTimeMode } from '../../config/model.ts';
import type { Selection } from '../selection.ts';
import { estimate, timesOf } from '../table/estimate.ts';
import { type Balancer, MAX_MISSES, ROUND_ROBIN } from './balancer.ts';
import { WeightTable } from './weights.ts';

/** How the second draw is compared with the first: less is better, divided by weight. */
type Load = (s: Selection, slot: number) => number;

const byConns: Load = (s, slot) => s.t.conns[slot]!;

export class RandomBalancer implements Balancer {
  readonly choosesBackup = false;
  readonly inflight = false;
  private readonly weights = new WeightTable();
  private readonly load: Load | null;

  /** @param two null: one draw; else what decides between two. */
  constructor(two: null | { kind: 'least_conn' } | { kind: 'least_time'; mode: LeastTimeMode }) {
    if (two === null) this.load = null;
    else if (two.kind === 'least_conn') this.load = byConns;
    else {
      const { mode } = two;
      this.load = (s, slot) => estimate(s.t, slot, s.now, timesOf(s.t, mode));
    }
  }

  defers(s: Selection, a: Attempt, list: number): boolean {
    return a.misses > MAX_MISSES || s.count(list) < 2;
  }

  select(s: Selection, a: Attempt, list: number): number {
    const total = s.totalWeight(list);
    const load = this.load;
    let first = -1;
    while (a.misses <= MAX_MISSES) {
      const slot = this.weights.slotAt(s, list, Math.floor(s.random() * total));
      if (slot !== first && s.usable(a, slot)) {
        if (load === null) return slot;
        if (first >= 0) return load(s, slot) * s.t.weight[first]! > load(s, first) * s.t.weight[slot]! ? first : slot;
        // the first of two counts as a miss as well: nginx falls through to its counter here
        first = slot;
      }
      a.misses++;
    }
    return ROUND_ROBIN;
  }
}
