/** The Kong door behind other proxies, and the address that probes of nodes ask. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { directory } from '../helpers/headrace.ts';
import { echo, Gateway, get, share, Target } from '../helpers/kong-gateway.ts';
import { KongProcess } from '../helpers/kong.ts';
import { freePort } from '../helpers/ports.ts';
import { call } from '../helpers/stream.ts';
import { until } from '../helpers/wait.ts';

test('behind trusted proxies', async (t) => {
  const [front, header] = [await freePort(), await freePort()];
  const listens = `127.0.0.1:${front}, 127.0.0.1:${header} proxy_protocol`;
  const trust = ['--trusted-ips', '127.0.0.1', '--real-ip-header', 'X-Forwarded-For', '--real-ip-recursive', 'on'];
  const kong = await KongProcess.start(t, directory(t), ['--proxy-listen', listens, ...trust]);
  const gate = new Gateway(kong);
  const [a, b] = [await Target.start(t), await Target.start(t)];
  await gate.make('/upstreams', { name: 'up', hash_on: 'ip' });
  for (const { address } of [a, b]) await gate.make('/upstreams/up/targets', { target: address });
  await gate.make('/services', { name: 's', host: 'up' });
  await gate.make('/services/s/routes', { hosts: ['front.test'], paths: ['/api', '/'] });
  await gate.make('/services/s/routes', { hosts: ['secure.test'], protocols: ['https'] });
  const ask = async (headers: Record<string, string>, path = '/api/x%20y?q'): Promise<Record<string, string>> =>
    echo(await get(front, path, { host: 'front.test', ...headers })).headers;
  await until('the routes', async () => (await get(front, '/', { host: 'secure.test' })).status === 426);

  await t.test('what they say of the client goes on', async () => {
    const seen = await ask({
      'x-forwarded-for': '8.8.8.8, 127.0.0.1',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'shop.test',
      'x-forwarded-port': '443',
      'x-forwarded-path': '/outer/api',
      'x-forwarded-prefix': '/outer',
    });
    const names = ['for', 'proto', 'host', 'port', 'path', 'prefix'];
    assert.deepEqual(
      names.map((name) => seen[`x-forwarded-${name}`]),
      ['8.8.8.8, 127.0.0.1, 127.0.0.1', 'https', 'shop.test', '443', '/outer/api', '/outer'],
    );
    assert.equal(seen['x-real-ip'], '8.8.8.8');
  });

  await t.test('where they say nothing, it is what we see', async () => {
    const seen = await ask({});
    const names = ['for', 'proto', 'host', 'port', 'path', 'prefix'];
    assert.deepEqual(
      names.map((name) => seen[`x-forwarded-${name}`]),
      ['127.0.0.1', 'http', 'front.test', String(front), '/api/x%20y', '/api'],
    );
    assert.equal((await ask({}, '/'))['x-forwarded-prefix'], undefined);
  });

  await t.test('HTTPS that ended at the proxy is HTTPS', async () => {
    const secure = { host: 'secure.test', 'x-forwarded-proto': 'https' };
    assert.equal((await get(front, '/', secure)).status, 200);
  });

  await t.test('the address that they tell is hashed', async () => {
    const names = new Set<string>();
    for (let i = 0; i < 30; i++) {
      names.add(echo(await get(front, '/', { host: 'front.test', 'x-forwarded-for': `9.9.9.${i}` })).name);
    }
    assert.deepEqual([...names].toSorted(), [a.address, b.address].toSorted());
    const same: string[] = [];
    for (let i = 0; i < 6; i++) {
      same.push(echo(await get(front, '/', { host: 'front.test', 'x-forwarded-for': '9.9.9.9' })).name);
    }
    assert.equal(share(same, same[0]!), 6);
  });

  await t.test('PROXY protocol', async () => {
    const text =
      'PROXY TCP4 7.7.7.7 127.0.0.1 5 80\r\nGET / HTTP/1.1\r\nHost: nowhere.test\r\nConnection: close\r\n\r\n';
    assert.match(await call(t, header, text), /^HTTP\/1\.1 404 /);
    assert.equal(await call(t, header, 'GET / HTTP/1.1\r\n\r\n'), '');
  });
});

test('who is not trusted is not believed', async (t) => {
  const kong = await KongProcess.start(t, directory(t));
  const gate = new Gateway(kong);
  const target = await Target.start(t);
  await gate.make('/services', { name: 's', url: `http://${target.address}` });
  await gate.make('/services/s/routes', { hosts: ['front.test'] });
  await gate.make('/services/s/routes', { hosts: ['secure.test'], protocols: ['https'] });
  const lie = { 'x-forwarded-for': '8.8.8.8', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'shop.test' };
  await until('the routes', async () => (await gate.get('secure.test', '/', lie)).status === 426);
  const { headers } = echo(await gate.get('front.test', '/', lie));
  assert.deepEqual(
    ['for', 'proto', 'host'].map((name) => headers[`x-forwarded-${name}`]),
    ['8.8.8.8, 127.0.0.1', 'http', 'front.test'],
  );
  assert.equal(headers['x-real-ip'], '127.0.0.1');
});

test('the status API: ready once something is loaded; nothing can be changed there', async (t) => {
  const status = await freePort();
  const options = ['--store', 'memory', '--admin-token', 'secret', '--status-listen', `127.0.0.1:${status}`];
  const kong = await KongProcess.start(t, directory(t), options);
  kong.headers = { 'kong-admin-token': 'secret' };
  const ask = async (path: string, method = 'GET'): Promise<[number, unknown]> => {
    const { status: code, text } = await get(status, path, {}, method);
    return [code, text === '' ? null : JSON.parse(text)];
  };
  assert.deepEqual(await ask('/status/ready'), [
    503,
    { message: 'no configuration available (empty configuration present)' },
  ]);
  const config = { _format_version: '3.0', upstreams: [{ name: 'u', targets: [{ target: '127.0.0.1:9' }] }] };
  assert.equal((await kong.send('POST', '/config', config)).status, 201);
  assert.deepEqual(await ask('/status/ready'), [200, { message: 'ready' }]);
  assert.equal((await ask('/status'))[0], 200);
  const [code, health] = await ask('/upstreams/u/health');
  assert.equal(code, 200);
  assert.equal((health as { data: { health: string }[] }).data[0]?.health, 'HEALTHCHECKS_OFF');
  assert.equal((await ask('/upstreams/u/targets'))[0], 200);
  for (const path of ['/', '/upstreams', '/upstreams/u', '/config', '/certificates', '/consumers']) {
    assert.equal((await ask(path))[0], 404, path);
  }
  assert.equal((await ask('/upstreams/u/targets', 'POST'))[0], 405);
  assert.equal((await ask('/status/ready', 'POST'))[0], 405);
});
