/** Tables of charset_map, and UTF-8 that comes in pieces. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Charsets } from '../../../../src/http/filters/charset/tables.ts';
import { Utf8Reader } from '../../../../src/http/filters/charset/utf8.ts';

const CHARSETS = new Charsets({
  names: ['koi8-r', 'utf-8', 'A', 'B'],
  maps: [
    {
      from: 'koi8-r',
      to: 'utf-8',
      pairs: [
        [0xc1, [0xd0, 0xb0]],
        [0x80, [0xe2, 0x94, 0x80]],
      ],
    },
    { from: 'B', to: 'A', pairs: [[0x58, [0x59]]] },
  ],
});

function decode(bytes: Buffer, cuts: readonly number[] = []): string {
  const recoding = CHARSETS.recoding('utf-8', 'koi8-r');
  assert.ok(recoding?.kind === 'from utf-8');
  const reader = new Utf8Reader(recoding.table);
  let text = '';
  const ends = [...cuts.map((cut) => Math.min(cut, bytes.length)).toSorted((a, b) => a - b), bytes.length];
  let from = 0;
  for (const end of ends) {
    const out = Buffer.alloc(Utf8Reader.room(end - from));
    text += out.latin1Slice(0, reader.read(bytes, from, end, out));
    from = end;
  }
  return text;
}

describe('charsets', () => {
  test('names in any case; both ways', () => {
    assert.ok(CHARSETS.known('KOI8-R') && !CHARSETS.known('koi8-u') && CHARSETS.recodes);
    assert.equal(CHARSETS.recoding('a', 'utf-8'), null);
    const there = CHARSETS.recoding('b', 'a');
    const back = CHARSETS.recoding('A', 'B');
    assert.ok(there?.kind === 'bytes' && back?.kind === 'bytes');
    assert.deepEqual([there.table[0x58], there.table[0x57], there.table[0xff]], [0x59, 0x57, 0x3f]);
    assert.equal(back.table[0x59], 0x58);
    const utf8 = CHARSETS.recoding('Koi8-R', 'UTF-8');
    assert.ok(utf8?.kind === 'to utf-8');
    assert.deepEqual(
      [0x41, 0xc1, 0x80, 0xff].map((b) => utf8.table[b]!.toString('utf8')),
      ['A', 'а', '─', '?'],
    );
    assert.equal(utf8.longest, 3);
    assert.equal(new Charsets(undefined).recodes, false);
  });

  test('what the charset has not becomes a reference, what is no UTF-8 a question mark', () => {
    for (const [bytes, expected] of [
      [Buffer.from('Aа─'), 'A\xc1\x80'],
      [Buffer.from('б€😀'), '&#1073;&#8364;&#128512;'],
      [Buffer.of(0xff, 0x41), '?A'],
      [Buffer.of(0x80, 0x41), '?A'],
      // Too long a form, a surrogate, beyond the last code point.
      [Buffer.of(0xc0, 0x80), '??'],
      [Buffer.of(0xe0, 0x80, 0x80), '?'],
      [Buffer.of(0xed, 0xa0, 0x80), '?'],
      [Buffer.of(0xf4, 0x90, 0x80, 0x80), '?'],
      // A quote is never the rest of a broken character.
      [Buffer.of(0xd0, 0x22, 0x3c), '?"<'],
      [Buffer.of(0xe2, 0x94, 0xd0, 0xb0), '?\xc1'],
      // Its rest never comes.
      [Buffer.of(0x41, 0xd0), 'A'],
    ] as const)
      assert.equal(decode(bytes), expected);
  });

  test('the same whatever the pieces', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'grapheme' }).map((text) => Buffer.from(text)),
          fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
        ),
        fc.array(fc.nat(60), { maxLength: 6 }),
        (bytes, cuts) => {
          const whole = decode(bytes);
          assert.equal(decode(bytes, cuts), whole);
          const text = bytes.toString('utf8');
          // Of valid UTF-8 we know what must come out.
          if (!Buffer.from(text).equals(bytes)) return;
          const known: Record<string, string> = { а: '\xc1', '─': '\x80' };
          const expected = [...text].map((c) => known[c] ?? (c < '\x80' ? c : `&#${c.codePointAt(0)};`)).join('');
          assert.equal(whole, expected);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
