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

const answers = { '1xx': whole, '2xx': whole, '3xx': whole, '4xx': whole, '5xx': whole };

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
      responses: object({ ...answers, codes: { type: 'object', additionalProperties: whole }, total: whole }, [
        'codes',
      ]),
      discarded: whole,
      received: whole,
      sent: whole,
    },
    ['processing'],
  ),
  Server: object(
    {
      id: whole,
      server: text,
      weight: whole,
      max_conns: whole,
      max_fails: whole,
      fail_timeout: time,
      slow_start: time,
      route: text,
      backup: flag,
      down: flag,
      drain: flag,
      host: text,
    },
    ['drain', 'host'],
  ),
  ServerChange: {
    type: 'object',
    properties: {
      weight: { type: 'integer', minimum: 1 },
      max_conns: whole,
      max_fails: whole,
      fail_timeout: text,
      slow_start: text,
      down: flag,
      drain: flag,
    },
    additionalProperties: false,
  },
  ServerAddition: {
    type: 'object',
    properties: {
      server: text,
      weight: { type: 'integer', minimum: 1 },
      max_conns: whole,
      max_fails: whole,
      fail_timeout: text,
      slow_start: text,
      route: text,
      backup: flag,
      down: flag,
      drain: flag,
    },
    required: ['server'],
    additionalProperties: false,
  },
  Peer: object(
    {
      id: whole,
      server: text,
      name: text,
      backup: flag,
      weight: whole,
      state: { enum: ['up', 'draining', 'down', 'unavail', 'checking', 'unhealthy'] },
      active: whole,
      max_conns: whole,
      requests: whole,
      responses: object({ ...answers, total: whole }),
      sent: whole,
      received: whole,
      fails: whole,
      unavail: whole,
      health_checks: object({ checks: whole, fails: whole, unhealthy: whole, last_passed: flag }, ['last_passed']),
      downtime: whole,
      downstart: moment,
      selected: moment,
      header_time: whole,
      response_time: whole,
      response_time_hist: object({
        count: whole,
        sum: whole,
        buckets: { type: 'object', additionalProperties: whole },
      }),
    },
    ['max_conns', 'downstart', 'selected', 'header_time', 'response_time', 'response_time_hist'],
  ),
  Upstream: object(
    {
      peers: { type: 'array', items: { $ref: '#/components/schemas/Peer' } },
      zombies: whole,
      zone: text,
      queue: object({ size: whole, max_size: whole, overflows: whole }),
    },
    ['zone', 'queue'],
  ),
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

function path(operations: Schema): Schema {
  return operations;
}

const parameter = (name: string, schema: Schema = text): Schema => ({ name, in: 'path', required: true, schema });

/** Paths behind the version. */
export const PATHS: Readonly<Record<string, Schema>> = {
  '/nginx': path({ get: operation('What runs', 200, named('Nginx')) }),
  '/processes': path({
    get: operation('Workers that were replaced', 200, named('Processes')),
    delete: operation('Reset', 204, null),
  }),
  '/connections': path({
    get: operation('Connections of clients', 200, named('Connections')),
    delete: operation('Reset', 204, null),
  }),
  '/workers': path({ get: operation('Workers', 200, listOf(named('Worker'))), delete: operation('Reset', 204, null) }),
  '/workers/{id}': path({
    parameters: [parameter('id', whole)],
    get: operation('A worker', 200, named('Worker')),
    delete: operation('Reset', 204, null),
  }),
  '/http/requests': path({
    get: operation('Requests of clients', 200, named('Requests')),
    delete: operation('Reset', 204, null),
  }),
  '/http/server_zones': path({ get: operation('Zones of servers', 200, mapOf(named('Zone'))) }),
  '/http/server_zones/{name}': path({
    parameters: [parameter('name')],
    get: operation('A zone', 200, named('Zone')),
    delete: operation('Reset', 204, null),
  }),
  '/http/location_zones': path({ get: operation('Zones of locations', 200, mapOf(named('Zone'))) }),
  '/http/location_zones/{name}': path({
    parameters: [parameter('name')],
    get: operation('A zone', 200, named('Zone')),
    delete: operation('Reset', 204, null),
  }),
  '/http/upstreams': path({ get: operation('Groups with a zone', 200, mapOf(named('Upstream'))) }),
  '/http/upstreams/{name}': path({
    parameters: [parameter('name')],
    get: operation('A group', 200, named('Upstream')),
    delete: operation('Reset the counters of its servers and queue', 204, null),
  }),
  '/http/upstreams/{name}/servers': path({
    parameters: [parameter('name')],
    get: operation('Servers of a group', 200, listOf(named('Server'))),
    post: operation('Add a server', 201, named('Server'), named('ServerAddition')),
  }),
  '/http/upstreams/{name}/servers/{id}': path({
    parameters: [parameter('name'), parameter('id', whole)],
    get: operation('A server', 200, named('Server')),
    patch: operation('Change a server', 200, named('Server'), named('ServerChange')),
    delete: operation('Remove a server', 200, listOf(named('Server'))),
  }),
};

export function openApi(): object {
  return {
    openapi: '3.1.0',
    info: { title: 'Headrace: the API of NGINX Plus', version: VERSION },
    paths: Object.fromEntries(Object.entries(PATHS).map(([name, item]) => [`/9${name}`, item])),
    components: { schemas: SCHEMAS },
  };
}
