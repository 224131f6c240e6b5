/** Where a zone of keys and values has what. Small, for the main thread reads it at every start. */
import { releaseDead, rowOf } from '../shared/lock.ts';

/** Words of the header; 3, 4, 5 and 12 belong to the lock. Their number is even: what is behind them begins there. */
export const W = {
  magic: 0,
  rows: 1,
  pages: 2,
  type: 6,
  chains: 7,
  /** Counts changes. */
  version: 8,
  /** Pairs held. */
  count: 9,
  /** Pairs with the zone's own timeout, in order of their end. */
  timedOldest: 10,
  timedNewest: 11,
  /** Pairs with an end of their own, in no order. */
  ownOldest: 13,
  ownNewest: 14,
  /** Two secrets of the hash. */
  seed: 15,
  factorSeed: 16,
  /** The second in which a full zone was last searched for what has ended. */
  searched: 17,
  /** Odd while pairs are changed: see `shared/change-mark.ts`. */
  mark: 18,
  words: 24,
} as const;

/** How many different lengths of keys are counted; longer ones share the last place. */
export const LENGTHS = 1024;

/** After a worker's death, before its successor starts. Main thread. */
export function reclaimKeyvalZone(buffer: SharedArrayBuffer, workerId: number): void {
  const head = new Int32Array(buffer, 0, W.words);
  // As `table.ts` carves it.
  const zone = { head, alive: new Int32Array(buffer, W.words * 4, head[W.rows]) };
  releaseDead(zone, rowOf(zone, workerId));
}
