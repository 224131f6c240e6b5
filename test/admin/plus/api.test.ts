/** The API of NGINX Plus, upstream_conf and metrics through the real program: objects, changes, errors, resets. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { PATHS } from '../../../src/admin/plus/openapi.ts';
import { answering, Backend, ok } from '../../helpers/backend.ts';
import { ask } from '../../helpers/client.ts';
import { Headrace } from '../../helpers/headrace.ts';
import { field, text } from '../../helpers/http1.ts';
import { suiteScope, until } from '../../helpers/wait.ts';
import { type Answer, askApi, codeOf } from './asking.ts';

const scope = suiteScope(after);
let h: Headrace;
let one: Backend;
let two: Backend;

const api = (path: string, method = 'GET', body?: unknown, where = '/api'): Promise<Answer> =>
  askApi(scope, h.port('main'), path, method, body, where);
const code = codeOf;

before(async () => {
  one = await Backend.start(
    scope,
    answering(() => ok('one')),
  );
  two = await Backend.start(
    scope,
    answering(() => ok('two')),
  );
  h = await Headrace.start(
    scope,
    ({ port, dir }) => `
    proxy_cache_path ${dir}/kept keys_zone=kept:1m;
    limit_conn_zone $server_name zone=conns:1m;
    limit_req_zone $server_name zone=reqs:1m rate=10r/s;
    keyval_zone zone=pairs:64k;
    keyval $uri $pair zone=pairs;
    upstream app { zone app 64k; resolver 127.0.0.1:1 status_zone=dns; server 127.0.0.1:${one.port}; queue 7 timeout=1s; }
    upstream hashed { zone hashed 64k; hash $request_uri; server 127.0.0.1:${one.port}; }
    upstream fixed { server 127.0.0.1:${one.port}; }
    server {
      listen 127.0.0.1:${port('main')};
      status_zone front;
      location / { status_zone app; proxy_pass http://app; }
      location /api { api write=on; client_body_buffer_size 1k; }
      location /readonly/ { api; }
      location /conf { upstream_conf; }
      location = /metrics { prometheus; }
    }`,
    {
      workers: 2,
      stream: ({ port }) => `
      limit_conn_zone $remote_addr zone=callers:1m;
      keyval_zone zone=lists:64k;
      keyval $remote_addr $listed zone=lists;
      upstream tcp { zone tcp 64k; server 127.0.0.1:${one.port}; }
      server { listen 127.0.0.1:${port('tcp')}; status_zone lines; proxy_pass tcp; }`,
    },
  );
});

const hit = async (): Promise<string> => text(await ask(scope, h.port('main'), '/x'));

describe('objects', () => {
  test('versions, and what there is', async () => {
    assert.equal(text(await ask(scope, h.port('main'), '/api/')), '[1,2,3,4,5,6,7,8,9]');
    const list = async (path: string): Promise<string> => text(await ask(scope, h.port('main'), `/api${path}`));
    assert.equal(
      await list('/9/'),
      '["nginx","processes","connections","ssl","http","stream","resolvers","slabs","workers"]',
    );
    assert.equal(await list('/4'), '["nginx","processes","connections","ssl","http","stream","slabs"]');
    assert.equal(
      await list('/9/http'),
      '["requests","server_zones","location_zones","caches","limit_conns","limit_reqs","upstreams","keyvals"]',
    );
    assert.equal(await list('/9/http/upstreams?fields='), '["app","hashed"]');
    assert.equal(JSON.parse(await list('/openapi.json')).openapi, '3.1.0');
  });

  test('every object is as the document describes it', async () => {
    await hit();
    const names: Readonly<Record<string, string>> = {
      '/http/server_zones': 'front',
      '/http/caches': 'kept',
      '/http/limit_conns': 'conns',
      '/http/limit_reqs': 'reqs',
      '/stream/server_zones': 'lines',
      '/stream/limit_conns': 'callers',
      '/stream/upstreams': 'tcp',
      '/http/keyvals': 'pairs',
      '/stream/keyvals': 'lists',
      '/slabs': 'pairs',
      '/resolvers': 'dns',
    };
    for (const path of Object.keys(PATHS)) {
      const real = path.replace('/{name}/servers/{id}', '/{name}/servers/0').replace('{id}', '0');
      const named = real.replace('{name}', names[real.replace(/\/\{name\}.*/, '')] ?? 'app');
      assert.equal((await api(named)).status, 200, named);
    }
  });

  test('counters count, and are reset', async () => {
    await api('/http/upstreams/app', 'DELETE');
    await api('/http/location_zones/app', 'DELETE');
    for (let i = 0; i < 3; i++) await hit();
    const { peers } = (await api('/http/upstreams/app')).value;
    assert.deepEqual(
      [peers![0]!.requests, peers![0]!.responses!['2xx'], peers![0]!.response_time_hist!.count],
      [3, 3, 3],
    );
    assert.deepEqual(peers![0]!.responses!.codes, { 200: 3 });
    const zone = (await api('/http/location_zones/app')).value;
    assert.deepEqual([zone.requests, zone.responses!.codes, zone.discarded], [3, { 200: 3 }, 0]);
    assert.ok(Number(zone.received) > 0 && Number(zone.sent) > 0);
    assert.equal((await api('/http/upstreams/app', 'DELETE')).status, 204);
    assert.equal((await api('/http/upstreams/app')).value.peers![0]!.requests, 0);
    await api('/http/requests', 'DELETE');
    // The request that asks counts itself.
    assert.equal((await api('/http/requests')).value.total, 1);
  });

  test('fields', async () => {
    assert.deepEqual(Object.keys((await api('/nginx?fields=pid,version')).value), ['version', 'pid']);
    assert.deepEqual((await api('/http/upstreams?fields=zone')).value, {
      app: { zone: 'app' },
      hashed: { zone: 'hashed' },
    });
  });
});

describe('servers', () => {
  test('are added, changed, drained and removed, and every worker sees it', async () => {
    const added = await api('/http/upstreams/app/servers', 'POST', {
      server: `127.0.0.1:${two.port}`,
      weight: 5,
      max_conns: 9,
      slow_start: '0s',
      fail_timeout: '3s',
    });
    assert.equal(added.status, 201);
    const id = Number(added.value.id);
    assert.deepEqual(
      [added.value.weight, added.value.max_conns, added.value.fail_timeout, added.value.backup],
      [5, 9, '3s', false],
    );
    const seen = new Set<string>();
    for (let i = 0; i < 12; i++) seen.add(await hit());
    assert.deepEqual([...seen].sort(), ['one', 'two']);

    assert.equal((await api(`/http/upstreams/app/servers/${id}`, 'PATCH', { drain: true })).value.drain, true);
    for (let i = 0; i < 8; i++) assert.equal(await hit(), 'one');
    assert.equal(
      (await api(`/http/upstreams/app/servers/${id}`, 'PATCH', { drain: false, weight: 1 })).value.weight,
      1,
    );
    await api('/http/upstreams/app/servers/0', 'PATCH', { down: true });
    for (let i = 0; i < 8; i++) assert.equal(await hit(), 'two');
    await api('/http/upstreams/app/servers/0', 'PATCH', { down: false });
    const left = await api(`/http/upstreams/app/servers/${id}`, 'DELETE');
    assert.deepEqual([left.status, left.value.length], [200, 1]);
    for (let i = 0; i < 8; i++) assert.equal(await hit(), 'one');
  });

  test('what cannot be done is refused with its code, and changes nothing', async () => {
    const servers = '/http/upstreams/app/servers';
    const before = (await api(servers)).value;
    for (const [path, method, body, status, expected] of [
      ['/http/upstreams/none', 'GET', undefined, 404, 'UpstreamNotFound'],
      ['/http/upstreams/fixed/servers', 'GET', undefined, 400, 'UpstreamStatic'],
      [`${servers}/77`, 'GET', undefined, 404, 'UpstreamServerNotFound'],
      [`${servers}/x`, 'GET', undefined, 400, 'UpstreamBadServerId'],
      [servers, 'PUT', undefined, 405, 'MethodDisabled'],
      [servers, 'POST', '{', 415, 'JsonError'],
      [servers, 'POST', '[]', 400, 'UpstreamConfFormatError'],
      [servers, 'POST', {}, 400, 'UpstreamConfFormatError'],
      [servers, 'POST', { server: '127.0.0.1:1', colour: 1 }, 400, 'UpstreamConfFormatError'],
      [servers, 'POST', { server: '127.0.0.1:1', weight: { a: 1 } }, 400, 'UpstreamConfFormatError'],
      [servers, 'POST', { server: '127.0.0.1:1', weight: 0 }, 400, 'UpstreamBadWeight'],
      [servers, 'POST', { server: '127.0.0.1:1', max_conns: -1 }, 400, 'UpstreamBadMaxConns'],
      [servers, 'POST', { server: '127.0.0.1:1', fail_timeout: 'soon' }, 400, 'UpstreamBadFailTimeout'],
      [servers, 'POST', { server: '127.0.0.1:99999' }, 400, 'UpstreamBadAddress'],
      ['/http/upstreams/hashed/servers', 'POST', { server: 'name.example:80' }, 400, 'UpstreamConfNoResolver'],
      [servers, 'POST', { server: '127.0.0.1', service: 'x' }, 400, 'UpstreamBadAddress'],
      [servers, 'POST', { server: 'name.example:80', service: 'x' }, 400, 'UpstreamBadAddress'],
      [servers, 'POST', { server: 'name.example', service: '' }, 400, 'UpstreamBadService'],
      [servers, 'POST', { server: 'name.example', route: 'x'.repeat(33) }, 400, 'UpstreamBadRoute'],
      ['/http/upstreams/hashed/servers', 'POST', { server: '127.0.0.1:1', backup: true }, 400, 'UpstreamNoBackup'],
      [`${servers}/0`, 'PATCH', { server: '127.0.0.1:2' }, 400, 'UpstreamConfFormatError'],
      ['/http/nothing', 'GET', undefined, 404, 'PathNotFound'],
    ] as const) {
      const answer = await api(path, method, body);
      assert.deepEqual([answer.status, code(answer)], [status, expected], `${method} ${path} ${JSON.stringify(body)}`);
    }
    assert.deepEqual((await api(servers)).value, before);
    assert.equal((await ask(scope, h.port('main'), '/api/77/nginx')).status, 404);
    const large = await ask(scope, h.port('main'), `/api/9${servers}`, { method: 'POST', body: ' '.repeat(2000) });
    assert.equal(large.status, 413);
  });

  test('without write=on nothing can be changed', async () => {
    assert.equal((await api('/http/upstreams/app/servers', 'GET', undefined, '/readonly')).status, 200);
    const refused = await api('/http/upstreams/app/servers', 'POST', { server: '127.0.0.1:1' }, '/readonly');
    assert.deepEqual([refused.status, code(refused)], [405, 'MethodDisabled']);
  });

  test('requests in flight go on while their server is removed', async () => {
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => (release = resolve));
    let asked = false;
    const slow = await Backend.start(
      scope,
      answering(async () => {
        asked = true;
        await gate;
        return ok('slow');
      }),
    );
    await api('/http/upstreams/app/servers/0', 'PATCH', { down: true });
    const added = await api('/http/upstreams/app/servers', 'POST', { server: `127.0.0.1:${slow.port}` });
    const id = Number(added.value.id);
    const pending = hit();
    await until('the request at the server', () => asked);
    await api(`/http/upstreams/app/servers/${id}`, 'DELETE');
    assert.equal((await api('/http/upstreams/app')).value.zombies, 1);
    release();
    assert.equal(await pending, 'slow');
    await until(
      'the removed server to be forgotten',
      async () => Number((await api('/http/upstreams/app')).value.zombies) === 0,
    );
    await api('/http/upstreams/app/servers/0', 'PATCH', { down: false });
  });
});

test('a page of another site changes nothing', async () => {
  const port = h.port('main');
  const add = { method: 'POST', body: JSON.stringify({ server: '127.0.0.1:1' }) };
  const before = (await api('/http/upstreams/app/servers')).value;
  for (const fields of [['Origin: http://elsewhere.example'], ['Origin: null'], ['Sec-Fetch-Site: cross-site']]) {
    const added = await ask(scope, port, '/api/9/http/upstreams/app/servers', { ...add, fields });
    assert.equal(added.status, 403, String(fields));
    assert.equal((await ask(scope, port, '/conf?upstream=app&id=0&down=', { fields })).status, 403, String(fields));
    assert.equal((await ask(scope, port, '/api/9/nginx', { fields })).status, 200, 'reading is no change');
  }
  assert.deepEqual((await api('/http/upstreams/app/servers')).value, before);
  const own = ['Host: api.test', 'Origin: http://api.test', 'Sec-Fetch-Site: same-origin'];
  const path = '/api/9/http/upstreams/app/servers/0';
  assert.equal((await ask(scope, port, path, { method: 'PATCH', body: '{"weight":1}', fields: own })).status, 200);
});

test('upstream_conf', async () => {
  const conf = async (query: string): Promise<[number, string]> => {
    const response = await ask(scope, h.port('main'), `/conf?${query}`);
    return [response.status, text(response)];
  };
  const first = `server 127.0.0.1:${one.port}; # id=0\n`;
  assert.deepEqual(await conf('upstream=app'), [200, first]);
  const [status, line] = await conf(`upstream=app&add=&server=127.0.0.1:${two.port}&weight=2&max_fails=3&backup=`);
  assert.equal(status, 200);
  assert.match(line, /^server 127\.0\.0\.1:\d+ weight=2 max_fails=3 backup; # id=\d+\n$/);
  const id = /id=(\d+)/.exec(line)![1]!;
  assert.match((await conf(`upstream=app&id=${id}&down=`))[1], / backup down; /);
  assert.match((await conf(`upstream=app&id=${id}&up=&drain=`))[1], / backup drain; /);
  assert.deepEqual(await conf(`upstream=app&id=${id}&remove=`), [200, first]);
  for (const [query, expected] of [
    ['', 400],
    ['upstream=none', 404],
    ['upstream=fixed', 400],
    ['upstream=app&id=99', 404],
    ['upstream=app&add=', 400],
    ['upstream=app&remove=', 400],
    ['upstream=app&id=0&weight=x', 400],
  ] as const)
    assert.equal((await conf(query))[0], expected, query);
});

test('metrics in Prometheus text', async () => {
  await hit();
  const response = await ask(scope, h.port('main'), '/metrics');
  assert.equal(field(response, 'content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  const lines = text(response).trimEnd().split('\n');
  const typed = new Map<string, string>();
  const samples = new Map<string, number>();
  for (const line of lines) {
    const type = /^# TYPE (\w+) (counter|gauge|histogram)$/.exec(line);
    if (type !== null) typed.set(type[1]!, type[2]!);
    else if (!line.startsWith('# HELP ')) {
      const sample = /^(\w+)((?:\{(?:\w+="(?:[^"\\]|\\.)*",?)+\})?) (\S+)$/.exec(line);
      assert.ok(sample !== null, line);
      const [, name = '', labels = '', value = ''] = sample;
      const metric = typed.get(name) === undefined ? name.replace(/_(?:bucket|sum|count)$/, '') : name;
      assert.ok(typed.has(metric), `${name} has no type`);
      if (typed.get(metric) === 'counter') assert.match(name, /_total$/);
      assert.ok(!samples.has(name + labels), `${name}${labels} stands twice`);
      assert.ok(Number.isFinite(Number(value)), line);
      samples.set(name + labels, Number(value));
    }
  }
  for (const sample of [
    'headrace_limit_decisions_total{zone="reqs",limit="req",decision="delayed"}',
    'headrace_limit_decisions_total{zone="callers",limit="conn",decision="rejected"}',
    'headrace_cache_responses_total{cache="kept",status="hit"}',
    'headrace_cache_size_bytes{cache="kept"}',
    'headrace_resolver_requests_total{resolver="dns",type="srv"}',
    'headrace_stream_server_zone_sessions_total{zone="lines",code="2xx"}',
    `headrace_stream_upstream_peer_sessions_total{upstream="tcp",server="127.0.0.1:${one.port}"}`,
    'headrace_tls_handshakes_total{outcome="failed"}',
  ])
    assert.equal(samples.get(sample), 0, sample);
  const peer = `upstream="app",server="127.0.0.1:${one.port}"`;
  assert.equal(samples.get(`headrace_upstream_peer_state{${peer},state="up"}`), 1);
  assert.ok(samples.get(`headrace_upstream_peer_requests_total{${peer}}`)! >= 1);
  const buckets = [...samples].filter(([name]) =>
    name.startsWith(`headrace_upstream_peer_response_seconds_bucket{${peer}`),
  );
  assert.equal(buckets.length, 15);
  // Each bucket holds those before it.
  assert.deepEqual(
    buckets.map(([, value]) => value),
    buckets.map(([, value]) => value).sort((a, b) => a - b),
  );
  assert.equal(buckets.at(-1)![1], samples.get(`headrace_upstream_peer_response_seconds_count{${peer}}`));
  assert.ok(samples.get('headrace_server_zone_responses_total{zone="front",code="200"}')! > 0);
});
