/** `geo` and `split_clients`: tables against a plain search, and murmur against published values. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseIpv4, parseIpv6 } from '../../src/config/address.ts';
import { NetworkTable, RangeTable } from '../../src/config/geo-table.ts';
import type { GeoConfig, GeoTable } from '../../src/config/model-variables.ts';
import { compileGeo } from '../../src/variables/geo.ts';
import { compileSplit, murmur2 } from '../../src/variables/split-clients.ts';
import { constantValue } from '../../src/variables/value.ts';

const EMPTY: GeoTable = { starts: [0, 0, 0, 0], values: [0] };

/** A function from an address as text to the index of its value. */
function finder(tables: { v4?: GeoTable; v6?: GeoTable }): (address: string) => number {
  const texts = Array.from({ length: 50 }, (_, i) => String(i));
  const config: GeoConfig = {
    variable: 'x',
    source: 'address',
    volatile: false,
    proxies: [],
    proxyRecursive: false,
    texts,
    v4: tables.v4 ?? EMPTY,
    v6: tables.v6 ?? EMPTY,
  };
  let address: string | null = null;
  const getter = compileGeo(config, {
    lookup: () => () => address,
    clientAddress: () => new Uint8Array(0),
    forwardedAddress: (_c, from) => from,
  });
  return (text) => {
    address = text;
    return Number(getter({ vars: null, captures: null }));
  };
}

const ipv4 = fc.integer({ min: 0, max: 0xffffffff }).map((n) => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255]);
/** Addresses that are close to each other, so that networks nest and touch. */
const near = fc.tuple(fc.constant(10), fc.integer({ min: 0, max: 3 }), fc.constantFrom(0, 255), fc.nat(255));
const mask = (bytes: readonly number[], bits: number): number[] =>
  bytes.map((byte, i) => byte & ((0xff << (8 - Math.min(8, Math.max(0, bits - i * 8)))) & 255));

test('networks: the longest prefix wins', () => {
  const networks = fc.array(fc.tuple(fc.oneof(ipv4, near), fc.integer({ min: 0, max: 32 })), { maxLength: 30 });
  fc.assert(
    fc.property(networks, fc.array(fc.oneof(ipv4, near), { minLength: 1, maxLength: 30 }), (list, addresses) => {
      const table = new NetworkTable(32);
      list.forEach(([bytes, bits], i) => table.add(mask(bytes, bits), bits, i + 1));
      const find = finder({ v4: table.finish(0) });
      // Borders of networks, too.
      for (const address of [...addresses, ...list.map(([bytes, bits]) => mask(bytes, bits))]) {
        if (parseIpv4(address.join('.')) === null) continue;
        let [best, expected] = [-1, 0];
        list.forEach(([bytes, bits], i) => {
          if (bits >= best && mask(address, bits).join('.') === mask(bytes, bits).join('.'))
            [best, expected] = [bits, i + 1];
        });
        assert.equal(find(address.join('.')), expected);
      }
    }),
  );
});

test('networks of IPv6, mapped addresses, what is no address', () => {
  const v6 = new NetworkTable(128);
  const add = (text: string, bits: number, value: number): unknown => v6.add(parseIpv6(text) as number[], bits, value);
  add('2001:db8::', 32, 1);
  add('2001:db8:0:1::', 64, 2);
  add('2001:db8:0:1::5', 128, 3);
  add('::1', 128, 4);
  add('8000::', 1, 5);
  const v4 = new NetworkTable(32);
  v4.add([127, 0, 0, 0], 8, 6);
  v4.add([255, 255, 255, 255], 32, 7);
  const find = finder({ v4: v4.finish(0), v6: v6.finish(9) });
  const cases: Record<string, number> = {
    '2001:db8::1': 1,
    '2001:db8:0:1::4': 2,
    '2001:db8:0:1::5': 3,
    '2001:db8:0:1::6': 2,
    '2001:db8:0:2::': 1,
    '2001:db9::': 9,
    '::1': 4,
    '::2': 9,
    'ffff::': 5,
    '::ffff:127.0.0.1': 6,
    '127.255.255.255': 6,
    '128.0.0.0': 0,
    nonsense: 7,
    'unix:': 7,
  };
  for (const [address, value] of Object.entries(cases)) assert.equal(find(address), value, address);
});

test('a network that is deleted is gone, others with the same beginning stay', () => {
  const table = new NetworkTable(32);
  table.add([10, 0, 0, 0], 8, 1);
  table.add([10, 0, 0, 0], 16, 2);
  assert.equal(table.add([10, 0, 0, 0], 16, 3), 2);
  assert.equal(table.delete([10, 0, 0, 0], 8), true);
  assert.equal(table.delete([10, 0, 0, 0], 8), false);
  const find = finder({ v4: table.finish(0) });
  assert.deepEqual([find('10.0.0.1'), find('10.1.0.1')], [3, 0]);
});

test('ranges: later ones within earlier ones, over blocks; against a plain list', () => {
  const range = fc.tuple(fc.integer({ min: 0, max: 200_000 }), fc.integer({ min: 0, max: 100_000 }));
  fc.assert(
    fc.property(fc.array(range, { maxLength: 12 }), (list) => {
      const table = new RangeTable();
      const plain = new Map<number, number>();
      list.forEach(([start, length], i) => {
        const end = start + length;
        const outcome = table.add(start, end, i + 1);
        if (outcome.kind !== 'overlaps') {
          for (let n = start; n <= end; n += 997) plain.set(n, i + 1);
          plain.set(end, i + 1);
          return;
        }
        // nginx gives up here; what it has changed does not count any more.
        for (let n = start; n <= end; n++) plain.delete(n);
      });
      const find = finder({ v4: table.finish(0) });
      const text = (n: number): string => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255].join('.');
      let checked = 0;
      for (const [n, value] of plain) {
        const covering = list.map(([start, length], i) => ({ start, end: start + length, i: i + 1 }));
        const overwritten = covering.some(({ start, end, i }) => i > value && start <= n && n <= end);
        if (overwritten) continue;
        assert.equal(find(text(n)), value);
        checked++;
      }
      assert.ok(checked >= 0);
    }),
    { numRuns: 50 },
  );
  const table = new RangeTable();
  assert.deepEqual(table.add(5, 10, 1), { kind: 'added' });
  assert.deepEqual(table.add(5, 10, 2), { kind: 'replaced', value: 1 });
  assert.deepEqual(table.add(8, 12, 3), { kind: 'overlaps', start: 5, end: 10 });
  assert.deepEqual(table.add(7, 8, 3), { kind: 'added' });
  assert.equal(table.delete(5, 6), true);
  assert.equal(table.delete(5, 6), false);
  assert.deepEqual(table.finish(0), { starts: [0, 7, 9, 11], values: [0, 3, 2, 0] });
  assert.equal(new RangeTable().add(0, 0xffffffff, 1).kind, 'added');
});

test('murmur2', () => {
  const known: Record<string, number> = {
    '': 0,
    a: 2456313694,
    aa: 392008230,
    aaa: 576080069,
    aaaa: 2571027692,
    '127.0.0.1': 3054706065,
    '\xff\xfe\xfd\xfc\xfb': 4209270460,
    'hello world!': 1685739664,
  };
  for (const [text, hash] of Object.entries(known)) assert.equal(murmur2(text), hash, text);
});

test('split_clients: shares of hashes', () => {
  const getter = compileSplit(
    {
      source: 'x',
      variable: 'v',
      parts: [
        { below: Math.floor(0xffffffff / 10), value: 'tenth' },
        { below: 0, value: 'rest' },
      ],
    },
    () => ({ constant: null, get: (c) => c.vars![0]! }),
  );
  let tenth = 0;
  for (let i = 0; i < 20_000; i++) if (getter({ vars: [`client ${i}`], captures: null }) === 'tenth') tenth++;
  assert.ok(tenth > 1800 && tenth < 2200, String(tenth));
  const none = compileSplit({ source: '', variable: 'v', parts: [] }, (text) => constantValue(text));
  assert.equal(none({ vars: null, captures: null }), '');
});
