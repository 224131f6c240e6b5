/**
 * Slow start: a peer that comes back, or is new, gets its weight little by little (spec 2.14).
 *
 * Its share of the weight grows in a line from 0 to 1 over `slow_start`. Round robin lets it gain that share of its
 * weight in each step; least_conn and least_time see its connections divided by the share, so that at half its weight it
 * holds half the connections of the others, and idle peers take turns by the step. Shares are multiples of 1/1024:
 * sums of them are exact in doubles, however many steps are made.
 *
 * The beginning is noted as soon as it is known (`plan`), which may be before the peer is eligible again: the window of
 * `fail_timeout` has an end that is known when it begins. All calls come with the lock held.
 */
import { F, type Table } from './layout.ts';

const GRAIN = 1024;

/** Notes that a peer is to begin slowly from `atMs` on. Nothing happens when it has no `slow_start`. */
export function planSlowStart(t: Table, slot: number, atMs: number): void {
  if (t.slowStart[slot]! > 0) t.slowStartAt[slot] = -atMs;
}

/**
 * Share of its weight that a peer has now: above 0, at most 1. Begins what was planned and ends what is over; call it
 * for eligible peers only, whose current weight is plain.
 */
export function slowShare(t: Table, slot: number, nowMs: number): number {
  let began = t.slowStartAt[slot]!;
  if (began === 0) return 1;
  if (began < 0) {
    began = -began;
    t.slowStartAt[slot] = began;
    t.effective[slot] = t.weight[slot]!;
    // credit from before would be spent at once, and debt would outlast the slow start; the group's sum must stay 0
    const owed = F.owed + t.list[slot]!;
    t.headF[owed] = t.headF[owed]! + t.current[slot]!;
    t.current[slot] = 0;
  }
  const share = Math.floor(((nowMs - began) * GRAIN) / t.slowStart[slot]!);
  if (share < GRAIN) return Math.max(1, share) / GRAIN;
  t.slowStartAt[slot] = 0;
  return 1;
}
