import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Backend, type BackendConnection, ok } from '../helpers/backend.ts';
import { Client } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { all, type Response } from '../helpers/http1.ts';
import { suiteScope, until } from '../helpers/wait.ts';
import { ANSWER_CASES, type AnswerCase } from './answer-cases.ts';

const MODES = ['buffered', 'streamed'] as const;
const scope = suiteScope(after);
let backend: Backend;
let headrace: Headrace;
/** The case that `/case` is answered by. */
let current: AnswerCase = ANSWER_CASES[0]!;

/** Answers `/case` as the case says, and everything else with its target. */
async function script(c: BackendConnection): Promise<void> {
  for (;;) {
    const request = await c.request();
    if (request === null) return;
    if (!request.target.startsWith('/case')) {
      await c.send(ok(`after ${c.number}`));
      continue;
    }
    const { pieces, close, reset } = current;
    for (const [i, piece] of pieces.entries()) {
      await c.send(piece);
      // Let the proxy read what was sent, as far as that can be told: pieces that come together are still right.
      if (i + 1 < pieces.length) await new Promise((resolve) => setImmediate(resolve));
    }
    if (reset === true) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      c.reset();
    } else if (close === true) c.end();
  }
}

before(async () => {
  backend = await Backend.start(scope, script);
  headrace = await Headrace.start(
    scope,
    ({ port }) => `
    upstream u { server 127.0.0.1:${backend.port} max_fails=0; keepalive 1; }
    ${MODES.map(
      (mode) => `server {
        listen 127.0.0.1:${port(mode)};
        location / {
          proxy_pass http://u;
          proxy_http_version 1.1;
          proxy_set_header Connection "";
          proxy_set_header Upgrade $http_upgrade;
          proxy_buffering ${mode === 'buffered' ? 'on' : 'off'};
          proxy_next_upstream off;
          proxy_hide_header X-User-Id;
          proxy_read_timeout 5s;
        }
      }`,
    ).join('\n')}`,
  );
});

async function answer(client: Client, method: string): Promise<Response> {
  for (;;) {
    const response = await client.response(method);
    if (response.status >= 200) return response;
  }
}

async function run(t: { after(fn: () => unknown): void }, c: AnswerCase, mode: (typeof MODES)[number]): Promise<void> {
  current = c;
  backend.forget();
  const before = backend.connections.length;
  const method = c.method ?? 'GET';
  const client = await Client.connect(t, headrace.port(mode));
  await client.send(`${method} /case HTTP/1.1\r\nHost: good\r\n\r\n`);

  let next = client;
  if (c.cut === true) {
    await client.end();
    await assert.rejects(client.response(method), /connection ended/);
    assert.doesNotMatch(client.text, /SMUGGLED/);
    next = await Client.connect(t, headrace.port(mode));
  } else {
    const response = await answer(client, method);
    assert.equal(response.status, c.status);
    if (c.body !== undefined) assert.equal(response.body.toString('latin1'), c.body);
    for (const [name, value] of Object.entries(c.fields ?? {}))
      assert.deepEqual(all(response, name), value === null ? [] : [value], name);
    assert.deepEqual(
      response.fields.filter(([n, v]) => /^smuggled/i.test(n) || v === 'SMUGGLED'),
      [],
    );
    assert.equal(client.unread.length, 0, `behind the answer: ${client.unread.toString('latin1')}`);
    if (all(response, 'connection').includes('close')) {
      await client.end();
      next = await Client.connect(t, headrace.port(mode));
    }
  }

  const used = backend.connections.findLast(
    (b) => b.requests.some((r) => r.target === '/case') && b.number >= before - 1,
  )!;
  if (!c.reused) await until('the proxy to leave the connection', () => used.ended || used.closed);
  await next.send('GET /after HTTP/1.1\r\nHost: good\r\n\r\n');
  const response = await answer(next, 'GET');
  assert.equal(response.status, 200);
  const number = Number(/^after (\d+)$/.exec(response.body.toString('latin1'))?.[1]);
  assert.equal(
    number === used.number,
    c.reused,
    c.reused ? 'the connection is used again' : 'the connection is not used again',
  );
  assert.equal(next.unread.length, 0);
  assert.deepEqual(backend.broken, []);
}

for (const mode of MODES) {
  describe(`answers, ${mode}`, () => {
    for (const c of ANSWER_CASES) test(c.name, (t) => run(t, c, mode));
  });
}

describe('bytes that nobody asked for', () => {
  test('on an idle connection: it is left, and the next request gets its own answer', async (t) => {
    current = ANSWER_CASES[0]!;
    const client = await Client.connect(t, headrace.port('buffered'));
    for (const junk of ['X', 'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nSMUGGLED', '\r\n']) {
      await client.send('GET /first HTTP/1.1\r\nHost: good\r\n\r\n');
      assert.match((await answer(client, 'GET')).body.toString(), /^after/);
      const idle = backend.connections.filter((b) => !b.ended);
      assert.equal(idle.length, 1);
      await idle[0]!.send(junk);
      await idle[0]!.gone();
      await client.send('GET /second HTTP/1.1\r\nHost: good\r\n\r\n');
      assert.match((await answer(client, 'GET')).body.toString(), /^after \d+$/);
    }
  });

  test('an end on an idle connection: nobody notices', async (t) => {
    const client = await Client.connect(t, headrace.port('buffered'));
    for (let i = 0; i < 3; i++) {
      await client.send('GET /first HTTP/1.1\r\nHost: good\r\n\r\n');
      assert.equal((await answer(client, 'GET')).status, 200);
      for (const b of backend.connections) if (!b.ended) b.end();
      await until('idle connections to be left', () => backend.connections.every((b) => b.ended));
    }
  });
});

test('the corpus has no name twice', () => {
  assert.equal(new Set(ANSWER_CASES.map((c) => c.name)).size, ANSWER_CASES.length);
});
