/**
 * The groups of the running generation as administrators see and change them: the one door for the API, Kong and the
 * dashboard. Main thread only.
 *
 * ```ts
 * const group = groups.get('app');                  // null: there is none
 * group.snapshot();                                 // peers, queue, health counters
 * const { id } = await group.add({ server: '10.0.0.3:80', weight: 2 });
 * await group.update(id, { drain: true });
 * await group.remove(id);
 * ```
 *
 * A change is in the group's shared table when its function has begun to run: every worker's next pick sees it. Requests in
 * flight go on, those of a removed server too. The promise is fulfilled when the change is also in the `state` file, if the
 * group has one; without it changes last until the next reload. `id` is the peer's slot: it stays while the peer lives.
 * A name that DNS stands for has an id, too (`names`). Changes that cannot be made throw `GroupError`, and have changed nothing.
 */
import { peerAddress, parseUrl } from '../config/address.ts';
import type { ServerParameters, UpstreamConfig } from '../config/model.ts';
import type { CountersOf, HealthCounters } from '../health/monitor.ts';
import { BUCKETS } from '../observe/histogram.ts';
import { knowsBackup } from '../upstream/backup.ts';
import { Selection } from '../upstream/selection.ts';
import { type PeerSnapshot, peerSnapshot, type QueueSnapshot, takeQueueSnapshot } from '../upstream/snapshot.ts';
import { BACKUP, DOWN, DRAINING, F, H, LIVE, PRIMARY, Table, ZOMBIE } from '../upstream/table/layout.ts';
import { locked, readList } from '../upstream/table/lists.ts';
import { addServer, removeServer, updateServer } from '../upstream/table/servers.ts';
import { type PeerInfo, sidOf } from '../upstream/table/text.ts';
import { runSliced } from '../shared/slices.ts';
import type { Generation } from './generations.ts';
import { GroupError } from './group-error.ts';
import { GroupNames, type NameView, type NameWatcher } from './group-names.ts';
import { type StateServer, StateFile, stateText } from './state-file.ts';

/** What can be said of a server; the rest has the defaults of a `server` line. */
export type ServerChange = Partial<ServerParameters>;

export interface ServerAddition extends ServerChange {
  /** `address:port`, `[v6]:port`, `unix:/path`, `name:port`; without a port 80 in http. */
  server: string;
  /** Of a name: ask for SRV records. */
  service?: string;
  route?: string;
  backup?: boolean;
}

export interface PeerView extends PeerSnapshot {
  id: number;
  /** `route=`; null: stickiness knows it by its address. */
  route: string | null;
  /** Null: the group is not checked, or this server has not been looked at yet. */
  health: HealthCounters | null;
}

/** Counters of a group. */
export interface GroupSums {
  requests: number;
  /** Answers with 5xx. */
  errors: number;
  /** Response times, each in its bucket. */
  hist: number[];
}

/** What there is to say of a group besides its servers. */
export interface GroupSummary {
  name: string;
  zone: string | null;
  /** Null: no `queue`. */
  queue: QueueSnapshot | null;
  /** Idle connections to its servers. */
  idle: number;
  /** Removed servers with requests that have not ended yet. */
  zombies: number;
}

export interface GroupView extends GroupSummary {
  peers: PeerView[];
}

/** Where groups are configured: two may have one name. */
export type Door = 'http' | 'stream';

export interface GroupsEnv {
  /** Epoch milliseconds. */
  now(): number;
  /** Members have changed: whoever waits in a queue may have somewhere to go. */
  changed(): void;
  /** Counters of a group's servers; null: it is not checked. */
  health(door: Door, group: string): CountersOf | null;
  /** Follows names that are added; absent: they cannot be. */
  names?: NameWatcher;
}

const MAX_ROUTE = 32;
/** Servers that are copied in one go: the group's lock is held for some twenty microseconds. */
const PIECE = 16;

export class Groups {
  readonly #env: GroupsEnv;
  readonly #door: Door;
  #groups = new Map<string, ManagedGroup>();

  constructor(env: GroupsEnv, door: Door = 'http') {
    this.#env = env;
    this.#door = door;
  }

  /** From now on it is about the groups of this generation. */
  follow({ config, data }: Generation): void {
    const before = this.#groups;
    this.#groups = new Map();
    const { tables } = this.#door === 'http' ? data : data.stream;
    for (const [i, upstream] of (config[this.#door]?.upstreams ?? []).entries()) {
      if (upstream.implicit) continue;
      const { stateFile } = upstream;
      const old = before.get(upstream.name)?.state ?? null;
      // one file has one writer: a write may be under way
      const state = stateFile === null ? null : old?.path === stateFile ? old : new StateFile(stateFile);
      this.#groups.set(upstream.name, new ManagedGroup(upstream, tables[i]!, state, this.#env, this.#door));
    }
  }

  /** Names of the groups that the configuration defines, in its order. */
  names(): string[] {
    return [...this.#groups.keys()];
  }

  get(name: string): ManagedGroup | null {
    return this.#groups.get(name) ?? null;
  }
}

export class ManagedGroup {
  readonly config: UpstreamConfig;
  readonly names: GroupNames;
  readonly #door: Door;
  /** @internal */
  readonly state: StateFile | null;
  readonly #buffer: SharedArrayBuffer;
  readonly #table: Table;
  readonly #selection: Selection;
  readonly #env: GroupsEnv;
  /** Found once for each server: it takes a hash. */
  readonly #routes = new WeakMap<PeerInfo, string | null>();

  constructor(config: UpstreamConfig, table: SharedArrayBuffer, state: StateFile | null, env: GroupsEnv, door: Door) {
    this.config = config;
    this.names = new GroupNames(config, door, table, env.names ?? null);
    this.#door = door;
    this.state = state;
    this.#buffer = table;
    this.#table = new Table(table);
    this.#env = env;
    this.#selection = new Selection(config, this.#table, { workerId: -1, clock: env, random: () => 0 });
  }

  /** Everything that is known of the group now. */
  snapshot(): GroupView {
    return { ...this.summary(), peers: [...this.pieces()].flat() };
  }

  summary(): GroupSummary {
    const { name, zone } = this.config;
    const t = this.#table;
    return locked(t, () => ({
      name,
      zone: zone?.name ?? null,
      queue: this.queue,
      idle: t.idleBy.reduce((sum, n) => sum + n, 0),
      zombies: t.state.reduce((n, state) => n + (state === ZOMBIE ? 1 : 0), 0),
    }));
  }

  /**
   * The servers, primaries first, some at a time: neither the thread nor those who choose wait until thousands are copied.
   * The caller may let time pass between pieces: those that go meanwhile are left out, those that come are missing.
   */
  *pieces(): Generator<PeerView[], void> {
    const { health } = this;
    const { slots, generations } = this.slots();
    for (let from = 0; from < slots.length; from += PIECE) {
      yield this.reading((s) => {
        const present = (slot: number, i: number): boolean =>
          s.t.state[slot] === LIVE && s.t.generation[slot] === generations[from + i];
        const piece = slots.slice(from, from + PIECE).filter(present);
        return piece.map((slot) => this.#view(s, slot, health));
      });
    }
  }

  /** Who is in the group, primaries first; the same until `version` changes. */
  slots(): { slots: number[]; generations: number[] } {
    const t = this.#table;
    const slots = locked(t, () => [...readList(t, PRIMARY), ...readList(t, BACKUP)]);
    return { slots, generations: slots.map((slot) => t.generation[slot]!) };
  }

  /** Reads what needs the lock: every choice waits meanwhile. */
  reading<T>(read: (s: Selection) => T): T {
    return locked(this.#table, () => {
      this.#selection.tellTime();
      return read(this.#selection);
    });
  }

  /** Single numbers may be read of it without the lock, and names of servers that are in the group. */
  get selection(): Selection {
    return this.#selection;
  }

  /** Null: no `queue`. */
  get queue(): QueueSnapshot | null {
    return takeQueueSnapshot(this.#table);
  }

  /** Counters of checks; null: the group is not checked. */
  get health(): CountersOf | null {
    return this.#env.health(this.#door, this.config.name);
  }

  #view(s: Selection, slot: number, health: CountersOf | null): PeerView {
    const peer = peerSnapshot(s, slot, s.t.list[slot]!);
    return { ...peer, id: slot, route: this.#routeOf(s, slot), health: health?.(slot, peer.generation) ?? null };
  }

  /** Its `route=`: what it is known by to stickiness, if that does not follow from its address. */
  #routeOf(s: Selection, slot: number): string | null {
    const info = s.info(slot);
    let route = this.#routes.get(info);
    if (route === undefined) {
      route = info.sid === sidOf(null, info.address) ? null : info.sid;
      this.#routes.set(info, route);
    }
    return route;
  }

  /** Sums over all servers. Read as they are, without the lock: for plots. */
  sums(): GroupSums {
    const t = this.#table;
    const sums: GroupSums = { requests: 0, errors: 0, hist: Array.from({ length: BUCKETS }, () => 0) };
    for (let slot = 0; slot < t.capacity; slot++) {
      if (t.state[slot] !== LIVE) continue;
      sums.requests += t.requests[slot]!;
      sums.errors += t.responses[slot * 5 + 4]!;
      for (let i = 0; i < BUCKETS; i++) sums.hist[i]! += t.hist[slot * BUCKETS + i]!;
    }
    return sums;
  }

  /** @throws {GroupError} UpstreamServerNotFound */
  peer(id: number): PeerView {
    const { health } = this;
    const found = this.reading((s) => (s.t.state[id] === LIVE ? this.#view(s, id, health) : null));
    if (found === null) throw new GroupError('UpstreamServerNotFound', `server with ID "${id}" does not exist`);
    return found;
  }

  /** Adds an address. @throws {GroupError} */
  async add(addition: ServerAddition): Promise<PeerView> {
    const { server, service: _none, route = null, backup = false, ...change } = addition;
    const address = this.#addressOf(server);
    this.#checkAddition(addition);
    const slot = addServer(this.#buffer, { server, address, route, backup, ...change }, this.#env.now());
    if (slot < 0) {
      const text = `cannot add new server to upstream "${this.config.name}", memory exhausted: its zone may be larger`;
      throw new GroupError('UpstreamOutOfMemory', text);
    }
    const added = this.peer(slot);
    await this.#done();
    return added;
  }

  /** Adds a name; its peers come with the first answer. @throws {GroupError} */
  async addName(addition: ServerAddition): Promise<NameView> {
    this.#checkAddition(addition);
    const added = this.names.add(addition);
    await this.#done();
    return added;
  }

  /** @throws {GroupError} */
  async updateName(name: NameView, change: ServerChange): Promise<NameView> {
    this.#check(change);
    const changed = this.names.update(name, change, this.#env.now());
    await this.#done();
    return changed;
  }

  /** Its peers go, too; what they are serving ends in peace. @throws {GroupError} */
  async removeName(name: NameView): Promise<void> {
    this.names.remove(name);
    await this.#done();
  }

  #checkAddition(addition: ServerAddition): void {
    const { route = null, backup = false } = addition;
    this.#check(addition);
    if (backup && !knowsBackup(this.config.balancer)) {
      throw new GroupError('UpstreamNoBackup', `upstream "${this.config.name}" has no backup`);
    }
    if (route !== null && route.length > MAX_ROUTE) {
      throw new GroupError('UpstreamBadRoute', `route is longer than ${MAX_ROUTE}`);
    }
  }

  /** Changes parameters: weight, limits, `down`, `drain`. @throws {GroupError} */
  async update(id: number, change: ServerChange): Promise<PeerView> {
    const { generation, resolved, serverIndex } = this.peer(id);
    if (change.weight !== undefined && resolved && (this.config.servers[serverIndex]?.service ?? null) !== null) {
      throw new GroupError('UpstreamServerWeightImmutable', 'its weight is that of its SRV record');
    }
    this.#check(change);
    updateServer(this.#buffer, id, generation, change, this.#env.now());
    const changed = this.peer(id);
    await this.#done();
    return changed;
  }

  /** Requests that it is serving end in peace. @throws {GroupError} */
  async remove(id: number): Promise<void> {
    const { generation, resolved, server } = this.peer(id);
    if (resolved) throw new GroupError('UpstreamServerImmutable', `server "${server}" comes from DNS`);
    removeServer(this.#buffer, id, generation);
    await this.#done();
  }

  /** Sets the counters of all servers and of the queue to 0 (the API's DELETE). */
  resetCounters(): void {
    const t = this.#table;
    locked(t, () => {
      for (const counter of [
        t.requests,
        t.failsTotal,
        t.unavail,
        t.sent,
        t.received,
        t.responses,
        t.codes,
        t.hist,
        t.histSum,
      ])
        counter.fill(0);
      t.headF[F.queueOverflows] = 0;
    });
  }

  #addressOf(server: string): ReturnType<typeof peerAddress> {
    const parsed = parseUrl(server, this.#door === 'http' ? { defaultPort: 80 } : {});
    if (!parsed.ok) throw new GroupError('UpstreamBadAddress', `${parsed.error} in "${server}"`);
    const { url } = parsed;
    if (this.#door === 'stream' && url.kind !== 'unix' && url.noPort) {
      throw new GroupError('UpstreamBadAddress', `no port in server "${server}"`);
    }
    if (url.kind === 'unix') return peerAddress('unix', url.host, 0);
    if (url.address === null) {
      throw new GroupError('UpstreamConfNoResolver', `"${server}" is a name`);
    }
    return peerAddress(url.kind, url.address, url.port);
  }

  #check({ slowStartMs = 0 }: ServerChange): void {
    if (slowStartMs > 0 && !knowsBackup(this.config.balancer)) {
      throw new GroupError('UpstreamBadSlowStart', 'balancing method does not support parameter "slow_start"');
    }
  }

  async #done(): Promise<void> {
    this.#env.changed();
    if (this.state === null) return;
    try {
      await this.state.write(() => this.#stateText());
    } catch (error) {
      const text = `state file "${this.state.path}" could not be written: ${(error as Error).message}`;
      throw new GroupError('StateNotWritten', `${text}; the change is in effect until the next reload`);
    }
  }

  /** The servers as lines: those with `resolve` as they are configured, the others as they are now. */
  async #stateText(): Promise<string> {
    let text = stateText(this.config.servers.filter(({ resolve }) => resolve));
    const { down } = this.#table;
    const line = (peer: PeerView): StateServer => {
      const bits = down[peer.slot]!;
      return { ...peer, down: (bits & DOWN) !== 0, drain: (bits & DRAINING) !== 0, resolve: false, service: null };
    };
    const steps = function* (pieces: Iterable<PeerView[]>): Generator<void> {
      for (const peers of pieces) {
        text += stateText(peers.filter(({ resolved }) => !resolved).map(line));
        yield;
      }
    };
    await runSliced(steps(this.pieces()));
    return text;
  }

  /** Changes with every change of the group. */
  get version(): number {
    return Atomics.load(this.#table.head, H.version);
  }
}
