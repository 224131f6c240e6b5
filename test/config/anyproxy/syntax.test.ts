/** any-proxy's language: what is read, what is refused, and where that is told. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { looksLikeAnyproxy } from '../../../src/config/anyproxy/detect.ts';
import { parseAnyproxy } from '../../../src/config/anyproxy/syntax.ts';
import type { Item } from '../../../src/config/anyproxy/syntax.ts';
import { ConfigError } from '../../../src/config/errors.ts';

const FENCE = '```';

function parse(text: string, others: Record<string, string> = {}, platform = 'linux'): Item[] {
  return parseAnyproxy('/dir/a.conf', text, {
    platform,
    include(value) {
      const found = others[value];
      if (found === undefined) throw new Error(value);
      return [{ file: `/dir/${value}`, text: found }];
    },
  });
}

/** Keys, types and values, blocks as lists. */
function shape(items: Item[]): unknown[] {
  return items.map((item) =>
    item.kind === 'block' ? [item.key, shape(item.items)] : `${item.key} ${item.type} ${item.value}`,
  );
}

const read = (text: string): unknown[] => shape(parse(text));

function fails(text: string, message: RegExp, others: Record<string, string> = {}): void {
  assert.throws(
    () => parse(text, others),
    (error) => error instanceof ConfigError && (assert.match(error.message, message), true),
  );
}

describe('any-proxy: lines', () => {
  test('types, implied and written; what follows the ";"', () => {
    assert.deepEqual(
      read('a = x;\nb bool=true; # yes\nc u64 = 1;#no\nd strs = a "b c" d;\ne f64 = 1.5;\nf i32s = 1 2;'),
      ['a str x', 'b bool true', 'c int 1', 'd strs a "b c" d', 'e float 1.5', 'f ints 1 2'],
    );
  });

  test('quotes: taken off, and what stands in them ends nothing', () => {
    assert.deepEqual(read('a str = "x;y#z";\nb = x#y;'), ['a str x;y#z', 'b str x#y']);
    const [item] = parse('c strs = "a b" c;');
    assert.deepEqual(item?.kind === 'assignment' && item.words, ['a b', 'c']);
  });

  test('the first "=" counts', () => {
    assert.deepEqual(read('a = b=c;'), ['a str b=c']);
  });

  test('comments, block comments, a byte order mark, carriage returns', () => {
    const text = '\xef\xbb\xbf# one\r\nr###\r\n}{ anything = \r\n  ###r\r\n\r\na = b;\r\n';
    assert.deepEqual(read(text), ['a str b']);
  });

  test('blocks: nested, empty, with comments behind the braces', () => {
    assert.deepEqual(read('a { # a=b\n  b {\n    c = d;\n  } # end\n e{}\n}'), [
      [
        'a',
        [
          ['b', ['c str d']],
          ['e', []],
        ],
      ],
    ]);
  });

  test('platforms: those of another system are read and dropped', () => {
    const text = `a linux_bool = true;\nb windows_str = c:;\nc window_raw = r${FENCE}\n}\n${FENCE}r;\nd unix_u8 = 1;`;
    assert.deepEqual(read(text), ['a bool true', 'd int 1']);
    assert.deepEqual(shape(parse(text, {}, 'win32')), ['b str c:', 'c raw \n}\n']);
  });
});

describe('any-proxy: raw values', () => {
  for (const indent of [0, 1, 2, 3, 4, 8]) {
    test(`the closing fence behind ${indent} blanks`, () => {
      const text = `a raw = r${FENCE}\n  x = 1\n${' '.repeat(indent)}${FENCE}r; # done\nb = c;`;
      const [raw, next] = parse(text);
      assert.equal(raw?.kind === 'assignment' && raw.value.trim(), 'x = 1');
      assert.equal(next?.place.line, 4);
    });
  }

  test('on one line', () => {
    assert.deepEqual(read(`a raw = r${FENCE} path = "x" ${FENCE}r;`), ['a raw  path = "x" ']);
  });

  test('text before the closing fence belongs to the value', () => {
    assert.deepEqual(read(`a raw = r${FENCE}\nx = 1 ${FENCE}r ;`), ['a raw \nx = 1 ']);
  });
});

describe('any-proxy: include', () => {
  test('stands for the text of the file, in its block', () => {
    const items = parse('a {\n include = b.conf;\n}', { 'b.conf': 'x = 1;\ny {\n}\n' });
    assert.deepEqual(shape(items), [['a', ['x str 1', ['y', []]]]]);
    const block = items[0];
    assert.deepEqual(block?.kind === 'block' && block.items[0]?.place, { file: '/dir/b.conf', line: 1 });
  });

  test('a loop is refused', () => {
    fails('include = b.conf;', /"\/dir\/b\.conf" includes itself in \/dir\/c\.conf:1/, {
      'b.conf': 'include = c.conf;',
      'c.conf': 'include = b.conf;',
    });
  });
});

describe('any-proxy: mistakes are told with file and line', () => {
  const cases: [string, string, RegExp][] = [
    ['no ";"', 'a {\nb = c\n}', /";" is missing at the end of the value in \/dir\/a\.conf:2$/],
    ['a quote', 'b = "c;', /a quote is not closed in \/dir\/a\.conf:1/],
    ['text behind', 'b = c; d', /unexpected "d" after ";" in/],
    ['three words', 'a b c = d;', /"a b c" is not "key" or "key type" in/],
    ['no key', '= d;', /"" is not "key" or "key type" in/],
    ['a type', 'a text = b;', /unknown type "text", it must be bool, str/],
    ['a platform', 'a bsd_bool = true;', /unknown platform "bsd" in type "bsd_bool"/],
    ['an open block', 'a {\nb {\n}\n', /unexpected end of file, expecting "}" of this block in \/dir\/a\.conf:1/],
    ['a "}" too many', 'a {\n}\n}', /unexpected "}" in \/dir\/a\.conf:3/],
    ['an open comment', '\nr###\nx', /block comment is not closed by "###r" in \/dir\/a\.conf:2/],
    ['an open raw value', `a raw = r${FENCE}\nx`, /raw value is not closed by "```r;" in \/dir\/a\.conf:1/],
    ['no fence', 'a raw = x;', /a raw value must begin with "r```"/],
    ['a raw value without ";"', `a raw = r${FENCE}\n${FENCE}r`, /";" is missing after "```r" in \/dir\/a\.conf:2/],
    ['an empty list', 'a strs = ;', /"a" has no value/],
    ['a word', 'hello', /"hello" is neither "key type = value;" nor "name {" nor "}"/],
  ];
  for (const [name, text, message] of cases) test(name, () => fails(text, message));
});

test('any-proxy: no text does more than fail', () => {
  const piece = fc.constantFrom(
    'a',
    ' = ',
    ';',
    '{',
    '}',
    '\n',
    'raw',
    `r${FENCE}`,
    `${FENCE}r;`,
    '"',
    '#',
    'r###',
    '###r',
    'u64',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      try {
        parse(pieces.join(''));
      } catch (error) {
        assert.ok(error instanceof ConfigError || (error as Error).message !== '', String(error));
        assert.ok(!(error instanceof TypeError) && !(error instanceof RangeError), String(error));
      }
    }),
  );
});

describe('which language a file is', () => {
  const yes = [
    'common {\n}',
    'upstream {\n server {',
    '# x\nhttp {\n server {\n  domain str = "a";',
    `tunnel {\n data raw = r${FENCE}`,
    'r###\nupstream x {\n###r\nsocket {',
    '\xef\xbb\xbfebpf { # x',
  ];
  const no = [
    'events {}\nhttp { upstream a { server b; } }',
    'http {\n upstream app {\n  server 127.0.0.1;\n }\n server {\n listen 80;\n if ($a = b) { set $x =; }\n }\n}',
    'stream {\n server { listen 1; proxy_pass a; }\n}',
    '# common {\n',
    '',
  ];
  for (const text of yes) test(JSON.stringify(text), () => assert.equal(looksLikeAnyproxy(text), true));
  for (const text of no) test(JSON.stringify(text), () => assert.equal(looksLikeAnyproxy(text), false));
});
