/** proxy_pass: targets, bodies both ways, failures and the next server, upgrades, clients that leave. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { after, before, describe, test } from 'node:test';
import { answering, Backend, type BackendConnection, ok, type Script } from '../helpers/backend.ts';
import { type Ask, ask, Client, compose } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { all, field, type Response, text } from '../helpers/http1.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);
const MEGABYTE = 1024 * 1024;
let h: Headrace;
/** Answers by a script of each test. */
let scripted: Backend;
let echo: Backend;
/** Answers 500, and counts. */
let failing: Backend;

/** Answers with what it was asked. */
const echoing = answering((r) =>
  ok(`${r.method} ${r.target}${r.body.length === 0 ? '' : ` ${r.body.toString('latin1')}`}`, [
    'X-Host: ' + (field(r, 'host') ?? '-'),
  ]),
);

before(async () => {
  scripted = await Backend.start(scope, () => {});
  echo = await Backend.start(scope, echoing);
  failing = await Backend.start(
    scope,
    answering(() => ok('failed', [], '500 Oops')),
  );
  h = await Headrace.start(scope, ({ port }) => {
    const dead = `127.0.0.1:${port('nobody')}`;
    const s = `127.0.0.1:${scripted.port}`;
    const e = `127.0.0.1:${echo.port}`;
    const f = `127.0.0.1:${failing.port}`;
    return `
    upstream echo { server ${e}; }
    upstream second { server ${f} max_fails=0; server ${e} backup; }
    upstream deadfirst { server ${dead} max_fails=0; server ${e} backup; }
    upstream alldead { server ${dead}; server 127.0.0.2:${port('nobody')}; }
    upstream slowfirst { server ${s} max_fails=0; server ${e} backup; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    log_format up '$uri [$upstream_addr] [$upstream_status] [$upstream_response_length] [$upstream_bytes_sent] [$upstream_bytes_received] [$upstream_connect_time] [$upstream_header_time] [$upstream_response_time]';
    access_log up.log up;
    client_max_body_size 100m;
    server {
      listen 127.0.0.1:${port('main')};
      location /same/ { proxy_pass http://echo; }
      location /replaced/ { proxy_pass http://echo/base/; }
      location /noslash { proxy_pass http://echo/base; }
      location ~ ^/regex/(.*)$ { proxy_pass http://echo/r/$1$is_args$args; }
      location /variable/ { set $group echo; proxy_pass http://$group; }
      location /address/ { proxy_pass http://$arg_to; }
      location /rewritten/ { rewrite ^/rewritten/(.*)$ /w/$1 break; proxy_pass http://echo/ignored/; }
      location /fields/ { proxy_set_header Host $http_host; proxy_set_header X-Empty ""; proxy_set_header X-For $proxy_add_x_forwarded_for; proxy_set_header X-Scheme $scheme; proxy_pass http://${s}; }
      location /defaults/ { proxy_pass http://${s}/d/; }
      location /nobody/ { proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_pass http://echo/; }
      location /method/ { proxy_method PUT; proxy_pass http://echo/; }
      location /setbody/ { proxy_set_body "made $arg_x"; proxy_pass http://echo/; }
      location /redirects/ { proxy_pass http://${s}/up/; }
      location /hide/ { proxy_hide_header X-Secret; proxy_pass_header Server; proxy_pass http://${s}/; }

      location /s/ { proxy_max_temp_file_size 0; proxy_pass http://${s}/; }
      location /s/unbuffered/ { proxy_buffering off; proxy_pass http://${s}/; }
      location /s/streamed/ { proxy_request_buffering off; proxy_pass http://${s}/; }
      location /s/short/ { proxy_read_timeout 300ms; proxy_send_timeout 300ms; proxy_next_upstream off; proxy_pass http://${s}/; }
      location /s/ignore/ { proxy_ignore_client_abort on; proxy_pass http://${s}/; }
      location /s/intercepted/ { proxy_intercept_errors on; error_page 404 /own; error_page 500 502 504 =503 /own; proxy_pass http://${s}/; }
      location = /own { internal; return 200 "own page"; }
      location /ws/ { proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_read_timeout 5s; proxy_pass http://${s}/; }

      location /dead/ { proxy_pass http://${dead}/; }
      location /deadfirst/ { proxy_pass http://deadfirst/; }
      location /alldead/ { proxy_pass http://alldead/; }
      location /status/ { proxy_next_upstream http_500; proxy_pass http://second/; }
      location /nostatus/ { proxy_pass http://second/; }
      location /unsafe/ { proxy_next_upstream error timeout http_500 non_idempotent; proxy_pass http://second/; }
      location /tries/ { proxy_next_upstream http_500; proxy_next_upstream_tries 1; proxy_pass http://second/; }
      location /next/ { proxy_next_upstream error timeout invalid_header; proxy_read_timeout 300ms; proxy_pass http://slowfirst/; }
      location /nextoff/ { proxy_next_upstream off; proxy_pass http://slowfirst/; }
      location /nextlate/ { proxy_next_upstream timeout; proxy_next_upstream_timeout 100ms; proxy_read_timeout 300ms; proxy_pass http://slowfirst/; }
    }`;
  });
});

const get = (target: string, options?: Ask): Promise<Response> => ask(scope, h.port('main'), target, options);

/** Runs with a script of its own for the scripted server. */
async function withScript<T>(script: Script, run: () => Promise<T>): Promise<T> {
  scripted.script = script;
  return run();
}

describe('targets', () => {
  const cases: [target: string, body: string][] = [
    ['/same/a%20b/../c?d=e', 'GET /same/a%20b/../c?d=e'],
    ['/same//x%2f', 'GET /same//x%2f'],
    ['/replaced/', 'GET /base/'],
    ['/replaced/a/../b%20c?d', 'GET /base/b%20c?d'],
    ['/replaced/%e4%3f', 'GET /base/%E4%3F'],
    ['/noslash/x', 'GET /base/x'],
    ['/noslashx', 'GET /basex'],
    ['/regex/a/b?c', 'GET /r/a/b?c'],
    ['/variable/a%20b', 'GET /variable/a%20b'],
    ['/rewritten/a?b', 'GET /w/a?b'],
  ];
  for (const [target, body] of cases) test(target, async () => assert.equal(text(await get(target)), body));

  test('an address that a variable brings', async () => {
    assert.equal(text(await get(`/address/?to=127.0.0.1:${echo.port}`)), `GET /address/?to=127.0.0.1:${echo.port}`);
    assert.ok([500, 502].includes((await get('/address/?to=')).status));
    assert.equal((await get('/address/?to=name.test')).status, 502);
  });

  test('request fields', async () => {
    scripted.forget();
    await withScript(echoing, async () => {
      await get('/fields/', {
        fields: ['Host: h:1', 'X-Empty: x', 'X-For: x', 'X-Forwarded-For: 1.1.1.1', 'Accept: a', 'Keep-Alive: 1'],
      });
      await get('/defaults/x', { fields: ['Host: h:1'] });
    });
    const [first, second] = scripted.requests;
    assert.deepEqual(
      ['host', 'x-empty', 'x-for', 'x-scheme', 'accept', 'keep-alive', 'connection'].map((n) => all(first!, n).join()),
      ['h:1', '', '1.1.1.1, 127.0.0.1', 'http', 'a', '', 'close'].with(6, ''),
    );
    assert.deepEqual([second!.target, field(second!, 'host')], ['/d/x', `127.0.0.1:${scripted.port}`]);
  });

  test('method and body', async () => {
    assert.equal(text(await get('/method/x')), 'PUT /x');
    assert.equal(text(await get('/setbody/x?x=y', { method: 'POST', body: 'client' })), 'POST /x?x=y made y');
    assert.equal(text(await get('/nobody/x', { method: 'POST', body: 'client' })), 'POST /x');
  });

  test('answer fields', async () => {
    await withScript(
      answering(
        () =>
          `HTTP/1.1 200 Very Well\r\nServer: mine\r\nX-Secret: s\r\nX-Pad: p\r\nDate: then\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 0\r\n\r\n`,
      ),
      async () => {
        const r = await get('/hide/');
        assert.deepEqual(
          [r.reason, field(r, 'server'), field(r, 'x-secret'), field(r, 'x-pad'), all(r, 'x-a')],
          ['Very Well', 'mine', null, null, ['1', '2']],
        );
        assert.notEqual(field(r, 'date'), 'then');
      },
    );
    await withScript(
      answering(
        () => `HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:${scripted.port}/up/x\r\nContent-Length: 0\r\n\r\n`,
      ),
      async () => {
        assert.equal(field(await get('/redirects/'), 'location'), `http://localhost:${h.port('main')}/redirects/x`);
      },
    );
  });
});

describe('bodies', () => {
  test('20 MB up, buffered and streamed: all of it arrives, memory stays bounded', async (t) => {
    const piece = Buffer.alloc(MEGABYTE, 'u');
    for (const target of ['/s/up', '/s/streamed/up']) {
      await withScript(
        async (c) => {
          const head = await c.head();
          const length = Number(/content-length: (\d+)/i.exec(head)![1]);
          await until('whole body', () => scripted.bytesReceived >= length + head.length);
          await c.send(ok(`${scripted.bytesReceived - head.length}`));
        },
        async () => {
          scripted.forget();
          const before = h.memory();
          const client = await Client.connect(t, h.port('main'));
          await client.send(`POST ${target} HTTP/1.1\r\nHost: a\r\nContent-Length: ${20 * MEGABYTE}\r\n\r\n`);
          for (let i = 0; i < 20; i++) await client.send(piece);
          assert.equal(text(await client.response()), String(20 * MEGABYTE), target);
          assert.ok(
            h.memory() - before < 60 * MEGABYTE,
            `${target}: memory grew by ${(h.memory() - before) / MEGABYTE} MB`,
          );
        },
      );
    }
  });

  test('a streamed body reaches the server before its end', async (t) => {
    await withScript(
      async (c) => {
        await until('first part', () => c.text.includes('first'));
        await c.send('HTTP/1.1 100 Continue\r\n\r\n');
        await until('second part', () => c.text.endsWith('second'));
        await c.send(ok('both'));
      },
      async () => {
        const client = await Client.connect(t, h.port('main'));
        await client.send('POST /s/streamed/x HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nfirst');
        await until('it to arrive', () => scripted.connections.at(-1)?.text.includes('first'));
        await client.send('second');
        assert.equal(text(await client.response()), 'both');
      },
    );
  });

  test('a streamed chunked body goes on chunked', async (t) => {
    scripted.forget();
    await withScript(echoing, async () => {
      const client = await Client.connect(t, h.port('main'));
      await client.send('POST /s/streamed/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
      // One that comes whole with its head has a length.
      await until('it to arrive', () => scripted.connections.at(-1)?.text.includes('abc'));
      await client.send('2\r\nde\r\n0\r\n\r\n');
      assert.equal(text(await client.response()), 'POST /x abcde');
      assert.equal(field(scripted.requests[0]!, 'transfer-encoding'), 'chunked');
    });
  });

  test('a server that does not read holds a streamed body back', async (t) => {
    let held: BackendConnection | undefined;
    await withScript(
      async (c) => {
        held = c;
        await c.head();
        c.socket.pause();
      },
      async () => {
        const client = await Client.connect(t, h.port('main'));
        const before = h.memory();
        await client.send(`POST /s/streamed/x HTTP/1.1\r\nHost: a\r\nContent-Length: ${80 * MEGABYTE}\r\n\r\n`);
        let sent = 0;
        const pump = (async () => {
          for (let i = 0; i < 80; i++) {
            await client.send(Buffer.alloc(MEGABYTE));
            sent++;
          }
        })();
        // What the kernel's buffers hold is sent; then nothing moves. Two equal looks in a row tell so.
        let last = -1;
        await until('the flow to stop', async () => {
          const now = sent;
          await new Promise((resolve) => setTimeout(resolve, 150));
          if (now === sent && now === last && now > 0) return true;
          last = sent;
          return false;
        });
        assert.ok(sent < 60, `${sent} MB were taken`);
        assert.ok(h.memory() - before < 40 * MEGABYTE, `memory grew by ${(h.memory() - before) / MEGABYTE} MB`);
        scripted.recording = false;
        held!.socket.resume();
        await pump;
        await until('all of it', () => scripted.bytesReceived >= 80 * MEGABYTE);
        scripted.recording = true;
        await held!.send(ok('all'));
        assert.equal(text(await client.response()), 'all');
      },
    );
  });

  for (const target of ['/s/down', '/s/unbuffered/down']) {
    test(`a client that does not read holds the server back: ${target}`, async (t) => {
      const total = 80;
      let sent = 0;
      await withScript(
        async (c) => {
          await c.request();
          await c.send(`HTTP/1.1 200 OK\r\nContent-Length: ${total * MEGABYTE}\r\n\r\n`);
          for (let i = 0; i < total && !c.closed; i++) {
            await c.send(Buffer.alloc(MEGABYTE, i));
            sent++;
          }
        },
        async () => {
          const before = h.memory();
          const client = await Client.connect(t, h.port('main'));
          client.socket.pause();
          await client.send(compose(target));
          let last = -1;
          await until('the flow to stop', async () => {
            const now = sent;
            await new Promise((resolve) => setTimeout(resolve, 150));
            if (now === sent && now === last && now > 0) return true;
            last = sent;
            return false;
          });
          assert.ok(sent < 60, `${sent} MB were taken`);
          assert.ok(h.memory() - before < 40 * MEGABYTE, `memory grew by ${(h.memory() - before) / MEGABYTE} MB`);
          client.socket.resume();
          const r = await client.response();
          assert.equal(r.body.length, total * MEGABYTE);
          for (let i = 0; i < total; i++) assert.equal(r.body[i * MEGABYTE + 12_345], i);
        },
      );
    });
  }

  test('an answer goes on as it comes', async (t) => {
    await withScript(
      async (c) => {
        await c.request();
        await c.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n');
        await until('the client to say so', () => c.backend.broken.includes('seen'));
        c.backend.forget();
        await c.send('6\r\nsecond\r\n0\r\n\r\n');
      },
      async () => {
        const client = await Client.connect(t, h.port('main'));
        await client.send(compose('/s/unbuffered/x'));
        await until('first part', () => client.text.includes('first'));
        scripted.broken.push('seen');
        assert.equal(text(await client.response()), 'firstsecond');
      },
    );
  });

  test('an answer before the body was sent', async (t) => {
    for (const target of ['/s/streamed/early', '/s/early']) {
      await withScript(
        async (c) => {
          await c.head();
          await c.send(ok('early', ['Connection: close']));
          c.end();
        },
        async () => {
          const client = await Client.connect(t, h.port('main'));
          await client.send(`POST ${target} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234`);
          if (target === '/s/early') await client.send('56789');
          const r = await client.response();
          assert.deepEqual([r.status, text(r)], [200, 'early'], target);
          // The rest of the body is still a body, not a request.
          if (target !== '/s/early' && field(r, 'connection') === 'keep-alive') {
            await client.send(`56789${compose('/same/x').toString()}`);
            assert.equal(text(await client.response()), 'GET /same/x');
          }
        },
      );
    }
  });
});

describe('failures', () => {
  const cases: [what: string, target: string, options: Ask, status: number, body: RegExp][] = [
    ['nobody listens', '/dead/', {}, 502, /502 Bad Gateway/],
    ['the next server takes over', '/deadfirst/x', {}, 200, /^GET \/x$/],
    ['POST too: nothing was sent', '/deadfirst/x', { method: 'POST', body: 'b' }, 200, /^POST \/x b$/],
    ['all are down', '/alldead/', {}, 502, /502/],
    ['a status sends to the next', '/status/x', {}, 200, /^GET \/x$/],
    ['a status is an answer unless asked for', '/nostatus/x', {}, 500, /^failed$/],
    ['POST is not sent again', '/status/x', { method: 'POST', body: 'b' }, 500, /^failed$/],
    ['POST is sent again if told', '/unsafe/x', { method: 'POST', body: 'b' }, 200, /^POST \/x b$/],
    ['no more tries', '/tries/x', {}, 500, /^failed$/],
  ];
  for (const [what, target, options, status, body] of cases) {
    test(what, async () => {
      const r = await get(target, options);
      assert.equal(r.status, status);
      assert.match(text(r), body);
    });
  }

  test('a body is sent again whole, from memory and from a file', async () => {
    for (const size of [10, 20_000, 3 * MEGABYTE]) {
      const body = Buffer.alloc(size, 'r');
      for (const target of ['/deadfirst/x', '/unsafe/x']) {
        const r = await get(target, { method: 'POST', body });
        assert.equal(r.status, 200);
        assert.ok(r.body.equals(Buffer.concat([Buffer.from('POST /x '), body])), `${target} ${size}`);
      }
    }
  });

  test('no answer in time', async () => {
    await withScript(
      async (c) => void (await c.request()),
      async () => {
        assert.equal((await get('/s/short/x')).status, 504);
        await h.logged('upstream timed out (110: Connection timed out) while reading response header from upstream');
        assert.equal(text(await get('/next/x')), 'GET /x');
        assert.equal((await get('/next/x', { method: 'POST', body: 'b' })).status, 504);
        assert.equal((await get('/nextlate/x')).status, 504);
        await until('connections to be left', () => scripted.open === 0);
      },
    );
  });

  test('an answer that stalls breaks off', async (t) => {
    await withScript(
      async (c) => {
        await c.request();
        await c.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
      },
      async () => {
        const client = await Client.connect(t, h.port('main'));
        await client.send(compose('/s/short/x'));
        assert.match((await client.end()).toString(), /^HTTP\/1\.1 200 [\s\S]*\r\n\r\nabc$/);
      },
    );
  });

  test('a server that hangs up, resets, or talks nonsense', async () => {
    const scripts: Script[] = [
      async (c) => {
        await c.request();
        c.end();
      },
      async (c) => {
        await c.request();
        c.reset();
      },
      async (c) => {
        await c.request();
        await c.send('nonsense\r\n\r\n');
      },
      (c) => c.end(),
      (c) => c.reset(),
    ];
    for (const script of scripts) {
      await withScript(script, async () => {
        assert.equal(text(await get('/next/x')), 'GET /x');
        assert.equal((await get('/nextoff/x')).status, 502);
      });
    }
  });

  test('proxy_intercept_errors', async () => {
    await withScript(
      answering((r) =>
        ok('theirs', [], r.target === '/404' ? '404 Gone' : r.target === '/500' ? '500 Oops' : '403 No'),
      ),
      async () => {
        const missing = await get('/s/intercepted/404');
        assert.deepEqual([missing.status, text(missing)], [404, 'own page']);
        const oops = await get('/s/intercepted/500');
        assert.deepEqual([oops.status, text(oops)], [503, 'own page']);
        const other = await get('/s/intercepted/403');
        assert.deepEqual([other.status, text(other)], [403, 'theirs']);
      },
    );
  });
});

describe('upgrade', () => {
  test('bytes pass both ways, ends too', async (t) => {
    let server: BackendConnection | undefined;
    await withScript(
      async (c) => {
        server = c;
        const r = await c.request();
        assert.deepEqual([field(r!, 'upgrade'), field(r!, 'connection')], ['websocket', 'upgrade']);
        await c.send('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello');
      },
      async () => {
        const client = await Client.connect(t, h.port('main'), { allowHalfOpen: true });
        await client.send('GET /ws/x HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nearly');
        const r = await client.response();
        assert.deepEqual(
          [r.status, field(r, 'upgrade'), field(r, 'connection')?.toLowerCase()],
          [101, 'websocket', 'upgrade'],
        );
        assert.equal((await client.bytes(5)).toString(), 'hello');
        const big = Buffer.alloc(3 * MEGABYTE, 'w');
        await Promise.all([client.send(big), server!.send(big)]);
        assert.equal((await client.bytes(big.length)).length, big.length);
        await until('all of it', () => server!.unread.length === big.length + 5);
        assert.equal(server!.unread.toString('latin1', 0, 5), 'early');
        client.socket.end();
        await server!.gone();
        server!.end();
        await client.end();
      },
    );
  });

  test('a refusal is an answer like others', async (t) => {
    await withScript(
      answering(() => ok('no', [], '403 No')),
      async () => {
        const client = await Client.connect(t, h.port('main'));
        await client.send('GET /ws/x HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
        assert.equal((await client.response()).status, 403);
      },
    );
  });

  test('a client that leaves, and a server that leaves', async (t) => {
    for (const side of ['client', 'server']) {
      await withScript(
        async (c) => {
          await c.request();
          await c.send('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n');
          if (side === 'server') c.reset();
        },
        async () => {
          const client = await Client.connect(t, h.port('main'));
          await client.send('GET /ws/x HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n');
          assert.equal((await client.response()).status, 101);
          if (side === 'client') client.reset();
          else await client.end();
          await until('both to be gone', () => scripted.open === 0);
        },
      );
    }
  });
});

describe('clients that leave', () => {
  const stages: [what: string, target: string, script: Script, bytes: string][] = [
    ['while the server thinks', '/s/x', async (c) => void (await c.request()), ''],
    ['while the server thinks, unbuffered', '/s/unbuffered/x', async (c) => void (await c.request()), ''],
    [
      'in the middle of the answer',
      '/s/x',
      async (c) => {
        await c.request();
        await c.send('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc');
      },
      '',
    ],
    ['in the middle of a streamed body', '/s/streamed/x', async (c) => void (await c.head()), 'abc'],
  ];
  for (const [what, target, script, body] of stages) {
    for (const how of ['end', 'reset'] as const) {
      test(`${what} (${how}): the server's connection is closed`, async (t) => {
        await withScript(script, async () => {
          const before = scripted.connections.length;
          const client = await Client.connect(t, h.port('main'));
          await client.send(
            body === '' ? compose(target) : `POST ${target} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n${body}`,
          );
          await until(
            'the request to arrive',
            () => scripted.connections.length > before && scripted.connections.at(-1)!.text.includes('\r\n\r\n'),
          );
          if (how === 'reset') client.reset();
          else client.socket.end();
          await scripted.connections.at(-1)!.gone();
          client.destroy();
        });
      });
    }
  }

  test('proxy_ignore_client_abort lets the server finish', async (t) => {
    let finish: (() => void) | undefined;
    await withScript(
      async (c) => {
        await c.request();
        await new Promise<void>((resolve) => (finish = resolve));
        await c.send(ok('late'));
      },
      async () => {
        const client = await Client.connect(t, h.port('main'));
        await client.send(compose('/s/ignore/x'));
        await until('the request to arrive', () => finish !== undefined);
        client.destroy();
        await new Promise((resolve) => setTimeout(resolve, 100));
        const c = scripted.connections.at(-1)!;
        assert.equal(c.ended, false);
        finish!();
        await c.gone();
        assert.equal(c.error, null);
      },
    );
  });
});

test('no descriptor is left behind by clients and servers that leave at any point', async (t) => {
  scripted.script = async (c) => {
    const n = c.number % 5;
    if (n === 0) return c.reset();
    await c.head();
    if (n === 1) return c.reset();
    await c.send('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc');
    if (n === 2) c.reset();
    if (n === 3) c.end();
  };
  const round = async (): Promise<void> => {
    const clients = await Promise.all(Array.from({ length: 40 }, () => Client.connect(t, h.port('main'))));
    await Promise.all(
      clients.map(async (client, i) => {
        const body = i % 2 === 0 ? '' : 'Content-Length: 100\r\n';
        const head = `${i % 2 === 0 ? 'GET' : 'POST'} /s/${i % 3 === 0 ? 'streamed/' : ''}x HTTP/1.1\r\nHost: a\r\n${body}\r\n`;
        await client.send(i % 7 === 0 ? head.slice(0, -3) : `${head}${body === '' ? '' : 'abc'}`);
        if (i % 4 === 0) await new Promise((resolve) => setTimeout(resolve, 20));
        if (i % 2 === 0) client.reset();
        else client.destroy();
      }),
    );
    await until('servers to be left', () => scripted.open === 0);
  };
  await round();
  const before = h.descriptors();
  for (let i = 0; i < 5; i++) await round();
  await until(
    () => `descriptors to be ${before} again: ${h.descriptors()}`,
    () => h.descriptors() <= before + 2,
  );
});

test('$upstream_ variables', async () => {
  await get('/status/x');
  await get('/alldead/y');
  await get('/same/z');
  const status = await h.logged(/\/status\/x .*\n/, 'up.log');
  const line = (uri: string): string =>
    status
      .concat(h.read('up.log'))
      .split('\n')
      .findLast((l) => l.startsWith(`${uri} `))!;
  const time = '\\d+\\.\\d{3}';
  assert.match(
    line('/status/x'),
    new RegExp(
      `^/status/x \\[127\\.0\\.0\\.1:${failing.port}, 127\\.0\\.0\\.1:${echo.port}\\] \\[500, 200\\] \\[\\d+, 6\\] \\[\\d\\d+, \\d\\d+\\] \\[\\d\\d+, \\d\\d+\\] \\[${time}, ${time}\\] \\[${time}, ${time}\\] \\[${time}, ${time}\\]$`,
    ),
  );
  await h.logged('/same/z ', 'up.log');
  assert.match(
    line('/same/z'),
    new RegExp(`^/same/z \\[127\\.0\\.0\\.1:${echo.port}\\] \\[200\\] \\[11\\] \\[\\d\\d+\\] \\[\\d\\d+\\] `),
  );
});
