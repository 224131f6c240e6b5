/**
 * # upstream/: the heart
 *
 * A group of peers, and who gets the next request. This room knows no protocol and touches no socket; clock and random
 * source are passed in. Peers live in shared memory, so every choice is exact over all worker threads.
 *
 * ```ts
 * // main thread, once a group: the buffer goes to the workers with the configuration
 * const table = createTable(config, { maxWorkers: 8 });
 * // on reload: the same buffer when it has room, else a new one with the state copied
 * const next = reloadTable(table, newConfig);
 * // when a worker thread has died, for each table, before its successor starts
 * reclaimWorker(table, workerId);
 *
 * // worker: one Group a configured upstream, one Attempt a request (pooled)
 * const group = new Group(config, table, { workerId, clock, random: Math.random });
 * group.begin(attempt, { hashKey, clientAddress, stickySid }, nextUpstreamTries);
 * for (;;) {
 *   const slot = group.pick(attempt);            // taken: its connections are one more. BUSY: 502. WAITING: `queue`
 *   if (slot === BUSY) break;
 *   const peer = group.peer(slot);               // address, host, port, sid
 *   // ... connect, send, read; group.headerReceived(attempt, headerMs) when the header is there
 *   const disabled = group.done(attempt, outcome); // true: log "upstream server temporarily disabled"
 *   if (!retry || attempt.triesLeft === 0) break;
 * }
 * ```
 *
 * | file | idea |
 * | --- | --- |
 * | `table/` | the shared memory: layout, lock, slots, lists, reload, name resolution, a worker's death |
 * | `select/` | picks without scanning: pairing heap, buckets, index; and the layers around an algorithm |
 * | `balancers/` | one file an algorithm, and a table of them |
 * | `accounting.ts` | what taking and giving back do to a peer |
 * | `sticky/` | cookie text, learned sessions |
 * | `queue.ts` | who waits when nobody can be chosen |
 * | `pool.ts` | idle connections |
 *
 * Facts: nginx, as described in spec/nginx.md, sections 2.1 to 2.14.
 */
import type { UpstreamConfig } from '../config/model.ts';
import { forgiveConnected, reached, releasePeer, takePeer } from './accounting.ts';
import type { Attempt } from './attempt.ts';
import { type AttemptKeys, type Outcome } from './attempt.ts';
import { type Balancer } from './balancers/balancer.ts';
import { makeBalancer } from './balancers/table.ts';
import { grantTurns, hasTurn, joinQueue, leaveQueue, passTurn, queueEvent } from './queue.ts';
import { choose } from './select/choose.ts';
import { type GroupEnv, Selection } from './selection.ts';
import { type PeerSnapshot, type QueueSnapshot, takeQueueSnapshot, takeSnapshot } from './snapshot.ts';
import { BACKUP, H, LIVE, PRIMARY, Table, UNHEALTHY } from './table/layout.ts';
import { edit } from './table/lists.ts';
import { SharedLock, rowOf } from '../shared/lock.ts';
import type { PeerInfo } from './table/text.ts';

export { Attempt, type AttemptKeys, type Outcome } from './attempt.ts';
export type { Clock } from './clock.ts';
export type { GroupEnv } from './selection.ts';
export type { PeerSnapshot, PeerState, QueueSnapshot } from './snapshot.ts';
export { createTable, type TableOptions } from './table/create.ts';
export { reclaimWorker } from './table/reclaim.ts';
export { reloadTable } from './table/reload.ts';
export { replaceResolved, type ResolvedRecord, type ResolveResult } from './table/resolve.ts';
export { addServer, type NewServer, removeServer, type ServerPatch, updateServer } from './table/servers.ts';
export type { PeerInfo } from './table/text.ts';

/** No live upstreams: nobody can be chosen. The request ends with 502, and is not tried again. */
export const BUSY = -1;
/**
 * Nobody can be chosen now, and the request has joined the group's queue: `Attempt.onTurn` is called when it is its turn
 * (then pick again), or it leaves by `stopWaiting`.
 */
export const WAITING = -2;

const NO_ADDRESS = new Uint8Array(0);

/** A thread's handle on a group. */
export class Group {
  readonly name: string;
  readonly config: UpstreamConfig;

  private readonly table: Table;
  private readonly lock: SharedLock;
  private readonly selection: Selection;
  private readonly balancer: Balancer;
  private readonly row: number;

  // queue
  private readonly ring: ((workerId: number) => void) | null;
  /** Requests of this thread that wait, in their order. */
  private readonly waiting = new Set<Attempt>();
  private readonly rung: Uint8Array;

  constructor(config: UpstreamConfig, table: SharedArrayBuffer, env: GroupEnv) {
    this.name = config.name;
    this.config = config;
    this.table = new Table(table);
    this.row = rowOf(this.table, env.workerId);
    this.lock = new SharedLock(this.table, this.row);
    this.selection = new Selection(config, this.table, env);
    this.balancer = makeBalancer(config.balancer);
    this.ring = this.table.head[H.queueSize] === 0 ? null : (env.ring ?? null);
    this.rung = new Uint8Array(this.ring === null ? 0 : this.table.rows);
    Atomics.store(this.table.alive, this.row, 1);
  }

  /** Where this thread's idle connections are counted, for APIs. */
  get idleGauge(): { cells: Int32Array; at: number } {
    return { cells: this.table.idleBy, at: this.row };
  }

  /** Changes with every change of who is in the group, of order and weights. */
  get version(): number {
    return Atomics.load(this.table.head, H.version);
  }

  /**
   * Begins a request's journey.
   * @param maxTries `proxy_next_upstream_tries`; 0: as many as there are peers that are not down.
   */
  begin(a: Attempt, keys: AttemptKeys, maxTries: number): void {
    a.reset();
    a.hashKey = keys.hashKey ?? '';
    a.clientAddress = keys.clientAddress ?? NO_ADDRESS;
    a.stickySid = keys.stickySid ?? '';
    a.bound = keys.bound ?? null;
    const { head } = this.table;
    const tries = head[H.tries + PRIMARY]! + head[H.tries + BACKUP]!;
    a.triesLeft = maxTries > 0 && tries > maxTries ? maxTries : tries;
    a.version = head[H.version]!;
  }

  /** Chooses a peer and takes it. @returns its slot, BUSY, or with `queue` WAITING. */
  pick(a: Attempt): number {
    if (this.ring !== null) return this.pickInTurn(a);
    this.balancer.prepare?.(this.selection, this.lock);
    this.lock.enter();
    try {
      const s = this.selection;
      s.tellTime();
      if (a.version !== s.version) this.follow(a);
      const slot = choose(s, this.balancer, a);
      if (slot < 0) return BUSY;
      takePeer(s, a, slot, this.row, this.balancer.inflight);
      return slot;
    } finally {
      this.lock.leave();
    }
  }

  /** With a queue: only who has its turn may choose while others wait. */
  private pickInTurn(a: Attempt): number {
    this.balancer.prepare?.(this.selection, this.lock);
    this.lock.enter();
    try {
      const s = this.selection;
      const t = this.table;
      s.tellTime();
      if (a.version !== s.version) this.follow(a);
      if (a.place >= 0 && !hasTurn(t, a.place)) return WAITING;
      const slot = a.place < 0 && t.head[H.queued] !== 0 ? BUSY : choose(s, this.balancer, a);
      if (slot >= 0) {
        if (a.place >= 0) this.leave(a);
        takePeer(s, a, slot, this.row, this.balancer.inflight);
        return slot;
      }
      if (a.place >= 0) passTurn(t, a.place);
      else {
        a.place = joinQueue(t, this.row);
        if (a.place < 0) return BUSY;
        this.waiting.add(a);
      }
      return WAITING;
    } finally {
      this.grant();
      this.lock.leave();
      this.ringAll();
    }
  }

  private leave(a: Attempt): void {
    leaveQueue(this.table, a.place);
    a.place = -1;
    this.waiting.delete(a);
  }

  private grant(): void {
    if (this.table.head[H.queued] !== 0) grantTurns(this.selection, this.rung);
  }

  /** Rings who was granted a turn; without the lock. */
  private ringAll(): void {
    const { rung } = this;
    for (let row = rung.indexOf(1); row >= 0; row = rung.indexOf(1, row + 1)) {
      rung[row] = 0;
      this.ring!(row - 1);
    }
  }

  /** A request does not wait any longer: its client has left, or it has waited long enough. */
  stopWaiting(a: Attempt): void {
    if (a.place < 0) return;
    this.lock.enter();
    try {
      this.selection.tellTime();
      this.leave(a);
      this.grant();
    } finally {
      this.lock.leave();
      this.ringAll();
    }
  }

  /** Requests of this thread that wait. */
  get waiters(): number {
    return this.waiting.size;
  }

  /** This worker was rung: those of its requests that have their turn choose. */
  wake(): void {
    if (this.waiting.size === 0) return;
    const turns: Attempt[] = [];
    for (const a of this.waiting) if (hasTurn(this.table, a.place)) turns.push(a);
    // each may end others by what it does
    for (const a of turns) if (a.place >= 0) a.onTurn!();
  }

  /**
   * Looks whether somebody may be chosen by now: peers come back by time alone, and the main thread changes groups. Call it
   * now and then while there are `waiters`, and when the main thread says so.
   */
  poll(): void {
    if (this.waiting.size === 0) return;
    this.lock.enter();
    try {
      this.selection.tellTime();
      queueEvent(this.table);
      this.grant();
    } finally {
      this.lock.leave();
      this.ringAll();
    }
  }

  /** The membership has changed since the request began: slots with a new owner were not tried (nginx#1656). */
  private follow(a: Attempt): void {
    const { born, head } = this.table;
    for (let slot = a.nextTried(0); slot >= 0; slot = a.nextTried(slot + 1)) {
      if (born[slot]! > a.version) a.unmarkTried(slot);
    }
    a.version = head[H.version]!;
  }

  /** A response header has arrived, or the first byte of a stream: `ms` after the selection. */
  headerReceived(a: Attempt, ms: number): void {
    if (a.inflight) this.reached(a, 'header', ms);
  }

  /** A stream's connection is there, `ms` after the selection. */
  connected(a: Attempt, ms: number): void {
    // Who failed before and connects now is as good as the others at once: a session may last for hours.
    if (a.slot >= 0 && this.table.fails[a.slot] !== 0) {
      this.lock.enter();
      try {
        this.selection.tellTime();
        forgiveConnected(this.selection, a);
      } finally {
        this.lock.leave();
      }
    }
    if (a.inflight) this.reached(a, 'connect', ms);
  }

  private reached(a: Attempt, event: 'header' | 'connect', ms: number): void {
    const { balancer } = this.config;
    if (balancer.kind !== 'least_time') return;
    const mode = balancer.mode === 'first_byte' ? 'header' : balancer.mode;
    this.lock.enter();
    try {
      this.selection.tellTime();
      reached(this.selection, a, this.row, mode, event, ms);
    } finally {
      this.lock.leave();
    }
  }

  /**
   * Gives the peer back. Nothing happens when the attempt holds none.
   * @returns true when the peer is "temporarily disabled" by this failure.
   */
  done(a: Attempt, outcome: Outcome): boolean {
    if (a.slot < 0) return false;
    this.lock.enter();
    try {
      this.selection.tellTime();
      return releasePeer(this.selection, a, this.row, outcome, this.config.balancer);
    } finally {
      const someoneWaits = this.ring !== null && this.table.head[H.queued] !== 0;
      if (someoneWaits) {
        queueEvent(this.table);
        this.grant();
      }
      this.lock.leave();
      a.slot = -1;
      if (someoneWaits) this.ringAll();
    }
  }

  /** Who a slot is. The caller holds it by an attempt, or has just learned of it. */
  peer(slot: number): PeerInfo {
    return this.selection.info(slot);
  }

  /** The queue's state; null without the directive. */
  queueSnapshot(): QueueSnapshot | null {
    return takeQueueSnapshot(this.table);
  }

  /** Health checks of requests have found a peer unhealthy, or well again. Nothing happens when the slot has another one. */
  setUnhealthy(slot: number, generation: number, unhealthy: boolean): void {
    const t = this.table;
    const change = (): void => {
      if (t.state[slot] !== LIVE || t.generation[slot] !== generation) return;
      t.down[slot] = unhealthy ? t.down[slot]! | UNHEALTHY : t.down[slot]! & ~UNHEALTHY;
    };
    edit(t, change, this.lock);
  }

  /** State of all peers, primaries first. */
  snapshot(): PeerSnapshot[] {
    this.lock.enter();
    try {
      this.selection.tellTime();
      return takeSnapshot(this.selection);
    } finally {
      this.lock.leave();
    }
  }
}
