/** What nginx's test suite taught about caches and slices. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { answering, Backend, ok } from '../../helpers/backend.ts';
import { ask } from '../../helpers/client.ts';
import { Headrace } from '../../helpers/headrace.ts';
import { field } from '../../helpers/http1.ts';
import type { Request, Response } from '../../helpers/http1.ts';
import { suiteScope, until } from '../../helpers/wait.ts';

const scope = suiteScope(after);
const CONTENT = '0123456789abcdef';
const DATE = 'Sat, 21 Nov 2026 10:00:00 GMT';

/** A range of `CONTENT`, or all of it. */
function ranged(request: Request, etag = '"e"'): Buffer {
  const fields = [`ETag: ${etag}`, `Last-Modified: ${DATE}`, 'Accept-Ranges: bytes'];
  const match = /^bytes=(\d+)-(\d+)$/.exec(field(request, 'Range') ?? '');
  if (match === null) return ok(CONTENT, fields);
  const from = Number(match[1]);
  const to = Math.min(Number(match[2]), CONTENT.length - 1);
  return ok(
    CONTENT.slice(from, to + 1),
    [...fields, `Content-Range: bytes ${from}-${to}/${CONTENT.length}`],
    '206 Partial Content',
  );
}

const FUTURE = 'Fri, 31 Dec 2099 23:59:59 GMT';
const PAST = 'Thu, 01 Jan 1970 00:00:01 GMT';

/** What an answer says of itself, and whether the second request finds it in the cache. */
const CONTROLS: { from: string; fields: string[]; kept: boolean; ignored?: true; status?: string }[] = [
  { from: 'proxy_cache_valid.t', fields: [], kept: true },
  { from: 'proxy_cache_valid.t', fields: [], kept: true, status: '301 Moved Permanently' },
  { from: 'proxy_cache_valid.t', fields: [], kept: false, status: '404 Not Found' },
  { from: 'proxy_cache_valid.t', fields: ['Cache-Control: max-age=60'], kept: true, status: '404 Not Found' },
  { from: 'proxy_cache_control.t', fields: ['Cache-Control: max-age=0'], kept: false },
  { from: 'proxy_cache_control.t', fields: ['Cache-Control: no-cache'], kept: false },
  { from: 'proxy_cache_control.t', fields: ['Cache-Control: no-store'], kept: false },
  { from: 'proxy_cache_control.t', fields: ['Cache-Control: private'], kept: false },
  { from: 'proxy_cache_control.t', fields: ['Cache-Control: max-age=60', 'Cache-Control: no-cache'], kept: false },
  { from: 'proxy_cache_control.t', fields: ['Cache-Control: s-maxage=0, max-age=60'], kept: false },
  { from: 'proxy_cache_control.t', fields: ['Cache-Control: max-age=0, s-maxage=60'], kept: true },
  { from: 'proxy_cache_control.t', fields: [`Expires: ${FUTURE}`], kept: true },
  { from: 'proxy_cache_control.t', fields: [`Expires: ${PAST}`], kept: false },
  { from: 'proxy_cache_control.t', fields: [`Expires: ${PAST}`, 'Cache-Control: max-age=60'], kept: true },
  { from: 'proxy_cache_control.t', fields: ['Cache-Control: max-age=60', `Expires: ${PAST}`], kept: true },
  { from: 'proxy_cache_control.t', fields: [`Expires: ${FUTURE}`, 'Cache-Control: no-cache'], kept: false },
  { from: 'proxy_cache_control.t', fields: ['X-Accel-Expires: 0'], kept: false },
  {
    from: 'proxy_cache_control.t',
    fields: ['X-Accel-Expires: 60', `Expires: ${PAST}`, 'Cache-Control: no-cache'],
    kept: true,
  },
  {
    from: 'proxy_cache_control.t',
    fields: ['Cache-Control: no-cache', `Expires: ${PAST}`, 'X-Accel-Expires: 60'],
    kept: true,
  },
  { from: 'proxy_cache_control.t', fields: ['X-Accel-Expires: @4102444800'], kept: true },
  { from: 'proxy_cache.t', fields: ['Set-Cookie: a=b'], kept: false },
  { from: 'proxy_cache_vary.t', fields: ['Vary: *'], kept: false },
  {
    from: 'proxy_cache_control.t',
    fields: ['Cache-Control: no-cache', `Expires: ${PAST}`, 'Set-Cookie: a=b', 'X-Accel-Expires: 0', 'Vary: *'],
    kept: true,
    ignored: true,
  },
];

describe('caches', () => {
  let h: Headrace;
  let backend: Backend;
  /** How often a path was asked for. */
  const asked = (target: string): number => backend.requests.filter((request) => request.target === target).length;
  const get = (path: string, ...fields: string[]): Promise<Response> => ask(scope, h.port('main'), path, { fields });
  const status = (answer: Response): string => `${answer.status} ${field(answer, 'X-Cache') ?? '-'}`;

  before(async () => {
    backend = await Backend.start(
      scope,
      answering((request) => {
        const { target } = request;
        if (target.startsWith('/sliced')) return ranged(request);
        const control = /^\/(?:ignored-)?control\/(\d+)$/.exec(target);
        if (control !== null) {
          const { fields, status = '200 OK' } = CONTROLS[Number(control[1])]!;
          return ok(CONTENT, fields, status);
        }
        if (target.startsWith('/vary/'))
          return ok(field(request, 'Accept-Encoding') ?? 'none', ['Vary: Accept-Encoding, X-Other']);
        if (target.startsWith('/method/')) return ok(`${request.method} ${CONTENT}`);
        if (target.startsWith('/offset/')) return ranged(request);
        if (target === '/lock-age/slow') {
          // The first one waits until somebody else was sent as well.
          if (asked(target) > 1) return ok('second');
          return until('the second one', () => asked(target) > 1).then(() => ok('first'));
        }
        if (target === '/changing') return ranged(request, `"${field(request, 'Range')}"`);
        return ok(CONTENT);
      }),
    );
    const u = `http://127.0.0.1:${backend.port}`;
    h = await Headrace.start(
      scope,
      ({ port, dir }) => `
      proxy_cache_path ${dir}/cache keys_zone=c:1m levels=1:2;
      proxy_cache_path ${dir}/none keys_zone=none:1m max_size=0 manager_files=2 manager_sleep=1h;
      add_header X-Cache $upstream_cache_status always;
      server { listen 127.0.0.1:${port('main')};
        location /sliced/cached { slice 4; proxy_cache c; proxy_cache_key $uri$is_args$args$slice_range; proxy_cache_valid 200 206 1h;
          proxy_set_header Range $slice_range; proxy_pass ${u}; }
        location /sliced { slice 4; proxy_set_header Range $slice_range; proxy_pass ${u}; }
        location /control/ { proxy_cache c; proxy_cache_valid 1m; proxy_pass ${u}; }
        location /ignored-control/ { proxy_cache c; proxy_cache_valid 1m; proxy_pass ${u};
          proxy_ignore_headers Cache-Control Expires Set-Cookie X-Accel-Expires Vary; }
        location /vary/ { proxy_cache c; proxy_cache_valid 1m; proxy_pass ${u}; }
        location /method/post { proxy_cache c; proxy_cache_valid 1m; proxy_cache_methods POST; proxy_cache_key $request_method$uri; proxy_pass ${u}; }
        location /method/head { proxy_cache c; proxy_cache_valid 1m; proxy_cache_convert_head off; proxy_cache_key $request_method$uri; proxy_pass ${u}; }
        location /offset/ { proxy_cache c; proxy_cache_valid 1m; proxy_cache_max_range_offset 8; proxy_pass ${u}; }
        location /lock-age/ { proxy_cache c; proxy_cache_valid 1m; proxy_cache_lock on; proxy_cache_lock_age 100ms; proxy_pass ${u}; }
        location /evicted/ { proxy_cache none; proxy_cache_valid 1m; proxy_pass ${u}; }
        location /changing { slice 4; proxy_set_header Range $slice_range; proxy_pass ${u}; }
      }`,
    );
  });

  test('slices are joined, and each is kept (slice.t)', async () => {
    assert.equal((await get('/sliced/cached/a')).body.toString(), CONTENT);
    assert.equal(asked('/sliced/cached/a'), 4);
    const part = await get('/sliced/cached/a', 'Range: bytes=3-8');
    assert.deepEqual(
      [part.status, part.body.toString(), field(part, 'Content-Range')],
      [206, '345678', 'bytes 3-8/16'],
    );
    assert.equal(asked('/sliced/cached/a'), 4);
    // Only what is needed is fetched.
    assert.equal((await get('/sliced/cached/b', 'Range: bytes=6-7')).body.toString(), '67');
    assert.equal(asked('/sliced/cached/b'), 1);
    assert.equal((await get('/sliced/cached/b', 'Range: bytes=-3')).body.toString(), 'def');
    assert.equal((await get('/sliced/cached/b', 'Range: bytes=3-3,4-4')).body.toString(), CONTENT);
  });

  test('preconditions hold for the joined answer (slice.t)', async () => {
    for (const path of ['/sliced/cached/c', '/sliced/c']) {
      const same = await get(path, 'If-None-Match: "e"');
      assert.deepEqual([same.status, same.body.length, field(same, 'Content-Range')], [304, 0, null], path);
      assert.equal((await get(path, `If-Modified-Since: ${DATE}`)).status, 304);
      assert.equal((await get(path, 'If-None-Match: "other"')).body.toString(), CONTENT);
      assert.equal((await get(path, 'If-Match: "e"')).body.toString(), CONTENT);
      const refused = await get(path, 'If-Match: "other"');
      assert.deepEqual([refused.status, field(refused, 'Content-Range')], [412, null], path);
      assert.equal((await get(path, 'Range: bytes=3-4', 'If-Range: "e"')).body.toString(), '34');
      assert.equal((await get(path, 'Range: bytes=3-4', 'If-Range: "other"')).body.toString(), CONTENT);
    }
    // A server's connection that was left in the middle is not used again.
    assert.equal((await get('/sliced/c')).body.toString(), CONTENT);
  });

  test('slices of different versions are not joined (slice.t)', async () => {
    await assert.rejects(get('/changing'), /connection ended/);
    await until('the message', () => h.lines('etag mismatch in slice response').length > 0);
  });

  for (const [i, { from, fields, kept, ignored, status: line }] of CONTROLS.entries()) {
    test(`${kept ? 'kept' : 'not kept'}: ${line ?? ''} ${fields.join(' | ')}${ignored ? ', ignored' : ''} (${from})`, async () => {
      const path = `/${ignored === true ? 'ignored-' : ''}control/${i}`;
      const expected = (line ?? '200').slice(0, 3);
      assert.equal(status(await get(path)), `${expected} MISS`);
      assert.equal(status(await get(path)), `${expected} ${kept ? 'HIT' : 'MISS'}`);
    });
  }

  test('variants by lists, however they are written (proxy_cache_vary.t)', async () => {
    assert.equal(status(await get('/vary/a', 'Accept-Encoding: gzip, deflate')), '200 MISS');
    assert.equal(status(await get('/vary/a', 'Accept-Encoding: gzip,deflate')), '200 HIT');
    assert.equal(status(await get('/vary/a', 'Accept-Encoding: deflate')), '200 MISS');
    assert.equal(status(await get('/vary/a', 'Accept-Encoding: gzip, deflate', 'X-Other: x')), '200 MISS');
    assert.equal(status(await get('/vary/a', 'Accept-Encoding: gzip, deflate')), '200 HIT');
  });

  test('other methods than GET and HEAD; HEAD that stays HEAD (proxy_cache_convert_head.t)', async () => {
    const send = (method: string, path: string): Promise<Response> => ask(scope, h.port('main'), path, { method });
    for (const expected of ['200 MISS', '200 HIT']) assert.equal(status(await send('POST', '/method/post')), expected);
    for (const expected of ['200 MISS', '200 HIT']) assert.equal(status(await send('HEAD', '/method/head')), expected);
    assert.equal((await send('GET', '/method/head')).body.toString(), `GET ${CONTENT}`);
    assert.deepEqual(
      backend.requests.filter(({ target }) => target === '/method/head').map(({ method }) => method),
      ['HEAD', 'GET'],
    );
  });

  test('a range that begins too far is not what is cached (proxy_cache_max_range_offset.t)', async () => {
    const near = await get('/offset/a', 'Range: bytes=2-3');
    assert.deepEqual([status(near), near.body.toString()], ['206 MISS', '23']);
    assert.equal(status(await get('/offset/a', 'Range: bytes=8-9')), '206 HIT');
    for (let i = 0; i < 2; i++) {
      const far = await get('/offset/b', 'Range: bytes=9-10');
      assert.deepEqual([far.status, far.body.toString(), field(far, 'X-Cache')], [206, '9a', 'MISS']);
    }
  });

  test('the manager removes so many files at once, and then sleeps for as long as it is told (proxy_cache_manager.t)', async () => {
    const files = (): number => readdirSync(join(h.dir, 'none')).length;
    for (let i = 0; i < 5; i++) await get(`/evicted/${i}`);
    await until('the manager', () => files() < 5);
    // It looks every second when there is nothing to do; now it sleeps. (It may have found one file at first, and slept less.)
    await sleep(1200);
    const left = files();
    assert.ok(left > 0, 'all files at once');
    await sleep(1200);
    assert.equal(files(), left);
  });

  test('who has the lock for too long does not keep the others waiting (proxy_cache_lock_age.t)', async () => {
    const both = [get('/lock-age/slow'), get('/lock-age/slow')];
    assert.deepEqual((await Promise.all(both)).map((answer) => answer.body.toString()).toSorted(), ['first', 'second']);
    assert.equal(status(await get('/lock-age/slow')), '200 HIT');
  });
});
