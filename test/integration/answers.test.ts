/** What becomes of an answer on its way: fields, trailers, cookies, internal redirects, methods, counters. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { ask, Client, compose, raw } from '../helpers/client.ts';
import type { Ask } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { all, field, text } from '../helpers/http1.ts';
import type { Response } from '../helpers/http1.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);
let backend: Backend;
let h: Headrace;

/** Answers by target: `/fields?Name:value&Name:value`. */
function fieldsOf(target: string): string[] {
  return decodeURIComponent(target.slice(target.indexOf('?') + 1)).split('&');
}

before(async () => {
  backend = await Backend.start(
    scope,
    answering((r) => {
      if (r.target.startsWith('/fields?')) return ok('body', fieldsOf(r.target));
      if (r.target === '/trailers') {
        return 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 5\r\nContent-Length: 3\r\n\r\n';
      }
      return ok(`${r.method} ${r.target}`);
    }),
  );
  h = await Headrace.start(
    scope,
    ({ port, dir }) => `
    upstream u { server 127.0.0.1:${backend.port}; keepalive 4; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    log_format plain "$request_uri $pipe $sent_trailer_x_a";
    server {
      listen 127.0.0.1:${port('main')};
      root ${dir};
      location / { proxy_pass http://u; }
      location /moved { error_page 301 /page; return 301 /elsewhere; }
      location = /page { return 200 page; }
      location /login { error_page 401 /page; proxy_intercept_errors on; proxy_pass http://u; }
      location /range { alias ${dir}/ten; }
      location /added { add_trailer X-A $request_method; add_trailer X-B "" always; add_trailer X-C c always; return 200 added; }
      location /added-404 { add_trailer X-A $request_method; add_trailer X-C c always; return 404; }
      location /passed { proxy_pass_trailers on; proxy_pass http://u/trailers; }
      location /not-passed { proxy_pass http://u/trailers; }
      location /accel/ { proxy_pass http://u/; }
      location /accel-ignored/ { proxy_ignore_headers X-Accel-Redirect; proxy_pass http://u/; }
      location /inside { internal; return 200 "$request_method $uri $args"; }
      location @named { return 200 "named $uri"; }
      location /cookies/ {
        proxy_cookie_domain example.org .example.com;
        proxy_cookie_domain ~^(.+)[.]local$ $1.test;
        proxy_cookie_path /old/ /new/;
        proxy_cookie_flags ~^s secure httponly samesite=lax;
        proxy_cookie_flags bare nosecure nosamesite;
        proxy_pass http://u/;
      }
      location /redirected/ { proxy_pass http://127.0.0.1:${backend.port}; }
      location /redirected-uri/ { proxy_pass http://127.0.0.1:${backend.port}/fields; }
      location /methods {
        limit_except GET POST { proxy_pass http://u; }
        proxy_pass http://u/listed;
      }
      location /limited {
        limit_except GET { proxy_pass http://u; }
        proxy_pass http://u/listed;
      }
      location /if { proxy_pass http://u/replaced; if ($arg_x) { set $y 1; } }
      location /status { stub_status; }
      location /logged { access_log ${dir}/access.log plain; return 200 logged; }
    }`,
    { files: { ten: '0123456789' }, workers: 2 },
  );
});

const get = (target: string, options?: Ask): Promise<Response> => ask(scope, h.port('main'), target, options);

describe('error pages keep the fields that were made', () => {
  test('Location of a redirect', async () => {
    const r = await get('/moved');
    assert.deepEqual(
      [r.status, field(r, 'location'), text(r)],
      [301, `http://localhost:${h.port('main')}/elsewhere`, 'page'],
    );
  });

  test('Content-Range of a 416, but nothing that describes the file', async () => {
    const r = await get('/range', { fields: ['Range: bytes=100-'] });
    assert.deepEqual(
      [r.status, field(r, 'content-range'), all(r, 'etag').length, all(r, 'last-modified').length],
      [416, 'bytes */10', 0, 0],
    );
  });
});

describe('trailers', () => {
  test('of add_trailer, evaluated at the end', async () => {
    const r = await get('/added');
    assert.equal(field(r, 'transfer-encoding'), 'chunked');
    assert.deepEqual(r.trailers, [
      ['X-A', 'GET'],
      ['X-C', 'c'],
    ]);
    assert.deepEqual((await get('/added-404')).trailers, [['X-C', 'c']]);
  });

  test('not without chunks', async (t) => {
    assert.match(
      await raw(t, h.port('main'), 'GET /added HTTP/1.0\r\n\r\n'),
      /\r\nContent-Length: 5\r\n[^]*\r\n\r\nadded$/,
    );
    assert.deepEqual((await get('/added', { method: 'HEAD' })).trailers, []);
  });

  test('of a server go on when asked to, never those that frame', async () => {
    assert.deepEqual((await get('/passed')).trailers, [['X-Sum', '5']]);
    assert.deepEqual((await get('/not-passed')).trailers, []);
  });
});

describe('X-Accel-Redirect', () => {
  const accel = (to: string, ...fields: string[]): string =>
    `/accel/fields?${encodeURIComponent([`X-Accel-Redirect:${to}`, ...fields].join('&'))}`;

  test('another location answers, as to a GET', async () => {
    const r = await get(accel('/inside/a%20b?c', 'Content-Type: text/x', 'Set-Cookie: a=1', 'X-Other: 1'), {
      method: 'POST',
      body: '',
    });
    assert.deepEqual(
      [
        r.status,
        text(r),
        field(r, 'content-type'),
        field(r, 'set-cookie'),
        all(r, 'x-other').length,
        all(r, 'x-accel-redirect').length,
      ],
      [200, 'GET /inside/a b c', 'text/x', 'a=1', 0, 0],
    );
  });

  test('a named location, a file, another server', async () => {
    assert.match(text(await get(accel('@named'))), /^named \/accel\//);
    assert.equal(text(await get(accel('/range'))), '0123456789');
    const r = await get(accel('/again', 'Content-Type: text/x'));
    assert.deepEqual([text(r), all(r, 'content-type').length], ['GET /again', 0]);
  });

  for (const to of ['..', '../x', '/a/..', '/a/../b', '/a/.%2e', '/%2e%2e/x', '?x']) {
    test(`${to} is refused`, async () => assert.equal((await get(accel(to))).status, 404));
  }

  test('not where it is ignored', async () => {
    const r = await get(accel('/inside').replace('/accel/', '/accel-ignored/'));
    assert.deepEqual([r.status, text(r)], [200, 'body']);
  });

  test('a cycle ends', async () => {
    assert.equal(
      (await get(accel(accel('/x').replace('%2Fx', '%2Faccel%2Ffields%3FX-Accel-Redirect%3A%2Finside')))).status,
      200,
    );
  });
});

describe('fields of a server', () => {
  const through = (where: string, ...fields: string[]): Promise<Response> =>
    get(`/${where}/fields?${encodeURIComponent(fields.join('&'))}`);

  const cookies: [sent: string, received: string][] = [
    ['a=1; Domain=example.org; Path=/old/x', 'a=1; Domain=example.com; Path=/new/x'],
    ['a=1; Domain=.EXAMPLE.org', 'a=1; Domain=.example.com'],
    ['a=1; domain=x.local;path=/other', 'a=1; domain=x.test; path=/other'],
    ['a=1;  Path=/older', 'a=1;  Path=/older'],
    ['sid=1', 'sid=1; Secure; HttpOnly; SameSite=Lax'],
    ['sid=1; secure; SameSite=None', 'sid=1; secure; SameSite=Lax; HttpOnly'],
    ['bare=1; Secure; Path=/; SameSite=Strict', 'bare=1; Path=/'],
    ['novalue; Domain=example.org', 'novalue; Domain=example.org'],
  ];
  for (const [sent, received] of cookies) {
    test(`Set-Cookie: ${sent}`, async () => {
      assert.deepEqual(all(await through('cookies', `Set-Cookie: ${sent}`, 'Set-Cookie: z=1'), 'set-cookie'), [
        received,
        'z=1',
      ]);
    });
  }

  test('what an answer has once goes on once, the first', async () => {
    const r = await through(
      'accel',
      'ETag: "1"',
      'ETag: "2"',
      'Expires: a',
      'Content-Type: text/a',
      'Content-Type: text/b',
      'X-Many: 1',
      'X-Many: 2',
    );
    assert.deepEqual([all(r, 'etag'), all(r, 'content-type'), all(r, 'x-many')], [['"1"'], ['text/a'], ['1', '2']]);
  });

  test('the default proxy_redirect, with and without a URI part', async () => {
    const here = `http://localhost:${h.port('main')}`;
    const there = `http://127.0.0.1:${backend.port}`;
    const plain = await get(`/redirected/x?`);
    assert.equal(text(plain), 'GET /redirected/x?');
    const location = await get(`/redirected-uri/?${encodeURIComponent(`Location: ${there}/fields/a`)}`);
    assert.equal(field(location, 'location') ?? '', `${here}/redirected-uri//a`);
  });
});

describe('limit_except and if', () => {
  test('listed methods, and HEAD with GET', async () => {
    assert.equal(text(await get('/methods')), 'GET /listed');
    assert.equal(text(await get('/methods', { method: 'POST', body: '' })), 'POST /listed');
    assert.equal((await get('/methods', { method: 'HEAD' })).status, 200);
  });

  test('others take the settings inside', async () => {
    assert.equal(text(await get('/methods', { method: 'DELETE' })), 'DELETE /methods');
    assert.equal(text(await get('/limited', { method: 'PUT', body: '' })), 'PUT /limited');
    assert.equal(text(await get('/limited', { method: 'PROPFIND' })), 'PROPFIND /limited');
    assert.equal(text(await get('/limited')), 'GET /listed');
  });

  test('if inherits proxy_pass with its URI part', async () => {
    assert.equal(text(await get('/if/a?x=1')), 'GET /replaced/a?x=1');
  });
});

describe('requests', () => {
  const single = [
    'If-Modified-Since',
    'If-Unmodified-Since',
    'If-Match',
    'If-None-Match',
    'If-Range',
    'Content-Range',
    'Expect',
    'Authorization',
    'Proxy-Authorization',
  ];
  for (const name of single) {
    test(`${name} twice is refused`, async () => {
      assert.equal((await get('/page', { fields: [`${name}: a`, `${name}: a`] })).status, 400);
    });
  }

  test('others may come twice', async () => {
    assert.equal(
      (await get('/page', { fields: ['User-Agent: a', 'User-Agent: b', 'Accept: a', 'Accept: b'] })).status,
      200,
    );
  });

  test('CONNECT is not allowed, and without a port not even a request', async (t) => {
    const connect = (target: string): Promise<string> =>
      raw(t, h.port('main'), `CONNECT ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
    assert.match(await connect('a:80'), /^HTTP\/1\.1 405 /);
    assert.match(await connect('a'), /^HTTP\/1\.1 400 /);
  });
});

describe('logs and counters', () => {
  test('who sees the end of the connection finds the line in the log', async (t) => {
    for (let i = 0; i < 50; i++) {
      await raw(t, h.port('main'), `GET /logged?${i} HTTP/1.0\r\n\r\n`);
      assert.ok(h.read('access.log').includes(`/logged?${i} .`), `line ${i}`);
    }
  });

  test('$pipe tells pipelined requests', async (t) => {
    await raw(
      t,
      h.port('main'),
      compose('/logged?first').toString('latin1') +
        compose('/logged?second', { fields: ['Connection: close'] }).toString('latin1'),
    );
    const log = await h.logged('/logged?second', 'access.log');
    assert.match(log, /\/logged\?first \./);
    assert.match(log, /\/logged\?second p/);
  });

  test('stub_status counts over all workers', async (t) => {
    const status = async (): Promise<number[]> => {
      const r = await get('/status');
      assert.match(
        text(r),
        /^Active connections: \d+ \nserver accepts handled requests\n \d+ \d+ \d+ \nReading: \d+ Writing: \d+ Waiting: \d+ \n$/,
      );
      return text(r).match(/\d+/g)!.map(Number);
    };
    await until('other connections to close', async () => (await status())[0] === 1);
    const [, accepts = 0, , requests = 0] = await status();
    const idle = await Promise.all(Array.from({ length: 8 }, () => Client.connect(t, h.port('main'))));
    for (const client of idle.slice(0, 3)) await client.send('GET / HT');
    await until('the connections to be counted', async () => {
      const [active, , , , reading, writing, waiting] = await status();
      return active === 9 && reading === 3 && writing === 1 && waiting === 5;
    });
    for (const client of idle) client.destroy();
    await until('the connections to be gone', async () => {
      const [active, , , , reading] = await status();
      return active === 1 && reading === 0;
    });
    const [, acceptsNow = 0, handled, requestsNow = 0] = await status();
    assert.equal(acceptsNow, handled);
    // Each question is a connection and a request, and there were eight connections without one.
    assert.equal(acceptsNow - accepts - (requestsNow - requests), 8);
    assert.equal((await get('/status', { method: 'POST', body: '' })).status, 405);
  });
});
