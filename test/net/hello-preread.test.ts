import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { connect as tcpConnect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import test from 'node:test';
import { connect } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import fc from 'fast-check';
import { PREREAD_DECLINED, PREREAD_MORE, prereadHello } from '../../src/net/hello-preread.ts';

/** What OpenSSL sends first. */
async function hello(options: ConnectionOptions): Promise<Buffer> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const bytes = new Promise<Buffer>((resolve) => {
    server.once('connection', (socket) => {
      socket.once('data', (data: Buffer) => {
        resolve(data);
        socket.destroy();
      });
    });
  });
  const socket = tcpConnect((server.address() as AddressInfo).port, '127.0.0.1');
  connect({ ...options, socket }).on('error', () => {});
  const first = await bytes;
  server.close();
  return first;
}

/** The same message in records of `size` bytes. */
function records(bytes: Buffer, size: number): Buffer {
  const parts: Buffer[] = [];
  for (let at = 5; at < bytes.length; at += size) {
    const part = bytes.subarray(at, Math.min(at + size, bytes.length));
    parts.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part);
  }
  return Buffer.concat(parts);
}

test('a real hello: name, protocols, version; in pieces of any size', async () => {
  const bytes = await hello({ servername: 'some.example', ALPNProtocols: ['h2', 'http/1.1'] });
  const found = { version: 'TLSv1.3', serverName: 'some.example', alpn: 'h2,http/1.1' };
  assert.deepEqual(prereadHello(bytes), found);
  for (let n = 0; n < bytes.length; n++) assert.equal(prereadHello(bytes.subarray(0, n)), PREREAD_MORE, `${n} bytes`);
  for (const size of [1, 7, 100]) assert.deepEqual(prereadHello(records(bytes, size)), found);
  assert.deepEqual(prereadHello(Buffer.concat([bytes, Buffer.from('more')])), found);
});

test('a hello without extensions of interest', async () => {
  const bytes = await hello({ maxVersion: 'TLSv1.2' });
  assert.deepEqual(prereadHello(bytes), { version: 'TLSv1.2', serverName: '', alpn: '' });
});

test('what is no hello is told at once', () => {
  assert.equal(prereadHello(Buffer.from('GET / HTTP/1.1\r\n')), PREREAD_DECLINED);
  assert.equal(prereadHello(Buffer.from([22, 2, 0, 0, 1, 1])), PREREAD_DECLINED, 'a version before SSLv3');
  assert.equal(prereadHello(Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0])), PREREAD_DECLINED, 'a server hello');
  assert.deepEqual(prereadHello(Buffer.from([0x80, 0x2e, 1, 3, 1])), { version: 'TLSv1', serverName: '', alpn: '' });
  assert.equal(prereadHello(Buffer.from([22, 3])), PREREAD_MORE);
});

test('a list that is longer than the message is refused', () => {
  const body = Buffer.concat([Buffer.from([3, 3]), Buffer.alloc(32), Buffer.from([200])]);
  const message = Buffer.concat([Buffer.from([1, 0, 0, body.length]), body]);
  const record = Buffer.concat([Buffer.from([22, 3, 1, 0, message.length]), message]);
  assert.equal(prereadHello(record), PREREAD_DECLINED);
});

test('any bytes: an answer, never an error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      prereadHello(Buffer.from(bytes));
      prereadHello(Buffer.concat([Buffer.from([22, 3, 1, 0, bytes.length, 1, 0, 0, 100]), Buffer.from(bytes)]));
    }),
    { numRuns: 2000 },
  );
});
