import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { escapeArgs, escapeUri } from '../../../src/http/wire/escape.ts';
import { normalPath, unescapeText } from '../../../src/http/wire/uri.ts';
import * as s from './support.ts';

function normal(path: string, merge = true): string | null {
  const bytes = s.latin1(`xx${path}yy`);
  return normalPath(bytes, 2, bytes.length - 2, merge);
}

/** The same in the plainest words: decode, split into segments, resolve. */
function reference(path: string, merge: boolean): string | null {
  const text = path.split('#')[0]!;
  if (/%(?![0-9a-fA-F]{2})|%00/.test(text)) return null;
  const decoded = text.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  const segments = decoded.split('/').slice(1);
  const out: string[] = [];
  let directory = false;
  for (const [i, segment] of segments.entries()) {
    const last = i === segments.length - 1;
    directory = last && (segment === '' || segment === '.' || segment === '..');
    if (segment === '..') {
      if (out.length === 0) return null;
      out.pop();
    } else if (segment === '.' || (segment === '' && (merge || last))) continue;
    else out.push(segment);
  }
  return `/${out.join('/')}${directory && out.length > 0 ? '/' : ''}`;
}

const paths = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '/',
        '/',
        '.',
        '..',
        'a',
        'b.c',
        '...',
        '%2e',
        '%2E%2e',
        '%2f',
        '%41',
        '%25',
        '%zz',
        '%',
        '%4',
        '%00',
        '%0a',
        '\xff',
        '#',
        '+',
        '%3f',
        '%23',
      ),
    ),
    { maxLength: 14 },
  )
  .map((parts) => `/${parts.join('')}`);

describe('normal form of a path', () => {
  test('is what the plain reference says', () => {
    fc.assert(
      fc.property(paths, fc.boolean(), (path, merge) => assert.equal(normal(path, merge), reference(path, merge))),
      { numRuns: 5000 },
    );
  });

  test('holds no dot segments, and stays as it is when normalised again', () => {
    fc.assert(
      fc.property(paths, (path) => {
        const once = normal(path);
        if (once === null) return;
        assert.ok(once.startsWith('/'));
        assert.doesNotMatch(once, /\/\.{1,2}(\/|$)|\/\//);
        assert.equal(normal(escapeUri(once)), once);
      }),
      { numRuns: 3000 },
    );
  });

  const cases: [path: string, expected: string | null][] = [
    ['/', '/'],
    ['/a/./b', '/a/b'],
    ['/a/../b', '/b'],
    ['/a/b/..', '/a/'],
    ['/a/..', '/'],
    ['/..', null],
    ['/a/../..', null],
    ['/%2e%2e/a', null],
    ['/a%2f..%2fb', '/b'],
    ['/a//b', '/a/b'],
    ['/...', '/...'],
    ['/..a', '/..a'],
    ['/a/.', '/a/'],
    ['/%', null],
    ['/%4', null],
    ['/%g0', null],
    ['/%00', null],
    ['/%0d%0aX: y', '/\r\nX: y'],
    ['/%2541', '/%41'],
  ];
  for (const [path, expected] of cases)
    test(`${path} -> ${JSON.stringify(expected)}`, () => assert.equal(normal(path), expected));

  test('takes long paths', () => {
    assert.equal(normal(`/${'a/../'.repeat(20_000)}b`), '/b');
    assert.equal(normal('/a'.repeat(20_000))!.length, 40_000);
  });

  test('slashes stay when merge_slashes is off', () => {
    assert.equal(normal('//a///b', false), '//a///b');
    assert.equal(normal('/a//../b', false), '/a/b');
  });
});

describe('escaping', () => {
  const any = fc.string({ unit: fc.nat(255).map((b) => String.fromCharCode(b)), maxLength: 30 });

  test('a path can be read back, and holds no byte that ends a target', () => {
    fc.assert(
      fc.property(any, (text) => {
        const escaped = escapeUri(text);
        assert.match(escaped, /^[\x21-\x7e]*$/);
        assert.doesNotMatch(escaped, /[?#]/);
        assert.equal(unescapeText(escaped), text);
      }),
    );
  });

  test('an argument can be read back, and ends no argument', () => {
    fc.assert(
      fc.property(any, (text) => {
        const escaped = escapeArgs(text);
        assert.match(escaped, /^[\x21-\x7e]*$/);
        assert.doesNotMatch(escaped, /[?#&+]/);
        assert.equal(unescapeText(escaped), text);
      }),
    );
  });

  test('what is not valid stays', () => assert.equal(unescapeText('%zz%4%%41'), '%zz%4%A'));
});
