/** FastCGI, SCGI, uwsgi and memcached through the real program: what servers are sent, retries, keepalive, targets. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Backend, type BackendConnection } from '../helpers/backend.ts';
import { type Ask, ask, raw } from '../helpers/client.ts';
import { startProgram } from '../helpers/program.ts';
import { directory, Headrace } from '../helpers/headrace.ts';
import { field, type Response, text } from '../helpers/http1.ts';
import { freePort } from '../helpers/ports.ts';
import { requires } from '../helpers/requires.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);
let h: Headrace;
let fastcgi: Backend;
let scgi: Backend;
let uwsgi: Backend;
let memcached: Backend;
let uwsgiPort = 0;

/** A record of the FastCGI protocol. */
function record(type: number, content: Buffer | string): Buffer {
  const body = Buffer.from(content as string, 'latin1');
  return Buffer.concat([Buffer.from([1, type, 0, 1, body.length >> 8, body.length & 255, 0, 0]), body]);
}

/** Standard output, in records as long as they may be. */
function stdout(text: string): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < text.length; at += 60_000) records.push(record(6, text.slice(at, at + 60_000)));
  return records;
}

interface FastcgiRequest {
  keep: boolean;
  params: Map<string, string>;
  body: string;
}

/** Reads one request of a FastCGI client; null: the connection ended. */
async function readFastcgi(
  c: BackendConnection,
  from: number,
): Promise<{ request: FastcgiRequest; end: number } | null> {
  for (;;) {
    const all = Buffer.concat(c.received);
    const streams: Record<number, Buffer[]> = { 1: [], 4: [], 5: [] };
    for (let at = from; at + 8 <= all.length;) {
      const length = all.readUInt16BE(at + 4);
      const next = at + 8 + length + all[at + 6]!;
      if (next > all.length) break;
      const type = all[at + 1]!;
      assert.equal(all.readUInt16BE(at + 2), 1, 'request id');
      streams[type]!.push(all.subarray(at + 8, at + 8 + length));
      at = next;
      if (type === 5 && length === 0) {
        const params = pairs(Buffer.concat(streams[4]!));
        const body = Buffer.concat(streams[5]!).toString('latin1');
        return { request: { keep: streams[1]![0]![2] === 1, params, body }, end: at };
      }
    }
    if (c.ended) return null;
    await c.activity();
  }
}

function pairs(bytes: Buffer): Map<string, string> {
  const found = new Map<string, string>();
  let at = 0;
  const length = (): number => {
    if (bytes[at]! < 128) return bytes[at++]!;
    at += 4;
    return bytes.readUInt32BE(at - 4) & 0x7fffffff;
  };
  while (at < bytes.length) {
    const name = length();
    const value = length();
    found.set(bytes.latin1Slice(at, at + name), bytes.latin1Slice(at + name, at + name + value));
    at += name + value;
  }
  return found;
}

/** Answers with what it was sent. */
async function serveFastcgi(c: BackendConnection): Promise<void> {
  let at = 0;
  for (;;) {
    const read = await readFastcgi(c, at);
    if (read === null) return;
    at = read.end;
    const { params, body, keep } = read.request;
    if (params.get('URI') === '/f/cut') {
      c.reset();
      return;
    }
    if (params.get('URI')!.startsWith('/f/announced')) {
      const some = params.get('URI') === '/f/announced-some' ? 'abc' : '';
      await c.send(
        Buffer.concat([record(6, `Content-Length: 9\r\n\r\n${some}`), record(6, ''), record(3, '\0\0\0\0\0\0\0\0')]),
      );
      c.end();
      return;
    }
    const lines = [...params].map(([name, value]) => `${name}=${value}`).join('\n');
    const status = params.get('URI') === '/f/503' ? 'Status: 503 No\r\n' : '';
    await c.send(
      Buffer.concat([
        record(7, 'a word to the log'),
        record(6, `${status}Content-Type: text/plain\r\nX-Connection: ${c.number}\r\nX-Keep: ${keep}\r\n\r\n`),
        ...stdout(`${lines}\nbody: ${body}`),
        record(6, ''),
        record(3, '\0\0\0\0\0\0\0\0'),
      ]),
    );
    if (!keep) {
      c.end();
      return;
    }
  }
}

/** Waits for so many bytes behind the parameters, then answers with all of it as hexadecimal. */
function serveCgi(wanted: (bytes: Buffer) => boolean): (c: BackendConnection) => Promise<void> {
  return async (c) => {
    while (!wanted(Buffer.concat(c.received))) {
      if (c.ended) return;
      await c.activity();
    }
    await c.send(`Status: 200 Fine\r\nServer: mine\r\n\r\n${c.text}`);
    c.end();
  };
}

async function serveMemcached(c: BackendConnection): Promise<void> {
  let seen = 0;
  for (;;) {
    while (!c.text.slice(seen).includes('\r\n')) {
      if (c.ended) return;
      await c.activity();
    }
    const line = c.text.slice(seen, c.text.indexOf('\r\n', seen));
    seen += line.length + 2;
    const key = line.slice(4);
    await c.send(key.includes('missing') ? 'END\r\n' : `VALUE ${key} 0 ${key.length}\r\n${key}\r\nEND\r\n`);
  }
}

before(async () => {
  fastcgi = await Backend.start(scope, serveFastcgi);
  scgi = await Backend.start(
    scope,
    serveCgi((bytes) => {
      const all = bytes.latin1Slice();
      const colon = all.indexOf(':');
      const length = /CONTENT_LENGTH\0(\d+)\0/.exec(all);
      return length !== null && all.length >= colon + 1 + Number(all.slice(0, colon)) + 1 + Number(length[1]);
    }),
  );
  uwsgi = await Backend.start(
    scope,
    serveCgi((bytes) => bytes.length >= 4 && bytes.length >= 4 + bytes.readUInt16LE(1) + 4),
  );
  memcached = await Backend.start(scope, serveMemcached);
  uwsgiPort = await freePort();
  h = await Headrace.start(scope, ({ port }) => {
    const dead = `127.0.0.1:${port('nobody')}`;
    return `
    upstream kept { server 127.0.0.1:${fastcgi.port}; keepalive 4; }
    upstream second { server ${dead} max_fails=0; server 127.0.0.1:${fastcgi.port} backup; }
    upstream cache { server 127.0.0.1:${memcached.port}; keepalive 4; }
    fastcgi_cache_path fastcgi-cache keys_zone=fastcgi:1m;
    server {
      listen 127.0.0.1:${port('main')};
      location /f/cached { fastcgi_cache fastcgi; fastcgi_cache_key $uri; fastcgi_cache_valid 1h;
        add_header X-Cache $upstream_cache_status; fastcgi_pass 127.0.0.1:${fastcgi.port}; }
      fastcgi_param URI $uri;
      fastcgi_param METHOD $request_method;
      fastcgi_param LENGTH $content_length;
      fastcgi_param EMPTY $arg_none;
      fastcgi_param LEFT_OUT $arg_none if_not_empty;
      fastcgi_param HTTP_HIDDEN "";
      fastcgi_param HTTP_X_OWN mine;
      location /f/ { fastcgi_pass 127.0.0.1:${fastcgi.port}; }
      location /f/bare { fastcgi_pass_request_headers off; fastcgi_pass_request_body off; fastcgi_pass 127.0.0.1:${fastcgi.port}; }
      location /f/streamed { fastcgi_request_buffering off; fastcgi_pass 127.0.0.1:${fastcgi.port}; }
      location /f/503 { fastcgi_intercept_errors on; error_page 503 =200 /own; fastcgi_pass 127.0.0.1:${fastcgi.port}; }
      location = /own { return 200 "own page"; }
      location /kept { fastcgi_keep_conn on; fastcgi_pass kept; }
      location /second { fastcgi_pass second; }
      location /variable { fastcgi_pass $arg_to; }
      location /split { fastcgi_split_path_info ^(/split/[^/]+)(/.*)$; fastcgi_index index.x; return 200 "$fastcgi_script_name|$fastcgi_path_info"; }
      location /s/ { scgi_param NAME "v $arg_x"; scgi_pass 127.0.0.1:${scgi.port}; }
      location /u/ { uwsgi_pass_request_headers off; uwsgi_param NAME v; uwsgi_modifier1 5; uwsgi_modifier2 9; uwsgi_pass uwsgi://127.0.0.1:${uwsgi.port}; }
      location /u/big { uwsgi_param NAME $http_x_big$http_x_big$http_x_big; uwsgi_pass 127.0.0.1:${uwsgi.port}; }
      location /python/ { uwsgi_param REQUEST_METHOD $request_method; uwsgi_param PATH_INFO $uri; uwsgi_param QUERY_STRING $query_string; uwsgi_param CONTENT_LENGTH $content_length; uwsgi_param SERVER_NAME x; uwsgi_param SERVER_PORT 80; uwsgi_param SERVER_PROTOCOL $server_protocol; uwsgi_pass 127.0.0.1:${uwsgiPort}; }
      location /m/ { set $memcached_key $uri; memcached_pass cache; types { text/css css; } default_type text/x-other; }
      location /m/unset { memcached_pass cache; }
      large_client_header_buffers 8 64k;
    }`;
  });
});

const get = (target: string, options: Ask = {}): Promise<Response> => ask(scope, h.port('main'), target, options);
const lines = (r: Response): string[] => text(r).split('\n');

test('an answer to HEAD is not kept for GET: a CGI server may leave its body out', async () => {
  for (const [method, status] of [
    ['HEAD', 'MISS'],
    ['GET', 'MISS'],
    ['GET', 'HIT'],
    ['HEAD', 'HIT'],
  ] as const)
    assert.equal(field(await get('/f/cached', { method }), 'x-cache'), status);
});

test('FastCGI: parameters, fields, body', async () => {
  const r = await get('/f/x', {
    method: 'POST',
    fields: ['X-One: 1', 'x-one: 2', 'Cookie: a=1', 'Cookie: b=2', 'Hidden: h', 'X-Own: theirs', 'X-Other-Name: n'],
    body: 'the body',
  });
  assert.equal(r.status, 200);
  assert.equal(field(r, 'content-type'), 'text/plain');
  const got = lines(r);
  for (const line of [
    'URI=/f/x',
    'METHOD=POST',
    'EMPTY=',
    'HTTP_X_OWN=mine',
    'HTTP_X_ONE=1, 2',
    'HTTP_COOKIE=a=1; b=2',
    'HTTP_X_OTHER_NAME=n',
    'body: the body',
  ])
    assert.ok(got.includes(line), `${line} in\n${got.join('\n')}`);
  for (const name of ['LEFT_OUT=', 'HTTP_HIDDEN=', 'HTTP_X_OWN=theirs'])
    assert.ok(!got.some((line) => line.startsWith(name)), name);
  await h.logged('FastCGI sent in stderr: "a word to the log" while reading response header from upstream');
});

test('FastCGI: what is not passed, what is streamed, what is long', async () => {
  const bare = lines(await get('/f/bare', { method: 'POST', fields: ['X-One: 1'], body: 'x' }));
  assert.ok(!bare.some((line) => line.startsWith('HTTP_X_ONE')));
  assert.equal(bare.at(-1), 'body: ');
  const long = 'y'.repeat(200_000);
  for (const path of ['/f/x', '/f/streamed'])
    assert.equal(lines(await get(path, { method: 'POST', body: long })).at(-1), `body: ${long}`, path);
  const chunked = await get('/f/streamed', {
    method: 'POST',
    fields: ['Transfer-Encoding: chunked'],
    body: '3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n',
  });
  assert.equal(lines(chunked).at(-1), 'body: abcdefg');
  // Once it was read as a whole a chunked body has a length, nothing included.
  const empty = await get('/f/x', { method: 'POST', fields: ['Transfer-Encoding: chunked'], body: '0\r\n\r\n' });
  assert.ok(lines(empty).includes('LENGTH=0'));
  // More parameters than one record holds.
  const wide = Array.from({ length: 5 }, (_, i) => `X-Wide-${i}: ${'z'.repeat(20_000)}`);
  const got = lines(await get('/f/x', { fields: wide }));
  for (let i = 0; i < 5; i++) assert.ok(got.includes(`HTTP_X_WIDE_${i}=${'z'.repeat(20_000)}`));
});

test('FastCGI: keepalive, the next server, a target with variables, pages of our own', async () => {
  const [first, again] = [await get('/kept'), await get('/kept')];
  assert.equal(field(first, 'x-keep'), 'true');
  assert.equal(field(again, 'x-connection'), field(first, 'x-connection'));
  assert.notEqual(field(await get('/f/x'), 'x-connection'), field(await get('/f/x'), 'x-connection'));
  assert.equal((await get('/second')).status, 200);
  assert.equal((await get(`/variable?to=127.0.0.1:${fastcgi.port}`)).status, 200);
  assert.equal((await get('/variable?to=127.0.0.1')).status, 500);
  assert.equal(text(await get('/f/503')), 'own page');
  assert.equal((await get('/f/cut')).status, 502);
});

test('an answer that breaks off after its head is cut for the client, however little of it came', async (t) => {
  for (const [path, body] of [
    ['/f/announced', ''],
    ['/f/announced-some', 'abc'],
  ] as const) {
    const answer = await raw(t, h.port('main'), `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n[^]*\r\nContent-Length: 9\r\n/);
    assert.ok(answer.endsWith(`\r\n\r\n${body}`), answer);
  }
});

test('fastcgi_split_path_info and fastcgi_index', async () => {
  assert.equal(text(await get('/split/a/b/c')), '/split/a|/b/c');
  assert.equal(text(await get('/split')), '/split|');
  assert.equal(text(await get('/split/')), '/split/index.x|');
});

test('SCGI: a netstring, then the body', async () => {
  const r = await get('/s/?x=1', { method: 'POST', fields: ['Host: h'], body: 'abc' });
  assert.equal(field(r, 'server'), 'mine');
  const sent = text(r);
  const [, length = '', rest = ''] = /^(\d+):([^]*)$/.exec(sent) ?? [];
  assert.equal(rest.slice(Number(length)), ',abc');
  const values = rest.slice(0, Number(length)).split('\0');
  assert.deepEqual(values.slice(0, 4), ['CONTENT_LENGTH', '3', 'NAME', 'v 1']);
  assert.ok(values.includes('HTTP_HOST'));
});

test('uwsgi: a packet, then the body', async () => {
  const r = await get('/u/', { method: 'POST', body: 'abcd' });
  assert.equal(text(r), '\x05\x09\0\x09\x04\0NAME\x01\0vabcd');
  assert.equal((await get('/u/big', { fields: [`X-Big: ${'b'.repeat(30_000)}`] })).status, 500);
  await h.logged('uwsgi request is too big: ');
});

test('memcached: keys, types, what is missing, one connection', async () => {
  const style = await get('/m/a%20b.css');
  assert.equal(text(style), '/m/a%20b.css');
  assert.equal(field(style, 'content-type'), 'text/css');
  assert.equal(field(await get('/m/x'), 'content-type'), 'text/x-other');
  assert.equal((await get('/m/missing')).status, 404);
  assert.equal((await get('/m/x', { method: 'POST', body: 'x' })).status, 405);
  assert.equal((await get('/m/unset')).status, 500);
  assert.equal(memcached.connections.length, 1);
});

const APPLICATION = `
def application(environ, start_response):
    body = environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))
    start_response('201 Created', [('X-Method', environ['REQUEST_METHOD'])])
    return [environ['PATH_INFO'].encode(), b' ', str(len(body)).encode()]
`;

test('a real uwsgi server', async (t) => {
  const program = requires(t, 'uwsgi');
  if (program === null) return;
  const dir = directory(t);
  writeFileSync(join(dir, 'app.py'), APPLICATION);
  const server = startProgram(t, program, [
    '--plugin=python3',
    `--socket=127.0.0.1:${uwsgiPort}`,
    `--wsgi-file=${join(dir, 'app.py')}`,
    '--die-on-term',
    '--need-app',
  ]);
  await until(
    () => `uwsgi:\n${server.text()}`,
    () =>
      new Promise<boolean>((resolve) => {
        const socket = net.connect(uwsgiPort, '127.0.0.1', () => (socket.destroy(), resolve(true)));
        socket.once('error', () => resolve(false));
      }),
  );
  const r = await get('/python/x?y', { method: 'POST', body: 'z'.repeat(100_000) });
  assert.deepEqual([r.status, field(r, 'x-method'), text(r)], [201, 'POST', '/python/x 100000']);
});
