/** charset, charset_map, X-Accel-Charset, gzip_static of the program. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { ask } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { all, field } from '../helpers/http1.ts';
import type { Response } from '../helpers/http1.ts';
import { suiteScope } from '../helpers/wait.ts';

const scope = suiteScope(after);
const KOI = Buffer.of(0xd0, 0xd2, 0xc9, 0xd7, 0xc5, 0xd4);
const PAIRS: [number, string][] = [
  [0xd0, 'п'],
  [0xd2, 'р'],
  [0xc9, 'и'],
  [0xd7, 'в'],
  [0xc5, 'е'],
  [0xd4, 'т'],
];
const GZIP = 'Accept-Encoding: gzip';

describe('charsets and packed files', () => {
  let h: Headrace;
  const type = (answer: Response): string | null => field(answer, 'Content-Type');
  const get = (path: string, ...fields: string[]): Promise<Response> => ask(scope, h.port('main'), path, { fields });

  before(async () => {
    const backend = await Backend.start(
      scope,
      answering((request) => {
        switch (request.target) {
          case '/utf8-in-pieces':
            return Buffer.from(
              'HTTP/1.1 200 OK\r\nContent-Type: text/html; Charset="UTF-8"\r\nTransfer-Encoding: chunked\r\n\r\n' +
                '1\r\n\xd0\r\n1\r\n\xbf\r\n2\r\n<\xe2\r\n2\r\n\x94\x80\r\n0\r\n\r\n',
              'latin1',
            );
          case '/told':
            return ok(KOI, [
              'Content-Type: text/html; charset=koi8-r',
              'X-Accel-Charset: utf-8',
              'ETag: "a"',
              'Accept-Ranges: bytes',
            ]);
          case '/told-unknown':
            return ok(KOI, ['Content-Type: text/html; charset=koi8-r', 'X-Accel-Charset: x-unknown']);
          case '/bytes':
            return ok('XaXbXc', ['Content-Type: text/html; charset=B', 'X-Accel-Charset: A', 'Accept-Ranges: bytes']);
          case '/packed':
            return ok(gzipSync('x'), ['Content-Type: text/html', 'Content-Encoding: gzip']);
          case '/redirect':
            return ok('x', ['Content-Type: text/html', 'Location: /x'], '302 Found');
          default:
            return ok('x', ['Content-Type: text/html']);
        }
      }),
    );
    const u = `http://127.0.0.1:${backend.port}`;
    const pairs = PAIRS.map(([byte, c]) => `${byte.toString(16)} ${Buffer.from(c).toString('hex')};`).join(' ');
    h = await Headrace.start(
      scope,
      ({ port, dir }) => `
      charset_map koi8-r utf-8 { ${pairs} 80 E29480; }
      charset_map B A { 58 59; }
      proxy_cache_path ${dir}/cache keys_zone=c:1m;
      types { text/html html; text/css css; }
      server { listen 127.0.0.1:${port('main')}; root ${dir}/files; gzip_vary on;
        location / { charset utf-8; }
        location /koi/ { charset utf-8; source_charset koi8-r; alias ${dir}/files/; }
        location /by-name/ { charset $arg_c; source_charset koi8-r; alias ${dir}/files/; }
        location /all/ { charset utf-8; charset_types *; alias ${dir}/files/; }
        location /from-utf8/ { charset koi8-r; override_charset on; proxy_pass ${u}/; }
        location /kept/ { charset koi8-r; proxy_pass ${u}/; }
        location /accel/ { proxy_pass ${u}/; proxy_hide_header X-None; }
        location /ignored/ { proxy_pass ${u}/; proxy_ignore_headers X-Accel-Charset; }
        location /cached/ { proxy_pass ${u}/; proxy_cache c; proxy_cache_valid 1m; proxy_cache_key $uri; }
        location /ssi/ { ssi on; charset utf-8; alias ${dir}/files/; }
        location /static/ { gzip_static on; alias ${dir}/files/; }
        location /always/ { gzip_static always; alias ${dir}/files/; }
        location /unpacked/ { gzip_static always; gunzip on; alias ${dir}/files/; }
      }`,
      {
        files: {
          'files/koi.html': KOI,
          'files/plain.css': 'css',
          'files/ssi.html': 'при<!--#include virtual="/koi/koi.html" -->',
          'files/page.html': 'plain page',
          'files/page.html.gz': gzipSync('packed page'),
          'files/alone.html.gz': gzipSync('packed alone'),
          'files/dir.html': 'not the directory',
          'files/dir.html.gz/x': '',
        },
      },
    );
  });

  test('the charset is told where the type is listed and names none', async () => {
    assert.equal(type(await get('/koi.html')), 'text/html; charset=utf-8');
    assert.equal(type(await get('/plain.css')), 'text/css');
    assert.equal(type(await get('/all/plain.css')), 'text/css; charset=utf-8');
    assert.equal(type(await get('/missing')), 'text/html; charset=utf-8');
    assert.equal(type(await get('/kept/utf8-in-pieces')), 'text/html; Charset="UTF-8"');
    assert.equal(type(await get('/kept/redirect')), 'text/html');
    assert.equal(type(await get('/kept/packed')), 'text/html; charset=koi8-r');
  });

  test('bytes are recoded to UTF-8, by a name that a variable holds too; ranges are not offered', async () => {
    for (const path of ['/koi/koi.html', '/by-name/koi.html?c=UTF-8']) {
      const answer = await get(path, 'Range: bytes=0-1');
      assert.equal(answer.status, 200);
      assert.equal(answer.body.toString('utf8'), 'привет');
      assert.match(type(answer) ?? '', /^text\/html; charset=utf-8$/i);
      assert.equal(field(answer, 'Accept-Ranges'), null);
    }
    const same = await get('/by-name/koi.html?c=KOI8-R', 'Range: bytes=0-1');
    assert.deepEqual([same.status, same.body, type(same)], [206, KOI.subarray(0, 2), 'text/html; charset=KOI8-R']);
    const head = await ask(scope, h.port('main'), '/koi/koi.html', { method: 'HEAD' });
    assert.equal(field(head, 'Content-Length'), null);
    const unknown = await get('/by-name/koi.html?c=x-other');
    assert.deepEqual([unknown.body, type(unknown)], [KOI, 'text/html']);
    assert.equal(h.lines('no "charset_map" between the charsets "koi8-r" and "x-other"').length, 1);
  });

  test('UTF-8 that is cut anywhere becomes bytes', async () => {
    const answer = await get('/from-utf8/utf8-in-pieces');
    assert.equal(type(answer), 'text/html; charset=koi8-r');
    assert.deepEqual(answer.body, Buffer.of(0xd0, 0x3c, 0x80));
  });

  test('X-Accel-Charset: the server says what its answer is to be had in', async () => {
    for (const path of ['/accel/told', '/cached/told', '/cached/told']) {
      const answer = await get(path);
      assert.deepEqual([answer.body.toString('utf8'), type(answer)], ['привет', 'text/html; charset=utf-8'], path);
      assert.equal(field(answer, 'X-Accel-Charset'), null);
    }
    assert.equal((await get('/cached/told', 'Range: bytes=0-1')).status, 200);
    for (const path of ['/ignored/told', '/accel/told-unknown']) {
      const answer = await get(path);
      assert.deepEqual([answer.body, type(answer)], [KOI, 'text/html; charset=koi8-r'], path);
    }
    assert.equal(h.lines('unknown charset "x-unknown" to override').length, 1);
  });

  test('ranges of what is recoded byte by byte (range_charset.t)', async () => {
    await get('/cached/bytes');
    const one = await get('/cached/bytes', 'Range: bytes=2-3');
    assert.deepEqual([one.status, one.body.toString(), type(one)], [206, 'Yb', 'text/html; charset=A']);
    const two = await get('/cached/bytes', 'Range: bytes=0-1,4-5');
    assert.match(type(two) ?? '', /^multipart\/byteranges; boundary=/);
    const part = (range: string, body: string): string =>
      `--\\d+\\r\\nContent-Type: text/html; charset=A\\r\\nContent-Range: bytes ${range}/6\\r\\n\\r\\n${body}\\r\\n`;
    assert.match(two.body.toString(), new RegExp(`^\\r\\n${part('0-1', 'Ya')}${part('4-5', 'Yc')}--\\d+--\\r\\n$`));
  });

  test('what a page includes is recoded to what the page is in', async () => {
    const answer = await get('/ssi/ssi.html');
    assert.equal(answer.body.toString('utf8'), 'припривет');
    assert.equal(type(answer), 'text/html; charset=utf-8');
  });

  test('gzip_static: the packed file for those who take it', async () => {
    const packed = await get('/static/page.html', GZIP);
    assert.equal(field(packed, 'Content-Encoding'), 'gzip');
    assert.deepEqual(packed.body, gzipSync('packed page'));
    assert.deepEqual([type(packed), all(packed, 'Vary')], ['text/html', ['Accept-Encoding']]);
    const plain = await get('/static/page.html');
    assert.equal(plain.body.toString(), 'plain page');
    assert.deepEqual([field(plain, 'Content-Encoding'), all(plain, 'Vary')], [null, ['Accept-Encoding']]);
    assert.notEqual(field(plain, 'ETag'), field(packed, 'ETag'));
    // There is no packed one, or it is none.
    assert.deepEqual(all(await get('/static/plain.css', GZIP), 'Vary'), []);
    assert.equal((await get('/static/dir.html', GZIP)).body.toString(), 'not the directory');
    assert.equal((await get('/static/alone.html')).status, 404);
    assert.equal(
      (await ask(scope, h.port('main'), '/static/page.html', { method: 'POST', fields: [GZIP] })).status,
      405,
    );
    const range = await get('/static/page.html', GZIP, 'Range: bytes=0-1');
    assert.deepEqual([range.status, range.body], [206, gzipSync('packed page').subarray(0, 2)]);
    const none = await get('/static/page.html', GZIP, 'Range: bytes=9999-');
    assert.deepEqual([none.status, field(none, 'Content-Encoding')], [416, null]);
    const unchanged = await get('/static/page.html', GZIP, `If-None-Match: ${field(packed, 'ETag')}`);
    assert.deepEqual([unchanged.status, field(unchanged, 'Content-Encoding')], [304, null]);
  });

  test('gzip_static always: for all, unpacked where gunzip is on', async () => {
    assert.deepEqual((await get('/always/alone.html')).body, gzipSync('packed alone'));
    assert.equal((await get('/unpacked/alone.html')).body.toString(), 'packed alone');
    assert.deepEqual((await get('/unpacked/alone.html', GZIP)).body, gzipSync('packed alone'));
  });
});
