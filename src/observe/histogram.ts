/** Response times are counted in NGINX Plus's buckets (API version 9), everywhere alike. */

/** Upper ends, milliseconds; the last bucket has none. */
export const BUCKET_BOUNDS: readonly number[] = [5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000];
export const BUCKETS = 15;

/** The bucket that a time falls into. */
export function bucketOf(ms: number): number {
  let bucket = 0;
  while (bucket < BUCKET_BOUNDS.length && ms > BUCKET_BOUNDS[bucket]!) bucket++;
  return bucket;
}

/**
 * A quantile of a histogram, between the ends of its bucket by straight line.
 *
 * @param counts each in its own bucket
 * @returns null when nothing was counted
 */
export function quantileOf(counts: readonly number[], q: number): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total <= 0) return null;
  let rank = q * total;
  for (const [i, count] of counts.entries()) {
    if (count <= 0) continue;
    if (rank > count) {
      rank -= count;
      continue;
    }
    const from = i === 0 ? 0 : BUCKET_BOUNDS[i - 1]!;
    const to = BUCKET_BOUNDS[i] ?? from;
    return from + (to - from) * (rank / count);
  }
  return BUCKET_BOUNDS.at(-1)!;
}
