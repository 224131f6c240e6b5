/**
 * The API of NGINX Plus, versions 1 to 9 (ngx_http_api_module): paths, methods, objects. What Headrace has no data for is not
 * there, and not listed.
 */
import { randomBytes } from 'node:crypto';
import type { AdminView } from '../../control/admin-desk.ts';
import type { AdminReply, AdminRequest } from '../../http/handlers/admin.ts';
import { NGINX_VERSION, VERSION } from '../../version.ts';
import { ApiError, errorBody, pathNotFound } from '../errors.ts';
import { Collections } from './collections.ts';
import type { SteppedReply } from '../sliced-answer.ts';
import type { Counters } from './counters.ts';
import { KeyvalObjects } from './keyvals.ts';
import { openApi } from './openapi.ts';
import { only } from './servers.ts';
import { allow, Upstreams } from './upstreams.ts';
import type { Fields, Outcome } from './upstreams.ts';

const VERSIONS = [1, 2, 3, 4, 5, 6, 7, 8, 9];

export class PlusApi {
  readonly #view: AdminView;
  readonly #counters: Counters;
  readonly #upstreams: Upstreams;
  readonly #streamUpstreams: Upstreams;
  readonly #keyvals: KeyvalObjects;
  readonly #streamKeyvals: KeyvalObjects;
  readonly #collections: Collections;

  constructor(view: AdminView, counters: Counters) {
    this.#view = view;
    this.#counters = counters;
    this.#upstreams = new Upstreams(view.groups, 'http');
    this.#streamUpstreams = new Upstreams(view.streamGroups, 'stream');
    this.#keyvals = new KeyvalObjects(view, 'http');
    this.#streamKeyvals = new KeyvalObjects(view, 'stream');
    this.#collections = new Collections(view);
  }

  /** @returns a reply, or the steps that make one */
  async answer(request: AdminRequest): Promise<AdminReply | SteppedReply> {
    let outcome: Outcome;
    try {
      outcome = await this.#route(request);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const body = errorBody(error, randomBytes(16).toString('hex'));
      const fields: [string, string][] = error.status === 405 ? [['Allow', request.writable ? WRITE : READ]] : [];
      return json(error.status, body, fields);
    }
    const { status, value, steps } = outcome;
    const given = new URLSearchParams(request.args).get('fields');
    const fields = given === null ? null : new Set(given.split(',').filter((name) => name !== ''));
    if (steps !== undefined) return { head: { status, fields: JSON_FIELDS }, steps: steps(fields) };
    if (value === null) return { status, fields: [], body: '', more: false };
    return json(status, selected(value, fields));
  }

  async #route({ method, path, args, body, writable, address }: AdminRequest): Promise<Outcome> {
    const [version, ...rest] = path
      .split('/')
      .filter((part) => part !== '')
      .map(decode);
    if (method !== 'GET' && method !== 'HEAD' && !writable) {
      throw new ApiError(405, 'MethodDisabled', 'method disabled');
    }
    const verb = method === 'HEAD' ? 'GET' : method;
    if (version === undefined) return get(verb, VERSIONS);
    if (version === 'openapi.json') return get(verb, openApi());
    if (!VERSIONS.includes(Number(version)) || !/^\d$/.test(version)) {
      throw new ApiError(404, 'UnknownVersion', 'unknown version');
    }
    return this.#object(verb, Number(version), rest, { body, args, address });
  }

  async #object(
    method: string,
    version: number,
    path: readonly string[],
    { body, args, address }: Pick<AdminRequest, 'body' | 'args' | 'address'>,
  ): Promise<Outcome> {
    const [first, second, ...rest] = path;
    const counters = this.#counters;
    if (first === undefined) {
      const named = this.#collections.names(version, '');
      const workers = version >= 9 ? ['workers'] : [];
      return get(method, ['nginx', 'processes', 'connections', 'ssl', 'http', 'stream', ...named, ...workers]);
    }
    if (first === 'http') {
      if (second === undefined) {
        const zones = version >= 5 ? ['server_zones', 'location_zones'] : ['server_zones'];
        return get(method, [
          'requests',
          ...zones,
          ...this.#collections.names(version, 'http/'),
          'upstreams',
          'keyvals',
        ]);
      }
      const named = this.#collections.handle(method, version, `http/${second}`, rest);
      if (named !== null) return named;
      if (second === 'upstreams') return this.#upstreams.handle(method, version, rest, body);
      if (second === 'keyvals') return this.#keyvals.handle(method, version, rest, body, args);
      if (second === 'requests' && rest.length === 0) {
        return resettable(
          method,
          () => counters.requests(),
          () => counters.resetRequests(),
        );
      }
      if (second === 'server_zones') return this.#zones(method, 'server', rest, version);
      if (second === 'location_zones' && version >= 5) return this.#zones(method, 'location', rest, version);
      throw pathNotFound();
    }
    if (first === 'stream') {
      if (second === undefined) {
        const keyvals = version >= 2 ? ['keyvals'] : [];
        return get(method, ['server_zones', ...this.#collections.names(version, 'stream/'), 'upstreams', ...keyvals]);
      }
      if (second === 'upstreams') return this.#streamUpstreams.handle(method, version, rest, body);
      if (second === 'keyvals' && version >= 2) return this.#streamKeyvals.handle(method, version, rest, body, args);
      if (second === 'server_zones') return this.#zones(method, 'stream', rest, version);
      const named = this.#collections.handle(method, version, `stream/${second}`, rest);
      if (named !== null) return named;
      throw pathNotFound();
    }
    const named = this.#collections.handle(method, version, first, path.slice(1));
    if (named !== null) return named;
    if (first === 'workers' && version >= 9) return this.#workers(method, path.slice(1));
    if (second !== undefined) throw pathNotFound();
    switch (first) {
      case 'nginx':
        return get(method, this.#nginx(address));
      case 'processes':
        return resettable(
          method,
          () => ({ respawned: counters.respawned() }),
          () => counters.resetRespawned(),
        );
      case 'ssl':
        return this.#collections.ssl(method, version);
      case 'connections':
        return resettable(
          method,
          () => counters.connections(),
          () => counters.resetConnections(),
        );
      default:
        throw pathNotFound();
    }
  }

  #nginx(address: string): object {
    const view = this.#view;
    return {
      version: NGINX_VERSION,
      build: `headrace-${VERSION}`,
      address: address.replace(/:\d+$/, ''),
      generation: view.generation().data.id,
      load_timestamp: new Date(view.loadedAt()).toISOString(),
      timestamp: new Date().toISOString(),
      pid: process.pid,
      ppid: process.ppid,
    };
  }

  #zones(method: string, kind: 'server' | 'location' | 'stream', path: readonly string[], version: number): Outcome {
    const counters = this.#counters;
    const [name] = path;
    if (path.length > 1) throw pathNotFound();
    if (name === undefined) return get(method, counters.zones(kind, version));
    const zone = counters.zones(kind, version)[name];
    if (zone === undefined) throw pathNotFound();
    return resettable(
      method,
      () => zone,
      () => counters.resetZone(kind, name),
    );
  }

  #workers(method: string, path: readonly string[]): Outcome {
    const counters = this.#counters;
    const [id] = path;
    if (path.length > 1) throw pathNotFound();
    if (id === undefined)
      return resettable(
        method,
        () => counters.workers(),
        () => counters.resetWorkers(),
      );
    const worker = counters.workers().find((w) => String(w.id) === id);
    if (worker === undefined) throw pathNotFound();
    return resettable(
      method,
      () => worker,
      () => counters.resetWorkers(Number(id)),
    );
  }
}

const READ = 'GET, HEAD';
const WRITE = 'GET, HEAD, POST, PATCH, DELETE';

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function get(method: string, value: unknown): Outcome {
  allow(method, 'GET');
  return { status: 200, value };
}

function resettable(method: string, value: () => unknown, reset: () => void): Outcome {
  allow(method, 'GET', 'DELETE');
  if (method === 'GET') return { status: 200, value: value() };
  reset();
  return { status: 204, value: null };
}

/** `?fields=a,b`: only these of each object; `?fields=`: only names of a collection. */
function selected(value: unknown, wanted: Fields | null): unknown {
  if (wanted === null || typeof value !== 'object' || value === null) return value;
  if (wanted.size === 0) return Array.isArray(value) ? value : Object.keys(value);
  const pick = (object: Record<string, unknown>): Record<string, unknown> => only(object, wanted);
  if (Array.isArray(value)) {
    return value.map((item: unknown) => (typeof item === 'object' && item !== null ? pick(item as never) : item));
  }
  const entries = Object.entries(value);
  // A collection: fields are those of its members.
  const isCollection =
    entries.length > 0 && !entries.some(([name]) => wanted.has(name)) && entries.every(([, v]) => isObject(v));
  if (!isCollection) return pick(value as Record<string, unknown>);
  return Object.fromEntries(entries.map(([name, member]) => [name, pick(member as Record<string, unknown>)]));
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const JSON_FIELDS: readonly [string, string][] = [
  ['Content-Type', 'application/json'],
  ['Cache-Control', 'no-cache'],
];

function json(status: number, value: unknown, fields: [string, string][] = []): AdminReply {
  return { status, fields: [...JSON_FIELDS, ...fields], body: JSON.stringify(value), more: false };
}
