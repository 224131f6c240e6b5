/** What is known of the proxy: frames come in, rates and recent pasts come out. Knows no page. */
import type { Frame, NodeFrame, PastFrame, ProcessFrame, Write } from '../../src/admin/dashboard/frame.ts';
import { Counted } from './model/counted.ts';
import { Group } from './model/group.ts';
import { sumOf, Times } from './model/times.ts';
import { WorkerThread } from './model/worker.ts';
import { Zone } from './model/zone.ts';
import { fill, grown, PAST, push, type Series } from './series.ts';

export class Model {
  /** Null: nothing is known yet. */
  node: NodeFrame | null = null;
  write: Write | null = null;
  process: ProcessFrame | null = null;
  #processBefore: ProcessFrame | null = null;
  /** Of the newest frame, epoch milliseconds. */
  now = 0;
  /** Of each frame that is remembered, epoch seconds. */
  readonly moments: number[] = [];
  readonly groups = new Map<string, Group>();
  readonly zones = new Map<string, Zone>();
  readonly counted = new Map<string, Counted>();
  workers: WorkerThread[] = [];
  /** Over all. */
  readonly rps: Series = [];
  readonly connections: Series = [];
  readonly errors: Series = [];
  readonly p50: Series = [];
  readonly p95: Series = [];
  readonly cpu: Series = [];
  /** Workers that died since the page was opened. */
  respawned = 0;

  /** Times of all groups of http together. */
  #times = new Times(0);
  #timesStarted = false;

  take(frame: Frame): void {
    const { node } = frame;
    if (node !== undefined && this.node !== null && node.startedAt !== this.node.startedAt) this.#forget();
    if (frame.full === true) this.#begin(frame);
    const seconds = this.now === 0 ? 0 : (frame.now - this.now) / 1000;
    this.now = frame.now;
    const before = this.moments.length === 0 ? (frame.past ?? null) : null;
    if (before !== null) this.#remember(before);
    const past = this.moments.length;
    for (const one of frame.groups) {
      let group = this.groups.get(one.key);
      if (group === undefined && one.info !== undefined) {
        this.groups.set(one.key, (group = new Group(one.key, one.info, past)));
        const known = before?.groups[one.key];
        if (known !== undefined) group.remember(known);
      }
      group?.take(one, past);
    }
    for (const one of frame.zones) {
      const zone = this.zones.get(one.key);
      if (zone === undefined) this.zones.set(one.key, new Zone(one, past));
      else zone.frame = one;
    }
    for (const one of frame.counted) {
      const counted = this.counted.get(one.key);
      if (counted === undefined) this.counted.set(one.key, new Counted(one, past));
      else counted.frame = one;
    }
    this.workers = frame.workers.map((one) => {
      const worker = this.workers.find(({ frame: { number } }) => number === one.number);
      if (worker === undefined) return new WorkerThread(one);
      worker.frame = one;
      return worker;
    });
    this.process = frame.process;
    if (seconds > 0) {
      this.moments.push(frame.now / 1000);
      if (this.moments.length > PAST) this.moments.shift();
    }
    for (const group of this.groups.values()) group.tick(seconds);
    for (const zone of this.zones.values()) zone.tick(seconds);
    for (const one of this.counted.values()) one.tick(seconds);
    for (const worker of this.workers) worker.tick(seconds);
    this.#tick(frame.process, seconds);
  }

  /** What the server remembers from before. */
  #remember({ moments, all, connections, cpu }: PastFrame): void {
    for (const moment of moments.slice(-PAST)) this.moments.push(moment);
    const length = this.moments.length;
    fill(this.rps, all.rps, length);
    fill(this.errors, all.errors, length);
    fill(this.p50, all.p50, length);
    fill(this.p95, all.p95, length);
    fill(this.connections, connections, length);
    fill(this.cpu, cpu, length);
  }

  #tick(process: ProcessFrame, seconds: number): void {
    const groups = [...this.groups.values()].filter(({ info }) => info.door === 'http');
    const hist = sumOf(groups.map((group) => group.hist()));
    const before = this.#processBefore;
    this.#processBefore = process;
    if (seconds > 0 && before !== null && this.#timesStarted) {
      push(this.rps, grown(process.requests, before.requests) / seconds);
      push(this.connections, process.active + process.idle);
      push(
        this.errors,
        groups.reduce((sum, { errors }) => sum + (errors.at(-1) ?? 0), 0),
      );
      push(this.cpu, grown(process.cpuMs, before.cpuMs) / 1000 / seconds);
      this.#times.note(hist);
      push(this.p50, this.#times.p50.at(-1) ?? null);
      push(this.p95, this.#times.p95.at(-1) ?? null);
      this.respawned += grown(process.respawned, before.respawned);
      return;
    }
    this.#times.start(hist, false);
    this.#timesStarted = true;
  }

  /** A quantile of the last seconds over all groups of http. */
  over(q: number): number | null {
    return this.#times.over(q);
  }

  /** A full frame: what is not in it is gone. */
  #begin(frame: Frame): void {
    if (frame.node !== undefined) this.node = frame.node;
    this.write = frame.write ?? null;
    const groups = new Set(frame.groups.map(({ key }) => key));
    for (const key of this.groups.keys()) if (!groups.has(key)) this.groups.delete(key);
    const zones = new Set(frame.zones.map(({ key }) => key));
    for (const key of this.zones.keys()) if (!zones.has(key)) this.zones.delete(key);
    const counted = new Set(frame.counted.map(({ key }) => key));
    for (const key of this.counted.keys()) if (!counted.has(key)) this.counted.delete(key);
  }

  /** Another process: its counters are others. */
  #forget(): void {
    this.groups.clear();
    this.zones.clear();
    this.counted.clear();
    this.workers = [];
    this.#processBefore = null;
    this.#times = new Times(0);
    this.#timesStarted = false;
    this.now = 0;
    this.respawned = 0;
    for (const series of [this.rps, this.connections, this.errors, this.p50, this.p95, this.cpu]) series.length = 0;
    this.moments.length = 0;
  }
}
