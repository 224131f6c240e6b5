/** What is known of the proxy: frames come in, rates and recent pasts come out. Knows no page. */
import { BUCKET_BOUNDS, P, quantileOf, STATES } from '../../src/admin/dashboard/frame.ts';
import type {
  CountedFrame,
  Frame,
  GroupFrame,
  GroupInfo,
  NodeFrame,
  PastFrame,
  PastSeries,
  PeerFrame,
  PeerInfo,
  ProcessFrame,
  WorkerFrame,
  Write,
  ZoneFrame,
} from '../../src/admin/dashboard/frame.ts';
import { blank, PAST, push, recent, type Series } from './series.ts';

export type PeerState = (typeof STATES)[number];

/** Numbers are shown as the mean of so many seconds. */
const CALM = 3;
/** Quantiles of so many seconds. */
const WINDOW = 10;
const BUCKETS = BUCKET_BOUNDS.length + 1;

/** Growth of a counter; one that went back was made anew. */
const grown = (now: number, before: number): number => (now >= before ? now - before : now);

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
    const sums = Array.from({ length: BUCKETS }, (_, i) => this.#window.reduce((sum, added) => sum + added[i]!, 0));
    return quantileOf(sums, q);
  }
}

export class Peer {
  info: PeerInfo;
  frame: PeerFrame;
  #before: PeerFrame;
  readonly rps: Series;
  readonly errors: Series;
  readonly traffic: Series;
  /** Mean response time of each second. */
  readonly ms: Series;

  constructor(info: PeerInfo, frame: PeerFrame, past: number) {
    this.info = info;
    this.frame = frame;
    this.#before = frame;
    this.rps = blank(past);
    this.errors = blank(past);
    this.traffic = blank(past);
    this.ms = blank(past);
  }

  get id(): number {
    return this.info.id;
  }

  get state(): PeerState {
    return STATES[this.frame[P.state]!]!;
  }

  get(what: Exclude<keyof typeof P, 'hist'>): number {
    return this.frame[P[what]]!;
  }

  /** Answers of a class, 1 to 5. */
  answers(digit: number): number {
    return this.frame[P.responses + digit - 1]!;
  }

  get hist(): number[] {
    return this.frame.slice(P.hist);
  }

  get histCount(): number {
    return this.hist.reduce((sum, n) => sum + n, 0);
  }

  /** @param seconds since the last one; 0: this is the first one */
  tick(seconds: number): void {
    const before = this.#before;
    const { frame } = this;
    this.#before = frame;
    if (seconds <= 0) return;
    const growth = (i: number): number => grown(frame[i]!, before[i]!);
    push(this.rps, growth(P.requests) / seconds);
    push(this.errors, growth(P.responses + 4) / seconds);
    push(this.traffic, (growth(P.sent) + growth(P.received)) / seconds);
    let answers = 0;
    for (let i = P.hist; i < frame.length; i++) answers += growth(i);
    push(this.ms, answers === 0 ? null : growth(P.timeMs) / answers);
  }
}

export class Group {
  readonly key: string;
  info: GroupInfo;
  peers: Peer[] = [];
  queue: [size: number, overflows: number] = [0, 0];
  zombies = 0;
  readonly rps: Series;
  readonly errors: Series;
  readonly overflows: Series;
  readonly times: Times;
  #started = false;
  #overflowsBefore = 0;

  constructor(key: string, info: GroupInfo, past: number) {
    this.key = key;
    this.info = info;
    this.rps = blank(past);
    this.errors = blank(past);
    this.overflows = blank(past);
    this.times = new Times(past);
  }

  /** @param known as long as the others are */
  remember(known: PastSeries): void {
    const length = this.rps.length;
    fill(this.rps, known.rps, length);
    fill(this.errors, known.errors, length);
    fill(this.times.p50, known.p50, length);
    fill(this.times.p95, known.p95, length);
  }

  get active(): number {
    return this.peers.reduce((sum, peer) => sum + peer.get('active'), 0);
  }

  take({ info, data }: GroupFrame, past: number): void {
    if (info !== undefined) this.info = info;
    if (data !== undefined) {
      this.queue = data.queue;
      this.zombies = data.zombies;
    }
    if (info === undefined && data === undefined) return;
    const known = new Map(this.peers.map((peer) => [peer.id, peer]));
    const frames = new Map(data?.peers.map((frame) => [frame[P.id]!, frame]));
    this.peers = this.info.peers.flatMap((one) => {
      const peer = known.get(one.id);
      const frame = frames.get(one.id) ?? peer?.frame;
      if (frame === undefined) return [];
      // Numbers are given again: another address is another server.
      if (peer === undefined || peer.info.address !== one.address) return [new Peer(one, frame, past)];
      peer.info = one;
      peer.frame = frame;
      return [peer];
    });
  }

  tick(seconds: number): void {
    const hist = Array.from({ length: BUCKETS }, (_, i) =>
      this.peers.reduce((sum, { frame }) => sum + frame[P.hist + i]!, 0),
    );
    for (const peer of this.peers) peer.tick(seconds);
    const sum = (pick: (peer: Peer) => Series): number =>
      this.peers.reduce((total, peer) => total + (pick(peer).at(-1) ?? 0), 0);
    if (this.#started && seconds > 0) {
      push(
        this.rps,
        sum((peer) => peer.rps),
      );
      push(
        this.errors,
        sum((peer) => peer.errors),
      );
      push(this.overflows, grown(this.queue[1], this.#overflowsBefore) / seconds);
      this.times.note(hist);
    } else {
      if (seconds > 0) for (const series of [this.rps, this.errors, this.overflows]) push(series, null);
      this.times.start(hist, seconds > 0);
    }
    this.#overflowsBefore = this.queue[1];
    this.#started = true;
  }
}

export class Zone {
  frame: ZoneFrame;
  #before: ZoneFrame;
  readonly rps: Series;
  readonly received: Series;
  readonly sent: Series;
  /** By class, 1xx first. */
  readonly classes: Series[];
  readonly times: Times;
  #started = false;

  constructor(frame: ZoneFrame, past: number) {
    this.frame = frame;
    this.#before = frame;
    this.rps = blank(past);
    this.received = blank(past);
    this.sent = blank(past);
    this.classes = frame.responses.map(() => blank(past));
    this.times = new Times(past);
  }

  tick(seconds: number): void {
    const { frame } = this;
    const before = this.#before;
    this.#before = frame;
    if (this.#started && seconds > 0) {
      push(this.rps, grown(frame.requests, before.requests) / seconds);
      push(this.received, grown(frame.received, before.received) / seconds);
      push(this.sent, grown(frame.sent, before.sent) / seconds);
      for (const [i, series] of this.classes.entries()) {
        push(series, grown(frame.responses[i]!, before.responses[i]!) / seconds);
      }
      this.times.note(frame.hist);
    } else {
      if (seconds > 0) for (const series of [this.rps, this.received, this.sent, ...this.classes]) push(series, null);
      this.times.start(frame.hist, seconds > 0);
    }
    this.#started = true;
  }
}

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

export class WorkerThread {
  frame: WorkerFrame;
  #before: WorkerFrame;
  readonly busy: Series = [];
  readonly rps: Series = [];

  constructor(frame: WorkerFrame) {
    this.frame = frame;
    this.#before = frame;
  }

  tick(seconds: number): void {
    const { frame } = this;
    const before = this.#before;
    this.#before = frame;
    if (seconds <= 0) return;
    const busy = grown(frame.busyMs, before.busyMs);
    const all = busy + grown(frame.idleMs, before.idleMs);
    push(this.busy, all === 0 ? 0 : busy / all);
    push(this.rps, grown(frame.requests, before.requests) / seconds);
  }
}

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
    const hist = Array.from({ length: BUCKETS }, (_, i) =>
      groups.reduce((sum, { peers }) => sum + peers.reduce((n, { frame }) => n + frame[P.hist + i]!, 0), 0),
    );
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

/** Puts values in, the newest last, nulls before them. */
function fill(series: Series, values: Series, length: number): void {
  series.length = 0;
  const known = values.slice(-length);
  for (let i = known.length; i < length; i++) series.push(null);
  series.push(...known);
}

/** The number to show for a rate. */
export function calm(series: Series): number {
  return recent(series, CALM) ?? 0;
}
