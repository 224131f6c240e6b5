/** gzip and gunzip of the program: what is compressed, streams, slow clients, clients that leave. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { createGunzip, gunzipSync, gzipSync } from 'node:zlib';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { ask, Client, compose } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { all, field } from '../helpers/http1.ts';
import type { Response } from '../helpers/http1.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);
const ACCEPT = 'Accept-Encoding: gzip';
/** Compresses to about half of its size. */
const LARGE = Buffer.from(randomBytes(4 << 20).toString('hex'), 'latin1');
const PAGE = 'X'.repeat(5000);

describe('gzip', () => {
  let h: Headrace;
  let backend: Backend;
  /** Sends more of the answer that streams. */
  let more: ((text: string) => void) | null = null;

  before(async () => {
    backend = await Backend.start(
      scope,
      answering(async (request, c) => {
        const type = 'Content-Type: text/plain';
        switch (request.target) {
          case '/packed':
            return ok(gzipSync(PAGE), [type, 'Content-Encoding: gzip', 'ETag: "p"']);
          case '/stream':
            await c.send(`HTTP/1.1 200 OK\r\n${type}\r\nTransfer-Encoding: chunked\r\n\r\n`);
            await new Promise<void>((resolve) => {
              more = (text) => {
                if (text === '') resolve();
                else void c.send(`${text.length.toString(16)}\r\n${text}\r\n`);
              };
            });
            return Buffer.from('0\r\n\r\n');
          case '/validators':
            return ok(PAGE, [type, 'ETag: "strong"', 'Accept-Ranges: bytes']);
          case '/large':
            return ok(LARGE, [type, 'ETag: "l"', 'Accept-Ranges: bytes']);
          case '/private':
            return ok(PAGE, [type, 'Cache-Control: private, max-age=1']);
          case '/status':
            return ok(PAGE, [type], '500 Internal Server Error');
          default:
            return ok(PAGE, [type]);
        }
      }),
    );
    h = await Headrace.start(
      scope,
      ({ port, dir }) => `
        gzip on; gzip_types text/plain; gzip_vary on;
        proxy_cache_path ${dir}/cache keys_zone=one:1m;
        server {
          listen 127.0.0.1:${port('main')};
          root ${dir}/files;
          types { text/plain txt; image/png png; text/html html; }
          location / { }
          location /level { alias ${dir}/files; gzip_comp_level 9; }
          location /any { alias ${dir}/files; gzip_types *; }
          location /off { alias ${dir}/files; gzip off; }
          location /old { alias ${dir}/files; gzip_http_version 1.0; }
          location /agents { alias ${dir}/files; gzip_disable "Old/[0-9]" msie6; }
          location /b/ { proxy_pass http://127.0.0.1:${backend.port}/; gzip_proxied private; gunzip on; proxy_buffering off; }
          location /c/ { proxy_pass http://127.0.0.1:${backend.port}/; proxy_cache one; proxy_cache_valid 1h; gunzip on; }
        }`,
      {
        files: {
          'files/page.txt': PAGE,
          'files/page.html': PAGE,
          'files/page.png': PAGE,
          'files/short.txt': 'X'.repeat(19),
          'files/large.txt': LARGE,
        },
      },
    );
  });

  const get = (target: string, fields: string[] = [ACCEPT], method = 'GET'): Promise<Response> =>
    ask(scope, h.port('main'), target, { fields, method });
  const packed = (answer: Response): boolean => field(answer, 'Content-Encoding') === 'gzip';

  test('what is compressed', async () => {
    for (const target of ['/page.txt', '/page.html', '/level/page.txt', '/any/page.png', '/b/page']) {
      const answer = await get(target);
      assert.equal(packed(answer), true, target);
      assert.equal(gunzipSync(answer.body).latin1Slice(), PAGE, target);
      assert.equal(field(answer, 'Content-Length'), null, target);
      assert.equal(field(answer, 'Accept-Ranges'), null, target);
      assert.deepEqual(all(answer, 'Vary'), ['Accept-Encoding'], target);
    }
    assert.match(field(await get('/page.txt'), 'ETag')!, /^W\/"/);
    assert.equal(field(await get('/b/validators'), 'ETag'), 'W/"strong"');
    for (const target of ['/page.png', '/short.txt', '/off/page.txt', '/b/status']) {
      const answer = await get(target);
      assert.equal(packed(answer), false, target);
      assert.equal(field(answer, 'Vary'), null, target);
    }
    const plain = await get('/page.txt', []);
    assert.deepEqual([packed(plain), field(plain, 'Vary'), plain.body.length], [false, 'Accept-Encoding', 5000]);
    const head = await get('/page.txt', [ACCEPT], 'HEAD');
    assert.deepEqual([packed(head), head.body.length], [true, 0]);
  });

  test('for whom', async () => {
    const via = 'Via: 1.1 proxy';
    assert.equal(packed(await get('/page.txt', [ACCEPT, via])), false);
    assert.equal(packed(await get('/b/private', [ACCEPT, via])), true);
    assert.equal(packed(await get('/b/page', [ACCEPT, via])), true, 'nothing says that it may be kept');
    const agent = async (name: string): Promise<boolean> =>
      packed(await get('/agents/page.txt', [ACCEPT, `User-Agent: ${name}`]));
    assert.equal(await agent('old/5'), false);
    assert.equal(await agent('New/5'), true);
    assert.equal(await agent('Mozilla/4.0 (compatible; MSIE 6.0; Windows)'), false);
    assert.equal(await agent('Mozilla/4.0 (compatible; MSIE 6.0; SV1)'), true);
    const old = async (target: string): Promise<boolean> => {
      const client = await Client.connect(scope, h.port('main'));
      await client.send(`GET ${target} HTTP/1.0\r\nHost: localhost\r\n${ACCEPT}\r\n\r\n`);
      return packed(await client.response());
    };
    assert.equal(await old('/page.txt'), false);
    assert.equal(await old('/old/page.txt'), true);
  });

  test('a tag that was made weak still says that nothing has changed', async () => {
    const etag = field(await get('/page.txt'), 'ETag')!;
    assert.equal((await get('/page.txt', [ACCEPT, `If-None-Match: ${etag}`])).status, 304);
  });

  test('gunzip: unpacked for who does not take it', async () => {
    const kept = await get('/b/packed');
    assert.equal(gunzipSync(kept.body).latin1Slice(), PAGE);
    const unpacked = await get('/b/packed', []);
    assert.deepEqual([field(unpacked, 'Content-Encoding'), field(unpacked, 'ETag')], [null, 'W/"p"']);
    assert.equal(unpacked.body.latin1Slice(), PAGE);
  });

  test('a cache keeps what the server sent: each client gets it as it takes it', async () => {
    const asked = (): number => backend.requests.length;
    const before = asked();
    for (const [target, body, tag] of [
      ['/c/validators', PAGE, '"strong"'],
      ['/c/large', LARGE.latin1Slice(), '"l"'],
    ] as const) {
      // Fetched for one who takes gzip, kept plain.
      for (const round of ['fetched', 'kept']) {
        const answer = await get(target);
        assert.equal(gunzipSync(answer.body).latin1Slice(), body, round);
        assert.deepEqual(
          [field(answer, 'ETag'), field(answer, 'Accept-Ranges'), all(answer, 'Vary')],
          [`W/${tag}`, null, ['Accept-Encoding']],
        );
        const plain = await get(target, []);
        assert.equal(plain.body.latin1Slice(), body);
        assert.deepEqual([packed(plain), field(plain, 'ETag'), field(plain, 'Accept-Ranges')], [false, tag, 'bytes']);
      }
      assert.equal((await get(target, [ACCEPT, `If-None-Match: W/${tag}`])).status, 304);
    }
    // Kept packed, unpacked for who does not take it.
    for (const fields of [[ACCEPT], [], [ACCEPT], []]) {
      const answer = await get('/c/packed', fields);
      const { body } = answer;
      assert.equal((packed(answer) ? gunzipSync(body) : body).latin1Slice(), PAGE);
      assert.deepEqual([packed(answer), field(answer, 'ETag')], fields.length > 0 ? [true, '"p"'] : [false, 'W/"p"']);
    }
    assert.equal(asked() - before, 3);
  });

  test('ranges are of the plain answer: who gets it compressed gets all of it', async () => {
    const range = 'Range: bytes=2-4';
    for (const target of ['/page.txt', '/c/validators', '/c/large']) {
      const whole = await get(target, [ACCEPT, range]);
      assert.deepEqual([whole.status, packed(whole), field(whole, 'Content-Range')], [200, true, null], target);
      assert.ok(gunzipSync(whole.body).length >= 5000, target);
      const part = await get(target, [range]);
      assert.deepEqual([part.status, packed(part), part.body.length], [206, false, 3], target);
    }
  });

  test('a large file to a slow client: memory stays bounded, all of it arrives', async () => {
    const client = await Client.connect(scope, h.port('main'));
    client.socket.pause();
    await client.send(compose('/large.txt', { fields: [ACCEPT] }));
    const before_ = h.memory();
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.ok(h.memory() - before_ < 64 << 20);
    client.socket.resume();
    const answer = await client.response();
    assert.ok(gunzipSync(answer.body).equals(LARGE));
    // The connection goes on.
    await client.send(compose('/page.txt'));
    assert.equal((await client.response()).body.length, 5000);
  });

  test('a client that leaves in the middle, and one that asks for two at once', async () => {
    const gone = await Client.connect(scope, h.port('main'));
    await gone.send(compose('/large.txt', { fields: [ACCEPT] }));
    await gone.bytes(1000);
    gone.reset();
    const client = await Client.connect(scope, h.port('main'));
    await client.send(
      Buffer.concat([compose('/page.txt', { fields: [ACCEPT] }), compose('/b/page', { fields: [ACCEPT] })]),
    );
    for (let i = 0; i < 2; i++) assert.equal(gunzipSync((await client.response()).body).latin1Slice(), PAGE);
  });

  test('with proxy_buffering off each piece of a stream can be read when it comes', async () => {
    const client = await Client.connect(scope, h.port('main'));
    await client.send(compose('/b/stream', { fields: [ACCEPT] }));
    await until('the backend is asked', () => more !== null);
    const gunzip = createGunzip();
    let text = '';
    gunzip.on('data', (chunk: Buffer) => (text += chunk.latin1Slice()));
    let fed = 0;
    const read = (): boolean => {
      const bytes = client.text;
      const body = bytes.indexOf('\r\n\r\n') + 4;
      const from = Math.max(fed, body);
      if (body < 4 || from >= bytes.length) return false;
      // Chunks as they come: sizes and ends are taken out.
      const chunks = bytes.slice(body);
      let out = '';
      for (let at = 0; at < chunks.length;) {
        const line = chunks.indexOf('\r\n', at);
        const size = Number.parseInt(chunks.slice(at, line), 16);
        out += chunks.slice(line + 2, line + 2 + size);
        at = line + 2 + size + 2;
      }
      gunzip.write(Buffer.from(out.slice(fed), 'latin1'));
      fed = out.length;
      return true;
    };
    for (const piece of ['first ', 'second ', 'third']) {
      const expected = text + piece;
      more!(piece);
      await until(`"${piece}"`, () => read() && text === expected);
    }
    more!('');
    gunzip.destroy();
    client.destroy();
  });
});
