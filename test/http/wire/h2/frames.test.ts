/** Frames by their bytes: read however they are cut, and written as RFC 9113 says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Output } from '../../../../src/net/output.ts';
import * as h2 from '../../../../src/http/wire/h2/constants.ts';
import {
  FRAME_BAD,
  FRAME_BEGIN,
  FRAME_MORE,
  FRAME_PIECE,
  FRAME_WHOLE,
  FrameReader,
} from '../../../../src/http/wire/h2/frame-reader.ts';
import * as write from '../../../../src/http/wire/h2/frame-writer.ts';

interface Seen {
  type: number;
  flags: number;
  id: number;
  payload: string;
}

/** Reads `bytes` in pieces of the given sizes. */
function read(bytes: Buffer, cuts: readonly number[]): Seen[] {
  const reader = new FrameReader();
  const seen: Seen[] = [];
  let at = 0;
  for (let k = 0; at < bytes.length; k++) {
    const n = cuts[k] ?? bytes.length;
    // Each read lies elsewhere, as it does in a shared area.
    const piece = Buffer.from(bytes.subarray(at, at + n));
    at += piece.length;
    for (let pos = 0; ;) {
      const event = reader.next(piece, pos, piece.length);
      pos = reader.pos;
      if (event === FRAME_MORE) break;
      assert.notEqual(event, FRAME_BAD, reader.message);
      if (event === FRAME_BEGIN) {
        seen.push({ type: reader.type, flags: reader.flags, id: reader.id, payload: '' });
      } else {
        assert.ok(event === FRAME_PIECE || event === FRAME_WHOLE);
        const source = event === FRAME_PIECE ? piece : reader.bytes;
        seen.at(-1)!.payload += source.toString('hex', reader.start, reader.end);
      }
    }
  }
  assert.ok(!reader.partial);
  return seen;
}

function frame(type: number, flags: number, id: number, payload: Buffer): Buffer {
  const o = new Output();
  write.writeFrameHead(o, payload.length, type, flags, id);
  o.bytes(payload, 0, payload.length);
  return Buffer.from(o.buf.subarray(0, o.length));
}

test('frames are read alike however they are cut; padding and priority are taken off', () => {
  const frames = [
    frame(h2.SETTINGS, 0, 0, Buffer.from('000300000064', 'hex')),
    frame(
      h2.HEADERS,
      h2.FLAG_END_HEADERS | h2.FLAG_PADDED | h2.FLAG_PRIORITY,
      1,
      Buffer.from('02800000030f82848600 00'.replace(' ', ''), 'hex'),
    ),
    frame(h2.DATA, h2.FLAG_PADDED, 1, Buffer.from('0361626300 0000'.replace(' ', ''), 'hex')),
    frame(h2.DATA, h2.FLAG_END_STREAM, 1, Buffer.alloc(0)),
    frame(0x55, 0xff, 0x7fffffff, Buffer.from('whatever')),
    frame(h2.GOAWAY, 0, 0, Buffer.concat([Buffer.from('0000000100000002', 'hex'), Buffer.from('debug')])),
    frame(h2.PING, 0, 0, Buffer.from('01234567')),
  ];
  const expected: Seen[] = [
    { type: h2.SETTINGS, flags: 0, id: 0, payload: '000300000064' },
    { type: h2.HEADERS, flags: 0x2c, id: 1, payload: '828486' },
    { type: h2.DATA, flags: 8, id: 1, payload: '616263' },
    { type: h2.DATA, flags: 1, id: 1, payload: '' },
    { type: 0x55, flags: 0xff, id: 0x7fffffff, payload: '' },
    { type: h2.GOAWAY, flags: 0, id: 0, payload: '0000000100000002' },
    { type: h2.PING, flags: 0, id: 0, payload: Buffer.from('01234567').toString('hex') },
  ];
  assert.deepEqual(read(Buffer.concat(frames), []), expected);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 60 }), (cuts) => {
      assert.deepEqual(read(Buffer.concat(frames), cuts), expected);
    }),
  );
});

test('lengths that cannot be are refused', () => {
  const refusal = (bytes: Buffer): number => {
    const reader = new FrameReader();
    let event = reader.next(bytes, 0, bytes.length);
    while (event === FRAME_BEGIN || event === FRAME_PIECE) event = reader.next(bytes, reader.pos, bytes.length);
    assert.equal(event, FRAME_BAD);
    return reader.error;
  };
  assert.equal(refusal(frame(h2.DATA, h2.FLAG_PADDED, 1, Buffer.alloc(0))), h2.FRAME_SIZE_ERROR);
  assert.equal(refusal(frame(h2.DATA, h2.FLAG_PADDED, 1, Buffer.from([1]))), h2.PROTOCOL_ERROR);
  assert.equal(refusal(frame(h2.HEADERS, h2.FLAG_PRIORITY, 1, Buffer.alloc(4))), h2.FRAME_SIZE_ERROR);
  assert.equal(refusal(frame(h2.SETTINGS, 0, 0, Buffer.alloc(16386))), h2.FRAME_SIZE_ERROR);
  assert.equal(refusal(frame(h2.PING, 0, 0, Buffer.alloc(64))), h2.FRAME_SIZE_ERROR);
});

test('no bytes make the reader throw or stand still', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
      const reader = new FrameReader();
      const buf = Buffer.from(bytes);
      for (let pos = 0, turns = 0; ; turns++) {
        const event = reader.next(buf, pos, buf.length);
        pos = reader.pos;
        if (event === FRAME_MORE || event === FRAME_BAD) break;
        assert.ok(turns <= bytes.length);
      }
    }),
  );
});

test('a header block that is longer than a frame goes on in CONTINUATION frames', () => {
  const o = new Output();
  const start = write.beginHeaders(o);
  const block = Buffer.from(Array.from({ length: 25 }, (_, i) => i));
  o.bytes(block, 0, block.length);
  write.endHeaders(o, start, h2.FLAG_END_STREAM, 7, 10);
  assert.deepEqual(read(Buffer.from(o.buf.subarray(0, o.length)), []), [
    { type: h2.HEADERS, flags: h2.FLAG_END_STREAM, id: 7, payload: block.toString('hex', 0, 10) },
    { type: h2.CONTINUATION, flags: 0, id: 7, payload: block.toString('hex', 10, 20) },
    { type: h2.CONTINUATION, flags: h2.FLAG_END_HEADERS, id: 7, payload: block.toString('hex', 20, 25) },
  ]);
});

test('frames are written as they are read', () => {
  const o = new Output();
  write.writeSettings(o, [[h2.SETTING_MAX_CONCURRENT_STREAMS, 128]]);
  write.writeSettingsAck(o);
  write.writeWindowUpdate(o, 3, h2.MAX_WINDOW);
  write.writeReset(o, 5, h2.CANCEL);
  write.writeGoaway(o, 9, h2.ENHANCE_YOUR_CALM);
  write.writePingAck(o, Buffer.from('xx12345678'), 2);
  assert.equal(
    o.buf.toString('hex', 0, o.length),
    '000006040000000000000300000080' +
      '000000040100000000' +
      '0000040800000000037fffffff' +
      '00000403000000000500000008' +
      '0000080700000000000000000900 00000b'.replace(' ', '') +
      '0000080601000000003132333435363738',
  );
});
