/** Upstreams as Kong judges them: names, numbers, paths, headers, rules over several fields, and what is filled in. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { schemaViolation } from '../../../src/config/kong/errors.ts';
import type { Json, JsonObject } from '../../../src/config/kong/schema.ts';
import { SCHEMAS } from '../../../src/config/kong/schemas.ts';
import { create, update } from '../../../src/config/kong/validate.ts';

const ID = 'ec1a1f6f-2aa4-4e58-93ff-b56368f19b27';
const env = { now: () => 1_422_386_534.5678, uuid: () => ID };
const { upstreams } = SCHEMAS;
const CONDITIONAL = (field: string): string => `failed conditional validation given value of field '${field}'`;

const good = (input: JsonObject): JsonObject => {
  const { entity, errors } = create(upstreams, { name: 'u', ...input }, env);
  assert.equal(errors, null);
  return entity as JsonObject;
};
const bad = (input: JsonObject): JsonObject =>
  create(upstreams, { name: 'u', ...input }, env).errors as unknown as JsonObject;

test('an upstream with nothing but a name has all fields, with defaults or null', () => {
  assert.deepEqual(good({ name: 'my-upstream' }), {
    id: ID,
    created_at: 1_422_386_534,
    updated_at: 1_422_386_534,
    name: 'my-upstream',
    algorithm: 'round-robin',
    hash_on: 'none',
    hash_fallback: 'none',
    hash_on_header: null,
    hash_fallback_header: null,
    hash_on_cookie: null,
    hash_on_cookie_path: '/',
    hash_on_query_arg: null,
    hash_fallback_query_arg: null,
    hash_on_uri_capture: null,
    hash_fallback_uri_capture: null,
    slots: 10_000,
    healthchecks: {
      threshold: 0,
      active: {
        type: 'http',
        timeout: 1,
        concurrency: 10,
        http_path: '/',
        https_sni: null,
        https_verify_certificate: true,
        headers: null,
        healthy: { interval: 0, http_statuses: [200, 302], successes: 0 },
        unhealthy: {
          interval: 0,
          http_statuses: [429, 404, 500, 501, 502, 503, 504, 505],
          tcp_failures: 0,
          timeouts: 0,
          http_failures: 0,
        },
      },
      passive: {
        type: 'http',
        healthy: {
          http_statuses: [
            200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308,
          ],
          successes: 0,
        },
        unhealthy: { http_statuses: [429, 500, 503], tcp_failures: 0, timeouts: 0, http_failures: 0 },
      },
    },
    tags: null,
    host_header: null,
    client_certificate: null,
    use_srv_name: false,
    sticky_sessions_cookie: null,
    sticky_sessions_cookie_path: '/',
  });
});

suite('names', () => {
  const names: [name: string, why: string | null][] = [
    ['service.v1.xyz', null],
    ['UPPER_case-1.', null],
    ['-leading', null],
    ['1234.a', null],
    ['some invalid host name', 'must be a valid hostname'],
    ['1.2.3.4', 'no ip addresses allowed'],
    ['001.002.003.004', 'no ip addresses allowed'],
    ['1.2.3.4:80', 'no ip addresses allowed'],
    ['1.2.3.256', 'must be a valid hostname'],
    ['1.2.3', 'must be a valid hostname'],
    ['1234', 'must be a valid hostname'],
    ['::1', 'no ip addresses allowed'],
    ['[::1]:80', 'no ip addresses allowed'],
    ['1::2::3', 'must be a valid hostname'],
    ['a:b:c', 'must be a valid hostname'],
    ['a.b:80', 'no port allowed'],
    ['a.b:0', 'no port allowed'],
    ['a.b:65536', 'must be a valid hostname'],
    ['a..b', 'must be a valid hostname'],
    ['.a', 'must be a valid hostname'],
    ['a-.b', 'must be a valid hostname'],
    ['a/b', 'must be a valid hostname'],
    ['ü', 'must be a valid hostname'],
  ];
  for (const [name, why] of names) {
    test(name, () => {
      const { errors } = create(upstreams, { name }, env);
      assert.deepEqual(errors, why === null ? null : { name: `Invalid name ('${name}'); ${why}` });
    });
  }
  test('a name that is not UTF-8 is not repeated', () => {
    assert.deepEqual(bad({ name: 'a\uFFFDb' }), { name: 'Invalid name; must be a valid hostname' });
  });
  test('empty', () => assert.deepEqual(bad({ name: '' }), { name: 'length must be at least 1' }));
});

suite('algorithm and hash_on pull each other', () => {
  const rows: [given: JsonObject, algorithm: string, hashOn: string][] = [
    [{}, 'round-robin', 'none'],
    [{ hash_on: 'ip' }, 'consistent-hashing', 'ip'],
    [{ algorithm: 'round-robin', hash_on: 'ip' }, 'consistent-hashing', 'ip'],
    [{ algorithm: 'consistent-hashing' }, 'consistent-hashing', 'none'],
    [{ algorithm: 'consistent-hashing', hash_on: 'none' }, 'round-robin', 'none'],
    [{ algorithm: 'least-connections', hash_on: 'ip' }, 'least-connections', 'none'],
    [{ algorithm: 'latency', hash_on: 'header' }, 'latency', 'none'],
    [{ hash_on: null }, 'round-robin', 'none'],
    [{ algorithm: 'least-connections', hash_on: 'none' }, 'least-connections', 'none'],
    [{ algorithm: 'sticky-sessions', sticky_sessions_cookie: 'c', hash_on: 'none' }, 'sticky-sessions', 'none'],
  ];
  for (const [given, algorithm, hashOn] of rows) {
    test(JSON.stringify(given), () => {
      const entity = good(given);
      assert.deepEqual([entity.algorithm, entity.hash_on], [algorithm, hashOn]);
    });
  }
  test('PATCH of hash_on alone changes the algorithm', () => {
    const { entity } = update(upstreams, good({ algorithm: 'least-connections' }), { hash_on: 'ip' }, env);
    assert.deepEqual([entity?.algorithm, entity?.hash_on], ['consistent-hashing', 'ip']);
  });
});

const HASHES = 'none, consumer, ip, header, cookie, path, query_arg, uri_capture';
const COOKIE =
  'contains one or more invalid characters. ASCII control characters (0-31;127), space, tab and the characters ' +
  '()<>@,;:\\"/?={}[] are not allowed.';

suite('what is refused', () => {
  const rows: [given: JsonObject, errors: JsonObject][] = [
    [{ name: null }, { name: 'required field missing' }],
    [{ name: 7 }, { name: 'expected a string' }],
    [{ slots: 9 }, { slots: 'value should be between 10 and 65536' }],
    [{ slots: 65_537 }, { slots: 'value should be between 10 and 65536' }],
    [{ slots: '50' }, { slots: 'expected an integer' }],
    [{ slots: 50.5 }, { slots: 'expected an integer' }],
    [{ hash_on: 'x' }, { hash_on: `expected one of: ${HASHES}` }],
    [{ hash_on: 7 }, { hash_on: 'expected a string' }],
    [
      { algorithm: 'random' },
      {
        algorithm: 'expected one of: consistent-hashing, least-connections, round-robin, latency, sticky-sessions',
      },
    ],
    [
      { hash_on: 'consumer', hash_fallback: 'consumer' },
      {
        '@entity': [CONDITIONAL('hash_on')],
        hash_fallback: 'expected one of: none, ip, header, cookie, path, query_arg, uri_capture',
      },
    ],
    [
      { hash_on: 'ip', hash_fallback: 'ip' },
      {
        '@entity': [CONDITIONAL('hash_on')],
        hash_fallback: 'expected one of: none, consumer, header, cookie, path, query_arg, uri_capture',
      },
    ],
    [
      { hash_on: 'path', hash_fallback: 'path' },
      {
        '@entity': [CONDITIONAL('hash_on')],
        hash_fallback: 'expected one of: none, consumer, header, cookie, query_arg, ip, uri_capture',
      },
    ],
    [{ hash_fallback: 'ip' }, { '@entity': [CONDITIONAL('hash_on')], hash_fallback: 'expected one of: none' }],
    [
      { hash_on: 'header', hash_fallback: 'header', hash_fallback_header: 'H' },
      { '@entity': [CONDITIONAL('hash_on')], hash_on_header: 'required field missing' },
    ],
    [
      { hash_on: 'consumer', hash_fallback: 'header' },
      { '@entity': [CONDITIONAL('hash_fallback')], hash_fallback_header: 'required field missing' },
    ],
    [
      { hash_on: 'header', hash_fallback: 'header', hash_on_header: 'h', hash_fallback_header: 'h' },
      { '@entity': ["values of these fields must be distinct: 'hash_on_header', 'hash_fallback_header'"] },
    ],
    [
      { hash_on: 'cookie', hash_on_cookie: 'c', hash_fallback: 'header', hash_fallback_header: 'H' },
      { '@entity': [CONDITIONAL('hash_on')], hash_fallback: 'expected one of: none' },
    ],
    [
      { hash_on: 'ip', hash_fallback: 'cookie' },
      { '@entity': [CONDITIONAL('hash_fallback')], hash_on_cookie: 'required field missing' },
    ],
    [{ hash_on: 'query_arg' }, { '@entity': [CONDITIONAL('hash_on')], hash_on_query_arg: 'required field missing' }],
    [
      { hash_on: 'ip', hash_fallback: 'query_arg' },
      { '@entity': [CONDITIONAL('hash_fallback')], hash_fallback_query_arg: 'required field missing' },
    ],
    [
      { hash_on_query_arg: 'a', hash_fallback_query_arg: 'a' },
      { '@entity': ["values of these fields must be distinct: 'hash_on_query_arg', 'hash_fallback_query_arg'"] },
    ],
    [
      { hash_on: 'uri_capture' },
      { '@entity': [CONDITIONAL('hash_on')], hash_on_uri_capture: 'required field missing' },
    ],
    [
      { hash_on: 'ip', hash_fallback: 'uri_capture' },
      { '@entity': [CONDITIONAL('hash_fallback')], hash_fallback_uri_capture: 'required field missing' },
    ],
    [
      { hash_on_uri_capture: 'a', hash_fallback_uri_capture: 'a' },
      { '@entity': ["values of these fields must be distinct: 'hash_on_uri_capture', 'hash_fallback_uri_capture'"] },
    ],
    [
      { algorithm: 'sticky-sessions' },
      { '@entity': [CONDITIONAL('algorithm')], sticky_sessions_cookie: 'required field missing' },
    ],
    [{ hash_on_query_arg: '' }, { hash_on_query_arg: 'length must be at least 1' }],
    [
      { hash_on_header: 'not a <> valid' },
      { hash_on_header: "bad header name 'not a <> valid', allowed characters are A-Z, a-z, 0-9, '_', and '-'" },
    ],
    [{ hash_on_cookie: 'not a <>' }, { hash_on_cookie: COOKIE }],
    [{ hash_on_cookie_path: 'not a path' }, { hash_on_cookie_path: 'should start with: /' }],
    [{ hash_on_cookie_path: '/a//b' }, { hash_on_cookie_path: 'must not have empty segments' }],
    [
      { hash_on_cookie_path: '/a b' },
      { hash_on_cookie_path: "invalid path: '/a b' (characters outside of the reserved list of RFC 3986 found)" },
    ],
    [{ hash_on_cookie_path: '/%x1/' }, { hash_on_cookie_path: "invalid url-encoded value: '%x1'" }],
    [{ hash_on_cookie_path: '/%' }, { hash_on_cookie_path: "invalid url-encoded value: '%'" }],
    [{ foo: 1 }, { foo: 'unknown field' }],
    [{ foo: null }, { foo: 'unknown field' }],
    [{ tags: 'a' }, { tags: 'expected a set' }],
    [
      { tags: ['ok', 'a,b'] },
      { tags: [null, "invalid tag 'a,b': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"] },
    ],
    [
      { tags: ['a/b'] },
      { tags: ["invalid tag 'a/b': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"] },
    ],
    [{ tags: [null] }, { tags: ['required field missing'] }],
    [{ tags: [''] }, { tags: ['length must be at least 1'] }],
    [{ host_header: 'a b' }, { host_header: 'invalid hostname: a b' }],
    [{ host_header: 'a:65536' }, { host_header: 'invalid port number' }],
    [{ client_certificate: {} }, { client_certificate: { id: 'missing primary key' } }],
    [{ client_certificate: { id: 'x' } }, { client_certificate: { id: 'expected a valid UUID' } }],
    [{ use_srv_name: 'yes' }, { use_srv_name: 'expected a boolean' }],
    [{ id: 'x' }, { id: 'expected a valid UUID' }],
    [{ healthchecks: 7 }, { healthchecks: 'expected a record' }],
    [{ healthchecks: { foo: 1 } }, { healthchecks: { foo: 'unknown field' } }],
    [{ healthchecks: { threshold: 100.1 } }, { healthchecks: { threshold: 'value should be between 0 and 100' } }],
    [
      { healthchecks: { active: { timeout: -1 } } },
      { healthchecks: { active: { timeout: 'value should be between 0 and 65535' } } },
    ],
    [
      { healthchecks: { active: { concurrency: 0 } } },
      { healthchecks: { active: { concurrency: 'value should be between 1 and 2147483648' } } },
    ],
    [
      { healthchecks: { active: { type: 'udp' } } },
      { healthchecks: { active: { type: 'expected one of: tcp, http, https, grpc, grpcs' } } },
    ],
    [
      { healthchecks: { active: { healthy: { successes: 256 } } } },
      { healthchecks: { active: { healthy: { successes: 'value should be between 0 and 255' } } } },
    ],
    [
      { healthchecks: { passive: { unhealthy: { http_statuses: [500, 99, 1000, 501] } } } },
      {
        healthchecks: {
          passive: {
            unhealthy: {
              http_statuses: [null, 'value should be between 100 and 999', 'value should be between 100 and 999'],
            },
          },
        },
      },
    ],
    [
      { healthchecks: { active: { https_sni: '1.2.3.4' } } },
      { healthchecks: { active: { https_sni: 'must not be an IP' } } },
    ],
    [
      { healthchecks: { active: { https_sni: 'a:80' } } },
      { healthchecks: { active: { https_sni: 'must not have a port' } } },
    ],
    [
      { healthchecks: { active: { https_sni: 'a b' } } },
      { healthchecks: { active: { https_sni: 'invalid value: a b' } } },
    ],
    [
      { healthchecks: { active: { headers: { 'a b': ['x'] } } } },
      {
        healthchecks: {
          active: { headers: "bad header name 'a b', allowed characters are A-Z, a-z, 0-9, '_', and '-'" },
        },
      },
    ],
    [
      { healthchecks: { active: { headers: { a: 'x' } } } },
      { healthchecks: { active: { headers: 'expected an array' } } },
    ],
    [{ healthchecks: { active: { headers: [] } } }, { healthchecks: { active: { headers: 'expected a map' } } }],
  ];
  for (const [given, errors] of rows) test(JSON.stringify(given), () => assert.deepEqual(bad(given), errors));
});

suite('what is taken', () => {
  const rows: [given: JsonObject, field: string, stored: Json][] = [
    [{ tags: ['a b', 'ü', 'a b'] }, 'tags', ['a b', 'ü']],
    [{ slots: null }, 'slots', 10_000],
    [{ host_header: '1.2.3.4:8080' }, 'host_header', '1.2.3.4:8080'],
    [{ hash_on_cookie_path: '/a/%20b' }, 'hash_on_cookie_path', '/a/%20b'],
    [{ client_certificate: { id: ID.toUpperCase(), name: 'x' } }, 'client_certificate', { id: ID }],
    [{ created_at: 7 }, 'created_at', 7],
  ];
  for (const [given, field, stored] of rows) {
    test(JSON.stringify(given), () => assert.deepEqual(good(given)[field], stored));
  }
  test('http_statuses keep their order and repetitions', () => {
    const { healthchecks } = good({ healthchecks: { active: { healthy: { http_statuses: [302, 200, 302] } } } });
    assert.deepEqual((healthchecks as never)['active']['healthy'], {
      interval: 0,
      http_statuses: [302, 200, 302],
      successes: 0,
    });
  });
});

suite('PATCH', () => {
  test('merges records, replaces lists and maps, and keeps the rest', () => {
    const before = good({
      tags: ['a'],
      healthchecks: { active: { headers: { a: ['1'] }, healthy: { interval: 3 } }, threshold: 5 },
    });
    const given = { healthchecks: { active: { healthy: { successes: 2 }, headers: { b: ['2'] } } }, tags: ['b'] };
    const { entity } = update(upstreams, before, given, { ...env, now: () => 2_000_000_000 });
    const expected = structuredClone(before) as never;
    (expected as JsonObject).updated_at = 2_000_000_000;
    (expected as JsonObject).tags = ['b'];
    expected['healthchecks']['active']['healthy']['successes'] = 2 as never;
    expected['healthchecks']['active']['headers'] = { b: ['2'] } as never;
    assert.deepEqual(entity, expected);
  });
  test('null clears', () => {
    const { entity } = update(
      upstreams,
      good({ tags: ['a'], host_header: 'h' }),
      { tags: null, host_header: null },
      env,
    );
    assert.deepEqual([entity?.tags, entity?.host_header], [null, null]);
  });
  test('rules run on what comes out', () => {
    const before = good({ hash_on: 'header', hash_on_header: 'h' });
    assert.deepEqual(update(upstreams, before, { hash_on_header: null }, env).errors, {
      '@entity': [CONDITIONAL('hash_on')],
      hash_on_header: 'required field missing',
    });
  });
});

suite('messages', () => {
  const message = (input: JsonObject): string => schemaViolation(create(upstreams, input, env).errors ?? {}).message;
  test('one', () => assert.equal(message({}), 'schema violation (name: required field missing)'));
  test('several: those of no field first, then by name', () => {
    assert.equal(
      message({ slots: 1, hash_on: 'consumer', hash_fallback: 'header' }),
      `4 schema violations (${CONDITIONAL('hash_fallback')}; hash_fallback_header: required field missing; ` +
        'name: required field missing; slots: value should be between 10 and 65536)',
    );
  });
  test('deep, and in lists', () => {
    assert.equal(
      message({ name: 'u', tags: ['a', 'b/c'], healthchecks: { active: { timeout: 'x' } } }),
      '2 schema violations (healthchecks.active.timeout: expected a number; tags.2: invalid tag ' +
        "'b/c': expected printable ascii (except `,` and `/`) or valid utf-8 sequences)",
    );
  });
  test('names that objects have by themselves are names like others', () => {
    const { errors } = create(upstreams, JSON.parse('{"name":"u","__proto__":1,"constructor":2}') as JsonObject, env);
    assert.equal(JSON.stringify(errors), '{"__proto__":"unknown field","constructor":"unknown field"}');
  });
});
