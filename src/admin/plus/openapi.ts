/** The API as an OpenAPI 3.1 document: `GET <api>/openapi.json`. */
import { VERSION } from '../../version.ts';

const whole = { type: 'integer', minimum: 0 };
const text = { type: 'string' };
const flag = { type: 'boolean' };
/** `10s`, `1500ms`. */
const time = { type: 'string' };
const moment = { type: 'string', format: 'date-time' };

interface Schema {
  [key: string]: unknown;
}

function object(properties: Schema, optional: readonly string[] = []): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, required, additionalProperties: false };
}

/** Of a request's body. */
function given(properties: Schema, required: readonly string[] = []): Schema {
  const needed = required.length === 0 ? null : { required };
  return { type: 'object', properties, ...needed, additionalProperties: false };
}

const answers = { '1xx': whole, '2xx': whole, '3xx': whole, '4xx': whole, '5xx': whole };

const codes = { type: 'object', additionalProperties: whole };
const amount = object({ responses: whole, bytes: whole });
const fetched = object({ responses: whole, bytes: whole, responses_written: whole, bytes_written: whole });
const health = object({ checks: whole, fails: whole, unhealthy: whole, last_passed: flag }, ['last_passed']);
const hist = object({ count: whole, sum: whole, buckets: { type: 'object', additionalProperties: whole } });

/** What is the same of servers of http and of stream: as they are listed, and as they are added and changed. */
const server = {
  id: whole,
  server: text,
  service: text,
  weight: whole,
  max_conns: whole,
  max_fails: whole,
  fail_timeout: time,
  slow_start: time,
  backup: flag,
  down: flag,
  parent: whole,
  host: text,
};
const change = {
  weight: { type: 'integer', minimum: 1 },
  max_conns: whole,
  max_fails: whole,
  fail_timeout: time,
  slow_start: time,
  down: flag,
};
const addition = { server: text, service: text, ...change, backup: flag };

/** What is counted for a peer, whatever it serves. */
const peer = {
  id: whole,
  server: text,
  name: text,
  backup: flag,
  weight: whole,
  active: whole,
  max_conns: whole,
  sent: whole,
  received: whole,
  fails: whole,
  unavail: whole,
  health_checks: health,
  downtime: whole,
  downstart: moment,
  selected: moment,
  response_time: whole,
  response_time_hist: hist,
};
const PEER_OPTIONAL = ['max_conns', 'downstart', 'selected', 'response_time', 'response_time_hist'];
const responses = object({ ...answers, codes, total: whole }, ['codes']);

const SCHEMAS: Schema = {
  Error: object({ error: object({ status: whole, text, code: text }), request_id: text, href: text }),
  Nginx: object({
    version: text,
    build: text,
    address: text,
    generation: whole,
    load_timestamp: moment,
    timestamp: moment,
    pid: whole,
    ppid: whole,
  }),
  Processes: object({ respawned: whole }),
  Connections: object({ accepted: whole, dropped: whole, active: whole, idle: whole }),
  Requests: object({ total: whole, current: whole }),
  Worker: object({
    id: whole,
    pid: whole,
    connections: { $ref: '#/components/schemas/Connections' },
    http: object({ requests: { $ref: '#/components/schemas/Requests' } }),
  }),
  Zone: object(
    {
      processing: whole,
      requests: whole,
      responses,
      discarded: whole,
      received: whole,
      sent: whole,
    },
    ['processing'],
  ),
  Server: object({ ...server, route: text, drain: flag }, ['service', 'drain', 'parent', 'host']),
  ServerChange: given({ ...change, drain: flag }),
  ServerAddition: given({ ...addition, route: text, drain: flag }, ['server']),
  Peer: object(
    {
      ...peer,
      state: { enum: ['up', 'draining', 'down', 'unavail', 'checking', 'unhealthy'] },
      requests: whole,
      responses,
      header_time: whole,
    },
    [...PEER_OPTIONAL, 'header_time'],
  ),
  Upstream: object(
    {
      peers: { type: 'array', items: { $ref: '#/components/schemas/Peer' } },
      keepalive: whole,
      zombies: whole,
      zone: text,
      queue: object({ size: whole, max_size: whole, overflows: whole }),
    },
    ['zone', 'queue'],
  ),
  StreamZone: object({
    processing: whole,
    connections: whole,
    sessions: object({ '2xx': whole, '4xx': whole, '5xx': whole, total: whole }),
    discarded: whole,
    received: whole,
    sent: whole,
  }),
  StreamServer: object(server, ['service', 'parent', 'host']),
  StreamServerChange: given(change),
  StreamServerAddition: given(addition, ['server']),
  StreamPeer: object(
    {
      ...peer,
      state: { enum: ['up', 'down', 'unavail', 'checking', 'unhealthy'] },
      connections: whole,
      connect_time: whole,
      first_byte_time: whole,
    },
    [...PEER_OPTIONAL, 'connect_time', 'first_byte_time'],
  ),
  StreamUpstream: object(
    { peers: { type: 'array', items: { $ref: '#/components/schemas/StreamPeer' } }, zombies: whole, zone: text },
    ['zone'],
  ),
  LimitConn: object({ passed: whole, rejected: whole, rejected_dry_run: whole }),
  LimitReq: object({
    passed: whole,
    delayed: whole,
    rejected: whole,
    delayed_dry_run: whole,
    rejected_dry_run: whole,
  }),
  Keyval: { type: 'object', additionalProperties: text },
  KeyvalChange: {
    type: 'object',
    description: 'Values by key. POST takes several only into an empty zone, PATCH takes one; null removes it.',
    minProperties: 1,
    additionalProperties: {
      oneOf: [
        { type: ['string', 'number', 'null'] },
        {
          type: 'object',
          properties: {
            value: { type: ['string', 'number', 'null'] },
            expire: { type: 'integer', minimum: 1, description: 'Milliseconds; of zones with a timeout' },
          },
          additionalProperties: false,
        },
      ],
    },
  },
  Slab: object({
    pages: object({ used: whole, free: whole }),
    slots: {
      type: 'object',
      additionalProperties: object({ used: whole, free: whole, reqs: whole, fails: whole }),
    },
  }),
  Resolver: object({
    requests: object({ name: whole, srv: whole, addr: whole }),
    responses: object({
      noerror: whole,
      formerr: whole,
      servfail: whole,
      nxdomain: whole,
      notimp: whole,
      refused: whole,
      timedout: whole,
      unknown: whole,
    }),
  }),
  Cache: object(
    {
      size: whole,
      max_size: whole,
      cold: flag,
      hit: amount,
      stale: amount,
      updating: amount,
      revalidated: amount,
      miss: fetched,
      expired: fetched,
      bypass: fetched,
    },
    ['max_size'],
  ),
  Ssl: object({
    handshakes: whole,
    handshakes_failed: whole,
    session_reuses: whole,
    no_common_protocol: whole,
    no_common_cipher: whole,
    handshake_timeout: whole,
    peer_rejected_cert: whole,
    verify_failures: object({
      no_cert: whole,
      expired_cert: whole,
      revoked_cert: whole,
      hostname_mismatch: whole,
      other: whole,
    }),
  }),
};

const named = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
const listOf = (schema: Schema): Schema => ({ type: 'array', items: schema });
const mapOf = (schema: Schema): Schema => ({ type: 'object', additionalProperties: schema });

function answer(schema: Schema, description = 'Success'): Schema {
  return { description, content: { 'application/json': { schema } } };
}

const failure = answer(named('Error'), 'Error');

/** @param body of the request; null: none */
function operation(summary: string, status: number, schema: Schema | null, body: Schema | null = null): Schema {
  const success = schema === null ? { description: 'Success' } : answer(schema);
  return {
    summary,
    ...(body === null ? null : { requestBody: { required: true, content: { 'application/json': { schema: body } } } }),
    responses: { [status]: success, default: failure },
  };
}

const reset = operation('Reset', 204, null);

const parameter = (name: string, schema: Schema = text): Schema => ({ name, in: 'path', required: true, schema });

/** A collection of things that count, and one of them. */
function collection(name: string, title: string, schema: string): Record<string, Schema> {
  return {
    [`/${name}`]: { get: operation(title, 200, mapOf(named(schema))) },
    [`/${name}/{name}`]: {
      parameters: [parameter('name')],
      get: operation('One of them', 200, named(schema)),
      delete: reset,
    },
  };
}

/** Zones of keyval_zone of http, or of stream. */
function keyvals(door: 'http' | 'stream'): Record<string, Schema> {
  const change = named('KeyvalChange');
  const key = { name: 'key', in: 'query', required: false, schema: text };
  return {
    [`/${door}/keyvals`]: { get: operation('Zones of keyval_zone', 200, mapOf(named('Keyval'))) },
    [`/${door}/keyvals/{name}`]: {
      parameters: [parameter('name')],
      get: { ...operation('Its pairs, or the one with a key', 200, named('Keyval')), parameters: [key] },
      post: operation('Add a pair', 201, null, change),
      patch: operation('Change a pair, or remove it', 204, null, change),
      delete: operation('Remove all pairs', 204, null),
    },
  };
}

/** Groups of http, or of stream. */
function upstreams(door: 'http' | 'stream', prefix: '' | 'Stream'): Record<string, Schema> {
  const root = `/${door}/upstreams`;
  const one = named(`${prefix}Server`);
  return {
    [root]: { get: operation('Groups with a zone', 200, mapOf(named(`${prefix}Upstream`))) },
    [`${root}/{name}`]: {
      parameters: [parameter('name')],
      get: operation('A group', 200, named(`${prefix}Upstream`)),
      delete: operation('Reset the counters of its servers and queue', 204, null),
    },
    [`${root}/{name}/servers`]: {
      parameters: [parameter('name')],
      get: operation('Servers of a group', 200, listOf(one)),
      post: operation('Add a server', 201, one, named(`${prefix}ServerAddition`)),
    },
    [`${root}/{name}/servers/{id}`]: {
      parameters: [parameter('name'), parameter('id', whole)],
      get: operation('A server', 200, one),
      patch: operation('Change a server', 200, one, named(`${prefix}ServerChange`)),
      delete: operation('Remove a server', 200, listOf(one)),
    },
  };
}

/** Paths behind the version. */
export const PATHS: Readonly<Record<string, Schema>> = {
  '/nginx': { get: operation('What runs', 200, named('Nginx')) },
  '/processes': {
    get: operation('Workers that were replaced', 200, named('Processes')),
    delete: reset,
  },
  '/connections': {
    get: operation('Connections of clients', 200, named('Connections')),
    delete: reset,
  },
  '/workers': { get: operation('Workers', 200, listOf(named('Worker'))), delete: reset },
  '/workers/{id}': {
    parameters: [parameter('id', whole)],
    get: operation('A worker', 200, named('Worker')),
    delete: reset,
  },
  '/http/requests': {
    get: operation('Requests of clients', 200, named('Requests')),
    delete: reset,
  },
  '/ssl': {
    get: operation('TLS handshakes with clients and servers', 200, named('Ssl')),
    delete: reset,
  },
  ...collection('http/server_zones', 'Zones of servers', 'Zone'),
  ...collection('http/location_zones', 'Zones of locations', 'Zone'),
  ...collection('http/caches', 'Caches', 'Cache'),
  ...collection('http/limit_conns', 'Zones of limit_conn', 'LimitConn'),
  ...collection('http/limit_reqs', 'Zones of limit_req', 'LimitReq'),
  ...upstreams('http', ''),
  ...keyvals('http'),
  ...collection('stream/server_zones', 'Zones of servers of stream', 'StreamZone'),
  ...collection('stream/limit_conns', 'Zones of limit_conn in stream', 'LimitConn'),
  ...upstreams('stream', 'Stream'),
  ...keyvals('stream'),
  ...collection('slabs', 'Zones whose memory is kept in slabs', 'Slab'),
  ...collection('resolvers', 'Resolvers with a status_zone', 'Resolver'),
};

export function openApi(): object {
  return {
    openapi: '3.1.0',
    info: { title: 'Headrace: the API of NGINX Plus', version: VERSION },
    paths: Object.fromEntries(Object.entries(PATHS).map(([name, item]) => [`/9${name}`, item])),
    components: { schemas: SCHEMAS },
  };
}
