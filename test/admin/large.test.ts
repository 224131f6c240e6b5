/** Pages that speak of thousands of servers: whole, in order, and as slowly as their reader wants them. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { VERSION } from '../../src/version.ts';
import { ask, Client } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { field, text } from '../helpers/http1.ts';
import { suiteScope, until } from '../helpers/wait.ts';
import type { Loose } from './plus/asking.ts';

const scope = suiteScope(after);
const SERVERS = 1500;
let h: Headrace;

const server = (i: number): string => `127.7.${i >> 8}.${i & 255}:9`;
const list = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, i) => `server ${server(from + i)};`).join(' ');

before(async () => {
  h = await Headrace.start(
    scope,
    ({ port }) => `
    upstream many { zone many 4m; ${list(0, SERVERS)} }
    upstream few { zone few 64k; ${list(SERVERS, SERVERS + 3)} queue 7; }
    server {
      listen 127.0.0.1:${port('main')};
      location /api { api write=on; }
      location = /metrics { prometheus; }
    }`,
    { workers: 1 },
  );
});

test('metrics: each server once in each metric, whose lines stand together', async () => {
  const response = await ask(scope, h.port('main'), '/metrics');
  assert.equal(response.status, 200);
  assert.equal(field(response, 'content-length'), null);
  const lines = text(response).split('\n');
  assert.equal(lines.pop(), '');
  const seen = new Set<string>();
  const samples = new Map<string, number>();
  let metric = '';
  for (const line of lines) {
    const head = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
    if (head !== null) {
      metric = head[1]!;
      assert.equal(seen.has(metric), false, `${metric} stands in two places`);
      seen.add(metric);
    } else if (!line.startsWith('#')) {
      const [, name, labels] = /^([a-z_]+)(\{[^}]+\})? -?[0-9.e+-]+$/.exec(line) ?? assert.fail(line);
      assert.equal(name!.replace(/_(?:bucket|sum|count)$/, ''), metric.replace(/_(?:sum|count)$/, ''), line);
      const key = `${metric} ${labels?.includes('upstream="many"') ?? false}`;
      samples.set(key, (samples.get(key) ?? 0) + 1);
    }
  }
  const peer = 'headrace_upstream_peer';
  for (const [name, each] of [
    ['state', 6],
    ['active', 1],
    ['downtime_seconds_total', 1],
    ['responses_total', 5],
    ['response_seconds', 17],
  ] as const) {
    assert.equal(samples.get(`${peer}_${name} true`), SERVERS * each, name);
    assert.equal(samples.get(`${peer}_${name} false`), 3 * each, name);
  }
  assert.match(text(response), /^headrace_upstream_queue_size\{upstream="few"\} 0$/m);
  assert.match(
    text(response),
    new RegExp(`^${peer}_state\\{upstream="many",server="127.7.0.9:9",state="up"\\} 1$`, 'm'),
  );
});

test('metrics: only those that are asked for', async () => {
  const get = async (...names: string[]): Promise<string[]> => {
    const query = names.map((name) => `name[]=${name}`).join('&');
    return text(await ask(scope, h.port('main'), `/metrics?${query}`)).split('\n');
  };
  assert.deepEqual(await get('headrace_build_info', 'headrace_upstream_queue_size'), [
    '# HELP headrace_build_info Version of Headrace.',
    '# TYPE headrace_build_info gauge',
    `headrace_build_info{version="${VERSION}"} 1`,
    '# HELP headrace_upstream_queue_size Requests that wait for a server.',
    '# TYPE headrace_upstream_queue_size gauge',
    'headrace_upstream_queue_size{upstream="few"} 0',
    '',
  ]);
  assert.equal((await get('headrace_upstream_peer_active')).length, SERVERS + 3 + 3);
  assert.deepEqual(await get('nothing'), ['']);
});

test('metrics follow servers that come and go', async () => {
  const where = '/api/9/http/upstreams/few/servers';
  const lines = async (): Promise<string[]> =>
    [
      ...text(await ask(scope, h.port('main'), '/metrics')).matchAll(/peer_active\{upstream="few",server="([^"]+)"/g),
    ].map(([, name]) => name!);
  const before = await lines();
  const added = await ask(scope, h.port('main'), where, { method: 'POST', body: '{"server":"127.0.0.1:99"}' });
  assert.deepEqual(await lines(), [...before, '127.0.0.1:99']);
  const { id } = JSON.parse(text(added)) as { id: number };
  await ask(scope, h.port('main'), `${where}/0`, { method: 'DELETE' });
  assert.deepEqual(await lines(), [...before.slice(1), '127.0.0.1:99']);
  // its slot may be another's: its name is not
  await ask(scope, h.port('main'), `${where}/${id}`, { method: 'DELETE' });
  await ask(scope, h.port('main'), where, { method: 'POST', body: '{"server":"127.0.0.1:98"}' });
  assert.deepEqual(await lines(), [...before.slice(1), '127.0.0.1:98']);
});

test('the API: all groups, one, its servers, and their fields', async () => {
  const get = async (path: string): Promise<Loose> =>
    JSON.parse(text(await ask(scope, h.port('main'), `/api/9/http/upstreams${path}`))) as Loose;
  const all = await get('');
  assert.deepEqual(Object.keys(all), ['many', 'few']);
  const peers = all.many!.peers as unknown as Loose[];
  assert.deepEqual(
    peers.map((peer) => peer.server),
    Array.from({ length: SERVERS }, (_, i) => server(i)),
  );
  assert.deepEqual((await get('/many')).peers, all.many!.peers);
  assert.equal((await get('/many/servers')).length, SERVERS);
  assert.deepEqual(await get('?fields=zone'), { many: { zone: 'many' }, few: { zone: 'few' } });
  assert.deepEqual(await get('?fields=nothing'), { many: {}, few: {} });
  assert.deepEqual(Object.keys(await get('?fields=few,zone')), ['few']);
  assert.deepEqual(await get('/few?fields='), ['peers', 'keepalive', 'zombies', 'zone', 'queue']);
  assert.deepEqual(await get('/few?fields=zone,queue'), {
    zone: 'few',
    queue: { size: 0, max_size: 7, overflows: 0 },
  });
  const [first] = (await get('/many/servers?fields=id,weight')) as unknown as object[];
  assert.deepEqual(first, { id: 0, weight: 1 });
});

test('HEAD has no body, and the connection goes on', async () => {
  const client = await Client.connect(scope, h.port('main'));
  await client.send('HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n');
  assert.equal((await client.response('HEAD')).status, 200);
  await client.send('GET /api/9/http/upstreams?fields=zone HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  assert.match(text(await client.response()), /^\{"many"/);
});

test('a reader that stops is waited for; the page is whole when it goes on', async () => {
  const client = await Client.connect(scope, h.port('main'));
  client.socket.pause();
  await client.send('GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  await until('the request', async () => {
    const { value } = JSON.parse(`{"value":${text(await ask(scope, h.port('main'), '/api/9/http/requests'))}}`) as {
      value: { current: number };
    };
    return value.current >= 2;
  });
  client.socket.resume();
  const whole = text(await client.response());
  assert.match(whole, /headrace_tls_handshakes_total/);
});
