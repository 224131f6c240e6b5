import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Searcher } from '../../../src/http/filters/sub-filter.ts';

/** Replaces in a text that arrives in pieces; `[i]` stands for text number i. */
function replace(pieces: readonly string[], texts: readonly string[]): { out: string; held: number } {
  const searcher = new Searcher(texts);
  let held = '';
  let most = 0;
  let out = '';
  pieces.forEach((piece, n) => {
    const last = n === pieces.length - 1;
    const subject = held + piece;
    let at = 0;
    for (let f = searcher.find(subject, at, last); f !== null; f = searcher.find(subject, at, last)) {
      out += `${subject.slice(at, f.start)}[${f.index}]`;
      at = f.end;
    }
    const cut = last ? subject.length : searcher.cut(subject, at);
    out += subject.slice(at, cut);
    held = subject.slice(cut);
    most = Math.max(most, held.length);
  });
  return { out, held: most };
}

test('in any case, at the first place, in order', () => {
  assert.equal(replace(['a FOO b fOobar'], ['foo']).out, 'a [0] b [0]bar');
  assert.equal(replace(['foobar'], ['foobar', 'foo']).out, '[0]');
  assert.equal(replace(['foobar'], ['foo', 'foobar']).out, '[0]bar');
  assert.equal(replace(['xab'], ['ab', 'xa']).out, '[1]b');
  assert.equal(replace(['a.b (c) [d]'], ['.', '(c)', '[d]']).out, 'a[0]b [1] [2]');
  assert.equal(replace(['abc'], ['', 'b']).out, 'a[1]c');
  // Of letters beyond ASCII the case counts.
  assert.equal(replace(['\xc9\xe9'], ['\xe9']).out, '\xc9[0]');
});

test('only what may be the beginning of a text is held back', () => {
  assert.equal(replace(['abc<', '/body>x', ''], ['</body>']).out, 'abc[0]x');
  assert.equal(replace(['xyz', ''], ['za']).held, 1);
  assert.equal(replace(['xyz', ''], ['ab']).held, 0);
});

test('where a body is cut makes no difference', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'A', 'c'), maxLength: 4 });
  fc.assert(
    fc.property(
      fc.array(letters, { minLength: 1, maxLength: 8 }),
      fc.array(letters, { minLength: 1, maxLength: 3 }),
      (pieces, texts) => {
        const longest = Math.max(0, ...texts.map((text) => text.length));
        const { out, held } = replace(pieces, texts);
        assert.equal(out, replace([pieces.join('')], texts).out);
        assert.ok(held < Math.max(1, longest));
      },
    ),
  );
});
