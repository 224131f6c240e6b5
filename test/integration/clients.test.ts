/** How clients are treated beyond what they asked: kept connections, expectations, bodies nobody wants, leaving early. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { ask, Client, compose } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { field, text } from '../helpers/http1.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);
let h: Headrace;
let backend: Backend;
const gate = { open: () => {} };

before(async () => {
  backend = await Backend.start(
    scope,
    answering(async (r) => {
      if (r.target.includes('wait')) await new Promise<void>((resolve) => (gate.open = resolve));
      return ok(`${r.method} ${r.target}`);
    }),
  );
  h = await Headrace.start(
    scope,
    ({ port }) => `
    access_log off;
    log_format done '$uri $status $upstream_status';
    server {
      listen 127.0.0.1:${port('main')};
      location / { return 200 here; }
      location /safari { keepalive_disable safari; return 200 here; }
      location /none { keepalive_disable none; return 200 here; }
      location /alone/ {
        proxy_ignore_client_abort on;
        access_log done.log done;
        proxy_pass http://127.0.0.1:${backend.port};
      }
      location /crash {
        set $true 1;
        if ($true) { proxy_pass http://127.0.0.1:${backend.port}; }
        if ($true) { }
      }
    }`,
  );
});

test('keepalive_disable (http_keepalive.t)', async () => {
  const connection = async (target: string, method: string, agent: string): Promise<string | null> => {
    const client = await Client.connect(scope, h.port('main'));
    await client.send(compose(target, { method, fields: [`User-Agent: ${agent}`] }));
    return field(await client.response(method), 'Connection');
  };
  const safari = 'Mozilla/5.0 (Macintosh; Intel Mac OS X) Safari/7534.48.3';
  assert.equal(await connection('/', 'POST', 'Mozilla/4.0 (compatible; MSIE 5.0)'), 'close');
  assert.equal(await connection('/', 'POST', 'MSIE 6.0'), 'close');
  assert.equal(await connection('/', 'POST', 'MSIE 6.0; SV1'), 'keep-alive');
  assert.equal(await connection('/', 'GET', 'MSIE 5.0'), 'keep-alive');
  assert.equal(await connection('/', 'POST', 'MSIE 7.0'), 'keep-alive');
  assert.equal(await connection('/', 'GET', safari), 'keep-alive');
  assert.equal(await connection('/safari', 'GET', safari), 'close');
  assert.equal(await connection('/none', 'POST', 'MSIE 5.0'), 'keep-alive');
});

test('100 Continue goes out though no body follows (http_expect_100_continue.t)', async () => {
  const first = async (version: string, expectation: string): Promise<string> => {
    const client = await Client.connect(scope, h.port('main'));
    await client.send(
      `POST / HTTP/${version}\r\nHost: a\r\nExpect: ${expectation}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
    );
    await until('the end', () => client.ended);
    return client.text.slice(0, 12);
  };
  assert.equal(await first('1.1', '100-continue'), 'HTTP/1.1 100');
  assert.equal(await first('1.1', '100-Continue'), 'HTTP/1.1 100');
  assert.equal(await first('1.0', '100-continue'), 'HTTP/1.1 200');
});

test('a chunked body that is none is refused, though nobody wants it (body_chunked.t)', async () => {
  const client = await Client.connect(scope, h.port('main'));
  await client.send('GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nSEE-THIS\r\n0\r\n\r\n');
  assert.equal((await client.response()).status, 400);
  await until('the end', () => client.ended);
});

test('a method in lower case is refused', async () => {
  const client = await Client.connect(scope, h.port('main'));
  await client.send('get / HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.equal((await client.response()).status, 400);
});

test('an if without handler behind one with proxy_pass is 500, not a guess (proxy_if.t)', async () => {
  assert.equal((await ask(scope, h.port('main'), '/crash')).status, 500);
  await h.logged('no target of "proxy_pass"');
});

test('proxy_ignore_client_abort: the request goes on, whether the client has closed or reset', async () => {
  for (const leave of ['destroy', 'resetAndDestroy'] as const) {
    backend.forget();
    const client = await Client.connect(scope, h.port('main'));
    await client.send(compose(`/alone/wait-${leave}`));
    await until('the request', () => backend.requests.length === 1);
    client.socket[leave]();
    // Headrace has seen it when it has read to the end: another connection's answer comes after that.
    assert.equal(text(await ask(scope, h.port('main'), '/')), 'here');
    assert.equal(backend.connections.at(-1)!.ended, false, leave);
    gate.open();
    await h.logged(`/alone/wait-${leave} `, 'done.log');
    assert.match(h.read('done.log'), new RegExp(`/alone/wait-${leave} 200 200\n`));
  }
});
