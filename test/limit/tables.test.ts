/** Zones of limit_req and limit_conn: against plain references, over threads, and after a thread's death. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import type { LimitZoneConfig } from '../../src/config/model-access.ts';
import { ConnectionTable, REFUSED, reclaimConnections } from '../../src/limit/connections.ts';
import { createKeyTable, KeyTable, NIL } from '../../src/limit/key-table.ts';
import { EXCEEDED, RateTable, WITHIN } from '../../src/limit/rate.ts';
import { makeLimitZones } from '../../src/limit/zones.ts';
import { LOCK } from '../../src/shared/lock.ts';

const rates = (capacity: number, rate: number): RateTable =>
  new RateTable(createKeyTable(capacity, { planes: false }, 4), 0, rate);
const connections = (capacity: number): SharedArrayBuffer => createKeyTable(capacity, { planes: true }, 4);

test('keys: found again, the least used makes room', () => {
  const longKeys = fc.string({ unit: 'binary', maxLength: 40 }).map((s) => Buffer.from(s).latin1Slice());
  fc.assert(
    fc.property(fc.array(longKeys, { maxLength: 60 }), fc.integer({ min: 1, max: 8 }), (keys, capacity) => {
      const t = new KeyTable(createKeyTable(capacity, { planes: false }, 4), 0);
      // Newest last.
      const reference: string[] = [];
      for (const key of keys) {
        const at = reference.indexOf(key);
        const node = t.find(key);
        assert.equal(node !== NIL, at >= 0);
        if (at >= 0) {
          t.touch(node);
          reference.splice(at, 1);
        } else {
          t.insert(true);
          if (reference.length === capacity) reference.shift();
        }
        reference.push(key);
        assert.equal(t.used, reference.length);
      }
      // What a dead thread left half changed is built anew.
      t.head[LOCK.indexStale] = 1;
      t.enter();
      t.leave();
      for (const key of reference) assert.notEqual(t.find(key), NIL);
      assert.equal(t.used, reference.length);
    }),
  );
});

test('keys that differ in length only are different', () => {
  const t = new KeyTable(createKeyTable(8, { planes: false }, 4), 0);
  for (const key of ['a', 'a\0', 'a\0\0', '\0'.repeat(16), '\0'.repeat(15), '\0'.repeat(17)]) {
    assert.equal(t.find(key), NIL);
    t.insert(false);
  }
  assert.equal(t.used, 6);
});

/** nginx's arithmetic, by hand: excess after a request, or refused. */
class PlainBucket {
  excess = 0;
  last = -1;

  request(now: number, rate: number, burst: number): number | null {
    if (this.last < 0) {
      this.last = now;
      return 0;
    }
    const ms = now - this.last;
    const excess = Math.max(0, this.excess - Math.floor((rate * ms) / 1000) + 1000);
    if (excess > burst) return null;
    this.excess = excess;
    if (ms > 0) this.last = now;
    return excess;
  }
}

test('rates: the leaky bucket of nginx, request by request', () => {
  const steps = fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1, maxLength: 80 });
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 20_000 }), fc.integer({ min: 0, max: 10 }), (waits, rate, burst) => {
      const table = rates(4, rate);
      const plain = new PlainBucket();
      let now = 1_000_000;
      for (const wait of waits) {
        now += wait;
        const expected = plain.request(now, rate, burst * 1000);
        assert.equal(table.account('key', burst * 1000, now), expected === null ? EXCEEDED : WITHIN);
        if (expected !== null) assert.equal(table.excess, expected);
      }
    }),
  );
});

test('rates: looking does not count, a clock that steps back does no harm, delays', () => {
  const table = rates(2, 1000);
  for (let i = 0; i < 5; i++) assert.equal(table.test('a', 0, 1000), WITHIN);
  assert.equal(table.account('a', 0, 1000), WITHIN);
  assert.equal(table.test('a', 0, 1000), EXCEEDED);
  assert.equal(table.account('a', 2000, 500), WITHIN);
  assert.equal(table.excess, 1000);
  assert.equal(table.account('a', 2000, 1000 - 120_000), WITHIN);
  assert.equal(table.excess, 1999, 'a long way back is taken for a millisecond');
  assert.equal(table.waitMs(1999, 0), 1999);
  assert.equal(table.waitMs(1999, 1000), 999);
  assert.equal(table.waitMs(1999, 2000), 0);
  // A full table drops the key that was not used for longest.
  table.account('b', 0, 2000);
  table.account('c', 0, 2000);
  assert.equal(table.used, 2);
  assert.equal(table.test('a', 0, 2000), WITHIN);
});

test('connections: exact, freed with the last one, refused when the table is full', () => {
  const table = new ConnectionTable(connections(2), 0);
  const one = table.take('a', 2);
  const two = table.take('a', 2);
  assert.equal(table.take('a', 2), REFUSED);
  assert.equal(table.take('a', 3) === REFUSED, false);
  table.release(one);
  table.release(two);
  table.release(one);
  assert.equal(table.count('a'), 0);
  assert.equal(table.used, 0);
  assert.notEqual(table.take('a', 1), REFUSED);
  assert.notEqual(table.take('b', 1), REFUSED);
  assert.equal(table.take('c', 1), REFUSED);
});

test('a dead worker’s connections are given back, those of others stay', () => {
  const buffer = connections(8);
  const [first, second] = [new ConnectionTable(buffer, 0), new ConnectionTable(buffer, 1)];
  first.take('both', 9);
  second.take('both', 9);
  first.take('mine', 9);
  // It died with the lock held.
  new Int32Array(buffer)[LOCK.lock] = 2;
  reclaimConnections(buffer, 0);
  assert.equal(second.count('both'), 1);
  assert.equal(second.count('mine'), 0);
  assert.equal(second.used, 1);
});

const THREAD = `
  const { workerData, parentPort } = require('node:worker_threads');
  Promise.all([import(workerData.connections), import(workerData.rate)]).then(([c, r]) => {
    const table = new c.ConnectionTable(workerData.conn, workerData.id);
    const rate = new r.RateTable(workerData.req, workerData.id, 1);
    let most = 0, passed = 0;
    for (let i = 0; i < 20000; i++) {
      const node = table.take('key' + (i % 3), 3);
      if (node >= 0) { most = Math.max(most, table.count('key' + (i % 3))); table.release(node); }
      if (rate.account('one', 99000, 5) === 0) passed++;
    }
    parentPort.postMessage({ most, passed });
  });
`;

test('threads at once: no limit is passed, nothing is lost', async () => {
  const conn = connections(8);
  const req = createKeyTable(8, { planes: false }, 4);
  const url = (name: string): string => new URL(`../../src/limit/${name}.ts`, import.meta.url).href;
  const results = await Promise.all(
    [0, 1, 2].map(async (id) => {
      const workerData = { conn, req, id, connections: url('connections'), rate: url('rate') };
      const worker = new Worker(THREAD, { eval: true, workerData });
      return ((await once(worker, 'message')) as [{ most: number; passed: number }])[0];
    }),
  );
  assert.ok(results.every(({ most }) => most <= 3));
  // One that begins, and 99 above the rate.
  assert.equal(
    results.reduce((sum, { passed }) => sum + passed, 0),
    100,
  );
  assert.equal(new ConnectionTable(conn, 0).used, 0);
});

test('zones go on over a reload while name, kind, size and key stay', () => {
  const zone = (change: Partial<LimitZoneConfig> = {}): LimitZoneConfig => ({
    kind: 'req',
    name: 'one',
    size: 65536,
    key: '$binary_remote_addr',
    rate: 1000,
    ...change,
  });
  const zones = [zone()];
  const memory = makeLimitZones(zones, null, 4);
  const after = (change: Partial<LimitZoneConfig>): boolean =>
    makeLimitZones([zone(change)], { zones, memory }, 4)['one'] === memory['one'];
  assert.equal(after({}), true);
  assert.equal(after({ rate: 5 }), true);
  assert.equal(after({ size: 131072 }), false);
  assert.equal(after({ key: '$uri' }), false);
  assert.equal(after({ kind: 'conn' }), false);
});
