/**
 * What a cache counts, as NGINX Plus's API shows it: answers and bytes by how they came about. Places in the counters of the
 * keys zone (`KeysZone.count`): answers, bytes; of those that were fetched also those that were written, and their bytes.
 */

/** Answered from the cache: two numbers each. */
export const FROM_CACHE = { hit: 0, stale: 2, updating: 4, revalidated: 6 } as const;
/** Answered by a server: four numbers each. */
export const FETCHED = { miss: 8, expired: 12, bypass: 16 } as const;
/** How many numbers that are. */
export const COUNTERS = 20;
