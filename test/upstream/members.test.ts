/** Changes of membership: answers from DNS (spec 2.11), reload, the API's operations. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { BalancerConfig } from '../../src/config/model.ts';
import {
  addServer,
  Attempt,
  BUSY,
  createTable,
  Group,
  reloadTable,
  removeServer,
  replaceResolved,
  type ResolvedRecord,
  updateServer,
} from '../../src/upstream/group.ts';
import {
  address,
  FAILED,
  LEAST_CONN,
  OK,
  rig,
  RR,
  type Rig,
  type ServerInit,
  TestClock,
  upstream,
  weighted,
} from './fixtures.ts';

const a4 = (n: number): ResolvedRecord => ({ host: `10.0.0.${n}`, family: 4 });
const srv = (n: number, port: number, weight = 1, priority = 1, target = `t${n}`): ResolvedRecord => ({
  host: `10.0.0.${n}`,
  family: 4,
  port,
  weight,
  priority,
  target,
});
const addresses = (r: Rig): string[] => r.group.snapshot().map((p) => p.address);

function resolving(balancer: BalancerConfig = RR, init: Partial<ServerInit> = {}): Rig {
  return rig(upstream(balancer, [{ server: 'name:8080', host: 'name', port: 8080, resolve: true, ...init }]));
}

describe('resolved addresses', () => {
  it('stay, come and go', () => {
    const r = resolving();
    assert.deepEqual(replaceResolved(r.table, r.config, 0, [a4(1), a4(2)]), {
      added: 2,
      removed: 0,
      kept: 0,
      exhausted: 0,
    });
    assert.deepEqual(addresses(r), ['10.0.0.1:8080', '10.0.0.2:8080']);
    r.serve();
    const before = r.group.version;
    assert.deepEqual(replaceResolved(r.table, r.config, 0, [a4(2), a4(1)]), {
      added: 0,
      removed: 0,
      kept: 2,
      exhausted: 0,
    });
    assert.equal(r.group.version, before, 'the order of an answer means nothing');
    assert.deepEqual(replaceResolved(r.table, r.config, 0, [a4(3), a4(1)]), {
      added: 1,
      removed: 1,
      kept: 1,
      exhausted: 0,
    });
    assert.deepEqual(addresses(r), ['10.0.0.1:8080', '10.0.0.3:8080']);
    assert.equal(r.group.snapshot()[0]!.requests, 1, 'counters stay');
    assert.deepEqual(replaceResolved(r.table, r.config, 0, []), { added: 0, removed: 2, kept: 0, exhausted: 0 });
    assert.equal(r.serve(), BUSY);
  });

  it('IPv6 is printed in brackets, and a route is shared', () => {
    const r = resolving(RR, { route: 'r1' });
    replaceResolved(r.table, r.config, 0, [{ host: '::1', family: 6 }, a4(1)]);
    assert.deepEqual(addresses(r), ['[::1]:8080', '10.0.0.1:8080']);
    assert.deepEqual(
      [1, 2, 3].map(() => r.serve({ stickySid: 'r1' })),
      [0, 0, 0],
      'the first in order',
    );
    const second = r.group.peer(1);
    assert.deepEqual(
      [1, 2, 3].map(() => r.serve({ stickySid: 'r1', bound: second })),
      [1, 1, 1],
      'the very one',
    );
    replaceResolved(r.table, r.config, 0, [{ host: '::1', family: 6 }]);
    replaceResolved(r.table, r.config, 0, [{ host: '::1', family: 6 }, a4(2), a4(3)]);
    const served = new Set([1, 2, 3].map(() => r.serve({ stickySid: 'r1', bound: second })));
    assert.equal(served.size, 3, 'chosen as if unbound');
  });

  it('keeps a peer with requests until they end, as a zombie', () => {
    const r = resolving();
    replaceResolved(r.table, r.config, 0, [a4(1), a4(2)]);
    const a = new Attempt();
    r.group.begin(a, {}, 0);
    const slot = r.group.pick(a);
    replaceResolved(r.table, r.config, 0, [a4(3)]);
    assert.equal(r.group.peer(slot).address, '10.0.0.1:8080');
    r.group.done(a, OK);
    assert.equal(r.group.pick(a) >= 0, true);
    assert.equal(r.group.peer(a.slot).address, '10.0.0.3:8080');
  });

  it('a request that began before an answer is not busy because of it (nginx#1656)', () => {
    const r = resolving(RR, {});
    replaceResolved(r.table, r.config, 0, [a4(1), a4(2)]);
    const a = new Attempt();
    r.group.begin(a, {}, 0);
    r.group.pick(a);
    r.group.done(a, FAILED);
    // so often that slots are given out again
    for (let i = 3; i < 90; i++) replaceResolved(r.table, r.config, 0, [a4(i), a4(i + 100)]);
    assert.notEqual(r.group.pick(a), BUSY);
    r.group.done(a, FAILED);
    assert.notEqual(r.group.pick(a), BUSY);
  });

  it('reports a full table', () => {
    const config = upstream(RR, [{ server: 'name', resolve: true }]);
    const r = rig(config, Math.random, createTable(config, { spareSlots: 2 }));
    assert.equal(replaceResolved(r.table, config, 0, [a4(1), a4(2), a4(3)]).exhausted, 1);
    assert.equal(replaceResolved(r.table, config, 0, [a4(4), a4(5)]).added, 2);
  });

  it('SRV: port, weight, duplicates, priority to backup', () => {
    const r = resolving(RR, { service: 'http', port: 0 });
    replaceResolved(r.table, r.config, 0, [
      srv(1, 80, 0),
      srv(2, 81, 5),
      srv(1, 80, 0),
      srv(3, 82, 7, 2),
      srv(4, 83, 1, 9),
    ]);
    const peers = r.group.snapshot();
    assert.deepEqual(
      peers.map((p) => [p.address, p.weight, p.backup, p.server]),
      [
        ['10.0.0.1:80', 1, false, 't1'],
        ['10.0.0.2:81', 5, false, 't2'],
        ['10.0.0.1:80', 1, false, 't1'],
        ['10.0.0.3:82', 7, true, 't3'],
        ['10.0.0.4:83', 1, true, 't4'],
      ],
    );
    // one duplicate goes, a weight changes, a backup becomes primary
    const result = replaceResolved(r.table, r.config, 0, [srv(1, 80, 0), srv(2, 81, 6), srv(3, 82, 7)]);
    assert.deepEqual(result, { added: 2, removed: 4, kept: 1, exhausted: 0 });
  });

  it('SRV: a weight of the line wins; hash has no backup; a backup line takes the best', () => {
    const own = resolving(RR, { service: 'http', weight: 3 });
    replaceResolved(own.table, own.config, 0, [srv(1, 80, 9)]);
    assert.equal(own.group.snapshot()[0]!.weight, 3);
    assert.equal(replaceResolved(own.table, own.config, 0, [srv(1, 80, 2)]).kept, 1);
    const hash = resolving({ kind: 'hash', key: '$k', consistent: false }, { service: 'http' });
    replaceResolved(hash.table, hash.config, 0, [srv(1, 80), srv(2, 80, 1, 5)]);
    assert.deepEqual(addresses(hash), ['10.0.0.1:80']);
    const backup = resolving(RR, { service: 'http', backup: true });
    replaceResolved(backup.table, backup.config, 0, [srv(1, 80), srv(2, 80, 1, 5)]);
    assert.deepEqual(
      backup.group.snapshot().map((p) => [p.address, p.backup]),
      [['10.0.0.1:80', true]],
    );
  });
});

describe('reload', () => {
  const carry = (from: ServerInit[], to: ServerInit[], spareSlots = 16) => {
    const before = upstream(LEAST_CONN, from);
    const table = createTable(before, { spareSlots });
    const r = rig(before, Math.random, table);
    return { r, next: upstream(LEAST_CONN, to), table };
  };

  it('keeps what peers have gathered, in place, under new parameters and order', () => {
    const { r, next, table } = carry(weighted([1, 1, 1]), [...weighted([1, 1, 4]).toReversed(), { server: 'new:1' }]);
    const held = new Attempt();
    r.group.begin(held, {}, 0);
    assert.equal(r.group.pick(held), 0);
    r.serve();
    const reloaded = reloadTable(table, next);
    assert.equal(reloaded, table);
    const group = new Group(next, reloaded, { workerId: 0, clock: r.clock, random: Math.random });
    assert.deepEqual(
      group.snapshot().map((p) => [p.server, p.weight, p.requests, p.conns]),
      [
        ['127.0.0.1:8083', 4, 0, 0],
        ['127.0.0.1:8082', 1, 1, 0],
        ['127.0.0.1:8081', 1, 1, 1],
        ['new:1', 1, 0, 0],
      ],
    );
    // the request ends under the configuration that it began with
    r.group.done(held, OK);
    assert.ok(group.snapshot().every((p) => p.conns === 0));
  });

  it('takes a larger table when there is no room, state with it', () => {
    const { r, next, table } = carry(weighted([1, 1]), weighted([1, 1, 1, 1, 1]), 0);
    r.serve();
    r.serve();
    const reloaded = reloadTable(table, next);
    assert.notEqual(reloaded, table);
    const group = new Group(next, reloaded, { workerId: 0, clock: r.clock, random: Math.random });
    assert.deepEqual(
      group.snapshot().map((p) => p.requests),
      [1, 1, 0, 0, 0],
    );
  });

  it('repeated servers match in order', () => {
    const { r, next, table } = carry([{ server: 'a:1' }, { server: 'a:1' }], [{ server: 'a:1' }, { server: 'a:1' }]);
    r.serve();
    reloadTable(table, next);
    assert.deepEqual(
      r.group.snapshot().map((p) => p.requests),
      [1, 0],
    );
  });

  it('keeps resolved addresses until the next answer, under the new port', () => {
    const named = (port: number): ServerInit => ({ server: `name:${port}`, host: 'name', port, resolve: true });
    const { r, next, table } = carry([named(80)], [named(81), { server: 'x:1', addresses: [address('10.1.1.1:1')] }]);
    replaceResolved(table, r.config, 0, [a4(1), a4(2)]);
    reloadTable(table, next);
    assert.deepEqual(
      r.group.snapshot().map((p) => [p.address, p.resolved]),
      [
        ['10.1.1.1:1', false],
        ['10.0.0.1:81', true],
        ['10.0.0.2:81', true],
      ],
    );
    assert.equal(replaceResolved(table, next, 0, [a4(2)]).removed, 1);
  });

  it('handles of two generations with different balancers share a table', () => {
    const { r, table } = carry(weighted([1, 1, 1]), []);
    const configs = [LEAST_CONN, RR, { kind: 'least_time', mode: 'header', inflight: false } as const].map((balancer) =>
      upstream(balancer, weighted([1, 1, 1])),
    );
    const groups = configs.map((c) => new Group(c, table, { workerId: 0, clock: r.clock, random: Math.random }));
    const counts = [0, 0, 0];
    for (let i = 0; i < 60; i++) {
      const group = groups[(i >> 1) % 3]!;
      const a = new Attempt();
      group.begin(a, {}, 0);
      counts[group.pick(a)]!++;
      group.done(a, OK);
    }
    assert.deepEqual(counts, [20, 20, 20], 'all three go on with the same turns while nothing is in flight');
  });
});

describe('servers at run time', () => {
  it('come, change and go', () => {
    const r = rig(upstream(RR, weighted([1])));
    const slot = addServer(r.table, { server: 'b:1', address: address('10.0.0.9:1'), weight: 3 });
    const { generation } = r.group.peer(slot);
    assert.deepEqual(
      [1, 2, 3, 4].map(() => r.serve()),
      [slot, 0, slot, slot],
    );
    assert.equal(updateServer(r.table, slot, generation, { drain: true }), true);
    assert.equal(r.group.snapshot()[1]!.state, 'draining');
    assert.equal(updateServer(r.table, slot, generation, { drain: false, unhealthy: true }), true);
    assert.equal(r.group.snapshot()[1]!.state, 'unhealthy');
    assert.equal(r.serve(), 0);
    assert.equal(removeServer(r.table, slot, generation), true);
    assert.equal(removeServer(r.table, slot, generation), false);
    assert.equal(r.group.snapshot().length, 1);
  });

  it('a full table refuses', () => {
    const config = upstream(RR, weighted([1]));
    const table = createTable(config, { spareSlots: 0 });
    assert.equal(addServer(table, { server: 'b:1', address: address('10.0.0.9:1') }), -1);
  });

  it('whatever changes: picks end, only live and eligible peers are chosen, nothing leaks', () => {
    const op = fc.record({ kind: fc.nat(7), n: fc.nat(1000) });
    const kinds: BalancerConfig[] = [
      RR,
      LEAST_CONN,
      { kind: 'hash', key: 'k', consistent: true },
      { kind: 'random', two: { kind: 'least_conn' } },
      { kind: 'least_time', mode: 'header', inflight: true },
    ];
    fc.assert(
      fc.property(fc.constantFrom(...kinds), fc.array(op, { maxLength: 150, size: 'max' }), (balancer, ops) => {
        const config = upstream(balancer, [...weighted([1, 2, 1]), { server: 'name', resolve: true }]);
        const clock = new TestClock();
        const table = createTable(config, { spareSlots: 6 });
        const group = new Group(config, table, {
          workerId: 0,
          clock,
          random: () => ((clock.ms = clock.ms + 1) % 97) / 97,
        });
        let open: Attempt[] = [];
        for (const { kind, n } of ops) {
          const peers = group.snapshot();
          const some = peers[n % Math.max(1, peers.length)];
          if (kind === 0) replaceResolved(table, config, 3, [a4(n % 5), a4((n >> 2) % 5)]);
          else if (kind === 1)
            addServer(table, { server: `s${n}`, address: address(`10.9.9.9:${n}`), backup: n % 4 === 0 });
          else if (kind === 2 && some) removeServer(table, some.slot, some.generation);
          else if (kind === 3 && some)
            updateServer(table, some.slot, some.generation, {
              weight: 1 + (n % 5),
              down: n % 3 === 0,
              maxConns: n % 3,
            });
          else if (kind === 4 && open.length > 0) {
            const a = open[n % open.length]!;
            open = open.filter((other) => other !== a);
            group.done(a, n % 2 === 0 ? OK : FAILED);
            if (n % 3 === 0 && group.pick(a) >= 0) open.push(a);
          } else if (kind === 5) clock.ms += n * 20;
          else {
            const a = new Attempt();
            group.begin(a, { hashKey: String(n) }, 0);
            const slot = group.pick(a);
            if (slot < 0) continue;
            open.push(a);
            const chosen = group.snapshot().find((p) => p.slot === slot)!;
            assert.ok(chosen !== undefined, 'live');
            assert.ok(['up', 'unavail'].includes(chosen.state), chosen.state);
            assert.ok(chosen.maxConns === 0 || chosen.conns <= Math.max(chosen.maxConns, 1));
          }
        }
        for (const a of open) group.done(a, OK);
        assert.ok(group.snapshot().every((p) => p.conns === 0));
        // zombies are gone: all of the room can be had
        for (const p of group.snapshot()) removeServer(table, p.slot, p.generation);
        let room = 0;
        while (addServer(table, { server: 'x', address: address('10.9.9.9:1') }) >= 0) room++;
        assert.equal(room, 9);
      }),
      { numRuns: 200 },
    );
  });
});
