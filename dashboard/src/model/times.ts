/** Response times as histograms that only grow. */
import { BUCKET_BOUNDS, quantileOf } from '../../../src/admin/dashboard/frame.ts';
import { blank, grown, push, type Series } from '../series.ts';

/** Quantiles of so many seconds. */
const WINDOW = 10;
const BUCKETS = BUCKET_BOUNDS.length + 1;

/** Counts of several histograms together. */
export function sumOf(histograms: readonly (readonly number[])[], from = 0): number[] {
  return Array.from({ length: BUCKETS }, (_, i) => histograms.reduce((sum, counts) => sum + counts[from + i]!, 0));
}

/** Response times of the last seconds, out of a histogram that only grows. */
export class Times {
  readonly p50: Series;
  readonly p95: Series;
  #counts: number[] = Array.from({ length: BUCKETS }, () => 0);
  #window: number[][] = [];

  constructor(past: number) {
    this.p50 = blank(past);
    this.p95 = blank(past);
  }

  /** Where counting begins. @param late others count already: it has no value of this moment */
  start(counts: readonly number[], late: boolean): void {
    this.#counts = [...counts];
    if (!late) return;
    push(this.p50, null);
    push(this.p95, null);
  }

  note(counts: readonly number[]): void {
    const added = counts.map((count, i) => grown(count, this.#counts[i]!));
    this.#counts = [...counts];
    this.#window.push(added);
    if (this.#window.length > WINDOW) this.#window.shift();
    push(this.p50, quantileOf(added, 0.5));
    push(this.p95, quantileOf(added, 0.95));
  }

  /** Of the last ten seconds, milliseconds; null: there were no answers. */
  over(q: number): number | null {
    return quantileOf(sumOf(this.#window), q);
  }
}
