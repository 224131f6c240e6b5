/** Stickiness as a layer before every algorithm: which peer a request is bound to (spec 2.8). */
import type { Attempt } from '../attempt.ts';
import type { Selection } from '../selection.ts';
import { DRAINING, LIVE } from '../table/layout.ts';
import { blocked, full } from '../table/rules.ts';
import type { PeerInfo } from '../table/text.ts';

/** The peer of a list that the request is bound to, if it can be used: draining allowed. -1: none. */
export function boundPeer(s: Selection, a: Attempt, list: number): number {
  if (a.stickySid === '') return -1;
  const slot = a.bound === null ? s.bySid(list, a.stickySid) : slotOf(s, a.bound, list);
  if (slot < 0 || a.hasTried(slot) || (s.t.down[slot]! & ~DRAINING) !== 0) return -1;
  return blocked(s.t, slot, s.now) || full(s.t, slot) ? -1 : slot;
}

/** Where a peer that was chosen before is now; -1: it is gone, or in the other list. */
function slotOf({ t }: Selection, { slot, generation }: PeerInfo, list: number): number {
  return t.state[slot] === LIVE && t.generation[slot] === generation && t.list[slot] === list ? slot : -1;
}
