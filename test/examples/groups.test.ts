/** Examples of groups that look after themselves: checks over TCP and UDP, ntlm, a queue, servers that come and go. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, ask, compose } from '../helpers/client.ts';
import { Example } from '../helpers/example.ts';
import { field, type Response, text } from '../helpers/http1.ts';
import { Caller, Datagrams } from '../helpers/stream.ts';
import { until } from '../helpers/wait.ts';

test('tcp-health-checks: who does not answer gets no sessions and no datagrams, and comes back', async (t) => {
  const example = await Example.prepare(t, 'tcp-health-checks');
  const [first, second] = [example.port(8081), example.port(8082)];
  for (const port of [first, second]) await example.program(t, 'server.ts', String(port));
  await example.start();

  const say = async (port: number, line: string): Promise<string> => {
    const caller = await Caller.to(t, port);
    caller.send(`${line}\r\n`);
    await until('an answer', () => caller.text.includes('\n') || caller.ended);
    caller.socket.destroy();
    return caller.text.trim();
  };
  const reached = async (): Promise<Set<string>> => {
    const seen = new Set<string>();
    for (let i = 0; i < 8; i++) seen.add(await say(example.port(8080), 'HELLO'));
    return seen;
  };
  const byUdp = async (): Promise<Set<string>> => {
    const seen = new Set<string>();
    for (let i = 0; i < 6; i++) {
      const client = await Datagrams.open(t);
      client.send(example.port(8080), 'HELLO');
      seen.add(((await client.count(1))[0] ?? '').trim());
    }
    return seen;
  };
  const states = async (): Promise<Record<string, unknown>> => {
    const answer = text(await ask(t, example.port(8090), '/api/9/stream/upstreams/lines'));
    const { peers } = JSON.parse(answer) as {
      peers: { server: string; state: string; health_checks: { unhealthy: number; last_passed: boolean } }[];
    };
    return Object.fromEntries(
      peers.map(({ server, state, health_checks: checks }) => [server, [state, checks.unhealthy, checks.last_passed]]),
    );
  };
  const names = [first, second].map((port) => `HELLO to ${port}`);
  await until('both servers', async () => {
    const seen = await reached();
    return names.every((name) => seen.has(name));
  });

  await say(first, 'SICK');
  await until('one server', async () => [...(await reached())].join() === names[1]);
  await until('one server over UDP', async () => [...(await byUdp())].join() === names[1]);
  await until('the API to say so', async () => {
    const { [`127.0.0.1:${first}`]: ill, [`127.0.0.1:${second}`]: well } = await states();
    return (
      JSON.stringify([ill, well]) ===
      JSON.stringify([
        ['unhealthy', 1, false],
        ['up', 0, true],
      ])
    );
  });
  const metrics = text(await ask(t, example.port(8090), '/metrics'));
  const labels = `upstream="lines",server="127.0.0.1:${first}",state="unhealthy"`;
  assert.ok(metrics.includes(`headrace_stream_upstream_peer_state{${labels}} 1\n`), metrics);
  assert.match(metrics, /headrace_health_check_lateness_seconds_count [1-9]/);
  assert.match(metrics, /headrace_stream_upstream_peer_health_checks_total\{[^}]*outcome="failed"\} [1-9]/);

  await say(first, 'WELL');
  await until('both again', async () => (await reached()).has(names[0]!));
});

test('ntlm: each client is who it said it was, on the server that it said it to', async (t) => {
  const example = await Example.prepare(t, 'ntlm');
  for (const port of [8081, 8082]) await example.program(t, 'server.ts', String(example.port(port)));
  await example.start();
  const clients = new Map<string, { client: Client; place: string }>();
  const get = async (client: Client, fields: string[] = []): Promise<Response> => {
    await client.send(compose('/', { fields }));
    return client.response();
  };
  for (const name of ['ann', 'bob', 'eve']) {
    const client = await Client.connect(t, example.port(8080));
    assert.equal((await get(client)).status, 401);
    const challenge = field(await get(client, ['Authorization: NTLM hello']), 'WWW-Authenticate')!.split(' ')[1];
    const place = text(await get(client, [`Authorization: NTLM ${challenge} ${name}`]));
    assert.match(place, new RegExp(`^${name} on \\d+\n$`));
    clients.set(name, { client, place });
  }
  for (let i = 0; i < 5; i++) {
    for (const { client, place } of clients.values()) assert.equal(text(await get(client)), place);
    assert.equal((await ask(t, example.port(8080))).status, 401);
  }
});

test('queue: who comes when all are busy waits its turn; too many are told', async (t) => {
  const example = await Example.prepare(t, 'queue');
  for (const port of [8081, 8082]) await example.program(t, 'server.ts', String(example.port(port)));
  await example.start();
  const answers = await Promise.all(Array.from({ length: 60 }, () => ask(t, example.port(8080))));
  const good = answers.filter(({ status }) => status === 200);
  const late = answers.filter(({ status }) => status === 503);
  // two at work and 24 in line, and whoever came when some had left already
  assert.ok(good.length >= 26 && good.length < 60, `${good.length} of 60`);
  for (const answer of good) assert.match(text(answer), /^at most 1 at a time on \d+\n$/);
  assert.equal(good.length + late.length, 60);
  for (const answer of late) assert.equal(field(answer, 'Retry-After'), '5');
  const api = JSON.parse(text(await ask(t, example.port(8080), '/api/9/http/upstreams/workers'))) as {
    queue: { size: number; max_size: number; overflows: number };
  };
  assert.deepEqual(api.queue, { size: 0, max_size: 24, overflows: late.length });
  await until('the log', () => /200 waited=\d\.\d{3} on=127/.test(example.read('access.log')));
});

test('dynamic-groups: by the API and by upstream_conf, over a restart, in the metrics', async (t) => {
  const example = await Example.prepare(t, 'dynamic-groups');
  const quickstart = await Example.prepare(t, 'quickstart');
  const ports = [8081, 8082, 8083].map((port) => example.port(port));
  for (const [i, port] of ports.entries()) await quickstart.program(t, 'backend.ts', `b${i}`, String(port));
  await example.start();
  const admin = example.port(8090);
  const reached = async (): Promise<string> => {
    const seen = new Set<string>();
    for (let i = 0; i < 12; i++) seen.add(field(await ask(t, example.port(8080)), 'X-Backend') ?? 'nobody');
    return [...seen].sort((a, b) => a.localeCompare(b)).join(' ');
  };
  const api = async (method: string, path: string, body?: object): Promise<{ id: number }> => {
    const json = body === undefined ? {} : { body: JSON.stringify(body) };
    const answer = await ask(t, admin, `/api/9/http/upstreams/app/servers${path}`, { method, ...json });
    assert.ok(answer.status < 300, text(answer));
    return JSON.parse(text(answer)) as { id: number };
  };
  assert.equal(await reached(), 'nobody');
  const first = await api('POST', '', { server: `127.0.0.1:${ports[0]}` });
  await api('POST', '', { server: `127.0.0.1:${ports[1]}`, weight: 3 });
  assert.equal(await reached(), 'b0 b1');
  await api('PATCH', `/${first.id}`, { drain: true });
  assert.equal(await reached(), 'b1');
  await api('DELETE', `/${first.id}`);
  const old = await ask(t, admin, `/upstream_conf?add=&upstream=app&server=127.0.0.1:${ports[2]}`);
  assert.equal(old.status, 200, text(old));
  assert.equal(await reached(), 'b1 b2');
  const state = `server 127.0.0.1:${ports[1]} weight=3;\nserver 127.0.0.1:${ports[2]};\n`;
  assert.equal(example.read('app.state'), state);

  await example.stop();
  await example.start();
  assert.equal(await reached(), 'b1 b2');
  const metrics = text(await ask(t, admin, '/metrics'));
  assert.match(
    metrics,
    new RegExp(`headrace_upstream_peer_weight\\{upstream="app",server="127.0.0.1:${ports[1]}"\\} 3\n`),
  );
  const page = await ask(t, admin, '/');
  assert.equal(page.status, 200);
  assert.match(field(page, 'Content-Type') ?? '', /^text\/html/);
});
