/** any-proxy's tunnel frames, byte by byte, and how they are put in order. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  AnyproxyFrameReader,
  anyproxyAddConnect,
  anyproxyClose,
  anyproxyDataHead,
  anyproxyHello,
  anyproxyHelloAck,
  anyproxyMaxConnect,
} from '../../../../src/net/tunnel/anyproxy/frames.ts';
import { PackOrder } from '../../../../src/net/tunnel/anyproxy/reorder.ts';

const HELLO = { sessionId: 'r1@1', minStreamCacheSize: 50, channelSize: 64, index: 0, wantsAck: false };
const MAGIC = '${7tunnel_anyproxy}';

test('a data frame has the bytes that any-proxy gives it', () => {
  const bytes = Buffer.concat([anyproxyDataHead(1, 5), Buffer.from('hello')]);
  assert.equal(bytes.length, 83);
  assert.equal(
    bytes.toString('latin1'),
    `${MAGIC}\0\x1fheader_type = 2\nbody_size = 26\npack_id = 1\npack_size = 5\nhello`,
  );
});

test('the others', () => {
  const body =
    'version = "tunnel.0.1.0"\nsession_id = "r1@1"\nmin_stream_cache_size = 50\nchannel_size = 64\n' +
    'client_peer_stream_index = 0\nis_ack = false\n';
  assert.equal(
    anyproxyHello(HELLO).toString('latin1'),
    `${MAGIC}\0\x20header_type = 0\nbody_size = ${body.length}\n${body}`,
  );
  assert.equal(anyproxyHelloAck().toString('latin1'), `${MAGIC}\0\x1eheader_type = 1\nbody_size = 0\n`);
  assert.match(anyproxyAddConnect().toString('latin1'), /header_type = 3\nbody_size = 21\npeer_stream_size = 0\n$/);
  assert.match(anyproxyMaxConnect(5).toString('latin1'), /header_type = 4\nbody_size = 21\npeer_stream_size = 5\n$/);
  assert.match(anyproxyClose(true).toString('latin1'), /header_type = 5\nbody_size = 17\nis_client = true\n$/);
});

function reader(seen: string[]): AnyproxyFrameReader {
  return new AnyproxyFrameReader({
    onHello: (hello) => void seen.push(JSON.stringify(hello)),
    onHelloAck: () => void seen.push('ack'),
    onPack: (id, size) => void seen.push(`pack ${id} ${size} `),
    onPackBytes: (buf, start, end) => void (seen[seen.length - 1] += buf.toString('latin1', start, end)),
    onAddConnect: () => void seen.push('add'),
    onMaxConnect: () => void seen.push('max'),
    onStreamEnd: (byClient) => void seen.push(`end ${byClient}`),
  });
}

test('read again, split at every byte', () => {
  const all = Buffer.concat([
    anyproxyHello(HELLO),
    anyproxyHelloAck(),
    anyproxyDataHead(7, 4),
    Buffer.from('data'),
    anyproxyDataHead(8, 0),
    anyproxyAddConnect(),
    anyproxyMaxConnect(3),
    anyproxyClose(false),
  ]);
  const expected = [JSON.stringify(HELLO), 'ack', 'pack 7 4 data', 'pack 8 0 ', 'add', 'max', 'end false'];
  for (let cut = 0; cut <= all.length; cut++) {
    const seen: string[] = [];
    const r = reader(seen);
    assert.ok(r.feed(all, 0, cut) && r.feed(all, cut, all.length), `cut at ${cut}`);
    assert.deepEqual(seen, expected);
  }
});

test('what is wrong is refused: magic, lengths, types, bodies, versions', () => {
  const bad = [
    'GET / HTTP/1.1',
    `${MAGIC}\0\0`,
    `${MAGIC}\x10\x01`,
    `${MAGIC}\0\x03abc`,
    `${MAGIC}\0\x1eheader_type = 9\nbody_size = 0\n`,
    `${MAGIC}\0\x21header_type = 2\nbody_size = 4097\n`,
    `${MAGIC}\0\x1fheader_type = 2\nbody_size = 12\npack_id = 1\n`,
    anyproxyHello({ ...HELLO, sessionId: '' }).toString('latin1'),
    anyproxyHello(HELLO).toString('latin1').replace('tunnel.0.1.0', 'tunnel.0.2.0'),
    anyproxyDataHead(0, 5).toString('latin1'),
    anyproxyDataHead(1, 17 * 1024 * 1024).toString('latin1'),
  ];
  for (const text of bad) {
    const bytes = Buffer.from(text, 'latin1');
    assert.ok(!reader([]).feed(bytes, 0, bytes.length), text);
  }
});

test('whatever bytes come, the reader lives', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 100 })), fc.boolean(), (pieces, begin) => {
      const r = reader(['']);
      for (const piece of [Buffer.from(begin ? MAGIC : ''), ...pieces.map((p) => Buffer.from(p))]) {
        if (!r.feed(piece, 0, piece.length)) return;
      }
    }),
  );
});

test('frames over several connections come out in order, in whatever pieces they come, repeated ones once', () => {
  const plan = fc.record({
    sizes: fc.array(fc.nat(40), { minLength: 1, maxLength: 40 }),
    links: fc.integer({ min: 1, max: 5 }),
    moves: fc.array(fc.tuple(fc.nat(4), fc.integer({ min: 1, max: 30 })), { maxLength: 300 }),
    again: fc.array(fc.nat(39), { maxLength: 5 }),
  });
  fc.assert(
    fc.property(plan, ({ sizes, links, moves, again }) => {
      let next = 0;
      const packs = sizes.map((size) => Buffer.from(Array.from({ length: size }, () => (next = (next + 1) & 255))));
      const out: Buffer[] = [];
      const order = new PackOrder({
        deliver: (buf, start, end) => void out.push(Buffer.from(buf.subarray(start, end))),
      });
      const queues = Array.from({ length: links }, (_, link) =>
        packs.map((pack, i) => ({ id: i + 1, pack, at: -1, skips: false })).filter((_p, i) => i % links === link),
      );
      for (const i of again) {
        if (i < packs.length) queues[i % links]!.push({ id: i + 1, pack: packs[i]!, at: -1, skips: false });
      }
      const move = (link: number, n: number): void => {
        const head = queues[link]?.[0];
        if (head === undefined) return;
        if (head.at < 0) {
          head.skips = !order.begin(head.id, head.pack.length);
          head.at = 0;
        }
        const end = Math.min(head.pack.length, head.at + n);
        if (!head.skips && end > head.at) order.bytes(head.id, head.pack, head.at, end);
        head.at = end;
        if (end === head.pack.length) queues[link]!.shift();
      };
      for (const [link, n] of moves) move(link % links, n);
      for (let i = 0; i < links; i++) while (queues[i]!.length > 0) move(i, 1000);
      assert.ok(Buffer.concat(out).equals(Buffer.concat(packs)));
      assert.deepEqual([order.gap, order.held, order.waiting], [false, 0, 0]);
    }),
  );
});
