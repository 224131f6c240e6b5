/**
 * The last three minutes, so that who opens the page when something is wrong sees how it came about. Kept for as long as the
 * configuration has a `dashboard`, whether anybody looks or not: a few sums over typed arrays each second.
 */
import type { AdminView } from '../../control/admin-desk.ts';
import type { GroupSums } from '../../control/groups.ts';
import { totalsOf } from '../../observe/traffic.ts';
import { BUCKETS, quantileOf } from '../../observe/histogram.ts';
import { runSliced } from '../../shared/slices.ts';
import { FRAME_MS, type PastFrame, type PastSeries } from './frame.ts';

/** Moments that are remembered. */
const MOMENTS = 180;
/** Of more groups only those with the most requests are told: the first event is not to be a book. */
const MOST_GROUPS = 60;

const SERIES = ['rps', 'errors', 'p50', 'p95'] as const;

const short = (n: number): number | null => (Number.isNaN(n) ? null : Math.round(n * 10) / 10);

/** Rings of the values of a group, or of all. */
class Track {
  readonly #rings = SERIES.map(() => new Float32Array(MOMENTS).fill(NaN));
  #before: GroupSums | null = null;
  /** Requests in what is remembered, roughly: what it is ranked by. */
  weight = 0;

  note(at: number, sums: GroupSums, seconds: number): void {
    const before = this.#before;
    this.#before = sums;
    const values = [NaN, NaN, NaN, NaN];
    // A table that was made anew begins anew.
    if (before !== null && sums.requests >= before.requests) {
      const added = sums.hist.map((n, i) => Math.max(0, n - before.hist[i]!));
      values[0] = (sums.requests - before.requests) / seconds;
      values[1] = Math.max(0, sums.errors - before.errors) / seconds;
      values[2] = quantileOf(added, 0.5) ?? NaN;
      values[3] = quantileOf(added, 0.95) ?? NaN;
      this.weight = this.weight * 0.99 + values[0];
    }
    for (const [i, ring] of this.#rings.entries()) ring[at] = values[i]!;
  }

  /** @param order places in the rings, oldest first */
  show(order: readonly number[]): PastSeries {
    const [rps, errors, p50, p95] = this.#rings.map((ring) => order.map((at) => short(ring[at]!)));
    return { rps: rps!, errors: errors!, p50: p50!, p95: p95! };
  }
}

export class Past {
  readonly #view: AdminView;
  readonly #moments = new Float64Array(MOMENTS);
  #count = 0;
  #all = new Track();
  readonly #connections = new Float32Array(MOMENTS);
  readonly #cpu = new Float32Array(MOMENTS);
  #cpuBefore = 0;
  #groups = new Map<string, Track>();
  #timer: NodeJS.Timeout | null = null;
  /** What is being noted; null: nothing. */
  #noting: object | null = null;

  constructor(view: AdminView) {
    this.#view = view;
  }

  /** Begins, or goes on, to remember. */
  start(): void {
    if (this.#timer !== null) return;
    this.#note();
    this.#timer = setInterval(() => this.#note(), FRAME_MS);
    this.#timer.unref();
  }

  /** Stops, and forgets. */
  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#noting = null;
    this.#count = 0;
    this.#cpuBefore = 0;
    this.#all = new Track();
    this.#groups.clear();
  }

  /** In slices: there may be thousands of groups. */
  #note(): void {
    if (this.#noting !== null) return;
    const noting = (this.#noting = {});
    const goOn = (): boolean => this.#noting === noting;
    void runSliced(this.#steps(), goOn).finally(() => {
      if (goOn()) this.#noting = null;
    });
  }

  *#steps(): Generator<void, void> {
    const at = this.#count % MOMENTS;
    const now = Date.now() / 1000;
    const last = this.#count === 0 ? now - 1 : this.#moments[(this.#count - 1) % MOMENTS]!;
    const seconds = Math.max(0.1, now - last);
    const all: GroupSums = { requests: 0, errors: 0, hist: Array.from({ length: BUCKETS }, () => 0) };
    const seen = new Map<string, Track>();
    for (const [door, groups] of [
      ['http', this.#view.groups],
      ['stream', this.#view.streamGroups],
    ] as const) {
      for (const name of groups.names()) {
        yield;
        const key = `${door} ${name}`;
        // after a reload it may be gone
        const sums = groups.get(name)?.sums();
        if (sums === undefined) continue;
        const track = this.#groups.get(key) ?? new Track();
        track.note(at, sums, seconds);
        seen.set(key, track);
        if (door === 'stream') continue;
        all.requests += sums.requests;
        all.errors += sums.errors;
        for (let i = 0; i < BUCKETS; i++) all.hist[i]! += sums.hist[i]!;
      }
    }
    this.#moments[at] = now;
    this.#count++;
    this.#groups = seen;
    this.#all.note(at, all, seconds);
    this.#connections[at] = totalsOf(this.#view.generation().data.traffic).active;
    const { user, system } = process.cpuUsage();
    this.#cpu[at] = this.#cpuBefore === 0 ? NaN : (user + system - this.#cpuBefore) / 1e6 / seconds;
    this.#cpuBefore = user + system;
  }

  /** Null: nothing is remembered. */
  frame(): PastFrame | null {
    if (this.#timer === null || this.#count === 0) return null;
    // the oldest one is being written over
    const kept = this.#noting === null ? MOMENTS : MOMENTS - 1;
    const from = Math.max(0, this.#count - kept);
    const order = Array.from({ length: this.#count - from }, (_, i) => (from + i) % MOMENTS);
    const told = [...this.#groups].sort(([, a], [, b]) => b.weight - a.weight).slice(0, MOST_GROUPS);
    return {
      moments: order.map((at) => Math.round(this.#moments[at]! * 10) / 10),
      all: this.#all.show(order),
      connections: order.map((at) => short(this.#connections[at]!)),
      cpu: order.map((at) => (Number.isNaN(this.#cpu[at]!) ? null : Math.round(this.#cpu[at]! * 100) / 100)),
      groups: Object.fromEntries(told.map(([key, track]) => [key, track.show(order)])),
    };
  }
}
