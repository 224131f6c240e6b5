/** What comes out: inheritance, assembly, defaults. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HttpConfig, LocationConfig, RewriteOp } from '../../src/config/model.ts';
import { HTTP_VARIABLES } from '../../src/config/nginx/variables.ts';
import { MODULES, REGISTRY } from '../../src/config/nginx/registry.ts';
import { parseValue } from '../../src/config/value.ts';
import { FILE, inHttp, inLocation, inServer, inUpstream, load } from './support.ts';

async function http(text: string, files?: Record<string, string>): Promise<HttpConfig> {
  const { config } = await load(inHttp(text), files);
  assert.ok(config.http !== null);
  return config.http;
}
const location = (config: HttpConfig, ...path: number[]): LocationConfig => {
  let at = config.servers[0]?.root as LocationConfig;
  for (const index of path) at = at.locations[index] as LocationConfig;
  return at;
};
const ifLocation = (op: RewriteOp | undefined): LocationConfig => {
  assert.ok(op?.op === 'if');
  return op.location;
};

const TYPICAL = `
  types { text/html html; }
  log_format main '$remote_addr "$request" ' '$status';
  access_log logs/access.log main buffer=32k;
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  upstream backend { zone b 64k; least_conn; server 127.0.0.1:1; server two.test:2 backup; sticky cookie srv expires=1h; }
  server {
    listen 80 default_server; listen [::]:80; server_name a.test *.b.test ~^(?<sub>\\w+)\\.c$;
    error_page 500 502 /50x.html; root /srv/www;
    location / { proxy_pass http://backend; proxy_set_header Connection $connection_upgrade;
      if ($request_method = POST) { set $m $sub; return 405 "no $m"; } }
    location ~* \\.(png|jpg)$ { expires max; try_files $uri =404; }
    location /api/ { proxy_pass https://localhost:8443/v1/; limit_except GET { access_log off; } }
  }`;

test('a configuration is plain data', async () => {
  const { config, warnings } = await load(inHttp(TYPICAL));
  assert.deepEqual(warnings, []);
  assert.deepEqual(structuredClone(config), config);
  assert.deepEqual(JSON.parse(JSON.stringify(config)), config);
});

test('a value is that of the innermost block that has it', async () => {
  const config = await http(`send_timeout 1s; etag off; server { send_timeout 2s; location / { send_timeout 3s;
    location /a { } } location /b { } }`);
  assert.equal(location(config).core.sendTimeoutMs, 2000);
  assert.equal(location(config, 0).core.sendTimeoutMs, 3000);
  assert.equal(location(config, 0, 0).core.sendTimeoutMs, 3000);
  assert.equal(location(config, 1).core.sendTimeoutMs, 2000);
  assert.equal(location(config, 0, 0).core.etag, false);
});

test('lists are inherited as a whole or not at all', async () => {
  const config = await http(`proxy_set_header A 1; add_header B 1; error_page 404 /a; index x;
    server { location / { } location /own { proxy_set_header C 1; add_header D 1 always; error_page 500 /b; index y z; }
    location /merge { add_header E 1; add_header_inherit merge; } location /off { add_header_inherit off; } }`);
  const names = (at: LocationConfig) => at.headers.addHeaders.map(({ name }) => name);
  assert.deepEqual(location(config, 0).proxy.setHeaders, [{ name: 'A', value: '1' }]);
  assert.deepEqual(names(location(config, 0)), ['B']);
  assert.deepEqual(location(config, 0).core.errorPages, [{ statuses: [404], overwrite: -1, uri: '/a' }]);
  assert.deepEqual(location(config, 1).proxy.setHeaders, [{ name: 'C', value: '1' }]);
  assert.deepEqual(location(config, 1).headers.addHeaders, [{ name: 'D', value: '1', always: true }]);
  assert.deepEqual(location(config, 1).core.errorPages, [{ statuses: [500], overwrite: -1, uri: '/b' }]);
  assert.deepEqual(location(config, 1).core.index, ['y', 'z']);
  assert.deepEqual(names(location(config, 2)), ['E', 'B']);
  assert.deepEqual(names(location(config, 3)), []);
});

test('access_log', async () => {
  const config = await http(`access_log logs/a.log; server { access_log logs/b.log; access_log logs/c.log combined
    buffer=1k flush=5s if=$arg_log; location /off { access_log off; location /off/x { } } location / { } }`);
  const paths = (at: LocationConfig) =>
    at.log.access.map(({ target }) => (target.kind === 'file' ? target.path : target.target.server));
  assert.deepEqual(paths(location(config)), ['/t/logs/b.log', '/t/logs/c.log']);
  assert.deepEqual(paths(location(config, 0)), []);
  assert.deepEqual(paths(location(config, 0, 0)), []);
  assert.partialDeepStrictEqual(location(config, 1).log.access[1], {
    format: 'combined',
    condition: '$arg_log',
    bufferSize: 1024,
    flushMs: 5000,
  });
  const plain = await http('server { }');
  assert.deepEqual(paths(location(plain)), ['/t/logs/access.log']);
  assert.deepEqual(
    plain.logFormats.map(({ name }) => name),
    ['combined'],
  );
  const syslog = await http('access_log syslog:server=localhost,tag=x,nohostname; server { }');
  assert.deepEqual(location(syslog).log.access[0]?.target, {
    kind: 'syslog',
    target: { server: '127.0.0.1:514', facility: 'local7', severity: 'info', tag: 'x', hostname: false },
  });
});

test('arguments of log_format do not run into each other', async () => {
  const config = await http("log_format a '$host' 'x' $status; server { }");
  const parts = config.logFormats[1]?.parts as string;
  assert.deepEqual(parseValue(parts), [
    { kind: 'variable', name: 'host' },
    { kind: 'text', text: 'x' },
    { kind: 'variable', name: 'status' },
  ]);
});

test('a handler is not inherited, but if and limit_except leave it as it is', async () => {
  const config = await http(`server { location / { proxy_pass http://127.0.0.1:1/x/; if ($arg_a) { add_header A 1; }
    if ($arg_b) { proxy_pass http://127.0.0.1:2; } limit_except GET { access_log off; } location /in { } } }`);
  const outer = location(config, 0);
  const port = (at: LocationConfig): string | null => (at.handler.kind === 'proxy' ? at.handler.pass.port : null);
  assert.equal(port(outer), '1');
  assert.equal(port(ifLocation(outer.rewrite[0])), '1');
  assert.equal(port(ifLocation(outer.rewrite[1])), '2');
  assert.equal(port(outer.limitExcept as LocationConfig), '1');
  assert.deepEqual(outer.locations[0]?.handler, { kind: 'static' });
  assert.deepEqual(ifLocation(outer.rewrite[0]).headers.addHeaders.length, 1);
  assert.deepEqual(outer.match, { kind: 'prefix', path: '/', noRegex: false, autoRedirect: true });
});

test('locations keep their order and their kinds', async () => {
  const config =
    await http(`server { location = /a { } location ^~ /b { } location ~ c { } location ~* d { } location @e { }
    location /f/ { proxy_pass http://127.0.0.1; } location =/g { } location ~*h { } }`);
  assert.deepEqual(
    config.servers[0]?.root.locations.map(({ match }) => match),
    [
      { kind: 'exact', path: '/a' },
      { kind: 'prefix', path: '/b', noRegex: true, autoRedirect: false },
      { kind: 'regex', regex: { pattern: 'c', caseless: false } },
      { kind: 'regex', regex: { pattern: 'd', caseless: true } },
      { kind: 'named', name: '@e' },
      { kind: 'prefix', path: '/f/', noRegex: false, autoRedirect: true },
      { kind: 'exact', path: '/g' },
      { kind: 'regex', regex: { pattern: 'h', caseless: true } },
    ],
  );
});

test('root, alias, try_files', async () => {
  const config =
    await http(`root www/; server { location /a/ { alias /x/; location /a/b/ { } } location ~ ^/c { alias /y/$1; }
    location /d { root $arg_r; try_files $uri /e =404; if ($arg_x) { } } }`);
  assert.partialDeepStrictEqual(location(config).core, { root: '/t/www', alias: null });
  assert.partialDeepStrictEqual(location(config, 0).core, { root: '/x/', alias: '/x/', aliasLength: 3 });
  assert.partialDeepStrictEqual(location(config, 0, 0).core, { alias: '/x/', aliasLength: 3 });
  assert.equal(location(config, 1).core.aliasLength, undefined);
  assert.equal(location(config, 2).core.root, '$arg_r');
  assert.deepEqual(location(config, 2).core.tryFiles, { paths: ['$uri', '/e'], fallback: '=404', status: 404 });
  assert.equal(ifLocation(location(config, 2).rewrite[0]).core.tryFiles, null);
});

test('error_page forms', async () => {
  const config = await http(
    'server { error_page 404 =200 /a; error_page 403 = @b; error_page 400 494 497 http://c/; }',
  );
  assert.deepEqual(location(config).core.errorPages, [
    { statuses: [404], overwrite: 200, uri: '/a' },
    { statuses: [403], overwrite: 0, uri: '@b' },
    { statuses: [400], overwrite: -1, uri: 'http://c/' },
    { statuses: [494, 497], overwrite: 400, uri: 'http://c/' },
  ]);
});

test('rewrite programs', async () => {
  const config =
    await http(`server { set $A "x$host"; rewrite ^/a /b last; rewrite ^/c http://d/ break; if ($a != y) { return 301 /z; }
    location / { if (-f $request_filename) { break; } if ( $http_x ~* "^(a|b)$" ) { rewrite ^ /y permanent; } return http://e; } }`);
  const server = config.servers[0];
  assert.deepEqual(server?.rewrite.slice(0, 3), [
    { op: 'set', variable: 'a', value: 'x$host' },
    { op: 'rewrite', regex: { pattern: '^/a', caseless: false }, replacement: '/b', flag: 'last' },
    { op: 'rewrite', regex: { pattern: '^/c', caseless: false }, replacement: 'http://d/', flag: 'redirect' },
  ]);
  assert.partialDeepStrictEqual(server?.rewrite[3], {
    condition: { kind: 'equal', variable: 'a', negate: true, value: 'y' },
    ops: [{ op: 'return', status: 301, text: '/z' }],
  });
  assert.deepEqual(server?.root.rewrite, []);
  const ops = location(config, 0).rewrite;
  assert.partialDeepStrictEqual(ops[0], {
    condition: { kind: 'file', test: 'f', negate: false, path: '$request_filename' },
    ops: [{ op: 'break' }],
  });
  assert.partialDeepStrictEqual(ops[1], {
    condition: { kind: 'regex', variable: 'http_x', regex: { pattern: '^(a|b)$', caseless: true } },
  });
  assert.deepEqual(ops[2], { op: 'return', status: 302, text: 'http://e' });
});

test('maps', async () => {
  const files = { '/t/conf/more.map': 'c.test 3;\n' };
  const config = await http(
    `map $host $V { hostnames; volatile; default d; A.test 1; *.b.test 2; .e.test 5; f.* 6; ~^x(?<g>.) $g; ~*Y 7; \\default 8;
      include more.map; }`,
    files,
  );
  assert.deepEqual(config.maps, [
    {
      source: '$host',
      variable: 'v',
      hostnames: true,
      volatile: true,
      default: 'd',
      exact: [
        ['a.test', '1'],
        ['e.test', '5'],
        ['default', '8'],
        ['c.test', '3'],
      ],
      wildcards: [
        { kind: 'suffix', name: '.b.test', value: '2' },
        { kind: 'suffix', name: '.e.test', value: '5' },
        { kind: 'prefix', name: 'f.', value: '6' },
      ],
      regexes: [
        { regex: { pattern: '^x(?<g>.)', caseless: false }, value: '$g' },
        { regex: { pattern: 'Y', caseless: true }, value: '7' },
      ],
    },
  ]);
});

test('listens of several servers are joined', async () => {
  const config = await http(`server { listen 80; server_name a .b.test "" ~^(.*)$; }
    server { listen 80 default_server; listen 127.0.0.1:81 proxy_protocol backlog=9; listen unix:/s; http2 on; }
    server { listen two.test:82-83; } server { }`);
  assert.deepEqual(
    config.listens.map(({ address, servers, defaultServer }) => [address, servers, defaultServer]),
    [
      ['0.0.0.0:80', [0, 1, 3], 1],
      ['127.0.0.1:81', [1], 1],
      ['unix:/s', [1], 1],
      ['192.0.2.1:82', [2], 2],
      ['[2001:db8::1]:82', [2], 2],
      ['192.0.2.1:83', [2], 2],
      ['[2001:db8::1]:83', [2], 2],
    ],
  );
  assert.partialDeepStrictEqual(config.listens[1], { proxyProtocol: true, backlog: 9, http2: false, kind: 'tcp' });
  assert.deepEqual(
    config.servers.map((server) => server.http2.on),
    [false, true, false, false],
  );
  assert.deepEqual(config.servers[0]?.names, [
    { kind: 'exact', name: 'a' },
    { kind: 'exact', name: 'b.test' },
    { kind: 'suffix', name: '.b.test' },
    { kind: 'exact', name: '' },
    { kind: 'regex', regex: { pattern: '^(.*)$', caseless: false } },
  ]);
  assert.equal(config.servers[0]?.serverName, 'a');
  assert.deepEqual(config.servers[3]?.names, [{ kind: 'exact', name: '' }]);
});

test('upstreams: parameters and defaults', async () => {
  const config = await http(`resolver 127.0.0.1; upstream u { zone z 1m; hash $request_uri consistent;
    server 127.0.0.1 weight=2 max_conns=3 max_fails=4 fail_timeout=1m route=r down;
    server [::1]:81; server unix:/s; server two.test:82; server a.test service=_x resolve; server 127.0.0.2 resolve drain;
    keepalive 5; keepalive_timeout 9s; resolver_timeout 7s; queue 10 timeout=1s; ntlm; }
    upstream v { server 127.0.0.1 slow_start=5s backup; server 127.0.0.1:2; random two least_time=header; }
    upstream w { zone z; server 127.0.0.1; least_time last_byte inflight; keepalive 0; }`);
  const [u, v, w] = config.upstreams;
  assert.partialDeepStrictEqual(u, {
    name: 'u',
    implicit: false,
    balancer: { kind: 'hash', key: '$request_uri', consistent: true },
    zone: { name: 'z', size: 1048576 },
    keepalive: { connections: 5, local: false, requests: 1000, timeMs: 3_600_000, timeoutMs: 9000 },
    resolver: { addresses: [{ host: '127.0.0.1', port: 53 }] },
    resolverTimeoutMs: 7000,
    queue: { size: 10, timeoutMs: 1000 },
    ntlm: true,
  });
  assert.partialDeepStrictEqual(u?.servers[0], {
    server: '127.0.0.1',
    port: 80,
    weight: 2,
    maxConns: 3,
    maxFails: 4,
    failTimeoutSec: 60,
    route: 'r',
    down: true,
    drain: false,
  });
  assert.deepEqual(
    u?.servers.map(({ host, port, addresses }) => [host, port, addresses.map(({ text }) => text)]),
    [
      ['127.0.0.1', 80, ['127.0.0.1:80']],
      ['::1', 81, ['[::1]:81']],
      ['/s', 0, ['unix:/s']],
      ['two.test', 82, ['192.0.2.1:82', '[2001:db8::1]:82']],
      ['a.test', 0, []],
      ['127.0.0.2', 80, ['127.0.0.2:80']],
    ],
  );
  assert.partialDeepStrictEqual(u?.servers[4], { resolve: true, service: '_x' });
  assert.partialDeepStrictEqual(u?.servers[5], { resolve: false, drain: true, down: false });
  assert.partialDeepStrictEqual(v, {
    balancer: { kind: 'random', two: { kind: 'least_time', mode: 'header' } },
    keepalive: { connections: 32, local: true },
  });
  assert.partialDeepStrictEqual(v?.servers[0], { slowStartMs: 5000, backup: true });
  assert.partialDeepStrictEqual(w, {
    balancer: { kind: 'least_time', mode: 'last_byte', inflight: true },
    zone: { size: 1048576 },
    keepalive: { connections: 0 },
  });
});

test('sticky', async () => {
  const sticky = async (text: string) => (await http(`upstream u { server 127.0.0.1; ${text} }`)).upstreams[0]?.sticky;
  assert.deepEqual(await sticky('sticky cookie a expires=max domain=.$host httponly secure samesite=Lax path=/;'), {
    mode: 'cookie',
    name: 'a',
    expires: 'max',
    domain: '.$host',
    httpOnly: true,
    secure: true,
    sameSite: 'Lax',
    path: '/',
  });
  assert.deepEqual(await sticky('sticky route $cookie_A $arg_b;'), { mode: 'route', variables: ['cookie_a', 'arg_b'] });
  assert.deepEqual(
    await sticky('sticky learn create=$upstream_cookie_x lookup=$cookie_x zone=z:1m timeout=1h header;'),
    {
      mode: 'learn',
      create: ['upstream_cookie_x'],
      lookup: ['cookie_x'],
      zone: { name: 'z', size: 1048576 },
      timeoutMs: 3_600_000,
      header: true,
    },
  );
  assert.equal(await sticky('sticky cookie a; ip_hash;'), null, 'a method takes the place of sticky');
  assert.partialDeepStrictEqual(await sticky('sticky_cookie_insert a expires=1h;'), { name: 'a', expires: 3600 });
});

test('literal hosts make implicit groups, one for each host and port', async () => {
  const config =
    await http(`server { location /a { proxy_pass http://two.test:81; } location /b { proxy_pass http://two.test:81/x; }
    location /c { proxy_pass https://two.test; } location /d { proxy_pass http://u/y?z; } location /e { proxy_pass http://unix:/s:/q; }
    location /f { proxy_pass http://$host; } } upstream u { server 127.0.0.1; }`);
  assert.deepEqual(
    config.upstreams.map(({ name, implicit, port }) => [name, implicit, port]),
    [
      ['u', false, 0],
      ['two.test', true, 81],
      ['two.test', true, 443],
      ['/s', true, 0],
    ],
  );
  assert.deepEqual(
    config.upstreams[1]?.servers[0]?.addresses.map(({ text }) => text),
    ['192.0.2.1:81', '[2001:db8::1]:81'],
  );
  assert.equal(config.upstreams[1]?.keepalive.connections, 0);
  const passes = config.servers[0]?.root.locations.map(({ handler }) =>
    handler.kind === 'proxy' ? handler.pass : null,
  );
  const expected = [
    ['http', 1, 'two.test:81', '81', null],
    ['http', 1, 'two.test:81', '81', '/x'],
    ['https', 2, 'two.test', '443', null],
    ['http', 0, 'u', '80', '/y?z'],
    ['http', 3, 'localhost', '', '/q'],
    ['http', null, '', '', null],
  ];
  assert.deepEqual(
    passes?.map((pass) => [pass?.scheme, pass?.upstream, pass?.hostHeader, pass?.port, pass?.uri]),
    expected,
  );
  assert.equal(passes?.[5]?.variableTarget, 'http://$host');
});

test('proxy settings', async () => {
  const { config } = await load(
    inServer(`proxy_next_upstream error http_503 http_500 non_idempotent; proxy_redirect off; proxy_cookie_path / /x;
      location /a { proxy_next_upstream off; proxy_buffers 4 8k; proxy_redirect ~^a(.) /$1; proxy_redirect http://b /;
        proxy_cookie_domain .a .b; proxy_cookie_domain ~c d; proxy_cookie_flags ~x secure; proxy_cookie_flags off1 httponly;
        proxy_hide_header X; proxy_pass_header Server; proxy_limit_rate 1k; proxy_bind $remote_addr transparent; }
      location /b { proxy_pass http://127.0.0.1; proxy_redirect default; }`),
  );
  const root = config.http?.servers[0]?.root as LocationConfig;
  const [a, b] = root.locations.map(({ proxy }) => proxy);
  assert.deepEqual(root.proxy.nextUpstream, {
    error: true,
    timeout: false,
    invalidHeader: false,
    nonIdempotent: true,
    statuses: [500, 503],
  });
  assert.deepEqual(root.proxy.redirects, []);
  assert.equal(root.proxy.busyBuffersSize, 8192);
  assert.partialDeepStrictEqual(a, {
    nextUpstream: { error: false, timeout: false },
    busyBuffersSize: 16384,
    redirects: [
      { kind: 'regex', regex: { pattern: '^a(.)', caseless: false }, to: '/$1' },
      { kind: 'prefix', from: 'http://b', to: '/' },
    ],
    cookieDomains: [
      { kind: 'text', from: 'a', to: 'b' },
      { kind: 'regex', to: 'd' },
    ],
    cookiePaths: [{ kind: 'text', from: '/', to: '/x' }],
    cookieFlags: [
      { cookie: { pattern: 'x', caseless: true }, flags: ['secure'] },
      { cookie: 'off1', flags: ['httponly'] },
    ],
    limitRate: '1024',
    bind: { address: '$remote_addr', transparent: true },
  });
  assert.deepEqual(b?.redirects, [{ kind: 'default' }]);
  assert.equal(b?.httpVersion, '1.1');
});

test('main settings and the command line', async () => {
  const { config } = await load(
    'worker_processes auto; user www; error_log stderr info; error_log logs/x.log debug_http; events { worker_connections 9;' +
      ' debug_connection 10.0.0.0/8; debug_connection localhost; }',
    {},
    { globals: 'daemon off; pid run.pid; worker_shutdown_timeout 5s;' },
  );
  assert.deepEqual(config.main, {
    daemon: false,
    masterProcess: true,
    workerProcesses: 4,
    workerConnections: 9,
    eventMethod: 'auto',
    pidFile: '/t/run.pid',
    user: { name: 'www', group: null },
    errorLog: [
      { kind: 'stderr', level: 'info' },
      { kind: 'file', path: '/t/logs/x.log', level: 'debug' },
    ],
    workerShutdownTimeoutMs: 5000,
    debugConnections: ['10.0.0.0/8', '127.0.0.1'],
  });
  assert.equal(config.http, null);
  const plain = await load('events {}', {}, { errorLogOverride: 'e.log', superUser: false });
  assert.deepEqual(plain.config.main.errorLog, [{ kind: 'file', path: '/t/e.log', level: 'error' }]);
  const user = await load('user www; events {}', {}, { superUser: false });
  assert.equal(user.warnings.length, 1);
});

test('include: relative to the main file, sorted, in blocks', async () => {
  const files = {
    '/t/conf/d/b.conf': 'server { listen 82; }',
    '/t/conf/d/a.conf': 'server { listen 81; include e/*.inc; }',
    '/t/conf/e/x.inc': 'location /x { }',
    '/t/conf/mime.types': 'types { text/css css; include more.types; }',
    '/t/conf/more.types': 'text/html html;',
  };
  const { config } = await load(inHttp('include d/*.conf; include mime.types; include none/*.conf;'), files);
  assert.deepEqual(
    config.http?.listens.map(({ port }) => port),
    [81, 82],
  );
  assert.equal(config.http?.servers[0]?.root.locations[0]?.name, '/x');
  assert.deepEqual(config.http?.servers[0]?.root.core.types, { css: 'text/css', html: 'text/html' });
  assert.deepEqual(
    config.sources.map(({ file }) => file),
    [FILE, ...['d/a.conf', 'e/x.inc', 'd/b.conf', 'mime.types', 'more.types'].map((name) => `/t/conf/${name}`)],
  );
});

test('texts are byte strings, paths are text', async () => {
  const bytes = Buffer.from('/ü', 'utf8').toString('latin1');
  const { config } = await load(`pid ${bytes}.pid; ${inLocation(`return 200 "${bytes}";`)}`);
  assert.equal(config.main.pidFile, '/ü.pid');
  assert.deepEqual(config.http?.servers[0]?.root.locations[0]?.rewrite, [{ op: 'return', status: 200, text: bytes }]);
});

test('tables are sound', () => {
  const seen = new Map<string, number>();
  for (const { directives } of MODULES) {
    for (const { name, contexts } of directives) {
      assert.equal((seen.get(name) ?? 0) & contexts, 0, `${name} has two entries for one block`);
      seen.set(name, (seen.get(name) ?? 0) | contexts);
    }
  }
  assert.equal(REGISTRY.size, seen.size);
  assert.equal(new Set(HTTP_VARIABLES).size, HTTP_VARIABLES.length);
});

test('every directive of an upstream may stand once', async () => {
  const { config } = await load(inUpstream('server 127.0.0.1;'));
  assert.equal(config.http?.upstreams[0]?.keepalive.connections, 32);
});
