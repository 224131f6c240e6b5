import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { Client } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { all, type Response } from '../helpers/http1.ts';
import { suiteScope } from '../helpers/wait.ts';
import { REQUEST_CASES, type RequestCase } from './request-cases.ts';

const AFTER = 'GET /after HTTP/1.1\r\nHost: good\r\n\r\n';

/** How bytes are handed to the proxy, and how it hands bodies on. */
const MODES = [
  { mode: 'bodies buffered', port: 'buffered', pieces: false },
  { mode: 'bodies streamed', port: 'streamed', pieces: false },
  { mode: 'byte by byte, bodies streamed', port: 'streamed', pieces: true },
] as const;

type Mode = (typeof MODES)[number];

const scope = suiteScope(after);
/** Heads whose body is refused reach a server of their own: when those connections end says nothing about other cases. */
let halves: Backend;
let whole: Backend;
let headrace: Headrace;

function server(port: number, buffering: string, upstream = 'u'): string {
  return `
    server {
      listen 127.0.0.1:${port};
      server_name good;
      client_max_body_size 1m;
      proxy_request_buffering ${buffering};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-User-Id ours;
      location / { proxy_pass http://${upstream}; }
      location /strip/ { proxy_pass http://${upstream}/base/; }
      location /var/ { proxy_pass http://${upstream}$uri; }
      location ~ ^/cap/([^?]*)$ { proxy_pass http://${upstream}/c/$1; }
      location /rewrite/ { rewrite ^/rewrite/([^?]*)$ /r/$1 break; proxy_pass http://${upstream}; }
      location /args/ { rewrite ^/args/([^?]*)$ /r?x=$1? break; proxy_pass http://${upstream}; }
      location /setargs/ { set $args $uri; rewrite ^ /setargs/ break; proxy_pass http://${upstream}; }
      location /field/ { proxy_set_header Host $host; proxy_set_header X-Uri $uri; proxy_set_header Connection ""; proxy_pass http://${upstream}; }
      location /answer/ { add_header X-Uri $uri; proxy_pass http://${upstream}; }
      location /redirect/ { return 302 http://good$uri; }
      location /method/ { proxy_method $uri; proxy_pass http://${upstream}; }
      location /fieldmethod/ { proxy_method $http_x_method; proxy_pass http://${upstream}; }
      location /fieldtarget/ { proxy_pass http://${upstream}$http_x_path; }
    }`;
}

before(async () => {
  const script = answering((request) => {
    const body = `${request.method} ${request.target} ${request.body.length}`;
    return request.method === 'HEAD' ? `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n` : ok(body);
  });
  whole = await Backend.start(scope, script);
  halves = await Backend.start(scope, script);
  headrace = await Headrace.start(
    scope,
    ({ port }) => `
    upstream u { server 127.0.0.1:${whole.port}; keepalive 4; }
    upstream h { server 127.0.0.1:${halves.port}; keepalive 4; }
    proxy_next_upstream off;
    ${server(port('buffered'), 'on')}
    ${server(port('streamed'), 'off')}
    ${server(port('halves'), 'off', 'h')}`,
    { logLevel: 'debug' },
  );
});

async function send(client: Client, bytes: string, pieces: boolean): Promise<void> {
  if (!pieces || bytes.length > 2000) {
    await client.send(bytes);
    return;
  }
  // Once the proxy has answered, what is still to come could only lose us the answer.
  for (let i = 0; i < bytes.length && client.received.length === 0 && !client.ended; i++) await client.send(bytes[i]!);
  if (client.received.length > 0 && !client.ended) await client.send('');
}

/** The next final answer. */
async function answer(client: Client, method: string): Promise<Response> {
  for (;;) {
    const response = await client.response(method);
    if (response.status >= 200) return response;
  }
}

async function expectRefusal(client: Client, statuses: number[], pieces: boolean): Promise<void> {
  const rest = await client.end();
  // A reset may overtake the answer when more bytes were on their way.
  if (rest.length === 0 && client.error !== null && pieces) return;
  const response = await client.response();
  assert.ok(statuses.includes(response.status), `answered ${response.status} instead of ${statuses.join(' or ')}`);
  assert.equal(client.unread.length, 0, `more than the refusal: ${client.unread.toString('latin1')}`);
}

async function run(t: { after(fn: () => unknown): void }, c: RequestCase, mode: Mode): Promise<void> {
  const half = c.inBody === true && mode.port === 'streamed';
  const backend = half ? halves : whole;
  backend.forget();
  const client = await Client.connect(t, headrace.port(half ? 'halves' : mode.port));
  const method = c.bytes.startsWith('HEAD ') ? 'HEAD' : 'GET';

  if (c.refused !== undefined) {
    await send(client, c.bytes, mode.pieces);
    await expectRefusal(client, c.refused, mode.pieces);
    assert.deepEqual(
      backend.requests.map((r) => r.line),
      [],
      'no request reaches the server',
    );
    if (!half) assert.equal(backend.bytesReceived, 0, 'no byte reaches the server');
    for (const b of backend.broken) assert.match(b, /^connection ended in a request/);
    return;
  }

  const targets = c.targets!;
  await (mode.pieces && targets.length <= 1 && c.thenRefused !== true && c.closes !== true
    ? send(client, c.bytes, true)
    : client.send(c.bytes));
  if (c.status !== undefined) {
    const response = await answer(client, method);
    assert.equal(response.status, c.status);
    assert.deepEqual(
      response.fields.filter(([n]) => /smuggled/i.test(n)),
      [],
    );
  }
  for (const [i] of targets.entries()) {
    const response = await answer(client, method);
    assert.equal(response.status, 200);
    assert.deepEqual(
      response.fields.filter(([n]) => /smuggled/i.test(n)),
      [],
    );
    if (method !== 'HEAD') {
      const r = backend.requests[i]!;
      assert.equal(response.body.toString('latin1'), `${r.method} ${r.target} ${r.body.length}`);
    }
  }
  if (c.thenRefused === true) await expectRefusal(client, [400], mode.pieces);
  else if (c.closes === true) assert.equal((await client.end()).length, 0);
  else {
    // The connection is where we think it is: the next request gets its own answer.
    await client.send(AFTER);
    const response = await answer(client, 'GET');
    assert.equal(response.status, 200);
    assert.equal(response.body.toString('latin1'), 'GET /after 0');
    assert.equal(client.unread.length, 0);
  }
  const expected = c.thenRefused === true || c.closes === true ? targets : [...targets, '/after'];
  assert.deepEqual(
    backend.requests.map((r) => r.target),
    expected,
  );
  assert.deepEqual(backend.broken, []);
  const [first] = backend.requests;
  if (c.method !== undefined) assert.equal(first!.method, c.method);
  if (c.body !== undefined) assert.equal(first!.body.toString('latin1'), c.body);
  for (const [name, value] of Object.entries(c.fields ?? {})) {
    assert.deepEqual(all(first!, name), value === null ? [] : [value], name);
  }
  for (const r of backend.requests) {
    assert.deepEqual(
      r.fields.filter(
        ([n, v]) =>
          /smuggled/i.test(n) || (v.includes('SMUGGLED') && n !== 'X-Uri' && n !== 'X-Path' && n !== 'X-Method'),
      ),
      [],
    );
    assert.deepEqual(r.trailers, []);
  }
}

for (const mode of MODES) {
  describe(`requests, ${mode.mode}`, () => {
    for (const { group, cases } of REQUEST_CASES) {
      describe(group, () => {
        for (const c of cases) test(c.name, (t) => run(t, c, mode));
      });
    }
  });
}

test('the corpus is large enough, and names are told apart', () => {
  const names = REQUEST_CASES.flatMap(({ group, cases }) => cases.map((c) => `${group}: ${c.name}`));
  assert.ok(names.length >= 100, `${names.length} cases`);
  assert.equal(new Set(names).size, names.length);
});
