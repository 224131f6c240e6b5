/** Requests that the server makes of itself: what they share, where their answers go, and how they end. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { ask, Client, compose } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { field, text } from '../helpers/http1.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);
let h: Headrace;
/** Answers what it was asked. */
let backend: Backend;
/** Says who is let in. */
let auth: Backend;
/** Answers pages; those with `slow` when `slowly` lets them go. */
let slow: Backend;
const slowly = { go: () => {} };
/** Gets copies; answers when it is told to. */
let copies: Backend;
let answerCopies = true;

before(async () => {
  backend = await Backend.start(
    scope,
    answering((r) => ok(`${r.method} ${r.target} ${text(r)}`)),
  );
  auth = await Backend.start(
    scope,
    answering((r) => {
      const original = field(r, 'X-Original') ?? '';
      if (original.includes('hang')) return null;
      if (original.includes('deny')) return ok('no', ['WWW-Authenticate: Basic realm="r"'], '401 Unauthorized');
      if (original.includes('forbid')) return ok('no', [], '403 Forbidden');
      if (original.includes('fail')) return ok('no', [], '500 Broken');
      return 'HTTP/1.1 204 No Content\r\nX-Who: somebody\r\n\r\n';
    }),
  );
  slow = await Backend.start(
    scope,
    answering(async (r, c) => {
      if (r.target.includes('slow')) await new Promise<void>((resolve) => (slowly.go = resolve));
      if (r.target.includes('big')) return ok('b'.repeat(400_000), ['Content-Type: text/html']);
      if (!r.target.includes('pieces')) return ok(`up:${r.target}`, ['Content-Type: text/html']);
      const page = 'x foo y</BODY> foo';
      await c.send(
        `HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: "tag"\r\nContent-Length: ${page.length}\r\n\r\n`,
      );
      for (const piece of page) await c.send(piece);
      return null;
    }),
  );
  copies = await Backend.start(
    scope,
    answering((r) => (answerCopies ? ok(r.target.includes('endless') ? 'x'.repeat(1 << 20) : 'copied') : null)),
  );
  h = await Headrace.start(
    scope,
    ({ port, dir }) => `
    access_log off;
    log_format sub '$uri|$request_method|$status|$http_x_a|$flag';
    server {
      listen 127.0.0.1:${port('main')};
      root ${dir}/www;
      location /mirror/ {
        set $flag set;
        mirror /copy;
        proxy_pass http://127.0.0.1:${backend.port};
        location /mirror/none/ { mirror off; proxy_pass http://127.0.0.1:${backend.port}; }
        location /mirror/nobody/ { mirror /copy; mirror_request_body off; proxy_pass http://127.0.0.1:${backend.port}; }
        location /mirror/many/ { mirror /copy; mirror /copy2; proxy_pass http://127.0.0.1:${backend.port}; }
      }
      location = /copy {
        internal;
        mirror /copy;
        log_subrequest on;
        access_log sub.log sub;
        proxy_set_header Content-Length "";
        proxy_pass http://127.0.0.1:${copies.port}$request_uri;
      }
      location = /copy2 { internal; proxy_pass http://127.0.0.1:${copies.port}/second; }
      location /kept/ { client_body_in_file_only on; add_header X-File $request_body_file; proxy_pass http://127.0.0.1:${backend.port}; }
      location /clean/ { client_body_in_file_only clean; add_header X-File $request_body_file; proxy_pass http://127.0.0.1:${backend.port}; }
      location /spill/ {
        client_body_buffer_size 1k;
        client_max_body_size 0;
        mirror /copy2;
        proxy_pass http://127.0.0.1:${backend.port};
      }
      location /auth/ {
        auth_request /check;
        auth_request_set $who $upstream_http_x_who;
        auth_request_set $code $upstream_status;
        proxy_set_header X-Who $who;
        proxy_set_header X-Code $code;
        error_page 401 = @login;
        proxy_pass http://127.0.0.1:${backend.port};
        location /auth/plain/ { error_page 404 /none; auth_request /check; proxy_pass http://127.0.0.1:${backend.port}; }
        location /auth/off/ { auth_request off; return 200 open; }
        location /auth/cycle/ { auth_request /auth/cycle/x; return 200 "in $uri"; }
      }
      location @login { return 401 "log in"; }
      location = /check {
        internal;
        proxy_pass_request_body off;
        proxy_set_header Content-Length "";
        proxy_set_header X-Original $request_uri;
        proxy_pass http://127.0.0.1:${auth.port}/ask;
      }
      location /ssi/ {
        ssi on;
        set $page_var page;
        location /ssi/silent/ { ssi_silent_errors on; }
        location /ssi/modified/ { ssi_last_modified on; }
        location /ssi/types/ { ssi_types application/json; types { application/json json; text/html html; text/plain txt; } }
      }
      location /up/ { proxy_pass http://127.0.0.1:${slow.port}; }
      location /sub/ {
        sub_filter '</BODY>' '<!-- $arg_a --></body>';
        sub_filter foo bar;
        sub_filter_once off;
        proxy_pass http://127.0.0.1:${slow.port};
        location /sub/once/ { sub_filter foo bar; sub_filter_once on; sub_filter_types *; sub_filter_last_modified on; proxy_pass http://127.0.0.1:${slow.port}; }
      }
      location /add/ { add_before_body /part/before; add_after_body /up/after; types { text/html html; text/plain txt; } }
      location /part/ { return 200 "[$uri]"; }
      location /post/ {
        post_action @done;
        location /post/404 { return 404; }
        location /post/ok { return 200 fine; }
        location /post/up { proxy_pass http://127.0.0.1:${backend.port}; }
      }
      location @done {
        proxy_set_header X-Status $status;
        proxy_set_header X-Bytes $body_bytes_sent;
        proxy_set_header X-Upstream $upstream_status;
        proxy_pass http://127.0.0.1:${copies.port};
      }
    }`,
    {
      files: {
        'www/ssi/echo.html':
          'a<!--#echo var="arg_x" -->b<!--#echo var="nothing" default="d" -->c<!--#echo var="page_var" -->',
        'www/ssi/order.html':
          '1<!--#include virtual="/up/a?slow" -->2<!--#include virtual="/up/b" -->3<!--#include virtual="part.html" -->4',
        'www/ssi/part.html': '<!--#set var="v" value="set in $uri" -->part',
        'www/ssi/wait.html': '<!--#include virtual="part.html" wait="yes" -->:<!--#echo var="v" -->',
        'www/ssi/into.html': 'x<!--#include virtual="/up/into?slow" set="got" -->y<!--#echo var="got" -->z',
        'www/ssi/deep.html': '(<!--#include virtual="deep.html" -->)',
        'www/ssi/stub.html':
          '<!--#block name="b" -->instead of $uri<!--#endblock -->[<!--#include virtual="/missing" stub="b" -->]',
        'www/ssi/error.html': 'a<!--#nonsense -->b',
        'www/ssi/big.html': `${'x'.repeat(300_000)}<!--#include virtual="/up/big" -->${'y'.repeat(300_000)}`,
        'www/ssi/many.html': Array.from({ length: 300 }, (_, i) => `${i}<!--#include virtual="/part/${i}" -->`).join(
          '',
        ),
        'www/ssi/silent/error.html': 'a<!--#nonsense -->b',
        'www/ssi/modified/a.html': 'plain',
        'www/ssi/types/a.json': '<!--#echo var="arg_x" -->',
        'www/ssi/types/a.txt': '<!--#echo var="arg_x" -->',
        'www/add/a.html': 'body',
        'www/add/a.txt': 'body',
      },
    },
  );
});

describe('auth_request', () => {
  test('lets in, with variables of its answer; the body goes to the server alone', async () => {
    auth.forget();
    backend.forget();
    const answer = await ask(scope, h.port('main'), '/auth/x?allow', { method: 'POST', body: 'payload' });
    assert.equal(text(answer), 'POST /auth/x?allow payload');
    const asked = auth.requests[0]!;
    assert.equal(`${asked.method} ${asked.target} ${text(asked)}`, 'GET /ask ');
    assert.equal(field(asked, 'X-Original'), '/auth/x?allow');
    assert.equal(field(backend.requests[0]!, 'X-Who'), 'somebody');
    assert.equal(field(backend.requests[0]!, 'X-Code'), '204');
  });

  test('refuses with 401 and its challenge, or 403; anything else is 500', async () => {
    const refused = await ask(scope, h.port('main'), '/auth/plain/?deny');
    assert.equal(refused.status, 401);
    assert.equal(field(refused, 'WWW-Authenticate'), 'Basic realm="r"');
    const login = await ask(scope, h.port('main'), '/auth/?deny');
    assert.equal(`${login.status} ${text(login)}`, '401 log in');
    assert.equal((await ask(scope, h.port('main'), '/auth/?forbid')).status, 403);
    assert.equal((await ask(scope, h.port('main'), '/auth/?fail')).status, 500);
    await h.logged('auth request unexpected status: 500');
    assert.equal(text(await ask(scope, h.port('main'), '/auth/off/')), 'open');
    // A subrequest is not checked itself.
    assert.equal(text(await ask(scope, h.port('main'), '/auth/cycle/')), 'in /auth/cycle/');
  });

  test('a client that leaves while it is asked ends the question', async () => {
    auth.forget();
    const before = auth.connections.length;
    const client = await Client.connect(scope, h.port('main'));
    await client.send(compose('/auth/?hang'));
    await until('the question', () => auth.requests.length === 1);
    client.destroy();
    await until('its connection to be closed', () => auth.connections.slice(before).every((c) => c.ended));
    // And the next request is its own.
    assert.equal((await ask(scope, h.port('main'), '/auth/x?allow')).status, 200);
  });
});

describe('SSI', () => {
  const get = async (target: string): Promise<string> => text(await ask(scope, h.port('main'), target));

  test('echo', async () => {
    assert.equal(await get('/ssi/echo.html?x=<1>'), 'a&lt;1&gt;bdcpage');
    assert.equal(await get('/ssi/echo.html'), 'a(none)bdcpage');
  });

  test('includes stand where they were included, whichever is ready first', async () => {
    slow.forget();
    const answer = ask(scope, h.port('main'), '/ssi/order.html');
    await until('both', () => slow.requests.length === 2);
    slowly.go();
    assert.equal(text(await answer), '1up:/up/a?slow2up:/up/b3part4');
  });

  test('wait and set', async () => {
    assert.equal(await get('/ssi/wait.html'), 'part:set in /ssi/part.html');
    slow.forget();
    const answer = ask(scope, h.port('main'), '/ssi/into.html');
    await until('the question', () => slow.requests.length === 1);
    slowly.go();
    assert.equal(text(await answer), 'xyup:/up/into?slowz');
  });

  test('a page that includes itself ends at fifty levels', async () => {
    const page = await get('/ssi/deep.html');
    assert.equal(page, `${'('.repeat(51)}[an error occurred while processing the directive]${')'.repeat(51)}`);
    await h.logged('subrequests cycle while processing "/ssi/deep.html"');
  });

  test('stub, errors, silence', async () => {
    assert.equal(await get('/ssi/stub.html'), '[instead of $uri]');
    assert.equal(await get('/ssi/error.html'), 'a[an error occurred while processing the directive]b');
    assert.equal(await get('/ssi/silent/error.html'), 'ab');
  });

  test('large pages and includes, and many', async () => {
    assert.equal(await get('/ssi/big.html'), `${'x'.repeat(300_000)}${'b'.repeat(400_000)}${'y'.repeat(300_000)}`);
    assert.equal(await get('/ssi/many.html'), Array.from({ length: 300 }, (_, i) => `${i}[/part/${i}]`).join(''));
  });

  test('a slow client gets all of it', async () => {
    const client = await Client.connect(scope, h.port('main'));
    client.socket.pause();
    await client.send(compose('/ssi/big.html', { fields: ['Connection: close'] }));
    await until('the include', () => slow.requests.some((r) => r.target === '/up/big'));
    client.socket.resume();
    assert.equal((await client.response()).body.length, 1_000_000);
  });

  test('what is told of versions and lengths goes; types', async () => {
    const page = await ask(scope, h.port('main'), '/ssi/echo.html', { fields: ['Range: bytes=0-1'] });
    assert.equal(page.status, 200);
    for (const name of ['Content-Length', 'ETag', 'Last-Modified', 'Accept-Ranges'])
      assert.equal(field(page, name), null);
    const kept = await ask(scope, h.port('main'), '/ssi/modified/a.html');
    assert.match(field(kept, 'ETag')!, /^W\/"/);
    assert.notEqual(field(kept, 'Last-Modified'), null);
    assert.equal(await get('/ssi/types/a.json?x=1'), '1');
    const other = await ask(scope, h.port('main'), '/ssi/types/a.txt', { fields: ['Range: bytes=0-1'] });
    assert.equal(`${other.status} ${text(other)}`, '206 <!');
  });

  test('HEAD', async () => {
    const head = await ask(scope, h.port('main'), '/ssi/big.html', { method: 'HEAD' });
    assert.equal(head.status, 200);
    assert.equal(field(head, 'Content-Length'), null);
  });
});

describe('sub_filter', () => {
  const get = async (target: string): Promise<string> => text(await ask(scope, h.port('main'), target));

  test('over the borders of what is read', async () => {
    const answer = await ask(scope, h.port('main'), '/sub/pieces?a=b');
    assert.equal(text(answer), 'x bar y<!-- b --></body> bar');
    assert.equal(field(answer, 'Content-Length'), null);
    assert.equal(field(answer, 'ETag'), null);
  });

  test('once, other types', async () => {
    assert.equal(await get('/sub/once/pieces'), 'x bar y</BODY> foo');
    assert.equal(field(await ask(scope, h.port('main'), '/sub/once/pieces'), 'ETag'), 'W/"tag"');
  });
});

describe('addition', () => {
  test('before and behind', async () => {
    assert.equal(text(await ask(scope, h.port('main'), '/add/a.html')), '[/part/before]bodyup:/up/after');
    assert.equal(text(await ask(scope, h.port('main'), '/add/a.txt')), 'body');
    assert.equal((await ask(scope, h.port('main'), '/add/a.html', { method: 'HEAD' })).status, 200);
  });
});

describe('post_action', () => {
  for (const [target, status, bytes, upstream] of [
    ['/post/404', '404', '', '-'],
    ['/post/ok', '200', '4', '-'],
    ['/post/up', '200', '13', '200'],
  ] as const) {
    test(`${target}: runs when it was answered, and tells of the answer`, async () => {
      copies.forget();
      await ask(scope, h.port('main'), target);
      await until('the action', () => copies.requests.length === 1);
      const action = copies.requests[0]!;
      assert.equal(action.target, target);
      assert.equal(field(action, 'X-Status'), status);
      if (status !== '404') assert.equal(field(action, 'X-Bytes'), bytes);
      assert.ok((field(action, 'X-Upstream') ?? '').startsWith(upstream));
    });
  }
});

describe('mirror', () => {
  test('a copy goes out with method, body, fields and variables of the request; its answer is thrown away', async () => {
    copies.forget();
    const answer = await ask(scope, h.port('main'), '/mirror/a?b=c', {
      method: 'POST',
      body: 'payload',
      fields: ['X-A: field'],
    });
    assert.equal(text(answer), 'POST /mirror/a?b=c payload');
    await until('the copy', () => copies.requests.length === 1);
    const copy = copies.requests[0]!;
    assert.equal(copy.method, 'POST');
    assert.equal(copy.target, '/mirror/a?b=c');
    assert.equal(text(copy), 'payload');
    assert.equal(field(copy, 'X-A'), 'field');
    // And the copy is not copied.
    assert.match(await h.logged('/copy', 'sub.log'), /^\/copy\|POST\|200\|field\|set\n$/);
    assert.equal(copies.requests.length, 1);
  });

  test('off, several, and without the body', async () => {
    copies.forget();
    const send = async (target: string): Promise<string> =>
      text(await ask(scope, h.port('main'), target, { method: 'PUT', body: 'payload' }));
    assert.equal(await send('/mirror/none/'), 'PUT /mirror/none/ payload');
    assert.equal(await send('/mirror/many/'), 'PUT /mirror/many/ payload');
    await until('both copies', () => copies.requests.length === 2);
    assert.deepEqual(copies.requests.map((r) => r.target).toSorted(), ['/mirror/many/', '/second']);
    copies.forget();
    assert.equal(await send('/mirror/nobody/'), 'PUT /mirror/nobody/ payload');
    await until('the copy', () => copies.requests.length === 1);
    assert.equal(text(copies.requests[0]!), '');
    assert.deepEqual(copies.broken, []);
  });

  test('a copy that is not answered holds up neither the answer nor the next request of its connection', async () => {
    copies.forget();
    answerCopies = false;
    try {
      const client = await Client.connect(scope, h.port('main'));
      for (let i = 0; i < 3; i++) {
        await client.send(compose(`/mirror/${i}`, { method: 'POST', body: `body ${i}` }));
        assert.equal(text(await client.response('POST')), `POST /mirror/${i} body ${i}`);
      }
      await until('the copies', () => copies.requests.length === 3);
      // Each is its own request, whatever the connection's buffers hold by now.
      assert.deepEqual(copies.requests.map((r) => `${r.target} ${text(r)}`).toSorted(), [
        '/mirror/0 body 0',
        '/mirror/1 body 1',
        '/mirror/2 body 2',
      ]);
    } finally {
      answerCopies = true;
    }
  });

  test('a large body that went to a file is there for both, and for each request its own', async () => {
    copies.forget();
    const bodies = ['a', 'b', 'c', 'd'].map((c) => c.repeat(300_000));
    const answers = await Promise.all(
      bodies.map((body) => ask(scope, h.port('main'), '/spill/', { method: 'POST', body })),
    );
    answers.forEach((answer, i) => assert.ok(text(answer) === `POST /spill/ ${bodies[i]!}`, `body ${i}`));
    await until('the copies', () => copies.requests.length === 4);
    assert.deepEqual(
      copies.requests.map((r) => text(r)[0]! + text(r).length).toSorted(),
      bodies.map((b) => b[0]! + b.length),
    );
  });

  test('a long answer to a copy is cut', async () => {
    copies.forget();
    const before = copies.connections.length;
    await ask(scope, h.port('main'), '/mirror/endless');
    await until('the copy', () => copies.requests.length === 1);
    await until('its connection to be closed', () => copies.connections.slice(before).every((c) => c.ended));
  });
});

test('client_body_in_file_only keeps the body in a file that its reader can find', async () => {
  const post = (target: string) => ask(scope, h.port('main'), target, { method: 'POST', body: 'to keep' });
  const kept = await post('/kept/');
  assert.equal(text(kept), 'POST /kept/ to keep');
  assert.equal(readFileSync(field(kept, 'X-File')!, 'latin1'), 'to keep');
  const clean = await post('/clean/');
  assert.equal(text(clean), 'POST /clean/ to keep');
  await until('the file to go', () => {
    try {
      readFileSync(field(clean, 'X-File')!);
      return false;
    } catch {
      return true;
    }
  });
});
