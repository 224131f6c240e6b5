/** Keys and values: against plain maps, over threads, and after a thread's death. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { BlockList } from 'node:net';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { parseIpv4, parseIpv6 } from '../../src/config/address.ts';
import type { KeyvalType } from '../../src/config/model-variables.ts';
import { address, networkBits, readNetwork } from '../../src/keyval/address.ts';
import { reclaimKeyvalZone, W } from '../../src/keyval/layout.ts';
import {
  createKeyvalZone,
  DONE,
  EXISTS,
  FULL,
  INVALID,
  KeyvalStore,
  MISSING,
  type Pair,
} from '../../src/keyval/store.ts';
import { LOCK } from '../../src/shared/lock.ts';
import { Slab } from '../../src/shared/slab.ts';

const NEVER = { at: 0, own: false };
/** Between one and two pages of pairs. */
const SMALL = 32 * 1024;

function store(type: KeyvalType = 'string', size = SMALL): KeyvalStore {
  return new KeyvalStore(createKeyvalZone(size, type, 4), 0);
}

const bytes = (maxLength: number): fc.Arbitrary<string> =>
  fc.uint8Array({ maxLength }).map((array) => Buffer.from(array).latin1Slice());
/** Few keys, so that they meet; some of them long. */
const keys = fc.oneof(
  fc.constantFrom('a', 'b', 'ab', 'abc', 'abcd', 'b\0', '\0', 'é'),
  bytes(6),
  bytes(40).map((s) => `${s}${'x'.repeat(1500)}`),
);
const values = fc.oneof(
  bytes(20),
  fc.integer({ min: 0, max: 9000 }).map((n) => 'v'.repeat(n)),
);

type Step =
  | { op: 'add' | 'change' | 'set'; key: string; value: string; lives: number; own: boolean }
  | { op: 'end'; key: string; lives: number }
  | { op: 'remove' | 'look'; key: string }
  | { op: 'clear' | 'sweep' | 'die' | 'forget' }
  | { op: 'wait'; ms: number };

const TIMEOUT_MS = 30;
/** 0: no end. */
const lives = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 50 }));
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      op: fc.constantFrom('add' as const, 'change' as const, 'set' as const),
      key: keys,
      value: values,
      lives,
      own: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('end' as const), key: keys, lives }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constantFrom('remove' as const, 'look' as const), key: keys }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 40 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constantFrom('clear' as const, 'sweep' as const, 'die' as const, 'forget' as const),
    }),
  },
);

/** The same in a map. */
class Model {
  readonly pairs = new Map<string, { value: string; end: number }>();
  now = 1_000_000;

  live(key: string): { value: string; end: number } | null {
    const pair = this.pairs.get(key);
    if (pair === undefined || (pair.end !== 0 && pair.end <= this.now)) return null;
    return pair;
  }

  all(): Pair[] {
    return [...this.pairs.entries()]
      .filter(([key]) => this.live(key) !== null)
      .map(([key, pair]) => ({ key, ...pair }))
      .sort(byKey);
  }

  /** What `get` gives, by the type. */
  match(type: KeyvalType, key: string): string | null {
    if (type === 'string') return this.live(key)?.value ?? null;
    const found = this.all().filter((pair) => key.startsWith(pair.key));
    return found.sort((a, b) => b.key.length - a.key.length)[0]?.value ?? null;
  }
}

/** Slots in use, by size. */
function usedSlots(s: KeyvalStore): [size: number, used: number][] {
  return s
    .memory()
    .slots.filter(({ used }) => used > 0)
    .map(({ size, used }) => [size, used]);
}

/** What these pairs need: 36 bytes besides key and value. */
function neededSlots(pairs: readonly Pair[]): [size: number, used: number][] {
  const counts = new Map<number, number>();
  for (const { key, value } of pairs) {
    const bytes = 36 + key.length + value.length;
    const size = 2 ** Math.ceil(Math.log2(bytes));
    if (bytes <= 2048) counts.set(size, (counts.get(size) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => a[0] - b[0]);
}

const byKey = (a: Pair, b: Pair): number => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);

function run(s: KeyvalStore, head: Int32Array, m: Model, step: Step): void {
  const { now } = m;
  switch (step.op) {
    case 'add':
    case 'change':
    case 'set': {
      const { key, value, op } = step;
      // What is not their own is the zone's timeout.
      const end = step.lives === 0 ? 0 : now + (step.own ? step.lives : TIMEOUT_MS);
      const result = s[op](key, value, { at: end, own: step.own }, now);
      if (result === FULL) return;
      const there = m.live(key) !== null;
      const wanted = key === '' ? INVALID : op === 'add' && there ? EXISTS : op === 'change' && !there ? MISSING : DONE;
      assert.equal(result, wanted, `${op} ${JSON.stringify(key.slice(0, 10))}`);
      if (result === DONE) m.pairs.set(key, { value, end });
      return;
    }
    case 'end': {
      const end = step.lives === 0 ? 0 : now + step.lives;
      const pair = m.live(step.key);
      const result = s.change(step.key, null, { at: end, own: true }, now);
      assert.equal(result, step.key === '' ? INVALID : pair === null ? MISSING : DONE);
      if (pair !== null) pair.end = end;
      return;
    }
    case 'remove':
      assert.equal(s.remove(step.key, now), m.live(step.key) === null ? MISSING : DONE);
      m.pairs.delete(step.key);
      return;
    case 'look':
      assert.equal(s.exact(step.key, now), m.live(step.key)?.value ?? null);
      assert.equal(s.get(`${step.key}yz`, now), m.match(s.type, `${step.key}yz`));
      return;
    case 'wait':
      m.now += step.ms;
      return;
    case 'sweep':
      return void [...s.sweep(now)];
    case 'forget':
      return s.forgetOrder();
    case 'die':
      // As if a thread had died holding the lock: everything but the chains is made anew.
      head[LOCK.indexStale] = 1;
      for (const word of [W.count, W.timedOldest, W.timedNewest, W.ownOldest, W.ownNewest]) head[word] = 77;
      return;
    case 'clear':
      s.clear();
      m.pairs.clear();
  }
}

for (const type of ['string', 'prefix'] as const) {
  test(`${type}: as a map with ends would have it`, () => {
    fc.assert(
      fc.property(fc.array(steps, { maxLength: 150, size: 'max' }), (all) => {
        const zone = createKeyvalZone(64 * 1024, type, 4);
        const s = new KeyvalStore(zone, 0);
        const head = new Int32Array(zone);
        const m = new Model();
        for (const step of all) run(s, head, m, step);
        assert.deepEqual(s.pairs(m.now).sort(byKey), m.all());
        for (const { key } of m.all()) assert.equal(s.get(key, m.now), m.match(type, key));
        assert.equal(s.isEmpty(m.now), m.all().length === 0);
        assert.equal(s.count, m.all().length, 'those that have ended are given back');
        assert.deepEqual(usedSlots(s), neededSlots(m.all()), 'no more memory is used than that needs');
        s.clear();
        assert.equal(s.memory().used, 0, 'all memory comes back');
      }),
    );
  });
}

test('the number of pairs and the memory come back when each ends', () => {
  const s = store('string', 1024 * 1024);
  const first = s.memory().free;
  for (let i = 0; i < 100; i++) s.set(`key ${i}`, 'x'.repeat(i * 10), { at: 1000 + i, own: i % 2 === 0 }, 0);
  assert.equal(s.count, 100);
  void [...s.sweep(1050)];
  assert.equal(s.count, 49, 'up to and with the one that ends now');
  void [...s.sweep(2000)];
  assert.equal(s.count, 0);
  assert.equal(s.memory().free, first);
});

test('a full zone refuses, keeps what it has, takes another value of the same room, and makes room of what has ended', () => {
  const s = store('string', SMALL);
  let n = 0;
  while (s.add(`key ${n}`, 'value', n < 3 ? { at: 500, own: n === 0 } : NEVER, 0) === DONE) n++;
  assert.ok(n >= 7 * 64, `${n} pairs in eight pages`);
  assert.equal(s.add('one more', '', NEVER, 0), FULL);
  assert.equal(s.change('key 7', 'x'.repeat(5000), NEVER, 0), FULL);
  assert.equal(s.exact('key 7', 0), 'value');
  assert.equal(s.change('key 7', 'other', NEVER, 0), DONE);
  assert.equal(s.exact('key 7', 0), 'other');
  assert.equal(s.count, n);
  // Two with the zone's timeout have ended by now, which each change finds; and one with an end of its own, which is found
  // when all is searched: once a second.
  for (const key of ['a', 'b']) assert.equal(s.add(key, '', NEVER, 500), DONE);
  assert.equal(s.add('c', '', NEVER, 500), FULL);
  assert.equal(s.add('c', '', NEVER, 1000), DONE);
  assert.equal(s.add('d', '', NEVER, 1000), FULL);
  assert.equal(s.count, n);
  const slots = s.memory().slots.find(({ size }) => size === 64)!;
  assert.equal(slots.used, n);
  assert.equal(slots.free, 0);
  assert.ok(slots.fails >= 3);
});

test('prefix: the longest of those the key begins with, and those that have ended are none', () => {
  const s = store('prefix');
  s.add('/', 'root', NEVER, 0);
  s.add('/api/', 'api', NEVER, 0);
  s.add('/api/v2', 'v2', { at: 10, own: true }, 0);
  s.add(`/${'x'.repeat(2000)}`, 'long', NEVER, 0);
  assert.equal(s.get('/api/v2/users', 9), 'v2');
  assert.equal(s.get('/api/v2/users', 10), 'api');
  assert.equal(s.get('/api', 0), 'root');
  assert.equal(s.get('api', 0), null);
  assert.equal(s.get('', 0), null);
  assert.equal(s.get(`/${'x'.repeat(2001)}`, 0), 'long');
  assert.equal(s.get(`/${'x'.repeat(1999)}`, 0), 'root');
  assert.equal(s.exact('/api/v2/users', 0), null);
});

// --------------------------------------------------------------------------------------------- addresses

const v4 = fc.ipV4();
const v6 = fc.ipV6();

test('addresses are read as the configuration reads them', () => {
  const noise = fc.oneof(v4, v6, fc.string({ unit: fc.constantFrom(...'0123456789abcF:./'), maxLength: 24 }));
  fc.assert(
    fc.property(noise, (text) => {
      // The configuration takes any number of digits, and has a mark of its own.
      if (/\d{4}\./.test(text) || /\.\d{4}/.test(text) || text.includes('255.255.255.255') || text.includes('/'))
        return;
      const plain = parseIpv4(text) ?? parseIpv6(text);
      const width = readNetwork(text);
      if (plain === null) return assert.equal(width, 0, text);
      const mapped = plain.length === 16 && plain.slice(0, 12).join() === '0,0,0,0,0,0,0,0,0,0,255,255';
      assert.deepEqual(Array.from(address.subarray(0, width)), mapped ? plain.slice(12) : plain, text);
      assert.equal(networkBits(), width * 8);
    }),
    { numRuns: 2000 },
  );
  for (const text of [
    '',
    ':',
    '::1::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '::12345',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '1.2.3.4/33',
    '1.2.3.4/',
    '::/129',
    '1.2.3.4/a',
    ' 1.2.3.4',
    '[::1]',
    '1.2.3.4:80',
    ':1:2',
    '1:',
    '1:2:',
  ])
    assert.equal(readNetwork(text), 0, text);
});

test('ip: the smallest network that holds the address', () => {
  const networks = fc.oneof(
    fc.tuple(fc.constantFrom('10.0.0.0', '10.1.2.3', '10.1.255.255', '192.0.2.1'), fc.integer({ min: 0, max: 32 })),
    fc.tuple(fc.constantFrom('2001:db8::', '2001:db8::1', '2001:db8:ffff::', '::1'), fc.integer({ min: 0, max: 128 })),
  );
  const asked = fc.oneof(
    fc.constantFrom(
      '10.0.0.1',
      '10.1.2.3',
      '10.1.2.4',
      '192.0.2.1',
      '::ffff:10.1.2.3',
      '2001:db8::1',
      '2001:db8::2',
      '::1',
    ),
    v4,
    v6,
  );
  fc.assert(
    fc.property(fc.array(networks, { maxLength: 12 }), fc.array(asked, { maxLength: 8 }), (list, questions) => {
      const s = store('ip');
      const lists: { name: string; bits: number; list: BlockList }[] = [];
      for (const [host, bits] of list) {
        const name = `${host}/${bits}`;
        const family = host.includes(':') ? 'ipv6' : 'ipv4';
        const block = new BlockList();
        block.addSubnet(host, bits, family);
        // The same network by another address is the same key.
        const result = s.add(name, name, NEVER, 0);
        if (result === DONE) lists.push({ name, bits, list: block });
        else assert.equal(result, EXISTS);
      }
      for (const question of questions) {
        const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(question)?.[1];
        const host = mapped ?? question;
        const family = host.includes(':') ? 'ipv6' : 'ipv4';
        const fits = lists.filter(
          (entry) => entry.name.includes(':') === (family === 'ipv6') && entry.list.check(host, family),
        );
        const best = fits.sort((a, b) => b.bits - a.bits)[0]?.name ?? null;
        assert.equal(s.get(question, 0), best, question);
      }
      assert.equal(s.pairs(0).length, lists.length);
    }),
  );
});

test('ip: keys are addresses and networks, and a network is found in a larger one', () => {
  const s = store('ip');
  assert.equal(s.add('example.com', '1', NEVER, 0), INVALID);
  assert.equal(s.add('10.0.0.0/8', 'ten', NEVER, 0), DONE);
  assert.equal(s.add('10.9.9.9/8', 'ten', NEVER, 0), EXISTS, 'the same network');
  assert.equal(s.exact('10.9.9.9/8', 0), 'ten');
  assert.equal(s.exact('10.9.9.9', 0), null);
  assert.equal(s.get('10.1.0.0/16', 0), 'ten');
  assert.equal(s.get('10.0.0.0/7', 0), null);
  assert.equal(s.get('', 0), null);
  assert.equal(s.get('unix:', 0), null);
  assert.deepEqual(s.pairs(0), [{ key: '10.0.0.0/8', value: 'ten', end: 0 }]);
  assert.equal(s.change('10.0.0.1/8', 'x', NEVER, 0), DONE);
  assert.deepEqual(s.pairs(0), [{ key: '10.0.0.1/8', value: 'x', end: 0 }]);
});

// --------------------------------------------------------------------------------------------- threads

test('a death in the midst of a change leaves the pair as it was or as it is to be', () => {
  const moments: [what: string, object: object, method: string][] = [
    ['memory is given back', Slab.prototype, 'give'],
    ['memory is taken', Slab.prototype, 'take'],
    ['bytes are written', Buffer.prototype, 'latin1Write'],
  ];
  const changes: [what: string, change: (s: KeyvalStore) => void][] = [
    ['another value', (s) => s.set('b', 'another', { at: 9, own: true }, 0)],
    ['a larger value', (s) => s.set('b', 'x'.repeat(3000), { at: 9, own: false }, 0)],
    ['a new pair', (s) => s.add('d', 'new', NEVER, 0)],
    ['one pair less', (s) => s.remove('b', 0)],
  ];
  for (const [when, object, method] of moments) {
    for (const [what, change] of changes) {
      const zone = createKeyvalZone(SMALL, 'string', 4);
      const s = new KeyvalStore(zone, 0);
      const other = new KeyvalStore(createKeyvalZone(SMALL, 'string', 4), 0);
      for (const one of [s, other])
        for (const key of ['a', 'b', 'c']) one.set(key, `value of ${key}`, { at: 5, own: false }, 0);
      const before = s.pairs(0).sort(byKey);
      change(other);
      const restore = Object.getOwnPropertyDescriptor(object, method)!;
      Object.defineProperty(object, method, {
        ...restore,
        value: () => {
          throw new Error('dead');
        },
      });
      try {
        change(s);
      } catch {
        // The thread has died.
      } finally {
        Object.defineProperty(object, method, restore);
      }
      // Some changes hold the lock still; of those that do not the lock is taken to have been held.
      reclaimKeyvalZone(zone, 0);
      new Int32Array(zone)[LOCK.indexStale] = 1;
      const after = s.pairs(0).sort(byKey);
      const shown = `${what}, while ${when}`;
      assert.ok(
        [before, other.pairs(0).sort(byKey)].some((pairs) => isDeepStrictEqual(pairs, after)),
        shown,
      );
      assert.equal(s.count, after.length, shown);
      assert.deepEqual(usedSlots(s), neededSlots(after), shown);
    }
  }
});

const THREAD = `
  const { workerData, parentPort } = require('node:worker_threads');
  import(workerData.store).then(({ KeyvalStore }) => {
    const store = new KeyvalStore(workerData.zone, workerData.id);
    let torn = 0;
    for (let i = 0; i < workerData.turns; i++) {
      // These change all the time, and are always there.
      const kept = 'kept ' + i % 5;
      if (workerData.id === 0) store.set(kept, String(i % 10).repeat(1 + i % 90), { at: 0, own: false }, 0);
      else if (store.get(kept, 0) === null) torn++;
      const key = 'key ' + (i * 7 + workerData.id) % 50;
      if (i % 3 === workerData.id % 3) store.set(key, String(i % 10).repeat(1 + i % 90), { at: 0, own: false }, 0);
      else if (i % 11 === 0) store.remove(key, 0);
      else {
        const value = store.get(key, 0);
        if (value !== null && value !== value[0].repeat(value.length)) torn++;
      }
    }
    parentPort.postMessage(torn);
  });
`;

test('look-ups do without the lock, unless a change is under way', () => {
  for (const type of ['string', 'prefix', 'ip'] as const) {
    const zone = createKeyvalZone(SMALL, type, 4);
    const s = new KeyvalStore(zone, 0);
    s.add('10.0.0.1', 'x', NEVER, 0);
    const head = new Int32Array(zone);
    const acquisitions = (): number => head[LOCK.lockSeq]!;
    const before = acquisitions();
    assert.equal(s.get('10.0.0.1', 0), 'x');
    assert.equal(s.get('10.0.0.2', 0), null);
    assert.equal(s.get('', 0), null);
    assert.equal(acquisitions(), before);
    head[W.mark]! |= 1;
    assert.equal(s.get('10.0.0.1', 0), 'x');
    assert.equal(acquisitions(), before + 1);
  }
});

test('threads see whole values, and none is lost', async () => {
  const zone = createKeyvalZone(SMALL, 'string', 4);
  const main = new KeyvalStore(zone, -1);
  for (let i = 0; i < 5; i++) main.set(`kept ${i}`, '0', NEVER, 0);
  const threads = [0, 1, 2].map(
    (id) =>
      new Worker(THREAD, {
        eval: true,
        workerData: { zone, id, turns: 60_000, store: new URL('../../src/keyval/store.ts', import.meta.url).href },
      }),
  );
  const torn = await Promise.all(threads.map(async (thread) => ((await once(thread, 'message')) as [number])[0]));
  assert.deepEqual(torn, [0, 0, 0]);
  await Promise.all(threads.map((thread) => thread.terminate()));
  const s = main;
  const before = s.pairs(0).sort(byKey);
  assert.equal(before.length, s.count);
  // What is made anew of the chains is what was there.
  new Int32Array(zone)[LOCK.indexStale] = 1;
  const slots = s.memory().slots;
  assert.deepEqual(s.pairs(0).sort(byKey), before);
  assert.deepEqual(s.memory().slots, slots);
});

test('a lock whose owner has died is taken over', () => {
  const zone = createKeyvalZone(SMALL, 'string', 4);
  const dead = new KeyvalStore(zone, 2);
  dead.set('a', 'b', NEVER, 0);
  const head = new Int32Array(zone);
  head[LOCK.lock] = 2 + 2;
  head[W.mark]! |= 1;
  reclaimKeyvalZone(zone, 2);
  assert.equal(head[LOCK.lock], 0, 'open before a successor has the same row');
  const s = new KeyvalStore(zone, 0);
  assert.equal(s.get('a', 0), 'b');
  assert.equal(head[W.mark]! & 1, 0, 'the change that nobody ends is over');
  assert.equal(s.set('c', 'd', NEVER, 0), DONE);
});
