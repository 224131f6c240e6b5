/** What nginx's test suite, and the comparison with nginx, taught about backends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { TestDns, a } from '../../discovery/dns-server.ts';
import { Backend, answering, ok } from '../../helpers/backend.ts';
import { Client, raw } from '../../helpers/client.ts';
import { Headrace } from '../../helpers/headrace.ts';
import { until } from '../../helpers/wait.ts';

/** A backend that answers `<name> <request line> <fields that matter>`, or what `answers` has for the path. */
function echo(name: string, answers: Record<string, Buffer> = {}): ReturnType<typeof answering> {
  return answering((request) => {
    const length = request.fields.find(([field]) => field.toLowerCase() === 'content-length')?.[1] ?? 'none';
    return answers[request.target] ?? ok(`${name} ${request.line} length=${length}`);
  });
}

interface Case {
  from: string;
  name: string;
  send: string;
  expect: RegExp;
}

const get = (path: string, ...fields: string[]): string =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${fields.map((f) => `${f}\r\n`).join('')}\r\n`;

const CASES: Case[] = [
  {
    from: 'proxy_if.t',
    name: 'rewrite … break: the URI of proxy_pass does not count',
    send: get('/cut/x'),
    expect: /one GET \/cut\/new\/x HTTP/,
  },
  { from: 'proxy_if.t', name: 'without a rewrite it does', send: get('/cut/'), expect: /one GET \/base\/ HTTP/ },
  {
    from: 'comparison',
    name: 'a length of 0 is passed on',
    send: 'POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
    expect: /one POST \/x HTTP\/1\.1 length=0$/,
  },
  {
    from: 'comparison',
    name: 'none is passed on as none',
    send: get('/x'),
    expect: /one GET \/x HTTP\/1\.1 length=none$/,
  },
  {
    from: 'proxy_redirect.t',
    name: 'a Location that proxy_redirect made relative is made absolute',
    send: get('/redirect/there'),
    expect: /\r\nLocation: http:\/\/a:\d+\/public\/x\r\n/,
  },
  {
    from: 'proxy_intercept_errors.t',
    name: 'a page for a 401 keeps WWW-Authenticate',
    send: get('/intercept/401'),
    expect: /^HTTP\/1\.1 401 [^]*WWW-Authenticate: Basic realm="x"[^]*own page$/,
  },
  {
    from: 'proxy_implicit.t',
    name: 'a variable may name a literal proxy_pass, without resolver',
    send: get('/var?name=localhost'),
    expect: /one GET \/stub HTTP/,
  },
];

test('proxying', async (t) => {
  const backend = await Backend.start(
    t,
    echo('one', {
      '/raw/there': ok('', ['Location: http://inner.example/x'], '302 Found'),
      '/raw/401': ok('inner page', ['WWW-Authenticate: Basic realm="x"'], '401 Unauthorized'),
    }),
  );
  const headrace = await Headrace.start(
    t,
    ({ port }) => `
      upstream u { server 127.0.0.1:${backend.port}; }
      server { listen 127.0.0.1:${port('main')};
        location / { proxy_pass http://u; }
        location /cut/ { rewrite ^/cut/(.+)$ /cut/new/$1 break; proxy_pass http://u/base/; }
        location /redirect/ { proxy_pass http://u/raw/; proxy_redirect http://inner.example/ /public/; }
        location /intercept/ { proxy_pass http://u/raw/; proxy_intercept_errors on; error_page 401 @own; }
        location @own { return 200 "own page"; }
        location /literal { proxy_pass http://localhost:${backend.port}; }
        location /var { proxy_pass http://$arg_name:${backend.port}/stub; }
      }`,
  );
  for (const { from, name, send, expect } of CASES) {
    await t.test(`${name} (${from})`, async (t) => assert.match(await raw(t, headrace.port('main'), send), expect));
  }
});

test('addresses that were resolved for a request remember no failures (http_resolver.t)', async (t) => {
  const dns = await new TestDns((query) => ({
    answers: query.type === 'A' ? [a(query.name, '127.0.0.201'), a(query.name, '127.0.0.202')] : [],
  })).start();
  t.after(() => dns.stop());
  const headrace = await Headrace.start(
    t,
    ({ port }) => `server { listen 127.0.0.1:${port('main')};
      location / { resolver 127.0.0.1:${dns.port}; proxy_pass http://$arg_name:${port('nobody')}; add_header X-Tried $upstream_addr always; } }`,
  );
  for (let i = 0; i < 4; i++) {
    const answer = await raw(t, headrace.port('main'), get('/?name=many.example'));
    assert.match(answer, /\r\nX-Tried: 127\.0\.0\.20[12]:\d+, 127\.0\.0\.20[12]:\d+\r\n/);
  }
});

test('sticky learn: a session ends when it is not used (upstream_sticky_learn.t)', async (t) => {
  const backends = await Promise.all([Backend.start(t, echo('one')), Backend.start(t, echo('two'))]);
  const headrace = await Headrace.start(
    t,
    ({ port }) => `
      upstream u { ${backends.map((b) => `server 127.0.0.1:${b.port};`).join(' ')}
        sticky learn create=$arg_new lookup=$arg_id zone=z:1m timeout=1s; }
      server { listen 127.0.0.1:${port('main')}; location / { proxy_pass http://u; } }`,
  );
  const whom = async (path: string): Promise<string> =>
    /(one|two) GET/.exec(await raw(t, headrace.port('main'), get(path)))?.[1] ?? '';
  const bound = await whom('/?new=s');
  for (let i = 0; i < 4; i++) assert.equal(await whom('/?id=s'), bound);
  await sleep(1100);
  // Now it is the balancer's turn, which takes them in turn; the first answer does not bind anew.
  const later = [await whom('/?id=s'), await whom('/?id=s')];
  assert.deepEqual(later.toSorted(), ['one', 'two']);
});

test('limit_rate paces the head of an answer too (upstream_least_time.t)', async (t) => {
  const head = 'x'.repeat(1500);
  const headrace = await Headrace.start(
    t,
    ({ port }) =>
      `server { listen 127.0.0.1:${port('main')}; location / { limit_rate 1000; add_header X-Long ${head}; return 200 body; } }`,
  );
  const begun = performance.now();
  const client = await Client.connect(t, headrace.port('main'));
  await client.send(get('/'));
  await until('the beginning', () => client.received.length > 0);
  // Up to two seconds' worth at once, if the clock's second changes right then.
  assert.ok(client.unread.length <= 2000, `${client.unread.length} bytes at once`);
  const answer = await client.response();
  assert.equal(answer.body.toString(), 'body');
  assert.ok(answer.fields.some(([name, value]) => name === 'X-Long' && value === head));
  assert.ok(performance.now() - begun > 500);
});

test('an answer that limit_rate holds back is not mixed with those that come meanwhile', async (t) => {
  const slow = 'S'.repeat(1500);
  const backend = await Backend.start(
    t,
    answering((request) => ok(request.target.startsWith('/slow') ? slow : 'F'.repeat(3000))),
  );
  const headrace = await Headrace.start(
    t,
    ({ port }) => `upstream u { server 127.0.0.1:${backend.port}; }
      server { listen 127.0.0.1:${port('main')}; location / { proxy_pass http://u; } location /slow { limit_rate 1000; proxy_pass http://u; } }`,
  );
  const paced = raw(t, headrace.port('main'), get('/slow'));
  let over = false;
  void paced.then(() => (over = true));
  while (!over) await raw(t, headrace.port('main'), get('/fast'));
  assert.ok((await paced).endsWith(`\r\n\r\n${slow}`));
});

test('proxy_bind with an address and port, and with what is neither (proxy_bind.t)', async (t) => {
  const backend = await Backend.start(
    t,
    answering((_, c) => ok(`from ${c.socket.remoteAddress}:${c.socket.remotePort}`)),
  );
  const headrace = await Headrace.start(
    t,
    ({ port }) =>
      `server { listen 127.0.0.1:${port('main')}; location / { proxy_bind $arg_from; proxy_pass http://127.0.0.1:${backend.port}; }
        location /transparent { proxy_bind 127.0.0.3 transparent; proxy_pass http://127.0.0.1:${backend.port}; } }`,
  );
  // Addresses of this machine; others need what Node does not have (proxy_bind_transparent.t).
  assert.match(await raw(t, headrace.port('main'), get('/transparent')), /from 127\.0\.0\.3:/);
  const port = headrace.port('spare');
  const from = async (text: string): Promise<string> => raw(t, headrace.port('main'), get(`/?from=${text}`));
  assert.match(await from('127.0.0.2'), /from 127\.0\.0\.2:/);
  assert.ok((await from(`127.0.0.2:${port}`)).endsWith(`from 127.0.0.2:${port}`));
  assert.match(await from('nonsense'), /from 127\.0\.0\.1:/);
  assert.match(await from('::1'), /^HTTP\/1\.1 502 /);
  assert.match(await headrace.logged('invalid local address'), /invalid local address "nonsense"/);
  assert.deepEqual(headrace.lines('[alert]'), []);
});
