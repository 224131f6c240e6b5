/** Names that the system looks up: what comes of them, and what stays when they cannot be had. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Monitor } from '../../src/discovery/monitor.ts';
import { SystemResolver } from '../../src/discovery/system-resolver.ts';
import type { Resolution } from '../../src/discovery/types.ts';
import { createTable, reloadTable } from '../../src/upstream/group.ts';
import { replaceResolved } from '../../src/upstream/group.ts';
import { members } from '../../src/upstream/table/members.ts';
import { address, upstream } from '../upstream/fixtures.ts';
import { until } from '../helpers/wait.ts';

const clock = { ms: () => performance.now() };

const ask = (host: string): Promise<Resolution> =>
  new Promise((resolve) => void new SystemResolver(5000, clock).lookup(host, 10_000, resolve));

test('an answer is good for the interval', async () => {
  const before = clock.ms();
  const answer = await ask('localhost');
  assert.ok(answer.ok);
  assert.ok(answer.addresses.some(({ address: text }) => text === '127.0.0.1' || text === '::1'));
  assert.ok(answer.validUntilMs >= before + 5000);
});

test('a name that cannot be had is a failure that leaves what was known', async () => {
  const answer = await ask('no-such-name.invalid');
  assert.ok(!answer.ok);
  assert.equal(answer.code, 2, 'not 3: that would take all servers away');
  const monitor = new Monitor({ clock });
  let failed = false;
  let changes = 0;
  monitor.watch(
    {
      key: 'u',
      resolver: new SystemResolver(5000, clock),
      host: 'no-such-name.invalid',
      service: null,
      timeoutMs: 5000,
      initialValidUntilMs: 0,
    },
    () => changes++,
    () => (failed = true),
  );
  await until('the failure', () => failed);
  assert.equal(changes, 0);
  monitor.close();
});

test('servers that were looked up with the configuration may be replaced, and are anew after a reload', () => {
  const line = { server: 'name:80', resolve: true, lookup: { intervalMs: 1000, timeoutMs: 1000 } };
  const config = upstream({ kind: 'round_robin' }, [
    { ...line, addresses: [address('10.0.0.1:80'), address('10.0.0.2:80')] },
  ]);
  const table = createTable(config);
  const addresses = (): string[] => members(table).map((member) => member.address);
  assert.deepEqual(addresses(), ['10.0.0.1:80', '10.0.0.2:80']);
  const { added, removed, kept } = replaceResolved(table, config, 0, [
    { host: '10.0.0.2', family: 4 },
    { host: '10.0.0.3', family: 4 },
  ]);
  assert.deepEqual([added, removed, kept], [1, 1, 1]);
  assert.deepEqual(addresses(), ['10.0.0.2:80', '10.0.0.3:80']);
  const next = upstream({ kind: 'round_robin' }, [
    { ...line, addresses: [address('10.0.0.3:80'), address('10.0.0.4:80')] },
  ]);
  assert.equal(reloadTable(table, next), table);
  assert.deepEqual(addresses(), ['10.0.0.3:80', '10.0.0.4:80']);
});
