/** What a configuration says of names, paths, variables and files, through the real program. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { type Ask, ask, Client, compose } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { all, field, type Response, text } from '../helpers/http1.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);
let h: Headrace;
let backend: Backend;

before(async () => {
  backend = await Backend.start(
    scope,
    answering((r) => (r.target.startsWith('/fail') ? ok('broken', [], '503 Busy') : ok(`upstream ${r.target}`))),
  );
  h = await Headrace.start(
    scope,
    ({ port, dir }) => `
    log_format short '$request_method|$uri|$status|$body_bytes_sent|$http_x_a|$upstream_status';
    log_format json escape=json '{"uri":"$uri","a":"$http_x_a"}';
    log_format none escape=none '$http_x_a';
    map $http_x_kind $kind { default other; a first; ~^b(?<rest>.+)$ "second-$rest"; "" none; }
    map $host $hosted { hostnames; default no; .example.org yes; www.* www; }
    default_type text/plain;
    index index.html;
    server {
      listen 127.0.0.1:${port('main')} default_server;
      server_name _;
      root ${dir}/www;
      location = /exact { return 200 exact; }
      location /exact { return 200 prefix; }
      location ^~ /img/ { return 200 caret; }
      location ~ \\.gif$ { return 200 regex; }
      location ~* \\.PNG$ { return 200 insensitive; }
      location /nest/ { return 200 outer; location /nest/in/ { return 200 inner; } location ~ \\.gif$ { return 200 innergif; } }
      location /slash/ { proxy_pass http://127.0.0.1:${backend.port}; }
      location = /r301 { return 301 /to; }
      location = /r302 { return http://other/x; }
      location = /r204 { return 204; }
      location = /r444 { return 444; }
      location = /r404 { return 404; }
      location = /rtext { return 403 "no $request_method"; }
      location /pages/ {
        error_page 404 /404.html;
        error_page 403 =200 /404.html;
        error_page 410 = @named;
        error_page 402 http://elsewhere/paid;
        location = /pages/404 { return 404; }
        location = /pages/403 { return 403; }
        location = /pages/410 { return 410; }
        location = /pages/402 { return 402; }
      }
      location = /404.html { internal; return 200 "page of $status for $request_uri"; }
      location @named { return 418 "named $uri"; }
      location /headers/ {
        add_header X-A "a $arg_a";
        add_header X-Always yes always;
        location = /headers/ok { return 200 ok; }
        location = /headers/missing { return 404; }
        location = /headers/own { add_header X-B b; return 200 ok; }
      }
      location /set { set $x "1$arg_x"; set $y "$x-2"; return 200 $y; }
      location /if {
        set $out none;
        if ($arg_a = b) { set $out equal; }
        if ($arg_a != b) { set $out "$out-different"; }
        if ($http_x_kind ~* "^(k)(.*)$") { set $out "$out-$2"; }
        if (-f ${dir}/www/index.html) { set $out "$out-file"; }
        if ($request_method = POST) { return 405; }
        return 200 $out;
      }
      location /rewrite/ {
        rewrite ^/rewrite/last/(.*)$ /set?x=$1 last;
        rewrite ^/rewrite/redirect/(.*)$ /to/$1 redirect;
        rewrite ^/rewrite/permanent/(.*)$ /to/$1 permanent;
        rewrite ^/rewrite/break/(.*)$ /broken/$1 break;
        return 200 "$uri?$args";
      }
      location /loop { rewrite ^ /loop last; }
      location /map { return 200 "$kind $hosted"; }
      location /files/ { }
      location /alias/ { alias ${dir}/www/files/; }
      location /try/ { try_files $uri $uri/index.html /fallback; }
      location /fallback { return 200 fallback; }
      location /limited/ { limit_rate 20k; }
      location /log/ { access_log ${dir}/short.log short; access_log ${dir}/json.log json; access_log ${dir}/none.log none; return 200 logged; }
      location /iflog/ { access_log ${dir}/if.log short if=$arg_log; return 200 x; }
      location /uplog/ { access_log ${dir}/short.log short; proxy_pass http://127.0.0.1:${backend.port}/; }
      location /server { return 200 default; }
    }
    server { listen 127.0.0.1:${port('main')}; server_name a.test *.a.test; location / { return 200 "a $host"; } }
    server { listen 127.0.0.1:${port('main')}; server_name b.*; location / { return 200 "b $host"; } }
    server { listen 127.0.0.1:${port('main')}; server_name ~^(?<who>.+)\\.re\\.test$; location / { return 200 "re $who"; } }
    server { listen 127.0.0.1:${port('main')}; server_name long.sub.a.test; location / { return 200 exact; } }
    server {
      listen 127.0.0.1:${port('real')};
      set_real_ip_from 127.0.0.1; set_real_ip_from 10.0.0.0/8;
      real_ip_header X-Forwarded-For; real_ip_recursive on;
      location / { return 200 "$remote_addr $realip_remote_addr"; }
    }
    server {
      listen 127.0.0.1:${port('unreal')};
      set_real_ip_from 10.0.0.0/8;
      real_ip_header X-Forwarded-For;
      location / { return 200 "$remote_addr"; }
    }`,
    {
      files: {
        'www/index.html': 'the index',
        'www/files/a.txt': '0123456789',
        'www/files/b.html': '<b>',
        'www/files/dir/index.html': 'dir index',
        'www/try/there': 'there',
        'www/try/dir/index.html': 'tried',
        'www/limited/file': Buffer.alloc(30_000, 'x'),
      },
    },
  );
});

const get = (target: string, options?: Ask): Promise<Response> => ask(scope, h.port('main'), target, options);

describe('locations', () => {
  const cases: [target: string, body: string][] = [
    ['/exact', 'exact'],
    ['/exact/', 'prefix'],
    ['/img/a.gif', 'caret'],
    ['/a.gif', 'regex'],
    ['/a.GIF', ''],
    ['/a.png', 'insensitive'],
    ['/a.PnG', 'insensitive'],
    ['/nest/a', 'outer'],
    ['/nest/in/a', 'inner'],
    ['/nest/a.gif', 'innergif'],
    ['/nest/../exact', 'exact'],
    ['/%65xact', 'exact'],
    ['//exact', 'exact'],
    ['/slash/x', 'upstream /slash/x'],
  ];
  for (const [target, body] of cases) {
    test(`${target} -> ${body === '' ? 'not found' : body}`, async () => {
      const r = await get(target);
      if (body === '') assert.equal(r.status, 404);
      else assert.equal(text(r), body);
    });
  }

  test('a prefix without its slash is redirected', async () => {
    const r = await get('/slash?a=b', { fields: ['Host: example.com:81'] });
    assert.equal(r.status, 301);
    assert.equal(field(r, 'location'), `http://example.com:${h.port('main')}/slash/?a=b`);
  });
});

describe('virtual servers', () => {
  const cases: [host: string, body: string][] = [
    ['a.test', 'a a.test'],
    ['A.TEST:8080', 'a a.test'],
    ['x.y.a.test', 'a x.y.a.test'],
    ['long.sub.a.test', 'exact'],
    ['b.anything', 'b b.anything'],
    ['me.re.test', 're me'],
    ['a.test.', 'a a.test'],
    ['nobody', 'default'],
  ];
  for (const [host, body] of cases) {
    test(host, async () => assert.equal(text(await get('/server', { fields: [`Host: ${host}`] })), body));
  }
});

describe('return and error_page', () => {
  test('redirects, texts, and silence', async () => {
    const moved = await get('/r301', { fields: ['Host: h'] });
    assert.deepEqual([moved.status, field(moved, 'location')], [301, `http://h:${h.port('main')}/to`]);
    const found = await get('/r302');
    assert.deepEqual([found.status, field(found, 'location')], [302, 'http://other/x']);
    assert.equal((await get('/r204')).status, 204);
    const forbidden = await get('/rtext');
    assert.deepEqual(
      [forbidden.status, text(forbidden), field(forbidden, 'content-type')],
      [403, 'no GET', 'text/plain'],
    );
    assert.match(text(await get('/r404')), /404 Not Found/);
    const client = await Client.connect(scope, h.port('main'));
    await client.send(compose('/r444'));
    assert.equal((await client.end()).length, 0);
  });

  test('error_page', async () => {
    const missing = await get('/pages/404');
    assert.deepEqual([missing.status, text(missing)], [404, 'page of 404 for /pages/404']);
    assert.deepEqual([(await get('/pages/403')).status], [200]);
    const named = await get('/pages/410');
    assert.deepEqual([named.status, text(named)], [418, 'named /pages/410']);
    const paid = await get('/pages/402');
    assert.deepEqual([paid.status, field(paid, 'location')], [302, 'http://elsewhere/paid']);
    assert.equal((await get('/404.html')).status, 404);
  });

  test('add_header', async () => {
    const fine = await get('/headers/ok?a=1');
    assert.deepEqual([field(fine, 'x-a'), field(fine, 'x-always')], ['a 1', 'yes']);
    const missing = await get('/headers/missing');
    assert.deepEqual([field(missing, 'x-a'), field(missing, 'x-always')], [null, 'yes']);
    const own = await get('/headers/own');
    assert.deepEqual([field(own, 'x-a'), field(own, 'x-b')], [null, 'b']);
  });
});

describe('set, if, rewrite, map', () => {
  test('set', async () => assert.equal(text(await get('/set?x=y')), '1y-2'));

  test('if', async () => {
    assert.equal(text(await get('/if?a=b')), 'equal-file');
    assert.equal(text(await get('/if?a=c', { fields: ['X-Kind: Kay'] })), 'none-different-ay-file');
    assert.equal((await get('/if', { method: 'POST', body: '' })).status, 405);
  });

  test('rewrite', async () => {
    assert.equal(text(await get('/rewrite/last/z')), '1z-2');
    assert.equal((await get('/rewrite/redirect/a%20b')).status, 302);
    assert.equal(
      field(await get('/rewrite/redirect/a%20b?q'), 'location'),
      `http://localhost:${h.port('main')}/to/a%20b?q`,
    );
    assert.equal((await get('/rewrite/permanent/a')).status, 301);
    assert.equal((await get('/rewrite/break/none')).status, 404);
    assert.equal(text(await get('/rewrite/other?q')), '/rewrite/other?q');
    assert.equal((await get('/loop')).status, 500);
  });

  test('map', async () => {
    assert.equal(text(await get('/map')), 'none no');
    assert.equal(text(await get('/map', { fields: ['X-Kind: a'] })), 'first no');
    assert.equal(text(await get('/map', { fields: ['X-Kind: bcd', 'Host: x.example.org'] })), 'second-cd yes');
    assert.equal(text(await get('/map', { fields: ['X-Kind: q', 'Host: www.net'] })), 'other www');
  });
});

describe('files', () => {
  test('contents, types, index, alias, try_files', async () => {
    const r = await get('/files/a.txt');
    assert.deepEqual(
      [r.status, text(r), field(r, 'content-length'), field(r, 'accept-ranges')],
      [200, '0123456789', '10', 'bytes'],
    );
    assert.equal(text(await get('/')), 'the index');
    assert.equal(text(await get('/alias/a.txt')), '0123456789');
    assert.equal((await get('/files/dir')).status, 301);
    assert.equal(text(await get('/files/dir/')), 'dir index');
    assert.equal((await get('/files/none')).status, 404);
    assert.equal((await get('/files/')).status, 403);
    assert.equal((await get('/files/a.txt', { method: 'POST', body: '' })).status, 405);
    assert.equal(text(await get('/try/there')), 'there');
    assert.equal(text(await get('/try/dir')), 'tried');
    assert.equal(text(await get('/try/none')), 'fallback');
    assert.equal((await get('/files/..%2f..%2f..%2fetc/passwd')).status, 400);
    const head = await get('/files/a.txt', { method: 'HEAD' });
    assert.deepEqual([field(head, 'content-length'), head.body.length], ['10', 0]);
  });

  test('ranges', async () => {
    const ranges: [range: string, status: number, body: string | null, content: string | null][] = [
      ['bytes=0-0', 206, '0', 'bytes 0-0/10'],
      ['bytes=3-', 206, '3456789', 'bytes 3-9/10'],
      ['bytes=-2', 206, '89', 'bytes 8-9/10'],
      ['bytes=5-100', 206, '56789', 'bytes 5-9/10'],
      ['bytes=10-', 416, null, 'bytes */10'],
      ['bytes=x', 416, null, 'bytes */10'],
      ['items=0-1', 200, '0123456789', null],
    ];
    for (const [range, status, body, content] of ranges) {
      const r = await get('/files/a.txt', { fields: [`Range: ${range}`] });
      assert.equal(r.status, status, range);
      if (body !== null) assert.equal(text(r), body, range);
      assert.equal(field(r, 'content-range'), content, range);
    }
    const several = await get('/files/a.txt', { fields: ['Range: bytes=0-1,4-5'] });
    assert.equal(several.status, 206);
    assert.match(field(several, 'content-type')!, /^multipart\/byteranges; boundary=/);
  });

  test('not modified', async () => {
    const first = await get('/files/a.txt');
    const etag = field(first, 'etag')!;
    const modified = field(first, 'last-modified')!;
    const conditions: [fields: string[], status: number][] = [
      [[`If-None-Match: ${etag}`], 304],
      [['If-None-Match: *'], 304],
      [[`If-None-Match: W/${etag}, "x"`], 304],
      [['If-None-Match: "x"'], 200],
      [[`If-Modified-Since: ${modified}`], 304],
      [['If-Match: "x"'], 412],
      [[`If-Match: ${etag}`], 200],
      [['If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT'], 412],
      [['Range: bytes=0-0', `If-Range: ${etag}`], 206],
      [['Range: bytes=0-0', 'If-Range: "x"'], 200],
    ];
    for (const [fields, status] of conditions) {
      const r = await get('/files/a.txt', { fields });
      assert.equal(r.status, status, fields.join());
      if (status === 304) assert.equal(field(r, 'etag'), etag);
    }
  });

  test('limit_rate', async () => {
    const from = performance.now();
    const r = await get('/limited/file');
    assert.equal(r.body.length, 30_000);
    // 30,000 bytes at 20,480 a second: the last goes out no sooner than about half a second later.
    assert.ok(performance.now() - from > 350, `${performance.now() - from} ms`);
  });
});

describe('logs', () => {
  test('formats, escapes and conditions', async () => {
    await get('/log/x', { fields: ['X-A: a"b\\\xe4'] });
    await until(
      'lines',
      () =>
        h.read('short.log').includes('\n') && h.read('json.log').includes('\n') && h.read('none.log').includes('\n'),
    );
    assert.equal(h.read('short.log').split('\n')[0], 'GET|/log/x|200|6|a\\x22b\\x5C\\xE4|-');
    assert.equal(h.read('json.log'), '{"uri":"/log/x","a":"a\\"b\\\\\xe4"}\n');
    assert.equal(h.read('none.log'), 'a"b\\\xe4\n');
    await get('/iflog/1');
    await get('/iflog/2?log=0');
    await get('/iflog/3?log=1');
    await until('line', () => h.read('if.log') !== '');
    assert.equal(h.read('if.log'), 'GET|/iflog/3|200|1||-\n'.replace('||-', '|-|-'));
    await get('/uplog/fail', { fields: ['X-A: c'] });
    await h.logged('GET|/uplog/fail|503|6|c|503\n', 'short.log');
  });
});

describe('real addresses', () => {
  test('are taken from the field only behind trusted addresses', async (t) => {
    const real = async (port: string, value: string): Promise<string> =>
      text(await ask(t, h.port(port), '/', { fields: [`X-Forwarded-For: ${value}`] }));
    assert.equal(await real('real', '1.2.3.4'), '1.2.3.4 127.0.0.1');
    assert.equal(await real('real', '6.6.6.6, 1.2.3.4, 10.1.1.1'), '1.2.3.4 127.0.0.1');
    assert.equal(await real('real', 'garbage'), '127.0.0.1 127.0.0.1');
    assert.equal(await real('unreal', '1.2.3.4'), '127.0.0.1');
  });
});

test('answers have no field twice that may stand once', async () => {
  for (const target of ['/files/a.txt', '/r301', '/pages/404', '/slash/x']) {
    const r = await get(target);
    for (const name of ['content-type', 'content-length', 'date', 'server', 'connection'])
      assert.ok(all(r, name).length <= 1, `${target} ${name}`);
  }
});
