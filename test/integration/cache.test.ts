/** proxy_cache: what is answered from the cache, what is fetched and kept, and what is neither. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { type Ask, ask, Client } from '../helpers/client.ts';
import { Headrace, type Place } from '../helpers/headrace.ts';
import { field, type Response, text } from '../helpers/http1.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);
let h: Headrace;
let backend: Backend;
/** What the backend answers with. */
let answer: (target: string, n: number) => Buffer | string | null | Promise<Buffer | string | null>;
let count = 0;

const conf = ({ port, dir }: Place): string => {
  const s = `127.0.0.1:${backend.port}`;
  return `
    proxy_temp_path ${dir}/temp 1 2;
    proxy_cache_path ${dir}/cache levels=1:2 keys_zone=one:1m inactive=1h;
    proxy_cache_path ${dir}/other keys_zone=other:100k use_temp_path=off;
    log_format cache '$uri $status $upstream_cache_status [$upstream_addr] [$upstream_status]';
    access_log cache.log cache;
    upstream dead { server 127.0.0.1:${port('nobody')} max_fails=0; }
    server {
      listen 127.0.0.1:${port('main')};
      proxy_cache one;
      proxy_cache_valid any 1h;
      add_header X-Cache $upstream_cache_status always;
      location / { proxy_pass http://${s}; }
      location /key/ { proxy_pass http://${s}; proxy_cache_key $arg_k; }
      location /uses/ { proxy_pass http://${s}; proxy_cache_min_uses 2; }
      location /bypass/ { proxy_pass http://${s}; proxy_cache_bypass $arg_bypass; proxy_no_cache $arg_no; }
      location /lock/ { proxy_pass http://${s}; proxy_cache_lock on; }
      location /locktime/ { proxy_pass http://${s}; proxy_cache_lock on; proxy_cache_lock_timeout 100ms; }
      location /short/ { proxy_pass http://${s}; proxy_cache_valid 200 1s; proxy_cache_use_stale error timeout http_500 updating; proxy_read_timeout 1s; }
      location /update/ { proxy_pass http://${s}; proxy_cache_valid any 1s; proxy_cache_use_stale updating; proxy_cache_background_update on; }
      location /revalidate/ { proxy_pass http://${s}; proxy_cache_valid any 1s; proxy_cache_revalidate on; }
      location /errors/ { proxy_pass http://dead; proxy_cache_valid 502 1h; }
      location /intercepted/ { proxy_pass http://${s}; proxy_intercept_errors on; error_page 404 /own; }
      location = /own { return 200 "own page"; }
      location /off/ { proxy_pass http://${s}; proxy_cache off; }
      location /named/ { proxy_pass http://${s}; proxy_cache $arg_zone; }
      location /unbuffered/ { proxy_pass http://${s}; proxy_buffering off; }
      location /purge/ { proxy_pass http://${s}; proxy_cache_key $uri; proxy_cache_purge $http_x_purge; }
      location /force/ { proxy_pass http://${s}; proxy_force_ranges on; }
      location /forceonly/ { proxy_pass http://${s}; proxy_cache off; proxy_force_ranges on; }
    }`;
};

before(async () => {
  backend = await Backend.start(
    scope,
    answering((request) => answer(request.target, ++count)),
  );
  h = await Headrace.start(scope, conf, { workers: 2 });
});

beforeEach(() => {
  count = 0;
  answer = (_target, n) => ok(`answer ${n}`);
  backend.forget();
});

const get = (target: string, options?: Ask): Promise<Response> => ask(scope, h.port('main'), target, options);
const shown = (response: Response): string => `${field(response, 'x-cache') ?? '-'} ${text(response)}`;

/** Files of a cache. */
const files = (dir: string): string[] =>
  readdirSync(join(h.dir, dir), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

describe('keys and conditions', () => {
  test('the second one is from the cache, for each target its own, for both workers', async () => {
    assert.equal(shown(await get('/a?x')), 'MISS answer 1');
    for (let i = 0; i < 8; i++) assert.equal(shown(await get('/a?x')), 'HIT answer 1');
    assert.equal(shown(await get('/a?y')), 'MISS answer 2');
    assert.equal(backend.requests.length, 2);
    assert.match(
      await h.logged('/a 200 HIT', 'cache.log'),
      /\/a 200 MISS \[127.0.0.1:\d+\] \[200\]\n\/a 200 HIT \[-\] \[-\]/,
    );
  });

  test('a key of our own, and one that is too long', async () => {
    assert.equal(shown(await get('/key/a?k=1')), 'MISS answer 1');
    assert.equal(shown(await get('/key/b?k=1')), 'HIT answer 1');
    assert.equal(shown(await get(`/key/?k=${'x'.repeat(4000)}`)), '- answer 2');
    await h.logged('is not enough for cache key');
  });

  test('POST is passed on; what is to be asked for twice is kept the second time', async () => {
    assert.equal(shown(await get('/post', { method: 'POST', body: 'x' })), '- answer 1');
    assert.equal(shown(await get('/uses/')), 'MISS answer 2');
    assert.equal(shown(await get('/uses/')), 'MISS answer 3');
    assert.equal(shown(await get('/uses/')), 'HIT answer 3');
  });

  test('bypass and no_cache', async () => {
    assert.equal(shown(await get('/bypass/?no=1')), 'MISS answer 1');
    assert.equal(shown(await get('/bypass/?no=1')), 'MISS answer 2');
    assert.equal(shown(await get('/bypass/a?bypass=0')), 'MISS answer 3');
    assert.equal(shown(await get('/bypass/b?bypass=1')), 'BYPASS answer 4');
    assert.equal(shown(await get('/bypass/b?bypass=1')), 'BYPASS answer 5');
  });

  test('zones by name', async () => {
    assert.equal(shown(await get('/named/?zone=other')), 'MISS answer 1');
    assert.equal(shown(await get('/named/?zone=other')), 'HIT answer 1');
    assert.equal(shown(await get('/named/?zone=off')), '- answer 2');
    assert.equal(shown(await get('/named/?zone=')), '- answer 3');
    assert.equal((await get('/named/?zone=none')).status, 500);
    await h.logged('cache "none" not found');
    assert.equal(files('other').length, 1);
  });

  test('what is not to be kept', async () => {
    for (const [i, fields] of [
      ['Set-Cookie: a=b'],
      ['Cache-Control: private'],
      ['X-Accel-Expires: 0'],
      ['Vary: *'],
      ['Expires: Thu, 01 Jan 1970 00:00:01 GMT'],
    ].entries()) {
      answer = (_target, n) => ok(`answer ${n}`, fields);
      assert.match(shown(await get(`/not/${i}`)), /^MISS/);
      assert.match(shown(await get(`/not/${i}`)), /^MISS/, fields.join());
    }
    assert.match(shown(await get('/unbuffered/')), /^MISS/);
    assert.match(shown(await get('/unbuffered/')), /^MISS/);
    assert.equal(shown(await get('/off/')), `- answer ${count}`);
  });
});

describe('answers', () => {
  test('HEAD is fetched as GET, and answered without a body', async () => {
    const head = await get('/head', { method: 'HEAD' });
    assert.equal(field(head, 'content-length'), '8');
    assert.equal(backend.requests[0]?.method, 'GET');
    assert.equal(shown(await get('/head')), 'HIT answer 1');
    assert.equal(field(await get('/head', { method: 'HEAD' }), 'content-length'), '8');
  });

  test('the client of a HEAD need not wait for the body, which is kept', async () => {
    const body = 'x'.repeat(300_000);
    let more: () => void = () => {};
    backend.script = async (c) => {
      await c.request();
      await c.send(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 1000)}`);
      if (c.backend.requests.length === 1) await new Promise<void>((resolve) => (more = resolve));
      await c.send(body.slice(1000));
    };
    try {
      assert.equal(field(await get('/bighead', { method: 'HEAD' }), 'content-length'), '300000');
      more();
      await until('the answer to be kept', async () => field(await get('/bighead'), 'x-cache') === 'HIT');
    } finally {
      backend.script = answering((request) => answer(request.target, ++count));
    }
    assert.equal(text(await get('/bighead')), body);
  });

  test('preconditions and ranges, of what is fetched and of what is kept', async () => {
    const fields = ['ETag: "e"', 'Last-Modified: Mon, 02 Mar 2015 17:20:58 GMT', 'Accept-Ranges: bytes'];
    answer = () => ok('0123456789', fields);
    const first = await get('/ranges', { fields: ['Range: bytes=2-4'] });
    assert.equal(first.status, 206);
    assert.equal(text(first), '234');
    assert.equal(field(backend.requests[0]!, 'range'), null);
    const second = await get('/ranges', { fields: ['Range: bytes=2-4'] });
    assert.equal(field(second, 'content-range'), 'bytes 2-4/10');
    assert.equal(shown(second), 'HIT 234');
    const parts = await get('/ranges', { fields: ['Range: bytes=0-0,9-'] });
    assert.match(text(parts), /bytes 0-0\/10\r\n\r\n0\r\n.*bytes 9-9\/10\r\n\r\n9\r\n/s);
    const beyond = await get('/ranges', { fields: ['Range: bytes=20-'] });
    assert.equal(beyond.status, 416);
    assert.equal(field(beyond, 'content-range'), 'bytes */10');
    for (const condition of ['If-None-Match: "e"', 'If-Modified-Since: Mon, 02 Mar 2015 17:20:58 GMT']) {
      const unchanged = await get('/ranges', { fields: [condition] });
      assert.equal(unchanged.status, 304, condition);
      assert.equal(field(unchanged, 'etag'), '"e"');
      assert.equal(field(unchanged, 'content-length'), null);
    }
    assert.equal((await get('/ranges', { fields: ['If-Match: "other"'] })).status, 412);
    assert.equal((await get('/fresh', { fields: ['If-None-Match: "e"'] })).status, 304);
    assert.equal(shown(await get('/fresh')), 'HIT 0123456789');
  });

  test('ranges of servers that know of none', async () => {
    answer = () => ok('0123456789');
    assert.equal((await get('/plain', { fields: ['Range: bytes=2-4'] })).status, 200);
    for (const target of ['/force/', '/force/', '/forceonly/']) {
      const part = await get(target, { fields: ['Range: bytes=2-4'] });
      assert.equal(part.status, 206, target);
      assert.equal(text(part), '234');
    }
  });

  test('large answers, in pieces of any kind, come back as they were', async () => {
    const body = Buffer.from(Array.from({ length: 1_500_000 }, (_, i) => (i * 7) % 251));
    answer = (target) => {
      if (!target.includes('chunked')) return ok(body);
      const pieces = Array.from({ length: 15 }, (_, i) => {
        const piece = body.subarray(i * 100_000, (i + 1) * 100_000);
        return Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]);
      });
      return Buffer.concat([
        Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'),
        ...pieces,
        Buffer.from('0\r\n\r\n'),
      ]);
    };
    for (const target of ['/large', '/large/chunked']) {
      for (const cache of ['MISS', 'HIT', 'HIT']) {
        const response = await get(target);
        assert.equal(field(response, 'x-cache'), cache, target);
        assert.ok(response.body.equals(body), target);
      }
    }
    assert.equal(count, 2);
  });

  test('variants by Vary, each with its own file', async () => {
    answer = (_target, n) => ok(`answer ${n}`, ['Vary: Accept-Language, X-Kind']);
    const kind = (language: string): Promise<Response> => get('/vary', { fields: [`Accept-Language: ${language}`] });
    assert.equal(shown(await kind('de, en')), 'MISS answer 1');
    assert.equal(shown(await kind('de,en')), 'HIT answer 1');
    assert.equal(shown(await kind('en')), 'MISS answer 2');
    assert.equal(shown(await kind('en')), 'HIT answer 2');
    assert.equal(shown(await kind('de, en')), 'HIT answer 1');
  });
});

describe('times', () => {
  test('expired answers are fetched anew; old ones stand in for errors', async () => {
    assert.equal(shown(await get('/short/a')), 'MISS answer 1');
    assert.equal(shown(await get('/short/b')), 'MISS answer 2');
    await until('time to pass', async () => shown(await get('/short/b')) !== 'HIT answer 2');
    answer = () => ok('failed', [], '500 Oops');
    await until('time to pass', async () => shown(await get('/short/a')) === 'STALE answer 1');
    answer = () => 'garbage that is no answer\r\n\r\n';
    assert.equal((await get('/short/a')).status, 502, 'invalid_header is not listed');
    answer = () => null;
    assert.equal(shown(await get('/short/a')), 'STALE answer 1');
  });

  test('an update in the background; those who come meanwhile get the old answer', async () => {
    assert.equal(shown(await get('/update/a')), 'MISS answer 1');
    let go: () => void = () => {};
    answer = async (_target, n) => {
      await new Promise<void>((resolve) => (go = resolve));
      return ok(`answer ${n}`);
    };
    let state = '';
    await until('time to pass', async () => (state = shown(await get('/update/a'))) !== 'HIT answer 1');
    assert.equal(state, 'STALE answer 1');
    assert.equal(shown(await get('/update/a')), 'UPDATING answer 1');
    await until('the update to begin', () => count === 2);
    go();
    await until('the update', async () => shown(await get('/update/a')) === 'HIT answer 2');
    assert.equal(count, 2);
  });

  test('revalidation asks whether it has changed', async () => {
    answer = (_target, n) => ok(`answer ${n}`, ['ETag: "e"', 'Last-Modified: Mon, 02 Mar 2015 17:20:58 GMT']);
    assert.equal(shown(await get('/revalidate/a')), 'MISS answer 1');
    answer = () => 'HTTP/1.1 304 Not Modified\r\nETag: "e"\r\n\r\n';
    let state = '';
    await until('time to pass', async () => (state = shown(await get('/revalidate/a'))) !== 'HIT answer 1');
    assert.equal(state, 'REVALIDATED answer 1');
    assert.equal(field(backend.requests[1]!, 'if-none-match'), '"e"');
    assert.equal(field(backend.requests[1]!, 'if-modified-since'), 'Mon, 02 Mar 2015 17:20:58 GMT');
    assert.equal(shown(await get('/revalidate/a')), 'HIT answer 1');
  });

  test('statuses are remembered when no server answers', async () => {
    assert.equal(field(await get('/errors/'), 'x-cache'), 'MISS');
    const second = await get('/errors/');
    assert.equal(second.status, 502);
    assert.equal(field(second, 'x-cache'), 'HIT');
    answer = () => ok('none', [], '404 Not Found');
    for (let i = 0; i < 3; i++) assert.equal(text(await get('/intercepted/')), 'own page');
    assert.equal(count, 1);
  });
});

describe('many at once', () => {
  test('one fetches, the others wait for it, whichever worker they are at', async () => {
    answer = async (_target, n) => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      return ok(`answer ${n}`);
    };
    const all = await Promise.all(Array.from({ length: 12 }, () => get('/lock/a')));
    assert.deepEqual(
      all.map((response) => shown(response)).sort(),
      [...Array<string>(11).fill('HIT answer 1'), 'MISS answer 1'].sort(),
    );
    assert.equal(count, 1);
  });

  test('who has waited long enough fetches for himself, and that is not kept', async () => {
    let go: () => void = () => {};
    answer = async (_target, n) => {
      if (n === 1) await new Promise<void>((resolve) => (go = resolve));
      return ok(`answer ${n}`);
    };
    const first = get('/locktime/a');
    await until('the first one', () => count === 1);
    assert.equal(shown(await get('/locktime/a')), 'MISS answer 2');
    go();
    assert.equal(shown(await first), 'MISS answer 1');
    assert.equal(shown(await get('/locktime/a')), 'HIT answer 1');
  });

  test('who waits and leaves is forgotten', async () => {
    let go: () => void = () => {};
    answer = async (_target, n) => {
      await new Promise<void>((resolve) => (go = resolve));
      return ok(`answer ${n}`);
    };
    const first = get('/lock/b');
    await until('the first one', () => count === 1);
    const second = await Client.connect(scope, h.port('main'));
    await second.send('GET /lock/b HTTP/1.1\r\nHost: a\r\n\r\n');
    second.reset();
    go();
    assert.equal(shown(await first), 'MISS answer 1');
    assert.equal(shown(await get('/lock/b')), 'HIT answer 1');
  });

  test('what is fetched for the cache is fetched to its end, though the client has left', async () => {
    let go: () => void = () => {};
    answer = async (_target, n) => {
      await new Promise<void>((resolve) => (go = resolve));
      return ok(`answer ${n}`);
    };
    const client = await Client.connect(scope, h.port('main'));
    await client.send('GET /left HTTP/1.1\r\nHost: a\r\n\r\n');
    await until('the fetch', () => count === 1);
    client.reset();
    await h.logged(/\/left 499 MISS/, 'cache.log');
    const before = files('cache').length;
    go();
    // Whoever asks sooner fetches for himself.
    await until('it to be kept', () => files('cache').length > before);
    assert.equal(shown(await get('/left')), 'HIT answer 1');
  });
});

describe('files', () => {
  test('a file that was removed, cut or written over is a miss', async () => {
    assert.equal(shown(await get('/files')), 'MISS answer 1');
    const before = files('cache');
    assert.equal(shown(await get('/files/x')), 'MISS answer 2');
    const [path] = files('cache').filter((file) => !before.includes(file));
    assert.ok(path !== undefined);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    rmSync(path);
    await until('the loss to be seen', async () => shown(await get('/files/x')) === 'MISS answer 3');
    const { size } = statSync(path);
    truncateSync(path, size - 1);
    h.signal('SIGHUP');
    await until('workers to forget', async () => shown(await get('/files/x')) === 'MISS answer 4');
    assert.equal(shown(await get('/files/x')), 'HIT answer 4');
    await h.logged('is cut or too long, it is removed');
  });

  test('a purge removes what the key says, and with a star all that begins so', async () => {
    const purge = (target: string): Promise<Response> => get(target, { method: 'PURGE', fields: ['X-Purge: 1'] });
    for (const name of ['a', 'b', 'c']) await get(`/purge/${name}`);
    assert.equal((await purge('/purge/a')).status, 204);
    assert.equal((await purge('/purge/a')).status, 404);
    assert.equal(shown(await get('/purge/a')), 'MISS answer 4');
    assert.equal(shown(await get('/purge/b')), 'HIT answer 2');
    assert.equal((await purge('/purge/*')).status, 204);
    for (const name of ['a', 'b', 'c']) assert.match(shown(await get(`/purge/${name}`)), /^MISS/);
    assert.equal(shown(await get('/a?x')), 'HIT answer 1');
  });

  test('a reload keeps the cache, a restart too; temporary files are gone', async () => {
    assert.equal(shown(await get('/kept')), 'MISS answer 1');
    h.signal('SIGHUP');
    await h.logged('reconfiguring');
    for (let i = 0; i < 4; i++) assert.equal(shown(await get('/kept')), 'HIT answer 1');
    await h.restart();
    for (let i = 0; i < 4; i++) assert.equal(shown(await get('/kept')), 'HIT answer 1');
    await h.logged('http file cache:');
    assert.deepEqual(
      files('temp').filter((file) => !file.includes('client_body')),
      [],
    );
    assert.deepEqual(h.lines('[alert]'), []);
  });
});
