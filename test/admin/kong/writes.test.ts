/** What is written through the Admin API: every case in the three formats of bodies, over SQLite, and over PostgreSQL. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import { isObject } from '../../../src/config/kong/schema.ts';
import type { Json, JsonObject } from '../../../src/config/kong/schema.ts';
import { openStore } from '../../../src/store/open.ts';
import { Postgres } from '../../helpers/postgres.ts';
import { suiteScope } from '../../helpers/wait.ts';
import { Client, FORMATS, type Format } from './harness.ts';

const MISSING = 'c2d3a1a0-9f65-4c8e-8f1d-0f5a3f6f5a00';
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** What `part` says is so in `whole`, which may have more fields, at every depth; lists are compared as they are. */
function includes(whole: Json, part: JsonObject): void {
  const cut = (value: Json, by: Json): Json =>
    isObject(value) && isObject(by)
      ? Object.fromEntries(Object.keys(by).map((name) => [name, cut(value[name] ?? null, by[name] ?? null)]))
      : value;
  assert.deepEqual(cut(whole, part), part);
}

const violation = (fields: JsonObject, message: string): JsonObject => ({
  code: 2,
  name: 'schema violation',
  message,
  fields,
});

/** Refused: path, body, status, exact answer. `{}` of the path is the name of an upstream that is there. */
const REFUSED: [method: string, path: string, body: JsonObject, status: number, answer: JsonObject][] = [
  [
    'POST',
    '/upstreams',
    {},
    400,
    violation({ name: 'required field missing' }, 'schema violation (name: required field missing)'),
  ],
  [
    'POST',
    '/upstreams',
    { name: '1.2.3.4' },
    400,
    violation(
      { name: "Invalid name ('1.2.3.4'); no ip addresses allowed" },
      "schema violation (name: Invalid name ('1.2.3.4'); no ip addresses allowed)",
    ),
  ],
  [
    'POST',
    '/upstreams',
    { name: 'a', slots: 65_537 },
    400,
    violation(
      { slots: 'value should be between 10 and 65536' },
      'schema violation (slots: value should be between 10 and 65536)',
    ),
  ],
  [
    'POST',
    '/upstreams',
    { name: 'a', healthchecks: { active: { timeout: -1 } } },
    400,
    violation(
      { healthchecks: { active: { timeout: 'value should be between 0 and 65535' } } },
      'schema violation (healthchecks.active.timeout: value should be between 0 and 65535)',
    ),
  ],
  [
    'POST',
    '/upstreams',
    { name: 'a', tags: ['ok', 'a/b'] },
    400,
    violation(
      { tags: [null, "invalid tag 'a/b': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"] },
      "schema violation (tags.2: invalid tag 'a/b': expected printable ascii (except `,` and `/`) or valid utf-8 sequences)",
    ),
  ],
  [
    'POST',
    '/upstreams',
    { name: 'a', client_certificate: { id: MISSING } },
    400,
    {
      code: 4,
      name: 'foreign key violation',
      message: `the foreign key '{id="${MISSING}"}' does not reference an existing 'certificates' entity.`,
      fields: { client_certificate: { id: MISSING } },
    },
  ],
  [
    'POST',
    '/upstreams',
    { name: '{}' },
    409,
    {
      code: 5,
      name: 'unique constraint violation',
      message: `UNIQUE violation detected on '{name="{}"}'`,
      fields: { name: '{}' },
    },
  ],
  [
    'PUT',
    '/upstreams/1.2.3.4',
    {},
    400,
    { code: 10, name: 'invalid unique name', message: "Invalid name ('1.2.3.4'); no ip addresses allowed" },
  ],
  [
    'PUT',
    `/upstreams/${MISSING}`,
    {},
    400,
    violation({ name: 'required field missing' }, 'schema violation (name: required field missing)'),
  ],
  [
    'PATCH',
    `/upstreams/${MISSING}`,
    { slots: 11 },
    404,
    {
      code: 6,
      name: 'not found',
      message: `could not find the entity with primary key '{id="${MISSING}"}'`,
      fields: { id: MISSING },
    },
  ],
  [
    'PATCH',
    '/upstreams/nobody',
    { slots: 11 },
    404,
    {
      code: 6,
      name: 'not found',
      message: `could not find the entity with '{name="nobody"}'`,
      fields: { name: 'nobody' },
    },
  ],
  [
    'POST',
    '/upstreams/{}/targets',
    {},
    400,
    violation({ target: 'required field missing' }, 'schema violation (target: required field missing)'),
  ],
  [
    'POST',
    '/upstreams/{}/targets',
    { target: 'some invalid host name' },
    400,
    violation(
      { target: 'Invalid target; not a valid hostname or ip address' },
      'schema violation (target: Invalid target; not a valid hostname or ip address)',
    ),
  ],
  [
    'POST',
    '/upstreams/{}/targets',
    { target: 'h', weight: 65_536 },
    400,
    violation(
      { weight: 'value should be between 0 and 65535' },
      'schema violation (weight: value should be between 0 and 65535)',
    ),
  ],
  ['POST', '/upstreams/nobody/targets', { target: 'h' }, 404, { message: 'Not found' }],
  ['PUT', '/upstreams/{}/targets/nowhere:80', { weight: 1 }, 404, { message: 'Not found' }],
  ['PATCH', '/upstreams/{}/targets/nowhere:80', { weight: 1 }, 404, { message: 'Not found' }],
  ['POST', '/targets', { target: 'h' }, 404, { message: 'Not found' }],
  ['PUT', '/upstreams', { name: 'a' }, 405, { message: 'Method not allowed' }],
  ['PATCH', '/upstreams', { name: 'a' }, 405, { message: 'Method not allowed' }],
  [
    'POST',
    '/services',
    { name: 's' },
    400,
    violation({ host: 'required field missing' }, 'schema violation (host: required field missing)'),
  ],
  [
    'POST',
    '/services',
    { name: 's s', host: 'h:80', port: 65_536, path: 'x', retries: 32_768, protocol: 'ftp' },
    400,
    violation(
      {
        name: "invalid value 's s': the only accepted ascii characters are alphanumerics or ., -, _, and ~",
        host: 'must not have a port',
        port: 'value should be between 0 and 65535',
        path: 'should start with: /',
        retries: 'value should be between 0 and 32767',
        protocol: 'expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp',
      },
      '6 schema violations (host: must not have a port; ' +
        "name: invalid value 's s': the only accepted ascii characters are alphanumerics or ., -, _, and ~; " +
        'path: should start with: /; port: value should be between 0 and 65535; ' +
        'protocol: expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp; ' +
        'retries: value should be between 0 and 32767)',
    ),
  ],
  [
    'POST',
    '/services',
    { host: 'h', tls_verify: true },
    400,
    violation(
      {
        '@entity': ["failed conditional validation given value of field 'protocol'"],
        tls_verify: 'value must be null',
      },
      "2 schema violations (failed conditional validation given value of field 'protocol'; tls_verify: value must be null)",
    ),
  ],
  [
    'POST',
    '/routes',
    {},
    400,
    violation(
      {
        '@entity': ["must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https'"],
      },
      "schema violation (must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https')",
    ),
  ],
  [
    'POST',
    '/routes',
    { protocols: ['http'] },
    400,
    violation(
      { '@entity': ["must set one of 'methods', 'hosts', 'headers', 'paths' when 'protocols' is 'http'"] },
      "schema violation (must set one of 'methods', 'hosts', 'headers', 'paths' when 'protocols' is 'http')",
    ),
  ],
  [
    'POST',
    '/routes',
    { paths: ['/'], service: { name: 'non-existing' } },
    400,
    {
      code: 13,
      name: 'foreign keys unresolved',
      message:
        `foreign key unresolved (service.name: the foreign key cannot be resolved with '{name="non-existing"}' ` +
        `for an existing 'services' entity)`,
      fields: {
        service: {
          name: `the foreign key cannot be resolved with '{name="non-existing"}' for an existing 'services' entity`,
        },
      },
    },
  ],
  [
    'POST',
    '/consumers',
    {},
    400,
    violation(
      { '@entity': ["at least one of these fields must be non-empty: 'custom_id', 'username'"] },
      "schema violation (at least one of these fields must be non-empty: 'custom_id', 'username')",
    ),
  ],
];

for (const driver of ['sqlite', 'postgres'] as const) {
  suite(driver, () => {
    const scope = suiteScope(after);
    let client: Client | null = null;
    before(async (t) => {
      let url = 'memory';
      if (driver === 'postgres') {
        const postgres = await Postgres.start(t as never, scope);
        if (postgres === null) return;
        url = await postgres.database();
      }
      const store = await openStore(url);
      scope.after(() => store.close());
      client = new Client(store);
    });

    // What a format does is decided before the store is asked: one is enough there.
    for (const format of driver === 'sqlite' ? FORMATS : (['json'] as const)) {
      suite(format, () => {
        const check = (name: string, work: (c: Client, format: Format) => Promise<void>): void => {
          test(name, async (t) => {
            if (client === null) return t.skip('postgres is not installed');
            await work(client, format);
          });
        };
        cases(check);
      });
    }
  });
}

type Check = (name: string, work: (client: Client, format: Format) => Promise<void>) => void;

let count = 0;
const unused = (): string => `u${++count}.test`;

function cases(check: Check): void {
  for (const [method, path, body, status, answer] of REFUSED) {
    check(`${method} ${path} ${JSON.stringify(body)} is ${status}`, async (client, format) => {
      const name = unused();
      await client.make('/upstreams', { name });
      const fill = <T extends Json>(value: T): T =>
        JSON.parse(JSON.stringify(value).replace(/(?<=[="'/])\{\}|(?<=\\")\{\}/g, name)) as T;
      const sent = path === '/upstreams' && body.name === '{}' ? { name } : body;
      const got = await client.call(method, path.replace('{}', name), sent, format);
      assert.deepEqual([got.status, got.json], [status, fill(answer)]);
    });
  }

  check('an upstream with everything', async (client, format) => {
    const body: JsonObject = {
      name: unused(),
      hash_on: 'header',
      hash_on_header: 'X-User',
      hash_fallback: 'query_arg',
      hash_fallback_query_arg: 'user',
      slots: 20,
      host_header: 'example.com:8080',
      use_srv_name: true,
      tags: ['a', 'b c'],
      healthchecks: {
        threshold: 12.5,
        active: {
          http_path: '/ping',
          timeout: 0.5,
          https_verify_certificate: false,
          headers: { 'X-Foo': ['1', '2'], 'x-bar': ['3'] },
          healthy: { interval: 2, http_statuses: [200, 201] },
          unhealthy: { http_failures: 255 },
        },
        passive: { type: 'https', unhealthy: { tcp_failures: 1 } },
      },
    };
    const entity = await client.make('/upstreams', body, format);
    includes(entity, { ...body, algorithm: 'consistent-hashing' });
  });

  check('PUT creates, replaces, keeps the id, and forgets what is not said', async (client, format) => {
    const name = unused();
    const made = await client.call('PUT', `/upstreams/${name}`, { name: 'other', slots: 11, tags: ['t'] }, format);
    assert.equal(made.status, 200);
    const { id } = made.json as JsonObject;
    assert.match(id as string, UUID);
    includes(made.json, { name, slots: 11, tags: ['t'] });
    const again = await client.call('PUT', `/upstreams/${name}`, { hash_on: 'ip', created_at: 7 }, format);
    includes(again.json, { id: id ?? null, name, slots: 10_000, tags: null, hash_on: 'ip', created_at: 7 });

    const given = randomUUID();
    const byId = await client.call('PUT', `/upstreams/${given.toUpperCase()}`, { name: unused() }, format);
    assert.equal(byId.status, 200);
    includes(byId.json, { id: given });
  });

  check('PATCH merges records, replaces lists, clears with null', async (client, format) => {
    const name = unused();
    const healthchecks = { active: { http_path: '/a', healthy: { interval: 3, http_statuses: [200] } } };
    await client.make('/upstreams', { name, tags: ['a'], healthchecks, host_header: 'h' });
    const patch = {
      healthchecks: { active: { healthy: { http_statuses: [204, 205] } } },
      tags: ['b'],
      host_header: null,
    };
    const { status, json } = await client.call('PATCH', `/upstreams/${name}`, patch, format);
    assert.equal(status, 200);
    includes(json, { tags: ['b'], host_header: null });
    const { active } = (json as never)['healthchecks'] as never;
    assert.deepEqual(active['healthy'], { interval: 3, http_statuses: [204, 205], successes: 0 });
    assert.equal(active['http_path'], '/a');
  });

  check('targets: normal form, defaults, once in an upstream', async (client, format) => {
    const name = unused();
    await client.make('/upstreams', { name });
    const rows: [given: string, stored: string][] = [
      ['example.com', 'example.com:8000'],
      ['Example.COM:80', 'Example.COM:80'],
      ['001.002.003.004:5', '1.2.3.4:5'],
      ['1.2.3.4', '1.2.3.4:8000'],
      ['::1', '[0000:0000:0000:0000:0000:0000:0000:0001]:8000'],
      ['[fe80::A]:81', '[fe80:0000:0000:0000:0000:0000:0000:000a]:81'],
    ];
    for (const [target, stored] of rows) {
      const entity = await client.make(`/upstreams/${name}/targets`, { target, tags: ['t'] }, format);
      includes(entity, { target: stored, weight: 100, tags: ['t'], failover: false });
      assert.equal(Number.isInteger((entity.created_at as number) * 1000), true);
    }
    const double = await client.call('POST', `/upstreams/${name}/targets`, { target: '1.2.3.4:8000' }, format);
    assert.equal(double.status, 409);
    includes(double.json, { code: 5, name: 'unique constraint violation' });
  });

  check('targets: PATCH and PUT by id and by address', async (client, format) => {
    const name = unused();
    await client.make('/upstreams', { name });
    const { id } = await client.make(`/upstreams/${name}/targets`, { target: 'a.test:80' });
    const list = `/upstreams/${name}/targets`;
    includes((await client.call('PATCH', `${list}/a.test:80`, { weight: 0 }, format)).json, { id, weight: 0 });
    includes((await client.call('PUT', `${list}/${id}`, { weight: 7 }, format)).json, { id, weight: 7 });
    const bad = await client.call('PATCH', `${list}/${id}`, { target: 'a b' }, format);
    assert.deepEqual(bad.json, {
      code: 2,
      name: 'schema violation',
      message: "schema violation (target: Invalid target ('a b'); not a valid hostname or ip address)",
      fields: { target: "Invalid target ('a b'); not a valid hostname or ip address" },
    });
  });

  check('services and routes: url, nested paths, references by name, and who keeps whom', async (client, format) => {
    const name = unused();
    const service = await client.make('/services', { name, url: 'https://example.com/base' }, format);
    includes(service, { protocol: 'https', host: 'example.com', port: 443, path: '/base' });
    const route = await client.make(`/services/${name}/routes`, { name, paths: ['/x', '~/y/\\d+'] }, format);
    includes(route, { service: { id: service.id }, paths: ['/x', '~/y/\\d+'], strip_path: true });
    const other = await client.make('/routes', { hosts: ['*.example.com'], service: { name } }, format);
    includes(other, { service: { id: service.id }, hosts: ['*.example.com'] });

    const child = `/services/${name}/routes/${name}`;
    includes((await client.call('PATCH', child, { preserve_host: true }, format)).json, { preserve_host: true });
    includes((await client.call('PUT', child, { methods: ['GET'] }, format)).json, {
      id: route.id,
      methods: ['GET'],
      paths: null,
      service: { id: service.id },
    });
    includes((await client.call('PATCH', `/routes/${name}/service`, { retries: 1 }, format)).json, { retries: 1 });
    const kept = await client.call('DELETE', `/services/${name}`);
    assert.deepEqual(
      [kept.status, kept.json],
      [
        400,
        {
          code: 4,
          name: 'foreign key violation',
          message: "an existing 'routes' entity references this 'services' entity",
          fields: { '@referenced_by': 'routes' },
        },
      ],
    );
    assert.equal((await client.call('DELETE', `/routes/${name}/service`)).status, 405);
    assert.equal((await client.call('DELETE', child)).status, 204);
    assert.equal((await client.call('DELETE', `/routes/${other.id}`)).status, 204);
    assert.equal((await client.call('DELETE', `/services/${name}`)).status, 204);
  });

  check('PUT of what is not referred to yet makes it', async (client, format) => {
    const name = unused();
    await client.make('/routes', { name, paths: ['/'] });
    assert.equal((await client.call('GET', `/routes/${name}/service`)).status, 404);
    const { status, json } = await client.call('PUT', `/routes/${name}/service`, { host: 'h' }, format);
    assert.equal(status, 200);
    includes((await client.call('GET', `/routes/${name}`)).json, { service: { id: (json as never)['id'] } });
  });

  check('consumers by name, id, or neither', async (client, format) => {
    const username = unused();
    const { id } = await client.make('/consumers', { username, custom_id: username }, format);
    includes((await client.call('GET', `/consumers/${username}`)).json, { id, custom_id: username, tags: null });
    assert.equal((await client.call('DELETE', `/consumers/${username}`)).status, 204);
    assert.equal((await client.call('DELETE', `/consumers/${username}`)).status, 204);
    assert.equal((await client.call('GET', `/consumers/${id}`)).status, 404);
  });
}

suite('in JSON alone', () => {
  const scope = suiteScope(after);
  let client: Client;
  before(async () => {
    const store = await openStore('memory');
    scope.after(() => store.close());
    client = new Client(store);
  });
  const rows: [path: string, body: JsonObject, status: number, fields: JsonObject][] = [
    ['/upstreams', { name: 'a', slots: '50' }, 400, { slots: 'expected an integer' }],
    ['/upstreams', { name: 'a', use_srv_name: 'true' }, 400, { use_srv_name: 'expected a boolean' }],
    ['/upstreams', { name: 'a', tags: 'a' }, 400, { tags: 'expected a set' }],
    ['/routes', { paths: ['/'], service: {} }, 400, { service: { id: 'missing primary key' } }],
    ['/routes', { paths: ['/a//b'] }, 400, { paths: ['must not have empty segments'] }],
    ['/routes', { paths: ['/a/../b'] }, 400, { paths: ["non-normalized path, consider use '/b' instead"] }],
    ['/routes', { paths: ['a'] }, 400, { paths: ['should start with: / (fixed path) or ~/ (regex path)'] }],
    [
      '/routes',
      { hosts: ['a.*.b'] },
      400,
      { hosts: ['invalid wildcard: must be placed at leftmost or rightmost label'] },
    ],
    ['/routes', { hosts: ['*.a.*'] }, 400, { hosts: ['invalid wildcard: must have at most one wildcard'] }],
    ['/routes', { methods: ['get'] }, 400, { methods: ['invalid value: get'] }],
    [
      '/routes',
      { headers: { Host: ['a'] } },
      400,
      { headers: "cannot contain 'host' header, which must be specified in the 'hosts' attribute" },
    ],
    [
      '/routes',
      { paths: ['/'], protocols: ['http', 'tcp'] },
      400,
      { protocols: "these sets are mutually exclusive: ('http', 'https'), ('tcp', 'tls', 'udp')" },
    ],
    [
      '/routes',
      { paths: ['/'], protocols: ['grpc'], strip_path: true },
      400,
      { strip_path: "cannot set 'strip_path' when 'protocols' is 'grpc' or 'grpcs'" },
    ],
    [
      '/routes',
      { paths: ['/'], sources: [{ port: 1 }] },
      400,
      { sources: "cannot set 'sources' when 'protocols' is 'http' or 'https'" },
    ],
    [
      '/routes',
      { paths: ['/'], protocols: ['http'], snis: ['a'] },
      400,
      { '@entity': ["'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'"] },
    ],
    [
      '/routes',
      { paths: ['/'], protocols: ['tcp'], destinations: [{ ip: '10.0.0.0/8', port: 80 }] },
      400,
      { paths: "cannot set 'paths' when 'protocols' is 'tcp', 'tls', 'tls_passthrough' or 'udp'" },
    ],
    ['/routes', { protocols: [] }, 400, { protocols: 'length must be at least 1' }],
    [
      '/services',
      { host: 'h', path: '/', protocol: 'tcp' },
      400,
      {
        '@entity': ["failed conditional validation given value of field 'protocol'"],
        path: 'value must be null',
      },
    ],
  ];
  for (const [path, body, status, fields] of rows) {
    test(`POST ${path} ${JSON.stringify(body)}`, async () => {
      const got = await client.call('POST', path, body);
      assert.deepEqual([got.status, (got.json as JsonObject).fields], [status, fields]);
    });
  }
  test('{"service":{}}: the message', async () => {
    const { json } = await client.call('POST', '/routes', { paths: ['/'], service: {} });
    assert.equal((json as JsonObject).message, 'schema violation (service.id: missing primary key)');
  });
});
