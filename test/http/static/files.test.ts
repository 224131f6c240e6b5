import assert from 'node:assert/strict';
import {
  chownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import * as engine from '../../../src/http/engine.ts';
import { Site } from '../variables/site.ts';

const root = mkdtempSync(join(tmpdir(), 'headrace-static-'));
after(() => rmSync(root, { recursive: true }));
const MTIME = 1_577_934_245;
const MODIFIED = 'Thu, 02 Jan 2020 03:04:05 GMT';
const BIG = Buffer.alloc(700_001, 'abcdefghijklmnopqrstuvwxyz0123456789');

for (const dir of ['dir', 'noindex', 'sub']) mkdirSync(join(root, dir));
for (const [name, content] of Object.entries({
  'a.txt': 'hello world\n',
  'k.html': 'x'.repeat(1000),
  'empty.txt': '',
  'dir/index.html': 'idx',
  'sub/f.css': 'css',
  'sp ace.txt': 'space',
  '\u00e4.txt': 'umlaut',
  big: BIG,
})) {
  writeFileSync(join(root, name), content);
  utimesSync(join(root, name), MTIME, MTIME);
}

const site = (directives: string): Promise<Site> =>
  Site.server(`root ${root}; types { text/html html; text/css css; } default_type text/plain; ${directives}`);

test('a file: type, validators, ranges offered', async () => {
  const answer = await (await site('')).ask('/a.txt');
  assert.equal(answer.status, 200);
  assert.equal(answer.body, 'hello world\n');
  assert.deepEqual(
    [
      answer.contentType,
      answer.contentLength,
      answer.field('last-modified'),
      answer.field('etag'),
      answer.field('accept-ranges'),
    ],
    ['text/plain', 12, MODIFIED, '"5e0d5da5-c"', 'bytes'],
  );
});

test('types follow the extension of the URI', async () => {
  const s = await site('location /t { alias /nowhere; }');
  assert.equal((await s.ask('/k.html')).contentType, 'text/html');
  assert.equal((await s.ask('/sub/f.css')).contentType, 'text/css');
  assert.equal((await s.ask('/big')).contentType, 'text/plain');
});

test('names with spaces and bytes above 0x7f', async () => {
  const s = await site('');
  assert.equal(await s.body('/sp%20ace.txt'), 'space');
  assert.equal(await s.body('/%C3%A4.txt'), 'umlaut');
});

test('methods', async () => {
  const s = await site('');
  const head = await s.ask('/a.txt', { method: 'HEAD' });
  assert.deepEqual([head.status, head.contentLength, head.body], [200, 12, '']);
  assert.equal((await s.ask('/a.txt', { method: 'POST' })).status, 405);
  assert.equal((await s.ask('/none', { method: 'POST' })).status, 404);
  for (const method of ['PUT', 'DELETE', 'OPTIONS', 'PATCH', 'FOO']) {
    assert.equal((await s.ask('/a.txt', { method })).status, 405, method);
    assert.equal((await s.ask('/dir/', { method })).status, 405, method);
  }
});

test('directories: redirect, index, refusal; what is not there is logged once', async () => {
  const s = await site('location /quiet { log_not_found off; }');
  const redirect = await s.ask('/dir?x=1');
  assert.deepEqual([redirect.status, redirect.field('location')], [301, 'http://first.test:8080/dir/?x=1']);
  assert.equal(await s.body('/dir/'), 'idx');
  assert.equal((await s.ask('/noindex/')).status, 403);
  assert.ok(s.errors.at(-1)!.includes(`directory index of "${root}/noindex/" is forbidden`));
  assert.equal((await s.ask('/nodir/')).status, 404);
  assert.ok(s.errors.at(-1)!.includes(`"${root}/nodir/index.html" is not found (2: No such file or directory)`));
  assert.equal((await s.ask('/none')).status, 404);
  assert.ok(
    s.errors.at(-1)!.includes(`open() "${root}/none" failed (2: No such file or directory), client: 127.0.0.1`),
  );
  const count = s.errors.length;
  assert.equal((await s.ask('/quiet')).status, 404);
  assert.equal((await s.ask('/quiet/')).status, 404);
  assert.equal(s.errors.length, count);
  assert.equal((await s.ask('/a.txt/x')).status, 404);
  assert.equal((await s.ask('/a.txt/')).status, 404);
});

test('index: several, absolute ones, variables', async () => {
  const s = await site(`
    location /echo { return 200 "$uri?$args"; }
    location /1/ { alias ${root}/dir/; index nope.html index.html; }
    location /2/ { alias ${root}/dir/; index nope.html /echo/abs; }
    location /3/ { alias ${root}/; index $arg_i a.txt; }`);
  assert.equal(await s.body('/1/'), 'idx');
  assert.equal(await s.body('/2/?q=1'), '/echo/abs?q=1');
  assert.equal(await s.body('/3/?i=k.html'), 'x'.repeat(1000));
  assert.equal(await s.body('/3/?i=no'), 'hello world\n');
  assert.equal(await s.body('/3/?i=/echo/v'), '/echo/v?i=/echo/v');
});

test('alias, also with expressions; what climbs out of its directory is refused', async () => {
  const s = await site(`
    location /al/ { alias ${root}/; }
    location /one { alias ${root}/a.txt; }
    location ~ ^/re/(.*)$ { alias ${root}/$1; }
    location /off { alias ${root}/dir/; }
    location /rw/ { rewrite ^/rw/(.*)$ /$arg_p break; }
    location /arg/ { alias ${root}/; rewrite ^ /x break; }`);
  assert.equal(await s.body('/al/a.txt'), 'hello world\n');
  assert.equal(await s.body('/one'), 'hello world\n');
  assert.equal(await s.body('/re/a.txt'), 'hello world\n');
  assert.equal((await s.ask('/re/dir')).status, 301);
  // The slash that the location lacks would let "/off../a.txt" out.
  assert.equal((await s.ask('/off../a.txt')).status, 403);
  assert.equal((await s.ask('/off../')).status, 403);
  assert.equal((await s.ask('/rw/x?p=../../../../../../etc/passwd')).status, 403);
  assert.equal((await s.ask('/rw/x?p=a..txt')).status, 404);
  assert.equal((await s.ask('/arg/y')).status, 500);
  assert.ok(s.errors.at(-1)!.includes('"alias" cannot be used in location "/arg/" where URI was rewritten'));
});

test('special files are refused', async () => {
  const s = await Site.server('root /dev;');
  assert.equal((await s.ask('/null')).status, 404);
  assert.ok(s.errors.at(-1)!.includes('"/dev/null" is not a regular file'));
});

test('try_files', async () => {
  const s = await site(`
    location @named { return 200 "named $uri"; }
    location /echo { return 200 "$uri?$args"; }
    location /1 { try_files $uri $uri/ /a.txt; }
    location /2 { try_files /nope /dir/ =404; }
    location /3 { try_files /nope =418; }
    location /4 { try_files /nope @named; }
    location /5 { try_files /nope /echo/t?x=$arg_x; }
    location /6/ { alias ${root}/; try_files $uri a.txt =404; }
    location ~ ^/7/(.*)$ { alias ${root}/; try_files $1 =404; }
    location /8 { try_files /$arg_f =404; }
    location = /dir { try_files $uri/ =404; }`);
  assert.equal(await s.body('/1'), 'hello world\n');
  assert.equal((await s.ask('/2')).status, 301);
  assert.equal((await s.ask('/3')).status, 418);
  assert.equal(await s.body('/4'), 'named /4');
  assert.equal(await s.body('/5?x=1'), '/echo/t?x=1');
  assert.equal(await s.body('/6/k.html'), 'x'.repeat(1000));
  assert.equal(await s.body('/6/none'), 'hello world\n');
  assert.equal(await s.body('/7/k.html'), 'x'.repeat(1000));
  assert.equal((await s.ask('/7/none')).status, 404);
  assert.equal((await s.ask('/8?f=../../../../../../../etc/passwd')).status, 404);
  assert.equal((await s.ask('/dir')).status, 301);
});

test('ranges: one, several, none that can be had', async () => {
  const s = await site(
    `location = /one { alias ${root}/k.html; max_ranges 1; } location = /off { alias ${root}/k.html; max_ranges 0; }`,
  );
  const of = (range: string, path = '/k.html') => s.ask(path, { headers: [`Range: bytes=${range}`] });
  const one = await of('990-');
  assert.deepEqual(
    [one.status, one.field('content-range'), one.contentLength, one.body],
    [206, 'bytes 990-999/1000', 10, 'x'.repeat(10)],
  );
  const several = await of('0-1,3-4');
  assert.equal(several.status, 206);
  const boundary = /^multipart\/byteranges; boundary=(\d{20})$/.exec(several.contentType!)![1]!;
  const part = (range: string) =>
    `\r\n--${boundary}\r\nContent-Type: text/html\r\nContent-Range: bytes ${range}/1000\r\n\r\nxx`;
  assert.equal(several.body, `${part('0-1')}${part('3-4')}\r\n--${boundary}--\r\n`);
  assert.equal(several.contentLength, several.body.length);
  assert.equal((await of('2000-')).status, 416);
  assert.equal((await of('0-1,3-4', '/one')).status, 200);
  assert.equal((await of('0-1', '/off')).status, 200);
  assert.equal((await of('0-1', '/off')).field('accept-ranges'), null);
  assert.equal((await s.ask('/k.html', { headers: ['Range: bytes=0-1'], version: '1.0' })).status, 206);
  const head = await s.ask('/k.html', { headers: ['Range: bytes=0-1'], method: 'HEAD' });
  assert.deepEqual([head.status, head.contentLength], [206, 2]);
});

test('If-Range is compared with the validators that are sent', async () => {
  const s = await site(
    `location = /t { alias ${root}/k.html; add_header Last-Modified "Mon, 28 Sep 1970 06:00:00 GMT"; }`,
  );
  const of = async (path: string, value: string) =>
    (await s.ask(path, { headers: ['Range: bytes=0-1', `If-Range: ${value}`] })).status;
  assert.equal(await of('/k.html', MODIFIED), 206);
  assert.equal(await of('/k.html', '"5e0d5da5-3e8"'), 206);
  assert.equal(await of('/k.html', '"other"'), 200);
  assert.equal(await of('/k.html', 'Thu, 02 Jan 2020 03:04:06 GMT'), 200);
  assert.equal(await of('/t', MODIFIED), 200);
  assert.equal(await of('/t', 'Mon, 28 Sep 1970 06:00:00 GMT'), 206);
});

test('preconditions', async () => {
  const s = await site(
    `location = /b { alias ${root}/a.txt; if_modified_since before; } location = /o { alias ${root}/a.txt; if_modified_since off; } location = /e { alias ${root}/a.txt; etag off; }`,
  );
  const of = async (header: string, path = '/a.txt') => (await s.ask(path, { headers: [header] })).status;
  assert.equal(await of(`If-Modified-Since: ${MODIFIED}`), 304);
  assert.equal(await of('If-Modified-Since: Thursday, 02-Jan-20 03:04:05 GMT'), 304);
  assert.equal(await of('If-Modified-Since: Thu Jan  2 03:04:05 2020'), 304);
  assert.equal(await of('If-Modified-Since: Thu, 02 Jan 2020 03:04:06 GMT'), 200);
  assert.equal(await of('If-Modified-Since: Thu, 02 Jan 2020 03:04:06 GMT', '/b'), 304);
  assert.equal(await of(`If-Modified-Since: ${MODIFIED}`, '/o'), 200);
  assert.equal(await of('If-Modified-Since: junk'), 200);
  assert.equal(await of('If-None-Match: W/"5e0d5da5-c"'), 304);
  assert.equal(await of('If-None-Match: "x", "5e0d5da5-c"'), 304);
  assert.equal(await of('If-None-Match: "x"'), 200);
  assert.equal(await of('If-None-Match: "5e0d5da5-c"', '/e'), 200);
  assert.equal(await of('If-Match: "5e0d5da5-c"'), 200);
  assert.equal(await of('If-Match: W/"5e0d5da5-c"'), 412);
  assert.equal(await of('If-Match: *', '/e'), 200);
  assert.equal(await of(`If-Unmodified-Since: ${MODIFIED}`), 200);
  assert.equal(await of('If-Unmodified-Since: Thu, 02 Jan 2020 03:04:04 GMT'), 412);
  const notModified = await s.ask('/a.txt', { headers: ['If-None-Match: *'] });
  assert.deepEqual(
    [notModified.status, notModified.contentType, notModified.field('etag')],
    [304, null, '"5e0d5da5-c"'],
  );
});

test('the page of an error is neither compared nor cut', async () => {
  const s = await site('error_page 404 /a.txt;');
  const answer = await s.ask('/none', { headers: ['Range: bytes=0-1', 'If-None-Match: *'] });
  assert.deepEqual([answer.status, answer.body, answer.field('last-modified')], [404, 'hello world\n', null]);
});

test('large files go out in pieces, at the pace of the client', async () => {
  const s = await site('');
  for (const holds of [0, 1, 3, 100]) {
    const answer = await s.ask('/big', { holds });
    assert.equal(answer.contentLength, BIG.length);
    assert.ok(answer.body === BIG.latin1Slice(), `${holds} holds`);
  }
  const range = await s.ask('/big', { headers: ['Range: bytes=1-600000,650000-650001'], holds: 2 });
  assert.equal(range.status, 206);
  assert.equal(range.body.length, range.contentLength);
});

test('an empty file', async () => {
  const answer = await (await site('')).ask('/empty.txt');
  assert.deepEqual([answer.status, answer.contentLength, answer.body], [200, 0, '']);
});

test('a file that shrinks while it is sent cuts the answer', async () => {
  const path = join(root, 'shrinks');
  writeFileSync(path, BIG);
  const s = await site('');
  const { r, channel } = s.request('/shrinks', { holds: 1 });
  engine.start(r);
  truncateSync(path, 1000);
  await channel.done();
  assert.equal(channel.aborted, true);
  assert.ok(s.errors.some((line) => line.includes(`"${path}" was truncated while it was sent`)));
});

test('a client that leaves in the middle leaves no file open', async () => {
  const s = await site('');
  const { r } = s.request('/big', { holds: 1 });
  engine.start(r);
  const producer = r.producer!;
  r.producer = null;
  producer.onAbort(r);
  // Nothing more is sent, and a late drain does nothing.
  producer.onDrain(r);
});

test('disable_symlinks: links are not followed, or only those of their owner', async () => {
  const links = join(root, 'links');
  mkdirSync(join(links, 'real'), { recursive: true });
  writeFileSync(join(links, 'real/own.txt'), 'own');
  writeFileSync(join(links, 'foreign.txt'), 'foreign');
  writeFileSync(join(links, 'real/index.html'), 'index');
  // Somebody else's: the superuser can make one, others find one.
  const superuser = process.getuid?.() === 0;
  if (superuser) chownSync(join(links, 'foreign.txt'), 65_534, 65_534);
  symlinkSync('real/own.txt', join(links, 'to-own.txt'));
  symlinkSync(superuser ? 'foreign.txt' : '/etc/passwd', join(links, 'to-foreign.txt'));
  symlinkSync('real', join(links, 'dir'));
  symlinkSync('nowhere', join(links, 'broken'));
  writeFileSync(join(links, 'real/packed.txt'), 'plain');
  symlinkSync('own.txt', join(links, 'real/packed.txt.gz'));

  const s = await site(`
    location /off/ { alias ${links}/; }
    location /on/ { disable_symlinks on; alias ${links}/; location /on/again/ { disable_symlinks off; alias ${links}/; } }
    location /owner/ { disable_symlinks if_not_owner; alias ${links}/; }
    location /from/ { disable_symlinks on from=${links}/dir; alias ${links}/; }
    location /beginning/ { disable_symlinks on from=${links}/di; alias ${links}/; }
    location /try/ { disable_symlinks on; root ${links}; rewrite ^/try(.*)$ $1 break; try_files $uri /real/own.txt =404; }
    location /packed/ { disable_symlinks on; gzip_static always; alias ${links}/real/; }
  `);
  for (const [path, expected] of [
    ['/off/to-own.txt', 200],
    ['/off/to-foreign.txt', 200],
    ['/on/real/own.txt', 200],
    ['/on/to-own.txt', 403],
    ['/on/to-foreign.txt', 403],
    ['/on/dir/own.txt', 403],
    ['/on/dir/', 403],
    ['/on/broken', 403],
    ['/on/missing', 404],
    ['/on/again/to-own.txt', 200],
    ['/owner/to-own.txt', 200],
    ['/owner/dir/own.txt', 200],
    ['/owner/to-foreign.txt', 403],
    ['/owner/broken', 404],
    ['/from/dir/own.txt', 200],
    ['/from/to-own.txt', 403],
    ['/beginning/dir/own.txt', 403],
  ] as const) {
    assert.equal((await s.ask(path)).status, expected, path);
  }
  assert.equal(await s.body('/try/to-own.txt'), 'own');
  assert.equal(await s.body('/packed/packed.txt'), 'plain');
});
