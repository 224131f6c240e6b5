/** Looks at everything that the page shows, and says what has changed since the last look. */
import { hostname } from 'node:os';
import type { BalancerConfig, StickyConfig, UpstreamConfig } from '../../config/model.ts';
import type { AdminView } from '../../control/admin-desk.ts';
import type { NameView } from '../../control/group-names.ts';
import type { Door, GroupSummary, ManagedGroup, PeerView } from '../../control/groups.ts';
import { trafficRows } from '../../observe/traffic.ts';
import { runSliced } from '../../shared/slices.ts';
import { VERSION } from '../../version.ts';
import { Collections } from '../plus/collections.ts';
import { classes, type Counters } from '../plus/counters.ts';
import { type GroupData, type GroupInfo, type NodeFrame, type PeerFrame, type PeerInfo, STATES } from './frame.ts';
import type { PastFrame, ProcessFrame, WorkerFrame, ZoneFrame } from './frame.ts';

const round = (ms: number): number => Math.round(ms * 10) / 10;

function methodText(balancer: BalancerConfig): string {
  switch (balancer.kind) {
    case 'round_robin':
      return 'round robin';
    case 'hash':
      return `hash ${balancer.key}${balancer.consistent ? ' consistent' : ''}`;
    case 'least_time':
      return `least_time ${balancer.mode}${balancer.inflight ? ' inflight' : ''}`;
    case 'random': {
      const { two } = balancer;
      if (two === null) return 'random';
      return two.kind === 'least_conn' ? 'random two least_conn' : `random two least_time=${two.mode}`;
    }
    default:
      return balancer.kind;
  }
}

function stickyText(sticky: StickyConfig | null): string {
  if (sticky === null) return '';
  if (sticky.mode === 'cookie') return `sticky cookie ${sticky.name}`;
  return sticky.mode === 'route' ? 'sticky route' : `sticky learn ${sticky.zone.name}`;
}

/** @param checked its servers are probed */
function groupInfo(
  door: Door,
  config: UpstreamConfig,
  view: GroupSummary,
  names: readonly NameView[],
  checked: boolean,
): Omit<GroupInfo, 'peers'> {
  return {
    door,
    name: view.name,
    method: methodText(config.balancer),
    sticky: stickyText(config.sticky),
    zone: view.zone,
    queueSize: view.queue?.maxSize ?? 0,
    checked,
    stateFile: config.stateFile !== null,
    names: names.map(({ id, server }) => ({ id, server: server.server, service: server.service ?? '' })),
  };
}

function peerInfo(peer: PeerView): PeerInfo {
  return {
    id: peer.id,
    address: peer.address,
    name: peer.server,
    backup: peer.backup,
    resolved: peer.resolved,
    weight: peer.weight,
    maxConns: peer.maxConns,
    maxFails: peer.maxFails,
    failTimeoutSec: peer.failTimeoutSec,
    slowStartMs: peer.slowStartMs,
  };
}

/** The numbers, in the order of `P`. */
function peerFrame(peer: PeerView, door: Door): PeerFrame {
  const { health, responses } = peer;
  const passed = health?.lastPassed ?? null;
  return [
    peer.id,
    STATES.indexOf(peer.state),
    peer.conns,
    peer.requests,
    ...responses,
    peer.sent,
    peer.received,
    peer.failsTotal,
    peer.unavail,
    peer.downStartMs,
    round(door === 'http' ? peer.headerMs : peer.connectMs),
    round(door === 'http' ? peer.responseMs : peer.headerMs),
    health?.checks ?? 0,
    health?.fails ?? 0,
    health?.unhealthy ?? 0,
    passed === null ? -1 : Number(passed),
    round(peer.histSumMs),
    ...peer.hist,
  ];
}

function groupRest({ queue, zombies }: GroupSummary): Omit<GroupData, 'peers'> {
  return { queue: [queue?.size ?? 0, queue?.overflows ?? 0], zombies };
}

/** JSON of the parts of a frame, by key. */
interface Look {
  infos: Map<string, string>;
  datas: Map<string, string>;
  zones: Map<string, string>;
  counted: Map<string, string>;
  /** `"now":…,"process":…,"workers":…` */
  rest: string;
}

export class Sampler {
  readonly #view: AdminView;
  readonly #counters: Counters;
  readonly #collections: Collections;
  #last: Look | null = null;
  #before: Look | null = null;
  /** Counts up when it forgets: what was begun before is not finished. */
  #run = 0;
  readonly #infos = new Map<string, { group: ManagedGroup; state: string; json: string }>();

  constructor(view: AdminView, counters: Counters) {
    this.#view = view;
    this.#counters = counters;
    this.#collections = new Collections(view);
  }

  /** There is something to show. */
  get seen(): boolean {
    return this.#last !== null;
  }

  /** Looks anew, in slices. */
  look(): Promise<void> {
    const run = this.#run;
    return runSliced(this.#steps(), () => run === this.#run);
  }

  *#steps(): Generator<void, void> {
    const look: Look = { infos: new Map(), datas: new Map(), zones: new Map(), counted: new Map(), rest: '' };
    const doors = [
      ['http', this.#view.groups],
      ['stream', this.#view.streamGroups],
    ] as const;
    for (const [door, groups] of doors) {
      for (const name of groups.names()) {
        const group = groups.get(name);
        if (group === null) continue;
        yield* this.#group(door, group, look);
      }
    }
    for (const zone of this.#zones()) {
      look.zones.set(zone.key, JSON.stringify(zone));
      yield;
    }
    for (const { path, name, value } of this.#collections.all()) {
      const key = `${path} ${name}`;
      look.counted.set(key, JSON.stringify({ key, path, name, value }));
    }
    const process = JSON.stringify(this.#process());
    look.rest = `"now":${Date.now()},"process":${process},"workers":${JSON.stringify(this.#workers())}`;
    this.#before = this.#last;
    this.#last = look;
  }

  /** Forgets what it saw: the next look is compared with nothing. */
  forget(): void {
    this.#run++;
    this.#last = null;
    this.#before = null;
    this.#infos.clear();
  }

  /** The whole of the last look (there must be one), as JSON of a `Frame`. @param api of the page @param past what was before */
  full(api: string | null, past: PastFrame | null): string {
    const write = api === null ? null : { api };
    const head = `"full":true,"node":${JSON.stringify(this.#node())},"write":${JSON.stringify(write)},"past":${JSON.stringify(past)}`;
    return this.#frame(this.#last!, null, head);
  }

  /** What the last look has that the one before had not, as JSON of a `Frame`. */
  changes(): string {
    return this.#frame(this.#last!, this.#before, '"full":false');
  }

  #frame(look: Look, before: Look | null, head: string): string {
    const groups: string[] = [];
    for (const [key, info] of look.infos) {
      const data = look.datas.get(key)!;
      const sameInfo = before?.infos.get(key) === info;
      const sameData = before?.datas.get(key) === data;
      if (sameInfo && sameData) continue;
      const parts = [`"key":${JSON.stringify(key)}`];
      if (!sameInfo) parts.push(`"info":${info}`);
      if (!sameData) parts.push(`"data":${data}`);
      groups.push(`{${parts.join(',')}}`);
    }
    const fresh = (what: 'zones' | 'counted'): string =>
      [...look[what]]
        .filter(([key, json]) => before?.[what].get(key) !== json)
        .map(([, json]) => json)
        .join(',');
    return `{${head},${look.rest},"zones":[${fresh('zones')}],"counted":[${fresh('counted')}],"groups":[${groups.join(',')}]}`;
  }

  *#group(door: Door, group: ManagedGroup, look: Look): Generator<void, void> {
    const key = `${door} ${group.config.name}`;
    const checked = group.health !== null;
    const names = group.names.list();
    const { version } = group;
    // A name that has come or gone changes the table with its first answer only.
    const state = `${version} ${checked} ${names.map(({ id }) => id).join(' ')}`;
    // What seldom changes is written anew only when it has.
    const known = this.#infos.get(key);
    let info = known?.group === group && known.state === state ? known.json : null;
    let peers = yield* this.#peers(door, group, info === null);
    // Somebody came or went meanwhile: both lists must be of one walk.
    if (info !== null && group.version !== version) {
      info = null;
      peers = yield* this.#peers(door, group, true);
    }
    const summary = group.summary();
    if (info === null) {
      const rest = JSON.stringify(groupInfo(door, group.config, summary, names, checked));
      info = `{"peers":[${peers.infos.join(',')}],${rest.slice(1)}`;
      this.#infos.set(key, { group, state, json: info });
    }
    look.infos.set(key, info);
    look.datas.set(key, `{"peers":[${peers.frames.join(',')}],${JSON.stringify(groupRest(summary)).slice(1)}`);
  }

  /** JSON of the servers of a group. @param told also what seldom changes */
  *#peers(door: Door, group: ManagedGroup, told: boolean): Generator<void, { infos: string[]; frames: string[] }> {
    const infos: string[] = [];
    const frames: string[] = [];
    for (const piece of group.pieces()) {
      for (const peer of piece) {
        frames.push(JSON.stringify(peerFrame(peer, door)));
        if (told) infos.push(JSON.stringify(peerInfo(peer)));
      }
      yield;
    }
    return { infos, frames };
  }

  #zones(): ZoneFrame[] {
    return (['server', 'location', 'stream'] as const).flatMap((kind) =>
      [...this.#counters.zoneTotals(kind)].map(([name, totals]) => ({
        key: `${kind} ${name}`,
        kind,
        name,
        processing: totals.processing,
        requests: totals.requests,
        responses: classes(totals.codes),
        discarded: totals.discarded,
        received: totals.received,
        sent: totals.sent,
        timeMs: round(totals.timeMs),
        hist: totals.hist,
      })),
    );
  }

  #node(): NodeFrame {
    const view = this.#view;
    const { data, config } = view.generation();
    return {
      version: VERSION,
      pid: process.pid,
      host: hostname(),
      startedAt: view.startedAt,
      loadedAt: view.loadedAt(),
      generation: data.id,
      file: config.file,
    };
  }

  #process(): ProcessFrame {
    const counters = this.#counters;
    const { accepted, active, idle } = counters.connections();
    const { total, current } = counters.requests();
    const { user, system } = process.cpuUsage();
    return {
      rss: process.memoryUsage.rss(),
      cpuMs: Math.round((user + system) / 1000),
      accepted: accepted!,
      active: active!,
      idle: idle!,
      requests: total!,
      current: current!,
      respawned: counters.respawned(),
    };
  }

  #workers(): WorkerFrame[] {
    const rows = trafficRows(this.#view.generation().data.traffic);
    return this.#view.workers().map(({ id, number, busyMs, idleMs }) => {
      const { accepted, closed, begun, ended } = rows[id]!;
      return {
        id,
        number,
        busyMs: Math.round(busyMs),
        idleMs: Math.round(idleMs),
        connections: Math.max(0, accepted - closed),
        current: Math.max(0, begun - ended),
        accepted,
        requests: begun,
      };
    });
  }
}
