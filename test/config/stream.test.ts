/** `stream` blocks: what comes out of them, and nginx's words for mistakes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError } from '../../src/config/errors.ts';
import { STREAM_VARIABLES } from '../../src/config/nginx/variables.ts';
import type { StreamConfig } from '../../src/config/stream-model.ts';
import { StreamVariables } from '../../src/stream/variables/table.ts';
import { FILE, load } from './support.ts';

async function stream(text: string): Promise<StreamConfig> {
  const { config } = await load(`events {}\nstream {\n${text}\n}\n`);
  assert.ok(config.stream !== null);
  return config.stream;
}

test('defaults, inheritance, groups, listens', async () => {
  const config = await stream(`
    proxy_timeout 5s; ssl_preread on;
    upstream g { least_time first_byte; server 127.0.0.1:1 max_conns=2; server 127.0.0.1:2 backup; }
    server { listen 127.0.0.1:8001; proxy_pass g; proxy_ssl on; }
    server { listen 127.0.0.1:8001 udp; proxy_pass 127.0.0.1:3; proxy_timeout 1s; proxy_responses 1; ssl_preread off; }
    server { listen 127.0.0.1:8002-8003; return a; }`);
  const [first, second] = config.servers;
  assert.deepEqual(
    config.listens.map(({ kind, address, servers }) => [kind, address, servers]),
    [
      ['tcp', '127.0.0.1:8001', [0]],
      ['udp', '127.0.0.1:8001', [1]],
      ['tcp', '127.0.0.1:8002', [2]],
      ['tcp', '127.0.0.1:8003', [2]],
    ],
  );
  assert.deepEqual(
    config.upstreams.map(({ name, implicit, port }) => [name, implicit, port]),
    [
      ['g', false, 0],
      ['127.0.0.1', true, 3],
    ],
  );
  assert.deepEqual(config.upstreams[0]?.balancer, { kind: 'least_time', mode: 'first_byte', inflight: false });
  assert.equal(first?.proxy.timeoutMs, 5000);
  assert.equal(first?.proxy.ssl?.sessionReuse, true);
  assert.equal(first?.sslPreread, true);
  assert.deepEqual(first?.handler, { kind: 'proxy', upstream: 0, variableTarget: null });
  assert.equal(second?.proxy.timeoutMs, 1000);
  assert.equal(second?.proxy.responses, 1);
  assert.equal(second?.proxy.ssl, null);
  assert.equal(second?.sslPreread, false);
  assert.deepEqual(second?.log.access, [], 'no access log unless one is written');
  assert.deepEqual(first?.core, {
    tcpNodelay: true,
    prereadBufferSize: 16384,
    prereadTimeoutMs: 30_000,
    proxyProtocolTimeoutMs: 30_000,
    resolver: null,
    resolverTimeoutMs: 30_000,
    errorLog: null,
  });
});

test('http and stream have variables, groups and log formats of their own', async () => {
  const { config } = await load(`events {}
    http { log_format a '$request'; upstream g { server 127.0.0.1; } map $host $x { default 1; }
           server { listen 127.0.0.1:1; } }
    stream { log_format a '$protocol'; upstream g { server 127.0.0.1:1; } map $protocol $x { default 2; }
             server { listen 127.0.0.1:2; proxy_pass g; access_log /tmp/a a; } }`);
  assert.deepEqual(
    config.stream?.logFormats.map(({ parts }) => parts),
    ['${protocol}'],
  );
  assert.deepEqual(
    config.stream?.maps.map(({ source }) => source),
    ['$protocol'],
  );
  assert.equal(config.http?.upstreams.length, 1);
});

test('sticky in stream: what is looked for is what is learned', async () => {
  const config = await stream(
    'upstream u { server 127.0.0.1:1; sticky learn lookup=$remote_addr zone=z:64k; } server { listen 1; proxy_pass u; }',
  );
  const { sticky } = config.upstreams[0]!;
  assert.ok(sticky?.mode === 'learn');
  assert.deepEqual(sticky.create, ['remote_addr']);
});

test('health checks, and bytes in what is sent and expected', async () => {
  const config = await stream(`
    health_check_timeout 2s;
    match a { send "x\\r\\n\\x00\\xFf"; expect "\\x2e"; }
    match b { expect ~* \\x2e; }
    upstream u { zone u 64k; server 127.0.0.1:1; }
    server { listen 1; proxy_pass u; health_check; health_check interval=2s jitter=1s fails=2 passes=3 port=9 match=a mandatory persistent; }
    server { listen 1 udp; proxy_pass u; health_check udp match=b; health_check_timeout 1s; }`);
  assert.deepEqual(
    config.matches.map(({ send, expect }) => [send, expect]),
    [
      ['x\r\n\0\xff', { kind: 'text', text: '.' }],
      [null, { kind: 'regex', regex: { pattern: '\\x2e', caseless: true } }],
    ],
  );
  const [first, second] = config.servers;
  const checks = first!.healthChecks.map(({ place, ...rest }) => (place.line > 0 ? rest : null));
  const usual = { intervalMs: 5000, jitterMs: 0, fails: 1, passes: 1, port: null, match: null };
  assert.deepEqual(checks, [
    { ...usual, mandatory: false, persistent: false, udp: false },
    {
      intervalMs: 2000,
      jitterMs: 1000,
      fails: 2,
      passes: 3,
      port: 9,
      match: 'a',
      mandatory: true,
      persistent: true,
      udp: false,
    },
  ]);
  assert.equal(first!.healthTimeoutMs, 2000);
  assert.deepEqual([second!.healthTimeoutMs, second!.healthChecks[0]!.udp], [1000, true]);
});

const checked = (directives: string, zone = 'zone u 64k;'): string =>
  `upstream u { ${zone} server 127.0.0.1:1; } server { listen 1; proxy_pass u; ${directives} }`;

/** Of what nginx sells: our own words. */
const OWN_MISTAKES: [text: string, message: string][] = [
  [checked('health_check interval=0;'), 'invalid parameter "interval=0"'],
  [checked('health_check uri=/;'), 'invalid parameter "uri=/"'],
  [checked('health_check udp udp;'), 'duplicate parameter "udp"'],
  [checked('health_check udp=1;'), 'invalid parameter "udp=1"'],
  [checked('health_check persistent;'), '"persistent" requires "mandatory"'],
  [checked('health_check match=x;'), 'unknown match "x"'],
  [checked('health_check;', ''), 'health checks require upstream "u" in '],
  ['server { listen 1; return a; health_check; }', '"health_check" needs a server that passes sessions to a group'],
  ['server { listen 1; proxy_pass $hostname:1; health_check; }', '"health_check" needs a server that passes sessions'],
  ['match a { } match a { }', '"match" directive "a" is duplicate'],
  ['match a { status 200; }', 'unknown match condition "status", it must be "send" or "expect"'],
  ['match a { send; }', 'invalid number of arguments in the "send" condition'],
  ['match a { send a; send b; }', 'duplicate "send" condition'],
  ['match a { send \\x8; }', 'invalid escape "\\x8", it must be like \\x80'],
  ['match a { expect ~; }', 'invalid number of arguments in the "expect" condition'],
  ['match a { expect a b; }', 'invalid number of arguments in the "expect" condition'],
  ['match a { expect a; expect b; }', 'duplicate "expect" condition'],
  ['match a { expect ~ (; }', 'pcre2_compile() failed: missing closing parenthesis in "("'],
];

/** Texts of nginx 1.31.5 for the same lines, without place. */
const MISTAKES: [text: string, message: string][] = [
  ['server { return a; }', 'no "listen" is defined for server'],
  ['server { listen 8099 http2; return a; }', 'invalid parameter "http2"'],
  ['server { listen 8099 udp ssl; return a; }', '"listen" directive "ssl" parameter is incompatible with "udp"'],
  ['server { listen 8099; proxy_pass 127.0.0.1; }', 'no port in upstream "127.0.0.1"'],
  ['server { listen 8099; proxy_pass foo; }', 'no port in upstream "foo"'],
  ['upstream u { server a; } server { listen 8099; proxy_pass u; }', 'no port in upstream "a"'],
  ['server { listen 8099; proxy_pass unix:/a; proxy_pass unix:/b; }', '"proxy_pass" directive is duplicate'],
  ['server { listen 8099; access_log x; return a; }', 'log format is not specified'],
  ['server { listen 8099; access_log x combined; return a; }', 'unknown log format "combined"'],
  ['server { listen 8099 ssl; return a; }', 'no "ssl_certificate" is defined for the "listen ... ssl" directive'],
  ['server { listen 8099; proxy_pass $x; }', 'unknown "x" variable'],
  ['server { listen 8099; return $request; }', 'unknown "request" variable'],
  ['server { listen 8099; pass 127.0.0.1; }', '"pass" directive has no port'],
  ['server { listen 8099; pass foo:1; }', '"pass" directive has no addresses'],
  ['server { listen 8099; proxy_bind foo; return a; }', 'invalid address "foo"'],
  ['server { listen 8099; set x a; }', 'invalid variable name "x"'],
  ['server { listen 8099; set $remote_addr 1; }', 'the duplicate "remote_addr" variable'],
  ['server { listen 8099; return a; return b; }', '"return" directive is duplicate'],
  ['server { listen 8099; ssl_alpn a; ssl_alpn b; return a; }', '"ssl_alpn" directive is duplicate'],
  ['server { listen 8099; proxy_protocol v3; return a; }', 'invalid value "v3"'],
  ['server { listen 8099; proxy_upload_rate x; return a; }', '"proxy_upload_rate" directive invalid value'],
  ['server { listen 8099; proxy_responses x; return a; }', '"proxy_responses" directive invalid number'],
  [
    'server { listen 8099; proxy_ssl on; proxy_ssl_verify on; proxy_pass 127.0.0.1:1; }',
    'no proxy_ssl_trusted_certificate for proxy_ssl_verify',
  ],
  ['upstream u { sticky cookie a; server 127.0.0.1:1; }', 'unknown parameter "cookie"'],
  ['upstream u { least_time header; server 127.0.0.1:1; }', 'invalid value "header"'],
  ['upstream u { keepalive 2; server 127.0.0.1:1; }', '"keepalive" directive is not allowed here'],
  ['location / { }', '"location" directive is not allowed here'],
];

test('mistakes, in the words of nginx', async () => {
  for (const [text, message] of [...MISTAKES, ...OWN_MISTAKES]) {
    await assert.rejects(stream(text), (error: unknown) => {
      assert.ok(error instanceof ConfigError, text);
      assert.ok(error.message.startsWith(message), `${text}: ${error.message}`);
      return true;
    });
  }
  await assert.rejects(
    load('events {} http { server { listen 127.0.0.1:1; } } stream { server { listen 127.0.0.1:1; return a; } }'),
    { message: `both "http" and "stream" listen on "127.0.0.1:1" in ${FILE}` },
  );
});

test('every variable that the configuration knows exists when it runs', async () => {
  const config = await stream('server { listen 1; return a; }');
  class Probe extends StreamVariables {
    readonly missing: string[] = [];
    protected override stored(name: string, ...rest: never[]): never {
      this.missing.push(name);
      return super.stored(name, ...(rest as unknown as [never, never])) as never;
    }
  }
  const probe = new Probe(config);
  for (const name of STREAM_VARIABLES) probe.lookup(name);
  assert.deepEqual(probe.missing, []);
});
