import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compilePattern, compileRegex, regexNames } from '../../src/config/pcre.ts';

const matches = (pattern: string, subject: string, caseless = false): string[] | null => {
  const match = compileRegex({ pattern, caseless }).exec(subject);
  return match === null ? null : [...match];
};

test('what both mean is left as it is', () => {
  assert.deepEqual(matches('^/(.*)\\.php$', '/a/b.php'), ['/a/b.php', 'a/b']);
  assert.deepEqual(matches('(a)|(b)', 'b'), ['b', undefined, 'b']);
  assert.deepEqual(matches('A', 'a', true), ['a']);
});

test('what JavaScript would take for something else', () => {
  const cases: [pattern: string, subject: string, matched: string | null][] = [
    ['\\Aa', 'ba', null],
    ['a\\z', 'a\n', null],
    ['a\\Z', 'a\n', 'a'],
    ['a$', 'a\n', 'a'],
    ['a$', 'a\nb', null],
    ['(?m)a$', 'a\nb', 'a'],
    ['(?m)^b', 'a\nb', 'b'],
    ['a.b', 'a\rb', 'a\rb'],
    ['a.b', 'a\nb', null],
    ['(?s)a.b', 'a\nb', 'a\nb'],
    ['\\s', '\xa0', null],
    ['\\h', '\xa0', '\xa0'],
    ['\\R', '\r\n', '\r\n'],
    ['\\Qa.b\\E', 'axb', null],
    ['\\Qa.b\\Ec', 'a.bc', 'a.bc'],
    ['[[:alpha:]]+', '1abC', 'abC'],
    ['[^[:alpha:]]', 'a1', '1'],
    ['[[:^alpha:]]', 'a1', '1'],
    ['\\x{41}\\x42\\103', 'ABC', 'ABC'],
    ['\\p{Lu}', 'aB', 'B'],
    ['[]a]', ']', ']'],
    ['a{,', 'a{,', 'a{,'],
    ['a{1', 'a{1', 'a{1'],
    ['(?i)A', 'a', 'a'],
    ['a(?i)b|c', 'aB', 'aB'],
    ['a(?i)b|c', 'C', 'C'],
    ['(?x) a b # c', 'ab', 'ab'],
    ['a(?#comment)b', 'ab', 'ab'],
    ['a++a', 'aaa', null],
    ['(?>a|ab)c', 'abc', null],
    ['(a)\\g{1}\\g{-1}', 'aaa', 'aaa'],
    ['\\N', '\n', null],
    ['\\/', '/', '/'],
    ['\\-', '-', '-'],
  ];
  for (const [pattern, subject, matched] of cases) {
    assert.equal(matches(pattern, subject)?.[0] ?? null, matched, `${pattern} on ${JSON.stringify(subject)}`);
  }
});

test('named groups in all spellings', () => {
  for (const pattern of ['(?<n>a)', '(?P<n>a)', "(?'n'a)"]) {
    assert.deepEqual(regexNames({ pattern, caseless: false }), ['n']);
    assert.equal(compileRegex({ pattern, caseless: false }).exec('a')?.groups?.['n'], 'a');
  }
  assert.equal(matches('(?<n>a)(?P=n)\\k<n>\\k{n}', 'aaaa')?.[0], 'aaaa');
});

test('what cannot be done is refused', () => {
  for (const pattern of [
    'a\\Kb',
    '(?R)',
    '(?1)',
    '(?(1)a|b)',
    '(?|a|b)',
    '(*UTF8)a',
    '\\Ga',
    'a{,3}',
    '(?>a)(b)',
    '(?U)a',
  ]) {
    const result = compilePattern({ pattern, caseless: false });
    assert.ok(!result.ok && result.error.includes('is not supported by JavaScript'), pattern);
  }
});

test('a translation is always a regular expression', () => {
  const piece = fc.constantFrom(
    'a',
    '.',
    '\\',
    '[',
    ']',
    '(',
    ')',
    '{',
    '}',
    '*',
    '+',
    '?',
    '|',
    '^',
    '$',
    '-',
    ',',
    '1',
    '2',
    '(?',
    '(?:',
    '(?<n>',
    '(?i)',
    '\\d',
    '\\Q',
    '\\E',
    '[:alpha:]',
    '\\x',
    '\\x{',
    '\\p{L}',
    '\\1',
    '#',
    ' ',
    '\xe9',
    '\n',
    '/',
  );
  const pattern = fc.array(piece, { maxLength: 12 }).map((list) => list.join(''));
  fc.assert(
    fc.property(pattern, fc.boolean(), (text, caseless) => {
      const result = compilePattern({ pattern: text, caseless });
      if (result.ok) new RegExp(result.source, result.flags);
      else assert.match(result.error, /^pcre2_compile\(\) failed: /);
    }),
    { numRuns: 3000 },
  );
});
