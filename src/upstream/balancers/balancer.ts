import type { Attempt } from '../attempt.ts';
import type { Selection } from '../selection.ts';
import type { SharedLock } from '../../shared/lock.ts';

/** Nobody can be chosen on this list. */
export const NONE = -1;
/** The algorithm gives up: round robin chooses. */
export const ROUND_ROBIN = -2;

/**
 * An algorithm. It chooses; stickiness, backup lists, single peers and taking the peer are layers around it
 * (`choose.ts`). All calls come with the lock held and `s.now` set.
 */
export interface Balancer {
  /** When the primaries are exhausted it chooses among the backups itself; the others leave that to round robin. */
  readonly choosesBackup: boolean;
  /** Measures requests in flight (least_time ... inflight). */
  readonly inflight: boolean;
  /** Round robin is to choose (and to apply its own rule of stickiness): too few peers, no key, too many misses. */
  defers(s: Selection, a: Attempt, list: number): boolean;
  /** A usable slot of the list, NONE or ROUND_ROBIN. */
  select(s: Selection, a: Attempt, list: number): number;
  /** Brings tables that are too large to be built under the lock up to date. Called without it, before a pick. */
  prepare?(s: Selection, lock: SharedLock): void;
}

/** Misses after which hash, ip_hash and random leave the choice to round robin. */
export const MAX_MISSES = 20;
