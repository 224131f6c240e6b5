/** The layers around an algorithm: single peers, stickiness, backups (spec 2.1, 2.4, 2.8). */
import type { Attempt } from '../attempt.ts';
import { type Balancer, NONE, ROUND_ROBIN } from '../balancers/balancer.ts';
import { roundRobin } from '../balancers/round_robin.ts';
import type { Selection } from '../selection.ts';
import { BACKUP, PRIMARY } from '../table/layout.ts';
import { full } from '../table/rules.ts';
import { boundPeer } from './bound.ts';

/**
 * Chooses a peer for a request; moves the request to the backup list, for good, when no primary can be had.
 * @returns a slot that is not taken yet, or NONE.
 */
export function choose(s: Selection, balancer: Balancer, a: Attempt): number {
  if (a.list === PRIMARY) {
    const slot = s.single ? onlyPeer(s, a) : fromList(s, balancer, a, PRIMARY, false);
    if (slot >= 0 || s.count(BACKUP) === 0) return slot;
    a.list = BACKUP;
    a.clearTried();
    return fromList(s, balancer, a, BACKUP, !balancer.choosesBackup);
  }
  return fromList(s, balancer, a, BACKUP, false);
}

function fromList(s: Selection, balancer: Balancer, a: Attempt, list: number, asRoundRobin: boolean): number {
  const bound = boundPeer(s, a, list);
  if (asRoundRobin || balancer.defers(s, a, list)) return roundRobin(s, a, list, bound);
  if (bound >= 0) return bound;
  const slot = balancer.select(s, a, list);
  return slot === ROUND_ROBIN ? roundRobin(s, a, list, NONE) : slot;
}

/** A group of one: its failures do not matter, only whether it is down or full. */
function onlyPeer(s: Selection, a: Attempt): number {
  const bound = boundPeer(s, a, PRIMARY);
  if (bound >= 0) return bound;
  const slot = s.at(PRIMARY, 0);
  return s.t.down[slot] !== 0 || full(s.t, slot) ? NONE : slot;
}
