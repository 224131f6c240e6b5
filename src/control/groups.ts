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
import type { UpstreamConfig } from '../config/model.ts';
import type { HealthCounters } from '../health/monitor.ts';
import { BUCKETS } from '../observe/histogram.ts';
import { knowsBackup } from '../upstream/backup.ts';
import { Selection } from '../upstream/selection.ts';
import { type PeerSnapshot, type QueueSnapshot, takeQueueSnapshot, takeSnapshot } from '../upstream/snapshot.ts';
import { DOWN, DRAINING, F, H, LIVE, Table, ZOMBIE } from '../upstream/table/layout.ts';
import { locked } from '../upstream/table/lists.ts';
import { addServer, removeServer, updateServer } from '../upstream/table/servers.ts';
import { sidOf } from '../upstream/table/text.ts';
import type { Generation } from './generations.ts';
import { GroupError } from './group-error.ts';
import { GroupNames, type NameView, type NameWatcher } from './group-names.ts';
import { type StateServer, StateFile, stateText } from './state-file.ts';

/** What can be said of a server; the rest has the defaults of a `server` line. */
export interface ServerChange {
  weight?: number;
  maxConns?: number;
  maxFails?: number;
  failTimeoutSec?: number;
  slowStartMs?: number;
  down?: boolean;
  drain?: boolean;
}

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

export interface GroupView {
  name: string;
  zone: string | null;
  peers: PeerView[];
  /** Null: no `queue`. */
  queue: QueueSnapshot | null;
  /** Idle connections to its servers. */
  idle: number;
  /** Removed servers with requests that have not ended yet. */
  zombies: number;
}

/** Where groups are configured: two may have one name. */
export type Door = 'http' | 'stream';

export interface GroupsEnv {
  /** Epoch milliseconds. */
  now(): number;
  /** Members have changed: whoever waits in a queue may have somewhere to go. */
  changed(): void;
  /** Counters of a group's servers by `slot:generation`; null: it is not checked. */
  health(door: Door, group: string): ReadonlyMap<string, HealthCounters> | null;
  /** Follows names that are added; absent: they cannot be. */
  names?: NameWatcher;
}

const MAX_ROUTE = 32;

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
    const { config } = this;
    const health = this.#env.health(this.#door, config.name);
    return locked(this.#table, () => {
      this.#selection.tellTime();
      const peers = takeSnapshot(this.#selection).map((peer) => {
        const route = peer.sid === sidOf(null, peer.address) ? null : peer.sid;
        return { ...peer, id: peer.slot, route, health: health?.get(`${peer.slot}:${peer.generation}`) ?? null };
      });
      return {
        name: config.name,
        zone: config.zone?.name ?? null,
        peers,
        queue: takeQueueSnapshot(this.#table),
        idle: this.#table.idleBy.reduce((sum, n) => sum + n, 0),
        zombies: this.#table.state.reduce((n, state) => n + (state === ZOMBIE ? 1 : 0), 0),
      };
    });
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
    const found = this.snapshot().peers.find((peer) => peer.id === id);
    if (found === undefined) throw new GroupError('UpstreamServerNotFound', `server with ID "${id}" does not exist`);
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
      await this.state.write(stateText(this.#servers()));
    } catch (error) {
      const text = `state file "${this.state.path}" could not be written: ${(error as Error).message}`;
      throw new GroupError('StateNotWritten', `${text}; the change is in effect until the next reload`);
    }
  }

  /** The servers as lines: those with `resolve` as they are configured, the others as they are now. */
  #servers(): StateServer[] {
    const named = this.config.servers.filter(({ resolve }) => resolve);
    const peers = this.snapshot().peers.filter(({ resolved }) => !resolved);
    return [
      ...named,
      ...peers.map((peer): StateServer => {
        const t = this.#table;
        const bits = t.down[peer.slot]!;
        return {
          ...peer,
          down: (bits & DOWN) !== 0,
          drain: (bits & DRAINING) !== 0,
          resolve: false,
          service: null,
        };
      }),
    ];
  }

  /** Changes with every change of the group. */
  get version(): number {
    return Atomics.load(this.#table.head, H.version);
  }
}
