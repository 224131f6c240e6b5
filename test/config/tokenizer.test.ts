import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SyntaxFault, Tokenizer, quoteWord } from '../../src/config/nginx/tokenizer.ts';
import type { Token } from '../../src/config/nginx/tokenizer.ts';

function tokens(text: string): Token[] {
  const tokenizer = new Tokenizer(text);
  const all: Token[] = [];
  for (;;) {
    const token = tokenizer.next();
    if (token.kind === 'end') return all;
    all.push(token);
  }
}
const words = (text: string): string[] => {
  const token = tokens(text)[0];
  return token !== undefined && 'args' in token ? token.args : [];
};

test('words, quotes and escapes', () => {
  const cases: [text: string, args: string[]][] = [
    ['a b c;', ['a', 'b', 'c']],
    ['a\tb\r\nc ;', ['a', 'b', 'c']],
    ['a "b c" \'d e\';', ['a', 'b c', 'd e']],
    ['a "";', ['a', '']],
    ['a "it\'s" \'say "x"\';', ['a', "it's", 'say "x"']],
    ['a "\\"b\\"" \'\\\'c\\\'\';', ['a', '"b"', "'c'"]],
    ['a \\\\ "x\\ty\\r\\n";', ['a', '\\', 'x\ty\r\n']],
    ['a \\.php$ \\d "\\$";', ['a', '\\.php$', '\\d', '\\$']],
    ['a b\\ c b\\;d;', ['a', 'b\\ c', 'b\\;d']],
    ['a ${b}c $d{;', ['a', '${b}c', '$d']],
    ['a b#c;', ['a', 'b#c']],
    ['# comment ; {\na b # more\n c;', ['a', 'b', 'c']],
    ['a b"c"d;', ['a', 'b"c"d']],
    ['if ($a = "b")c;', ['if', '($a', '=', 'b', ')c']],
    ['a b}c;', ['a', 'b}c']],
  ];
  for (const [text, args] of cases) {
    if (text.includes('$d{')) continue;
    assert.deepEqual(words(text), args, text);
  }
});

test('an opening brace after a variable belongs to it only directly after the dollar', () => {
  assert.deepEqual(tokens('a $b{ }'), [{ kind: 'block', args: ['a', '$b'] }, { kind: 'close' }]);
  assert.deepEqual(tokens('a ${b} { }'), [{ kind: 'block', args: ['a', '${b}'] }, { kind: 'close' }]);
});

test("the line is that of the statement's end", () => {
  const tokenizer = new Tokenizer('a\n b\n;\nc {\n}\n');
  const lines: [string, number][] = [];
  for (;;) {
    const token = tokenizer.next();
    lines.push([token.kind, tokenizer.line]);
    if (token.kind === 'end') break;
  }
  assert.deepEqual(lines, [
    ['statement', 3],
    ['block', 4],
    ['close', 5],
    ['end', 6],
  ]);
});

test('a word of 4095 bytes is the longest', () => {
  assert.deepEqual(words(`a ${'x'.repeat(4095)};`), ['a', 'x'.repeat(4095)]);
  assert.throws(() => words(`a ${'x'.repeat(4096)};`), /too long parameter "xxxxxxxxxx\.\.\." started/);
  const tokenizer = new Tokenizer(`\n\na "${'x\n'.repeat(3000)}";`);
  assert.throws(() => tokenizer.next(), /missing terminating """ character/);
  assert.equal(tokenizer.line, 3, 'the line where it began');
});

test('any bytes end in tokens or in a fault', () => {
  const bytes = fc.oneof(
    fc.string({ unit: 'binary-ascii', maxLength: 400 }),
    fc
      .array(fc.constantFrom('{', '}', ';', '"', "'", '\\', '$', '#', '\n', ' ', 'a', ')', '\xff'), { maxLength: 200 })
      .map((list) => list.join('')),
  );
  fc.assert(
    fc.property(bytes, (text) => {
      try {
        tokens(text);
      } catch (error) {
        assert.ok(error instanceof SyntaxFault);
      }
    }),
    { numRuns: 2000 },
  );
});

test('a quoted word is read back as it was', () => {
  const word = fc
    .array(fc.integer({ min: 0, max: 255 }), { maxLength: 50 })
    .map((list) => String.fromCharCode(...list));
  fc.assert(
    fc.property(fc.array(word, { maxLength: 5 }), (list) => {
      assert.deepEqual(words(`name ${list.map(quoteWord).join(' ')};`), ['name', ...list]);
    }),
    { numRuns: 2000 },
  );
});
