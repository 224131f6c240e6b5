/** A page in Prometheus's text format 0.0.4. */
import { BUCKET_BOUNDS } from '../observe/histogram.ts';

export type Labels = Readonly<Record<string, string>>;

/** Collects samples by metric, so that each metric's lines stand together, as the format wants it. */
export class Page {
  readonly #metrics = new Map<string, string[]>();

  /** @param type `counter`, `gauge` or `histogram` @param help what is counted */
  define(name: string, type: string, help: string): void {
    this.#metrics.set(name, [`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`]);
  }

  add(metric: string, labels: Labels, value: number, suffix = ''): void {
    const list = Object.entries(labels).map(([name, text]) => `${name}="${escape(text)}"`);
    const braces = list.length === 0 ? '' : `{${list.join(',')}}`;
    this.#metrics.get(metric)!.push(`${metric}${suffix}${braces} ${value}\n`);
  }

  /** @param counts each in its own bucket; the last one has no bound */
  histogram(metric: string, labels: Labels, counts: readonly number[], sumMs: number): void {
    let total = 0;
    for (const [i, count] of counts.entries()) {
      total += count;
      const le = i < BUCKET_BOUNDS.length ? String(BUCKET_BOUNDS[i]! / 1000) : '+Inf';
      this.add(metric, { ...labels, le }, total, '_bucket');
    }
    this.add(metric, labels, sumMs / 1000, '_sum');
    this.add(metric, labels, total, '_count');
  }

  toString(): string {
    return [...this.#metrics.values()]
      .filter((lines) => lines.length > 1)
      .flat()
      .join('');
  }
}

function escape(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
