/** `/http/upstreams/`: groups, their servers, and changes of them. */
import { GroupError } from '../../control/groups.ts';
import type { GroupView, Groups, ManagedGroup, PeerView } from '../../control/groups.ts';
import { BUCKET_BOUNDS } from '../../observe/histogram.ts';
import { ApiError, pathNotFound, statusOf } from '../errors.ts';
import { readAddition, readChange, serverObject } from './servers.ts';

/** What a method gives: a status and an object, null for none. */
export interface Outcome {
  status: number;
  value: unknown;
}

const iso = (ms: number): string => new Date(ms).toISOString();

/** A peer as `/upstreams/NAME/` shows it. */
export function peerObject(peer: PeerView, name: string, version: number): Record<string, unknown> {
  const [one, two, three, four, five] = peer.responses;
  const total = one + two + three + four + five;
  const { health } = peer;
  return {
    id: peer.id,
    server: peer.address,
    name: peer.server === '' ? name : peer.server,
    backup: peer.backup,
    weight: peer.weight,
    state: peer.state,
    active: peer.conns,
    ...(peer.maxConns === 0 ? null : { max_conns: peer.maxConns }),
    requests: peer.requests,
    responses: { '1xx': one, '2xx': two, '3xx': three, '4xx': four, '5xx': five, total },
    sent: peer.sent,
    received: peer.received,
    fails: peer.failsTotal,
    unavail: peer.unavail,
    health_checks: {
      checks: health?.checks ?? 0,
      fails: health?.fails ?? 0,
      unhealthy: health?.unhealthy ?? 0,
      ...(health === null || health.lastPassed === null ? null : { last_passed: health.lastPassed }),
    },
    downtime: Math.round(peer.downtimeMs),
    ...(peer.downStartMs === 0 ? null : { downstart: iso(peer.downStartMs) }),
    ...(peer.selectedMs === 0 ? null : { selected: iso(peer.selectedMs) }),
    ...(peer.headerMs === 0 ? null : { header_time: Math.round(peer.headerMs) }),
    ...(peer.responseMs === 0 ? null : { response_time: Math.round(peer.responseMs) }),
    ...(version < 9 ? null : { response_time_hist: histogram(peer.hist, peer.histSumMs) }),
  };
}

/** As version 9 shows it: each bucket holds what is no slower. */
export function histogram(counts: readonly number[], sum: number): Record<string, unknown> {
  let total = 0;
  const buckets: [string, number][] = counts.map((count, i) => {
    total += count;
    return [i < BUCKET_BOUNDS.length ? String(BUCKET_BOUNDS[i]) : 'inf', total];
  });
  return { count: total, sum: Math.round(sum), buckets: Object.fromEntries(buckets) };
}

export function groupObject({ name, zone, peers, queue, zombies }: GroupView, version = 9): Record<string, unknown> {
  return {
    peers: peers.map((peer) => peerObject(peer, name, version)),
    zombies,
    ...(zone === null ? null : { zone }),
    ...(queue === null ? null : { queue: { size: queue.size, max_size: queue.maxSize, overflows: queue.overflows } }),
  };
}

export class Upstreams {
  readonly #groups: Groups;

  constructor(groups: Groups) {
    this.#groups = groups;
  }

  /** @param path behind `/http/upstreams` @throws {ApiError} */
  async handle(method: string, version: number, path: readonly string[], body: string): Promise<Outcome> {
    const [name, part, id] = path;
    if (name === undefined) return { status: 200, value: this.#all(method, version) };
    const group = this.#groups.get(name);
    if (group === null) throw new ApiError(404, 'UpstreamNotFound', 'upstream not found');
    if (part === undefined) return this.#group(method, group, version);
    if (part !== 'servers' || path.length > 3) throw pathNotFound();
    if (group.config.zone === null) throw new ApiError(400, 'UpstreamStatic', `upstream "${name}" has no memory zone`);
    try {
      return id === undefined ? await servers(method, group, body) : await server(method, group, id, body);
    } catch (error) {
      if (error instanceof GroupError) throw new ApiError(statusOf(error.code), error.code, error.message);
      throw error;
    }
  }

  #all(method: string, version: number): Record<string, unknown> {
    allow(method, 'GET');
    return Object.fromEntries(
      this.#groups
        .names()
        .map((name) => this.#groups.get(name)!)
        .filter(({ config }) => config.zone !== null)
        .map((group) => [group.config.name, groupObject(group.snapshot(), version)]),
    );
  }

  #group(method: string, group: ManagedGroup, version: number): Outcome {
    allow(method, 'GET', 'DELETE');
    if (method === 'DELETE') {
      group.resetCounters();
      return { status: 204, value: null };
    }
    return { status: 200, value: groupObject(group.snapshot(), version) };
  }
}

/** @throws {ApiError} MethodDisabled */
export function allow(method: string, ...methods: string[]): void {
  if (!methods.includes(method)) throw new ApiError(405, 'MethodDisabled', 'method disabled');
}

function serverId(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new ApiError(400, 'UpstreamBadServerId', 'invalid server id');
  return Number(text);
}

async function servers(method: string, group: ManagedGroup, body: string): Promise<Outcome> {
  allow(method, 'GET', 'POST');
  if (method === 'GET') return { status: 200, value: group.snapshot().peers.map(serverObject) };
  return { status: 201, value: serverObject(await group.add(readAddition(body))) };
}

async function server(method: string, group: ManagedGroup, text: string, body: string): Promise<Outcome> {
  allow(method, 'GET', 'PATCH', 'DELETE');
  const id = serverId(text);
  if (method === 'GET') return { status: 200, value: serverObject(group.peer(id)) };
  if (method === 'PATCH') {
    group.peer(id);
    return { status: 200, value: serverObject(await group.update(id, readChange(body))) };
  }
  await group.remove(id);
  return { status: 200, value: group.snapshot().peers.map(serverObject) };
}
