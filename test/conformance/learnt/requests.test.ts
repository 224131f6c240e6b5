/** What nginx's test suite taught about requests and what is answered without a backend. Bytes in, text out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, raw } from '../../helpers/client.ts';
import { Headrace } from '../../helpers/headrace.ts';
import { field } from '../../helpers/http1.ts';

interface Case {
  /** The file that taught it. */
  from: string;
  name: string;
  send: string;
  expect: RegExp;
  not?: RegExp;
  port?: string;
}

const CASES: Case[] = [
  {
    from: 'upstream_sticky.t',
    name: 'a head of bare LFs',
    send: 'GET /uri HTTP/1.1\nHost: a\nConnection: close\n\n',
    expect: /^HTTP\/1\.1 200 [^]*uri=\/uri$/,
  },
  {
    from: 'upstream_sticky.t',
    name: 'a head of bare LFs with a value that was copied with its CR',
    send: 'GET /uri HTTP/1.1\nHost: a\nConnection: close\nX-Copied: value\r\n\n',
    expect: /^HTTP\/1\.1 200 [^]*uri=\/uri$/,
  },
  {
    from: 'upstream_sticky.t',
    name: 'but no bare LF in a head that began with CRLF',
    send: 'GET /uri HTTP/1.1\r\nHost: a\nX-Hidden: field\r\n\r\n',
    expect: /^HTTP\/1\.1 400 /,
  },
  {
    from: 'upstream_ip_hash_ipv6.t',
    name: 'set_real_ip_from in a location',
    send: 'GET /real HTTP/1.0\r\nX-Real-IP: ::5\r\n\r\n',
    expect: /client=::5$/,
  },
  {
    from: 'upstream_ip_hash_ipv6.t',
    name: '… and not where it does not stand',
    send: 'GET /unreal HTTP/1.0\r\nX-Real-IP: ::5\r\n\r\n',
    expect: /client=127\.0\.0\.1$/,
  },
  {
    from: 'http_keepalive.t',
    name: 'keepalive_timeout 0 of a location',
    send: 'GET /nokeep HTTP/1.1\r\nHost: a\r\n\r\n',
    expect: /\r\nConnection: close\r\n/,
  },
  {
    from: 'ignore_invalid_headers.t',
    name: 'what is invalid and not to be ignored goes on: underscores too',
    send: 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX_Under: score\r\n\r\n',
    expect: /under=score$/,
    port: 'invalid',
  },
  {
    from: 'http_server_name.t',
    name: 'a request without host is for the server named ""',
    send: 'GET / HTTP/1.0\r\n\r\n',
    expect: /nameless$/,
    port: 'hosts',
  },
  {
    from: 'access_log_variables.t',
    name: '$request_length',
    send: 'GET /length HTTP/1.0\r\n\r\n',
    expect: /length=24$/,
  },
  {
    from: 'http_method.t',
    name: "405 in nginx's words",
    send: 'GET /405 HTTP/1.0\r\n\r\n',
    expect: /^HTTP\/1\.1 405 Not Allowed\r\n/,
  },
  {
    from: 'rewrite.t',
    name: '204 has no type',
    send: 'GET /204 HTTP/1.0\r\n\r\n',
    expect: /^HTTP\/1\.1 204 /,
    not: /Content-Type/i,
  },
  {
    from: 'range.t',
    name: '416 says how long the content is',
    send: 'GET /file.txt HTTP/1.0\r\nRange: bytes=100-\r\n\r\n',
    expect: /^HTTP\/1\.1 416 [^]*\r\nContent-Range: bytes \*\/10\r\n/,
  },
];

test('requests', async (t) => {
  const headrace = await Headrace.start(
    t,
    ({ port }) => `
      server { listen 127.0.0.1:${port('main')}; server_name localhost;
        location /uri { return 200 uri=$uri; }
        location /real { set_real_ip_from 127.0.0.0/8; try_files /none @client; }
        location /unreal { try_files /none @client; }
        location @client { return 200 client=$remote_addr; }
        location /nokeep { keepalive_timeout 0; return 200 ok; }
        location /length { return 200 length=$request_length; }
        location /405 { return 405; }
        location /204 { return 204; }
        location /file.txt { root html; }
      }
      server { listen 127.0.0.1:${port('invalid')}; ignore_invalid_headers off; location / { return 200 under=$http_x_under; } }
      server { listen 127.0.0.1:${port('hosts')}; server_name first; location / { return 200 first; } }
      server { listen 127.0.0.1:${port('hosts')}; server_name ""; location / { return 200 nameless; } }`,
    { files: { 'html/file.txt': '0123456789' } },
  );
  for (const { from, name, send, expect, not, port = 'main' } of CASES) {
    await t.test(`${name} (${from})`, async (t) => {
      const answer = await raw(t, headrace.port(port), send);
      assert.match(answer, expect);
      if (not !== undefined) assert.doesNotMatch(answer, not);
    });
  }
});

test('a connection older than keepalive_time is closed, and says so (http_keepalive.t)', async (t) => {
  const headrace = await Headrace.start(
    t,
    ({ port }) => `server { listen 127.0.0.1:${port('main')}; keepalive_time 1s; location / { return 200 ok; } }`,
  );
  const client = await Client.connect(t, headrace.port('main'));
  await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.equal(field(await client.response(), 'connection'), 'keep-alive');
  await sleep(1100);
  await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.equal(field(await client.response(), 'connection'), 'close');
});
