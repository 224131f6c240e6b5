/** Stickiness as a layer before every algorithm: which peer a request is bound to (spec 2.8). */
import type { Attempt } from '../attempt.ts';
import type { Selection } from '../selection.ts';
import { DRAINING } from '../table/layout.ts';
import { blocked, full } from '../table/rules.ts';

/** The peer of a list that the request is bound to, if it can be used: draining allowed. -1: none. */
export function boundPeer(s: Selection, a: Attempt, list: number): number {
  if (a.stickySid === '') return -1;
  const slot = s.bySid(list, a.stickySid);
  if (slot < 0 || a.hasTried(slot) || (s.t.down[slot]! & ~DRAINING) !== 0) return -1;
  return blocked(s.t, slot, s.now) || full(s.t, slot) ? -1 : slot;
}
