import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CHUNK_BAD, CHUNK_DATA, CHUNK_END, CHUNK_MORE, ChunkedDecoder } from '../../../src/http/wire/chunked.ts';
import * as s from './support.ts';

interface Decoded {
  event: number;
  data: string;
  /** Bytes behind the body. */
  rest: number;
  trailers: s.Field[] | null;
  unclean: boolean;
}

/** Decodes in reads that end at `cuts`. Each read stands in a buffer of its own, as the engine's does. */
function decode(bytes: Buffer, cuts: readonly number[], strict = true, decoder = new ChunkedDecoder(strict)): Decoded {
  const data: Buffer[] = [];
  let event = CHUNK_MORE;
  let from = 0;
  for (const end of [...cuts.filter((c) => c > 0 && c < bytes.length).toSorted((a, b) => a - b), bytes.length]) {
    if (end === from) continue;
    const read = Buffer.concat([Buffer.from('\r\n'), bytes.subarray(from, end), Buffer.from('\r\n0\r\n\r\n')]);
    let pos = 2;
    const last = 2 + end - from;
    for (;;) {
      event = decoder.next(read, pos, last);
      if (event === CHUNK_BAD) return { event, data: '', rest: 0, trailers: null, unclean: false };
      pos = decoder.pos;
      if (event === CHUNK_DATA) {
        assert.ok(decoder.dataStart >= 2 && decoder.dataEnd <= last && decoder.dataEnd > decoder.dataStart);
        data.push(read.subarray(decoder.dataStart, decoder.dataEnd));
      } else break;
    }
    if (event === CHUNK_END) {
      const trailers = decoder.trailers === null ? null : s.fieldsOf(decoder.trailers);
      const rest = bytes.length - (from + pos - 2);
      return { event, data: Buffer.concat(data).toString('latin1'), rest, trailers, unclean: decoder.unclean };
    }
    assert.equal(pos, last, 'all bytes are consumed when more are asked for');
    from = end;
  }
  return { event, data: Buffer.concat(data).toString('latin1'), rest: 0, trailers: null, unclean: decoder.unclean };
}

const chunkData = fc.string({ unit: fc.constantFrom('a', '0', '\r', '\n', '\0', '\xff'), minLength: 1, maxLength: 40 });
const extension = fc.constantFrom('', '', '', ';a', ';a=b', '; a = "x y"', ' ;a', '\t; a', ';\x80');

describe('chunked coding', () => {
  test('data and trailers come out as they went in, for every split into reads', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(chunkData, extension, fc.constantFrom('', '0', '000')), { maxLength: 6 }),
        s.fields,
        s.cuts,
        (chunks, trailers, cuts) => {
          const body = chunks.map(([d, x, zeros]) => `${zeros}${d.length.toString(16)}${x}\r\n${d}\r\n`).join('');
          const bytes = s.latin1(`${body}0\r\n${s.fieldLines(trailers, '\r\n')}\r\nrest`);
          const expected: Decoded = {
            event: CHUNK_END,
            data: chunks.map(([d]) => d).join(''),
            rest: 4,
            trailers: trailers.length === 0 ? null : trailers,
            unclean: false,
          };
          for (const at of [[], cuts, s.everyByte(bytes)]) assert.deepEqual(decode(bytes, at), expected);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('wrong bytes come to the same for every split into reads', () => {
    fc.assert(
      fc.property(
        fc.array(chunkData, { maxLength: 4 }),
        s.mutations,
        s.cuts,
        fc.boolean(),
        fc.boolean(),
        (chunks, mutations, cuts, strict, trailer) => {
          const body = chunks.map((d) => `${d.length.toString(16)}\r\n${d}\r\n`).join('');
          const bytes = s.latin1(s.mutate(`${body}0\r\n${trailer ? 'A: b\r\n' : ''}\r\n`, mutations));
          const whole = decode(bytes, [], strict);
          assert.deepEqual(decode(bytes, cuts, strict), whole);
          assert.deepEqual(decode(bytes, s.everyByte(bytes), strict), whole);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('a decoder that was reset knows nothing of the body before', () => {
    const decoder = new ChunkedDecoder(false);
    for (const before of ['5\r\nab', '0\r\nA: b\r\n', '3\nabc\n', '1;', 'x']) {
      decode(s.latin1(before), [], false, decoder);
      decoder.reset();
      const again = decode(s.latin1('1\r\nz\r\n0\r\n\r\n'), [], false, decoder);
      assert.deepEqual(again, { event: CHUNK_END, data: 'z', rest: 0, trailers: null, unclean: false });
    }
  });

  const wrong: [what: string, text: string][] = [
    ['no size', '\r\nabc'],
    ['size that begins with a space', ' 3\r\nabc\r\n0\r\n\r\n'],
    ['0x', '0x3\r\nabc\r\n0\r\n\r\n'],
    ['negative', '-3\r\nabc\r\n0\r\n\r\n'],
    ['plus', '+3\r\nabc\r\n0\r\n\r\n'],
    ['two sizes', '3 3\r\nabc\r\n0\r\n\r\n'],
    ['garbage behind a space', '3 x\r\nabc\r\n0\r\n\r\n'],
    ['underscore', '1_0\r\n'],
    ['2^53', '20000000000000\r\n'],
    ['2^64 + 3', '10000000000000003\r\nabc\r\n0\r\n\r\n'],
    ['many digits', `${'f'.repeat(40)}\r\n`],
    ['bare LF behind the size', '3\nabc\r\n0\r\n\r\n'],
    ['bare CR behind the size', '3\rabc\r\n0\r\n\r\n'],
    ['bare LF behind an extension', '3;a\nabc\r\n0\r\n\r\n'],
    ['bare CR in an extension', '3;a\rb\r\nabc\r\n0\r\n\r\n'],
    ['NUL in an extension', '3;a\0\r\nabc\r\n0\r\n\r\n'],
    ['no CRLF behind the data', '3\r\nabc0\r\n\r\n'],
    ['bare LF behind the data', '3\r\nabc\n0\r\n\r\n'],
    ['bare CR behind the data', '3\r\nabc\r0\r\n\r\n'],
    ['more data than the size', '3\r\nabcd\r\n0\r\n\r\n'],
    ['bare LF at the end', '0\r\n\n'],
    ['bare LF in the trailers', '0\r\nA: b\n\r\n'],
    ['folded trailer', '0\r\nA: b\r\n c\r\n\r\n'],
    ['trailer without colon', '0\r\nGET / HTTP/1.1\r\n\r\n'],
    ['trailer with a space before the colon', '0\r\nA : b\r\n\r\n'],
    ['trailer with NUL', '0\r\nA: \0\r\n\r\n'],
    ['CR alone, then a field', '0\r\n\rA: b\r\n\r\n'],
  ];
  for (const [what, text] of wrong) {
    test(`refused: ${what}`, () => {
      const bytes = s.latin1(text);
      assert.equal(decode(bytes, []).event, CHUNK_BAD);
      assert.equal(decode(bytes, s.everyByte(bytes)).event, CHUNK_BAD);
    });
  }

  test('the largest size that is exact is taken, the next is not', () => {
    assert.equal(decode(s.latin1('1fffffffffffff\r\nabc'), []).data, 'abc');
    assert.equal(decode(s.latin1('20000000000000\r\nabc'), []).event, CHUNK_BAD);
  });

  test('extensions and trailers are bounded', () => {
    assert.equal(decode(s.latin1(`1;${'a'.repeat(5000)}\r\nx\r\n0\r\n\r\n`), []).event, CHUNK_BAD);
    assert.equal(decode(s.latin1(`0\r\n${`A: ${'b'.repeat(1000)}\r\n`.repeat(20)}\r\n`), []).event, CHUNK_BAD);
    assert.equal(decode(s.latin1(`0\r\nA: ${'b'.repeat(20_000)}`), []).event, CHUNK_BAD);
  });

  test('of a server a bare LF is taken, and told', () => {
    for (const text of [
      '3\nabc\r\n0\r\n\r\n',
      '3\r\nabc\n0\r\n\r\n',
      '3\r\nabc\r\n0\n\r\n',
      '3\r\nabc\r\n0\r\n\n',
      '3\nabc\n0\nA: b\n\n',
    ]) {
      const found = decode(s.latin1(text), s.everyByte(s.latin1(text)), false);
      assert.deepEqual([found.event, found.data, found.unclean], [CHUNK_END, 'abc', true], JSON.stringify(text));
    }
  });
});
