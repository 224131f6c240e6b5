/** Names in the configuration; shared resolvers; the process may end while they are open. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { HostNotFound, literalPeer, lookupHost, lookupHostsSync } from '../../src/discovery/hosts.ts';
import { ResolverPool } from '../../src/discovery/resolver-pool.ts';
import type { ResolverConfig } from '../../src/config/model.ts';

test('literal addresses', () => {
  assert.deepEqual(literalPeer('127.0.0.1', 80), { text: '127.0.0.1:80', family: 4, host: '127.0.0.1', port: 80 });
  assert.deepEqual(literalPeer('[::1]', 80), { text: '[::1]:80', family: 6, host: '::1', port: 80 });
  assert.equal(literalPeer('256.0.0.1', 80), null);
  assert.equal(literalPeer('example.com', 80), null);
});

test('localhost', async () => {
  const peers = await lookupHost('localhost', 8080);
  assert.ok(peers && peers.length > 0);
  for (const peer of peers) {
    assert.ok(['127.0.0.1:8080', '[::1]:8080'].includes(peer.text), peer.text);
  }
  const found = lookupHostsSync(['localhost', '10.0.0.1', '[::1]', 'localhost']);
  assert.deepEqual(
    found.get('localhost'),
    peers.map(({ family, host }) => ({ family, address: host })),
  );
  assert.deepEqual(found.get('10.0.0.1'), [{ family: 4, address: '10.0.0.1' }]);
  assert.deepEqual(found.get('[::1]'), [{ family: 6, address: '::1' }]);
});

test('names that do not exist', async () => {
  // Over 63 octets: no system asks anyone for it.
  const name = `${'x'.repeat(70)}.invalid`;
  assert.equal(await lookupHost(name, 80), null);
  assert.equal(lookupHostsSync([name]).get(name), null);
  assert.equal(new HostNotFound(name, `${name}:80`).message, `host not found in upstream "${name}:80"`);
  assert.equal(new HostNotFound('a', 'a', 'resolver').message, 'host not found in resolver "a"');
});

test('resolvers of equal configuration are one', () => {
  const settings: ResolverConfig = {
    addresses: [{ host: '127.0.0.1', port: 53 }],
    validMs: null,
    ipv4: true,
    ipv6: true,
    statusZone: null,
  };
  const pool = new ResolverPool({ clock: { ms: () => 0 } });
  const one = pool.acquire(settings);
  const two = pool.acquire(structuredClone(settings));
  const other = pool.acquire({ ...settings, ipv6: false });
  assert.equal(one.resolver, two.resolver);
  assert.notEqual(one.resolver, other.resolver);
  one.release();
  one.release();
  assert.equal(pool.acquire(settings).resolver, two.resolver, 'still in use');
  pool.close();
  assert.notEqual(pool.acquire(settings).resolver, one.resolver);
  pool.close();
});

test('an open resolver and a monitor do not keep the process alive', () => {
  const source = `
    import { Resolver } from './src/discovery/resolver.ts';
    import { Monitor } from './src/discovery/monitor.ts';
    const clock = { ms: () => Date.now() };
    const resolver = new Resolver(
      {
        addresses: [{ host: '127.0.0.1', port: 9 }, { host: '192.0.2.1', port: 53 }],
        validMs: null, ipv4: true, ipv6: true, statusZone: null,
      },
      { clock },
    );
    void resolver.resolve('example.com', 30000);
    const watched = { key: 'k', resolver, host: 'example.net', service: 'http', timeoutMs: 30000 };
    new Monitor({ clock }).watch(watched, () => {});
  `;
  const cwd = new URL('../..', import.meta.url).pathname;
  const result = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', source], {
    cwd,
    timeout: 20_000,
  });
  assert.equal(result.status, 0, String(result.stderr));
});
