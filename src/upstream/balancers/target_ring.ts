/**
 * Consistent hashing as Kong's `consistent-hashing` promises it: the same ring on every node whatever order the targets were
 * made in, shares by weight, and when a target comes or goes no key moves that does not have to.
 *
 * Each peer owns points by its share of the total weight, 160 for each peer on average. Which points those are depends on its
 * address alone: a share that grows or shrinks adds or takes the last of them. Kong places points in `slots` places and has to
 * look for free ones; here they lie in the whole range of the hash, so that nothing is ever too small.
 */
import type { Attempt } from '../attempt.ts';
import { crc32 } from '../crc32.ts';
import type { Selection } from '../selection.ts';
import type { SharedLock } from '../../shared/lock.ts';
import { PRIMARY } from '../table/layout.ts';
import { type Balancer, NONE } from './balancer.ts';
import { findPoint } from './ring.ts';

/** Points of a peer with an average weight: the standard deviation of shares is some 8 %. */
const POINTS = 160;
/** Points that are looked at before it is asked who is there at all. */
const NEAR = 32;

interface Member {
  slot: number;
  key: string;
  weight: number;
}

export interface TargetRing {
  /** Ascending. */
  points: Uint32Array;
  /** Slot that owns a point. */
  owner: Uint32Array;
}

/** Spreads what CRC leaves close together (the finalizer of MurmurHash3). */
export function mix(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

export function buildTargetRing(members: readonly Member[]): TargetRing {
  const sorted = members.toSorted((a, b) => (a.key < b.key ? -1 : Number(a.key > b.key)) || a.slot - b.slot);
  const total = sorted.reduce((sum, { weight }) => sum + weight, 0);
  const counts = sorted.map(({ weight }) => Math.max(1, Math.round((weight / total) * sorted.length * POINTS)));
  const size = counts.reduce((sum, count) => sum + count, 0);
  // hash and rank in one number of 53 bits: one native sort, and equal points are in the order of keys on every node
  const scale = 2 ** 21;
  const keys = new Float64Array(size);
  let n = 0;
  sorted.forEach(({ key }, rank) => {
    const base = crc32(key);
    for (let i = 0; i < counts[rank]!; i++) keys[n++] = mix(base + Math.imul(i + 1, 0x9e3779b1)) * scale + rank;
  });
  keys.sort();
  const points = new Uint32Array(size);
  const owner = new Uint32Array(size);
  for (let k = 0; k < size; k++) {
    const point = Math.floor(keys[k]! / scale);
    points[k] = point;
    owner[k] = sorted[keys[k]! - point * scale]!.slot;
  }
  return { points, owner };
}

/** Index of the first point at or after a hash, around the end of the range. */
export function pointAfter(ring: TargetRing, hash: number): number {
  const at = findPoint(ring, hash);
  return at === ring.points.length ? 0 : at;
}

export class TargetRingBalancer implements Balancer {
  readonly choosesBackup = false;
  readonly inflight = false;
  private built: { version: number; members: string; ring: TargetRing } | null = null;

  /** Who brings no key is spread as round robin does. */
  defers(s: Selection, a: Attempt): boolean {
    return s.single || a.hashKey === '';
  }

  prepare(s: Selection, lock: SharedLock): void {
    if (this.built?.version === s.version) return;
    lock.enter();
    let members: Member[];
    const { version } = s;
    try {
      members = membersOf(s);
    } finally {
      lock.leave();
    }
    this.build(version, members);
  }

  /** Peers that became healthy or unhealthy leave the ring as it is. */
  private build(version: number, members: Member[]): void {
    const text = JSON.stringify(members);
    const ring = this.built?.members === text ? this.built.ring : buildTargetRing(members);
    this.built = { version, members: text, ring };
  }

  select(s: Selection, a: Attempt, list: number): number {
    if (list !== PRIMARY || s.count(list) === 0) return NONE;
    // a change between `prepare` and the lock: rare enough to build here
    if (this.built?.version !== s.version) this.build(s.version, membersOf(s));
    const { ring } = this.built!;
    const size = ring.points.length;
    if (size === 0) return NONE;
    const start = pointAfter(ring, mix(crc32(a.hashKey)));
    for (let i = 0; i < size; i++) {
      const slot = ring.owner[(start + i) % size]!;
      if (s.usable(a, slot)) return slot;
      if (i === NEAR && !anybody(s, a, list)) return NONE;
    }
    return NONE;
  }
}

function anybody(s: Selection, a: Attempt, list: number): boolean {
  for (let i = 0; i < s.count(list); i++) if (s.usable(a, s.at(list, i))) return true;
  return false;
}

/** Peers that drain own no points. */
function membersOf(s: Selection): Member[] {
  const members: Member[] = [];
  for (let i = 0; i < s.count(PRIMARY); i++) {
    const slot = s.at(PRIMARY, i);
    if (s.draining(slot)) continue;
    members.push({ slot, key: s.info(slot).address, weight: s.t.weight[slot]! });
  }
  return members;
}
