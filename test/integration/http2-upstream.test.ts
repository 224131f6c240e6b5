/** HTTP/2 to servers, and gRPC through to them: servers and clients are node:http2's. */
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import * as h2 from '../../src/http/wire/h2/constants.ts';
import { Backend } from '../helpers/backend.ts';
import { ask } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { field } from '../helpers/http1.ts';
import { block, frame, uint32 } from '../helpers/http2.ts';
import { suiteScope, until, within } from '../helpers/wait.ts';

const scope = suiteScope(after);

const PREFACE_LENGTH = h2.PREFACE.length;

/** A gRPC message: not compressed. */
function message(text: string): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(text.length, 1);
  return Buffer.concat([head, Buffer.from(text)]);
}

interface Seen {
  headers: http2.IncomingHttpHeaders;
  body: Buffer;
  session: http2.Http2Session;
}

describe('HTTP/2 to servers', () => {
  let h: Headrace;
  let port = 0;
  let grpcPort = 0;
  let tellers = 0;
  let seen: Seen[] = [];
  let client: http2.ClientHttp2Session;

  before(async () => {
    // A small window, so that bodies have to wait for it.
    const server = http2.createServer({ settings: { initialWindowSize: 1000 } });
    scope.after(() => server.close());
    const sessions = new Set<http2.Http2Session>();
    server.on('session', (session) => sessions.add(session));
    scope.after(() => sessions.forEach((session) => session.destroy()));
    server.on('sessionError', () => {});
    server.on('stream', (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
      stream.on('error', () => {});
      const path = String(headers[':path']);
      if (path.startsWith('/pkg.Echo/')) {
        rpc(stream, path);
        return;
      }
      const parts: Buffer[] = [];
      stream.on('data', (data: Buffer) => parts.push(data));
      stream.on('end', () => {
        const body = Buffer.concat(parts);
        seen.push({ headers, body, session: stream.session! });
        if (headers['if-none-match'] === '"tag"')
          stream.respond({ ':status': 304, etag: '"tag"' }, { endStream: true });
        else if (path.startsWith('/cached/')) {
          stream.respond({ ':status': 200, etag: '"tag"' });
          stream.end(large);
        } else if (path === '/refused') stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
        else if (path === '/empty') stream.respond({ ':status': 204 }, { endStream: true });
        else {
          stream.respond({ ':status': 200, 'x-one': 'One', 'set-cookie': ['a=1', 'b=2'] }, { waitForTrailers: true });
          stream.on('wantTrailers', () => stream.sendTrailers({ 'x-trailer': 'end' }));
          stream.end(path === '/large' ? large : body.length > 0 ? body : `${path} ${String(headers['x-set'])}`);
        }
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const backend = (server.address() as AddressInfo).port;
    // One that speaks bytes: the first connection is told to go away, the second one is answered.
    let connections = 0;
    const raw = await Backend.start(scope, async (connection) => {
      const settings = frame(h2.SETTINGS, 0, 0);
      const first = ++connections % 2 === 1;
      await connection.activity();
      connection.socket.write(
        first
          ? Buffer.concat([settings, frame(h2.GOAWAY, 0, 0, Buffer.concat([uint32(0), uint32(0)]))])
          : Buffer.concat([
              settings,
              frame(h2.HEADERS, 4, 1, block([[':status', '200']])),
              frame(h2.DATA, 1, 1, 'second'),
            ]),
      );
      while (!connection.ended) await connection.activity();
    });
    // One that says its settings again with each answer, all in one piece.
    const telling = await Backend.start(scope, async (connection) => {
      tellers++;
      let id = 1;
      let at = PREFACE_LENGTH;
      for (let bytes = Buffer.alloc(0); !connection.ended;) {
        await connection.activity();
        bytes = Buffer.concat(connection.received);
        for (; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
          if (bytes[at + 3] !== h2.HEADERS) continue;
          connection.socket.write(
            Buffer.concat([
              frame(h2.SETTINGS, 0, 0),
              frame(h2.HEADERS, 4, id, block([[':status', '200']])),
              frame(h2.DATA, 1, id, 'told'),
            ]),
          );
          id += 2;
        }
      }
    });
    h = await Headrace.start(
      scope,
      ({ port: at, dir }) => `
        proxy_temp_path ${dir}/temp;
        proxy_cache_path ${dir}/cache keys_zone=one:1m;
        upstream two { server 127.0.0.1:${backend}; keepalive 4; }
        upstream telling { server 127.0.0.1:${telling.port}; keepalive 4; }
        upstream away { server 127.0.0.1:${raw.port}; server 127.0.0.1:${raw.port} ; keepalive 4; }
        server {
          listen 127.0.0.1:${at('h1')};
          http2 on;
          proxy_http_version 2;
          proxy_pass_trailers on;
          proxy_set_header X-Set "set $arg_a";
          location / { proxy_pass http://two; }
          location /uri/ { proxy_pass http://two/other/; }
          location /streamed/ { proxy_pass http://two; proxy_request_buffering off; }
          location /cached/ {
            proxy_pass http://two;
            proxy_cache one;
            proxy_cache_valid any 1s;
            proxy_cache_revalidate on;
            add_header X-Cache $upstream_cache_status;
          }
          location /telling { proxy_pass http://telling; }
          location /away { proxy_pass http://away; }
        }
        server {
          listen 127.0.0.1:${at('grpc')};
          http2 on;
          location / { grpc_pass grpc://two; }
          location /down { grpc_pass 127.0.0.1:${at('nobody')}; error_page 502 = /unavailable; }
          location = /unavailable {
            internal;
            default_type application/grpc;
            add_header grpc-status 14;
            add_header grpc-message unavailable;
            return 204;
          }
        }`,
    );
    port = h.port('h1');
    grpcPort = h.port('grpc');
    client = http2.connect(`http://127.0.0.1:${grpcPort}`);
    scope.after(() => client.destroy());
  });

  const large = Buffer.from(Array.from({ length: 400_000 }, (_, i) => i & 0xff));

  function rpc(stream: http2.ServerHttp2Stream, path: string): void {
    if (path.endsWith('/Fail')) {
      // Trailers only: the head is all there is.
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '5', 'grpc-message': 'none' },
        { endStream: true },
      );
      return;
    }
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': '' }));
    // Each piece comes back at once: both directions stream.
    stream.on('data', (data: Buffer) => stream.write(data));
    stream.on('end', () => stream.end());
  }

  test('a request of an HTTP/1 client', async () => {
    seen = [];
    const { status, body, fields } = await ask(scope, port, '/a%20b?a=1', { fields: ['X-Client: c', 'TE: trailers'] });
    assert.equal(status, 200);
    assert.equal(body.toString(), '/a%20b?a=1 set 1');
    assert.ok(fields.some(([name, value]) => name.toLowerCase() === 'x-one' && value === 'One'));
    const { headers } = seen[0]!;
    assert.equal(headers[':authority'], 'two');
    assert.equal(headers[':scheme'], 'http');
    assert.equal(headers['x-client'], 'c');
    for (const name of ['connection', 'host', 'te', 'transfer-encoding']) assert.equal(headers[name], undefined, name);
    const other = await ask(scope, port, '/uri/x');
    assert.equal(other.body.toString(), '/other/x set');
  });

  test('one after another goes over the same connection', async () => {
    seen = [];
    for (let k = 0; k < 5; k++) await ask(scope, port, `/${k}`);
    assert.equal(new Set(seen.map((s) => s.session)).size, 1);
  });

  test('settings that come with an answer do not end the connection', async () => {
    for (let k = 0; k < 4; k++) assert.equal((await ask(scope, port, '/telling')).body.toString(), 'told');
    assert.equal(tellers, 1);
  });

  test('bodies through a small window, buffered and streamed; a large answer', async () => {
    for (const path of ['/body', '/streamed/body']) {
      seen = [];
      const { body } = await ask(scope, port, path, { method: 'POST', body: large });
      assert.ok(seen[0]!.body.equals(large), path);
      assert.ok(body.equals(large), path);
    }
    assert.ok((await ask(scope, port, '/large')).body.equals(large));
  });

  test('HEAD, 204, and a stream that is reset', async () => {
    assert.equal((await ask(scope, port, '/large', { method: 'HEAD' })).body.length, 0);
    assert.equal((await ask(scope, port, '/empty')).status, 204);
    assert.equal((await ask(scope, port, '/refused')).status, 502);
    await h.logged('upstream rejected request with error 2');
    assert.equal((await ask(scope, port, '/')).status, 200);
  });

  test('a server that goes away before it has looked at the request: the next one is tried', async () => {
    const { status, body } = await ask(scope, port, '/away');
    assert.equal(status, 200);
    assert.equal(body.toString(), 'second');
    await h.logged('upstream sent goaway with error 0');
  });

  test('a cache asks for all of the answer on conditions of its own, and HEAD as GET', async () => {
    seen = [];
    const target = '/cached/a';
    const first = await ask(scope, port, target, {
      method: 'HEAD',
      fields: ['Range: bytes=0-1', 'If-None-Match: "mine"', 'X-Client: c'],
    });
    assert.equal(first.status, 200);
    const [asked] = seen;
    assert.equal(asked!.headers[':method'], 'GET');
    assert.equal(asked!.headers['x-client'], 'c');
    assert.equal(asked!.headers['x-set'], 'set');
    for (const name of ['range', 'if-none-match', 'if-modified-since']) assert.equal(asked!.headers[name], undefined);
    // It is stored when all of it has come; what was stored is asked about when it is old.
    let state: string | null = null;
    await until('what was stored to grow old', async () => {
      const answer = await ask(scope, port, target);
      assert.ok(answer.body.equals(large));
      return (state = field(answer, 'x-cache')) !== 'HIT' && state !== 'MISS';
    });
    assert.equal(state, 'REVALIDATED');
    assert.equal(seen.at(-1)!.headers['if-none-match'], '"tag"');
  });

  interface Call {
    headers: http2.IncomingHttpHeaders;
    trailers: http2.IncomingHttpHeaders;
    body: Buffer;
  }

  /** A call as gRPC clients make it. */
  async function call(path: string, ...messages: Buffer[]): Promise<Call> {
    const stream = client.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const closed = new Promise<void>((resolve) => stream.once('close', resolve));
    const answer: Call = { headers: {}, trailers: {}, body: Buffer.alloc(0) };
    stream.on('response', (headers) => (answer.headers = headers));
    stream.on('trailers', (trailers) => (answer.trailers = trailers));
    stream.on('data', (data: Buffer) => (answer.body = Buffer.concat([answer.body, data])));
    for (const [k, bytes] of messages.entries()) {
      stream.write(bytes);
      const length = messages.slice(0, k + 1).reduce((n, m) => n + m.length, 0);
      // The server answers each message before it has the next one.
      await until('the message to come back', () => answer.body.length >= length);
    }
    stream.end();
    await within(`end of ${path}`, closed);
    return answer;
  }

  test('gRPC: a call, and its status in the trailers', async () => {
    const { headers, body, trailers } = await call('/pkg.Echo/Say', message('hello'));
    assert.equal(headers[':status'], 200);
    assert.equal(headers['content-type'], 'application/grpc');
    assert.ok(body.equals(message('hello')));
    assert.equal(trailers['grpc-status'], '0');
  });

  test('gRPC: both directions stream at the same time', async () => {
    const messages = ['one', 'two', 'three'].map(message);
    const { body, trailers } = await call('/pkg.Echo/Chat', ...messages);
    assert.ok(body.equals(Buffer.concat(messages)));
    assert.equal(trailers['grpc-status'], '0');
    const big = message('x'.repeat(300_000));
    assert.ok((await call('/pkg.Echo/Chat', big)).body.equals(big));
  });

  test('gRPC: an answer of trailers only', async () => {
    const { headers, body } = await call('/pkg.Echo/Fail');
    assert.equal(headers['grpc-status'], '5');
    assert.equal(body.length, 0);
  });

  test('gRPC: a server that is down becomes a status by error_page', async () => {
    const { headers } = await call('/down');
    assert.equal(headers[':status'], 204);
    assert.equal(headers['grpc-status'], '14');
  });
});
