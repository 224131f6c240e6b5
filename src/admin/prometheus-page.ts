/** A page in Prometheus's text format 0.0.4. */
import { BUCKET_BOUNDS } from '../observe/histogram.ts';

export type Labels = Readonly<Record<string, string>>;

/** Metrics that a page shall have; null: all. */
export type MetricNames = ReadonlySet<string> | null;

/**
 * Collects samples by metric, so that each metric's lines stand together, as the format wants it. For what there is little
 * of: servers are told of by `prometheus-peers.ts`.
 */
export class Page {
  readonly #names: MetricNames;
  readonly #metrics = new Map<string, string[]>();

  constructor(names: MetricNames) {
    this.#names = names;
  }

  /** @param type `counter`, `gauge` or `histogram` @param help what is counted */
  define(name: string, type: string, help: string): void {
    this.#metrics.set(name, [metricHead(name, type, help)]);
  }

  add(metric: string, labels: Labels, value: number, suffix = ''): void {
    const text = labelText(labels);
    const braces = text === '' ? '' : `{${text}}`;
    this.#metrics.get(metric)!.push(`${metric}${suffix}${braces} ${value}\n`);
  }

  /** @param counts each in its own bucket; the last one has no bound */
  histogram(metric: string, labels: Labels, counts: readonly number[], sumMs: number): void {
    let total = 0;
    for (const [i, count] of counts.entries()) {
      total += count;
      this.add(metric, { ...labels, le: BUCKET_LABELS[i]! }, total, '_bucket');
    }
    this.add(metric, labels, sumMs / 1000, '_sum');
    this.add(metric, labels, total, '_count');
  }

  toString(): string {
    const names = this.#names;
    return [...this.#metrics]
      .filter(([name, lines]) => lines.length > 1 && (names === null || names.has(name)))
      .flatMap(([, lines]) => lines)
      .join('');
  }
}

/** The two lines before the samples of a metric. */
export function metricHead(name: string, type: string, help: string): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
}

/** Labels as they stand between the braces. */
export function labelText(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, text]) => `${name}="${escape(text)}"`)
    .join(',');
}

/** Bounds of the buckets of a histogram, as `le` has them: seconds. */
export const BUCKET_LABELS: readonly string[] = [...BUCKET_BOUNDS.map((ms) => String(ms / 1000)), '+Inf'];

function escape(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
