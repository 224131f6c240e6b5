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

/** Puts values in, the newest last, nulls before them. */
export function fill(series: Series, values: Series, length: number): void {
  series.length = 0;
  const known = values.slice(-length);
  for (let i = known.length; i < length; i++) series.push(null);
  series.push(...known);
}

/** Growth of a counter; one that went back was made anew. */
export const grown = (now: number, before: number): number => (now >= before ? now - before : now);

/** Numbers are shown as the mean of so many seconds. */
const CALM = 3;

/** The number to show for a rate. */
export function calm(series: Series): number {
  return recent(series, CALM) ?? 0;
}
