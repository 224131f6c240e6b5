/** any-proxy's hello and heartbeat packets, byte by byte. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { believes, parseSocketAddress } from '../../../src/net/anyproxy/address.ts';
import {
  PACKET_BROKEN,
  PACKET_MAX,
  PACKET_MORE,
  PACKET_NONE,
  PacketReader,
  writeHeartbeat,
  writeHello,
} from '../../../src/net/anyproxy/packet.ts';
import type { Hello } from '../../../src/net/anyproxy/packet.ts';
import { newRequestId } from '../../../src/net/anyproxy/request-id.ts';
import { SocketAddress } from '../../../src/net/client-address.ts';
import { NetworkList } from '../../../src/net/networks.ts';

const CLIENT = new SocketAddress('203.0.113.9', 50123);
const HELLO: Hello = { requestId: 'r1@1', client: CLIENT, domain: 'www.example.cn' };
const BODY =
  'version = "anyproxy.0.1.0"\nrequest_id = "r1@1"\nclient_addr = "203.0.113.9:50123"\ndomain = "www.example.cn"\n';
const HEADER = '00206865616465725f74797065203d20300a626f64795f73697a65203d203130370a';

/** A reader that has got `bytes` in pieces that end at `cuts`; `outcome` is the first that is not "more". */
function read(bytes: Buffer, cuts: readonly number[] = []): { reader: PacketReader; outcome: number; at: number } {
  const reader = new PacketReader();
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    // Each piece lies somewhere else, and is gone after the call.
    const piece = Buffer.concat([Buffer.alloc(3), bytes.subarray(from, to), Buffer.alloc(2)]);
    const outcome = reader.feed(piece, 3, 3 + to - from);
    piece.fill(0xff);
    if (outcome !== PACKET_MORE) return { reader, outcome: outcome < 0 ? outcome : from + outcome - 3, at: to };
    from = to;
  }
  return { reader, outcome: PACKET_MORE, at: bytes.length };
}

function packet(header: string, body: string): Buffer {
  const head = Buffer.from(header);
  return Buffer.concat([
    Buffer.from('${4anyproxy}'),
    Buffer.from([head.length >> 8, head.length & 255]),
    head,
    Buffer.from(body),
  ]);
}

test('a hello has the bytes that any-proxy gives it', () => {
  const bytes = writeHello(HELLO);
  assert.equal(bytes.length, 153);
  assert.equal(bytes.toString('hex'), `247b34616e7970726f78797d${HEADER}${Buffer.from(BODY).toString('hex')}`);
});

test("the seed's magic is written on demand, and all behind it is the same", () => {
  const bytes = writeHello(HELLO, '2023-12');
  assert.equal(bytes.subarray(0, 12).toString('hex'), '24247b616e7970726f78797d');
  assert.deepEqual(bytes.subarray(12), writeHello(HELLO).subarray(12));
});

test('a heartbeat and its answer', () => {
  const body = 'version = "anyproxy.0.1.0"\n';
  assert.equal(writeHeartbeat(false).length, 72);
  assert.equal(writeHeartbeat(false).toString('latin1'), `\${4anyproxy}\0\x1fheader_type = 1\nbody_size = 27\n${body}`);
  assert.equal(
    writeHeartbeat(true, '2023-12').toString('latin1'),
    `$\${anyproxy}\0\x1fheader_type = 2\nbody_size = 27\n${body}`,
  );
});

test('split at every byte, a packet is found, and so is where the next bytes begin', () => {
  for (const [bytes, kind] of [
    [writeHello(HELLO), 'hello'],
    [writeHello(HELLO, '2023-12'), 'hello'],
    [writeHeartbeat(false), 'heartbeat'],
    [writeHeartbeat(true), 'heartbeat_answer'],
  ] as const) {
    const all = Buffer.concat([bytes, Buffer.from('${4anyproxy}own')]);
    for (let cut = 0; cut <= all.length; cut++) {
      const { reader, outcome } = read(all, [cut]);
      assert.equal(outcome, bytes.length, `cut at ${cut}`);
      assert.equal(reader.packet?.kind, kind);
      assert.equal(reader.held, null);
      if (reader.packet?.kind === 'hello') {
        assert.equal(reader.packet.hello.client.text, '203.0.113.9');
        assert.equal(reader.packet.hello.client.port, 50123);
        assert.equal(reader.packet.hello.domain, 'www.example.cn');
        assert.equal(reader.packet.hello.requestId, 'r1@1');
      }
    }
    const one = Array.from(bytes, (_, at) => at);
    assert.equal(read(all, one).outcome, bytes.length);
  }
});

test('given up at the first byte that differs, with all bytes kept', () => {
  for (const magic of ['$${anyproxy}', '${4anyproxy}']) {
    for (let same = 0; same < 12; same++) {
      const bytes = Buffer.from(`${magic.slice(0, same)}\x01`, 'latin1');
      const { reader, outcome, at } = read(bytes, Array.from(bytes, (_, i) => i + 1).slice(0, -1));
      assert.equal(outcome, PACKET_NONE);
      assert.equal(at, same + 1);
      assert.equal((reader.held ?? Buffer.alloc(0)).toString('latin1'), magic.slice(0, same));
    }
  }
  assert.equal(read(Buffer.from('GET / HTTP/1.1\r\n\r\n')).outcome, PACKET_NONE);
});

test('any order, comments, other keys; never more than 4096 bytes', () => {
  const body = `# hop\nother = [1]\ndomain = 'a.b' # c\n\nclient_addr = "[2001:DB8::0:1]:9"\nrequest_id="\\u00e9\\"@2"\n`;
  const { reader, outcome } = read(packet(`x = 1.5\nbody_size = ${body.length}\nheader_type = 0`, body));
  assert.ok(outcome > 0, reader.error);
  assert.ok(reader.packet?.kind === 'hello');
  assert.deepEqual(
    [reader.packet.hello.client.text, reader.packet.hello.domain, reader.packet.hello.requestId],
    ['2001:db8::1', 'a.b', 'é"@2'],
  );
  assert.throws(() => writeHello({ ...HELLO, domain: 'x'.repeat(4096) }), RangeError);
});

test('what is wrong is said', () => {
  const broken: [Buffer, RegExp][] = [
    [packet('', ''), /header of 0 bytes/],
    [Buffer.from('${4anyproxy}\x10\x01', 'latin1'), /header of 4097 bytes/],
    [packet('header_type = 0\n', ''), /unreadable header/],
    [packet('nonsense\n', ''), /unreadable header/],
    [packet('header_type = 3\nbody_size = 5\n', ''), /unknown type 3/],
    [packet('header_type = 0\nbody_size = 0\n', ''), /body of 0 bytes/],
    [packet('header_type = 0\nbody_size = 4097\n', ''), /body of 4097 bytes/],
    [packet('header_type = 0\nbody_size = 3\n', 'abc'), /unreadable body/],
    [packet('header_type = 0\nbody_size = 6\n', 'a = 1\n'), /without request_id/],
    [
      packet('header_type = 0\nbody_size = 51\n', 'request_id = "a"\nclient_addr = "here:1"\ndomain = ""\n\n\n'),
      /client_addr "here:1"/,
    ],
  ];
  for (const [bytes, why] of broken) {
    const { reader, outcome } = read(bytes);
    assert.equal(outcome, PACKET_BROKEN, bytes.toString('latin1'));
    assert.match(reader.error, why);
  }
});

test('whatever is written is read again, in any pieces', () => {
  const hellos = fc.record({
    requestId: fc.string({ maxLength: 60, unit: 'binary' }),
    domain: fc.string({ maxLength: 60, unit: 'binary' }),
    port: fc.integer({ min: 0, max: 65535 }),
    address: fc.oneof(fc.ipV4(), fc.ipV6()),
    cuts: fc.array(fc.nat(700)),
  });
  fc.assert(
    fc.property(hellos, ({ requestId, domain, port, address, cuts }) => {
      const text = parseSocketAddress(address.includes(':') ? `[${address}]:1` : `${address}:1`)!.text;
      const bytes = writeHello({ requestId, domain, client: new SocketAddress(text, port) });
      const where = [...new Set(cuts.filter((cut) => cut < bytes.length))].sort((a, b) => a - b);
      const { reader, outcome } = read(Buffer.concat([bytes, Buffer.from('rest')]), where);
      assert.equal(outcome, bytes.length);
      assert.ok(reader.packet?.kind === 'hello');
      const { hello } = reader.packet;
      assert.deepEqual(
        [hello.requestId, hello.domain, hello.client.text, hello.client.port],
        [requestId, domain, text, port],
      );
    }),
  );
});

test('no bytes make the reader keep more than a packet, or fail', () => {
  const beginnings = ['$${anyproxy}', '${4anyproxy}', '${4anyproxy}\0\x20header_type = 0\nbody_size = 107\n', ''];
  fc.assert(
    fc.property(fc.constantFrom(...beginnings), fc.array(fc.uint8Array({ maxLength: 3000 })), (beginning, pieces) => {
      const reader = new PacketReader();
      for (const piece of [Buffer.from(beginning, 'latin1'), ...pieces.map((p) => Buffer.from(p))]) {
        const outcome = reader.feed(piece, 0, piece.length);
        assert.ok(outcome <= piece.length);
        assert.ok((reader.held?.length ?? 0) <= PACKET_MAX);
        if (outcome !== PACKET_MORE) return;
      }
    }),
  );
});

test('addresses: ports up to 65535, 0 for unknown ones', () => {
  assert.equal(parseSocketAddress('1.2.3.4:0')?.port, 0);
  for (const text of ['1.2.3.4', '1.2.3.4:65536', '1.2.3.4:', '::1:80', '[::1]', '[1.2.3.4]:1', 'a:1', '1.2.3:1', '']) {
    assert.equal(parseSocketAddress(text), null, text);
  }
});

test('only whom the configuration trusts is believed', () => {
  const trusted = new NetworkList(['10.0.0.0/8', '2001:db8::/32']);
  const of = (text: string): boolean => believes(trusted, new SocketAddress(text, 1));
  assert.deepEqual(['10.1.2.3', '11.1.2.3', '2001:db8::1', '2001:db9::1', 'unix:'].map(of), [
    true,
    false,
    true,
    false,
    false,
  ]);
  assert.equal(believes(null, new SocketAddress('8.8.8.8', 1)), true);
  assert.equal(believes(new NetworkList([]), new SocketAddress('10.0.0.1', 1)), false);
});

test('request ids are all different and have the sign that any-proxy demands', () => {
  const ids = Array.from({ length: 100 }, () => newRequestId('127.0.0.1:80', '127.0.0.1:5000'));
  assert.equal(new Set(ids).size, 100);
  for (const id of ids) assert.match(id, /^[^@]+@\d+$/);
});
