/** Answers that clients take slowly, answers at a rate, answers that are stored. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { type Ask, ask, Client } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { field, type Response, text } from '../helpers/http1.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);
const MB = 1024 * 1024;
const BODY = Buffer.alloc(24 * MB);
for (let i = 0; i < BODY.length; i++) BODY[i] = i * 11 + (i >> 13);
/** Made once: many connections send them. */
const LARGE = ok(BODY);
const LARGE_UNBUFFERED = ok(BODY, ['X-Accel-Buffering: no']);
let h: Headrace;
let backend: Backend;

before(async () => {
  backend = await Backend.start(
    scope,
    answering(({ target }) => {
      if (target.includes('large')) return target.endsWith('no') ? LARGE_UNBUFFERED : LARGE;
      if (target.includes('rated')) return ok('x'.repeat(30_000));
      if (target.includes('missing')) return ok('none', [], '404 Not Found');
      return ok('stored', ['Last-Modified: Mon, 02 Mar 2015 17:20:58 GMT']);
    }),
  );
  h = await Headrace.start(scope, ({ port, dir }) => {
    const s = `127.0.0.1:${backend.port}`;
    return `
    proxy_temp_path ${dir}/temp;
    log_format done '$uri $upstream_response_time $request_time';
    access_log done.log done;
    server {
      listen 127.0.0.1:${port('main')} sndbuf=64k;
      location / { proxy_pass http://${s}; }
      location /bounded/ { proxy_pass http://${s}; proxy_max_temp_file_size 1m; }
      location /none/ { proxy_pass http://${s}; proxy_max_temp_file_size 0; }
      location /off/ { proxy_pass http://${s}; proxy_buffering off; }
      location /rated/ { proxy_pass http://${s}; proxy_limit_rate 10k; }
      location /ratevar/ { proxy_pass http://${s}; proxy_limit_rate $arg_rate; }
      location /store/ { root ${dir}/www; proxy_pass http://${s}; proxy_store on; proxy_store_access user:rw group:rw all:r; }
      location /fetch/ { root ${dir}/www; error_page 404 = @fetch; log_not_found off; }
      location @fetch { root ${dir}/www; proxy_pass http://${s}; proxy_store ${dir}/www$uri; }
    }`;
  });
});

const get = (target: string, options?: Ask): Promise<Response> => ask(scope, h.port('main'), target, options);

/** A client that has sent a request and reads nothing. */
async function stuck(target: string): Promise<Client> {
  const client = await Client.connect(scope, h.port('main'));
  client.socket.pause();
  await client.send(`GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
  return client;
}

async function readAll(client: Client): Promise<Buffer> {
  client.socket.resume();
  const response = await client.response();
  return response.body;
}

describe('slow clients', () => {
  test('the server is done with its answer long before the client is, which gets all of it', async () => {
    const client = await stuck('/large');
    await until('the server to be done', () => backend.connections.every((c) => c.socket.writableLength === 0));
    await h.logged('an upstream response is buffered to a temporary file');
    await until('the answer to be read', () => h.lines('connections', 'error.log').length >= 0 && drained());
    assert.ok((await readAll(client)).equals(BODY));
  });

  const drained = (): boolean => backend.connections.every((c) => c.socket.writableLength === 0);

  for (const [target, why] of [
    ['/bounded/large', 'no more is written than the file may hold'],
    ['/none/large', 'without a file the server waits'],
    ['/off/large', 'without buffering the server waits'],
    ['/large/no', 'X-Accel-Buffering: no'],
  ] as const) {
    test(`${why}; nothing is lost`, async () => {
      const client = await stuck(target);
      await until('the answer to begin', () => backend.requests.some((request) => request.target === target));
      await until('the server to be held up', () => !drained());
      assert.ok((await readAll(client)).equals(BODY));
    });
  }

  test('a client that leaves takes its file along', async () => {
    const client = await stuck('/large');
    await until('the server to be done', drained);
    const before = h.descriptors();
    client.reset();
    await until('the file to be closed', () => h.descriptors() < before);
  });

  test('many of them need no more memory than their buffers', async () => {
    const before = h.memory();
    backend.forget();
    const clients = await Promise.all(Array.from({ length: 40 }, () => stuck('/bounded/large')));
    await until('answers to come', () => backend.requests.length >= clients.length);
    await until('things to settle', async () => {
      const now = h.memory();
      await new Promise((resolve) => setTimeout(resolve, 300));
      return Math.abs(h.memory() - now) < 4 * MB;
    });
    const each = (h.memory() - before) / clients.length;
    assert.ok(each < 1.5 * MB, `${(each / 1024).toFixed(0)} KiB each, of answers of ${BODY.length / MB} MiB`);
    for (const client of clients.slice(0, 3)) assert.ok((await readAll(client)).equals(BODY));
    for (const client of clients) client.reset();
  });
});

describe('proxy_limit_rate', () => {
  test('an answer takes the time that its rate asks for', async () => {
    const began = performance.now();
    const response = await get('/rated/x');
    assert.equal(text(response).length, 30_000);
    assert.ok(performance.now() - began > 1000, 'three seconds by its rate, one less for a second that has begun');
  });

  test('rates by variable; none when it is empty or no size', async () => {
    for (const rate of ['', '0', 'x']) assert.equal(text(await get(`/ratevar/rated?rate=${rate}`)).length, 30_000);
  });
});

describe('proxy_store', () => {
  test('an answer becomes a file, with its time and for whom it is', async () => {
    assert.equal(text(await get('/store/a/b')), 'stored');
    const path = join(h.dir, 'www/store/a/b');
    await until('the file', () => h.read('www/store/a/b') === 'stored');
    assert.equal(statSync(path).mode & 0o777, 0o664);
    assert.equal(statSync(path).mtime.toUTCString(), 'Mon, 02 Mar 2015 17:20:58 GMT');
    assert.equal((await get('/store/missing')).status, 404);
    assert.equal(h.read('www/store/missing'), '');
  });

  test('what is missing is fetched once, and served as a file from then on', async () => {
    backend.forget();
    assert.equal(text(await get('/fetch/large')).length, BODY.length);
    await until('the file', () => h.read('www/fetch/large').length === BODY.length);
    assert.ok(readFileSync(join(h.dir, 'www/fetch/large')).equals(BODY));
    assert.equal(text(await get('/fetch/large')).length, BODY.length);
    assert.equal(backend.requests.length, 1);
    assert.equal(field(await get('/fetch/large'), 'accept-ranges'), 'bytes');
  });
});
