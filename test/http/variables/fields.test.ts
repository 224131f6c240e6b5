import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { argument } from '../../../src/http/variables/fields.ts';

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
