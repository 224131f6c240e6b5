/**
 * What a choice works with: a thread's view of the table, the time, the random source, and tables that follow from the
 * membership (made anew when its version changes, never per pick).
 */
import type { UpstreamConfig } from '../config/model.ts';
import type { Attempt } from './attempt.ts';
import type { Clock } from './clock.ts';
import { SelectionIndex } from './select/index.ts';
import { BACKUP, DRAINING, F, H, PRIMARY, type Table } from './table/layout.ts';
import { eligible, groupSeconds } from './table/rules.ts';
import { readInfo, type PeerInfo } from './table/text.ts';

/** What a group takes from its surroundings. */
export interface GroupEnv {
  /** 0 to maxWorkers - 1; -1 for the main thread. */
  workerId: number;
  clock: Clock;
  /** A number in [0, 1), as Math.random. */
  random: () => number;
  /**
   * Tells a worker that requests of it have their turn in a queue: some time later, never during the call, `Group.wake`
   * is called there. Missing: nobody can wait, `queue` has no effect.
   */
  ring?: (workerId: number) => void;
}

export class Selection {
  readonly t: Table;
  readonly config: UpstreamConfig;
  readonly index: SelectionIndex;
  readonly random: () => number;
  /** The group's time: whole seconds, and milliseconds. Set at the start of each operation. */
  now = 0;
  nowMs = 0;

  private readonly clock: Clock;
  private readonly infos: (PeerInfo | undefined)[] = [];
  private sids: [Map<string, number>, Map<string, number>] | null = null;
  private sidsVersion = -1;

  constructor(config: UpstreamConfig, table: Table, env: GroupEnv) {
    this.config = config;
    this.t = table;
    this.index = new SelectionIndex(table);
    this.random = env.random;
    this.clock = env.clock;
  }

  /** Reads the clock. Call with the lock held. */
  tellTime(): void {
    this.nowMs = this.clock.now();
    this.now = groupSeconds(this.t, this.nowMs);
    this.index.nowMs = this.nowMs;
  }

  get version(): number {
    return this.t.head[H.version]!;
  }

  count(list: number): number {
    return this.t.head[H.count + list]!;
  }

  /** Weights of all peers of a list, those that are down included. */
  totalWeight(list: number): number {
    return this.t.headF[F.totalWeight + list]!;
  }

  /** The slot at a place of a list. */
  at(list: number, place: number): number {
    return this.t.order[list * this.t.capacity + place]!;
  }

  /** Exactly one address, and no backup: failures are not counted, nothing is retried (spec 2.1). */
  get single(): boolean {
    return this.t.head[H.count + PRIMARY] === 1 && this.t.head[H.count + BACKUP] === 0;
  }

  /** May this request choose this peer now? */
  usable(a: Attempt, slot: number): boolean {
    return !a.hasTried(slot) && eligible(this.t, slot, this.now);
  }

  /** Does it get nothing but what is bound to it? */
  draining(slot: number): boolean {
    return (this.t.down[slot]! & DRAINING) !== 0;
  }

  /** Strings of a peer, decoded once. The caller holds the lock or the peer. */
  info(slot: number): PeerInfo {
    const known = this.infos[slot];
    if (known !== undefined && known.generation === this.t.generation[slot]) return known;
    const info = readInfo(this.t, slot);
    this.infos[slot] = info;
    return info;
  }

  /** The first peer of a list with this sid, or -1. */
  bySid(list: number, sid: string): number {
    if (this.sids === null || this.sidsVersion !== this.version) {
      this.sids = [this.mapSids(PRIMARY), this.mapSids(BACKUP)];
      this.sidsVersion = this.version;
    }
    return this.sids[list]!.get(sid) ?? -1;
  }

  private mapSids(list: number): Map<string, number> {
    const map = new Map<string, number>();
    for (let i = 0; i < this.count(list); i++) {
      const slot = this.at(list, i);
      const { sid } = this.info(slot);
      if (!map.has(sid)) map.set(sid, slot);
    }
    return map;
  }
}
