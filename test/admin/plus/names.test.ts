/** Names that are added at run time: followed in DNS, changed and removed with what they stand for, kept by a state file. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { a, srv, TestDns } from '../../discovery/dns-server.ts';
import { answering, Backend, ok } from '../../helpers/backend.ts';
import { ask } from '../../helpers/client.ts';
import { Headrace } from '../../helpers/headrace.ts';
import { text } from '../../helpers/http1.ts';
import { suiteScope, until } from '../../helpers/wait.ts';
import { type Answer, askApi, codeOf, type Loose } from './asking.ts';

const scope = suiteScope(after);
const backends: Backend[] = [];
let dns: TestDns;
let h: Headrace;
/** Addresses of `app.test`. */
let addresses = ['127.0.0.2'];

const api = (path: string, method = 'GET', body?: unknown): Promise<Answer> =>
  askApi(scope, h.port('main'), path, method, body);
const servers = async (group: string): Promise<Loose[]> =>
  (await api(`/http/upstreams/${group}/servers`)).value as unknown as Loose[];
const shown = async (group: string): Promise<unknown[]> => (await servers(group)).map(({ server }) => server);
const hit = async (path = '/app'): Promise<string> => text(await ask(scope, h.port('main'), path));

before(async () => {
  for (const [i, host] of ['127.0.0.1', '127.0.0.2', '127.0.0.3'].entries()) {
    const script = answering(() => ok(host));
    backends.push(await Backend.start(scope, script, { host, ...(i === 0 ? null : { port: backends[0]!.port }) }));
  }
  dns = await new TestDns(({ name, type }) => {
    if (name === 'app.test') return { answers: addresses.map((address) => a(name, address, 1)) };
    if (type === 'SRV') return { answers: [srv(name, `1 5 ${backends[2]!.port} target.test`, 1)] };
    if (name === 'target.test') return { answers: [a(name, '127.0.0.3', 1)] };
    return { rcode: 3 };
  }).start();
  scope.after(() => dns.stop());
  h = await Headrace.start(
    scope,
    ({ port, dir }) => `
    resolver 127.0.0.1:${dns.port} ipv6=off valid=1s;
    upstream app { zone app 64k; server 127.0.0.1:${backends[0]!.port}; }
    upstream kept { zone kept 64k; state ${dir}/kept.state; }
    server {
      listen 127.0.0.1:${port('main')};
      location /app { proxy_pass http://app; }
      location /kept { proxy_pass http://kept; }
      location /api { api write=on; }
      location /conf { upstream_conf; }
    }`,
    { workers: 2 },
  );
});

test('a name is followed, changed, and removed with what it stands for', async () => {
  const { port } = backends[0]!;
  const added = await api('/http/upstreams/app/servers', 'POST', { server: `app.test:${port}`, weight: 2 });
  assert.deepEqual([added.status, added.value.server, added.value.weight], [201, `app.test:${port}`, 2]);
  const id = Number(added.value.id);
  await until('its address', async () => (await shown('app')).length === 3);
  const [name, child] = await servers('app');
  assert.equal(name!.id, id);
  assert.deepEqual([child!.server, child!.parent, child!.host], [`127.0.0.2:${port}`, id, `app.test:${port}`]);
  assert.equal(child!.weight, 2);
  const seen = new Set<string>();
  for (let i = 0; i < 12; i++) seen.add(await hit());
  assert.deepEqual([...seen].sort(), ['127.0.0.1', '127.0.0.2']);

  addresses = ['127.0.0.2', '127.0.0.3'];
  await until('the second address', async () => (await shown('app')).length === 4);

  await api(`/http/upstreams/app/servers/${id}`, 'PATCH', { down: true });
  for (let i = 0; i < 6; i++) assert.equal(await hit(), '127.0.0.1');
  // What comes later is as the name is.
  addresses = ['127.0.0.3', '127.0.0.1'];
  await until('other addresses', async () => !(await shown('app')).includes(`127.0.0.2:${port}`));
  assert.ok((await servers('app')).filter(({ parent }) => parent !== undefined).every(({ down }) => Boolean(down)));
  const immutable = await api(`/http/upstreams/app/servers/${Number((await servers('app'))[1]!.id)}`, 'DELETE');
  assert.deepEqual([immutable.status, codeOf(immutable)], [400, 'UpstreamServerImmutable']);

  const left = await api(`/http/upstreams/app/servers/${id}`, 'DELETE');
  assert.deepEqual([left.status, left.value.length], [200, 1]);
  assert.equal((await api(`/http/upstreams/app/servers/${id}`)).status, 404);
  assert.equal(await hit(), '127.0.0.1');
});

test('a service is SRV records, whose weights are theirs', async () => {
  const added = await api('/http/upstreams/app/servers', 'POST', { server: 'app.test', service: 'http', backup: true });
  assert.deepEqual([added.status, added.value.service, added.value.backup], [201, 'http', true]);
  await until('its target', async () => (await shown('app')).length === 3);
  const [, child] = await servers('app');
  assert.deepEqual([child!.server, child!.weight, child!.backup], [`127.0.0.3:${backends[2]!.port}`, 5, true]);
  const refused = await api(`/http/upstreams/app/servers/${Number(child!.id)}`, 'PATCH', { weight: 3 });
  assert.deepEqual([refused.status, codeOf(refused)], [400, 'UpstreamServerWeightImmutable']);
  await api(`/http/upstreams/app/servers/${Number(added.value.id)}`, 'DELETE');
});

test('a state file keeps names over a reload; without one they go', async () => {
  const { port } = backends[0]!;
  addresses = ['127.0.0.2'];
  for (const group of ['app', 'kept']) {
    await api(`/http/upstreams/${group}/servers`, 'POST', { server: `app.test:${port}`, max_conns: 50 });
    await until('its address', async () => (await shown(group)).includes(`127.0.0.2:${port}`));
  }
  assert.equal(h.read('kept.state'), `server app.test:${port} max_conns=50 resolve;\n`);
  h.signal('SIGHUP');
  await h.logged('(generation 1 drained)');
  assert.deepEqual(await shown('app'), [`127.0.0.1:${port}`]);
  assert.deepEqual(await shown('kept'), [`app.test:${port}`, `127.0.0.2:${port}`]);
  assert.equal(await hit('/kept'), '127.0.0.2');
});

test('upstream_conf does the same', async () => {
  const { port } = backends[0]!;
  const conf = async (query: string): Promise<string> => text(await ask(scope, h.port('main'), `/conf?${query}`));
  const line = await conf(`upstream=app&add=&server=app.test:${port}&weight=3`);
  const id = /^server app\.test:\d+ weight=3 resolve; # id=(\d+)\n$/.exec(line)?.[1];
  assert.ok(id !== undefined, line);
  assert.match(await conf(`upstream=app&id=${id}&down=`), / down; /);
  assert.doesNotMatch(await conf(`upstream=app&id=${id}&remove=`), /app\.test/);
});
