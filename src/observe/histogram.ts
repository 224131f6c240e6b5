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
