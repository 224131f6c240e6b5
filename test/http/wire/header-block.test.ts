import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { TOKEN_WITHOUT_UNDERSCORE } from '../../../src/http/wire/bytes.ts';
import { HeaderBlock } from '../../../src/http/wire/header-block.ts';
import { H, hashName, KNOWN_COUNT, knownName } from '../../../src/http/wire/known.ts';
import { BAD, DONE, MORE, TOO_LONG, TOO_MANY } from '../../../src/http/wire/outcomes.ts';
import * as s from './support.ts';

function parse(text: string, set: (block: HeaderBlock) => void = () => {}, strict = true): [number, HeaderBlock] {
  const block = new HeaderBlock(strict);
  set(block);
  const bytes = s.latin1(text);
  block.reset(bytes, 0);
  return [block.parse(bytes.length), block];
}

describe('header block', () => {
  test('fields come out as they went in, for every split into reads', () => {
    fc.assert(
      fc.property(
        s.fields,
        s.spaces,
        fc.constantFrom('\r\n', '\n'),
        s.cuts,
        fc.boolean(),
        (fields, spaces, eol, cuts, moving) => {
          const bytes = s.latin1(`${s.fieldLines(fields, eol, spaces)}${eol}rest`);
          for (const at of [[], cuts, s.everyByte(bytes)]) {
            const block = new HeaderBlock(true);
            assert.equal(s.parseInReads(block, bytes, at, moving), DONE);
            assert.deepEqual(s.fieldsOf(block), fields);
            assert.equal(block.pos - block.headStart, bytes.length - 4);
            assert.equal(block.eol, eol === '\n' ? 2 : 1);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('wrong bytes come to the same for every split into reads', () => {
    fc.assert(
      fc.property(
        s.fields,
        s.mutations,
        s.cuts,
        fc.boolean(),
        fc.boolean(),
        (fields, mutations, cuts, strict, skipInvalid) => {
          const bytes = s.latin1(s.mutate(`${s.fieldLines(fields, '\r\n')}\r\n`, mutations));
          const outcome = (at: readonly number[]): unknown[] => {
            const block = new HeaderBlock(strict);
            block.skipInvalid = skipInvalid;
            block.token = TOKEN_WITHOUT_UNDERSCORE;
            block.maxFields = 5;
            const result = s.parseInReads(block, bytes, at, true);
            return result === DONE
              ? [result, s.fieldsOf(block), block.mixed, block.skipped, block.pos - block.headStart]
              : [result];
          };
          const whole = outcome([]);
          assert.deepEqual(outcome(cuts), whole);
          assert.deepEqual(outcome(s.everyByte(bytes)), whole);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('what is taken holds no byte that could be read as another line', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...'aZ:_ \t\r\n\0\x0b\x7f\x80-1'), { maxLength: 40 }),
        fc.boolean(),
        (chars, skip) => {
          const [result, block] = parse(`${chars.join('')}\r\n\r\n`, (b) => (b.skipInvalid = skip));
          if (result !== DONE) return;
          for (const [name, value] of s.fieldsOf(block)) {
            assert.match(name, /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/);
            assert.match(value, /^(|[\x21-\x7e\x80-\xff]([\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)$/);
          }
        },
      ),
      { numRuns: 3000 },
    );
  });

  const wrong: [what: string, text: string][] = [
    ['space before the colon', 'Host : a\r\n\r\n'],
    ['tab before the colon', 'Host\t: a\r\n\r\n'],
    ['folding by a space', 'A: b\r\n c: d\r\n\r\n'],
    ['folding by a tab', 'A: b\r\n\tc\r\n\r\n'],
    ['folding of the first line', ' A: b\r\n\r\n'],
    ['no colon', 'Host\r\n\r\n'],
    ['NUL in a name', 'Ho\0st: a\r\n\r\n'],
    ['NUL in a value', 'Host: a\0b\r\n\r\n'],
    ['DEL in a value', 'Host: a\x7f\r\n\r\n'],
    ['vertical tab in a value', 'Host: \x0ba\r\n\r\n'],
    ['form feed in a name', 'Host\x0c: a\r\n\r\n'],
    ['bare CR in a value', 'Host: a\rb\r\n\r\n'],
    ['bare CR before CRLF', 'Host: a\r\r\n\r\n'],
    ['CR at the end without LF', 'Host: a\r\n\rX'],
    ['CRLF, then bare LF', 'A: b\r\nC: d\n\r\n'],
    ['CRLF, the empty line a bare LF', 'A: b\r\n\n'],
  ];
  for (const [what, text] of wrong) {
    test(`refused: ${what}`, () => {
      assert.equal(parse(text)[0], BAD);
      assert.equal(parse(text, (b) => (b.skipInvalid = true))[0], BAD);
    });
  }

  test('names with bytes of no token are skipped where that is asked for, and never passed', () => {
    for (const name of ['', 'a(b', '"a"', 'Tr\x80nsfer-Encoding', 'a/b', 'Content_Length', '[x]', 'a@b', 'a\xffb']) {
      const [result, block] = parse(`${name}: 1\r\nB: 2\r\n\r\n`, (b) => {
        b.skipInvalid = true;
        b.token = TOKEN_WITHOUT_UNDERSCORE;
      });
      assert.equal(result, DONE, name);
      assert.deepEqual(s.fieldsOf(block), [['B', '2']]);
      assert.equal(block.skipped, 1);
      assert.equal(parse(`${name}: 1\r\n\r\n`, (b) => (b.token = TOKEN_WITHOUT_UNDERSCORE))[0], BAD);
    }
  });

  test('a head that began with bare LF may go on with CRLF: nobody could have read the LF as part of a value', () => {
    const [result, block] = parse('A: b\nC: d\r\n\n');
    assert.deepEqual(
      [result, block.mixed, s.fieldsOf(block)],
      [
        DONE,
        true,
        [
          ['A', 'b'],
          ['C', 'd'],
        ],
      ],
    );
  });

  test('an answer may mix line ends, and says so', () => {
    const [result, block] = parse('A: b\nC: d\r\n\r\n', () => {}, false);
    assert.equal(result, DONE);
    assert.equal(block.mixed, true);
    assert.deepEqual(s.fieldsOf(block), [
      ['A', 'b'],
      ['C', 'd'],
    ]);
  });

  test('fields are counted', () => {
    const lines = 'a: b\r\n'.repeat(10);
    assert.equal(parse(`${lines}\r\n`, (b) => (b.maxFields = 10))[0], DONE);
    assert.equal(parse(`${lines}a: b\r\n\r\n`, (b) => (b.maxFields = 10))[0], TOO_MANY);
  });

  test('lines are bounded', () => {
    assert.equal(parse(`a: ${'b'.repeat(95)}\r\n\r\n`, (b) => (b.maxLine = 100))[0], DONE);
    assert.equal(parse(`a: ${'b'.repeat(96)}\r\n\r\n`, (b) => (b.maxLine = 100))[0], TOO_LONG);
  });

  test('a known field is found wherever it stands, however many there are', () => {
    for (const before of [0, 31, 32, 255, 256, 65535, 65536]) {
      const [result, block] = parse(
        `${'a:\n'.repeat(before)}Transfer-Encoding: chunked\n\n`,
        (b) => (b.maxFields = 100_000),
      );
      assert.equal(result, DONE);
      assert.equal(block.first(H['transfer-encoding']), before);
      assert.equal(block.get(H['transfer-encoding']), 'chunked');
    }
  });

  test('every known name is known in any case, and names that collide with it are not', () => {
    let collisions = 0;
    for (let id = 1; id < KNOWN_COUNT; id++) {
      const name = knownName(id);
      assert.equal(parse(`${name.toUpperCase()}: x\r\n\r\n`)[1].first(id), 0);
      for (const other of s.collisionsOf(name)) {
        assert.equal(hashName(other), hashName(name));
        collisions++;
        const [result, block] = parse(`${other}: x\r\n${name}: y\r\n\r\n`);
        assert.equal(result, DONE);
        assert.equal(block.id(0), 0, `${other} taken for ${name}`);
        assert.equal(block.get(id), 'y');
        assert.equal(block.find(other), 0);
        assert.equal(block.find(name), 1);
      }
    }
    assert.ok(collisions > 50, `${collisions} collisions`);
  });

  test('known names differ from each other', () => {
    const names = new Set(Array.from({ length: KNOWN_COUNT - 1 }, (_, i) => knownName(i + 1)));
    assert.equal(names.size, KNOWN_COUNT - 1);
  });

  test('repeated fields: first, next, joined', () => {
    const [, block] = parse('Cookie: a\r\nX: 1\r\ncookie: b\r\nCOOKIE:\r\n\r\n');
    const first = block.first(H.cookie);
    assert.deepEqual([first, block.next(first), block.next(2), block.next(3)], [0, 2, 3, -1]);
    assert.equal(block.joined(H.cookie, '; '), 'a; b; ');
    assert.equal(block.joined(H.host, ','), null);
    assert.equal(block.find('x'), 1);
    assert.equal(block.find('x', 1), -1);
  });

  test('nothing of the head before is left after reset', () => {
    const block = new HeaderBlock(true);
    const first = s.latin1('Host: a\r\nContent-Length: 3\r\nX: y\r\n\r\n');
    block.reset(first, 0);
    assert.equal(block.parse(first.length), DONE);
    const second = s.latin1('Y: z\n\n');
    block.reset(second, 0);
    assert.equal(block.has(H.host), false);
    assert.equal(block.parse(second.length), DONE);
    assert.equal(block.first(H['content-length']), -1);
    assert.deepEqual(s.fieldsOf(block), [['Y', 'z']]);
  });

  test('bytes behind `end` are not looked at', () => {
    const bytes = s.latin1('A: b\r\n\r\n');
    for (let end = 0; end < bytes.length; end++) {
      const block = new HeaderBlock(true);
      block.reset(bytes, 0);
      assert.equal(block.parse(end), MORE, `at ${end}`);
    }
  });
});
