/** What the data plane is told: everything at first, then no more than a change touches. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { KINDS } from '../../../src/config/kong/schema.ts';
import type { Entity, EntityKind, JsonObject } from '../../../src/config/kong/schema.ts';
import { SCHEMAS } from '../../../src/config/kong/schemas.ts';
import { KongView } from '../../../src/config/kong/to-config.ts';
import { create } from '../../../src/config/kong/validate.ts';

let last = 0;
const env = { now: () => 1000, uuid: () => `00000000-0000-4000-8000-${String(++last).padStart(12, '0')}` };

function make(kind: EntityKind, input: JsonObject): Entity {
  const { entity, errors } = create(SCHEMAS[kind], input, env);
  assert.equal(errors, null);
  return entity as Entity;
}
const all = (some: Partial<Record<EntityKind, Entity[]>>): Record<EntityKind, Entity[]> =>
  Object.fromEntries(KINDS.map((kind) => [kind, some[kind] ?? []])) as Record<EntityKind, Entity[]>;
const ref = ({ id }: Entity): JsonObject => ({ id });

test('an upstream with its targets, in an order that all nodes share', () => {
  const upstream = make('upstreams', {
    name: 'u',
    hash_on: 'header',
    hash_on_header: 'X-User',
    hash_fallback: 'cookie',
    hash_on_cookie: 'c',
    host_header: 'h:81',
    healthchecks: {
      threshold: 12.5,
      active: {
        type: 'https',
        timeout: 0.25,
        https_sni: 'sni',
        headers: { a: ['1', '2'] },
        healthy: { interval: 2.5 },
      },
      passive: { unhealthy: { tcp_failures: 3 } },
    },
  });
  const targets = ['b:80', '10.0.0.2', 'a:90', 'a:9', '[::1]:81'].map((target) =>
    make('targets', { upstream: ref(upstream), target, weight: 7 }),
  );
  const { upstreams, ...rest } = new KongView(all({ upstreams: [upstream], targets })).config(4);
  assert.deepEqual(rest, {
    revision: 4,
    routes: [],
    services: [],
    certificates: [],
    caCertificates: [],
    consumers: [],
  });
  const [config] = upstreams;
  assert.ok(config !== undefined);
  assert.deepEqual(
    { ...config, targets: config.targets.map(({ target, kind, host, port }) => [target, kind, host, port]) },
    {
      id: upstream.id,
      name: 'u',
      algorithm: 'consistent-hashing',
      hashOn: { kind: 'header', name: 'X-User' },
      hashFallback: { kind: 'cookie', name: 'c', path: '/' },
      stickyCookie: null,
      slots: 10_000,
      hostHeader: 'h:81',
      clientCertificate: null,
      useSrvName: false,
      healthchecks: {
        threshold: 12.5,
        active: {
          type: 'https',
          timeoutMs: 250,
          concurrency: 10,
          httpPath: '/',
          httpsSni: 'sni',
          httpsVerifyCertificate: true,
          headers: [{ name: 'a', values: ['1', '2'] }],
          healthy: { intervalMs: 2500, httpStatuses: [200, 302], successes: 0 },
          unhealthy: {
            intervalMs: 0,
            httpStatuses: [429, 404, 500, 501, 502, 503, 504, 505],
            tcpFailures: 0,
            timeouts: 0,
            httpFailures: 0,
          },
        },
        passive: {
          type: 'http',
          healthy: {
            httpStatuses: [
              200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308,
            ],
            successes: 0,
          },
          unhealthy: { httpStatuses: [429, 500, 503], tcpFailures: 3, timeouts: 0, httpFailures: 0 },
        },
      },
      targets: [
        ['[0000:0000:0000:0000:0000:0000:0000:0001]:81', 'ipv6', '0000:0000:0000:0000:0000:0000:0000:0001', 81],
        ['10.0.0.2:8000', 'ipv4', '10.0.0.2', 8000],
        ['a:9', 'name', 'a', 9],
        ['a:90', 'name', 'a', 90],
        ['b:80', 'name', 'b', 80],
      ],
    },
  );
});

test('a route with its service', () => {
  const service = make('services', { name: 's', url: 'https://u:8443/base', tls_verify: false });
  const route = make('routes', {
    service: ref(service),
    paths: ['/a', '~/b/(?<id>[0-9]+)$'],
    headers: { 'X-A': ['1'] },
    methods: ['GET'],
    hosts: ['*.x.y'],
  });
  const config = new KongView(all({ services: [service], routes: [route] })).config(1);
  assert.deepEqual(config.services, [
    {
      id: service.id,
      name: 's',
      enabled: true,
      protocol: 'https',
      host: 'u',
      port: 8443,
      path: '/base',
      retries: 5,
      connectTimeoutMs: 60_000,
      writeTimeoutMs: 60_000,
      readTimeoutMs: 60_000,
      tlsVerify: false,
      tlsVerifyDepth: null,
      clientCertificate: null,
      caCertificates: [],
    },
  ]);
  assert.deepEqual(config.routes, [
    {
      id: route.id,
      name: null,
      createdAt: 1000,
      protocols: ['http', 'https'],
      methods: ['GET'],
      hosts: ['*.x.y'],
      paths: [
        { kind: 'prefix', text: '/a' },
        { kind: 'regex', text: '/b/(?<id>[0-9]+)$' },
      ],
      headers: [{ name: 'X-A', values: ['1'] }],
      snis: [],
      sources: [],
      destinations: [],
      stripPath: true,
      preserveHost: false,
      regexPriority: 0,
      pathHandling: 'v0',
      httpsRedirectStatusCode: 426,
      requestBuffering: true,
      responseBuffering: true,
      service: service.id,
    },
  ]);
});

suite('changes', () => {
  const [a, b] = [make('upstreams', { name: 'a' }), make('upstreams', { name: 'b' })];
  const target = make('targets', { upstream: ref(a), target: 'h:1' });
  const view = (): KongView => new KongView(all({ upstreams: [a, b], targets: [target] }));
  const change = (kind: EntityKind, id: string, entity: Entity | null) => ({ kind, id, entity });

  test('a new target is its upstream again, and nothing else', () => {
    const other = make('targets', { upstream: ref(b), target: 'h:2' });
    const update = view().update([change('targets', other.id, other)], [], 9);
    assert.deepEqual(Object.keys(update), ['revision', 'upstreams']);
    assert.deepEqual(
      [
        update.revision,
        update.upstreams?.set.map(({ name, targets }) => [name, targets.length]),
        update.upstreams?.removed,
      ],
      [9, [['b', 1]], []],
    );
  });
  test('a target that moves is two upstreams', () => {
    const moved = { ...target, upstream: ref(b) };
    const { upstreams } = view().update([change('targets', target.id, moved)], [], 9);
    assert.deepEqual(
      upstreams?.set.map(({ name, targets }) => [name, targets.length]),
      [
        ['a', 0],
        ['b', 1],
      ],
    );
  });
  test('an upstream that goes, with its target, in any order', () => {
    const gone = [change('targets', target.id, null), change('upstreams', a.id, null)];
    for (const changes of [gone, gone.toReversed()]) {
      const now = view();
      assert.deepEqual(now.update(changes, [], 9), { revision: 9, upstreams: { set: [], removed: [a.id] } });
      assert.deepEqual(
        now.config(9).upstreams.map(({ name }) => name),
        ['b'],
      );
    }
  });
  test('services, certificates and the like are told whole', () => {
    const service = make('services', { host: 'h' });
    const now = view();
    assert.deepEqual(
      Object.entries(now.update([change('services', service.id, service)], [], 9)).map(([name]) => name),
      ['revision', 'services'],
    );
    assert.deepEqual(now.update([change('services', service.id, null)], [], 10), { revision: 10, services: [] });
    const mark = { node: 'n', upstream: a.id, target: target.id, address: null, healthy: false };
    assert.deepEqual(now.update([], [mark], 11), { revision: 11, marks: [mark] });
  });
});
