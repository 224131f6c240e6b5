/**
 * Managers written for Kong: what Kong Manager (its own pages and @kong-ui-public packages), Konga and deck ask for, request by
 * request as a browser or a client sends them. None may find an answer that it cannot go on with.
 */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { test } from 'node:test';
import { makeSelfSigned } from '../../src/net/self-signed.ts';
import { directory } from '../helpers/headrace.ts';
import { KongProcess } from '../helpers/kong.ts';

const GUI = 'http://localhost:8002';
const pair = makeSelfSigned('gui.test', Date.now());

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  json: unknown;
}

function send(port: number, method: string, path: string, headers: Record<string, string>, body = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const req = request({ host: '127.0.0.1', port, method, path, headers, agent: false }, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (part: string) => (text += part));
      res.on('end', () => {
        const json: unknown = text === '' ? null : JSON.parse(text);
        resolve({ status: res.statusCode ?? 0, headers: res.headers, json });
      });
    });
    req.on('error', reject).end(body);
  });
}

type Row = [method: string, path: string, status: number, body?: object | string];

/** Kong Manager: every page opened, every form sent. `{x}`: the id that the form before gave. */
const KONG_MANAGER: Row[] = [
  ['GET', '/', 200],
  // Overview, and the lists of the side bar.
  ['GET', '/services?size=30', 200],
  ['GET', '/routes?size=30', 200],
  ['GET', '/consumers?size=30', 200],
  ['GET', '/plugins?size=30', 200],
  ['GET', '/upstreams?size=30', 200],
  ['GET', '/certificates?size=30', 200],
  ['GET', '/ca_certificates?size=30', 200],
  ['GET', '/snis?size=30', 200],
  ['GET', '/keys?size=30', 200],
  ['GET', '/key-sets?size=30', 200],
  ['GET', '/vaults?size=30', 200],
  // A service, by the two ways that its form has, and its page.
  ['GET', '/services/nobody', 404],
  ['POST', '/services', 201, { name: 'web', tags: ['gui'], url: 'http://backend.test/base' }],
  [
    'PATCH',
    '/services/web',
    200,
    {
      name: 'web',
      host: 'web.up',
      protocol: 'http',
      port: 80,
      path: null,
      retries: 5,
      connect_timeout: 60000,
      write_timeout: 60000,
      read_timeout: 60000,
      tags: [],
      client_certificate: null,
      ca_certificates: null,
      tls_verify: null,
      tls_verify_depth: null,
      enabled: true,
    },
  ],
  ['GET', '/services/web', 200],
  ['GET', '/services/web/plugins?size=30', 200],
  ['GET', '/services/web/routes?size=30', 200],
  // Its routes.
  ['GET', '/services?size=1000', 200],
  [
    'POST',
    '/services/web/routes',
    201,
    {
      name: 'all',
      protocols: ['http', 'https'],
      paths: ['/'],
      methods: ['GET'],
      hosts: null,
      headers: { 'X-A': ['1'] },
      strip_path: true,
      preserve_host: false,
      path_handling: 'v0',
      https_redirect_status_code: 426,
      regex_priority: 0,
      request_buffering: true,
      response_buffering: true,
      tags: ['gui'],
    },
  ],
  ['PATCH', '/services/web/routes/all', 200, { paths: ['/', '/more'] }],
  ['PATCH', '/routes/all', 200, { methods: null, headers: null }],
  ['GET', '/routes/all', 200],
  ['GET', '/routes/all/plugins?size=30', 200],
  // Upstreams and targets.
  ['GET', '/services?size=1000', 200],
  ['GET', '/certificates?size=1000', 200],
  [
    'POST',
    '/upstreams',
    201,
    {
      name: 'web.up',
      slots: 10000,
      algorithm: 'round-robin',
      hash_on: 'none',
      hash_fallback: 'none',
      host_header: null,
      client_certificate: null,
      use_srv_name: false,
      tags: [],
      healthchecks: {
        threshold: 0,
        active: {
          type: 'http',
          timeout: 1,
          concurrency: 10,
          http_path: '/',
          https_verify_certificate: true,
          healthy: { interval: 0, successes: 0, http_statuses: [200, 302] },
          unhealthy: {
            interval: 0,
            timeouts: 0,
            tcp_failures: 0,
            http_failures: 0,
            http_statuses: [429, 404, 500, 501, 502, 503, 504, 505],
          },
        },
        passive: {
          type: 'http',
          healthy: { successes: 5, http_statuses: [200, 201] },
          unhealthy: { timeouts: 0, tcp_failures: 0, http_failures: 5, http_statuses: [429, 500, 503] },
        },
      },
    },
  ],
  ['PATCH', '/upstreams/web.up', 200, { algorithm: 'consistent-hashing', hash_on: 'ip' }],
  ['GET', '/upstreams/web.up', 200],
  ['POST', '/upstreams/web.up/targets', 201, { target: '127.0.0.1:9', weight: 100, tags: ['gui'] }],
  ['GET', '/upstreams/web.up/targets?size=30', 200],
  ['GET', '/upstreams/web.up/health?size=30', 200],
  ['PATCH', '/upstreams/web.up/targets/127.0.0.1:9', 200, { target: '127.0.0.1:9', weight: 50 }],
  ['PUT', '/upstreams/web.up/targets/127.0.0.1:9/unhealthy', 204],
  ['PUT', '/upstreams/web.up/targets/127.0.0.1:9/healthy', 204],
  // Certificates and names.
  ['POST', '/certificates', 201, { ...pair, snis: ['gui.test'], tags: [] }],
  ['GET', '/snis/gui.test', 200],
  ['PATCH', '/snis/gui.test', 200, { tags: ['x'] }],
  ['POST', '/consumers', 201, { username: 'alice', custom_id: 'a-1', tags: [] }],
  ['PATCH', '/consumers/alice', 200, { custom_id: 'a-2' }],
  ['GET', '/consumers/alice/plugins?size=30', 200],
  // What there is not: refused with a reason that the form shows.
  ['GET', '/schemas/plugins/cors', 404],
  ['POST', '/plugins', 400, { name: 'cors', config: {} }],
  ['POST', '/services/web/plugins', 400, { name: 'cors' }],
  ['POST', '/vaults', 405, { name: 'env', prefix: 'x' }],
  // The way out.
  ['DELETE', '/upstreams/web.up/targets/127.0.0.1:9', 204],
  ['DELETE', '/upstreams/web.up', 204],
  ['DELETE', '/services/web', 400],
  ['DELETE', '/routes/all', 204],
  ['DELETE', '/services/web', 204],
  ['DELETE', '/snis/gui.test', 204],
  ['DELETE', '/consumers/alice', 204],
];

/** Konga: a server that sends JSON with the methods of Kong 2, and follows `next`. */
const KONGA: Row[] = [
  ['GET', '/', 200],
  ['GET', '/status', 200],
  ['GET', '/plugins/enabled', 200],
  ['GET', '/plugins', 200],
  ['GET', '/plugins/schema/cors', 404],
  ['POST', '/services', 201, { name: 'k', url: 'http://k.up' }],
  ['GET', '/services/k/plugins?enabled=true', 200],
  ['POST', '/services/k/routes', 201, { name: 'k', hosts: ['k.test'], protocols: ['http'] }],
  ['GET', '/routes/k/plugins?enabled=true', 200],
  ['POST', '/upstreams', 201, { name: 'k.up', slots: 1000, healthchecks: { passive: { unhealthy: { timeouts: 1 } } } }],
  ['PUT', '/upstreams/k.up', 200, { name: 'k.up', healthchecks: { passive: { unhealthy: { timeouts: 2 } } } }],
  ['POST', '/upstreams/k.up/targets', 201, { target: '127.0.0.1:9', weight: 1000 }],
  ['GET', '/upstreams/k.up/health', 200],
  ['POST', '/upstreams/k.up/targets/127.0.0.1:9/unhealthy', 204],
  ['POST', '/upstreams/k.up/targets/127.0.0.1:9/healthy', 204],
  ['PATCH', '/services/k', 200, { retries: 3 }],
  ['GET', '/consumers', 200],
  ['GET', '/certificates', 200],
  ['GET', '/snis', 200],
  ['DELETE', '/upstreams/k.up/targets/127.0.0.1:9', 204],
  ['DELETE', '/routes/k', 204],
];

/** deck (go-kong): what it reads first, then by PUT and POST what it wants there. */
const DECK: Row[] = [
  ['GET', '/', 200],
  ['GET', '/kong', 404],
  ['GET', '/consumers?size=1000', 200],
  ['GET', '/consumer_groups?size=1000', 200],
  ['GET', '/plugins?size=1000', 200],
  ['GET', '/certificates?size=1000', 200],
  ['GET', '/ca_certificates?size=1000', 200],
  ['GET', '/snis?size=1000', 200],
  ['GET', '/services?size=1000&tags=team', 200],
  ['GET', '/routes?size=1000', 200],
  ['GET', '/upstreams?size=1000', 200],
  ['GET', '/vaults?size=1000', 200],
  ['GET', '/key-auths?size=1000', 404],
  ['GET', '/schemas/services', 200],
  ['GET', '/schemas/upstreams', 200],
  ['PUT', '/services/2c7a3b0e-0000-4000-8000-000000000001', 200, { name: 'd', host: 'd.up', tags: ['team'] }],
  [
    'PUT',
    '/routes/2c7a3b0e-0000-4000-8000-000000000002',
    200,
    { name: 'd', hosts: ['d.test'], service: { id: '2c7a3b0e-0000-4000-8000-000000000001' } },
  ],
  ['PUT', '/upstreams/2c7a3b0e-0000-4000-8000-000000000003', 200, { name: 'd.up' }],
  ['PUT', '/upstreams/d.up/targets/2c7a3b0e-0000-4000-8000-000000000004', 404, { target: '127.0.0.1:9' }],
  ['POST', '/upstreams/d.up/targets', 201, { id: '2c7a3b0e-0000-4000-8000-000000000004', target: '127.0.0.1:9' }],
  ['GET', '/upstreams/2c7a3b0e-0000-4000-8000-000000000003/targets?size=1000', 200],
  ['DELETE', '/upstreams/d.up/targets/2c7a3b0e-0000-4000-8000-000000000004', 204],
  ['POST', '/schemas/services/validate', 200, { name: 'e', host: 'e.up' }],
  ['POST', '/schemas/services/validate', 400, { name: 'e' }],
];

test('managers written for Kong', async (t) => {
  const kong = await KongProcess.start(t, directory(t), ['--stream-listen', 'off']);
  const { port } = kong;

  await t.test('Kong Manager, in a browser: each request with its preflight', async () => {
    for (const [method, path, status, body] of KONG_MANAGER) {
      const headers = { origin: GUI, accept: 'application/json, text/plain, */*' };
      if (method !== 'GET') {
        const asked = await send(port, 'OPTIONS', path, {
          origin: GUI,
          'access-control-request-method': method,
          'access-control-request-headers': 'content-type',
        });
        assert.equal(asked.status, 204, `OPTIONS ${path}`);
        assert.equal(asked.headers['access-control-allow-origin'], GUI);
        assert.equal(asked.headers['access-control-allow-headers'], 'content-type');
        const methods = String(asked.headers['access-control-allow-methods']).split(', ');
        assert.ok(methods.includes(method), `${method} ${path} is not among ${methods.join()}`);
      }
      const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
      const answer = await send(
        port,
        method,
        path,
        { ...headers, ...type },
        body === undefined ? '' : JSON.stringify(body),
      );
      assert.equal(answer.status, status, `${method} ${path}: ${JSON.stringify(answer.json)}`);
      assert.equal(answer.headers['access-control-allow-origin'], GUI);
      if (status >= 400) assert.equal(typeof (answer.json as { message: unknown }).message, 'string');
    }
  });

  await t.test('what it reads of /', async () => {
    const { json } = await send(port, 'GET', '/', { origin: GUI });
    const info = json as Record<string, unknown> & { configuration: Record<string, unknown>; plugins: object };
    assert.match(String(info.version), /^3\.\d+\.\d+$/);
    assert.deepEqual([info.edition, info.tagline], ['community', 'Welcome to kong']);
    assert.deepEqual(info.plugins, { available_on_server: {}, enabled_in_cluster: [] });
    const {
      role,
      admin_listen: admin,
      proxy_listeners: proxies,
      database,
      stream_listen: streams,
    } = info.configuration;
    assert.deepEqual([role, database, streams], ['traditional', 'sqlite', []]);
    assert.deepEqual(admin, [`127.0.0.1:${port}`]);
    assert.deepEqual(proxies, [
      {
        ip: '127.0.0.1',
        port: kong.proxyPort,
        ssl: false,
        http2: false,
        udp: false,
        proxy_protocol: false,
        listener: `127.0.0.1:${kong.proxyPort}`,
      },
    ]);
  });

  for (const [name, rows] of [
    ['Konga', KONGA],
    ['deck', DECK],
  ] as const) {
    await t.test(name, async () => {
      for (const [method, path, status, body] of rows) {
        const { json, ...answer } = await send(
          port,
          method,
          path,
          body === undefined ? {} : { 'content-type': 'application/json' },
          body === undefined ? '' : JSON.stringify(body),
        );
        assert.equal(answer.status, status, `${method} ${path}: ${JSON.stringify(json)}`);
      }
    });
  }
});
