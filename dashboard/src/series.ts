/** The recent past of a number: a value for each frame, null where there was none. */

/** Frames that are remembered. */
export const PAST = 180;

export type Series = (number | null)[];

export function push(series: Series, value: number | null): void {
  series.push(value);
  if (series.length > PAST) series.shift();
}

/** As many nulls as others have values. */
export function blank(length: number): Series {
  return Array.from({ length }, () => null);
}

/** Mean of the last `count` values that are there; null: none is. */
export function recent(series: Series, count: number): number | null {
  let sum = 0;
  let n = 0;
  for (const value of series.slice(-count)) {
    if (value === null) continue;
    sum += value;
    n++;
  }
  return n === 0 ? null : sum / n;
}

/**
 * A quantile of a histogram, between the ends of its bucket by straight line.
 *
 * @param counts each in its own bucket
 * @param bounds upper ends of all but the last one
 * @returns null when nothing was counted
 */
export function quantile(counts: readonly number[], bounds: readonly number[], q: number): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total <= 0) return null;
  let rank = q * total;
  for (const [i, count] of counts.entries()) {
    if (count <= 0) continue;
    if (rank > count) {
      rank -= count;
      continue;
    }
    const from = i === 0 ? 0 : bounds[i - 1]!;
    const to = bounds[i] ?? from;
    return from + (to - from) * (rank / count);
  }
  return bounds.at(-1) ?? null;
}
