/** `/http/upstreams/` and `/stream/upstreams/`: groups, their servers, and changes of them. */
import { GroupError } from '../../control/group-error.ts';
import { isName } from '../../control/group-names.ts';
import type { Door, Groups, GroupSummary, ManagedGroup, PeerView } from '../../control/groups.ts';
import { BUCKET_BOUNDS } from '../../observe/histogram.ts';
import { ApiError, pathNotFound, statusOf } from '../errors.ts';
import { nameObject, readAddition, readChange, serverListText, serverObject } from './servers.ts';

/** What a method gives. */
export interface Outcome {
  status: number;
  /** An object; null: none. */
  value?: unknown;
  /**
   * Instead of `value`: its JSON in steps, for what speaks of thousands of servers.
   * @param fields of the query; null: all
   */
  steps?: (fields: Fields | null) => Generator<string, void>;
}

/** `?fields=a,b`; empty: names instead of what they stand for. */
export type Fields = ReadonlySet<string>;

const iso = (ms: number): string => new Date(ms).toISOString();

/** A peer of stream: sessions have no statuses, and times of their own. */
export function streamPeerObject(peer: PeerView, name: string, version: number): Record<string, unknown> {
  const all = peerObject(peer, name, version);
  const { requests, responses: _, header_time: __, response_time, response_time_hist, ...rest } = all;
  return {
    ...rest,
    connections: requests,
    ...(peer.connectMs === 0 ? null : { connect_time: Math.round(peer.connectMs) }),
    ...(peer.headerMs === 0 ? null : { first_byte_time: Math.round(peer.headerMs) }),
    ...(response_time === undefined ? null : { response_time }),
    ...(response_time_hist === undefined ? null : { response_time_hist }),
  };
}

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
    responses: { '1xx': one, '2xx': two, '3xx': three, '4xx': four, '5xx': five, ...codesOf(peer, version), total },
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

function codesOf({ codes }: PeerView, version: number): object | null {
  return version < 7 || codes === null ? null : { codes: Object.fromEntries(codes) };
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

/** What of a group is not its peers. */
function restOf({ zone, queue, idle, zombies }: GroupSummary, door: Door): Record<string, unknown> {
  return {
    ...(door === 'http' ? { keepalive: idle } : null),
    zombies,
    ...(zone === null ? null : { zone }),
    ...(queue === null ? null : { queue: { size: queue.size, max_size: queue.maxSize, overflows: queue.overflows } }),
  };
}

/** A group as JSON. @param wanted fields of it; null: all */
function* groupText(group: ManagedGroup, version: number, door: Door, wanted: Fields | null): Generator<string, void> {
  const { name } = group.config;
  const show = door === 'http' ? peerObject : streamPeerObject;
  let separator = '{';
  if (wanted === null || wanted.has('peers')) {
    yield '{"peers":[';
    let comma = '';
    for (const piece of group.pieces()) {
      for (const peer of piece) {
        yield comma + JSON.stringify(show(peer, name, version));
        comma = ',';
      }
    }
    yield ']';
    separator = ',';
  }
  for (const [field, value] of Object.entries(restOf(group.summary(), door))) {
    if (wanted !== null && !wanted.has(field)) continue;
    yield `${separator}${JSON.stringify(field)}:${JSON.stringify(value)}`;
    separator = ',';
  }
  yield separator === '{' ? '{}' : '}';
}

/** One group. */
function* oneText(group: ManagedGroup, version: number, door: Door, fields: Fields | null): Generator<string, void> {
  if (fields?.size === 0) yield JSON.stringify(['peers', ...Object.keys(restOf(group.summary(), door))]);
  else yield* groupText(group, version, door, fields);
}

/** All groups with a zone. */
function* allText(groups: Groups, version: number, door: Door, fields: Fields | null): Generator<string, void> {
  const all = groups
    .names()
    .map((name) => groups.get(name)!)
    .filter(({ config }) => config.zone !== null);
  if (fields?.size === 0) {
    yield JSON.stringify(all.map(({ config }) => config.name));
    return;
  }
  // what is asked for are fields of groups, unless it is groups
  const named = fields === null ? [] : all.filter(({ config }) => fields.has(config.name));
  let separator = '{';
  for (const group of named.length > 0 ? named : all) {
    yield `${separator}${JSON.stringify(group.config.name)}:`;
    yield* groupText(group, version, door, named.length > 0 ? null : fields);
    separator = ',';
  }
  yield separator === '{' ? '{}' : '}';
}

export class Upstreams {
  readonly #groups: Groups;
  readonly #door: Door;

  constructor(groups: Groups, door: Door) {
    this.#groups = groups;
    this.#door = door;
  }

  /** @param path behind `…/upstreams` @throws {ApiError} */
  async handle(method: string, version: number, path: readonly string[], body: string): Promise<Outcome> {
    const [name, part, id] = path;
    if (name === undefined) {
      allow(method, 'GET');
      return { status: 200, steps: (fields) => allText(this.#groups, version, this.#door, fields) };
    }
    const group = this.#groups.get(name);
    if (group === null) throw new ApiError(404, 'UpstreamNotFound', 'upstream not found');
    if (part === undefined) return this.#group(method, group, version);
    if (part !== 'servers' || path.length > 3) throw pathNotFound();
    if (group.config.zone === null) throw new ApiError(400, 'UpstreamStatic', `upstream "${name}" has no memory zone`);
    try {
      return id === undefined
        ? await servers(method, group, this.#door, body)
        : await server(method, group, this.#door, id, body);
    } catch (error) {
      if (error instanceof GroupError) throw new ApiError(statusOf(error.code), error.code, error.message);
      throw error;
    }
  }

  #group(method: string, group: ManagedGroup, version: number): Outcome {
    allow(method, 'GET', 'DELETE');
    if (method === 'DELETE') {
      group.resetCounters();
      return { status: 204, value: null };
    }
    return { status: 200, steps: (fields) => oneText(group, version, this.#door, fields) };
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

async function servers(method: string, group: ManagedGroup, door: Door, body: string): Promise<Outcome> {
  allow(method, 'GET', 'POST');
  if (method === 'GET') return { status: 200, steps: (fields) => serverListText(group, door, fields) };
  const addition = readAddition(body, door);
  const named = addition.service !== undefined || isName(addition.server);
  const value = named
    ? nameObject(await group.addName(addition), door)
    : serverObject(await group.add(addition), door, group);
  return { status: 201, value };
}

async function server(method: string, group: ManagedGroup, door: Door, text: string, body: string): Promise<Outcome> {
  allow(method, 'GET', 'PATCH', 'DELETE');
  const id = serverId(text);
  const name = group.names.get(id);
  if (method === 'DELETE') {
    await (name === null ? group.remove(id) : group.removeName(name));
    return { status: 200, steps: (fields) => serverListText(group, door, fields) };
  }
  if (name === null) {
    const peer = group.peer(id);
    const shown = method === 'GET' ? peer : await group.update(id, readChange(body, door));
    return { status: 200, value: serverObject(shown, door, group) };
  }
  const shown = method === 'GET' ? name : await group.updateName(name, readChange(body, door));
  return { status: 200, value: nameObject(shown, door) };
}
