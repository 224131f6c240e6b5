/** Caches, limits, resolvers: what counts, and how fast. */
import type { CountedFrame } from '../../../src/admin/dashboard/frame.ts';
import { blank, calm, grown, push, type Series } from '../series.ts';

/** Numbers of it that are worth a rate, by name. */
const RATES: Readonly<Record<CountedFrame['path'], Readonly<Record<string, readonly string[]>>>> = {
  'http/caches': {
    hit: ['hit', 'stale', 'updating', 'revalidated'],
    fetched: ['miss', 'expired', 'bypass'],
  },
  'http/limit_conns': { passed: ['passed'], refused: ['rejected', 'rejected_dry_run'] },
  'http/limit_reqs': {
    passed: ['passed'],
    delayed: ['delayed', 'delayed_dry_run'],
    refused: ['rejected', 'rejected_dry_run'],
  },
  'stream/limit_conns': { passed: ['passed'], refused: ['rejected', 'rejected_dry_run'] },
  resolvers: { asked: ['requests'], answered: ['noerror'], failed: ['failed'] },
};

/** A number of the API's object; of a cache its answers, of a resolver sums. */
export function numberOf({ path, value }: CountedFrame, name: string): number {
  const given = value[name];
  if (typeof given === 'number') return given;
  if (typeof given === 'object') return given.responses ?? Object.values(given).reduce((sum, n) => sum + n, 0);
  if (path !== 'resolvers' || typeof value.responses !== 'object') return 0;
  const { noerror = 0, ...others } = value.responses;
  return name === 'noerror' ? noerror : Object.values(others).reduce((sum, n) => sum + n, 0);
}

export class Counted {
  frame: CountedFrame;
  readonly series = new Map<string, Series>();
  readonly #before = new Map<string, number>();

  constructor(frame: CountedFrame, past: number) {
    this.frame = frame;
    for (const name of Object.keys(RATES[frame.path])) this.series.set(name, blank(past));
  }

  tick(seconds: number): void {
    for (const [name, parts] of Object.entries(RATES[this.frame.path])) {
      const now = parts.reduce((sum, part) => sum + numberOf(this.frame, part), 0);
      const before = this.#before.get(name);
      this.#before.set(name, now);
      if (seconds > 0) push(this.series.get(name)!, before === undefined ? null : grown(now, before) / seconds);
    }
  }

  /** A second. */
  rate(name: string): number {
    return calm(this.series.get(name) ?? []);
  }
}
