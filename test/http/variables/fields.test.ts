import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { argument } from '../../../src/http/variables/fields.ts';
import { HostMatcher } from '../../../src/http/variables/host-match.ts';
import { commonLogTime, isoTime, seconds } from '../../../src/http/variables/times.ts';

/** ngx_http_arg in the large: the first `name=` at the beginning or after an ampersand. */
function plainArgument(args: string, name: string): string | null {
  for (const item of args.split('&')) {
    if (item.toLowerCase().startsWith(`${name}=`)) return item.slice(name.length + 1);
  }
  return null;
}

test('argument: as the plain definition', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'A', 'b', '=', '&', '1'), maxLength: 20 });
  fc.assert(
    fc.property(text, fc.constantFrom('a', 'b', 'ab', 'aa'), (args, name) => {
      assert.equal(argument(args, name), plainArgument(args, name));
    }),
    { numRuns: 2000 },
  );
});

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

test('times', () => {
  assert.equal(seconds(0), '0.000');
  assert.equal(seconds(-5), '0.000');
  assert.equal(seconds(1007.9), '1.007');
  assert.equal(seconds(61042), '61.042');
  assert.match(commonLogTime(0), /^\d\d\/\w{3}\/19(69|70):\d\d:\d\d:00 [+-]\d{4}$/);
  assert.equal(new Date(isoTime(1_600_000_000_999)).getTime(), 1_600_000_000_000);
});
