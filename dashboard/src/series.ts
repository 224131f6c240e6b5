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
