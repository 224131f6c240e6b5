/** Health checks of the Kong door over the real program: all probes, all counters, failover, and what outlives a deletion. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createSecureServer, createServer as createHttp2 } from 'node:http2';
import type { Http2Server, ServerHttp2Stream } from 'node:http2';
import { createServer as createSecure } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { createServer as createTcp } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { makeSelfSigned, type SelfSigned } from '../../src/net/self-signed.ts';
import { directory } from '../helpers/headrace.ts';
import { Gateway, share, Target } from '../helpers/kong-gateway.ts';
import { KongProcess } from '../helpers/kong.ts';
import { freePort } from '../helpers/ports.ts';
import { type Scope, until } from '../helpers/wait.ts';

const EVERY = { interval: 0.1, http_failures: 2, tcp_failures: 2, timeouts: 2 };

async function listening(scope: Scope, server: Server | Http2Server, port = 0): Promise<string> {
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  scope.after(() => void server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** HTTPS that counts its probes and remembers the name that it was asked for. */
async function secureTarget(
  scope: Scope,
  pair: SelfSigned,
): Promise<{ address: string; names: string[]; status: number }> {
  const target = { address: '', names: [] as string[], status: 200 };
  const server = createSecure(pair, (req, res) => {
    target.names.push(
      `${String((req.socket as TLSSocket).servername)} ${req.headers.host} ${String(req.headers['x-probe'])}`,
    );
    res.writeHead(target.status).end();
  });
  target.address = await listening(scope, server);
  return target;
}

/** grpc.health.v1.Health, plain or over TLS. */
async function grpcTarget(scope: Scope, pair: SelfSigned | null): Promise<{ address: string; status: number }> {
  const target = { address: '', status: 1 };
  const server: Http2Server = pair === null ? createHttp2() : createSecureServer(pair);
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.on('error', () => {});
    stream.end(Buffer.from([0, 0, 0, 0, 2, 8, target.status]));
  });
  target.address = await listening(scope, server);
  return target;
}

test('health checks of the Kong door', async (t) => {
  const dir = directory(t);
  const trusted = makeSelfSigned('probe.test', Date.now());
  writeFileSync(join(dir, 'ca.pem'), trusted.cert);
  const kong = await KongProcess.start(t, dir, ['--workers', '2'], { NODE_EXTRA_CA_CERTS: join(dir, 'ca.pem') });
  const gate = new Gateway(kong);
  const [a, b] = [await Target.start(t), await Target.start(t)];
  const active = (more: object): object => ({
    healthchecks: {
      active: { healthy: { interval: 0.1, successes: 2 }, unhealthy: EVERY, ...more },
    },
  });
  const make = async (name: string, settings: object, target: string): Promise<void> => {
    await gate.make('/upstreams', { name, ...settings });
    await gate.make(`/upstreams/${name}/targets`, { target });
  };
  const becomes = (name: string, state: string): Promise<boolean> =>
    until(`${name} to be ${state}`, async () => (await gate.health(name))[0] === state);

  await t.test('https: the name that is asked for, its certificate, header fields', async () => {
    const target = await secureTarget(t, trusted);
    const headers = { 'X-Probe': ['yes'] };
    await make('sni', active({ type: 'https', https_sni: 'probe.test', headers }), target.address);
    await until('probes', () => target.names.length >= 3);
    assert.deepEqual(await gate.health('sni'), ['HEALTHY']);
    assert.equal(target.names.at(-1), `probe.test ${target.address} yes`);
    target.status = 500;
    await becomes('sni', 'UNHEALTHY');
    target.status = 200;
    await becomes('sni', 'HEALTHY');

    // The same target by another name: the certificate is not for that one.
    await make('other-name', active({ type: 'https', https_sni: 'other.test' }), target.address);
    await becomes('other-name', 'UNHEALTHY');
    await kong.send('PATCH', '/upstreams/other-name', {
      healthchecks: { active: { https_verify_certificate: false } },
    });
    await becomes('other-name', 'HEALTHY');

    // Without `https_sni` the upstream's host_header names it.
    await make('by-host', { ...active({ type: 'https' }), host_header: 'probe.test' }, target.address);
    await until('a probe by that name', () => target.names.includes('probe.test probe.test undefined'));
    assert.deepEqual(await gate.health('by-host'), ['HEALTHY']);

    const stranger = await secureTarget(t, makeSelfSigned('probe.test', Date.now()));
    await make('stranger', active({ type: 'https', https_sni: 'probe.test' }), stranger.address);
    await becomes('stranger', 'UNHEALTHY');
    assert.deepEqual(stranger.names, []);
    assert.match(kong.log, /of upstream "stranger" is unhealthy: probe: .*self.signed/i);
  });

  await t.test('tcp: a port that opens and closes', async () => {
    const port = await freePort();
    await make('tcp', active({ type: 'tcp' }), `127.0.0.1:${port}`);
    await becomes('tcp', 'UNHEALTHY');
    await listening(
      t,
      createTcp((socket) => socket.destroy()),
      port,
    );
    await becomes('tcp', 'HEALTHY');
  });

  await t.test('grpc and grpcs: what the health service says', async () => {
    for (const [name, pair] of [
      ['grpc', null],
      ['grpcs', trusted],
    ] as const) {
      const target = await grpcTarget(t, pair);
      target.status = 2;
      await make(name, active({ type: name, https_sni: 'probe.test' }), target.address);
      await becomes(name, 'UNHEALTHY');
      target.status = 1;
      await becomes(name, 'HEALTHY');
    }
    const stranger = await grpcTarget(t, makeSelfSigned('probe.test', Date.now()));
    await make('grpcs-stranger', active({ type: 'grpcs', https_sni: 'probe.test' }), stranger.address);
    await becomes('grpcs-stranger', 'UNHEALTHY');
  });

  await t.test('probes that time out, and only those, count as timeouts', async () => {
    const silent = await listening(
      t,
      createTcp(() => {}),
    );
    const unhealthy = { interval: 0.1, timeouts: 1 };
    await make('late', active({ timeout: 0.1, unhealthy: { ...unhealthy } }), silent);
    await becomes('late', 'UNHEALTHY');
    assert.match(kong.log, /of upstream "late" is unhealthy: probe: no answer within 100ms/);
    await make('refused', active({ unhealthy }), `127.0.0.1:${await freePort()}`);
    await make(
      'refused-too',
      active({ unhealthy: { interval: 0.1, tcp_failures: 1 } }),
      `127.0.0.1:${await freePort()}`,
    );
    await becomes('refused-too', 'UNHEALTHY');
    assert.deepEqual(await gate.health('refused'), ['HEALTHY']);
  });

  await t.test('no more probes at a time than `concurrency`', async () => {
    let [open, most, asked] = [0, 0, 0];
    const waiting: (() => void)[] = [];
    const targets: string[] = [];
    for (let i = 0; i < 6; i++) {
      const server = createTcp((socket) => {
        open++;
        asked++;
        most = Math.max(most, open);
        socket.resume().on('error', () => {});
        waiting.push(() => {
          open--;
          socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
        });
      });
      targets.push(await listening(t, server));
    }
    const checks = { active: { concurrency: 2, timeout: 30, healthy: { interval: 0.1, successes: 1 } } };
    await gate.make('/upstreams', { name: 'few', healthchecks: checks });
    for (const target of targets) await gate.make('/upstreams/few/targets', { target });
    while (asked < 12) {
      await until('two probes', () => open === 2);
      for (const answer of waiting.splice(0)) answer();
      await until('others', () => waiting.length > 0 || asked >= 12);
    }
    assert.equal(most, 2);
    await kong.send('DELETE', '/upstreams/few');
  });

  await t.test('passive: each counter by its own limit of 1, 2 and 3, over all workers', async () => {
    const bad = await Target.start(t);
    const silent = await listening(
      t,
      createTcp(() => {}),
    );
    const dead = `127.0.0.1:${await freePort()}`;
    bad.status = 500;
    const kinds: [counter: string, target: string, service: object, status: number][] = [
      ['http_failures', bad.address, {}, 500],
      ['tcp_failures', dead, {}, 502],
      ['timeouts', silent, { read_timeout: 50 }, 504],
    ];
    for (const [counter, target, service, status] of kinds) {
      for (const limit of [1, 2, 3]) {
        const name = `${counter.replace('_', '-')}${limit}.test`;
        await gate.make('/upstreams', { name, healthchecks: { passive: { unhealthy: { [counter]: limit } } } });
        await gate.make(`/upstreams/${name}/targets`, { target });
        await gate.make('/services', { name, host: name, retries: 0, ...service });
        await gate.make(`/services/${name}/routes`, { hosts: [name], methods: ['GET'] });
        await kong.send('PUT', `/upstreams/${name}/targets/${target}/healthy`);
        const statuses: number[] = [];
        await until(`${name} to be out`, async () => {
          const { status: got } = await gate.get(name);
          // A worker that does not know the route yet has not asked anybody.
          if (got !== 404) statuses.push(got);
          return got === 503;
        });
        assert.deepEqual(statuses, [...Array.from({ length: limit }, () => status), 503], name);
        assert.deepEqual(await gate.health(name), ['UNHEALTHY']);
      }
    }
  });

  await t.test('failover: only while no other one is well, by round robin, least connections, latency', async () => {
    const spare = await Target.start(t);
    for (const algorithm of ['round-robin', 'least-connections', 'latency']) {
      const name = `${algorithm}.failover.test`;
      const settings = { algorithm, healthchecks: { passive: { unhealthy: { http_failures: 1 } } } };
      await gate.upstream(name, settings, [a.address, b.address, { target: spare.address, failover: true }]);
      assert.equal(share(await gate.names(name, 8), spare.address), 0, algorithm);
      for (const address of [a.address, b.address]) {
        await kong.send('PUT', `/upstreams/${name}/targets/${address}/unhealthy`);
      }
      assert.equal(share(await gate.names(name, 8), spare.address), 8, algorithm);
      await kong.send('PUT', `/upstreams/${name}/targets/${a.address}/healthy`);
      assert.equal(share(await gate.names(name, 8), a.address), 8, algorithm);
    }
    // Of hashes all targets are one ring.
    const settings = { hash_on: 'header', hash_on_header: 'X-Key' };
    await gate.upstream('ring.failover.test', settings, [a.address, { target: spare.address, failover: true }]);
    const seen = new Set<string>();
    for (let i = 0; i < 40; i++)
      for (const name of await gate.names('ring.failover.test', 1, { 'x-key': `${i}` })) seen.add(name);
    assert.deepEqual([...seen].toSorted(), [a.address, spare.address].toSorted());
  });

  await t.test('a target that is deleted and made again is what it was', async () => {
    const settings = { healthchecks: { passive: { unhealthy: { http_failures: 1 } } } };
    await gate.upstream('again.test', settings, [a.address, b.address]);
    await kong.send('PUT', `/upstreams/again.test/targets/${a.address}/unhealthy`);
    await kong.send('DELETE', `/upstreams/again.test/targets/${a.address}`);
    await gate.make('/upstreams/again.test/targets', { target: a.address });
    await until('both to be there', async () => (await gate.health('again.test')).length === 2);
    assert.deepEqual((await gate.health('again.test')).toSorted(), ['HEALTHY', 'UNHEALTHY']);
    assert.equal(share(await gate.names('again.test', 8), b.address), 8);
    await kong.send('DELETE', '/upstreams/again.test');
    await gate.make('/upstreams', { name: 'again.test', ...settings });
    await gate.make('/upstreams/again.test/targets', { target: a.address });
    await becomes('again.test', 'UNHEALTHY');
    await kong.send('PUT', `/upstreams/again.test/targets/${a.address}/healthy`);
    await becomes('again.test', 'HEALTHY');
  });
});
