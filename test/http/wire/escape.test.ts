import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { escapeArgs, escapeComponent, escapeUri, unescapeRedirect } from '../../../src/http/wire/escape.ts';

const bytes = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((b) => String.fromCharCode(b)), maxLength: 40 });

test('escaping', () => {
  assert.equal(escapeUri('/a b?#%"<>\\^`{|}\x7f\xe4+&;='), '/a%20b%3F%23%25%22%3C%3E%5C%5E%60%7B%7C%7D%7F%E4+&;=');
  assert.equal(escapeArgs('a+b&c;d=/'), 'a%2Bb%26c%3Bd=/');
  assert.equal(escapeComponent('aZ09-._~/+ '), 'aZ09-._~%2F%2B%20');
});

test('escaped text is printable and decodes to what it was', () => {
  const decode = (text: string) => text.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  for (const escape of [escapeUri, escapeArgs, escapeComponent]) {
    fc.assert(
      fc.property(bytes, (text) => {
        const escaped = escape(text);
        assert.match(escaped, /^[!-~]*$/);
        assert.equal(decode(escaped), text);
      }),
    );
  }
});

test('unescaping of redirects', () => {
  const cases: [string, string][] = [
    ['http://h/a%2fb%20c', 'http://h/a/b%20c'],
    ['a%3Fx%41', 'a?x%41'],
    ['a%3fx%41', 'a?x%41'],
    ['a?x%41', 'a?x%41'],
    ['%41%7e%7F%25%0d%0a', 'A~%7F%25%0d%0a'],
    // nginx drops what cannot be an escape, the question mark too.
    ['x%zz%4?%41', 'xzzA'],
    ['%4', ''],
    ['a%', 'a'],
    ['%e4', '%e4'],
  ];
  for (const [text, expected] of cases) assert.equal(unescapeRedirect(text), expected, text);
});

test('unescaping a redirect never makes a byte that ends a field', () => {
  fc.assert(
    fc.property(bytes, (text) => {
      const printable = escapeUri(text);
      assert.doesNotMatch(unescapeRedirect(printable), /[\x00-\x20\x7f-\xff]/);
    }),
  );
});
