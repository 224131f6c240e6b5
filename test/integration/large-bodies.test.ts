/** Bodies so large that they are moved on within the kernel where nothing is done with them, and not where something is. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { createServer, request } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { Headrace } from '../helpers/headrace.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);
const BODY = Buffer.alloc(9_000_001);
for (let i = 0; i < BODY.length; i++) BODY[i] = i * 7 + (i >> 11);
const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const SHA = sha(BODY);
let h: Headrace;

async function read(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

before(async () => {
  const backend: Server = createServer((req, res) => {
    void read(req).then((got) => {
      if (req.method === 'POST') {
        res.end(`${got.length} ${sha(got)}`);
        return;
      }
      if (req.url!.includes('/close')) {
        res.useChunkedEncodingByDefault = false;
        res.setHeader('Connection', 'close');
      } else if (!req.url!.includes('/chunked')) res.setHeader('Content-Length', BODY.length);
      res.write(BODY.subarray(0, 100_000));
      setImmediate(() => res.end(BODY.subarray(100_000)));
    });
  });
  await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve));
  scope.after(() => {
    backend.closeAllConnections();
    backend.close();
  });
  h = await Headrace.start(
    scope,
    ({ port }) => `
    log_format lengths '$request_method $body_bytes_sent $upstream_response_length $upstream_bytes_sent';
    access_log lengths.log lengths;
    client_max_body_size 0;
    upstream b { server 127.0.0.1:${(backend.address() as AddressInfo).port}; keepalive 4; }
    server {
      listen 127.0.0.1:${port('main')};
      proxy_http_version 1.1; proxy_set_header Connection ''; proxy_request_buffering off;
      location / { proxy_pass http://b; }
      location /limited { proxy_pass http://b; limit_rate 40m; }
      location /changed { proxy_pass http://b; sub_filter_types *; sub_filter never-there x; }
    }`,
  );
});

async function ask(method: string, path: string, body?: Buffer | Buffer[]): Promise<Buffer> {
  const headers = body instanceof Buffer ? { 'Content-Length': body.length } : {};
  const req = request({ port: h.port('main'), host: '127.0.0.1', method, path, headers });
  const answer = new Promise<IncomingMessage>((resolve, reject) => req.once('response', resolve).once('error', reject));
  for (const piece of body instanceof Buffer ? [body] : (body ?? [])) req.write(piece);
  req.end();
  return await read(await answer);
}

describe('large bodies arrive as they were sent', () => {
  for (const path of ['/length', '/close', '/chunked', '/limited', '/changed']) {
    test(`answers: ${path}`, async () => {
      for (let i = 0; i < 3; i++) assert.equal(sha(await ask('GET', path)), SHA);
      await Promise.all(
        Array.from({ length: 8 }, async () => assert.equal(sha(await ask('GET', path)), SHA, 'several at once')),
      );
    });
  }

  test('uploads, with a length and chunked', async () => {
    const whole = `${BODY.length} ${SHA}`;
    for (let i = 0; i < 3; i++) {
      assert.equal((await ask('POST', '/length', BODY)).toString(), whole);
      const pieces = [BODY.subarray(0, 30_000), BODY.subarray(30_000, 4_000_000), BODY.subarray(4_000_000)];
      assert.equal((await ask('POST', '/chunked', pieces)).toString(), whole);
    }
  });

  test('they are counted', async () => {
    await ask('GET', '/length');
    await ask('POST', '/length', BODY);
    await until('the log', () => h.lines('POST', 'lengths.log').length > 6);
    const get = h.lines('GET', 'lengths.log').at(-1)!;
    const post = h.lines('POST', 'lengths.log').at(-1)!;
    assert.equal(get!.split(' ').slice(0, 3).join(' '), `GET ${BODY.length} ${BODY.length}`);
    const sent = Number(post!.split(' ')[3]);
    assert.ok(sent > BODY.length && sent < BODY.length + 1000, post);
  });
});
