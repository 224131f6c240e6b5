/** Looks at everything that the page shows, and says what has changed since the last look. */
import { hostname } from 'node:os';
import type { BalancerConfig, StickyConfig, UpstreamConfig } from '../../config/model.ts';
import type { AdminView } from '../../control/admin-desk.ts';
import type { GroupView, Groups, ManagedGroup, PeerView } from '../../control/groups.ts';
import { trafficRows } from '../../observe/traffic.ts';
import { VERSION } from '../../version.ts';
import { classes, type Counters } from '../plus/counters.ts';
import { type GroupData, type GroupInfo, type NodeFrame, type PeerFrame, STATES } from './frame.ts';
import type { ProcessFrame, WorkerFrame, ZoneFrame } from './frame.ts';

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
export function groupInfo(door: 'http' | 'stream', config: UpstreamConfig, view: GroupView): GroupInfo {
  return {
    door,
    name: view.name,
    method: methodText(config.balancer),
    sticky: stickyText(config.sticky),
    zone: view.zone,
    queueSize: view.queue?.maxSize ?? 0,
    checked: view.peers.some(({ health }) => health !== null),
    stateFile: config.stateFile !== null,
    peers: view.peers.map((peer) => ({
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
    })),
  };
}

/** The numbers, in the order of `P`. */
export function peerFrame(peer: PeerView, door: 'http' | 'stream'): PeerFrame {
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

export function groupData(door: 'http' | 'stream', { peers, queue, zombies }: GroupView): GroupData {
  return {
    peers: peers.map((peer) => peerFrame(peer, door)),
    queue: [queue?.size ?? 0, queue?.overflows ?? 0],
    zombies,
  };
}

/** JSON of the parts of a frame, by key. */
interface Look {
  infos: Map<string, string>;
  datas: Map<string, string>;
  zones: Map<string, string>;
  /** `"now":…,"process":…,"workers":…` */
  rest: string;
}

export class Sampler {
  readonly #view: AdminView;
  readonly #counters: Counters;
  #last: Look | null = null;
  #before: Look | null = null;

  constructor(view: AdminView, counters: Counters) {
    this.#view = view;
    this.#counters = counters;
  }

  /** Looks anew. */
  look(): void {
    this.#before = this.#last;
    const look: Look = { infos: new Map(), datas: new Map(), zones: new Map(), rest: '' };
    this.#groups('http', this.#view.groups, look);
    this.#groups('stream', this.#view.streamGroups, look);
    for (const zone of this.#zones()) look.zones.set(zone.key, JSON.stringify(zone));
    const process = JSON.stringify(this.#process());
    look.rest = `"now":${Date.now()},"process":${process},"workers":${JSON.stringify(this.#workers())}`;
    this.#last = look;
  }

  /** Forgets what it saw: the next look is compared with nothing. */
  forget(): void {
    this.#last = null;
    this.#before = null;
  }

  /** The whole of the last look, as JSON of a `Frame`. @param api of the page */
  full(api: string | null): string {
    if (this.#last === null) this.look();
    const write = api === null ? null : { api };
    const head = `"full":true,"node":${JSON.stringify(this.#node())},"write":${JSON.stringify(write)}`;
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
    const zones = [...look.zones].filter(([key, zone]) => before?.zones.get(key) !== zone).map(([, zone]) => zone);
    return `{${head},${look.rest},"zones":[${zones.join(',')}],"groups":[${groups.join(',')}]}`;
  }

  #groups(door: 'http' | 'stream', groups: Groups, look: Look): void {
    for (const name of groups.names()) {
      const group = groups.get(name) as ManagedGroup;
      const view = group.snapshot();
      const key = `${door} ${name}`;
      look.infos.set(key, JSON.stringify(groupInfo(door, group.config, view)));
      look.datas.set(key, JSON.stringify(groupData(door, view)));
    }
  }

  #zones(): ZoneFrame[] {
    return (['server', 'location'] as const).flatMap((kind) =>
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
