import assert from 'node:assert/strict';
import test from 'node:test';
import { Site } from '../variables/site.ts';

const ECHO = 'location /echo { return 200 "$uri?$args"; }';

test('rewrite: captures, query, flags', async () => {
  const site = await Site.server(`
    location /echo { return 200 "$uri?$args [$cap]"; }
    location /1 { rewrite ^/1/(.*)$ /echo/$1 last; }
    location /2 { rewrite ^/2/(.*)$ /echo/$1?a=b last; }
    location /3 { rewrite ^/3/(.*)$ /echo/$1?a=$1? last; }
    location /4 { rewrite ^/4/(.*)$ /echo/$1? last; }
    location /5 { rewrite ^/5/a/(.*)$ /5/b/$1; rewrite ^/5/b/(.*)$ /echo/ab/$1; }
    location /6 { rewrite ^/6/(?<cap>[^/]*)/?(.*)$ /echo/$2 last; }
    location /7 { rewrite ^/7/(.*)$ /echo/$1 break; return 200 never; }
    location /8 { rewrite ^/nomatch$ /echo last; return 403; }
    location /9 { set $z "x"; if ($uri ~* "/9/(.+)") { set $z "y$1"; } rewrite ^/9/(.*)$ /echo/$z?c=$1 last; }`);
  const cases: [string, string][] = [
    ['/1/foo?q', '/echo/foo?q []'],
    ['/2/foo?q=1', '/echo/foo?a=b&q=1 []'],
    ['/3/foo?q=1', '/echo/foo?a=foo []'],
    ['/4/foo?q=1', '/echo/foo? []'],
    ['/5/a/x', '/echo/ab/x? []'],
    ['/6/one/two', '/echo/two? [one]'],
    // A decoded path is encoded again on its way into a query, and only there.
    ['/3/a%20b', '/echo/a b?a=a%20b []'],
    ['/3/a+b', '/echo/a+b?a=a%2Bb []'],
    ['/9/a%20b', '/echo/ya%20b?c=a%20b []'],
  ];
  for (const [target, expected] of cases) assert.equal(await site.body(target), expected, target);
  assert.equal((await site.ask('/8')).status, 403);
  assert.equal((await site.ask('/7/x')).status, 404);
});

test('redirects', async () => {
  const site = await Site.server(`
    location /1 { rewrite ^/1/(.*)$ /red/$1 redirect; }
    location /2 { rewrite ^/2/(.*)$ /red/$1?z=$1 permanent; }
    location /3 { rewrite ^/3/(.*)$ http://other.test/$1; }
    location /4 { rewrite ^/4/(.*)$ $scheme://$host/x/$1?; }
    location /5 { rewrite ^ $arg_r? redirect; }
    location /6 { return 301 /to?$args; }
    location /7 { return https://abs.test$request_uri; }
    location /8 { return 308 rel; }`);
  const cases: [string, number, string][] = [
    ['/1/a%20b?q=1', 302, 'http://first.test:8080/red/a%20b?q=1'],
    ['/2/x?q', 301, 'http://first.test:8080/red/x?z=x&q'],
    ['/3/x?q', 302, 'http://other.test/x?q'],
    ['/4/x?q', 302, 'http://first.test/x/x'],
    ['/5?r=http%3A%2F%2Fe.com%2F%3Ffrom', 302, 'http://e.com/?from'],
    ['/5?r=http%3A%2F%2Fe.com%0D%0Asplit', 302, 'http://e.com%0D%0Asplit'],
    ['/6?x', 301, 'http://first.test:8080/to?x'],
    ['/7?x', 302, 'https://abs.test/7?x'],
    ['/8', 308, 'rel'],
  ];
  for (const [target, status, location] of cases) {
    const answer = await site.ask(target);
    assert.deepEqual([answer.status, answer.field('location')], [status, location], target);
  }
});

test('return: texts, types, empty texts, pages, silence', async () => {
  const site = await Site.server(`
    types { text/html html; } default_type text/plain;
    location /200 { return 200; } location /204 { return 204; } location /x.html { return 200 "<p>"; }
    location /404 { return 404; } location /404t { return 404 "nf $uri"; } location /503e { return 503 ""; }
    location /444 { return 444; } location /299 { return 299 odd; }
    location /none { default_type ""; return 200 x; }`);
  const of = async (target: string) => {
    const { status, contentType, body } = await site.ask(target);
    return [status, contentType, body.startsWith('<html>') ? 'page' : body];
  };
  assert.deepEqual(await of('/200'), [200, 'text/plain', '']);
  assert.deepEqual((await of('/204'))[0], 204);
  assert.deepEqual(await of('/x.html'), [200, 'text/html', '<p>']);
  assert.deepEqual(await of('/404'), [404, 'text/html', 'page']);
  assert.deepEqual(await of('/404t'), [404, 'text/plain', 'nf /404t']);
  assert.deepEqual(await of('/503e'), [503, 'text/html', 'page']);
  assert.deepEqual(await of('/299'), [299, 'text/plain', 'odd']);
  assert.deepEqual(await of('/none'), [200, null, 'x']);
  assert.equal((await site.ask('/444')).closedSilently, true);
});

test('return answers preconditions like any 200', async () => {
  const site = await Site.server('location / { return 200 x; } location /404 { return 404 x; }');
  assert.equal((await site.ask('/', { headers: ['If-None-Match: *'] })).status, 304);
  assert.equal((await site.ask('/', { headers: ['If-Unmodified-Since: Mon, 28 Sep 1970 06:00:00 GMT'] })).status, 412);
  assert.equal((await site.ask('/404', { headers: ['If-None-Match: *'] })).status, 404);
});

test('if: conditions, settings of its own, break', async () => {
  const site = await Site.server(`
    location /eq { if ($arg_a = "1") { return 200 one; } if ($arg_a != "2") { return 200 nottwo; } return 200 two; }
    location /re { if ($arg_a ~ "^x(.)") { set $v $1; } if ($arg_a !~ "y$") { set $w noy; } return 200 "v=$v w=$w 1=$1"; }
    location /ci { if ($http_user_agent ~* "MSIE") { return 200 ie; } return 200 notie; }
    location /own { add_header X-If no; if ($arg_a) { add_header X-If yes; } try_files /none =404; error_page 404 /echo; }
    location /break { set $x 1; if ($arg_a) { set $x 2; break; } set $x 3; add_header X-X $x always; return 404; }
    location /file { if (-f $arg_f) { return 200 file; } if (-d $arg_f) { return 200 dir; } if (!-e $arg_f) { return 200 none; } return 200 other; }
    location /exec { if (-x $arg_f) { return 200 yes; } return 200 no; }`);
  for (const [a, expected] of [
    ['1', 'one'],
    ['2', 'two'],
    ['3', 'nottwo'],
    ['', 'nottwo'],
  ] as const) {
    assert.equal(await site.body(`/eq?a=${a}`), expected);
  }
  assert.equal(await site.body('/re?a=xQ'), 'v=Q w=noy 1=');
  assert.equal(await site.body('/re?a=xQy'), 'v=Q w= 1=');
  assert.equal(await site.body('/re?a=zy'), 'v= w= 1=');
  assert.equal(await site.body('/ci', { headers: ['User-Agent: a msie'] }), 'ie');
  assert.equal(await site.body('/ci'), 'notie');
  assert.equal((await site.ask('/break')).field('x-x'), '3');
  assert.equal(await site.body(`/file?f=${import.meta.filename}`), 'file');
  assert.equal(await site.body(`/file?f=${import.meta.dirname}`), 'dir');
  assert.equal(await site.body('/file?f=/nowhere/at/all'), 'none');
  // A device is no file, no directory and, to nginx, does not even exist.
  assert.equal(await site.body('/file?f=/dev/null'), 'none');
  assert.equal(await site.body('/file?f='), 'none');
  assert.equal(await site.body(`/exec?f=${import.meta.filename}`), 'no');
  assert.equal(await site.body(`/exec?f=${import.meta.dirname}`), 'yes');
});

test('a location that rewrites to itself ends with 500', async () => {
  const site = await Site.server('location / { rewrite ^(.*)$ $1 last; }');
  assert.equal((await site.ask('/x')).status, 500);
  assert.ok(site.errors.some((line) => line.includes('rewrite or internal redirection cycle while processing "/x"')));
});

test('an empty URI is refused', async () => {
  const site = await Site.server('location / { rewrite ^ $arg_none last; }');
  assert.equal((await site.ask('/')).status, 500);
  assert.ok(site.errors.some((line) => line.includes('the rewritten URI has a zero length')));
});

test('server directives run before a location is looked for; their `if` keeps the settings', async () => {
  const site = await Site.server(`
    if ($arg_r) { rewrite ^ /echo/$arg_r?; }
    if ($arg_418) { return 418 teapot; }
    ${ECHO} location / { return 200 root; }`);
  assert.equal(await site.body('/x?r=1'), '/echo/1?');
  assert.equal(await site.body('/x?418=1'), 'teapot');
  assert.equal(await site.body('/x'), 'root');
});

test('rewrite_log tells what matched', async () => {
  const site = await Site.server(
    `rewrite_log on; ${ECHO} location /a { rewrite ^/b /c; rewrite ^/a(.*)$ /echo$1 last; }`,
  );
  await site.body('/a1');
  const log = site.errors.join('');
  assert.match(log, /\[notice\] .*"\^\/b" does not match "\/a1"/);
  assert.match(log, /"\^\/a\(\.\*\)\$" matches "\/a1"/);
  assert.match(log, /rewritten data: "\/echo1", args: ""/);
});
