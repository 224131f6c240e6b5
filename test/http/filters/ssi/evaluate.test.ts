import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { evaluateCondition, evaluateText, SsiShared } from '../../../../src/http/filters/ssi/evaluate.ts';
import { strftime } from '../../../../src/http/filters/ssi/strftime.ts';

const values: Record<string, string> = { a: 'one', b_2: 'two', empty: '' };
const lookup = (name: string): string | null => values[name.toLowerCase()] ?? null;

test('texts with variables and escapes', () => {
  assert.equal(evaluateText('plain', lookup), 'plain');
  assert.equal(evaluateText('$a and ${b_2}x', lookup), 'one and twox');
  assert.equal(evaluateText('$A$none.', lookup), 'one.');
  assert.equal(evaluateText(String.raw`\$a \"q\" \\ \n`, lookup), String.raw`$a "q" \ \n`);
  assert.equal(evaluateText(String.raw`\$a $a`, lookup), '$a one');
  assert.throws(() => evaluateText('${a', lookup), /the closing bracket in "a" variable is missing/);
  assert.throws(() => evaluateText('a $', lookup), /invalid variable name in "a \$"/);
  assert.throws(() => evaluateText('${}', lookup), /invalid variable name/);
});

describe('conditions', () => {
  const cases: [expression: string, expected: boolean][] = [
    ['$a', true],
    ['$none', false],
    ['$empty', false],
    ['$a = one', true],
    ['$a=one', true],
    ['$a != one', false],
    ['one = $a', true],
    // A dollar sign that is no variable's is written with a backslash, in nginx too.
    [String.raw`$a = /^o.e\$/`, true],
    ['$a != /x/', true],
    [String.raw`$a = \/one/`, false],
    ['$a = $b_2', false],
  ];
  for (const [expression, expected] of cases) {
    test(expression, () => assert.equal(evaluateCondition(expression, lookup, new SsiShared()), expected));
  }

  test('a match leaves its groups', () => {
    const shared = new SsiShared();
    assert.equal(evaluateCondition('$a = /(o)(?P<rest>n.)/', lookup, shared), true);
    assert.deepEqual(
      ['0', '1', '2', '3', 'rest'].map((name) => shared.get(name)),
      ['one', 'o', 'ne', null, 'ne'],
    );
  });

  test('what is no expression', () => {
    const wrong = (text: string) => () => evaluateCondition(text, lookup, new SsiShared());
    assert.throws(wrong('$a < b'), /invalid expression in "\$a < b"/);
    assert.throws(wrong('$a = /x'), /invalid expression/);
    assert.throws(wrong('$a = /(/'), /pcre2_compile\(\) failed/);
  });
});

test('strftime', () => {
  const at = Date.UTC(2023, 0, 1, 13, 5, 9);
  assert.equal(strftime('%A, %d-%b-%Y %H:%M:%S %Z', at, true), 'Sunday, 01-Jan-2023 13:05:09 GMT');
  assert.equal(
    strftime('%s|%F|%T|%D|%I %p|%j|%y|%e|%%|%z', at, true),
    `${at / 1000}|2023-01-01|13:05:09|01/01/23|01 PM|001|23| 1|%|+0000`,
  );
  // The last days of one year may be of the first week of the next, and the other way round.
  assert.equal(strftime('%G-W%V-%u %U %W', at, true), '2022-W52-7 01 00');
  assert.equal(strftime('%G-W%V', Date.UTC(2020, 11, 31), true), '2020-W53');
  assert.equal(strftime('%j', Date.UTC(2024, 11, 31, 23, 59), true), '366');
  assert.equal(strftime('%q', at, true), '%q');
  assert.equal(strftime('%A'.repeat(60), at, true), '');
});
