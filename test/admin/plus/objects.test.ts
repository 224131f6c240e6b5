/** What the API says of stream, limits, caches, resolvers, TLS: that it is what happened, over two workers. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect } from 'node:tls';
import { answering, Backend, ok } from '../../helpers/backend.ts';
import { ask, Client, compose } from '../../helpers/client.ts';
import { Headrace } from '../../helpers/headrace.ts';
import { requires } from '../../helpers/requires.ts';
import { Caller, call, echo, listen } from '../../helpers/stream.ts';
import { suiteScope, until } from '../../helpers/wait.ts';
import { a, TestDns } from '../../discovery/dns-server.ts';
import { type Answer, askApi, codeOf, type Loose } from './asking.ts';

const scope = suiteScope(after);
let h: Headrace;
let backend: Backend;
let echoes: number;
let dns: TestDns;
/** Status and fields of the backend's next answers. */
let status = '200 OK';

const api = (path: string, method = 'GET', body?: unknown): Promise<Answer> =>
  askApi(scope, h.port('api'), path, method, body);
const value = async (path: string): Promise<Loose> => (await api(path)).value;
const get = (path: string): ReturnType<typeof ask> => ask(scope, h.port('main'), path);

before(async () => {
  backend = await Backend.start(
    scope,
    answering(() => ok('0123456789', ['Cache-Control: max-age=60'], status)),
  );
  echoes = await listen(scope, echo());
  dns = await new TestDns(({ name }) =>
    name === 'here.test' ? { answers: [a(name, '127.0.0.1')] } : { rcode: 3 },
  ).start();
  scope.after(() => dns.stop());
  h = await Headrace.start(
    scope,
    ({ port, dir }) => `
    resolver 127.0.0.1:${dns.port} status_zone=names ipv6=off;
    proxy_cache_path ${dir}/cache keys_zone=kept:1m max_size=10m;
    limit_req_zone one zone=slow:1m rate=1r/m;
    limit_req_zone one zone=dry:1m rate=1r/m;
    limit_conn_zone one zone=few:1m;
    upstream app { zone app 64k; server 127.0.0.1:${backend.port}; keepalive 8; }
    server {
      listen 127.0.0.1:${port('main')};
      location /cached { proxy_cache kept; proxy_cache_bypass $arg_bypass; proxy_pass http://app; }
      location /slow { limit_req zone=slow burst=1 nodelay; proxy_pass http://app; }
      location /dry { limit_req zone=dry; limit_req_dry_run on; proxy_pass http://app; }
      location /few { limit_conn few 1; proxy_pass http://app; proxy_read_timeout 30s; }
      location /names/ { set $target $arg_host; proxy_pass http://$target:${backend.port}/; }
      location / { proxy_pass http://app; }
    }
    server { listen 127.0.0.1:${port('api')}; location /api { api write=on; } }`,
    {
      workers: 2,
      stream: ({ port }) => `
      limit_conn_zone one zone=callers:1m;
      upstream echo { zone echo 64k; server 127.0.0.1:${echoes}; }
      server { listen 127.0.0.1:${port('tcp')}; status_zone lines; limit_conn callers 2; proxy_pass echo; }
      server { listen 127.0.0.1:${port('closed')}; status_zone closed; deny all; proxy_pass echo; }`,
    },
  );
});

test('stream: zones count sessions, groups count connections', async () => {
  assert.match(await call(scope, h.port('closed'), 'x').catch(() => ''), /^$/);
  const caller = await Caller.to(scope, h.port('tcp'));
  caller.socket.write('hello');
  await until('the echo', () => caller.text === 'hello');
  const during = await value('/stream/server_zones/lines');
  assert.deepEqual([during.processing, during.connections, during.sessions!.total], [1, 1, 0]);
  assert.equal((await value('/stream/upstreams/echo')).peers![0]!.active, 1);
  caller.socket.end();
  await until(
    'the end of the session',
    async () => Number((await value('/stream/server_zones/lines')).processing) === 0,
  );
  assert.deepEqual(await value('/stream/server_zones/lines'), {
    processing: 0,
    connections: 1,
    sessions: { '2xx': 1, '4xx': 0, '5xx': 0, total: 1 },
    discarded: 0,
    received: 5,
    sent: 5,
  });
  const refused = await value('/stream/server_zones/closed');
  assert.deepEqual(refused.sessions, { '2xx': 0, '4xx': 1, '5xx': 0, total: 1 });
  const [peer] = (await value('/stream/upstreams/echo')).peers as unknown as Loose[];
  assert.deepEqual([peer!.connections, peer!.active, peer!.sent, peer!.received], [1, 0, 5, 5]);
  assert.ok(Number(peer!.connect_time ?? 0) >= 0);
  assert.equal((await api('/stream/server_zones/lines', 'DELETE')).status, 204);
  assert.equal((await value('/stream/server_zones/lines')).connections, 0);
});

test('stream: servers are added, changed and removed', async () => {
  const servers = '/stream/upstreams/echo/servers';
  const other = await listen(scope, echo('other '));
  const added = await api(servers, 'POST', { server: `127.0.0.1:${other}`, weight: 3 });
  assert.equal(added.status, 201);
  const id = Number(added.value.id);
  assert.equal((await api(`${servers}/0`, 'PATCH', { down: true })).value.down, true);
  const caller = await Caller.to(scope, h.port('tcp'));
  caller.socket.write('x');
  await until('the other server', () => caller.text.startsWith('other '));
  caller.socket.destroy();
  await api(`${servers}/0`, 'PATCH', { down: false });
  for (const [body, code] of [
    [{ server: '127.0.0.1' }, 'UpstreamBadAddress'],
    [{ server: '127.0.0.1:1', route: 'a' }, 'UpstreamConfFormatError'],
    [{ server: '127.0.0.1:1', drain: true }, 'UpstreamConfFormatError'],
  ] as const) {
    const answer = await api(servers, 'POST', body);
    assert.deepEqual([answer.status, codeOf(answer)], [400, code]);
  }
  assert.equal((await api(`${servers}/${id}`, 'PATCH', { drain: true })).status, 400);
  assert.equal((await api(`${servers}/${id}`, 'DELETE')).value.length, 1);
  const list = await ask(scope, h.port('api'), '/api/9/stream/upstreams/echo/servers');
  assert.doesNotMatch(list.body.toString(), /route|drain/);
});

test('limits: what passed, was held back, refused', async () => {
  // The first one and one of the burst.
  for (let i = 0; i < 5; i++) await get('/slow');
  assert.deepEqual(await value('/http/limit_reqs/slow'), {
    passed: 2,
    delayed: 0,
    rejected: 3,
    delayed_dry_run: 0,
    rejected_dry_run: 0,
  });
  for (let i = 0; i < 3; i++) assert.equal((await get('/dry')).status, 200);
  const dry = await value('/http/limit_reqs/dry');
  assert.deepEqual([dry.passed, dry.rejected, dry.rejected_dry_run], [1, 0, 2]);

  let release = (): void => {};
  const gate = new Promise<void>((resolve) => (release = resolve));
  const before = backend.script;
  backend.script = answering(async () => {
    await gate;
    return ok('late');
  });
  for (const connection of backend.connections) connection.socket.destroy();
  const held = await Client.connect(scope, h.port('main'));
  await held.send(compose('/few'));
  await until(
    'the first request to be under way',
    async () => Number((await value('/http/limit_conns/few')).passed) === 1,
  );
  assert.equal((await get('/few')).status, 503);
  release();
  backend.script = before;
  await held.response('GET');
  held.destroy();
  for (const connection of backend.connections) connection.socket.destroy();
  assert.deepEqual(await value('/http/limit_conns/few'), { passed: 1, rejected: 1, rejected_dry_run: 0 });

  const two = [await Caller.to(scope, h.port('tcp')), await Caller.to(scope, h.port('tcp'))];
  const passed = async (): Promise<number> => Number((await value('/stream/limit_conns/callers')).passed);
  const already = await passed();
  await until('both to be counted', async () => (await passed()) >= already);
  for (const caller of two) {
    caller.socket.write('x');
    await until('an echo', () => caller.text !== '');
  }
  const third = await Caller.to(scope, h.port('tcp'));
  await until('the third one to be refused', () => third.ended);
  assert.equal((await value('/stream/limit_conns/callers')).rejected, 1);
  for (const caller of [...two, third]) caller.socket.destroy();

  await api('/http/limit_reqs/slow', 'DELETE');
  assert.equal((await value('/http/limit_reqs/slow')).rejected, 0);
});

test('caches: how answers came about, and what is in it', async () => {
  assert.equal((await value('/http/caches/kept')).size, 0);
  await get('/cached/a');
  await until('the file', async () => Number((await value('/http/caches/kept')).size) > 0);
  for (let i = 0; i < 2; i++) await get('/cached/a');
  await get('/cached/b');
  await get('/cached/a?bypass=1');
  status = '404 Not Found';
  await get('/cached/c?bypass=1');
  status = '200 OK';
  const cache = await value('/http/caches/kept');
  assert.deepEqual(cache.hit, { responses: 2, bytes: 20 });
  const { miss, bypass } = cache;
  assert.deepEqual([miss!.responses, miss!.responses_written], [2, 2]);
  assert.ok(Number(miss!.bytes) > 20 && Number(miss!.bytes_written) > 20);
  assert.equal(bypass!.responses, 2);
  assert.deepEqual(
    [cache.expired!.responses, cache.stale!.responses, cache.cold, cache.max_size],
    [0, 0, false, 10_485_760],
  );
  assert.ok(Number(cache.size) >= 4096);
  await api('/http/caches/kept', 'DELETE');
  assert.deepEqual((await value('/http/caches/kept')).hit, { responses: 0, bytes: 0 });
  assert.ok(Number((await value('/http/caches/kept')).size) >= 4096, 'what is in it stays');
});

test('resolvers: questions and their answers', async () => {
  assert.equal((await get('/names/?host=here.test')).status, 200);
  assert.equal((await get('/names/?host=nowhere.test')).status, 502);
  const { requests, responses } = await value('/resolvers/names');
  assert.deepEqual(requests, { name: 2, srv: 0, addr: 0 });
  assert.deepEqual([responses!.noerror, responses!.nxdomain, responses!.timedout], [1, 1, 0]);
});

test('statuses are counted one by one, idle connections as they are', async () => {
  await api('/http/upstreams/app', 'DELETE');
  await get('/x');
  for (status of ['404 Not Found', '404 Not Found', '503 Service Unavailable', '299 Odd', '200 OK']) {
    await get('/x');
  }
  const { peers, keepalive } = await value('/http/upstreams/app');
  assert.deepEqual(peers![0]!.responses, {
    '1xx': 0,
    '2xx': 3,
    '3xx': 0,
    '4xx': 2,
    '5xx': 1,
    codes: { 200: 2, 404: 2, 503: 1 },
    total: 6,
  });
  assert.ok(Number(keepalive) >= 1 && Number(keepalive) <= 16, `${Number(keepalive)} are idle`);
  for (const connection of backend.connections) connection.socket.destroy();
  await until('no idle connection', async () => Number((await value('/http/upstreams/app')).keepalive) === 0);
});

test('older versions have what they had', async () => {
  const list = async (path: string): Promise<string> =>
    (await ask(scope, h.port('api'), `/api${path}`)).body.toString();
  assert.equal((await ask(scope, h.port('api'), '/api/5/http/limit_reqs')).status, 404);
  assert.equal((await ask(scope, h.port('api'), '/api/4/resolvers')).status, 404);
  assert.equal(await list('/5/http'), '["requests","server_zones","location_zones","caches","upstreams","keyvals"]');
  assert.equal(await list('/9/stream'), '["server_zones","limit_conns","upstreams","keyvals"]');
  assert.doesNotMatch(await list('/6/http/upstreams/app'), /"codes"/);
  assert.deepEqual(Object.keys(JSON.parse(await list('/7/ssl')) as object), [
    'handshakes',
    'handshakes_failed',
    'session_reuses',
  ]);
});

test('what was counted outlives a reload', async () => {
  const before = await value('/resolvers/names');
  h.signal('SIGHUP');
  await h.logged('(generation 1 drained)');
  assert.deepEqual(await value('/resolvers/names'), before);
  assert.equal((await value('/http/limit_conns/few')).rejected, 1);
});

test('TLS: handshakes, tickets used again, and why some failed', async (t) => {
  const openssl = requires(t, 'openssl');
  if (openssl === null) return;
  const file = (name: string): string => join(h.dir, name);
  const subject = ['-subj', '/CN=localhost', '-days', '2', '-nodes', '-newkey', 'rsa:2048'];
  execFileSync(openssl, ['req', '-x509', ...subject, '-keyout', file('key.pem'), '-out', file('cert.pem')], {
    stdio: 'pipe',
  });
  writeFileSync(file('ok.txt'), 'ok');
  const secure = await Headrace.start(
    t,
    ({ port }) => `
    server {
      listen 127.0.0.1:${port('tls')} ssl;
      ssl_certificate ${file('cert.pem')}; ssl_certificate_key ${file('key.pem')};
      ssl_protocols TLSv1.3;
      location / { return 200 ok; }
      location /up { proxy_pass https://127.0.0.1:${port('tls')}/; proxy_ssl_session_reuse off; }
      location /api { api; }
    }
    server { listen 127.0.0.1:${port('api')}; location /api { api; } }`,
    { workers: 2 },
  );
  const ssl = async (): Promise<Loose> => (await askApi(t, secure.port('api'), '/ssl')).value;
  const client = { client: { tls: {} } };
  for (let i = 0; i < 2; i++) await ask(t, secure.port('tls'), '/', client);
  assert.deepEqual([(await ssl()).handshakes, (await ssl()).session_reuses], [2, 0]);
  // One of the client's, two of the connection to the server: both ends of it are here.
  await ask(t, secure.port('tls'), '/up', client);
  assert.equal((await ssl()).handshakes, 5);
  await new Promise((resolve) => {
    const socket = connect({
      host: '127.0.0.1',
      port: secure.port('tls'),
      maxVersion: 'TLSv1.2',
      rejectUnauthorized: false,
    });
    socket.once('error', resolve);
  });
  await until('the refused version', async () => Number((await ssl()).no_common_protocol) === 1);
  assert.equal((await ssl()).handshakes_failed, 1);
});
