/**
 * The main thread's side of the Kong door: makes groups of upstreams, keeps their tables, tells workers what has changed, and
 * answers for their health. A change of one upstream touches its table and nothing else; workers read it there.
 */
import {
  hostConfig,
  hostKey,
  type KongChange,
  type KongGroup,
  type KongState,
  upstreamConfig,
  upstreamKey,
} from '../../config/kong/groups.ts';
import type {
  KongConfig,
  KongDataPlane,
  KongMark,
  KongMarkResult,
  KongService,
  KongUpdate,
  KongUpstream,
  KongUpstreamHealth,
} from '../../config/kong/model.ts';
import type { UpstreamConfig } from '../../config/model.ts';
import { checksOf } from '../../health/kong/rules.ts';
import type { ErrorLog } from '../../observe/error-log.ts';
import { reclaimWorker } from '../../upstream/table/reclaim.ts';
import { describeHealth } from './describe.ts';
import { type NameServer, Names } from './names.ts';
import { PlaneGroup } from './group.ts';
import { HealthMemory } from './memory.ts';

export interface KongPlaneOptions {
  log: ErrorLog;
  /** Room for this many worker threads. */
  maxWorkers: number;
  /** Name servers; none: the system is asked. */
  nameServers(): NameServer[];
  /** Tells all workers. */
  send(change: KongChange): void;
}

export class KongPlane implements KongDataPlane {
  readonly #options: KongPlaneOptions;
  /** What workers are begun with; its fields change, it stays. */
  readonly state: KongState = {
    serial: 0,
    routes: [],
    services: [],
    certificates: [],
    caCertificates: [],
    groups: [],
  };
  /** Made with the first group. */
  #names: Names | null = null;
  readonly #memory = new HealthMemory();
  readonly #groups = new Map<string, PlaneGroup>();
  readonly #upstreams = new Map<string, KongUpstream>();

  constructor(options: KongPlaneOptions) {
    this.#options = options;
  }

  load({ routes, services, certificates, caCertificates, upstreams }: KongConfig): void {
    const ids = new Set(upstreams.map(({ id }) => id));
    const removed = [...this.#upstreams.keys()].filter((id) => !ids.has(id));
    this.#change({ routes, services, certificates, caCertificates }, { set: upstreams, removed });
  }

  apply({ routes, services, certificates, caCertificates, upstreams, marks }: KongUpdate): void {
    const lists = {
      ...(routes === undefined ? null : { routes }),
      ...(services === undefined ? null : { services }),
      ...(certificates === undefined ? null : { certificates }),
      ...(caCertificates === undefined ? null : { caCertificates }),
    };
    this.#change(lists, upstreams ?? { set: [], removed: [] });
    for (const mark of marks ?? []) this.mark(mark);
  }

  #change(lists: Omit<KongChange, 'serial' | 'groups'>, upstreams: { set: KongUpstream[]; removed: string[] }): void {
    Object.assign(this.state, lists);
    const set: KongGroup[] = [];
    const removed = new Set<string>();
    for (const id of upstreams.removed) this.#forget(id, removed);
    for (const upstream of upstreams.set) {
      // It may have another name now.
      if (this.#upstreams.get(upstream.id)?.name !== upstream.name) this.#forget(upstream.id, removed);
      this.#upstreams.set(upstream.id, upstream);
      const key = upstreamKey(upstream.name);
      removed.delete(key);
      set.push(this.#put(key, upstream, upstreamConfig(upstream)));
    }
    if (lists.certificates !== undefined) for (const group of this.#groups.values()) group.followChecks();
    if (lists.services !== undefined || removed.size > 0 || set.length > 0) this.#followHosts(set, removed);
    const touched = set.length > 0 || removed.size > 0;
    if (touched) this.state.groups = [...this.#groups.values()].map(({ data }) => data);
    if (!touched && Object.keys(lists).length === 0) return;
    const serial = ++this.state.serial;
    this.#options.send({ ...lists, serial, ...(touched ? { groups: { set, removed: [...removed] } } : null) });
  }

  #forget(id: string, removed: Set<string>): void {
    const upstream = this.#upstreams.get(id);
    if (upstream === undefined) return;
    this.#upstreams.delete(id);
    this.#remove(upstreamKey(upstream.name), removed);
  }

  #remove(key: string, removed: Set<string>): void {
    this.#groups.get(key)?.close();
    if (this.#groups.delete(key)) removed.add(key);
  }

  #put(key: string, upstream: KongUpstream | null, config: UpstreamConfig): KongGroup {
    const known = this.#groups.get(key);
    if (known !== undefined) {
      known.replace(upstream, config);
      return known.data;
    }
    const { log, maxWorkers } = this.#options;
    const certificate = (id: string): { cert: string; key: string } | null =>
      this.state.certificates.find((one) => one.id === id) ?? null;
    const names = (this.#names ??= new Names(this.#options.nameServers(), log.write.bind(log)));
    const group = new PlaneGroup({ key, log, maxWorkers, names, memory: this.#memory, certificate }, upstream, config);
    this.#groups.set(key, group);
    return group.data;
  }

  /** Groups of services whose host is no upstream's name. */
  #followHosts(set: KongGroup[], removed: Set<string>): void {
    const wanted = new Map<string, KongService>();
    for (const service of this.state.services) {
      if (this.#groups.has(upstreamKey(service.host))) continue;
      wanted.set(hostKey(service.host, service.port), service);
    }
    for (const key of this.#groups.keys()) {
      if (key.startsWith('host ') && !wanted.has(key)) this.#remove(key, removed);
    }
    for (const [key, { host, port }] of wanted) {
      if (!this.#groups.has(key)) set.push(this.#put(key, null, hostConfig(host, port)));
    }
  }

  health(id: string): KongUpstreamHealth | null {
    const upstream = this.#upstreams.get(id);
    const group = upstream === undefined ? undefined : this.#groups.get(upstreamKey(upstream.name));
    return upstream === undefined || group === undefined ? null : describeHealth(upstream, group);
  }

  mark({ upstream: id, target: targetId, address, healthy }: KongMark): KongMarkResult {
    const upstream = this.#upstreams.get(id);
    const target = upstream?.targets.findIndex((one) => one.id === targetId) ?? -1;
    if (upstream === undefined || target < 0) return 'not found';
    if (!checksOf(upstream.healthchecks).any) return 'no healthchecker';
    const group = this.#groups.get(upstreamKey(upstream.name));
    const { port: own } = upstream.targets[target]!;
    const marked = (group?.peersOf(target) ?? []).filter(
      (peer) => address === null || (sameAddress(peer.host, address.ip) && (address.port ?? own) === peer.port),
    );
    if (group === undefined || marked.length === 0) return address === null ? 'done' : 'not found';
    for (const peer of marked) group.mark(peer, healthy);
    return 'done';
  }

  /** Gives back what a dead worker held. */
  reclaim(workerId: number): void {
    for (const { data } of this.#groups.values()) reclaimWorker(data.table, workerId);
  }

  close(): void {
    for (const group of this.#groups.values()) group.close();
    this.#names?.close();
  }
}

const plainAddress = (text: string): string =>
  text
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase()
    .replace(/\b0+(?=[\da-f])/g, '');

/** IPv6 may be written short or long. */
function sameAddress(a: string, b: string): boolean {
  return a === b || (a.includes(':') && b.includes(':') && expanded(a) === expanded(b));
}

function expanded(text: string): string {
  const [head = '', tail] = plainAddress(text).split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const missing = tail === undefined ? 0 : 8 - left.length - right.length;
  return [...left, ...Array.from({ length: Math.max(0, missing) }, () => '0'), ...right].join(':');
}
