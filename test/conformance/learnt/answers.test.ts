/** What nginx's test suite taught about answers of servers, and bodies on their way to them. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Backend, answering, ok } from '../../helpers/backend.ts';
import { Client, ask, raw } from '../../helpers/client.ts';
import { Headrace } from '../../helpers/headrace.ts';
import { all, field } from '../../helpers/http1.ts';
import { RawHttp2 } from '../../helpers/http2.ts';
import { suiteScope, until } from '../../helpers/wait.ts';

const HINTS = Buffer.from(
  'HTTP/1.1 103 \r\nLink: </style.css>; rel=preload\r\nServer: theirs\r\nX-Mine: hidden\r\n\r\n',
);

const scope = suiteScope(after);

describe('answers and bodies', () => {
  let h: Headrace;
  let backend: Backend;

  const answers: Record<string, Buffer> = {
    '/dated': ok('x', ['Date: theirs', 'Server: theirs']),
    '/upgrade200': ok('x', ['Connection: Upgrade', 'Upgrade: websocket']),
    '/upgrade426': ok('x', ['Connection: Upgrade', 'Upgrade: websocket'], '426 Upgrade Required'),
    '/large': ok(Buffer.alloc(32 << 20)),
    '/hints': Buffer.concat([HINTS, ok('final')]),
    '/hints-twice': Buffer.concat([HINTS, HINTS, ok('final')]),
    '/hints-alone': HINTS,
    '/hints-too-long': Buffer.concat([
      HINTS,
      Buffer.from(`HTTP/1.1 103 x\r\nLink: ${'x'.repeat(4000)}\r\n\r\n`),
      ok('final'),
    ]),
    '/hints-no-use': Buffer.from(
      'HTTP/1.1 103 x\r\nDate: x\r\nConnection: x-hop\r\nX-Hop: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n',
    ),
    '/rate': ok('x'.repeat(4000), ['X-Rate: 1000']),
    '/no-rate': ok('x'.repeat(4000)),
  };

  before(async () => {
    backend = await Backend.start(
      scope,
      answering((request, c) => {
        const target = request.target.replace(/\?.*/, '');
        if (target === '/hints-alone') setImmediate(() => c.end());
        return answers[target] ?? ok(`${request.method} ${request.body.length}`);
      }),
    );
    const u = `http://127.0.0.1:${backend.port}`;
    h = await Headrace.start(
      scope,
      ({ port, dir }) => `
      proxy_cache_path ${dir}/cache keys_zone=c:1m;
      server { listen 127.0.0.1:${port('main')}; listen unix:${dir}/socket; http2 on; proxy_http_version 1.1;
        location / { proxy_pass ${u}; }
        location /theirs/ { proxy_pass ${u}/; proxy_pass_header Date; proxy_pass_header Server; }
        location /theirs/cached/ { proxy_pass ${u}/; proxy_pass_header Date; proxy_pass_header Server; proxy_cache c; proxy_cache_valid 1m; }
        location /their-date/ { proxy_pass ${u}/; proxy_pass_header Date; expires epoch; }
        location /paced/ { proxy_pass ${u}/; proxy_limit_rate $upstream_http_x_rate; }
        location /early/ { early_hints 0 $arg_hints; proxy_hide_header X-Mine; proxy_pass ${u}/; }
        location /silent { return 444; location /silent/reset { reset_timedout_connection on; return 444; } }
        location /slow { send_timeout 200ms; proxy_pass ${u}/large; location /slow/reset { reset_timedout_connection on; proxy_pass ${u}/large; } }
        location /store/ { proxy_pass ${u}/; proxy_store ${dir}/stored$uri; }
        location /streamed/ { proxy_pass ${u}/; proxy_request_buffering off; client_max_body_size 100;
          location /streamed/in-file { proxy_pass ${u}/; client_body_in_file_only clean; add_header X-Body $request_body-$request_body_file; } }
      }`,
    );
  });

  for (const cached of ['', 'cached/', 'cached/']) {
    test(`proxy_pass_header Date, Server: what the server does not say is not said (proxy_merge_headers.t, ${cached || 'plain'})`, async (t) => {
      const dated = await ask(t, h.port('main'), `/theirs/${cached}dated`);
      assert.deepEqual([all(dated, 'Date'), all(dated, 'Server')], [['theirs'], ['theirs']]);
      const bare = await ask(t, h.port('main'), `/theirs/${cached}bare`);
      assert.deepEqual([all(bare, 'Date'), all(bare, 'Server')], [[], []]);
    });
  }

  test('each of them alone, with other fields hidden as well (proxy_merge_headers.t)', async (t) => {
    const answer = await ask(t, h.port('main'), '/their-date/bare');
    assert.equal(field(answer, 'Date'), null);
    assert.match(field(answer, 'Server') ?? '', /^headrace\//);
    const client = new RawHttp2(t, h.port('main'));
    client.request(1, '/theirs/bare');
    const { fields } = await client.answer(1);
    assert.deepEqual([fields['date'], fields['server']], [undefined, undefined]);
  });

  test('Upgrade of an answer is passed on by HTTP/1 and not by HTTP/2 (proxy_connection_headers.t)', async (t) => {
    for (const path of ['/upgrade200', '/upgrade426']) {
      assert.equal(field(await ask(t, h.port('main'), path), 'Upgrade'), 'websocket');
      const client = new RawHttp2(t, h.port('main'));
      client.request(1, path);
      const { status, fields } = await client.answer(1);
      assert.equal(status, Number(path.slice(-3)));
      assert.equal(fields['upgrade'], undefined);
    }
  });

  test('proxy_limit_rate may depend on the answer (proxy_limit_rate2.t)', async (t) => {
    const client = await Client.connect(t, h.port('main'));
    await client.send('GET /paced/rate HTTP/1.1\r\nHost: a\r\n\r\n');
    await until('the head', () => client.unread.includes('\r\n\r\n'));
    const begun = client.unread.length - client.unread.indexOf('\r\n\r\n') - 4;
    // Two seconds' worth if the clock's second changes right then.
    assert.ok(begun <= 2000, `${begun} bytes at once`);
    assert.equal((await client.response()).body.length, 4000);
    // A field that is not there is no limit.
    assert.equal((await ask(t, h.port('main'), '/paced/no-rate')).body.length, 4000);
  });

  test('103 is passed on where early_hints says so, with its fields (proxy_early_hints.t)', async (t) => {
    const get = (path: string, version = '1.1'): Promise<string> =>
      raw(t, h.port('main'), `GET ${path} HTTP/${version}\r\nHost: a\r\nConnection: close\r\n\r\n`);
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n';
    const answer = await get('/early/hints?hints=1');
    assert.ok(answer.startsWith(`${hints}HTTP/1.1 200 OK\r\n`), answer);
    assert.ok(answer.endsWith('\r\n\r\nfinal'));
    assert.ok((await get('/early/hints-twice?hints=1')).startsWith(`${hints}${hints}HTTP/1.1 200 `));
    assert.ok((await get('/early/hints-too-long?hints=1')).startsWith(`${hints}HTTP/1.1 200 `));
    for (const path of ['/early/hints', '/early/hints?hints=0', '/hints'])
      assert.ok((await get(path)).startsWith('HTTP/1.1 200 '), path);
    assert.ok((await get('/early/hints-no-use?hints=1')).startsWith('HTTP/1.1 204 '));
    assert.ok((await get('/early/hints?hints=1', '1.0')).startsWith('HTTP/1.1 200 '));
  });

  test('103 by HTTP/2, and one that nothing follows (proxy_early_hints.t)', async (t) => {
    const client = new RawHttp2(t, h.port('main'));
    client.request(1, '/early/hints?hints=1');
    await client.answer(1);
    const heads = client.frames.filter(({ type }) => type === 1).map(({ fields }) => fields);
    assert.deepEqual(heads[0], { ':status': '103', link: '</style.css>; rel=preload' });
    assert.equal(heads[1]![':status'], '200');
    assert.match(
      await raw(t, h.port('main'), 'GET /early/hints-alone?hints=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'),
      /^HTTP\/1\.1 103 [^]*\r\n\r\nHTTP\/1\.1 502 /,
    );
  });

  for (const [path, expected] of [
    ['/silent', null],
    ['/silent/reset', 'ECONNRESET'],
    ['/slow', null],
    ['/slow/reset', 'ECONNRESET'],
  ] as const) {
    test(`reset_timedout_connection: ${path} ${expected === null ? 'ends' : 'is reset'}`, async (t) => {
      const client = await Client.connect(t, h.port('main'));
      const before = h.lines('while sending to client').length;
      if (path.startsWith('/slow')) client.socket.pause();
      await client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
      if (path.startsWith('/slow')) {
        await until('the timeout', () => h.lines('while sending to client').length > before);
        client.socket.resume();
      }
      await client.end();
      assert.equal(client.error?.code ?? null, expected);
    });
  }

  test('reset_timedout_connection: a unix socket has no reset, and ends', async (t) => {
    const client = await Client.connect(t, join(h.dir, 'socket'));
    await client.send('GET /silent/reset HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.end();
    assert.equal(client.text, '');
    assert.equal((await ask(t, h.port('main'), '/dated')).status, 200);
  });

  test('proxy_store keeps no answer to HEAD (proxy_store.t)', async (t) => {
    await ask(t, h.port('main'), '/store/x', { method: 'HEAD' });
    await ask(t, h.port('main'), '/store/y');
    await until('the stored file', () => existsSync(join(h.dir, 'stored/store/y')));
    assert.equal(existsSync(join(h.dir, 'stored/store/x')), false);
  });

  test('chunks that come together go on as one (proxy_request_buffering_chunked.t)', async (t) => {
    const client = await Client.connect(t, h.port('main'));
    const before = backend.requests.length;
    await client.send('POST /streamed/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    await client.send('5\r\n01234\r\n4;ext=1\r\nmany\r\n');
    await until('the first chunk', () =>
      backend.connections.some((c) => c.text.endsWith('\r\n\r\n9\r\n01234many\r\n')),
    );
    // The next request stands behind the body: it must not be moved.
    await client.send('1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal((await client.response()).body.toString(), 'POST 12');
    assert.equal((await client.response()).body.toString(), 'GET 0');
    assert.deepEqual(backend.requests[before]!.chunks?.map(String), ['01234many', 'abc']);
  });

  test('a body that came whole goes to no file where bodies are streamed (proxy_h2_request_buffering.t)', async (t) => {
    const post = 'POST /streamed/in-file HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc';
    assert.match(await raw(t, h.port('main'), post), /\r\nX-Body: abc-\r\n/);
  });

  test('the limit of a body counts what was moved together', async (t) => {
    const chunk = `28\r\n${'x'.repeat(40)}\r\n`;
    const head = 'POST /streamed/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n';
    assert.match(await raw(t, h.port('main'), `${head}${chunk}${chunk}0\r\n\r\n`), / 200 [^]*POST 80$/);
    assert.match(await raw(t, h.port('main'), `${head}${chunk}${chunk}${chunk}0\r\n\r\n`), /^HTTP\/1\.1 413 /);
  });
});
