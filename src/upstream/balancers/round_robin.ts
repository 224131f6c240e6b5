/** Smooth weighted round robin (spec 2.2), and its rule for bound requests (2.8). */
import type { Attempt } from '../attempt.ts';
import { BY_NOTHING, currentOf } from '../select/index.ts';
import { restoreTried, withdrawTried } from '../select/tried.ts';
import type { Selection } from '../selection.ts';
import { type Balancer, NONE, ROUND_ROBIN } from './balancer.ts';

/** Round robin as a balancer defers to itself: `choose.ts` calls `roundRobin`. */
export const roundRobinBalancer: Balancer = {
  choosesBackup: false,
  inflight: false,
  defers: () => true,
  select: () => ROUND_ROBIN,
};

/**
 * One step over the usable peers of a list.
 * @param bound the peer that stickiness asks for, or -1. It is taken without a step when it is already further behind
 *   than a round; otherwise the step is made and the bound peer pays for it, so that it gets less of the new clients.
 */
export function roundRobin(s: Selection, a: Attempt, list: number, bound: number): number {
  const { t, index } = s;
  index.ready(s.now, BY_NOTHING);
  if (bound >= 0 && currentOf(t, bound) <= t.weight[bound]! - s.totalWeight(list)) return bound;
  if (!a.fresh) withdrawTried(s, a, list);
  const first = index.stepAll(list, s.now);
  const chosen = bound >= 0 ? bound : first;
  if (chosen >= 0) index.charge(chosen);
  if (!a.fresh) restoreTried(s, a, list);
  return chosen < 0 ? NONE : chosen;
}
