/** HPACK by the examples of RFC 7541 appendix C, by its refusals, and by properties. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Output } from '../../../../src/net/output.ts';
import { BlockReader } from '../../../../src/http/wire/h2/block-reader.ts';
import { COMPRESSION_ERROR, ENHANCE_YOUR_CALM, FRAME_SIZE_ERROR } from '../../../../src/http/wire/h2/constants.ts';
import { FieldSink, HpackDecoder } from '../../../../src/http/wire/h2/hpack-decoder.ts';
import { encodeField, encodeStatus } from '../../../../src/http/wire/h2/hpack-encoder.ts';
import { decode, encode, encodedLength } from '../../../../src/http/wire/h2/huffman.ts';

class Lines extends FieldSink {
  lines: string[] = [];

  constructor() {
    super(Buffer.alloc(16));
  }

  onField(start: number, nameEnd: number, valueEnd: number): void {
    this.lines.push(`${this.out.latin1Slice(start, nameEnd)}: ${this.out.latin1Slice(nameEnd + 2, valueEnd)}`);
  }
}

/** Decodes one block; the table stays with the decoder. */
function lines(decoder: HpackDecoder, hex: string): string[] {
  const sink = new Lines();
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
  decoder.begin(1 << 20, 1 << 16);
  assert.equal(decoder.decode(bytes, 0, bytes.length, true, sink), bytes.length, decoder.message);
  return sink.lines;
}

const GET = [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com'];
const SECURE = [':method: GET', ':scheme: https', ':path: /index.html', ':authority: www.example.com'];

describe('appendix C', () => {
  test('C.2: single fields', () => {
    assert.deepEqual(lines(new HpackDecoder(), '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572'), [
      'custom-key: custom-header',
    ]);
    assert.deepEqual(lines(new HpackDecoder(), '040c 2f73 616d 706c 652f 7061 7468'), [':path: /sample/path']);
    assert.deepEqual(lines(new HpackDecoder(), '1008 7061 7373 776f 7264 0673 6563 7265 74'), ['password: secret']);
    assert.deepEqual(lines(new HpackDecoder(), '82'), [':method: GET']);
  });

  for (const [name, blocks] of [
    [
      'C.3: requests without Huffman coding',
      [
        '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
        '8286 84be 5808 6e6f 2d63 6163 6865',
        '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
      ],
    ],
    [
      'C.4: requests with Huffman coding',
      [
        '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
        '8286 84be 5886 a8eb 1064 9cbf',
        '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
      ],
    ],
  ] as const) {
    test(name, () => {
      const decoder = new HpackDecoder();
      assert.deepEqual(lines(decoder, blocks[0]), GET);
      assert.deepEqual(lines(decoder, blocks[1]), [...GET, 'cache-control: no-cache']);
      assert.deepEqual(lines(decoder, blocks[2]), [...SECURE, 'custom-key: custom-value']);
      assert.equal(decoder.table.size, 164);
    });
  }

  for (const [name, blocks] of [
    [
      'C.5: answers without Huffman coding, a table of 256 octets',
      [
        '4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d ' +
          '546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
        '4803 3330 37c1 c0bf',
        '88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f ' +
          '6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b ' +
          '2076 6572 7369 6f6e 3d31',
      ],
    ],
    [
      'C.6: answers with Huffman coding, a table of 256 octets',
      [
        '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 ' +
          '8f0b 97c8 e9ae 82ae 43d3',
        '4883 640e ffc1 c0bf',
        '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 ' +
          'dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
      ],
    ],
  ] as const) {
    test(name, () => {
      const decoder = new HpackDecoder();
      decoder.table.resize(256);
      const date = 'date: Mon, 21 Oct 2013 20:13:21 GMT';
      const location = 'location: https://www.example.com';
      assert.deepEqual(lines(decoder, blocks[0]), [':status: 302', 'cache-control: private', date, location]);
      assert.equal(decoder.table.size, 222);
      assert.deepEqual(lines(decoder, blocks[1]), [':status: 307', 'cache-control: private', date, location]);
      assert.deepEqual(lines(decoder, blocks[2]), [
        ':status: 200',
        'cache-control: private',
        'date: Mon, 21 Oct 2013 20:13:22 GMT',
        location,
        'content-encoding: gzip',
        'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
      ]);
      assert.equal(decoder.table.size, 215);
    });
  }
});

describe('what is refused', () => {
  const refused = (hex: string, limit = 1 << 20, maxString = 1 << 16): number => {
    const decoder = new HpackDecoder();
    const bytes = Buffer.from(hex, 'hex');
    decoder.begin(limit, maxString);
    assert.equal(decoder.decode(bytes, 0, bytes.length, true, new Lines()), -1);
    return decoder.error;
  };
  test('an index of nothing', () => {
    assert.equal(refused('80'), COMPRESSION_ERROR);
    assert.equal(refused('be'), COMPRESSION_ERROR);
    assert.equal(refused('7f8001'), COMPRESSION_ERROR);
  });
  test('an integer without end', () => assert.equal(refused('ffffffffffffff7f'), COMPRESSION_ERROR));
  test('a table larger than was agreed', () => assert.equal(refused('3fe21f'), COMPRESSION_ERROR));
  test('a change of the table behind a field', () => assert.equal(refused('8220'), COMPRESSION_ERROR));
  test('more changes of the table than can be needed', () => assert.equal(refused('202020'), COMPRESSION_ERROR));
  test('a string that ends in the middle', () => assert.equal(refused('0403616'.padEnd(8, '1')), FRAME_SIZE_ERROR));
  test('EOS, and padding that is none', () => {
    assert.equal(refused('0484ffffffff'), COMPRESSION_ERROR);
    assert.equal(refused('048163'.replace('63', '60')), COMPRESSION_ERROR);
  });
  test('a string, and a block, beyond their limits', () => {
    assert.equal(refused('047f8101', 1 << 20, 100), ENHANCE_YOUR_CALM);
    assert.equal(refused('828282', 20), ENHANCE_YOUR_CALM);
  });
});

describe('properties', () => {
  const text = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)), maxLength: 300 });

  test('Huffman coding gives back what it was given', () => {
    fc.assert(
      fc.property(text, (s) => {
        const bytes = Buffer.alloc(encodedLength(s));
        assert.equal(encode(s, bytes, 0), bytes.length);
        const out = Buffer.alloc(600);
        const end = decode(bytes, 0, bytes.length, out, 0);
        assert.equal(out.latin1Slice(0, end), s);
      }),
    );
  });

  test('a block is read alike however it is cut', () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(name, text), { maxLength: 10 }),
        fc.array(fc.integer({ min: 1, max: 40 })),
        (fields, cuts) => {
          const o = new Output();
          encodeStatus(o, 418);
          for (const [field, value] of fields) encodeField(o, field, value);
          const decoder = new HpackDecoder();
          const reader = new BlockReader(decoder);
          const sink = new Lines();
          decoder.begin(1 << 20, 1 << 16);
          reader.begin();
          let at = 0;
          for (const cut of cuts) {
            if (at + cut >= o.length) break;
            assert.ok(reader.feed(Buffer.from(o.buf.subarray(at, at + cut)), 0, cut, false, sink), decoder.message);
            at += cut;
          }
          assert.ok(reader.feed(o.buf, at, o.length, true, sink), decoder.message);
          assert.deepEqual(sink.lines, [':status: 418', ...fields.map(([field, value]) => `${field}: ${value}`)]);
        },
      ),
    );
  });

  test('no bytes make the decoder throw or go on for ever', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const decoder = new HpackDecoder();
        decoder.begin(32768, 8192);
        const sink = new Lines();
        const result = decoder.decode(Buffer.from(bytes), 0, bytes.length, true, sink);
        assert.ok(result === bytes.length || (result === -1 && decoder.error > 0));
        assert.ok(decoder.table.size <= 4096);
      }),
    );
  });
});
