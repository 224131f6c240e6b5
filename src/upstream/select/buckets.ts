/**
 * Buckets: the eligible peers of one weight class that stand at the same load: a number of
 * connections, an estimated time (all of them, under round robin), as a heap ordered by current weight.
 *
 * In a step of smooth weighted round robin every peer of a bucket gains the same weight, so their order stays as it is.
 * The bucket counts its steps (`bucketClock`) and `Table.current` of a peer inside holds its current weight less
 * clock * weight: a step over any number of peers is one addition, and entering or leaving restores the plain value.
 * Those keys are integers below 2^53, so nothing is lost.
 *
 * The buckets of a class form a list by load.
 */
import { H, type Table } from '../table/layout.ts';
import { cut, NIL, push } from './heap.ts';

/** `Table.where` of a peer that is in no bucket. */
export const OUT = -1;
/** ... that is eligible, with its effective weight in recovery: kept apart and stepped one by one. */
export const LOOSE = -2;

/** Steps after which the keys of a bucket are made plain again: clock * weight stays below 2^53 up to weight 2^29. */
const CLOCK_LIMIT = 2 ** 24;

/** Frees all buckets. */
export function clearBuckets(t: Table): void {
  const last = t.bucketNext.length - 1;
  for (let i = 0; i < last; i++) t.bucketNext[i] = i + 1;
  t.bucketNext[last] = NIL;
  t.head[H.bucketFree] = 0;
}

/** Weight of the peers of a bucket. */
export function bucketWeight(t: Table, bucket: number): number {
  return t.classWeight[t.bucketClass[bucket]!]!;
}

/** The bucket of a class at a load, made when there is none; searched from `near` (or NIL). */
export function bucketAt(t: Table, cls: number, load: number, near: number): number {
  const { bucketLoad, bucketNext, bucketPrev } = t;
  let at = near === NIL ? t.classFirst[cls]! : near;
  if (at === NIL) return insert(t, cls, load, NIL, NIL);
  while (bucketLoad[at]! > load && bucketPrev[at] !== NIL) at = bucketPrev[at]!;
  while (bucketLoad[at]! < load && bucketNext[at] !== NIL) at = bucketNext[at]!;
  const found = bucketLoad[at]!;
  if (found === load) return at;
  return found < load ? insert(t, cls, load, at, bucketNext[at]!) : insert(t, cls, load, bucketPrev[at]!, at);
}

function insert(t: Table, cls: number, load: number, before: number, after: number): number {
  const b = t.head[H.bucketFree]!;
  t.head[H.bucketFree] = t.bucketNext[b]!;
  t.bucketRoot[b] = NIL;
  t.bucketCount[b] = 0;
  t.bucketClock[b] = 0;
  t.bucketLoad[b] = load;
  t.bucketClass[b] = cls;
  t.bucketPrev[b] = before;
  t.bucketNext[b] = after;
  if (before === NIL) t.classFirst[cls] = b;
  else t.bucketNext[before] = b;
  if (after !== NIL) t.bucketPrev[after] = b;
  return b;
}

function drop(t: Table, b: number): void {
  const before = t.bucketPrev[b]!;
  const after = t.bucketNext[b]!;
  if (before === NIL) t.classFirst[t.bucketClass[b]!] = after;
  else t.bucketNext[before] = after;
  if (after !== NIL) t.bucketPrev[after] = before;
  t.bucketNext[b] = t.head[H.bucketFree]!;
  t.head[H.bucketFree] = b;
}

/** Puts a peer that is in no bucket into one. */
export function enterBucket(t: Table, slot: number, bucket: number): void {
  t.current[slot] = t.current[slot]! - t.bucketClock[bucket]! * bucketWeight(t, bucket);
  t.where[slot] = bucket;
  t.bucketRoot[bucket] = push(t, t.bucketRoot[bucket]!, slot);
  t.bucketCount[bucket] = t.bucketCount[bucket]! + 1;
}

/** Takes a peer out of its bucket; an empty bucket goes away. */
export function leaveBucket(t: Table, slot: number): void {
  const bucket = t.where[slot]!;
  t.bucketRoot[bucket] = cut(t, t.bucketRoot[bucket]!, slot);
  t.where[slot] = OUT;
  t.current[slot] = t.current[slot]! + t.bucketClock[bucket]! * bucketWeight(t, bucket);
  const left = t.bucketCount[bucket]! - 1;
  t.bucketCount[bucket] = left;
  if (left === 0) drop(t, bucket);
}

/** Every peer of the bucket gains its weight. Returns what they gained together. */
export function tick(t: Table, bucket: number): number {
  if (t.bucketClock[bucket]! >= CLOCK_LIMIT) rebase(t, bucket);
  t.bucketClock[bucket] = t.bucketClock[bucket]! + 1;
  return t.bucketCount[bucket]! * bucketWeight(t, bucket);
}

function rebase(t: Table, bucket: number): void {
  const gained = t.bucketClock[bucket]! * bucketWeight(t, bucket);
  for (let slot = 0; slot < t.capacity; slot++) {
    if (t.where[slot] === bucket) t.current[slot] = t.current[slot]! + gained;
  }
  t.bucketClock[bucket] = 0;
}

/** A peer of the bucket pays for having been taken. */
export function chargeInBucket(t: Table, slot: number, total: number): void {
  const bucket = t.where[slot]!;
  const root = t.bucketRoot[bucket]!;
  const rest = t.bucketCount[bucket] === 1 ? NIL : cut(t, root, slot);
  t.current[slot] = t.current[slot]! - total;
  t.bucketRoot[bucket] = push(t, rest, slot);
}
