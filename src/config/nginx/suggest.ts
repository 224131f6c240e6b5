/** The nearest known name to one that is not: for "did you mean". */

/** Changes of one character, neighbours swapped counting as one (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min((last[j] as number) + 1, (row[j - 1] as number) + 1, (last[j - 1] as number) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, (before[j - 2] as number) + 1);
      }
      row.push(best);
    }
    before = last;
    last = row;
  }
  return last[b.length] as number;
}

/** @returns the nearest of `names` if it is near enough to be meant, else null */
export function nearest(name: string, names: Iterable<string>): string | null {
  if (name.length > 64) return null;
  let limit = Math.min(3, Math.floor(name.length / 3));
  let found: string | null = null;
  for (const candidate of names) {
    if (Math.abs(candidate.length - name.length) > limit) continue;
    const distance = editDistance(name, candidate);
    if (distance <= limit) {
      found = candidate;
      limit = distance - 1;
    }
  }
  return found;
}
