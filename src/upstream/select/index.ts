/**
 * The selection index: picks without scanning, with exactly the sequence of a scan.
 *
 * Smooth weighted round robin (spec 2.2) steps over all eligible peers; least_conn (2.9) over those that are tied at
 * the least conns / weight, least_time likewise by estimated time. All are "a step over a set of buckets": each bucket
 * gains in O(1), the roots are compared, the chosen one pays the total. A step costs one comparison per distinct weight
 * and O(log n) for the heap.
 *
 * - Who is eligible is kept up by events: a peer at max_conns, down or blocked leaves with its current weight, and
 *   comes back to its place. The blocked come back by time (`wake.ts`).
 * - A peer whose effective weight is below its weight, or in slow start, gains a different amount at every step: it
 *   stays apart (`LOOSE`) and is stepped one by one until it has recovered.
 * - Peers that a request has tried already are taken out for its step and put back.
 *
 * The index lies in shared memory beside the peers and is guarded by the group's lock. It is derived: `rebuild` makes
 * it from the plain values after a change of membership or of weights, or after a thread died while holding the lock.
 */
import { estimate, estimateChanges } from '../table/estimate.ts';
import { BACKUP, F, H, LIVE, PRIMARY, type Table } from '../table/layout.ts';
import { blocked, eligible } from '../table/rules.ts';
import { slowShare } from '../table/slow-start.ts';
import {
  bucketAt,
  bucketWeight,
  chargeInBucket,
  clearBuckets,
  enterBucket,
  leaveBucket,
  LOOSE,
  OUT,
  tick,
} from './buckets.ts';
import { NIL } from './heap.ts';
import { clearWake, due, schedule, unschedule } from './wake.ts';

/** What the buckets of an index are kept by: the load that least_conn and least_time divide by the weight. */
export const BY_NOTHING = 1;
export const BY_CONNS = 2;
export const BY_HEADER_TIME = 3;
export const BY_CONNECT_TIME = 4;
export const BY_RESPONSE_TIME = 5;
export type IndexKind = 1 | 2 | 3 | 4 | 5;

export class SelectionIndex {
  /** What the step in hand costs the chosen peer. */
  total = 0;
  /** The group's milliseconds, for peers in slow start. */
  nowMs = 0;
  private readonly t: Table;
  private best = NIL;
  private bestValue = 0;

  constructor(table: Table) {
    this.t = table;
  }

  /**
   * Makes the index fit for use at this second: rebuilt if stale or of another kind (two configurations may share a
   * table while one follows the other), blocked peers whose time has come back in.
   */
  ready(now: number, kind: IndexKind): void {
    const head = this.t.head;
    if (head[H.indexStale] !== 0 || head[H.indexKind] !== kind) this.rebuild(now, kind);
    else if (head[H.wakeCount] !== 0) this.wake(now);
  }

  private wake(now: number): void {
    for (let slot = due(this.t, now); slot !== NIL; slot = due(this.t, now)) this.moved(slot, now);
  }

  /** Builds everything anew from the plain values. O(n log n). */
  rebuild(now: number, kind: IndexKind): void {
    const t = this.t;
    plain(t);
    t.head[H.indexKind] = kind;
    clearBuckets(t);
    clearWake(t);
    let classes = 0;
    for (const list of [PRIMARY, BACKUP]) {
      const byWeight = new Map<number, number>();
      t.head[H.loose + list] = NIL;
      const from = list * t.capacity;
      const count = t.head[H.count + list]!;
      for (let i = 0; i < count; i++) {
        const slot = t.order[from + i]!;
        const weight = t.weight[slot]!;
        let cls = byWeight.get(weight);
        if (cls === undefined) {
          cls = classes++;
          byWeight.set(weight, cls);
          t.classWeight[cls] = weight;
          t.classFirst[cls] = NIL;
        }
        t.classOf[slot] = cls;
      }
      t.head[H.classes + list] = classes;
      for (let i = 0; i < count; i++) this.attach(t.order[from + i]!, now);
    }
    t.head[H.indexStale] = 0;
  }

  /** Call after anything about a live peer changed that a choice looks at: conns, fails, checked, effective, down. */
  moved(slot: number, now: number): void {
    const t = this.t;
    if (t.head[H.indexStale] !== 0) return;
    const at = t.where[slot]!;
    if (at < 0) {
      if (at === LOOSE) this.leaveLoose(slot);
      this.attach(slot, now);
      return;
    }
    if (t.effective[slot] !== t.weight[slot] || !eligible(t, slot, now)) {
      leaveBucket(t, slot);
      this.attach(slot, now);
      return;
    }
    const level = this.level(slot, now);
    if (t.head[H.indexKind]! > BY_CONNS) this.watch(slot, now);
    if (t.bucketLoad[at] === level) return;
    const target = bucketAt(t, t.bucketClass[at]!, level, at);
    leaveBucket(t, slot);
    enterBucket(t, slot, target);
  }

  /** Takes a peer out, its `current` plain again. Nothing happens when it is out. */
  detach(slot: number): void {
    const t = this.t;
    const at = t.where[slot]!;
    if (at >= 0) leaveBucket(t, slot);
    else if (at === LOOSE) this.leaveLoose(slot);
  }

  /** Puts a peer that is out to its place, if it is eligible. */
  attach(slot: number, now: number): void {
    const t = this.t;
    if (t.state[slot] !== LIVE) return;
    if (!eligible(t, slot, now)) {
      if (blocked(t, slot, now)) schedule(t, slot, t.checked[slot]! + t.failTimeout[slot]! + 1);
      else unschedule(t, slot);
      return;
    }
    this.watch(slot, now);
    if (t.effective[slot] !== t.weight[slot] || slowShare(t, slot, this.nowMs) < 1) this.enterLoose(slot);
    else enterBucket(t, slot, bucketAt(t, t.classOf[slot]!, this.level(slot, now), NIL));
  }

  /** One step of smooth weighted round robin over every peer in the index. Returns the first of it, or -1. */
  stepAll(list: number, now: number): number {
    const t = this.t;
    const end = t.head[H.classes + list]!;
    this.begin();
    for (let cls = this.firstClass(list); cls < end; cls++) {
      const bucket = t.classFirst[cls]!;
      if (bucket !== NIL) this.step(bucket);
    }
    for (let slot = t.head[H.loose + list]!, after; slot !== NIL; slot = after) {
      after = t.next[slot]!;
      this.stepLoose(slot, now);
    }
    return this.best;
  }

  /**
   * The peer with the least load / weight; among several the one that a step over these gives. Returns it, or -1.
   * As in nginx, one that stands alone takes no step.
   */
  stepLeast(list: number, now: number): number {
    const t = this.t;
    const start = this.firstClass(list);
    const end = t.head[H.classes + list]!;
    const loose = t.head[H.loose + list]!;
    let load = -1;
    let weight = 1;
    let tied = 0;
    let alone = NIL;
    for (let cls = start; cls < end; cls++) {
      const bucket = t.classFirst[cls]!;
      if (bucket === NIL) continue;
      const c = t.bucketLoad[bucket]!;
      const w = t.classWeight[cls]!;
      const less = load < 0 ? -1 : c * weight - load * w;
      if (less > 0) continue;
      if (less < 0) {
        load = c;
        weight = w;
        tied = 0;
        alone = t.bucketRoot[bucket]!;
      }
      tied += t.bucketCount[bucket]!;
    }
    for (let slot = loose; slot !== NIL; slot = t.next[slot]!) {
      const c = this.looseLevel(slot, now);
      const less = load < 0 ? -1 : c * weight - load * t.weight[slot]!;
      if (less > 0) continue;
      if (less < 0) {
        load = c;
        weight = t.weight[slot]!;
        tied = 0;
        alone = slot;
      }
      tied++;
    }
    this.begin();
    if (tied < 2) return alone;
    for (let cls = start; cls < end; cls++) {
      const bucket = t.classFirst[cls]!;
      if (bucket !== NIL && t.bucketLoad[bucket]! * weight === load * t.classWeight[cls]!) this.step(bucket);
    }
    for (let slot = loose, after; slot !== NIL; slot = after) {
      after = t.next[slot]!;
      if (this.looseLevel(slot, now) * weight === load * t.weight[slot]!) this.stepLoose(slot, now);
    }
    return this.best;
  }

  /** The chosen peer pays the total of the step. */
  charge(slot: number): void {
    const t = this.t;
    let { total } = this;
    if (total === 0) return;
    const owed = F.owed + t.list[slot]!;
    if (t.headF[owed] !== 0) {
      total -= t.headF[owed]!;
      t.headF[owed] = 0;
    }
    if (t.where[slot]! >= 0) chargeInBucket(t, slot, total);
    else t.current[slot] = t.current[slot]! - total;
  }

  /** Which bucket of its class a peer belongs to. */
  private level(slot: number, now: number): number {
    const kind = this.t.head[H.indexKind]!;
    if (kind === BY_NOTHING) return 0;
    return kind === BY_CONNS ? this.t.conns[slot]! : estimate(this.t, slot, now, this.times(kind));
  }

  /** The same for a peer that may be in slow start: its connections weigh more. */
  private looseLevel(slot: number, now: number): number {
    const { t } = this;
    const share = slowShare(t, slot, this.nowMs);
    const kind = t.head[H.indexKind]!;
    if (share === 1 || kind === BY_NOTHING) return this.level(slot, now);
    const conns = t.conns[slot]! / share;
    return kind === BY_CONNS ? conns : estimate(t, slot, now, this.times(kind), conns);
  }

  private times(kind: number): Float64Array {
    const { t } = this;
    return kind === BY_HEADER_TIME ? t.headerTime : kind === BY_CONNECT_TIME ? t.connectTime : t.responseTime;
  }

  /** When an eligible peer is to be looked at again though nothing happens to it. */
  private watch(slot: number, now: number): void {
    const kind = this.t.head[H.indexKind]!;
    const second = kind <= BY_CONNS ? 0 : estimateChanges(this.t, slot, now, this.times(kind));
    if (second === 0) unschedule(this.t, slot);
    else schedule(this.t, slot, second);
  }

  private firstClass(list: number): number {
    return list === PRIMARY ? 0 : this.t.head[H.classes + PRIMARY]!;
  }

  private begin(): void {
    this.total = 0;
    this.best = NIL;
  }

  private step(bucket: number): void {
    const t = this.t;
    this.total += tick(t, bucket);
    const root = t.bucketRoot[bucket]!;
    this.consider(root, t.current[root]! + t.bucketClock[bucket]! * bucketWeight(t, bucket));
  }

  private stepLoose(slot: number, now: number): void {
    const t = this.t;
    const share = slowShare(t, slot, this.nowMs);
    const effective = t.effective[slot]!;
    const gain = effective * share;
    const value = t.current[slot]! + gain;
    t.current[slot] = value;
    this.total += gain;
    this.consider(slot, value);
    const weight = t.weight[slot]!;
    const recovered = Math.min(weight, effective + 1);
    t.effective[slot] = recovered;
    if (recovered < weight || share < 1) return;
    this.leaveLoose(slot);
    enterBucket(t, slot, bucketAt(t, t.classOf[slot]!, this.level(slot, now), NIL));
  }

  private consider(slot: number, value: number): void {
    const best = this.best;
    if (best !== NIL) {
      if (value < this.bestValue) return;
      if (value === this.bestValue && this.t.pos[slot]! > this.t.pos[best]!) return;
    }
    this.best = slot;
    this.bestValue = value;
  }

  private enterLoose(slot: number): void {
    const t = this.t;
    const head = H.loose + t.list[slot]!;
    const first = t.head[head]!;
    t.where[slot] = LOOSE;
    t.prev[slot] = NIL;
    t.next[slot] = first;
    if (first !== NIL) t.prev[first] = slot;
    t.head[head] = slot;
  }

  private leaveLoose(slot: number): void {
    const t = this.t;
    const before = t.prev[slot]!;
    const after = t.next[slot]!;
    if (before === NIL) t.head[H.loose + t.list[slot]!] = after;
    else t.next[before] = after;
    if (after !== NIL) t.prev[after] = before;
    t.where[slot] = OUT;
  }
}

/** The current weight of a peer, wherever it is. */
export function currentOf(t: Table, slot: number): number {
  const at = t.where[slot]!;
  const value = t.current[slot]!;
  return (at >= 0 ? value + t.bucketClock[at]! * bucketWeight(t, at) : value) + 0;
}

/** Makes all current weights plain and leaves no index: for what works on the plain values. O(n). */
export function plain(t: Table): void {
  for (let slot = 0; slot < t.capacity; slot++) {
    if (t.where[slot] === OUT) continue;
    t.current[slot] = currentOf(t, slot);
    t.where[slot] = OUT;
  }
  t.head[H.indexKind] = 0;
  t.head[H.indexStale] = 1;
}
