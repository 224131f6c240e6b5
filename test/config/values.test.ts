/** Units, addresses, values with variables. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatIpv6, parseCidr, parseIpv6, parseUrl } from '../../src/config/address.ts';
import { parseNumber, parseOffset, parseSize, parseTime } from '../../src/config/units.ts';
import { splitValue } from '../../src/config/value.ts';

test('numbers, sizes, offsets', () => {
  assert.deepEqual(['0', '12', '-1', '', '1x', ' 1', '99999999999999999999'].map(parseNumber), [
    0,
    12,
    null,
    null,
    null,
    null,
    null,
  ]);
  assert.deepEqual(['1', '1k', '2K', '3m', '1M', '1g', 'k', ''].map(parseSize), [
    1,
    1024,
    2048,
    3145728,
    1048576,
    null,
    null,
    null,
  ]);
  assert.deepEqual(['1g', '1G', '5'].map(parseOffset), [1073741824, 1073741824, 5]);
});

test('times', () => {
  const msec: Record<string, number | null> = {
    '1': 1000,
    '1s': 1000,
    '10ms': 10,
    '1m': 60_000,
    '1h30m': 5_400_000,
    '1h 30m': 5_400_000,
    '1h 30': 3_630_000,
    '1d 1h 1m 1s 1ms': 90_061_001,
    '1w': 604_800_000,
    '0': 0,
    '1y': null,
    '1M': null,
    '1s1m': null,
    '1m1m': null,
    '1 1': 2000,
    '1 1s': null,
    '1ms 1': 1001,
    '': null,
    ms: null,
    '1.5s': null,
    x: null,
  };
  for (const [text, value] of Object.entries(msec)) assert.equal(parseTime(text, 'ms'), value, text);
  const sec: Record<string, number | null> = {
    '10': 10,
    '1m': 60,
    '1y': 31_536_000,
    '1M': 2_592_000,
    '1y1M': 34_128_000,
    '1y1y': null,
    '10ms': null,
  };
  for (const [text, value] of Object.entries(sec)) assert.equal(parseTime(text, 's'), value, text);
});

test('IPv6 in canonical form', () => {
  const forms: Record<string, string | null> = {
    '::': '::',
    '::1': '::1',
    '1::': '1::',
    '2001:DB8:0:0:1:0:0:1': '2001:db8::1:0:0:1',
    '1:2:3:4:5:6:7:8': '1:2:3:4:5:6:7:8',
    '0:0:0:0:0:ffff:127.0.0.1': '::ffff:127.0.0.1',
    '1:0:3:4:5:6:7:8': '1:0:3:4:5:6:7:8',
    '1:2:3': null,
    '1::2::3': null,
    '12345::': null,
    'g::': null,
    '1:2:3:4:5:6:7:8:9': null,
  };
  for (const [text, canonical] of Object.entries(forms)) {
    const bytes = parseIpv6(text);
    assert.equal(bytes === null ? null : formatIpv6(bytes), canonical, text);
  }
});

test('networks', () => {
  assert.deepEqual(parseCidr('10.1.2.3/8'), { text: '10.0.0.0/8', meaningless: true });
  assert.deepEqual(parseCidr('10.0.0.0/8'), { text: '10.0.0.0/8', meaningless: false });
  assert.deepEqual(parseCidr('127.0.0.1'), { text: '127.0.0.1/32', meaningless: false });
  assert.deepEqual(parseCidr('2001:db8::1/33'), { text: '2001:db8::/33', meaningless: true });
  assert.deepEqual(parseCidr('0.0.0.0/0'), { text: '0.0.0.0/0', meaningless: false });
  for (const text of ['10.0.0.0/33', '::/129', 'a', '', '1.2.3', '1.2.3.4/']) assert.equal(parseCidr(text), null, text);
});

test('addresses', () => {
  const url = (text: string, options = {}) => {
    const result = parseUrl(text, options);
    return result.ok ? result.url : result.error;
  };
  assert.partialDeepStrictEqual(url('a.b:81/c?d', { uriPart: true }), {
    host: 'a.b',
    port: 81,
    uri: '/c?d',
    address: null,
  });
  assert.partialDeepStrictEqual(url('a?b', { uriPart: true, defaultPort: 80 }), { host: 'a', port: 80, uri: '?b' });
  assert.partialDeepStrictEqual(url('[::1]:81/x', { uriPart: true }), {
    host: '[::1]',
    address: '::1',
    port: 81,
    uri: '/x',
  });
  assert.partialDeepStrictEqual(url('unix:/a/b:/c', { uriPart: true }), { kind: 'unix', host: '/a/b', uri: '/c' });
  assert.partialDeepStrictEqual(url('8000-8002', { listen: true }), { address: '0.0.0.0', port: 8000, lastPort: 8002 });
  assert.partialDeepStrictEqual(url('*:80', { listen: true }), { address: '0.0.0.0', port: 80 });
});

test('values are split into text, variables and captures', () => {
  assert.deepEqual(splitValue('a$b-${C}d$1$23'), {
    ok: true,
    parts: [
      { kind: 'text', text: 'a' },
      { kind: 'variable', name: 'b' },
      { kind: 'text', text: '-' },
      { kind: 'variable', name: 'c' },
      { kind: 'text', text: 'd' },
      { kind: 'capture', index: 1 },
      { kind: 'capture', index: 2 },
      { kind: 'text', text: '3' },
    ],
  });
  assert.deepEqual(splitValue(''), { ok: true, parts: [] });
  for (const text of ['$', 'a$', '$-', '${', '${}']) {
    assert.deepEqual(splitValue(text), { ok: false, error: 'invalid variable name' }, text);
  }
  assert.deepEqual(splitValue('${a'), { ok: false, error: 'the closing bracket in "a" variable is missing' });
});
