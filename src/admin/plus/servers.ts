/** Servers of groups in the API's words: JSON in, `ServerAddition` out; snapshots in, JSON out. */
import { parseTime } from '../../config/units.ts';
import type { NameView } from '../../control/group-names.ts';
import type { Door, ManagedGroup, PeerView, ServerAddition, ServerChange } from '../../control/groups.ts';
import { ApiError } from '../errors.ts';
import type { Fields } from './upstreams.ts';

/** `10s`, `1500ms`. */
function time(ms: number): string {
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`;
}

/** The servers of a group as `/servers/` shows them, in JSON: addresses, and names with what they stand for. */
export function* serverListText(group: ManagedGroup, door: Door, fields: Fields | null): Generator<string, void> {
  let separator = '[';
  for (const object of servers(group, door)) {
    if (object === null) yield '';
    else {
      const shown = fields === null || fields.size === 0 ? object : only(object, fields);
      yield separator + JSON.stringify(shown);
      separator = ',';
    }
  }
  yield separator === '[' ? '[]' : ']';
}

/** Null: a step that gives nothing. */
function* servers(group: ManagedGroup, door: Door): Generator<Record<string, unknown> | null, void> {
  const names = group.names.list();
  const children = new Map<number, PeerView[]>(names.map(({ index }) => [index, []]));
  const others: PeerView[] = [];
  for (const piece of group.pieces()) {
    for (const peer of piece) ((peer.resolved ? children.get(peer.serverIndex) : undefined) ?? others).push(peer);
    yield null;
  }
  for (const name of names) {
    yield nameObject(name, door);
    for (const peer of children.get(name.index)!) yield serverObject(peer, door, group);
  }
  for (const peer of others) yield serverObject(peer, door, group);
}

/** The fields of an object that are wanted. */
export function only(object: Record<string, unknown>, wanted: Fields): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([name]) => wanted.has(name)));
}

/** A name as `/servers/` shows it. */
export function nameObject({ id, server: s }: NameView, door: Door): Record<string, unknown> {
  return {
    id,
    server: s.server,
    ...(s.service === null ? null : { service: s.service }),
    weight: s.weight,
    max_conns: s.maxConns,
    max_fails: s.maxFails,
    fail_timeout: time(s.failTimeoutSec * 1000),
    slow_start: time(s.slowStartMs),
    ...(door === 'http' ? { route: s.route ?? '' } : null),
    backup: s.backup,
    down: s.down,
    ...(s.drain ? { drain: true } : null),
  };
}

/** A server as `/servers/` shows it. */
export function serverObject(peer: PeerView, door: Door, group: ManagedGroup): Record<string, unknown> {
  return {
    id: peer.id,
    server: peer.resolved || !peer.server.includes(':') ? peer.address : peer.server,
    weight: peer.weight,
    max_conns: peer.maxConns,
    max_fails: peer.maxFails,
    fail_timeout: time(peer.failTimeoutSec * 1000),
    slow_start: time(peer.slowStartMs),
    ...(door === 'http' ? { route: peer.route ?? '' } : null),
    backup: peer.backup,
    down: peer.state === 'down',
    ...(peer.state === 'draining' ? { drain: true } : null),
    ...(peer.resolved ? { parent: group.names.idOf(peer.serverIndex), host: peer.server } : null),
  };
}

type Field = (value: unknown, name: string) => Partial<ServerAddition>;

function whole(code: string, apply: (n: number) => Partial<ServerAddition>, least = 0): Field {
  return (value, name) => {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > 0x7fffffff) {
      throw new ApiError(400, code, `invalid "${name}" value`);
    }
    return apply(value);
  };
}

function duration(code: string, apply: (ms: number) => Partial<ServerAddition>, unit: 'ms' | 's'): Field {
  return (value, name) => {
    const text = typeof value === 'number' ? String(value) : value;
    const parsed = typeof text === 'string' ? parseTime(text, unit) : null;
    if (parsed === null) throw new ApiError(400, code, `invalid "${name}" value`);
    return apply(parsed);
  };
}

function flag(apply: (on: boolean) => Partial<ServerAddition>): Field {
  return (value, name) => {
    if (typeof value !== 'boolean') throw new ApiError(400, 'UpstreamConfFormatError', `invalid "${name}" value`);
    return apply(value);
  };
}

function text(code: string, apply: (text: string) => Partial<ServerAddition>): Field {
  return (value, name) => {
    if (typeof value !== 'string') throw new ApiError(400, code, `invalid "${name}" value`);
    return apply(value);
  };
}

const FIELDS: Readonly<Record<string, Field>> = {
  server: text('UpstreamBadAddress', (server) => ({ server })),
  service: (value) => {
    if (typeof value !== 'string' || value === '') throw new ApiError(400, 'UpstreamBadService', 'service is empty');
    return { service: value };
  },
  weight: whole('UpstreamBadWeight', (weight) => ({ weight }), 1),
  max_conns: whole('UpstreamBadMaxConns', (maxConns) => ({ maxConns })),
  max_fails: whole('UpstreamBadMaxFails', (maxFails) => ({ maxFails })),
  fail_timeout: duration('UpstreamBadFailTimeout', (failTimeoutSec) => ({ failTimeoutSec }), 's'),
  slow_start: duration('UpstreamBadSlowStart', (slowStartMs) => ({ slowStartMs }), 'ms'),
  route: text('UpstreamBadRoute', (route) => (route === '' ? {} : { route })),
  backup: flag((backup) => ({ backup })),
  down: flag((down) => ({ down })),
  drain: flag((drain) => ({ drain })),
};

/** What servers of stream have not. */
const HTTP_ONLY: ReadonlySet<string> = new Set(['route', 'drain']);

/** What PATCH may not change. */
const FIXED: ReadonlySet<string> = new Set(['server', 'backup', 'route', 'service', 'id']);

function parse(body: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (error) {
    throw new ApiError(415, 'JsonError', `json error: ${(error as Error).message}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ApiError(400, 'UpstreamConfFormatError', 'an object is expected');
  }
  return value as Record<string, unknown>;
}

function read(given: Record<string, unknown>, allowed: (name: string) => boolean): Partial<ServerAddition> {
  const result: Partial<ServerAddition> = {};
  for (const [name, value] of Object.entries(given)) {
    const field = FIELDS[name];
    if (field === undefined || !allowed(name)) {
      throw new ApiError(400, 'UpstreamConfFormatError', `unknown parameter "${name}"`);
    }
    if (typeof value === 'object' && value !== null) {
      throw new ApiError(400, 'UpstreamConfFormatError', `nested object or list in parameter "${name}"`);
    }
    Object.assign(result, field(value, name));
  }
  return result;
}

/** The body of a POST. @throws {ApiError} */
export function readAddition(body: string, door: Door): ServerAddition {
  const given = parse(body);
  if (given.server === undefined) {
    throw new ApiError(400, 'UpstreamConfFormatError', 'missing "server" argument');
  }
  return read(given, (name) => door === 'http' || !HTTP_ONLY.has(name)) as ServerAddition;
}

/** The body of a PATCH. @throws {ApiError} */
export function readChange(body: string, door: Door): ServerChange {
  return read(parse(body), (name) => !FIXED.has(name) && (door === 'http' || !HTTP_ONLY.has(name)));
}

/** The same out of the query of `upstream_conf`, where everything is text. @throws {ApiError} */
export function readArguments(args: ReadonlyMap<string, string>, door: Door): Partial<ServerAddition> {
  const given: Record<string, unknown> = {};
  for (const [name, value] of args) {
    if (name === 'down' || name === 'drain' || name === 'backup') given[name] = true;
    else if (name === 'up') given.down = false;
    else if (/^(?:weight|max_conns|max_fails)$/.test(name)) given[name] = /^\d+$/.test(value) ? Number(value) : value;
    else given[name] = value;
  }
  return read(given, (name) => door === 'http' || !HTTP_ONLY.has(name));
}
