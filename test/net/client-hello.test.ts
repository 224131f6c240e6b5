/** The first bytes of a TLS connection: whole, in pieces, over several records, and wrong. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import tls from 'node:tls';
import fc from 'fast-check';
import { HELLO_MORE, HELLO_PLAIN, HELLO_TLS, helloOffers, readClientHello } from '../../src/net/client-hello.ts';
import { cipherName, groupName } from '../../src/net/tls-names.ts';

/** What Node's own client sends first. */
async function hello(options: tls.ConnectionOptions): Promise<Buffer> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = tls.connect({ ...options, host: '127.0.0.1', port: (server.address() as net.AddressInfo).port });
  client.on('error', () => {});
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  const chunks: Buffer[] = [];
  for (;;) {
    chunks.push(((await once(socket, 'data')) as [Buffer])[0]);
    const bytes = Buffer.concat(chunks);
    if (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt16BE(3)) {
      client.destroy();
      socket.destroy();
      server.close();
      return bytes;
    }
  }
}

/** The same handshake message in records of `size` bytes. */
function inRecords(bytes: Buffer, size: number): Buffer {
  const message = bytes.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size);
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part);
  }
  return Buffer.concat(records);
}

test('the name is found, however the bytes come', async () => {
  const named = await hello({ servername: 'some.name.test' });
  assert.deepEqual(readClientHello(named), { kind: HELLO_TLS, serverName: 'some.name.test' });
  assert.deepEqual(
    readClientHello(await hello({ maxVersion: 'TLSv1.2', servername: 'old.test' })).serverName,
    'old.test',
  );
  assert.deepEqual(readClientHello(await hello({})), { kind: HELLO_TLS, serverName: '' });
  for (const size of [1, 7, 100]) assert.equal(readClientHello(inRecords(named, size)).serverName, 'some.name.test');
  for (let n = 0; n < named.length; n++)
    assert.equal(readClientHello(named.subarray(0, n)).kind, HELLO_MORE, `${n} bytes`);
});

test('what is no TLS, and what is none that can be read', () => {
  assert.equal(readClientHello(Buffer.from('GET / HTTP/1.1\r\n')).kind, HELLO_PLAIN);
  assert.equal(readClientHello(Buffer.from([0x80, 0x2e, 1, 3, 1])).kind, HELLO_TLS);
  // Another message, another record, and one that never ends.
  assert.equal(readClientHello(Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0])).kind, HELLO_TLS);
  assert.equal(readClientHello(Buffer.from([22, 3, 1, 0, 1, 1, 23, 3, 3, 0, 0])).kind, HELLO_TLS);
  assert.equal(
    readClientHello(
      inRecords(Buffer.concat([Buffer.alloc(5), Buffer.from([1, 255, 255, 255]), Buffer.alloc(70_000)]), 16_000),
    ).kind,
    HELLO_TLS,
  );
});

test('what a client offers', async () => {
  const bytes = await hello({
    ciphers: 'ECDHE-RSA-AES128-GCM-SHA256',
    maxVersion: 'TLSv1.2',
    ecdhCurve: 'X25519:P-256',
    sigalgs: 'ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256',
  });
  const offers = { ciphers: [0xc02f], groups: [0x001d, 0x0017], signatures: [0x0403, 0x0804], versions: [] };
  assert.deepEqual(helloOffers(bytes), offers);
  assert.deepEqual(helloOffers(await hello({ minVersion: 'TLSv1.2' })).versions, [0x0304, 0x0303]);
  assert.deepEqual(helloOffers(inRecords(bytes, 9)), helloOffers(bytes));
  assert.deepEqual(helloOffers(Buffer.from('GET /')), { ciphers: [], groups: [], signatures: [], versions: [] });
  assert.equal(cipherName(0xc02f), 'ECDHE-RSA-AES128-GCM-SHA256');
  assert.equal(cipherName(0x00ff), '0x00ff');
  assert.equal(groupName(0x0017), 'prime256v1');
  assert.equal(groupName(0x6a6a), '0x6a6a');
});

test('no bytes make it throw', async () => {
  const named = await hello({ servername: 'some.name.test' });
  fc.assert(
    fc.property(fc.nat(named.length - 1), fc.nat(255), fc.nat(named.length), (at, byte, length) => {
      const bytes = Buffer.from(named.subarray(0, length));
      if (at < bytes.length) bytes[at] = byte;
      readClientHello(bytes);
      helloOffers(bytes);
    }),
  );
});
