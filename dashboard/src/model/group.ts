/** Groups and their servers. */
import { P, STATES } from '../../../src/admin/dashboard/frame.ts';
import type { GroupFrame, GroupInfo, PastSeries, PeerFrame, PeerInfo } from '../../../src/admin/dashboard/frame.ts';
import { blank, fill, grown, push, type Series } from '../series.ts';
import { sumOf, Times } from './times.ts';

export type PeerState = (typeof STATES)[number];

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

  /** Response times of all of it. */
  hist(): number[] {
    return sumOf(
      this.peers.map(({ frame }) => frame),
      P.hist,
    );
  }

  tick(seconds: number): void {
    const hist = this.hist();
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
