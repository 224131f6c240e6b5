/** The keys zone: uses, updates, eviction, and that all threads see the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { capacityOf, createKeysZone, KeysMemory } from '../../src/cache/layout.ts';
import { FRESH, KeysZone, KNOWN, reclaimKeysZone, reloadKeysZone, SCARCE } from '../../src/cache/keys-zone.ts';
import { LOCK } from '../../src/shared/lock.ts';
import { key } from './support.ts';

const MB = 1 << 20;

test('a key is known once it has a file, or was asked for often enough', () => {
  const zone = new KeysZone(createKeysZone(MB), 0);
  assert.equal(zone.use(key('a'), 1, 2), FRESH);
  assert.equal(zone.use(key('a'), 1, 3), SCARCE);
  assert.equal(zone.use(key('a'), 1, 3), KNOWN);
  assert.equal(zone.use(key('b'), 1, 9), FRESH);
  const version = zone.publish(key('b'), 0, 4, 1);
  assert.equal(zone.use(key('b'), 1, 9), KNOWN);
  assert.equal(zone.version, version);
  assert.equal(zone.blocks, 4);
});

test('another file is another version, for every thread at once', () => {
  const memory = createKeysZone(MB);
  const [one, two] = [new KeysZone(memory, 0), new KeysZone(memory, 1)];
  one.use(key('a'), 1, 1);
  const first = one.publish(key('a'), 0, 1, 1);
  two.use(key('a'), 1, 1);
  const { node } = two;
  assert.ok(two.current(node, first));
  const second = one.publish(key('a'), 0, 2, 1);
  assert.ok(!two.current(node, first));
  assert.ok(two.current(node, second));
  assert.equal(two.blocks, 2);
  one.forget(key('a'), first);
  assert.ok(two.current(node, second), 'only the version that was meant is forgotten');
  one.forget(key('a'), second);
  assert.ok(!two.current(node, second));
  assert.equal(two.blocks, 0);
});

test('one request updates a key, others wait until it gives the right back or its time is over', () => {
  const memory = createKeysZone(MB);
  const [one, two] = [new KeysZone(memory, 0), new KeysZone(memory, 1)];
  const ticket = one.claim(key('a'), 1000, 500);
  assert.notEqual(ticket, 0);
  assert.equal(two.claim(key('a'), 1499, 500), 0);
  assert.ok(two.claimed(key('a'), 1499));
  assert.ok(!two.claimed(key('a'), 1500));
  const second = two.claim(key('a'), 1500, 500);
  assert.notEqual(second, 0);
  one.release(key('a'), ticket, false);
  assert.ok(two.claimed(key('a'), 1501), 'a ticket that was lost releases nothing');
  two.publish(key('a'), second, 1, 1);
  assert.ok(!one.claimed(key('a'), 1501));
});

test('a key without a file is forgotten with the request that failed to get one, unless its uses count', () => {
  const zone = new KeysZone(createKeysZone(MB), 0);
  zone.use(key('a'), 1, 1);
  zone.release(key('a'), 0, false);
  assert.equal(zone.size, 0);
  zone.use(key('a'), 1, 2);
  zone.release(key('a'), 0, true);
  assert.equal(zone.size, 1);
});

test('a remembered error stands until its time is over', () => {
  const zone = new KeysZone(createKeysZone(MB), 0);
  zone.use(key('a'), 10, 1);
  zone.fail(key('a'), 0, 502, 20, 10);
  assert.equal(zone.use(key('a'), 20, 1), KNOWN);
  assert.equal(zone.error, 502);
  assert.equal(zone.use(key('a'), 21, 1), FRESH);
  assert.equal(zone.error, 0);
});

test('a full zone gives up what was not used for longest, and says whose file has to go', () => {
  const evicted: string[] = [];
  const size = 8192 + 128 * 4;
  const zone = new KeysZone(createKeysZone(size), 0, (k) => evicted.push(k.toString('hex')));
  assert.equal(zone.capacity, capacityOf(size));
  for (const name of ['a', 'b', 'c', 'd']) {
    zone.use(key(name), 1, 1);
    zone.publish(key(name), 0, 1, 1);
  }
  assert.equal(zone.watermark, Infinity);
  zone.use(key('a'), 2, 1);
  zone.claim(key('b'), 1, -1);
  zone.use(key('e'), 2, 1);
  assert.deepEqual(evicted, [key('c').toString('hex')], 'b is being updated');
  assert.equal(zone.size, 4);
  assert.equal(zone.watermark, 4);
});

test('the manager takes the oldest first, and none that was used since', () => {
  const zone = new KeysZone(createKeysZone(MB), 0);
  for (const [i, name] of ['a', 'b', 'c'].entries()) zone.use(key(name), 10 + i, 1);
  zone.publish(key('b'), 0, 1, 11);
  assert.equal(zone.oldestUse, 10);
  assert.equal(zone.evict(9), null);
  assert.deepEqual(zone.evict(11), { key: key('a'), file: false });
  assert.deepEqual(zone.evict(11), { key: key('b'), file: true });
  assert.equal(zone.evict(11), null);
  assert.equal(zone.oldestUse, 12);
});

test('a worker that died keeps nobody waiting', () => {
  const memory = createKeysZone(MB);
  const [one, two] = [new KeysZone(memory, 0), new KeysZone(memory, 1)];
  one.claim(key('a'), 1, -1);
  two.claim(key('b'), 1, -1);
  reclaimKeysZone(memory, 0);
  assert.ok(!two.claimed(key('a'), 2));
  assert.ok(two.claimed(key('b'), 2));
});

test('whoever holds the lock and dies leaves a zone that can be used', () => {
  const memory = createKeysZone(MB);
  const zone = new KeysZone(memory, 0);
  for (const name of ['a', 'b', 'c']) {
    zone.use(key(name), 1, 1);
    zone.publish(key(name), 0, 3, 1);
  }
  const m = new KeysMemory(memory);
  m.chains.fill(0);
  m.newer.fill(0);
  m.total[0] = -7;
  m.head[LOCK.indexStale] = 1;
  assert.equal(zone.use(key('b'), 1, 1), KNOWN);
  assert.equal(zone.size, 3);
  assert.equal(zone.blocks, 9);
  assert.equal(zone.use(key('d'), 1, 1), FRESH);
});

test('a reload keeps a zone of the same name and size', () => {
  const before = { name: 'one', size: MB };
  const old = createKeysZone(MB);
  assert.equal(reloadKeysZone(old, before, { name: 'one', size: MB }), old);
  assert.notEqual(reloadKeysZone(old, before, { name: 'one', size: 2 * MB }), old);
  assert.notEqual(reloadKeysZone(null, null, before), old);
});

test('whatever is done, the zone finds what it was told and sums up what it has', () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  const name = fc.constantFrom(...names);
  const step = fc.oneof(
    fc.record({ op: fc.constant('use' as const), name }),
    fc.record({ op: fc.constant('publish' as const), name, blocks: fc.nat(9) }),
    fc.record({ op: fc.constant('remove' as const), name }),
    fc.record({ op: fc.constant('forget' as const), name }),
    fc.record({ op: fc.constant('evict' as const), name }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const zone = new KeysZone(createKeysZone(8192 + 128 * names.length), 0);
      const model = new Map<string, number>();
      let now = 0;
      for (const s of steps) {
        now++;
        const id = key(s.name);
        if (s.op === 'use') {
          assert.equal(zone.use(id, now, 1) === FRESH, !model.has(s.name));
          const blocks = model.get(s.name) ?? -1;
          model.delete(s.name);
          model.set(s.name, blocks);
        } else if (s.op === 'publish') {
          zone.publish(id, 0, s.blocks, now);
          model.set(s.name, s.blocks);
        } else if (s.op === 'remove') {
          assert.equal(zone.remove(id), (model.get(s.name) ?? -1) >= 0);
          model.delete(s.name);
        } else if (s.op === 'forget') {
          zone.forget(id, 0);
          if (model.has(s.name)) model.set(s.name, -1);
        } else {
          const oldest = [...model.keys()][0];
          const evicted = zone.evict(now);
          assert.equal(evicted?.key.toString('hex'), oldest === undefined ? undefined : key(oldest).toString('hex'));
          if (oldest !== undefined) model.delete(oldest);
        }
        assert.equal(zone.size, model.size);
        assert.equal(
          zone.blocks,
          [...model.values()].reduce((sum, blocks) => sum + Math.max(0, blocks), 0),
        );
      }
    }),
    { numRuns: 200 },
  );
});
