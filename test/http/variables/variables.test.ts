import assert from 'node:assert/strict';
import test from 'node:test';
import { Site } from './site.ts';

/** A site whose only location answers with a text. */
const answering = (text: string, http = '', before = ''): Promise<Site> =>
  Site.server(`location / { ${before} return 200 "${text}"; }`, http);

test('variables of the request line', async () => {
  const site = await answering(
    '$uri|$document_uri|$request_uri|$args|$query_string|$is_args|$request_method|$server_protocol|$request',
  );
  assert.equal(
    await site.body('/a%20b/../c?x=1&y'),
    '/c|/c|/a%20b/../c?x=1&y|x=1&y|x=1&y|?|GET|HTTP/1.1|GET /a%20b/../c?x=1&y HTTP/1.1',
  );
  assert.equal(await site.body('/', { method: 'FOO', version: '1.0' }), '/|/|/||||FOO|HTTP/1.0|FOO / HTTP/1.0');
});

test('arguments: any case, the first with a value, empty ones are found', async () => {
  const site = await answering('[$arg_x][$arg_long_name][$arg_]');
  const cases: [string, string][] = [
    ['/?x=1&x=2', '[1][][]'],
    ['/?xx=1&ax=2&x=3', '[3][][]'],
    ['/?X=up', '[up][][]'],
    ['/?x&x=late', '[late][][]'],
    ['/?x=&LONG_name=a=b', '[][a=b][]'],
    ['/?=q', '[][][]'],
    ['/', '[][][]'],
  ];
  for (const [target, expected] of cases) assert.equal(await site.body(target), expected, target);
});

test('header fields are joined, cookies by semicolons; cookies are parsed as nginx parses them', async () => {
  const site = await answering('$http_x_multi|$http_cookie|$cookie_c|$http_none|$http_user_agent|$content_type');
  const headers = [
    'X-Multi: 1',
    'x-multi: 2',
    'Cookie: cc=0; C=1',
    'Cookie: c = 2 ; d=3',
    'User-Agent: u',
    'Content-Type: a/b',
  ];
  assert.equal(await site.body('/', { headers }), '1, 2|cc=0; C=1; c = 2 ; d=3|1||u|a/b');
  const cookie = await answering('[$cookie_c]');
  for (const [value, expected] of [
    ['c', ''],
    ['c =2', '2'],
    ['x=1,c=2', ''],
    ['x;c=  3 ;', '3 '],
  ] as const) {
    assert.equal(await cookie.body('/', { headers: [`Cookie: ${value}`] }), `[${expected}]`, value);
  }
});

test('addresses, names and ports', async () => {
  const site = await answering(
    '$host|$http_host|$server_name|$server_addr:$server_port|$remote_addr:$remote_port|$request_port$is_request_port|$scheme$https',
  );
  assert.equal(
    await site.body('/', { host: 'FIRST.test.:81' }),
    'first.test|FIRST.test.:81|first.test|127.0.0.1:8080|127.0.0.1:40000|81:|http',
  );
  assert.equal(
    await site.body('/', { host: null, version: '1.0' }),
    'first.test||first.test|127.0.0.1:8080|127.0.0.1:40000||http',
  );
});

test('basic user names', async () => {
  const site = await answering('[$remote_user]');
  const basic = (text: string) => [`Authorization: Basic ${Buffer.from(text).toString('base64')}`];
  assert.equal(await site.body('/', { headers: basic('u:p:q') }), '[u]');
  assert.equal(await site.body('/', { headers: basic('nocolon') }), '[]');
  assert.equal(await site.body('/', { headers: ['Authorization: Bearer u:p'] }), '[]');
});

test('$request_id: 32 hexadecimal digits, the same for one request, another for the next', async () => {
  const site = await answering('$request_id $request_id');
  const [first, again] = (await site.body('/')).split(' ');
  assert.match(first!, /^[0-9a-f]{32}$/);
  assert.equal(first, again);
  assert.notEqual((await site.body('/')).split(' ')[0], first);
});

test('set: values, order, $args, uninitialized ones are empty and warned of', async () => {
  const site = await Site.server(`
    location /a { set $a "v:$arg_x"; set $b "$a-$a"; return 200 "$b|$later"; }
    location /args { set $args "n=1&$args"; return 200 "$args $arg_n $is_args"; }
    location /set { set $later 1; return 200 $later; }`);
  assert.equal(await site.body('/a?x=9'), 'v:9-v:9|');
  assert.equal(site.errors.filter((line) => line.includes('using uninitialized "later" variable')).length, 1);
  assert.equal(await site.body('/args?q'), 'n=1&q 1 ?');
  assert.equal(await site.body('/set'), '1');
});

test('$limit_rate is set as a size', async () => {
  const site = await answering('$limit_rate', '', 'set $limit_rate $arg_r;');
  assert.equal(await site.body('/?r=5k'), '5120');
  assert.equal(await site.body('/?r=junk'), '0');
  assert.ok(site.errors.some((line) => line.includes('invalid $limit_rate "junk"')));
});

const MAPS = `
  map $arg_m $m { default "def-$uri"; a A; B b; ~^re(?<nm>.*)$ "re:$1:$nm"; ~*^ci(.)x "ci:$1"; "" empty; \\default esc; }
  map $arg_h $h { hostnames; default D; example.com E; *.example.com SE; mail.* PM; .foo.org F; *.sub.example.com SSE; }`;

test('map: exact values in any case, expressions in order, captures', async () => {
  const site = await answering('$m|$nm', MAPS);
  const cases: [string, string][] = [
    ['a', 'A|'],
    ['A', 'A|'],
    ['b', 'b|'],
    ['refoo', 're:foo:foo|foo'],
    ['REfoo', 'def-/|'],
    ['CIqX', 'ci:q|'],
    ['', 'empty|'],
    ['default', 'esc|'],
    ['zzz', 'def-/|'],
  ];
  for (const [m, expected] of cases) assert.equal(await site.body(`/?m=${m}`), expected, m);
});

test('map with hostnames: the longest wildcard, a final dot is dropped', async () => {
  const site = await answering('$h', MAPS);
  const cases: [string, string][] = [
    ['example.com', 'E'],
    ['example.com.', 'E'],
    ['a.b.example.com', 'SE'],
    ['x.sub.example.com', 'SSE'],
    ['sub.example.com', 'SE'],
    ['mail.a.b', 'PM'],
    ['mail', 'D'],
    ['foo.org', 'F'],
    ['X.foo.ORG', 'F'],
    ['other', 'D'],
  ];
  for (const [host, expected] of cases) assert.equal(await site.body(`/?h=${host}`), expected, host);
});

test('map results are kept for the request unless the map is volatile; set overrides them', async () => {
  const site = await Site.server(
    `location /kept { set $one "$k"; set $args x=2; return 200 "$one $k $v"; }
     location /set { set $k mine; return 200 "$k"; }`,
    'map $arg_x $k { default "k$arg_x"; } map $arg_x $v { volatile; default "v$arg_x"; }',
  );
  assert.equal(await site.body('/kept?x=1'), 'k1 k1 v2');
  assert.equal(await site.body('/set'), 'mine');
});

test('maps that need each other end, with a message', async () => {
  const site = await answering('[$a]', 'map $b $a { default "a$b"; } map $a $b { default "b$a"; }');
  assert.match(await site.body('/'), /^\[(ab)*a?\]$/);
  assert.ok(site.errors.some((line) => /cycle while evaluating variable "[ab]"/.test(line)));
});

test('$sent_http_… and $status tell of the answer', async () => {
  const site = await Site.server(
    'location / { add_header X-A 1; add_header X-A 2; add_header X-B "$status"; return 404 nf; } location /ok { add_header X-B "$sent_http_content_type $sent_http_content_length $sent_http_connection"; return 200 abc; }',
  );
  assert.equal((await site.ask('/')).field('x-b'), null);
  assert.equal((await site.ask('/ok')).field('x-b'), 'text/plain 3 keep-alive');
});

test('a value of many parts, braces and adjacent names', async () => {
  const site = await answering('a${arg_x}b$arg_x${arg_y}_$arg_y-');
  assert.equal(await site.body('/?x=1&y=2'), 'a1b12_2-');
});
