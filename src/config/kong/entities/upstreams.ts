/** Upstream: a virtual host name with targets behind it, how they are chosen, and how their health is found. */
import {
  boolean,
  cookieNameField,
  createdAt,
  foreign,
  headerNameField,
  headers,
  hostWithPortField,
  id,
  integer,
  number,
  pathField,
  sniField,
  string,
  tags,
  updatedAt,
  upstreamName,
} from '../fields.ts';
import type { EntityCheck, Field, Fields, ListField, NumberField, RecordField, Schema } from '../schema.ts';

export const ALGORITHMS = [
  'consistent-hashing',
  'least-connections',
  'round-robin',
  'latency',
  'sticky-sessions',
] as const;
const HASHES = ['none', 'consumer', 'ip', 'header', 'cookie', 'path', 'query_arg', 'uri_capture'] as const;
const CHECK_TYPES = ['tcp', 'http', 'https', 'grpc', 'grpcs'] as const;

const seconds = (value: number): NumberField => number({ between: [0, 65_535], default: value });
/** All of 0 to 255 work here. */
const counter = integer({ between: [0, 255], default: 0 });
const statuses = (list: number[]): ListField => ({
  type: 'array',
  elements: integer({ between: [100, 999] }),
  default: list,
});
const checkType = string({ oneOf: CHECK_TYPES, default: 'http' });
const record = (fields: Fields): RecordField => ({ type: 'record', fields, default: {} });

const healthchecks = record({
  threshold: number({
    between: [0, 100],
    default: 0,
    description: 'Percent of the weight that must be healthy; at or below it the whole upstream counts as down.',
  }),
  active: record({
    type: checkType,
    timeout: seconds(1),
    concurrency: integer({ between: [1, 2_147_483_648], default: 10 }),
    http_path: pathField({ default: '/' }),
    https_sni: sniField(),
    https_verify_certificate: boolean({ required: true, default: true }),
    headers: headers(),
    healthy: record({ interval: seconds(0), http_statuses: statuses([200, 302]), successes: counter }),
    unhealthy: record({
      interval: seconds(0),
      http_statuses: statuses([429, 404, 500, 501, 502, 503, 504, 505]),
      tcp_failures: counter,
      timeouts: counter,
      http_failures: counter,
    }),
  }),
  passive: record({
    type: checkType,
    healthy: record({
      http_statuses: statuses([
        200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308,
      ]),
      successes: counter,
    }),
    unhealthy: record({
      http_statuses: statuses([429, 500, 503]),
      tcp_failures: counter,
      timeouts: counter,
      http_failures: counter,
    }),
  }),
});

const hash = (description: string): Field => string({ oneOf: HASHES, default: 'none', description });

type Must = Extract<EntityCheck, { kind: 'conditional' }>['must'];
const when = (given: string, value: string, field: string, must: Must): EntityCheck => ({
  kind: 'conditional',
  given,
  match: (found) => found === value,
  field,
  must,
});
const distinct = (...fields: string[]): EntityCheck => ({ kind: 'distinct', fields });

export const upstreams: Schema = {
  kind: 'upstreams',
  key: 'name',
  fields: {
    id,
    created_at: createdAt,
    updated_at: updatedAt,
    name: string({
      required: true,
      unique: true,
      check: upstreamName,
      description: 'A host name; services whose host it is are balanced over its targets.',
    }),
    algorithm: string({ oneOf: ALGORITHMS, default: 'round-robin', description: 'How targets are chosen.' }),
    hash_on: hash('What is hashed.'),
    hash_fallback: hash('What is hashed when the first gives nothing.'),
    hash_on_header: headerNameField(),
    hash_fallback_header: headerNameField(),
    hash_on_cookie: cookieNameField(),
    hash_on_cookie_path: pathField({ default: '/' }),
    hash_on_query_arg: string(),
    hash_fallback_query_arg: string(),
    hash_on_uri_capture: string(),
    hash_fallback_uri_capture: string(),
    slots: integer({ between: [10, 65_536], default: 10_000, description: 'Points on the ring of hashes.' }),
    healthchecks,
    tags,
    host_header: hostWithPortField(),
    client_certificate: foreign({ to: 'certificates' }),
    use_srv_name: boolean({ default: false }),
    sticky_sessions_cookie: cookieNameField(),
    sticky_sessions_cookie_path: pathField({ default: '/' }),
  },
  checks: [
    when('hash_on', 'header', 'hash_on_header', 'required'),
    when('hash_fallback', 'header', 'hash_fallback_header', 'required'),
    when('hash_on', 'cookie', 'hash_on_cookie', 'required'),
    when('hash_fallback', 'cookie', 'hash_on_cookie', 'required'),
    when('hash_on', 'none', 'hash_fallback', ['none']),
    when('hash_on', 'cookie', 'hash_fallback', ['none']),
    when('hash_on', 'consumer', 'hash_fallback', [
      'none',
      'ip',
      'header',
      'cookie',
      'path',
      'query_arg',
      'uri_capture',
    ]),
    when('hash_on', 'ip', 'hash_fallback', [
      'none',
      'consumer',
      'header',
      'cookie',
      'path',
      'query_arg',
      'uri_capture',
    ]),
    when('hash_on', 'path', 'hash_fallback', [
      'none',
      'consumer',
      'header',
      'cookie',
      'query_arg',
      'ip',
      'uri_capture',
    ]),
    distinct('hash_on_header', 'hash_fallback_header'),
    when('hash_on', 'query_arg', 'hash_on_query_arg', 'required'),
    when('hash_fallback', 'query_arg', 'hash_fallback_query_arg', 'required'),
    distinct('hash_on_query_arg', 'hash_fallback_query_arg'),
    when('hash_on', 'uri_capture', 'hash_on_uri_capture', 'required'),
    when('hash_fallback', 'uri_capture', 'hash_fallback_uri_capture', 'required'),
    distinct('hash_on_uri_capture', 'hash_fallback_uri_capture'),
    when('algorithm', 'sticky-sessions', 'hash_on', ['none']),
    when('algorithm', 'sticky-sessions', 'sticky_sessions_cookie', 'required'),
  ],
  // In this order: scripts from before there was `algorithm` say only `hash_on`.
  shorthands: {
    algorithm: {
      field: string(),
      apply: (input, value) => {
        input.algorithm = value;
        if (value === 'least-connections' || value === 'latency') input.hash_on = null;
      },
    },
    hash_on: {
      field: string(),
      apply: (input, value) => {
        input.hash_on = value ?? 'none';
        if (value === 'none') {
          if (input.algorithm !== 'sticky-sessions') input.algorithm = 'round-robin';
        } else if (value !== null) {
          input.algorithm = 'consistent-hashing';
        }
      },
    },
  },
};
