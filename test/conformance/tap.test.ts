/** The runner's own logic: what counts as passed, and which files a name means. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadGroups, select } from './groups.ts';
import { parseTap, verdict } from './tap.ts';

const CASES: [name: string, output: string[], exit: number | null, status: string, reason?: RegExp][] = [
  ['all good', ['1..2', 'ok 1 - a', 'ok 2 - b'], 0, 'passed'],
  ['plan at the end', ['ok 1', 'ok 2', '1..2'], 0, 'passed'],
  ['one fails', ['1..2', 'ok 1 - a', 'not ok 2 - b'], 1, 'failed', /^1 of 2/],
  ['fewer than planned', ['1..3', 'ok 1 - a', 'ok 2 - b'], 255, 'failed', /planned 3 assertions but ran 2/],
  ['more than planned', ['1..1', 'ok 1', 'ok 2'], 255, 'failed', /planned 1/],
  ['skipped as a whole', ['1..0 # SKIP no ssi available'], 0, 'skipped', /^no ssi available$/],
  ['some skipped', ['1..2', 'ok 1 # skip unsafe', 'ok 2'], 0, 'passed'],
  ['known to fail', ['1..2', 'not ok 1 - x # TODO not yet', 'ok 2'], 0, 'passed'],
  ['a number sign in a name', ['1..1', 'not ok 1 - \\# skip is escaped'], 1, 'failed'],
  ['died at once', ["Can't start nginx"], 2, 'failed', /before it had planned/],
  ['bailed out', ['Bail out!  no binary'], 255, 'failed', /no binary/],
  ['all good, but the program failed', ['1..1', 'ok 1'], 3, 'failed', /exited with 3/],
  ['killed', ['1..1', 'ok 1'], null, 'failed', /signal/],
];

for (const [name, output, exit, status, reason] of CASES) {
  test(`verdict: ${name}`, () => {
    const result = verdict(parseTap(output), exit, false);
    assert.equal(result.status, status);
    if (reason !== undefined) assert.match((result as { reason: string }).reason, reason);
  });
}

test('what Test::More says about a failure goes with it', () => {
  const { failures } = parseTap([
    '1..3',
    'not ok 1 - first',
    'not ok 2 - second',
    "#   Failed test 'first'",
    '#   at x.t line 1.',
    "#          got: 'a'",
    "#   Failed test 'second'",
    '#   at x.t line 2.',
    'ok 3',
  ]);
  assert.deepEqual(
    failures.map(({ number, details }) => [number, details.length]),
    [
      [1, 3],
      [2, 2],
    ],
  );
  assert.equal(verdict(parseTap(['1..1', 'ok 1']), 0, true).status, 'failed');
});

test('names of groups and files', () => {
  const known = loadGroups();
  assert.ok(known.length > 400);
  assert.equal(select(['A1'], known).length, 36);
  assert.deepEqual(
    select(['upstream', 'upstream.t'], known).map(({ file }) => file),
    ['upstream.t'],
  );
  assert.deepEqual(select(['new.t'], known), [{ group: '?', file: 'new.t', assertions: 0 }]);
  assert.ok(select(['B'], known).length > 70);
  assert.throws(() => select(['Z9'], known), /"Z9" is neither a group \(A1 /);
});
