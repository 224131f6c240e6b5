/**
 * The memory of a keys zone: one `SharedArrayBuffer`, a node for each key that was asked for of late. Nodes are found by
 * hash chains and stand in a list by last use. `KeysMemory` is a thread's view of it and holds no state of its own.
 */
import { COUNTERS } from './counts.ts';
import { NIL, dequeue, enqueue } from '../shared/lru.ts';
import { Buffer } from 'node:buffer';
import { Carver, MEASURE } from '../shared/carver.ts';
import { chainsFor, linkDigest, putFree, takeFree, unlinkDigest, writeDigest } from '../shared/chains.ts';
import type { Lockable } from '../shared/lock.ts';

const MAGIC = 0x48724331; // 'HrC1'

/** Words of the header; 3, 4, 5 and 12 belong to the lock. */
export const W = {
  magic: 0,
  capacity: 1,
  rows: 2,
  used: 6,
  free: 7,
  newest: 8,
  oldest: 9,
  /** Numbers for versions of files and for tickets of updates; never 0, never the same twice within 4 billion. */
  counter: 10,
  /** Not all files on disk are known yet: a key that is not here may still have one. */
  cold: 11,
  /** The manager frees nodes while there are more; 0: there was room for all so far. */
  watermark: 13,
  words: 16,
} as const;

export { NIL };
/** Bytes of a key: an MD5 sum. */
export const KEY_BYTES = 16;

/** nginx's: about 8,000 keys a megabyte, less what a zone needs for itself. */
const ZONE_BYTES_PER_KEY = 128;
const ZONE_BYTES_OF_ITS_OWN = 8192;

export class KeysMemory implements Lockable {
  readonly head: Int32Array;
  readonly alive: Int32Array;
  readonly capacity: number;
  /** Blocks on disk in all. */
  readonly total: Float64Array;
  /** Milliseconds (wall clock) until which an update keeps others waiting. */
  readonly lockUntil: Float64Array;
  /** By row: `COUNTERS` numbers. */
  readonly counters: Float64Array;
  readonly chains: Int32Array;
  /** Four words of MD5 a node. */
  readonly keys: Int32Array;
  readonly chainNext: Int32Array;
  readonly newer: Int32Array;
  readonly older: Int32Array;
  /** 0: the node is free. */
  readonly uses: Int32Array;
  /** Of the file that a key has; 0: none. */
  readonly version: Int32Array;
  /** Ticket of the request that updates the file; 0: nobody does. */
  readonly updating: Int32Array;
  /** Row of the thread whose request that is. */
  readonly owner: Int32Array;
  readonly blocks: Int32Array;
  /** A status that is remembered without a file (`proxy_cache_valid 502`); 0: none. */
  readonly error: Int32Array;
  /** Seconds since the epoch: until when it holds. */
  readonly errorUntil: Uint32Array;
  /** Seconds since the epoch of the last use. */
  readonly accessed: Uint32Array;
  /** Bytes of all of it. */
  readonly size: number;

  constructor(buffer: SharedArrayBuffer, { capacity: n, rows } = dimensionsOf(buffer)) {
    const c = new Carver(buffer);
    this.head = c.int32(W.words);
    this.capacity = n;
    this.total = c.float64(1);
    this.lockUntil = c.float64(n);
    this.counters = c.float64(rows * COUNTERS);
    this.alive = c.int32(rows);
    this.chains = c.int32(chainsFor(n));
    this.keys = c.int32(n * 4);
    this.chainNext = c.int32(n);
    this.newer = c.int32(n);
    this.older = c.int32(n);
    this.uses = c.int32(n);
    this.version = c.int32(n);
    this.updating = c.int32(n);
    this.owner = c.int32(n);
    this.blocks = c.int32(n);
    this.error = c.int32(n);
    this.errorUntil = c.uint32(n);
    this.accessed = c.uint32(n);
    this.size = c.size;
  }
}

/** What the header of a zone says. */
function dimensionsOf(buffer: SharedArrayBuffer): { capacity: number; rows: number } {
  const head = new Int32Array(buffer, 0, W.words);
  if (head[W.magic] !== MAGIC) throw new TypeError('not a keys zone');
  return { capacity: head[W.capacity]!, rows: head[W.rows]! };
}

/** How many keys a zone of so many bytes holds. */
export function capacityOf(zoneSize: number): number {
  return Math.max(1, Math.floor((zoneSize - ZONE_BYTES_OF_ITS_OWN) / ZONE_BYTES_PER_KEY));
}

/** Makes an empty zone. @param zoneSize bytes, as configured */
export function createKeysZone(zoneSize: number, maxWorkers = 32): SharedArrayBuffer {
  const dimensions = { capacity: capacityOf(zoneSize), rows: maxWorkers + 1 };
  const buffer = new SharedArrayBuffer(new KeysMemory(MEASURE, dimensions).size);
  const m = new KeysMemory(buffer, dimensions);
  const { head, capacity } = m;
  head[W.magic] = MAGIC;
  head[W.capacity] = capacity;
  head[W.rows] = dimensions.rows;
  head[W.cold] = 1;
  m.chains.fill(NIL);
  head[W.newest] = NIL;
  head[W.oldest] = NIL;
  head[W.free] = NIL;
  for (let node = capacity - 1; node >= 0; node--) putFree(m, W, node);
  return buffer;
}

// --------------------------------------------------------------------------------- nodes, with the lock held

export function keyOfNode(m: KeysMemory, node: number): Buffer {
  const key = Buffer.allocUnsafe(KEY_BYTES);
  for (let i = 0; i < 4; i++) key.writeInt32LE(m.keys[node * 4 + i]!, i * 4);
  return key;
}

/** Takes a free node for a key; `NIL` when there is none. */
export function insertNode(m: KeysMemory, key: Buffer): number {
  const node = takeFree(m, W);
  if (node === NIL) return NIL;
  writeDigest(m, node, key);
  m.uses[node] = 1;
  m.updating[node] = 0;
  m.blocks[node] = 0;
  m.error[node] = 0;
  m.lockUntil[node] = 0;
  linkDigest(m, node);
  enqueue(m, W, node);
  return node;
}

export function removeNode(m: KeysMemory, node: number): void {
  unlinkDigest(m, node);
  dequeue(m, W, node);
  setBlocks(m, node, 0);
  discard(m, node);
  m.head[W.used] = m.head[W.used]! - 1;
}

/** The node was used: it is the newest now. */
export function refreshNode(m: KeysMemory, node: number, nowSec: number): void {
  m.accessed[node] = nowSec;
  if (m.head[W.newest] === node) return;
  dequeue(m, W, node);
  enqueue(m, W, node);
}

/** Notes how much a key's file takes on disk. */
export function setBlocks(m: KeysMemory, node: number, blocks: number): void {
  m.total[0] = m.total[0]! + blocks - m.blocks[node]!;
  m.blocks[node] = blocks;
}

/** A number that no version and no ticket has. */
export function nextNumber(m: KeysMemory): number {
  const next = (m.head[W.counter]! + 1) | 0;
  return (m.head[W.counter] = next === 0 ? 1 : next);
}

function discard(m: KeysMemory, node: number): void {
  m.uses[node] = 0;
  m.updating[node] = 0;
  Atomics.store(m.version, node, 0);
  putFree(m, W, node);
}

/** Chains, lists and sums anew, from the nodes: whoever held the lock has died in the middle of a change. */
export function rebuild(m: KeysMemory): void {
  const used: number[] = [];
  m.chains.fill(NIL);
  m.head[W.newest] = NIL;
  m.head[W.oldest] = NIL;
  m.head[W.free] = NIL;
  m.total[0] = 0;
  for (let node = m.capacity - 1; node >= 0; node--) {
    if (m.uses[node]! > 0) used.push(node);
    else discard(m, node);
  }
  used.sort((x, y) => m.accessed[x]! - m.accessed[y]!);
  for (const node of used) {
    linkDigest(m, node);
    enqueue(m, W, node);
    m.total[0] += m.blocks[node]!;
  }
  m.head[W.used] = used.length;
}
