/** What the Admin API is told, the proxy does: routes, balancing, hashes, retries, health, errors. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer as createHttp2, type ServerHttp2Stream } from 'node:http2';
import { createServer as createSecure } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { a as dnsA, srv, TestDns } from '../discovery/dns-server.ts';
import { directory } from '../helpers/headrace.ts';
import { echo, Gateway, share, Target } from '../helpers/kong-gateway.ts';
import { KongProcess } from '../helpers/kong.ts';
import { requires } from '../helpers/requires.ts';
import { freePort } from '../helpers/ports.ts';
import { type Scope, until } from '../helpers/wait.ts';

/** grpc.health.v1.Health. */
async function grpcService(scope: Scope): Promise<{ address: string; status: number; asked: number }> {
  const service = { address: '', status: 1, asked: 0 };
  const server = createHttp2();
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    service.asked++;
    if (headers[':path'] !== '/grpc.health.v1.Health/Check') {
      stream.respond({ ':status': 404 }, { endStream: true });
      return;
    }
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(Buffer.from([0, 0, 0, 0, 2, 8, service.status]));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scope.after(() => void server.close());
  service.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return service;
}

test('the proxy of the Kong door', async (t) => {
  const dns = await new TestDns(() => ({ rcode: 3 })).start();
  t.after(() => dns.stop());
  const kong = await KongProcess.start(t, directory(t), ['--dns-resolver', `127.0.0.1:${dns.port}`]);
  const gate = new Gateway(kong);
  const [a, b, c] = [await Target.start(t), await Target.start(t), await Target.start(t)];

  await t.test("without a route: 404 in Kong's words", async () => {
    const answer = await gate.get('nowhere.test');
    assert.equal(answer.status, 404);
    assert.match(answer.text, /"message":"no Route matched with those values"/);
    assert.equal((JSON.parse(answer.text) as { request_id: string }).request_id, answer.headers['x-kong-request-id']);
    assert.match(String(answer.headers['x-kong-response-latency']), /^\d+$/);
  });

  await t.test('round robin: exact halves, weights, a target that comes and goes', async () => {
    await gate.upstream('rr.test', {}, [a.address, b.address]);
    const halves = await gate.names('rr.test', 20);
    assert.deepEqual([share(halves, a.address), share(halves, b.address)], [10, 10]);
    const started = performance.now();
    await gate.make('/upstreams/rr.test/targets', { target: c.address, weight: 200 });
    await until('the new target', async () => (await gate.names('rr.test', 4)).includes(c.address));
    assert.ok(performance.now() - started < 5000);
    const weighted = await gate.names('rr.test', 40);
    assert.deepEqual(
      [share(weighted, a.address), share(weighted, b.address), share(weighted, c.address)],
      [10, 10, 20],
    );
    await kong.send('PATCH', `/upstreams/rr.test/targets/${c.address}`, { weight: 0 });
    await until('the weight', async () => !(await gate.names('rr.test', 4)).includes(c.address));
    assert.equal((await kong.send('DELETE', `/upstreams/rr.test/targets/${a.address}`)).status, 204);
    await until('it to be gone', async () => share(await gate.names('rr.test', 4), b.address) === 4);
  });

  await t.test('a service of a plain host: paths, fields, methods', async () => {
    await gate.make('/services', { name: 'plain', url: `http://${a.address}/base` });
    await gate.make('/services/plain/routes', { paths: ['/api', '~/num/(?<n>\\d+)'], methods: ['GET'] });
    await until('the route', async () => (await gate.get('any.test', '/api')).status === 200);
    const whole = await gate.get('any.test', '/api/x%20y?q=1');
    assert.match(String(whole.headers['x-kong-upstream-latency']), /^\d+$/);
    assert.match(String(whole.headers['x-kong-proxy-latency']), /^\d+$/);
    assert.equal(whole.headers.server, 'echo');
    const stripped = echo(whole);
    assert.equal(stripped.url, '/base/x%20y?q=1');
    assert.equal(stripped.headers.host, a.address);
    assert.equal(stripped.headers['x-forwarded-prefix'], '/api');
    assert.match(stripped.headers['x-kong-request-id'] ?? '', /^[\da-f]{32}$/);
    assert.equal(whole.headers['x-kong-request-id'], stripped.headers['x-kong-request-id']);
    assert.equal(stripped.headers['x-forwarded-host'], 'any.test');
    assert.equal(echo(await gate.get('any.test', '/num/42/rest')).url, '/base/rest');
    assert.equal((await gate.get('any.test', '/api', {}, 'DELETE')).status, 404);
    await gate.make('/services/plain/routes', { hosts: ['*.keep.test'], strip_path: false, preserve_host: true });
    await until('the route', async () => (await gate.get('x.keep.test', '/api')).status === 200);
    assert.equal(echo(await gate.get('x.keep.test', '/a')).headers.host, 'x.keep.test');
  });

  await t.test('consistent hashing: sticky by header, cookie made, only few keys move', async () => {
    const settings = { hash_on: 'header', hash_on_header: 'X-User' };
    await gate.upstream('hash.test', settings, [a.address, b.address]);
    const keys = Array.from({ length: 120 }, (_, i) => `user-${i}`);
    const owners = async (): Promise<string[]> => {
      const found: string[] = [];
      for (const key of keys) found.push(echo(await gate.get('hash.test', '/', { 'x-user': key })).name);
      return found;
    };
    const before = await owners();
    assert.deepEqual(await owners(), before);
    assert.ok(share(before, a.address) > 30 && share(before, b.address) > 30);
    await gate.make('/upstreams/hash.test/targets', { target: c.address });
    await until('the new target', async () => (await owners()).includes(c.address));
    const after = await owners();
    const moved = keys.filter((_, i) => after[i] !== before[i]);
    assert.ok(moved.length <= keys.length * (1 / 3 + 0.15), `${moved.length} moved`);
    assert.ok(
      keys.every((_, i) => after[i] === before[i] || after[i] === c.address),
      'a key moved between old targets',
    );

    await gate.upstream('cookie.test', { hash_on: 'cookie', hash_on_cookie: 'sid', hash_on_cookie_path: '/p' }, [
      a.address,
      b.address,
    ]);
    const first = await gate.get('cookie.test');
    const made = String(first.headers['set-cookie']);
    assert.match(made, /^sid=[\da-f-]{36}; Path=\/p; SameSite=Lax; HttpOnly$/);
    const cookie = made.slice(0, made.indexOf(';'));
    const bound = await gate.names('cookie.test', 6, { cookie });
    assert.equal(share(bound, echo(first).name), 6);
    assert.equal((await gate.get('cookie.test', '/', { cookie })).headers['set-cookie'], undefined);
  });

  await t.test('least connections, latency, sticky sessions', async () => {
    const slow = await Target.start(t);
    await gate.upstream('least.test', { algorithm: 'least-connections' }, [a.address, slow.address]);
    slow.silent = true;
    const before = slow.requests;
    let done = 0;
    const one = (): Promise<string[]> => gate.names('least.test', 1).finally(() => done++);
    const both = Promise.all([one(), one()]);
    await until('one to be busy, and the other one to be free', () => slow.requests > before && done === 1);
    assert.equal(share(await gate.names('least.test', 4), a.address), 4);
    slow.release();
    assert.deepEqual((await both).flat().toSorted(), [a.address, slow.address].toSorted());
    slow.delayMs = 300;
    await gate.upstream('latency.test', { algorithm: 'latency' }, [a.address, slow.address]);
    assert.ok(share(await gate.names('latency.test', 10), a.address) >= 8);
    const sticky = { algorithm: 'sticky-sessions', sticky_sessions_cookie: 'gruber' };
    await gate.upstream('sticky.test', sticky, [a.address, b.address]);
    const first = await gate.get('sticky.test');
    const cookie = String(first.headers['set-cookie']).replace(/;.*/, '');
    assert.match(cookie, /^gruber=/);
    const { name } = echo(first);
    assert.equal(share(await gate.names('sticky.test', 6, { cookie }), name), 6);
    await kong.send('PATCH', `/upstreams/sticky.test/targets/${name}`, { weight: 0 });
    await until('it to drain', async () => !(await gate.names('sticky.test', 4)).includes(name));
    assert.equal(share(await gate.names('sticky.test', 4, { cookie }), name), 4, 'who is bound stays');
  });

  await t.test('retries go to targets that were not tried; when none is left, 502', async () => {
    const dead = [await freePort(), await freePort()].map((port) => `127.0.0.1:${port}`);
    await gate.upstream('retry.test', {}, [...dead, a.address]);
    const names = await gate.names('retry.test', 6);
    assert.equal(share(names, a.address), 6);
    await gate.upstream('retries0.test', {}, dead, { retries: 0 });
    const answer = await gate.get('retries0.test');
    assert.equal(answer.status, 502);
    assert.match(answer.text, /"message":"An invalid response was received from the upstream server"/);
  });

  await t.test('no peer: 503 that says why', async () => {
    await gate.upstream('empty.test', {}, []);
    const answer = await gate.get('empty.test');
    assert.equal(answer.status, 503);
    assert.match(answer.text, /"message":"failure to get a peer from the ring-balancer"/);
    assert.equal(answer.headers['x-headrace-reason'], 'no targets');
    assert.match(kong.log, /ring-balancer: no targets \(upstream "empty\.test"\)/);
  });

  await t.test('passive checks: thresholds of 1, 2 and 3, each kind; marks by hand', async () => {
    for (const limit of [1, 2, 3]) {
      const name = `passive${limit}.test`;
      const bad = await Target.start(t);
      const passive = { unhealthy: { http_failures: limit }, healthy: { successes: 1 } };
      await gate.upstream(name, { healthchecks: { passive } }, [bad.address, a.address]);
      bad.status = 500;
      const before = bad.requests;
      for (let i = 0; i < 12; i++) await gate.get(name);
      assert.equal(bad.requests - before, limit, `of ${limit}`);
      assert.deepEqual((await gate.health(name)).toSorted(), ['HEALTHY', 'UNHEALTHY']);
      bad.status = 200;
      assert.equal((await kong.send('PUT', `/upstreams/${name}/targets/${bad.address}/healthy`)).status, 204);
      assert.equal(share(await gate.names(name, 8), bad.address), 4);
      assert.equal((await kong.send('PUT', `/upstreams/${name}/targets/${bad.address}/unhealthy`)).status, 204);
      assert.equal(share(await gate.names(name, 8), bad.address), 0);
      assert.equal((await kong.send('PUT', `/upstreams/${name}/targets/${a.address}/unhealthy`)).status, 204);
      const none = await gate.get(name);
      assert.equal(none.status, 503);
      assert.equal(none.headers['x-headrace-reason'], 'all targets unhealthy');
    }
    const dead = `127.0.0.1:${await freePort()}`;
    await gate.upstream('tcp.test', { healthchecks: { passive: { unhealthy: { tcp_failures: 1 } } } }, [
      dead,
      a.address,
    ]);
    await gate.names('tcp.test', 4);
    const { json } = await kong.send('GET', '/upstreams/tcp.test/health');
    const targets = (json as { data: { target: string; health: string }[] }).data;
    assert.equal(targets.find(({ target }) => target === dead)?.health, 'UNHEALTHY');
    const slow = await Target.start(t);
    slow.silent = true;
    const healthchecks = { passive: { unhealthy: { timeouts: 1 } } };
    await gate.upstream('slow.test', { healthchecks }, [a.address], { read_timeout: 200 });
    await gate.make('/upstreams/slow.test/targets', { target: slow.address });
    await until('the timeout', async () => {
      await gate.get('slow.test');
      return (await gate.health('slow.test')).includes('UNHEALTHY');
    });
    assert.equal(share(await gate.names('slow.test', 4), a.address), 4);
  });

  await t.test('active checks: http takes out and brings back, tcp, grpc; Host field', async () => {
    const bad = await Target.start(t);
    const every = { interval: 0.1, http_failures: 2, tcp_failures: 2, timeouts: 2 };
    const active = { http_path: '/status', healthy: { interval: 0.1, successes: 2 }, unhealthy: every };
    await gate.upstream('active.test', { healthchecks: { active } }, [bad.address, a.address]);
    bad.status = 503;
    await until('it to be out', async () => (await gate.health('active.test')).includes('UNHEALTHY'));
    assert.equal(share(await gate.names('active.test', 6), a.address), 6);
    bad.status = 200;
    await until('it to be back', async () => !(await gate.health('active.test')).includes('UNHEALTHY'));
    assert.equal(share(await gate.names('active.test', 6), bad.address), 3);
    assert.match(bad.probed, new RegExp(`^GET ${bad.address}$`));

    for (const type of ['tcp', 'grpc']) {
      const dead = `127.0.0.1:${await freePort()}`;
      await gate.upstream(`${type}-active.test`, { healthchecks: { active: { ...active, type } } }, [dead]);
      await until(`${type} to find it`, async () => (await gate.health(`${type}-active.test`)).includes('UNHEALTHY'));
    }
    const service = await grpcService(t);
    await gate.upstream('grpc-good.test', { healthchecks: { active: { ...active, type: 'grpc' } } }, [service.address]);
    await until('a probe', () => service.asked >= 3);
    assert.deepEqual(await gate.health('grpc-good.test'), ['HEALTHY']);
    service.status = 2;
    await until('it to be out', async () => (await gate.health('grpc-good.test')).includes('UNHEALTHY'));
    service.status = 1;
    await until('it to be back', async () => (await gate.health('grpc-good.test')).includes('HEALTHY'));
  });

  await t.test(
    'services over TLS, with the name of the Host field; others than http and https are refused',
    async () => {
      const openssl = requires(t, 'openssl');
      if (openssl !== null) {
        const dir = directory(t);
        const subject = ['-subj', '/CN=inner.test', '-keyout', 'k.pem', '-out', 'c.pem', '-nodes', '-days', '2'];
        execFileSync(openssl, ['req', '-x509', '-newkey', 'rsa:2048', ...subject], { cwd: dir, stdio: 'pipe' });
        const pems = { key: readFileSync(join(dir, 'k.pem')), cert: readFileSync(join(dir, 'c.pem')) };
        let asked: unknown = null;
        const secure = createSecure(pems, (req, res) => {
          asked = (req.socket as TLSSocket).servername;
          res.end(JSON.stringify({ headers: req.headers }));
        });
        await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve));
        t.after(() => void secure.close());
        const address = `127.0.0.1:${(secure.address() as AddressInfo).port}`;
        await gate.upstream('secure.test', { host_header: 'inner.test' }, [address], { protocol: 'https', port: 443 });
        assert.equal(echo(await gate.get('secure.test')).headers.host, 'inner.test');
        assert.equal(asked, 'inner.test');
        await kong.send('PATCH', '/services/secure.test', { tls_verify: true });
        await until('it to be refused', async () => (await gate.get('secure.test')).status === 502);
      }
      await gate.upstream('tcp-service.test', {}, [a.address], { protocol: 'tcp' });
      const answer = await gate.get('tcp-service.test');
      assert.deepEqual([answer.status, answer.headers['x-headrace-reason']], [503, 'protocol tcp']);
    },
  );

  await t.test('threshold: an upstream that has lost too much is down as a whole', async () => {
    const settings = { healthchecks: { threshold: 50, passive: { unhealthy: { http_failures: 1 } } } };
    await gate.upstream('threshold.test', settings, [a.address, b.address]);
    assert.equal((await gate.get('threshold.test')).status, 200);
    await kong.send('PUT', `/upstreams/threshold.test/targets/${a.address}/unhealthy`);
    const answer = await gate.get('threshold.test');
    assert.equal(answer.status, 503);
    assert.equal(answer.headers['x-headrace-reason'], 'below threshold');
    const { json } = await kong.send('GET', '/upstreams/threshold.test/health?balancer_health=1');
    const { balancer_health: state, details } = (json as { data: Record<string, unknown> }).data;
    assert.equal(state, 'UNHEALTHY');
    assert.deepEqual((details as { weight: unknown }).weight, { total: 200, available: 100, unavailable: 100 });
  });

  await t.test('names are resolved, and those that have no address say so', async () => {
    const port = a.address.replace(/.*:/, '');
    await gate.upstream('named.test', { host_header: 'inner.test' }, [`localhost:${port}`]);
    await until('its address', async () => (await gate.get('named.test')).status === 200);
    assert.equal(echo(await gate.get('named.test')).headers.host, 'inner.test');
    const passive = { unhealthy: { http_failures: 1 } };
    await gate.upstream('lost.test', { healthchecks: { passive } }, ['nobody.invalid:80']);
    const answer = await gate.get('lost.test');
    assert.equal(answer.status, 503);
    assert.equal(answer.headers['x-headrace-reason'], 'no addresses');
    await until('the state', async () => (await gate.health('lost.test'))[0] === 'DNS_ERROR');
    const { json } = await kong.send('GET', '/upstreams/lost.test/health');
    const [{ data: told }] = (json as { data: [{ data: { dns: string; addresses: unknown[] } }] }).data;
    assert.match(told.dns, /^dns server error: \d \w+ \w+$/);
    assert.deepEqual(told.addresses, []);
  });

  await t.test(
    'DNS: every address of a name, ports and weights of services, again when they are no longer good',
    async () => {
      const [first, second] = [a, b].map(({ address }) => Number(address.replace(/.*:/, '')));
      let targets = `0 1 ${first} one.dns.test`;
      dns.handler = ({ name, type }) => {
        if (type === 'SRV' && name === 'web.srv.dns.test') {
          return { answers: [srv(name, targets, 1), srv(name, `0 3 ${second} one.dns.test`, 1)] };
        }
        if (!name.endsWith('dns.test')) return { rcode: 3 };
        return type === 'A' ? { answers: [dnsA(name, '127.0.0.1', 1)] } : {};
      };
      await gate.upstream('srv.test', { use_srv_name: true }, ['web.srv.dns.test:1']);
      await until('its addresses', async () => (await gate.get('srv.test')).status === 200);
      const names = await gate.names('srv.test', 20);
      assert.deepEqual([share(names, a.address), share(names, b.address)], [5, 15]);
      assert.match(echo(await gate.get('srv.test')).headers.host ?? '', /^one\.dns\.test:\d+$/);
      const { json } = await kong.send('GET', '/upstreams/srv.test/health');
      assert.equal((json as { data: { data: { dns: string } }[] }).data[0]?.data.dns, 'SRV');
      targets = `1 1 ${first} one.dns.test`;
      await until('the other answer', async () => share(await gate.names('srv.test', 4), b.address) === 4);
      await gate.upstream('a.dns.test', {}, [`host.dns.test:${first}`]);
      await until('its address', async () => (await gate.get('a.dns.test')).status === 200);
      assert.equal(echo(await gate.get('a.dns.test')).headers.host, `host.dns.test:${first}`);
    },
  );

  await t.test('a reload keeps what is known, health included', async () => {
    const before = await gate.health('threshold.test');
    assert.ok(before.includes('UNHEALTHY'));
    kong.signal('SIGHUP');
    await until('the reload', () => /generation \d+ drained/.test(kong.log));
    assert.equal((await gate.get('rr.test')).status, 200);
    assert.deepEqual(await gate.health('threshold.test'), before);
    assert.equal((await gate.get('threshold.test')).status, 503);
    await gate.make('/upstreams/rr.test/targets', { target: a.address });
    await until('a target that was made after it', async () => (await gate.names('rr.test', 4)).includes(a.address));
  });

  await t.test('a restart goes on with what is stored', async () => {
    await kong.stop();
    await kong.start();
    assert.equal((await gate.get('threshold.test')).status, 200);
  });
});
