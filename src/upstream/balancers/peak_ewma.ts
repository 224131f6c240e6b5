/**
 * Kong's `latency`: the peer whose answers have been fastest of late, by weight. A sample counts the less the older it is
 * (by half after some 7 seconds); a peer that has answered nothing yet counts as the mean of the others.
 */
import type { Attempt } from '../attempt.ts';
import type { Selection } from '../selection.ts';
import type { Table } from '../table/layout.ts';
import { type Balancer, NONE } from './balancer.ts';

/** Time in which a sample's part falls to 1/e. */
const DECAY_MS = 10_000;

/** Part of an average that is left after a time. */
function left(t: Table, slot: number, nowMs: number): number {
  return Math.exp(-Math.max(0, nowMs - t.averageAt[slot]!) / DECAY_MS);
}

/** Notes how long an answer took. Call with the lock held. */
export function noteLatency(t: Table, slot: number, ms: number, nowMs: number): void {
  const kept = t.averageAt[slot] === 0 ? 0 : left(t, slot, nowMs);
  t.average[slot] = t.average[slot]! * kept + ms * (1 - kept);
  t.averageAt[slot] = nowMs;
}

export class PeakEwmaBalancer implements Balancer {
  readonly choosesBackup = true;
  readonly inflight = false;
  /** Where the last choice was: among equals the next one has its turn. */
  private turn = 0;

  defers(): boolean {
    return false;
  }

  select(s: Selection, a: Attempt, list: number): number {
    const { t, nowMs } = s;
    const count = s.count(list);
    let sum = 0;
    let known = 0;
    for (let i = 0; i < count; i++) {
      const slot = s.at(list, i);
      if (t.averageAt[slot] === 0) continue;
      sum += t.average[slot]! * left(t, slot, nowMs);
      known++;
    }
    const mean = known === 0 ? 0 : sum / known;
    let best = NONE;
    let bestScore = Infinity;
    for (let i = 0; i < count; i++) {
      const place = (this.turn + 1 + i) % count;
      const slot = s.at(list, place);
      if (!s.usable(a, slot)) continue;
      const value = t.averageAt[slot] === 0 ? mean : t.average[slot]! * left(t, slot, nowMs);
      const score = value / t.weight[slot]!;
      if (score >= bestScore) continue;
      bestScore = score;
      best = slot;
    }
    if (best !== NONE) this.turn = t.pos[best]!;
    return best;
  }
}
