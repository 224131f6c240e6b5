/**
 * Least estimated time: average times and requests in flight (spec 2.9).
 *
 * Without `inflight` an estimate changes when a request begins or ends and by the second, so the index holds them. With
 * it, looking at a peer changes its average: nothing but the scan gives nginx's sequence.
 */
import type { LeastTimeMode } from '../../config/model.ts';
import type { Attempt } from '../attempt.ts';
import { BY_CONNECT_TIME, BY_HEADER_TIME, BY_RESPONSE_TIME, type IndexKind, plain } from '../select/index.ts';
import { least } from '../select/tried.ts';
import type { Selection } from '../selection.ts';
import { estimate, timesOf } from '../table/estimate.ts';
import { H } from '../table/layout.ts';
import { averaged, blocked } from '../table/rules.ts';
import { slowShare } from '../table/slow-start.ts';
import { type Balancer, NONE } from './balancer.ts';

const KINDS: Record<LeastTimeMode, IndexKind> = {
  header: BY_HEADER_TIME,
  first_byte: BY_HEADER_TIME,
  connect: BY_CONNECT_TIME,
  last_byte: BY_RESPONSE_TIME,
};

export class LeastTimeBalancer implements Balancer {
  readonly choosesBackup = true;
  readonly inflight: boolean;
  private readonly mode: LeastTimeMode;
  /** Estimates of the scan in hand, by place in the list; -1: not usable. */
  private scores = new Float64Array(0);

  constructor(mode: LeastTimeMode, inflight: boolean) {
    this.mode = mode;
    this.inflight = inflight;
  }

  defers(): boolean {
    return false;
  }

  select(s: Selection, a: Attempt, list: number): number {
    return this.inflight ? this.scan(s, a, list) : least(s, a, list, KINDS[this.mode]);
  }

  private scan(s: Selection, a: Attempt, list: number): number {
    const { t } = s;
    const count = s.count(list);
    if (t.head[H.indexKind] !== 0) plain(t);
    if (this.scores.length < count) this.scores = new Float64Array(count);
    const scores = this.scores;
    const times = timesOf(t, this.mode);
    let best = NONE;
    let first = 0;
    let bestScore = 0;
    let many = false;
    // the one loop over all peers on the request path: no property is looked up twice
    const { order, down, fails, maxConns, conns, inflightReqs, weight, slowStartAt } = t;
    const { fresh } = a;
    const { now } = s;
    const from = list * t.capacity;
    for (let i = 0; i < count; i++) {
      const slot = order[from + i]!;
      scores[i] = -1;
      if (down[slot] !== 0 || (!fresh && a.hasTried(slot))) continue;
      if (maxConns[slot]! > 0 && conns[slot]! >= maxConns[slot]!) continue;
      if (fails[slot]! > 0 && blocked(t, slot, now)) continue;
      if (inflightReqs[slot]! > 0) {
        const elapsed = Math.floor(t.inflightLast[slot]! / t.inflightReqs[slot]!) + s.nowMs - t.inflightChanged[slot]!;
        t.inflightTime[slot] = averaged(t.inflightTime[slot]!, elapsed);
      }
      const slow = slowStartAt[slot] === 0 ? 1 : slowShare(t, slot, s.nowMs);
      const score = estimate(t, slot, now, times, conns[slot]! / slow);
      scores[i] = score;
      const less = best === NONE ? -1 : score * weight[best]! - bestScore * weight[slot]!;
      if (less < 0) {
        best = slot;
        bestScore = score;
        first = i;
        many = false;
      } else if (less === 0) many = true;
    }
    return many ? stepOver(s, list, first, best, bestScore, scores) : best;
  }
}

/** Round robin over those that share the best estimate. */
function stepOver(
  s: Selection,
  list: number,
  first: number,
  head: number,
  headScore: number,
  scores: Float64Array,
): number {
  const { t } = s;
  const count = s.count(list);
  const headWeight = t.weight[head]!;
  let best = head;
  let total = 0;
  for (let i = first; i < count; i++) {
    const slot = s.at(list, i);
    const score = scores[i]!;
    if (score < 0 || score * headWeight !== headScore * t.weight[slot]!) continue;
    const effective = t.effective[slot]!;
    const gain = effective * slowShare(t, slot, s.nowMs);
    t.current[slot] = t.current[slot]! + gain;
    total += gain;
    if (effective < t.weight[slot]!) t.effective[slot] = effective + 1;
    if (t.current[slot]! > t.current[best]!) best = slot;
  }
  t.current[best] = t.current[best]! - total;
  return best;
}
