/** The HTTP/1 side towards clients: connections, framing, limits, timeouts, listening addresses. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { networkInterfaces } from 'node:os';
import { after, before, describe, test } from 'node:test';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { ask, Client, compose, raw } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { all, field, readResponse, text } from '../helpers/http1.ts';
import { suiteScope } from '../helpers/wait.ts';

const scope = suiteScope(after);
let backend: Backend;
let h: Headrace;
const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some((a) => a.address === '::1'));

before(async () => {
  backend = await Backend.start(
    scope,
    answering(async (r, c) => {
      if (r.target === '/trailers-late') {
        await c.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
        for (const byte of '0\r\nX-Sum: 5\r\n\r\n') await c.send(byte);
        return null;
      }
      if (r.target === '/chunked')
        return 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n there\r\n0\r\n\r\n';
      if (r.target === '/trailers')
        return 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n';
      return r.method === 'HEAD'
        ? 'HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n'
        : ok(`${r.method} ${r.target} ${r.body.toString('latin1')}`);
    }),
  );
  h = await Headrace.start(
    scope,
    ({ port, dir }) => `
    upstream u { server 127.0.0.1:${backend.port}; keepalive 8; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    server {
      listen 127.0.0.1:${port('main')};
      listen unix:${join(dir, 'main.sock')};
      ${hasIpv6 ? `listen [::1]:${port('six')};` : ''}
      listen *:${port('any')};
      client_max_body_size 1k;
      location / { proxy_pass http://u; }
      location /hello { return 200 "hello\\n"; }
      location /few { keepalive_requests 2; return 200 few; }
      location /never { keepalive_timeout 0; return 200 never; }
      location /any-size { client_max_body_size 0; proxy_pass http://u; }
      location /no-chunks { chunked_transfer_encoding off; proxy_pass http://u/chunked; }
      location /passed/ { proxy_pass_trailers on; proxy_pass http://u/; }
      location /old/ { proxy_http_version 1.0; proxy_pass http://u/; }
    }
    server {
      listen 127.0.0.1:${port('timeouts')};
      client_header_timeout 300ms;
      client_body_timeout 300ms;
      keepalive_timeout 300ms;
      send_timeout 300ms;
      lingering_timeout 200ms;
      location / { proxy_pass http://u; }
      location /streamed { proxy_request_buffering off; proxy_pass http://u; }
      location /hello { return 200 hello; }
      location /large { root ${dir}; }
    }
    server {
      listen 127.0.0.1:${port('small')};
      client_header_buffer_size 256;
      large_client_header_buffers 2 512;
      location / { return 200 "$request_length"; }
    }
    server {
      listen 127.0.0.1:${port('lenient')};
      underscores_in_headers on;
      ignore_invalid_headers off;
      location / { return 200 "[$http_a_b]"; }
    }`,
    { files: { large: Buffer.alloc(20_000_000, 'x') } },
  );
});

describe('keep-alive', () => {
  test('HTTP/1.1 stays open, HTTP/1.0 closes, each unless it says otherwise', async (t) => {
    const client = await Client.connect(t, h.port('main'));
    for (let i = 0; i < 3; i++) {
      await client.send('GET /hello HTTP/1.1\r\nHost: a\r\n\r\n');
      const r = await client.response();
      assert.deepEqual([r.status, text(r), field(r, 'connection')], [200, 'hello\n', 'keep-alive']);
    }
    await client.send('GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.equal(field(await client.response(), 'connection'), 'close');
    assert.equal((await client.end()).length, 0);

    assert.match(
      await raw(t, h.port('main'), 'GET /hello HTTP/1.0\r\n\r\n'),
      /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\nConnection: close\r\n[\s\S]*\r\nhello\n$/,
    );

    const old = await Client.connect(t, h.port('main'));
    for (let i = 0; i < 2; i++) {
      await old.send('GET /hello HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n');
      assert.equal(field(await old.response(), 'connection'), 'keep-alive');
    }
  });

  test('keepalive_requests', async (t) => {
    const client = await Client.connect(t, h.port('main'));
    await client.send(compose('/few'));
    assert.equal(field(await client.response(), 'connection'), 'keep-alive');
    await client.send(compose('/few'));
    assert.equal(field(await client.response(), 'connection'), 'close');
    await client.end();
  });

  test('keepalive_timeout 0', async (t) => {
    const client = await Client.connect(t, h.port('main'));
    await client.send(compose('/never'));
    assert.equal(field(await client.response(), 'connection'), 'close');
    await client.end();
  });

  test('a hundred pipelined requests are answered in order', async (t) => {
    const client = await Client.connect(t, h.port('main'));
    const targets = Array.from({ length: 100 }, (_, i) => (i % 3 === 0 ? '/hello' : `/${i}`));
    await client.send(
      Buffer.concat(targets.map((target, i) => compose(target, i % 5 === 1 ? { method: 'POST', body: `b${i}` } : {}))),
    );
    for (const [i, target] of targets.entries()) {
      const r = await client.response();
      assert.equal(r.status, 200);
      if (target !== '/hello')
        assert.equal(text(r), `${i % 5 === 1 ? 'POST' : 'GET'} ${target} ${i % 5 === 1 ? `b${i}` : ''}`);
    }
  });
});

describe('framing', () => {
  test('chunked goes on chunked to HTTP/1.1, and until the end to HTTP/1.0', async (t) => {
    const r = await ask(t, h.port('main'), '/chunked');
    assert.deepEqual([field(r, 'transfer-encoding'), text(r)], ['chunked', 'hello there']);
    const old = await raw(t, h.port('main'), 'GET /chunked HTTP/1.0\r\nHost: a\r\n\r\n');
    assert.doesNotMatch(old, /transfer-encoding|content-length/i);
    assert.match(old, /\r\n\r\nhello there$/);
    const off = readResponse(Buffer.from(await raw(t, h.port('main'), compose('/no-chunks')), 'latin1'), 'GET', true);
    assert.deepEqual([off?.untilClose, off?.body.toString()], [true, 'hello there']);
  });

  test('a chunked body reaches the server', async (t) => {
    const bytes =
      'POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n';
    const client = await Client.connect(t, h.port('main'));
    await client.send(bytes);
    assert.equal(text(await client.response()), 'POST /p abcde');
    assert.equal(field(backend.requests.at(-1)!, 'content-length'), '5');
  });

  test('trailers of a server', async (t) => {
    const r = await ask(t, h.port('main'), '/trailers', { fields: ['TE: trailers'] });
    assert.equal(text(r), 'hello');
    // Unless proxy_pass_trailers says so, they stay here.
    assert.deepEqual(r.trailers, []);
    for (const target of ['/passed/trailers', '/passed/trailers-late']) {
      assert.deepEqual((await ask(t, h.port('main'), target)).trailers, [['X-Sum', '5']], target);
    }
    // HTTP/1.0 has none.
    assert.match(await raw(t, h.port('main'), 'GET /passed/trailers HTTP/1.0\r\nHost: a\r\n\r\n'), /\r\nhello$/);
  });

  test('a refusal can be read though more was sent than was taken', async (t) => {
    for (let i = 0; i < 20; i++) {
      const client = await Client.connect(t, h.port('main'));
      await client.send(`POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(200_000)}`);
      assert.equal((await client.response()).status, 413);
      client.destroy();
    }
  });

  test('HEAD has the fields of GET and no body', async (t) => {
    for (const [target, length] of [
      ['/hello', '6'],
      ['/x', '77'],
    ] as const) {
      const client = await Client.connect(t, h.port('main'));
      await client.send(compose(target, { method: 'HEAD' }) + compose('/hello').toString());
      assert.equal(field(await client.response('HEAD'), 'content-length'), length);
      assert.equal(text(await client.response()), 'hello\n');
    }
  });

  test('Expect: 100-continue', async (t) => {
    const client = await Client.connect(t, h.port('main'));
    await client.send('POST /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n');
    assert.equal((await client.response()).status, 100);
    await client.send('abc');
    assert.equal(text(await client.response()), 'POST /e abc');
    // Whoever will not read the body says so instead.
    const large = await Client.connect(t, h.port('main'));
    await large.send('POST /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 30000\r\n\r\n');
    assert.equal((await large.response()).status, 413);
    // HTTP/1.0 knows no interim answers.
    assert.match(
      await raw(
        t,
        h.port('main'),
        'POST /e HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc',
      ),
      /^HTTP\/1\.1 200/,
    );
  });

  test('to a server that speaks HTTP/1.0', async (t) => {
    assert.equal(text(await ask(t, h.port('main'), '/old/x', { method: 'POST', body: 'abc' })), 'POST /x abc');
    assert.equal(backend.requests.at(-1)!.version, 'HTTP/1.0');
  });
});

describe('limits', () => {
  test('client_max_body_size', async (t) => {
    assert.equal((await ask(t, h.port('main'), '/b', { method: 'POST', body: 'x'.repeat(1024) })).status, 200);
    assert.equal((await ask(t, h.port('main'), '/b', { method: 'POST', body: 'x'.repeat(1025) })).status, 413);
    assert.equal(
      (await ask(t, h.port('main'), '/any-size', { method: 'POST', body: 'x'.repeat(100_000) })).status,
      200,
    );
    const chunked = await Client.connect(t, h.port('main'));
    await chunked.send(
      `POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n${'x'.repeat(1024)}\r\n1\r\ny\r\n0\r\n\r\n`,
    );
    assert.equal((await chunked.response()).status, 413);
  });

  test('request line and fields', async (t) => {
    assert.equal((await ask(t, h.port('small'), `/${'a'.repeat(400)}`)).status, 200);
    assert.equal((await ask(t, h.port('small'), `/${'a'.repeat(600)}`)).status, 414);
    assert.equal((await ask(t, h.port('small'), '/', { fields: [`X: ${'a'.repeat(400)}`] })).status, 200);
    assert.equal((await ask(t, h.port('small'), '/', { fields: [`X: ${'a'.repeat(600)}`] })).status, 400);
    assert.equal(
      (await ask(t, h.port('small'), '/', { fields: Array.from({ length: 20 }, () => `X: ${'a'.repeat(100)}`) }))
        .status,
      400,
    );
  });

  test('field names', async (t) => {
    assert.equal(text(await ask(t, h.port('lenient'), '/', { fields: ['A_B: c'] })), '[c]');
    assert.equal((await ask(t, h.port('lenient'), '/', { fields: ['A(B: c'] })).status, 400);
  });
});

describe('timeouts', () => {
  test('nothing comes: closed without an answer', async (t) => {
    const client = await Client.connect(t, h.port('timeouts'));
    assert.equal((await client.end()).length, 0);
  });

  test('a head that does not end', async (t) => {
    const client = await Client.connect(t, h.port('timeouts'));
    await client.send('GET / HTTP/1.1\r\nHost: a\r\n');
    const rest = await client.end();
    if (rest.length > 0) assert.equal((await client.response()).status, 408);
    await h.logged('client timed out');
  });

  for (const target of ['/', '/streamed']) {
    test(`a body that does not end: ${target}`, async (t) => {
      const client = await Client.connect(t, h.port('timeouts'));
      await client.send(`POST ${target} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc`);
      const rest = await client.end();
      if (rest.length > 0) assert.equal((await client.response()).status, 408);
    });
  }

  test('an idle connection', async (t) => {
    const client = await Client.connect(t, h.port('timeouts'));
    await client.send(compose('/hello'));
    assert.equal((await client.response()).status, 200);
    assert.equal((await client.end()).length, 0);
  });

  test('a client that does not read', async (t) => {
    const client = await Client.connect(t, h.port('timeouts'));
    client.socket.pause();
    await client.send(compose('/large'));
    await h.logged('while sending to client');
    client.socket.resume();
    await client.end();
    assert.ok(client.received.reduce((n, b) => n + b.length, 0) < 20_000_000);
  });
});

describe('listening addresses', () => {
  test('unix socket', async (t) => {
    assert.equal(text(await ask(t, join(h.dir, 'main.sock'), '/hello')), 'hello\n');
  });

  test('IPv6', { skip: hasIpv6 ? false : 'no ::1 here' }, async (t) => {
    assert.equal(text(await ask(t, h.port('six'), '/hello', { client: { host: '::1' } })), 'hello\n');
  });

  test('wildcard', async (t) => {
    for (const host of ['127.0.0.1', '127.0.0.2'])
      assert.equal(text(await ask(t, h.port('any'), '/hello', { client: { host } })), 'hello\n');
  });
});

test('error pages name no more than they must, and every answer has Date and Server once', async (t) => {
  for (const target of ['/hello', '/chunked', '/x']) {
    const r = await ask(t, h.port('main'), target);
    assert.equal(all(r, 'date').length, 1);
    assert.equal(all(r, 'server').length, 1);
  }
});
