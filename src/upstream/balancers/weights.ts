/** Cumulative weights of a list, so that "walk the list subtracting weights" is a binary search. */
import type { Selection } from '../selection.ts';

export class WeightTable {
  private version = -1;
  private sums: [Float64Array, Float64Array] = [new Float64Array(0), new Float64Array(0)];

  /** The slot of a list at a point of its total weight, 0 <= point < total. Peers that are down have their share. */
  slotAt(s: Selection, list: number, point: number): number {
    if (this.version !== s.version) this.build(s);
    const sums = this.sums[list]!;
    let low = 0;
    let high = sums.length - 1;
    while (low < high) {
      const mid = (low + high) >>> 1;
      if (point < sums[mid]!) high = mid;
      else low = mid + 1;
    }
    return s.at(list, low);
  }

  private build(s: Selection): void {
    for (const list of [0, 1] as const) {
      const sums = new Float64Array(s.count(list));
      let sum = 0;
      for (let i = 0; i < sums.length; i++) {
        sum += s.t.weight[s.at(list, i)]!;
        sums[i] = sum;
      }
      this.sums[list] = sums;
    }
    this.version = s.version;
  }
}
