/** The PROXY protocol's codec: bytes of the specification, in pieces, broken ones, and what is written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { crc32c } from '../../src/net/crc32c.ts';
import {
  CLIENT_SSL,
  PROXY_BROKEN,
  PROXY_HEADER_MAX,
  PROXY_MORE,
  ProxyHeaderReader,
  SSL_TLV,
  sslTlvValue,
  TLV,
  writeProxyV1,
  writeProxyV2,
} from '../../src/net/proxy-protocol.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const SIGNATURE = '\r\n\r\n\0\r\nQUIT\n';

/** A header of version 2 by hand. */
function v2(command: number, family: number, content: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(content.length);
  return Buffer.concat([bytes(SIGNATURE), Buffer.from([command, family]), length, content]);
}

/** Reads a header in one piece; out: what it told, and the bytes behind it. */
function read(data: Buffer) {
  const reader = new ProxyHeaderReader();
  const next = reader.feed(data, 0, data.length);
  const { info } = reader;
  return {
    next,
    error: reader.error,
    tlv: (name: string) => info?.tlv(name) ?? null,
    told:
      info === null
        ? null
        : `${info.sourceAddress} ${info.sourcePort} ${info.destinationAddress} ${info.destinationPort}`,
  };
}

const INET = Buffer.from([192, 0, 2, 1, 192, 0, 2, 2, 0, 123, 22, 46]);

test('version 1', () => {
  const cases: [string, string | null][] = [
    ['PROXY TCP4 192.0.2.1 192.0.2.2 123 5678\r\n', '192.0.2.1 123 192.0.2.2 5678'],
    ['PROXY TCP6 2001:Db8::1 2001:Db8::2 123 5678\r\n', '2001:Db8::1 123 2001:Db8::2 5678'],
    ['PROXY TCP4 0.0.0.0 1.1.1.1 0 65535\r\n', '0.0.0.0 0 1.1.1.1 65535'],
    ['PROXY UNKNOWN\r\n', null],
    ['PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n', null],
  ];
  for (const [line, told] of cases) {
    const header = read(bytes(`${line}GET / HTTP/1.1\r\n`));
    assert.equal(header.next, line.length, line);
    assert.equal(header.told, told, line);
    assert.equal(header.tlv('authority'), null);
  }
});

test('version 1, broken', () => {
  const cases = [
    'GET / HTTP/1.1\r\n',
    'proxy TCP4 192.0.2.1 192.0.2.2 123 5678\r\n',
    'PROXY TCP5 192.0.2.1 192.0.2.2 123 5678\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 123\r\n',
    'PROXY TCP4 192.0.2.256 192.0.2.2 123 5678\r\n',
    'PROXY TCP4 2001:db8::1 192.0.2.2 123 5678\r\n',
    'PROXY TCP6 192.0.2.1 192.0.2.2 123 5678\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 123 65536\r\n',
    'PROXY TCP4 192.0.2.1  192.0.2.2 123 5678\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 123 5678 \r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 123 5678\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 123 5678\rx',
    'PROXY UNKNOWNX\r\n',
    `PROXY UNKNOWN ${'x'.repeat(92)}\r\n`,
    `PROXY UNKNOWN ${'x'.repeat(200)}`,
    '\r\n\r\n\0\r\nQUIX',
  ];
  for (const line of cases) {
    const header = read(bytes(line));
    assert.equal(header.next, PROXY_BROKEN, line);
    assert.match(header.error, /^broken header: "/, line);
  }
  // 107 bytes are the longest line.
  assert.equal(read(bytes(`PROXY UNKNOWN ${'x'.repeat(91)}\r\n`)).next, 107);
});

test('version 2: addresses, commands, families', () => {
  const inet6 = Buffer.from(`20010db8${'0'.repeat(23)}120010db8${'0'.repeat(23)}2007b162e`, 'hex');
  const cases: [Buffer, string | null][] = [
    [v2(0x21, 0x11, INET), '192.0.2.1 123 192.0.2.2 5678'],
    [v2(0x21, 0x21, inet6), '2001:db8::1 123 2001:db8::2 5678'],
    // LOCAL; datagrams; unix sockets; no family.
    [v2(0x20, 0x11, INET), null],
    [v2(0x21, 0x12, INET), null],
    [v2(0x21, 0x31, Buffer.alloc(216)), null],
    [v2(0x20, 0x00, Buffer.alloc(0)), null],
  ];
  for (const [data, told] of cases) {
    const header = read(Buffer.concat([data, bytes('rest')]));
    assert.equal(header.next, data.length);
    assert.equal(header.told, told);
  }
});

test('version 2, broken', () => {
  const broken = (data: Buffer, why: RegExp): void => {
    const header = read(data);
    assert.equal(header.next, PROXY_BROKEN);
    assert.match(header.error, why);
  };
  broken(v2(0x31, 0x11, INET), /unknown PROXY protocol version: 3/);
  broken(v2(0x22, 0x11, INET), /unknown PROXY protocol command: 2/);
  broken(v2(0x21, 0x11, INET.subarray(1)), /too short for its addresses/);
  broken(v2(0x21, 0x21, INET), /too short for its addresses/);
  // Told by its length: nobody waits for the rest.
  broken(v2(0x21, 0x11, Buffer.alloc(PROXY_HEADER_MAX - 15)).subarray(0, 20), /header is too large/);
  assert.equal(read(v2(0x21, 0x11, Buffer.alloc(PROXY_HEADER_MAX - 16))).next, PROXY_HEADER_MAX);
});

test('entries by name and by number', () => {
  const entry = (type: number, value: string) => ({ type, value: bytes(value) });
  const ssl = sslTlvValue(CLIENT_SSL.ssl, 255, [entry(SSL_TLV.version, 'TLSv1.2'), entry(SSL_TLV.cn, 'example.com')]);
  const source = { address: '192.0.2.1', port: 123 };
  const destination = { address: '192.0.2.2', port: 5678 };
  const tlvs = [entry(TLV.alpn, 'h2'), { type: TLV.ssl, value: ssl }, entry(0xae, '12345'), entry(0xae, 'second')];
  const header = read(writeProxyV2(source, destination, tlvs));
  const values: Record<string, string | null> = {
    alpn: 'h2',
    '0x01': 'h2',
    '0x1': 'h2',
    '0x000ae': '12345',
    ssl: ssl.latin1Slice(),
    ssl_verify: '255',
    ssl_version: 'TLSv1.2',
    ssl_0x22: 'example.com',
    ssl_cipher: null,
    authority: null,
    nonsense: null,
    '0x': null,
    '0xzz': null,
    ssl_nonsense: null,
  };
  for (const [name, value] of Object.entries(values)) assert.equal(header.tlv(name), value, name);

  // Cut in its entries: what is whole can be read.
  const cut = read(v2(0x21, 0x11, Buffer.concat([INET, Buffer.from([1, 0, 1, 65, 2, 0, 9, 66])])));
  assert.deepEqual([cut.tlv('alpn'), cut.tlv('authority'), cut.tlv('ssl_cn')], ['A', null, null]);
  const short = read(v2(0x21, 0x11, Buffer.concat([INET, Buffer.from([0x20, 0, 2, 1, 1])])));
  assert.equal(short.tlv('ssl_verify'), null);
});

test('writing', () => {
  const at = (address: string, port: number) => ({ address, port });
  const v1 = (a: string, b: string): string => writeProxyV1(at(a, 1), at(b, 2)).latin1Slice();
  assert.equal(v1('192.0.2.1', '192.0.2.2'), 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n');
  assert.equal(v1('2001:db8::1', '::1'), 'PROXY TCP6 2001:db8::1 ::1 1 2\r\n');
  assert.equal(v1('unix:', '192.0.2.2'), 'PROXY UNKNOWN\r\n');

  const told = (a: string, b: string): string | null => read(writeProxyV2(at(a, 1), at(b, 2))).told;
  assert.equal(told('192.0.2.1', '192.0.2.2'), '192.0.2.1 1 192.0.2.2 2');
  assert.equal(told('2001:db8::1', '::1'), '2001:db8::1 1 ::1 2');
  assert.equal(told('192.0.2.1', '::1'), '::ffff:192.0.2.1 1 ::1 2');
  assert.equal(told('::ffff:192.0.2.1', '::ffff:192.0.2.2'), '192.0.2.1 1 192.0.2.2 2');
  assert.equal(told('unix:', '192.0.2.2'), null);
  assert.equal(writeProxyV2(at('', 0), at('', 0))[12], 0x20, 'LOCAL');
  assert.equal(writeProxyV2(at('192.0.2.1', 1), at('192.0.2.2', 2), [], true)[13], 0x12, 'datagram');
  assert.throws(() => writeProxyV2(at('', 0), at('', 0), [{ type: 1, value: Buffer.alloc(4096) }]), RangeError);
});

test('the checksum covers the whole header, itself taken for zeros', () => {
  // RFC 3720 appendix B.4.
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
  assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
  const header = writeProxyV2({ address: '192.0.2.1', port: 1 }, { address: '192.0.2.2', port: 2 });
  const sum = header.readUInt32BE(header.length - 4);
  header.writeUInt32BE(0, header.length - 4);
  assert.equal(sum, crc32c(header));
});

test('pieces of any size tell the same', () => {
  const whole = [
    bytes('PROXY TCP4 192.0.2.1 192.0.2.2 123 5678\r\n'),
    bytes('PROXY UNKNOWN\r\n'),
    writeProxyV2({ address: '192.0.2.1', port: 1 }, { address: '::1', port: 2 }, [
      { type: TLV.authority, value: bytes('a.example') },
    ]),
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...whole),
      fc.array(fc.integer({ min: 1, max: 9 })),
      fc.nat(9),
      (header, sizes, more) => {
        const data = Buffer.concat([header, Buffer.alloc(more, 7)]);
        const reader = new ProxyHeaderReader();
        let at = 0;
        for (const size of [...sizes, data.length]) {
          const end = Math.min(data.length, at + size);
          const next = reader.feed(data, at, end);
          if (next !== PROXY_MORE) {
            assert.equal(next, header.length);
            assert.equal(reader.info?.sourceAddress ?? null, read(header).told?.replace(/ .*/, '') ?? null);
            return;
          }
          at = end;
        }
        assert.fail('the header has no end');
      },
    ),
  );
});

test('any bytes end in an answer, never in an exception, and nothing is held without bound', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 30 }), fc.boolean(), (pieces, signed) => {
      const reader = new ProxyHeaderReader();
      if (signed) assert.equal(reader.feed(bytes(SIGNATURE), 0, 12), PROXY_MORE);
      let total = 0;
      for (const piece of pieces) {
        total += piece.length;
        const next = reader.feed(Buffer.from(piece), 0, piece.length);
        if (next !== PROXY_MORE) return;
      }
      assert.ok(total < PROXY_HEADER_MAX);
    }),
  );
});
