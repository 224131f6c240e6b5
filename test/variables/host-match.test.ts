import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { HostMatcher } from '../../src/variables/host-match.ts';

test('host matcher: exact, then the longest suffix, then the longest prefix', () => {
  const label = fc.constantFrom('a', 'b', 'c');
  const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
  fc.assert(
    fc.property(fc.array(name), fc.array(name), fc.array(name), name, (exact, suffixes, prefixes, host) => {
      const matcher = new HostMatcher<string>();
      for (const n of exact) matcher.addExact(n, `=${n}`);
      for (const n of suffixes) matcher.addSuffix(`.${n}`, `*.${n}`);
      for (const n of prefixes) matcher.addPrefix(`${n}.`, `${n}.*`);
      const longest = (names: string[]) => names.toSorted((x, y) => y.length - x.length)[0];
      const suffix = longest(suffixes.filter((n) => host.endsWith(`.${n}`)));
      const prefix = longest(prefixes.filter((n) => host.startsWith(`${n}.`)));
      const expected = exact.includes(host)
        ? `=${host}`
        : suffix !== undefined
          ? `*.${suffix}`
          : prefix !== undefined
            ? `${prefix}.*`
            : undefined;
      assert.equal(matcher.find(host), expected);
    }),
    { numRuns: 2000 },
  );
});
