import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { parseRanges } from '../../../src/http/filters/ranges.ts';
import { matchesEtag } from '../../../src/http/filters/not-modified.ts';
import { formatHttpDate, parseHttpDate } from '../../../src/http/filters/http-date.ts';
import { extensionOf } from '../../../src/http/handlers/mime.ts';
import { climbs } from '../../../src/http/handlers/static-path.ts';

const ALL = 2147483647;
const text = (result: ReturnType<typeof parseRanges>): string =>
  typeof result === 'string' ? result : result.map((r) => `${r.start}-${r.end}`).join(' ');

test('ranges as nginx reads them', () => {
  const cases: [string, string][] = [
    ['0-0', '0-1'],
    ['0-9', '0-10'],
    ['990-', '990-1000'],
    ['-5', '995-1000'],
    ['-0', 'unsatisfiable'],
    ['1000-', 'unsatisfiable'],
    ['999-2000', '999-1000'],
    ['5-2', 'unsatisfiable'],
    ['0-1,3-4', '0-2 3-5'],
    ['0-1, 5-6 ,-1', '0-2 5-7 999-1000'],
    ['0-998,1-2', 'none'],
    ['-2000', '0-1000'],
    ['a', 'unsatisfiable'],
    ['1', 'unsatisfiable'],
    ['0-1,', 'unsatisfiable'],
    ['-', 'unsatisfiable'],
    ['1-,2-3', 'none'],
    ['99999999999999999999-', 'unsatisfiable'],
    ['0-1,2000-3000', '0-2'],
    [' 1 - 2', '1-3'],
    ['- 5', 'unsatisfiable'],
  ];
  for (const [value, expected] of cases) assert.equal(text(parseRanges(`bytes=${value}`, 1000, ALL)), expected, value);
  assert.equal(text(parseRanges('bytes=0-1,3-4', 1000, 1)), 'none');
  assert.equal(text(parseRanges('bytes=0-0', 0, ALL)), 'none');
  // Many small ranges would cost more than the whole.
  assert.equal(text(parseRanges(`bytes=${Array(30).fill('0-0').join(',')}`, 1000, ALL)), 'none');
});

test('every range that is answered lies in the content', () => {
  const item = fc.oneof(
    fc.tuple(fc.nat(50), fc.nat(50)).map(([a, b]) => `${a}-${b}`),
    fc.nat(50).map((a) => `${a}-`),
    fc.nat(50).map((a) => `-${a}`),
  );
  fc.assert(
    fc.property(fc.array(item, { minLength: 1, maxLength: 5 }), fc.nat(40), (items, length) => {
      const ranges = parseRanges(`bytes=${items.join(',')}`, length, ALL);
      if (typeof ranges === 'string') return;
      assert.ok(ranges.length > 0 && ranges.length <= items.length);
      for (const { start, end } of ranges) assert.ok(start >= 0 && start < end && end <= length);
    }),
  );
});

test('entity tags', () => {
  const cases: [string, string | null, boolean, boolean][] = [
    ['*', null, false, true],
    ['"a"', null, true, false],
    ['"a"', '"a"', false, true],
    ['"b", "a"', '"a"', false, true],
    ['"b" ,"a" ', '"a"', false, true],
    ['"ab"', '"a"', false, false],
    ['W/"a"', '"a"', false, false],
    ['W/"a"', '"a"', true, true],
    ['"a"', 'W/"a"', true, true],
    ['"a"', 'W/"a"', false, false],
    ['', '"a"', true, false],
    ['"a"x', '"a"', true, false],
    ['"a"x,"a"', '"a"', true, true],
  ];
  for (const [list, etag, weak, expected] of cases) assert.equal(matchesEtag(list, etag, weak), expected, list);
});

test('dates: three forms, and back', () => {
  for (const date of [
    'Thu, 02 Jan 2020 03:04:05 GMT',
    'Thursday, 02-Jan-20 03:04:05 GMT',
    'Thu Jan  2 03:04:05 2020',
  ]) {
    assert.equal(parseHttpDate(date), 1577934245, date);
  }
  for (const date of [
    '',
    'junk',
    'Thu, 32 Jan 2020 03:04:05 GMT',
    'Thu, 30 Feb 2020 03:04:05 GMT',
    'Thu, 02 Jan 2020 24:04:05 GMT',
    'Thu, 02 Foo 2020 03:04:05 GMT',
  ]) {
    assert.equal(parseHttpDate(date), -1, date);
  }
  fc.assert(
    fc.property(fc.nat(4_000_000_000), (seconds) => {
      assert.equal(parseHttpDate(formatHttpDate(seconds)), seconds);
    }),
  );
});

test('extensions', () => {
  const cases: [string, string][] = [
    ['/a.txt', 'txt'],
    ['/a.TXT', 'txt'],
    ['/a', ''],
    ['/.hidden', ''],
    ['/d/.hidden', ''],
    ['/a.b/c', ''],
    ['/a.', ''],
    ['/a.tar.gz', 'gz'],
    ['/', ''],
    ['', ''],
  ];
  for (const [uri, expected] of cases) assert.equal(extensionOf(uri), expected, uri);
});

test('paths that climb', () => {
  for (const path of ['/r/../x', '/r/a/..', '/r/..', '/r/a/../../b']) assert.ok(climbs(path, 2), path);
  for (const path of ['/r/a..b', '/r/..a', '/r/a../b', '/r/...', '/..r/x'])
    assert.ok(!climbs(path, path.indexOf('/', 1)), path);
  // What the configuration wrote is its own business.
  assert.ok(!climbs('/r/../s/x', 7));
});
