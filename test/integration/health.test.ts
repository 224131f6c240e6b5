/** Active health checks, queue and slow start through the real program, against servers that go wrong in each way. */
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { answering, Backend, ok, type Script } from '../helpers/backend.ts';
import { ask } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { field, text } from '../helpers/http1.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);
let h: Headrace;
let good: Backend;
/** One server a case, so that one set of groups in one process does for all. */
const bad: Record<string, Backend> = {};

const plain = answering(() => ok('fine'));
const hangs: Script = async (c) => void (await c.request());
const resets: Script = async (c) => {
  await c.request();
  c.socket.resetAndDestroy();
};
const slowly: Script = async (c) => {
  await c.request();
  await c.send('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfi');
};
const answers = (body: string, fields: string[] = [], status?: string): Script =>
  answering(() => ok(body, fields, status));

/** name: what the server does, what its check says, what the log calls it. */
const CASES: Record<string, { script: Script; check?: string; stage: string; error?: string }> = {
  hang: {
    script: hangs,
    stage: 'reading response header from upstream',
    error: 'upstream timed out (110: Connection timed out) while reading response header from upstream',
  },
  reset: {
    script: resets,
    stage: 'reading response header from upstream',
    error: 'recv() failed (104: Connection reset by peer) while reading response header from upstream',
  },
  slow: {
    script: slowly,
    check: 'match=body',
    stage: 'reading response from upstream',
    error: 'upstream timed out (110: Connection timed out) while reading response from upstream',
  },
  status: { script: answers('x', [], '500 Internal Server Error'), stage: 'checking status code' },
  garbage: {
    script: answering(() => 'nonsense\r\n\r\n'),
    stage: 'reading response header from upstream',
    error: 'upstream sent no valid HTTP/1.0 header while reading response header from upstream',
  },
  body: { script: answers('broken'), check: 'match=body', stage: 'checking body' },
  far: { script: answers('x'.repeat(256 * 1024) + 'fine'), check: 'match=body', stage: 'checking body' },
  header: { script: answers('fine', ['X-State: bad']), check: 'match=header', stage: 'checking header' },
  absent: { script: answers('fine', ['X-Drain: 1']), check: 'match=absent', stage: 'checking header' },
  require: { script: answers('fine', ['X-Ready: no']), check: 'match=require', stage: 'checking variables' },
  negated: { script: answers('fine', [], '301 Moved'), check: 'match=negated', stage: 'checking status code' },
};

let app: Backend;
let other: Backend;
let recovering: Backend;
let queueing: Backend;
/** Requests that `queueing` holds back, and the order in which it saw them. */
const release: (() => void)[] = [];
const served: string[] = [];
const grpc = { serving: 1, status: '0', seen: [] as string[], port: 0 };

async function startGrpc(): Promise<void> {
  const server = http2.createServer();
  server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
    const body: Buffer[] = [];
    stream.on('data', (data: Buffer) => body.push(data));
    stream.on('end', () => {
      const method = headers[':method'] === 'POST' ? '' : `${headers[':method']} `;
      grpc.seen.push(`${method}${headers[':path']} ${String(headers['x-own'])} ${Buffer.concat(body).toString('hex')}`);
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': grpc.status }));
      stream.end(grpc.status === '0' ? Buffer.from([0, 0, 0, 0, 2, 8, grpc.serving]) : undefined);
    });
  });
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on('session', (session) => sessions.add(session));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  grpc.port = (server.address() as AddressInfo).port;
  scope.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
}

before(async () => {
  good = await Backend.start(scope, answers('fine', ['X-State: good', 'X-Ready: yes']));
  for (const [name, { script }] of Object.entries(CASES)) bad[name] = await Backend.start(scope, script);
  app = await Backend.start(
    scope,
    answering((r) => (r.target === '/app' ? ok('fine') : ok('no', [], '503 No'))),
  );
  other = await Backend.start(scope, plain);
  recovering = await Backend.start(scope, answers('no', [], '503 No'));
  queueing = await Backend.start(
    scope,
    answering(async (r) => {
      served.push(r.target);
      await new Promise<void>((resolve) => release.push(resolve));
      return ok(r.target);
    }),
  );
  await startGrpc();
  h = await Headrace.start(
    scope,
    ({ port }) => {
      const dead = `127.0.0.1:${port('nobody')}`;
      const group = (name: string, servers: string, location: string): string =>
        `upstream ${name} { zone ${name} 64k; ${servers} }\n` +
        `location /${name}/ { proxy_pass http://${name}; ${location} }\n`;
      const all: [name: string, servers: string, location: string][] = [
        ...Object.entries(CASES).map(([name, { check = '' }]): [string, string, string] => [
          name,
          `server 127.0.0.1:${bad[name]!.port}; server 127.0.0.1:${good.port};`,
          `proxy_read_timeout ${/hang|slow/.test(name) ? '1s' : '60s'}; health_check interval=200ms ${check};`,
        ]),
        [
          'refuse',
          `server ${dead}; server 127.0.0.1:${good.port};`,
          'proxy_set_header X-Probe "of $proxy_host"; health_check interval=200ms;',
        ],
        [
          'two',
          `server 127.0.0.1:${app.port};`,
          'health_check interval=50ms uri=/app; health_check interval=50ms uri=/db fails=3 passes=2;',
        ],
        [
          'must',
          `server 127.0.0.1:${app.port};`,
          'health_check interval=50ms uri=/db mandatory persistent fails=1000;',
        ],
        [
          'elsewhere',
          `server ${dead}; server ${dead} down;`,
          `health_check interval=50ms port=${other.port} keepalive_time=60s;`,
        ],
        [
          'grpc',
          `server 127.0.0.1:${grpc.port};`,
          'proxy_set_header X-Own yes; health_check interval=100ms type=grpc grpc_service=app;',
        ],
        [
          'code',
          `server 127.0.0.1:${grpc.port};`,
          'health_check interval=100ms type=grpc grpc_status=12 keepalive_time=1m;',
        ],
        [
          'second',
          `server 127.0.0.1:${grpc.port};`,
          'proxy_http_version 2; proxy_method POST; proxy_set_header X-Own h2; health_check interval=100ms uri=/second keepalive_time=1m;',
        ],
        ['one', `server 127.0.0.1:${queueing.port} max_conns=1; queue 20 timeout=60s;`, ''],
        ['late', `server 127.0.0.1:${queueing.port} max_conns=1; queue 5 timeout=100ms;`, ''],
        [
          'recovering',
          `server 127.0.0.1:${recovering.port}; queue 2 timeout=60s;`,
          'health_check interval=50ms uri=/check;',
        ],
      ];
      const parts = all.map((args) => group(...args).split('\n'));
      return `
        log_format q '$request_uri $status $upstream_queue_time $upstream_last_addr $upstream_last_server_name';
        access_log access.log q;
        match body { body ~ "fine"; }
        match header { status 200; header X-State = good; header Content-Length; header X-State ~ "^goo"; header X-State !~ bad; }
        match absent { header ! X-Drain; header X-State != bad; }
        map $upstream_http_x_ready $ready { yes 1; default 0; }
        match require { require $ready; }
        match negated { status ! 301-303 500; }
        ${parts.map(([upstream]) => upstream).join('\n')}
        upstream calls { zone calls 64k; server 127.0.0.1:${grpc.port}; }
        server { listen 127.0.0.1:${port('http')}; add_header X-Peer $upstream_addr; location /api { api; }
          location /calls/ { grpc_pass calls; grpc_set_header X-Own call; health_check interval=100ms type=grpc grpc_service=app; }
          ${parts.map(([, location]) => location).join('\n')} }`;
    },
    { workers: 2 },
  );
});

const get = (target: string): ReturnType<typeof ask> => ask(scope, h.port('http'), target);

/** Addresses that a group's requests went to. */
async function peers(name: string, count: number): Promise<Set<string>> {
  const seen = new Set<string>();
  for (let i = 0; i < count; i++) seen.add(field(await get(`/${name}/`), 'X-Peer') ?? '');
  return seen;
}

/** The bad one gets nothing, the good one does (once a slow machine lets its probes pass). */
async function onlyGood(name: string, address: string): Promise<void> {
  await until('answers', async () => {
    const seen = await peers(name, 6);
    assert.ok(!seen.has(address), [...seen].join(' '));
    return seen.has(`127.0.0.1:${good.port}`);
  });
}

describe('a server is unhealthy and gets nothing when it', () => {
  for (const [name, { stage, error, check }] of Object.entries(CASES)) {
    test(`goes wrong: ${name}`, async () => {
      const address = `127.0.0.1:${bad[name]!.port}`;
      const match = check === undefined ? '' : check.slice('match='.length);
      const place = `health check "${match}" of peer ${address} in upstream "${name}"`;
      const log = await h.logged(`peer is unhealthy while ${stage}, ${place}`);
      if (error !== undefined) assert.ok(log.includes(`${error}, ${place}`), `${error}, ${place}`);
      await onlyGood(name, address);
    });
  }

  test('refuses', async () => {
    const place = `health check "" of peer 127.0.0.1:${h.port('nobody')} in upstream "refuse"`;
    await h.logged(`peer is unhealthy while connecting to upstream, ${place}`);
    await h.logged(`connect() failed (111: Connection refused) while connecting to upstream, ${place}`);
    await onlyGood('refuse', `127.0.0.1:${h.port('nobody')}`);
  });
});

test('it is healthy again when it passes', async () => {
  bad['status']!.script = plain;
  const address = `127.0.0.1:${bad['status']!.port}`;
  await h.logged(`peer is healthy while checking status code, health check "" of peer ${address} in upstream "status"`);
  await until('requests', async () => (await peers('status', 6)).has(address));
});

test('probes carry what the location sets, once for all workers', async () => {
  const probes = (): typeof good.requests =>
    good.requests.filter((r) => field(r, 'X-Probe') === 'of refuse' && r.target === '/');
  await until('a probe', () => probes().length > 0);
  const [first] = probes();
  assert.equal(field(first!, 'Host'), 'refuse');
  assert.equal(field(first!, 'Connection'), 'close');
  const before = probes().length;
  const began = Date.now();
  await until('ten more probes', () => probes().length >= before + 10);
  // nine intervals at least, not half of them: two workers do not probe twice
  assert.ok(Date.now() - began >= 1700, `${Date.now() - began} ms`);
});

test('several checks, fails, passes, mandatory', async () => {
  const place = `health check "" of peer 127.0.0.1:${app.port} in upstream "two"`;
  await h.logged(`peer is unhealthy while checking status code, ${place}`);
  assert.equal((await get('/two/')).status, 502);
  // it has never passed
  assert.equal((await get('/must/')).status, 502);
  app.script = plain;
  await until('two to recover', async () => (await get('/two/')).status === 200);
  await until('the mandatory one to pass', async () => (await get('/must/')).status === 200);
});

test('a port of its own, over one connection', async () => {
  await until('probes', () => other.requests.length > 5);
  assert.ok(other.connections.length <= 2, String(other.connections.length));
  assert.equal(h.lines('is unhealthy').filter((line) => line.includes('"elsewhere"')).length, 0);
});

test('gRPC: serving, not serving, a status that is asked for', async () => {
  const place = (group: string): string => `health check "" of peer 127.0.0.1:${grpc.port} in upstream "${group}"`;
  await h.logged(`peer is unhealthy while checking grpc status, ${place('code')}`);
  assert.ok(grpc.seen.includes('/grpc.health.v1.Health/Check yes 00000000050a03617070'), String(grpc.seen[0]));
  assert.equal(h.lines('in upstream "grpc"').length, 0);
  const call = '/grpc.health.v1.Health/Check call 00000000050a03617070';
  await until('probes of grpc_pass and by HTTP/2', () => {
    return grpc.seen.includes(call) && grpc.seen.filter((text) => text === 'GET /second h2 ').length > 1;
  });
  assert.equal(h.lines('in upstream "second"').length, 0);
  grpc.serving = 2;
  await h.logged(`peer is unhealthy while checking grpc status, ${place('calls')}`);
  await h.logged(`peer is unhealthy while checking grpc status, ${place('grpc')}`);
  grpc.status = '12';
  await h.logged(`peer is healthy while checking grpc status, ${place('code')}`);
});

/** How many requests wait for a group. */
async function queueOf(group: string): Promise<number> {
  const upstream = JSON.parse(text(await get(`/api/9/http/upstreams/${group}`))) as { queue: { size: number } };
  return upstream.queue.size;
}

describe('queue', () => {
  test('requests wait for a connection, in order over two workers; those that are too many get 502', async () => {
    const statuses: number[] = [];
    const pending: Promise<unknown>[] = [];
    const send = (target: string): void => void pending.push(get(target).then(({ status }) => statuses.push(status)));
    send('/one/0');
    await until('the first', () => served.length === 1);
    for (let i = 1; i <= 22; i++) {
      send(`/one/${i}`);
      // The next one is sent when this one stands in line.
      await until(`request ${i} in line`, async () => (await queueOf('one')) === Math.min(i, 20));
    }
    await until('two refusals', () => statuses.length === 2);
    assert.deepEqual(statuses, [502, 502]);
    for (let i = 0; i <= 20; i++) {
      await until(`request ${i}`, () => served.length === i + 1);
      for (const next of release.splice(0)) next();
    }
    await Promise.all(pending);
    const numbers = served.map((target) => Number(target.slice('/one/'.length)));
    assert.deepEqual(
      numbers,
      Array.from({ length: 21 }, (_, i) => i),
    );
    const address = `127.0.0.1:${queueing.port}`;
    await h.logged(new RegExp(`/one/20 200 \\d+\\.\\d{3} ${address} ${address}`), 'access.log');
    await h.logged('/one/0 200 - ', 'access.log');
  });

  test('late: 502', async () => {
    const first = get('/late/a');
    await until('it to be served', () => served.includes('/late/a'));
    assert.equal((await get('/late/b')).status, 502);
    await h.logged(/\/late\/b 502 0\.[1-9]/, 'access.log');
    for (const next of release.splice(0)) next();
    assert.equal(text(await first), '/late/a');
  });

  test('a client that leaves leaves the queue; a server that recovers wakes who waits', async () => {
    await h.logged(/is unhealthy [^\n]*in upstream "recovering"/);
    const gone = connect(h.port('http'), '127.0.0.1');
    gone.write('GET /recovering/gone HTTP/1.1\r\nHost: x\r\n\r\n');
    await new Promise((resolve) => setTimeout(resolve, 200));
    gone.destroy();
    await h.logged('/recovering/gone 499 ', 'access.log');
    const waiting = [1, 2].map((i) => get(`/recovering/${i}`));
    await new Promise((resolve) => setTimeout(resolve, 200));
    // both have a place only if the first one has left its own
    recovering.script = plain;
    for (const answer of await Promise.all(waiting)) assert.equal(text(answer), 'fine');
  });
});

test('a reload keeps what is known: the unhealthy stay so unreported, and who has passed need not pass again', async () => {
  const unhealthy = (): number => h.lines('is unhealthy').filter((line) => line.includes('"two"')).length;
  const earlier = unhealthy();
  app.script = answers('no', [], '503 No');
  // Both of its checks, each in its own time.
  await until('two to fail again', async () => unhealthy() === earlier + 2 && (await get('/two/')).status === 502);
  const before = unhealthy();
  h.signal('SIGHUP');
  await h.logged('drained');
  assert.equal((await get('/two/')).status, 502);
  assert.equal((await get('/must/')).status, 503);
  assert.equal(unhealthy(), before);
});
