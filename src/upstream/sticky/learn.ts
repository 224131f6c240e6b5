/**
 * `sticky learn`: sessions and the peers that they are bound to (spec 2.8), in shared memory for all threads.
 *
 * A session is known by the MD5 of its id. Nodes of a fixed number are found by hash chains and stand in a list by last
 * use; a full table drops the least recently used. One lock; each operation is O(1).
 */
import { NIL, dequeue, enqueue } from '../../shared/lru.ts';
import { hash } from 'node:crypto';
import type { UpstreamConfig } from '../../config/model.ts';
import type { Clock } from '../clock.ts';
import { H } from '../table/layout.ts';
import {
  chainsFor,
  findDigest,
  linkDigest,
  putFree,
  takeFree,
  unlinkDigest,
  writeDigest,
} from '../../shared/chains.ts';
import { Carver, MEASURE } from '../../shared/carver.ts';
import { SharedLock, type Lockable, rowOf } from '../../shared/lock.ts';
import { MAX_SID } from './sid.ts';

/** Words of the header; 3, 4, 5 and 12 belong to the lock. */
const W = { magic: 0, capacity: 1, rows: 2, used: 7, free: 8, newest: 9, oldest: 10, words: 16 } as const;

const MAGIC = 0x48724c31; // 'HrL1'
/** About 4,000 sessions a megabyte, as nginx's documentation promises. */
const ZONE_BYTES_PER_SESSION = 262;

/** A view of the memory: typed arrays, one entry a session. */
class Memory implements Lockable {
  readonly head: Int32Array;
  readonly alive: Int32Array;
  readonly capacity: number;
  readonly chains: Int32Array;
  /** Four words of MD5 a session. */
  readonly keys: Int32Array;
  readonly chainNext: Int32Array;
  readonly newer: Int32Array;
  readonly older: Int32Array;
  /** Length of the sid; 0: the node is free. */
  readonly sidSize: Int32Array;
  readonly sids: Buffer;
  readonly last: Float64Array;

  /** Bytes of all of it. */
  readonly size: number;

  constructor(buffer: SharedArrayBuffer, { capacity: n, rows } = dimensionsOf(buffer)) {
    const c = new Carver(buffer);
    this.head = c.int32(W.words);
    this.capacity = n;
    this.last = c.float64(n);
    this.alive = c.int32(rows);
    this.chains = c.int32(chainsFor(n));
    this.keys = c.int32(n * 4);
    this.chainNext = c.int32(n);
    this.newer = c.int32(n);
    this.older = c.int32(n);
    this.sidSize = c.int32(n);
    this.sids = c.bytes(n * MAX_SID);
    this.size = c.size;
  }
}

/** What the header of a table says. */
function dimensionsOf(buffer: SharedArrayBuffer): { capacity: number; rows: number } {
  const head = new Int32Array(buffer, 0, W.words);
  if (head[W.magic] !== MAGIC) throw new TypeError('not a table of sessions');
  return { capacity: head[W.capacity]!, rows: head[W.rows]! };
}

/**
 * Makes an empty table of sessions. Main thread.
 * @param zoneSize bytes, as configured: 1 MB holds about 4,000 sessions.
 */
export function createLearnTable(zoneSize: number, maxWorkers = 32): SharedArrayBuffer {
  const dimensions = {
    capacity: Math.max(1, Math.floor(zoneSize / ZONE_BYTES_PER_SESSION)),
    rows: maxWorkers + 1,
  };
  const buffer = new SharedArrayBuffer(new Memory(MEASURE, dimensions).size);
  const m = new Memory(buffer, dimensions);
  m.head[W.magic] = MAGIC;
  m.head[W.capacity] = dimensions.capacity;
  m.head[W.rows] = dimensions.rows;
  clear(m);
  return buffer;
}

/**
 * The table of sessions for a new configuration: the same one when zone (name and size) and upstream name are equal,
 * null when stickiness does not learn.
 */
export function reloadLearnTable(
  old: SharedArrayBuffer | null,
  before: UpstreamConfig | null,
  config: UpstreamConfig,
  maxWorkers = 32,
): SharedArrayBuffer | null {
  if (config.sticky?.mode !== 'learn') return null;
  const { zone } = config.sticky;
  const same =
    before !== null &&
    before.name === config.name &&
    before.sticky?.mode === 'learn' &&
    before.sticky.zone.name === zone.name &&
    before.sticky.zone.size === zone.size;
  return old !== null && same ? old : createLearnTable(zone.size, maxWorkers);
}

/** After a worker's death, before its successor starts. */
export function reclaimLearner(buffer: SharedArrayBuffer, workerId: number): void {
  const m = new Memory(buffer);
  Atomics.store(m.alive, rowOf(m, workerId), 0);
}

/** A thread's handle on a table of sessions. */
export class LearnTable {
  private readonly m: Memory;
  private readonly lock: SharedLock;
  private readonly clock: Clock;

  constructor(buffer: SharedArrayBuffer, env: { workerId: number; clock: Clock }) {
    this.m = new Memory(buffer);
    const row = rowOf(this.m, env.workerId);
    this.lock = new SharedLock(this.m, row);
    this.clock = env.clock;
    Atomics.store(this.m.alive, row, 1);
  }

  get capacity(): number {
    return this.m.capacity;
  }

  /** Sessions held. */
  get size(): number {
    return this.m.head[W.used]!;
  }

  /** The sid that a session is bound to, or ''. Neither age nor use matters here: the timer removes what is old. */
  lookup(id: string): string {
    const key = keyOf(id);
    return this.locked(() => {
      const node = findDigest(this.m, key);
      return node === NIL ? '' : sidAt(this.m, node);
    });
  }

  /** Binds a session to a peer, new or not. A full table drops the session that was not used for longest. */
  create(id: string, sid: string): void {
    const key = keyOf(id);
    this.locked(() => {
      const node = findDigest(this.m, key);
      refresh(this.m, node === NIL ? insert(this.m, key) : node, sid, this.clock.now());
    });
  }

  /** Binds a session that exists to a peer, and marks it used. @returns false when it is not known. */
  update(id: string, sid: string): boolean {
    const key = keyOf(id);
    return this.locked(() => {
      const node = findDigest(this.m, key);
      if (node === NIL) return false;
      refresh(this.m, node, sid, this.clock.now());
      return true;
    });
  }

  /**
   * Removes the sessions that were last used `timeoutMs` ago or earlier.
   * @returns milliseconds until the next one is due; Infinity when there is none.
   */
  sweep(timeoutMs: number): number {
    const { m } = this;
    return this.locked(() => {
      const now = this.clock.now();
      for (let node = m.head[W.oldest]!; node !== NIL; node = m.head[W.oldest]!) {
        const wait = m.last[node]! + timeoutMs - now;
        if (wait > 0) return wait;
        remove(m, node);
      }
      return Infinity;
    });
  }

  private locked<T>(work: () => T): T {
    this.lock.enter();
    try {
      // whoever held the lock died: chains and lists may be half changed, the sessions themselves are whole
      if (this.m.head[H.indexStale] !== 0) rebuild(this.m);
      return work();
    } finally {
      this.lock.leave();
    }
  }
}

// --------------------------------------------------------------------------------- nodes, with the lock held

function keyOf(id: string): Buffer {
  return hash('md5', Buffer.from(id, 'latin1'), 'buffer');
}

function sidAt(m: Memory, node: number): string {
  const at = node * MAX_SID;
  return m.sids.toString('latin1', at, at + m.sidSize[node]!);
}

function insert(m: Memory, key: Buffer): number {
  if (m.head[W.free] === NIL) remove(m, m.head[W.oldest]!);
  const node = takeFree(m, W);
  writeDigest(m, node, key);
  linkDigest(m, node);
  enqueue(m, W, node);
  return node;
}

function refresh(m: Memory, node: number, sid: string, now: number): void {
  m.sidSize[node] = m.sids.write(sid, node * MAX_SID, MAX_SID, 'latin1');
  m.last[node] = now;
  if (m.head[W.newest] === node) return;
  dequeue(m, W, node);
  enqueue(m, W, node);
}

function remove(m: Memory, node: number): void {
  unlinkDigest(m, node);
  dequeue(m, W, node);
  discard(m, node);
  m.head[W.used] = m.head[W.used]! - 1;
}

function discard(m: Memory, node: number): void {
  m.sidSize[node] = 0;
  putFree(m, W, node);
}

function clear(m: Memory): void {
  m.chains.fill(NIL);
  m.head[W.newest] = NIL;
  m.head[W.oldest] = NIL;
  m.head[W.free] = NIL;
  m.head[W.used] = 0;
  for (let node = m.capacity - 1; node >= 0; node--) discard(m, node);
}

/** Chains and lists anew, from the sessions that are whole. */
function rebuild(m: Memory): void {
  const nodes = [...m.sidSize.keys()].filter((node) => m.sidSize[node]! > 0);
  const sizes = nodes.map((node) => m.sidSize[node]!);
  const order = nodes.map((_, i) => i).sort((x, y) => m.last[nodes[x]!]! - m.last[nodes[y]!]!);
  const taken = new Set(nodes);
  m.chains.fill(NIL);
  m.head[W.newest] = NIL;
  m.head[W.oldest] = NIL;
  m.head[W.free] = NIL;
  for (let node = m.capacity - 1; node >= 0; node--) if (!taken.has(node)) discard(m, node);
  for (const i of order) {
    m.sidSize[nodes[i]!] = sizes[i]!;
    linkDigest(m, nodes[i]!);
    enqueue(m, W, nodes[i]!);
  }
  m.head[W.used] = nodes.length;
  m.head[H.indexStale] = 0;
}
