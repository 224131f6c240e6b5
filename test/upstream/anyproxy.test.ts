/** any-proxy's balancers: placement by address, and the fastest heartbeats. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BalancerConfig } from '../../src/config/model.ts';
import { Attempt, BUSY, Group, type GroupEnv, createTable, updateServer } from '../../src/upstream/group.ts';
import { sipHashModulo } from '../../src/upstream/siphash.ts';
import { noteRoundTrip, weaken } from '../../src/upstream/table/heartbeat.ts';
import { Table } from '../../src/upstream/table/layout.ts';
import { OK, TestClock, upstream, weighted } from './fixtures.ts';

const MASK = (1n << 64n) - 1n;

/** SipHash-1-3 with a key of zeros as its paper has it, in whole 64-bit words. */
function reference(text: string): bigint {
  const rot = (x: bigint, n: bigint): bigint => ((x << n) | (x >> (64n - n))) & MASK;
  let [v0, v1, v2, v3] = [0x736f6d6570736575n, 0x646f72616e646f6dn, 0x6c7967656e657261n, 0x7465646279746573n];
  const round = (): void => {
    v0 = (v0 + v1) & MASK;
    v1 = rot(v1, 13n) ^ v0;
    v0 = rot(v0, 32n);
    v2 = (v2 + v3) & MASK;
    v3 = rot(v3, 16n) ^ v2;
    v0 = (v0 + v3) & MASK;
    v3 = rot(v3, 21n) ^ v0;
    v2 = (v2 + v1) & MASK;
    v1 = rot(v1, 17n) ^ v2;
    v2 = rot(v2, 32n);
  };
  const bytes = Buffer.alloc((text.length & ~7) + 8);
  bytes.write(text, 'latin1');
  bytes[bytes.length - 1] = text.length & 255;
  for (let at = 0; at < bytes.length; at += 8) {
    const word = bytes.readBigUInt64LE(at);
    v3 ^= word;
    round();
    v0 ^= word;
  }
  v2 ^= 0xffn;
  round();
  round();
  round();
  return v0 ^ v1 ^ v2 ^ v3;
}

/** Some group and a client that asks it. */
function rig(balancer: BalancerConfig, weights: number[]) {
  const config = upstream(balancer, weighted(weights));
  const buffer = createTable(config);
  const env: GroupEnv = { workerId: 0, clock: new TestClock(), random: Math.random };
  const group = new Group(config, buffer, env);
  const attempt = new Attempt();
  return {
    buffer,
    group,
    /** Place of the server that a client gets; -1: none. */
    ask(client = ''): number {
      group.begin(attempt, { hashKey: client }, 0);
      const slot = group.pick(attempt);
      if (slot !== BUSY) group.done(attempt, OK);
      return slot === BUSY ? -1 : group.peer(slot).port - 8081;
    },
    health(place: number, unhealthy: boolean): void {
      const { slot, generation } = group.snapshot()[place]!;
      updateServer(buffer, slot, generation, { unhealthy });
    },
    generation: (place: number): number => group.snapshot()[place]!.generation,
  };
}

const clients = Array.from({ length: 200 }, (_, i) => `10.${i >> 4}.${i}.${(i * 7) & 255}`);

test('the hash is SipHash-1-3: Rust’s default hasher places clients alike', () => {
  // What DefaultHasher says of nothing.
  assert.equal(reference(''), 15130871412783076140n);
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme-ascii', maxLength: 45 }),
      fc.integer({ min: 1, max: 100_000 }),
      (text, size) => {
        assert.equal(sipHashModulo(text, size), Number(reference(text) % BigInt(size)));
      },
    ),
  );
});

test('ip_hash_fixed: a client’s server stays, and when it is down the client has none', () => {
  const { ask, health } = rig({ kind: 'address_hash', active: false }, [1, 1, 1]);
  const before = clients.map(ask);
  assert.deepEqual(
    before,
    clients.map((client) => Number(reference(client) % 3n)),
  );
  health(1, true);
  assert.deepEqual(
    clients.map(ask),
    before.map((place) => (place === 1 ? -1 : place)),
  );
  health(1, false);
  assert.deepEqual(clients.map(ask), before);
});

test('ip_hash_active: servers that are down are not counted', () => {
  const { ask, health } = rig({ kind: 'address_hash', active: true }, [1, 1, 1]);
  assert.deepEqual(
    clients.map(ask),
    clients.map((client) => Number(reference(client) % 3n)),
  );
  health(0, true);
  assert.deepEqual(
    clients.map(ask),
    clients.map((client) => 1 + Number(reference(client) % 2n)),
  );
  health(1, true);
  health(2, true);
  assert.equal(ask('10.0.0.1'), -1);
});

test('ip_hash_active: who could not be reached is passed over', () => {
  const { group } = rig({ kind: 'address_hash', active: true }, [1, 1, 1]);
  const attempt = new Attempt();
  group.begin(attempt, { hashKey: '10.0.0.1' }, 0);
  const met = new Set<number>();
  for (;;) {
    const slot = group.pick(attempt);
    if (slot === BUSY) break;
    met.add(slot);
    group.done(attempt, { ...OK, failed: true, hadHeader: false });
  }
  assert.equal(met.size, 3);
});

test('fair: the least mean of heartbeats, those that were not measured first', () => {
  const { ask, buffer, group, generation, health } = rig({ kind: 'fair' }, [1, 1, 1]);
  const beat = (place: number, ms: number): void =>
    noteRoundTrip(buffer, group.snapshot()[place]!.slot, generation(place), ms);
  assert.equal(ask(), 0);
  beat(0, 20);
  assert.equal(ask(), 1, 'not measured: first');
  beat(1, 10);
  beat(2, 30);
  assert.deepEqual([ask(), ask()], [1, 1], 'all to the fastest');
  beat(1, 50);
  assert.equal(ask(), 0, 'the mean is 30 now, the other 20');
  beat(0, 40);
  assert.equal(ask(), 0, 'among equals the first');
  beat(0, 60);
  assert.equal(ask(), 1);
  health(1, true);
  assert.equal(ask(), 2);
  health(1, false);
  assert.equal(ask(), 1);
});

test('a failed heartbeat divides the weight, which comes back by one a round', () => {
  const { ask, buffer, group, generation } = rig({ kind: 'round_robin' }, [8, 8]);
  const share = (): number => Array.from({ length: 16 }, () => ask()).filter((place) => place === 0).length;
  assert.equal(share(), 8);
  const { slot } = group.snapshot()[0]!;
  weaken(buffer, slot, generation(0), 4);
  const { effective } = new Table(buffer);
  assert.equal(effective[slot], 2);
  assert.equal(share() < 8, true);
  assert.equal(effective[slot], 8, 'recovered');
  assert.equal(share(), 8);
});
