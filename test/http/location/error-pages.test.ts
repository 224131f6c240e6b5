import assert from 'node:assert/strict';
import test from 'node:test';
import { absolute, pageFor, reasonPhrase, sentStatus } from '../../../src/http/server/error-pages.ts';
import type { RedirectOrigin } from '../../../src/http/server/error-pages.ts';
import { PRODUCT, VERSION } from '../../../src/version.ts';
import { Site } from '../variables/site.ts';

test('pages: wording, causes of a 400, statuses without a page', () => {
  const text = pageFor(404, 'on', false).body.latin1Slice();
  assert.match(text, /^<html>\r\n<head><title>404 Not Found<\/title><\/head>\r\n<body>/);
  assert.ok(text.includes(`<hr><center>${PRODUCT}/${VERSION}</center>`));
  assert.ok(pageFor(404, 'off', false).body.latin1Slice().includes(`<center>${PRODUCT}</center>`));
  assert.match(pageFor(302, 'on', false).body.latin1Slice(), /<h1>302 Found<\/h1>/);
  assert.match(pageFor(401, 'on', false).body.latin1Slice(), /401 Authorization Required/);
  for (const [status, cause] of [
    [494, 'Request Header Or Cookie Too Large'],
    [497, 'The plain HTTP request was sent to HTTPS port'],
  ] as const) {
    const page = pageFor(status, 'on', false);
    assert.equal(page.status, 400);
    assert.ok(page.body.latin1Slice().includes(`<title>400 ${cause}</title>`));
    assert.ok(page.body.latin1Slice().includes('<h1>400 Bad Request</h1>'));
  }
  for (const status of [201, 204, 304, 418, 422, 599]) {
    assert.deepEqual([pageFor(status, 'on', false).body.length, pageFor(status, 'on', false).contentType], [0, null]);
  }
  assert.equal(sentStatus(495), 400);
  assert.equal(sentStatus(404), 404);
  assert.equal(reasonPhrase(503), 'Service Temporarily Unavailable');
  assert.equal(reasonPhrase(777), '');
});

test('short pages are padded for browsers that replace them', () => {
  const plain = pageFor(404, 'on', false).body.length;
  assert.ok(pageFor(404, 'on', true).body.length > plain + 300);
  assert.equal(pageFor(301, 'on', true).body.length, pageFor(301, 'on', false).body.length);
});

test('absolute redirects', () => {
  const settings = { absolute: true, port: true, serverName: null };
  const origin: RedirectOrigin = { secure: false, host: 'h', localAddress: '10.0.0.1', localPort: 80 };
  const cases: [string, Partial<typeof settings> | { serverName: string }, Partial<RedirectOrigin>, string][] = [
    ['/x', {}, {}, 'http://h/x'],
    ['/x', {}, { localPort: 8080 }, 'http://h:8080/x'],
    ['/x', { port: false }, { localPort: 8080 }, 'http://h/x'],
    ['/x', {}, { secure: true, localPort: 443 }, 'https://h/x'],
    ['/x', {}, { secure: true, localPort: 80 }, 'https://h:80/x'],
    ['/x', { absolute: false }, {}, '/x'],
    ['/x', { serverName: 'named' }, {}, 'http://named/x'],
    ['/x', {}, { host: '' }, 'http://10.0.0.1/x'],
    ['/x', {}, { host: '', localAddress: '::1' }, 'http://[::1]/x'],
    ['rel', {}, {}, 'rel'],
    ['http://o/', {}, {}, 'http://o/'],
    ['', {}, {}, ''],
  ];
  for (const [location, s, o, expected] of cases) {
    assert.equal(absolute(location, { ...settings, ...s }, { ...origin, ...o }), expected);
  }
});

test('error_page: statuses, overwriting, names, other hosts, recursion', async () => {
  const site = await Site.server(`
    location /page { return 200 "page $uri $args"; }
    location @named { return 200 "named $uri $request_method"; }
    location /a { error_page 404 /page; return 404; }
    location /b { error_page 404 =201 /page?x=$arg_x; return 404; }
    location /c { error_page 404 = /page; return 404; }
    location /d { error_page 404 @named; return 404; }
    location /e { error_page 404 http://ext.test/; return 404; }
    location /f { error_page 404 =301 http://ext.test$uri; return 404; }
    location /g { error_page 404 /g2; return 404; } location /g2 { error_page 403 /page; return 403; }
    location /h { recursive_error_pages on; error_page 404 /h2; return 404; }
    location /h2 { recursive_error_pages on; error_page 403 /page; return 403; }
    location /i { error_page 403 /page; return 404; }`);
  const of = async (target: string, method = 'GET') => {
    const answer = await site.ask(target, { method });
    return [answer.status, answer.body.startsWith('<html>') ? 'builtin' : answer.body, answer.field('location')];
  };
  assert.deepEqual(await of('/a'), [404, 'page /page ', null]);
  assert.deepEqual(await of('/b?x=1'), [201, 'page /page x=1', null]);
  assert.deepEqual(await of('/c'), [200, 'page /page ', null]);
  assert.deepEqual(await of('/d', 'PUT'), [404, 'named /d PUT', null]);
  assert.deepEqual(await of('/e'), [302, 'builtin', 'http://ext.test/']);
  assert.deepEqual(await of('/f'), [301, 'builtin', 'http://ext.test/f']);
  assert.deepEqual(await of('/g'), [403, 'builtin', null]);
  assert.deepEqual(await of('/h'), [403, 'page /page ', null]);
  assert.deepEqual(await of('/i'), [404, 'builtin', null]);
});
