/** What the node says of itself: `/`, `/status`, `/endpoints`, `/schemas`, tags, and what there is for old clients. */
import { invalidUnique, schemaViolation } from '../../config/kong/errors.ts';
import { tagText } from '../../config/kong/fields.ts';
import type { JsonObject } from '../../config/kong/schema.ts';
import { SCHEMAS } from '../../config/kong/schemas.ts';
import { create } from '../../config/kong/validate.ts';
import type { Routes } from './collections.ts';
import { type Call, input, param } from './context.ts';
import { describeSchema } from './describe.ts';
import { type AdminAnswer, Halt, empty, json, message, notFound, pageAnswer } from './http.ts';
import { readOffset, readSize, writeOffset } from './paging.ts';

/** What clients of Kong take this for: the version whose API it speaks. */
export const KONG_VERSION = '3.9.1';

function root({ api }: Call): AdminAnswer {
  const { workers } = api.status();
  return json(200, {
    tagline: 'Welcome to kong',
    version: KONG_VERSION,
    edition: 'community',
    hostname: api.node.hostname,
    node_id: api.node.id,
    lua_version: '',
    pids: { master: process.pid, workers: workers.map(({ pid }) => pid) },
    timers: { running: 0, pending: 0 },
    plugins: { available_on_server: {}, enabled_in_cluster: [] },
    configuration: api.configuration,
  });
}

const UNITS: Record<string, [size: number, name: string]> = {
  b: [1, ''],
  k: [1024, 'KiB'],
  m: [1024 ** 2, 'MiB'],
  g: [1024 ** 3, 'GiB'],
};

/** `1.50 MiB`. @throws {Halt} 400 */
function bytesText(bytes: number, unitText: string, scaleText: string | undefined): string | number {
  const unit = UNITS[unitText.toLowerCase()];
  if (unit === undefined) {
    throw new Halt(message(400, `invalid unit '${unitText}' (expected 'k/K', 'm/M', or 'g/G')`));
  }
  const scale = scaleText === undefined ? 2 : Number(scaleText);
  if (!Number.isInteger(scale) || scale < 0 || scale > 20) {
    throw new Halt(message(400, 'scale must be equal or greater than 0'));
  }
  return unit[1] === '' ? bytes : `${(bytes / unit[0]).toFixed(scale)} ${unit[1]}`;
}

async function status({ api, query }: Call): Promise<AdminAnswer> {
  const now = api.status();
  const unit = query.get('unit') ?? 'm';
  const scale = query.get('scale');
  bytesText(0, unit, scale);
  const workers = now.workers.map(({ pid, bytes }) => ({ pid, http_allocated_gc: bytesText(bytes, unit, scale) }));
  return json(200, {
    memory: { lua_shared_dicts: {}, workers_lua_vms: workers },
    server: {
      connections_accepted: now.connectionsAccepted,
      connections_active: now.connectionsActive,
      connections_handled: now.connectionsHandled,
      connections_reading: now.connectionsReading,
      connections_writing: now.connectionsWriting,
      connections_waiting: now.connectionsWaiting,
      total_requests: now.totalRequests,
    },
    ...(api.declarative === null
      ? { database: { reachable: await api.store.ping() } }
      : { configuration_hash: api.declarative.hash }),
  });
}

function schemaOf(call: Call) {
  const name = param(call, 'name');
  const schema = Object.hasOwn(SCHEMAS, name) ? SCHEMAS[name as keyof typeof SCHEMAS] : null;
  if (schema === null) throw new Halt(message(404, `No entity named '${name}'`));
  return schema;
}

function validate(call: Call): AdminAnswer {
  const schema = schemaOf(call);
  const { errors } = create(schema, input(call, schema), call.api.env);
  if (errors !== null) throw schemaViolation(errors);
  return json(200, { message: 'schema validation successful' });
}

/** @param tag null: all */
async function tags({ api, query }: Call, tag: string | null): Promise<AdminAnswer> {
  if (tag !== null) {
    const error = tagText(tag);
    if (error !== null) throw invalidUnique('tag', error);
  }
  const { rows, next } = await api.store.tags({
    size: readSize(query),
    after: readOffset(query),
    ...(tag === null ? {} : { tag }),
  });
  const data = rows.map((row): JsonObject => ({ tag: row.tag, entity_name: row.kind, entity_id: row.id }));
  const offset = next === null ? null : writeOffset(next);
  const path = tag === null ? '/tags' : `/tags/${encodeURIComponent(tag)}`;
  const size = query.get('size');
  const more = tag === null && size !== undefined ? `&size=${encodeURIComponent(size)}` : '';
  return json(200, pageAnswer(data, offset, `${path}?offset=${offset}${more}`));
}

const NOT_CLUSTERED = message(
  400,
  'this endpoint is only available when Kong is configured to run as Control Plane for the cluster',
);

const TIMERS: JsonObject = {
  worker: { id: -1, count: 1 },
  stats: { sys: { total: 0, runs: 0, running: 0, pending: 0, waiting: 0 }, timers: {} },
};

/** @param openApi the document of all routes, made when it is asked for */
export function nodeRoutes(openApi: () => JsonObject): Routes {
  return [
    ['/', { GET: root }],
    ['/status', { GET: status }],
    ['/schemas/{name}', { GET: (call) => json(200, describeSchema(schemaOf(call))) }],
    ['/schemas/{name}/validate', { POST: validate }],
    ['/tags', { GET: (call) => tags(call, null) }],
    ['/tags/{tags}', { GET: (call) => tags(call, param(call, 'tags')) }],
    ['/timers', { GET: () => json(200, TIMERS) }],
    ['/cache', { DELETE: () => empty(204) }],
    ['/cache/{key}', { GET: () => notFound(), DELETE: () => empty(204) }],
    ['/clustering/data-planes', { GET: () => NOT_CLUSTERED }],
    ['/clustering/status', { GET: () => NOT_CLUSTERED }],
    ['/openapi.json', { GET: () => json(200, openApi()) }],
  ];
}

/** Paths as `/endpoints` lists them: segment by segment. */
export function endpointsAnswer(paths: readonly string[]): AdminAnswer {
  const key = (path: string): string => path.replaceAll('/', '\0');
  return json(200, { data: [...new Set(paths)].sort((a, b) => (key(a) < key(b) ? -1 : 1)) });
}
