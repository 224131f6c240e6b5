/** HTTP/2 with clients: node:http2 as an independent one, and raw frames where bytes matter. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import http2 from 'node:http2';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import * as h2 from '../../src/http/wire/h2/constants.ts';
import { readUint32 } from '../../src/http/wire/h2/frame-reader.ts';
import { Backend } from '../helpers/backend.ts';
import { ask, Client } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { block, frame, RawHttp2, uint32 } from '../helpers/http2.ts';
import { findProgram, inCi } from '../helpers/requires.ts';
import { suiteScope, until, within } from '../helpers/wait.ts';

const openssl = findProgram('openssl');
const skip = openssl === null && !inCi() ? 'openssl is not installed' : false;
const scope = suiteScope(after);

interface Answer {
  headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader;
  trailers: http2.IncomingHttpHeaders;
  body: Buffer;
}

/** One request of an independent client. */
function request(
  session: http2.ClientHttp2Session,
  headers: http2.OutgoingHttpHeaders,
  body?: Buffer,
): Promise<Answer> {
  const stream = session.request(headers, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  const answer: Answer = { headers: {}, trailers: {}, body: Buffer.alloc(0) };
  const parts: Buffer[] = [];
  stream.on('response', (head) => (answer.headers = head));
  stream.on('trailers', (trailers) => (answer.trailers = trailers));
  stream.on('data', (data: Buffer) => parts.push(data));
  return within(
    () => `answer to ${String(headers[':path'])}`,
    new Promise<Answer>((resolve, reject) => {
      stream.on('error', reject);
      stream.on('end', () => {
        answer.body = Buffer.concat(parts);
        resolve(answer);
      });
    }),
  );
}

describe('HTTP/2 with clients', { skip }, () => {
  let h: Headrace;
  let backend: Backend;
  let plain: http2.ClientHttp2Session;
  const large = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i & 0xff));

  before(async () => {
    backend = await Backend.start(scope, async (connection) => {
      for (;;) {
        const asked = await connection.request();
        if (asked === null) return;
        const body = asked.body.length > 0 ? asked.body : Buffer.from(connection.text);
        if (asked.target.startsWith('/chunked')) {
          connection.socket.write(
            'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-From: Backend\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n',
          );
          connection.socket.write(`${body.length.toString(16)}\r\n`);
          connection.socket.write(body);
          connection.socket.write('\r\n0\r\nX-Trailer: at the end\r\n\r\n');
        } else {
          connection.socket.write(`HTTP/1.1 201 Made\r\nContent-Length: ${body.length}\r\n\r\n`);
          connection.socket.write(body);
        }
      }
    });
    h = await Headrace.start(
      scope,
      ({ port, dir }) => {
        execFileSync(
          openssl!,
          `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ${dir}/k.pem -out ${dir}/c.pem -subj /CN=localhost -days 2`.split(
            ' ',
          ),
          { stdio: 'pipe' },
        );
        return `
        log_format full '$request|$status|$http2|$server_protocol|$scheme|$host|$http_cookie|$connection_requests|$body_bytes_sent';
        access_log ${dir}/access.log full;
        server {
          listen 127.0.0.1:${port('plain')};
          listen 127.0.0.1:${port('tls')} ssl;
          server_name localhost one;
          ssl_certificate ${join(dir, 'c.pem')};
          ssl_certificate_key ${join(dir, 'k.pem')};
          http2 on;
          root ${dir}/html;
          location / { return 200 "$request_uri|$http_host|$http_x_one|$http_cookie"; }
          location /large { }
          location /proxy/ { proxy_pass http://127.0.0.1:${backend.port}/; proxy_pass_trailers on; }
          location /chunked { proxy_pass http://127.0.0.1:${backend.port}; proxy_pass_trailers on; }
          location /stream/ { proxy_pass http://127.0.0.1:${backend.port}/; proxy_request_buffering off; proxy_http_version 1.1; }
          location /silent { return 444; }
          location /limited { client_max_body_size 10; proxy_pass http://127.0.0.1:${backend.port}; }
          location /moved { return 301 /elsewhere; }
        }
        server {
          listen 127.0.0.1:${port('tls')} ssl;
          server_name old;
          ssl_certificate ${join(dir, 'c.pem')};
          ssl_certificate_key ${join(dir, 'k.pem')};
          return 200 old;
        }
        server { listen 127.0.0.1:${port('few')}; http2 on; keepalive_requests 3; return 200 few; }`;
      },
      { files: { 'html/large': large } },
    );
    plain = http2.connect(`http://127.0.0.1:${h.port('plain')}`);
    scope.after(() => plain.destroy());
  });

  test('a GET, with prior knowledge', async () => {
    const { headers, body } = await request(plain, { ':path': '/a%20b?q=1', 'x-one': 'One' });
    assert.equal(headers[':status'], 200);
    assert.match(String(headers.server), /^headrace/);
    assert.equal(body.toString(), `/a%20b?q=1|127.0.0.1:${h.port('plain')}|One|`);
    await h.logged(
      /^GET \/a%20b\?q=1 HTTP\/2\.0\|200\|h2c\|HTTP\/2\.0\|http\|127\.0\.0\.1\|-\|\d+\|\d+$/m,
      'access.log',
    );
  });

  test('cookies that came in several fields are one', async () => {
    const { body } = await request(plain, { ':path': '/', cookie: ['a=1', 'b=2'] });
    assert.ok(body.toString().endsWith('|a=1; b=2'));
  });

  test('HTTP/1 on the same port, whole and byte by byte', async () => {
    const answer = await ask(scope, h.port('plain'), '/x', { fields: ['X-One: 1'] });
    assert.match(answer.body.toString(), /^\/x\|[^|]*\|1\|$/);
    // Begins as the preface does, for as long as it can.
    const client = await Client.connect(scope, h.port('plain'));
    for (const byte of 'PRI / HTTP/1.1\r\nHost: h\r\n\r\n') await client.send(Buffer.from(byte));
    assert.equal((await client.response('GET')).body.toString(), '/|h||');
    const slow = new RawHttp2(scope, h.port('plain'), Buffer.alloc(0));
    for (const byte of Buffer.concat([frame(h2.SETTINGS, 0, 0), slow.head(1, '/slow')])) slow.send(Buffer.from([byte]));
    assert.equal((await slow.answer(1)).status, 200);
  });

  test('HEAD, and a redirect', async () => {
    const head = await request(plain, { ':path': '/large', ':method': 'HEAD' });
    assert.equal(head.headers['content-length'], '300000');
    assert.equal(head.body.length, 0);
    const moved = await request(plain, { ':path': '/moved' });
    assert.equal(moved.headers.location, `http://127.0.0.1:${h.port('plain')}/elsewhere`);
  });

  test('large answers through small windows, several at a time', async () => {
    const answers = await Promise.all([1, 2, 3, 4].map(() => request(plain, { ':path': '/large' })));
    for (const { body } of answers) assert.ok(body.equals(large));
  });

  test('a request with a body, buffered and streamed', async () => {
    for (const path of ['/proxy/x', '/stream/x']) {
      const { headers, body } = await request(plain, { ':path': path, ':method': 'POST' }, large);
      assert.equal(headers[':status'], 201);
      assert.ok(body.equals(large), path);
    }
    const known = await request(
      plain,
      { ':path': '/stream/x', ':method': 'PUT', 'content-length': 4 },
      Buffer.from('body'),
    );
    assert.equal(known.body.toString(), 'body');
  });

  test('what goes to a server is a well-formed HTTP/1 request; its fields of the connection do not come back', async () => {
    const { headers, body, trailers } = await request(plain, { ':path': '/chunked?a', te: 'trailers', 'x-one': '1' });
    assert.match(
      body.toString(),
      /^GET \/chunked\?a HTTP\/1\.1\r\nHost: 127\.0\.0\.1:\d+\r\n(Connection: \r\n)?x-one: 1\r\n\r\n$/i,
    );
    assert.equal(headers['x-from'], 'Backend');
    assert.equal(headers['x-hop'], undefined);
    assert.equal(headers['transfer-encoding'], undefined);
    assert.equal(trailers['x-trailer'], 'at the end');
  });

  test('a body that is too large, with and without its length', async () => {
    const announced = await request(
      plain,
      { ':path': '/limited', ':method': 'POST', 'content-length': 20 },
      Buffer.alloc(20),
    );
    assert.equal(announced.headers[':status'], 413);
    const raw = new RawHttp2(scope, h.port('plain'));
    raw.send(raw.head(1, '/limited', [], h2.FLAG_END_HEADERS, 'POST'), frame(h2.DATA, 0, 1, Buffer.alloc(11)));
    assert.equal((await raw.answer(1)).status, 413);
  });

  test('return 444 resets the stream, not the connection', async () => {
    await assert.rejects(request(plain, { ':path': '/silent' }));
    assert.equal((await request(plain, { ':path': '/' })).headers[':status'], 200);
  });

  test('over TLS: by ALPN, by the server that SNI names; another server is a misdirected request', async () => {
    const session = http2.connect(`https://localhost:${h.port('tls')}`, { rejectUnauthorized: false });
    scope.after(() => session.destroy());
    const { body } = await request(session, { ':path': '/tls' });
    assert.equal(body.toString(), `/tls|localhost:${h.port('tls')}||`);
    await h.logged(/^GET \/tls HTTP\/2\.0\|200\|h2\|HTTP\/2\.0\|https\|localhost/m, 'access.log');
    assert.equal((await request(session, { ':path': '/', ':authority': 'old' })).headers[':status'], 421);
    const old = connectTls({
      port: h.port('tls'),
      host: '127.0.0.1',
      servername: 'old',
      ALPNProtocols: ['h2', 'http/1.1'],
      rejectUnauthorized: false,
    });
    scope.after(() => old.destroy());
    await within('handshake', new Promise((resolve) => old.once('secureConnect', resolve)));
    assert.equal(old.alpnProtocol, 'http/1.1');
  });

  test('malformed requests are answered 400, and the connection goes on', async () => {
    const client = new RawHttp2(scope, h.port('plain'));
    const base = [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':path', '/'],
      [':authority', 'h'],
    ] as const;
    const cases: (readonly (readonly [string, string])[])[] = [
      base.slice(1),
      [...base, [':path', '/']],
      [...base, [':status', '200']],
      [...base, ['connection', 'close']],
      [...base, ['transfer-encoding', 'chunked']],
      [...base, ['te', 'gzip']],
      [...base, ['host', 'other']],
      [...base, ['x', '1'], [':path', '/']],
      [...base, ['x', 'a\r\nb: c']],
      [...base, ['content-length', '5']],
      [...base, ['content-length', '0'], ['content-length', '0']],
      [[':method', 'GET /smuggled HTTP/1.1'], ...base.slice(1)],
      [...base.slice(0, 2), [':path', '/a b'], base[3]],
      [...base.slice(0, 2), [':path', 'nowhere'], base[3]],
      [...base.slice(0, 3), [':authority', 'a/b']],
    ];
    for (const [k, fields] of cases.entries()) {
      const id = 1 + 2 * k;
      client.send(frame(h2.HEADERS, 5, id, block(fields)));
      assert.equal((await client.answer(id)).status, 400, JSON.stringify(fields));
    }
    // An upper-case name cannot be written by our encoder.
    const upper = Buffer.concat([block(base), Buffer.from([0, 1, 0x58, 1, 0x31])]);
    client.send(frame(h2.HEADERS, 5, 101, upper));
    assert.equal((await client.answer(101)).status, 400);
    client.request(103, '/fine');
    assert.equal((await client.answer(103)).status, 200);
  });

  test('errors of the connection have their codes', async () => {
    const code = async (...frames: Buffer[]): Promise<number> => {
      const client = new RawHttp2(scope, h.port('plain'));
      client.send(...frames);
      return client.refused();
    };
    const head = new RawHttp2(scope, h.port('plain'));
    assert.equal(await code(frame(h2.DATA, 0, 0, 'x')), h2.PROTOCOL_ERROR);
    assert.equal(await code(frame(h2.SETTINGS, 0, 0, 'x')), h2.FRAME_SIZE_ERROR);
    assert.equal(await code(frame(h2.SETTINGS, 0, 1)), h2.PROTOCOL_ERROR);
    assert.equal(await code(frame(h2.PING, 0, 0, 'x')), h2.FRAME_SIZE_ERROR);
    assert.equal(await code(frame(h2.PUSH_PROMISE, 4, 1, '....')), h2.PROTOCOL_ERROR);
    assert.equal(await code(frame(h2.CONTINUATION, 4, 1, '....')), h2.PROTOCOL_ERROR);
    assert.equal(await code(frame(h2.HEADERS, 5, 1, Buffer.from([0x80]))), h2.COMPRESSION_ERROR);
    assert.equal(await code(head.head(2, '/')), h2.PROTOCOL_ERROR);
    assert.equal(await code(head.head(3, '/'), head.head(1, '/')), h2.PROTOCOL_ERROR);
    assert.equal(await code(head.head(1, '/', [], 1), frame(h2.PING, 0, 0, '12345678')), h2.PROTOCOL_ERROR);
  });

  test('the client sets window and frame size; DATA keeps to both', async () => {
    const settings = Buffer.concat([Buffer.from([0, 4]), uint32(1000)]);
    const client = new RawHttp2(scope, h.port('plain'), frame(h2.SETTINGS, 0, 0, settings));
    client.request(1, '/large');
    const data = (): number =>
      client.frames.filter((f) => f.type === h2.DATA).reduce((n, f) => n + f.payload.length, 0);
    await until('a window full of data', () => data() === 1000);
    client.send(frame(h2.WINDOW_UPDATE, 0, 1, uint32(5)));
    await until('five more bytes', () => data() === 1005);
    client.send(frame(h2.WINDOW_UPDATE, 0, 1, uint32(1 << 20)));
    await until('the window of the connection', () => data() === 65535);
    client.send(frame(h2.WINDOW_UPDATE, 0, 0, uint32(1 << 20)));
    assert.ok((await client.answer(1)).body.equals(large));
    assert.ok(client.frames.every((f) => f.payload.length <= 8192));
  });

  test('keepalive_requests: GOAWAY names the last stream that is served', async () => {
    const client = new RawHttp2(scope, h.port('few'));
    for (const id of [1, 3, 5]) client.request(id, '/');
    for (const id of [1, 3, 5]) assert.equal((await client.answer(id)).body.toString(), 'few');
    assert.equal(await client.refused(), h2.NO_ERROR);
    assert.equal(readUint32(client.find(h2.GOAWAY)!.payload, 0), 5);
  });

  test('a reload: what is under way ends, the client is told to come again', async () => {
    const client = new RawHttp2(
      scope,
      h.port('plain'),
      frame(h2.SETTINGS, 0, 0, Buffer.concat([Buffer.from([0, 4]), uint32(10)])),
    );
    client.request(1, '/large');
    await client.frame(h2.DATA, 1);
    h.signal('SIGHUP');
    assert.equal(readUint32((await client.frame(h2.GOAWAY)).payload, 4), h2.NO_ERROR);
    client.send(frame(h2.WINDOW_UPDATE, 0, 0, uint32(1 << 20)), frame(h2.WINDOW_UPDATE, 0, 1, uint32(1 << 20)));
    assert.ok((await client.answer(1)).body.equals(large));
    await until('the end of the connection', () => client.closed);
  });
});
