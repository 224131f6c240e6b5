/** tunnel_pass: CONNECT requests of clients that use the program as a forward proxy. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { ask, Client, raw } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);

describe('tunnels', () => {
  let h: Headrace;
  /** Speaks first, then sends back what comes; ends when the other side has. */
  let echo: Backend;

  const connect = (target: string, more = ''): string => `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${more}\r\n`;

  before(async () => {
    echo = await Backend.start(scope, async (c) => {
      await c.send('hello\n');
      c.socket.on('data', (data: Buffer) => c.socket.write(data));
      await until('the end of the client', () => c.ended);
      c.end();
    });
    const other = await Backend.start(
      scope,
      answering((request) => ok(`other ${request.target}`)),
    );
    h = await Headrace.start(
      scope,
      ({ port, dir }) => `
      upstream fixed { server 127.0.0.1:${port('nobody')}; server 127.0.0.1:${echo.port}; }
      log_format t '$request $status $bytes_sent $body_bytes_sent $upstream_addr';
      access_log tunnel.log t;
      server { listen 127.0.0.1:${port('main')}; http2 on;
        location / { if ($request_method = CONNECT) { tunnel_pass; error_page 502 /page; break; } return 200 "plain"; }
        location /page { return 200 "own page"; } }
      server { listen 127.0.0.1:${port('fixed')}; tunnel_pass fixed; location /other { return 204; } }
      server { listen 127.0.0.1:${port('closed')}; auth_basic proxy; auth_basic_user_file ${dir}/users; tunnel_pass; }
      server { listen 127.0.0.1:${port('none')}; location / { proxy_pass http://127.0.0.1:${other.port}; } }
      server { listen 127.0.0.1:${port('mixed')}; location / { proxy_pass http://127.0.0.1:${other.port}; } location /t { tunnel_pass; } }
      server { listen 127.0.0.1:${port('timed')}; tunnel_pass; tunnel_read_timeout 300ms; }
      server { listen 127.0.0.1:${port('nonsense')}; location / { proxy_pass $arg_to; } location /tunnel { tunnel_pass $arg_none; } }`,
      { files: { users: 'me:{PLAIN}secret\n' } },
    );
  });

  async function opened(port: number, target: string, first = ''): Promise<Client> {
    const client = await Client.connect(scope, port, { allowHalfOpen: true });
    await client.send(connect(target) + first);
    await until('the head', () => client.unread.includes('\r\n\r\n'));
    const head = client.unread.toString('latin1', 0, client.unread.indexOf('\r\n\r\n') + 4);
    await client.bytes(head.length);
    assert.match(head, /^HTTP\/1\.1 200 OK\r\n/);
    assert.doesNotMatch(head, /Content-Length|Transfer-Encoding/i);
    return client;
  }

  test('bytes both ways, each side ends by itself; the server may speak first', async () => {
    const client = await opened(h.port('main'), `127.0.0.1:${echo.port}`, 'early ');
    assert.equal((await client.bytes(12)).toString(), 'hello\nearly ');
    const large = Buffer.alloc(1 << 20, 'x');
    await client.send(large);
    assert.ok((await client.bytes(large.length)).equals(large));
    client.socket.end('last');
    assert.equal((await client.end()).toString(), 'last');
    await h.logged(`CONNECT 127.0.0.1:${echo.port} HTTP/1.1 200`, 'tunnel.log');
    assert.match(h.read('tunnel.log'), new RegExp(` ${large.length + 16} 127\\.0\\.0\\.1:${echo.port}\n`));
  });

  test('to a group, by the next server that takes the connection', async () => {
    for (let i = 0; i < 3; i++) {
      const client = await opened(h.port('fixed'), 'anything.example:1');
      assert.equal((await client.bytes(6)).toString(), 'hello\n');
      client.destroy();
    }
    assert.equal((await ask(scope, h.port('fixed'), '/other')).status, 204);
    assert.equal((await ask(scope, h.port('fixed'), '/')).status, 405);
  });

  test('nobody there: an error as for other requests', async (t) => {
    assert.match(await raw(t, h.port('main'), connect(`127.0.0.1:${h.port('nobody')}`)), / 502 [^]*own page$/);
    assert.match(await raw(t, h.port('timed'), connect(`127.0.0.1:${h.port('nobody')}`)), /^HTTP\/1\.1 502 /);
  });

  test('what is no tunnel is refused', async (t) => {
    const bad = [
      'a.example:1/x',
      'a.example:1?x',
      'user@a.example:1',
      'http://a.example:1',
      'a.example',
      'a.example:',
      ':1',
      'a.example:65536',
      'a.example:x',
    ];
    for (const target of bad) assert.match(await raw(t, h.port('main'), connect(target)), /^HTTP\/1\.1 400 /, target);
    const to = `127.0.0.1:${echo.port}`;
    assert.match(await raw(t, h.port('main'), connect(to).replace('/1.1', '/1.0')), /^HTTP\/1\.1 405 /);
    assert.match(await raw(t, h.port('main'), connect(to, 'Content-Length: 1\r\n')), /^HTTP\/1\.1 400 /);
    assert.match(await raw(t, h.port('main'), connect(to, 'Transfer-Encoding: chunked\r\n')), /^HTTP\/1\.1 400 /);
    // Servers and locations that know nothing of tunnels.
    assert.match(await raw(t, h.port('none'), connect(to)), /^HTTP\/1\.1 405 /);
    assert.match(await raw(t, h.port('mixed'), connect(to)), /^HTTP\/1\.1 405 /);
    assert.equal((await ask(t, h.port('main'), '/')).body.toString(), 'plain');
  });

  test('who asks for a tunnel shows the password of the proxy', async (t) => {
    const to = `127.0.0.1:${echo.port}`;
    const refused = await raw(t, h.port('closed'), connect(to));
    assert.match(
      refused,
      /^HTTP\/1\.1 407 Proxy Authentication Required\r\n[^]*\r\nProxy-Authenticate: Basic realm="proxy"\r\n/,
    );
    assert.doesNotMatch(refused, /WWW-Authenticate/);
    const client = await Client.connect(t, h.port('closed'));
    await client.send(connect(to, `Proxy-Authorization: Basic ${btoa('me:secret')}\r\n`));
    await until('the server', () => client.unread.includes('hello\n'));
    assert.match(await raw(t, h.port('closed'), connect(to, `Authorization: Basic ${btoa('me:secret')}\r\n`)), / 407 /);
  });

  test('a tunnel in which nothing moves is closed', async () => {
    const client = await opened(h.port('timed'), `127.0.0.1:${echo.port}`);
    assert.equal((await client.end()).toString(), 'hello\n');
    assert.match(await h.logged('while proxying upgraded connection'), /upstream timed out/);
  });

  test('a target of variables that makes no sense is 500, a name that cannot be found 502', async (t) => {
    const status = async (path: string): Promise<number> => (await ask(t, h.port('nonsense'), path)).status;
    assert.deepEqual(
      [
        await status('/'),
        await status('/?to=ftp://a'),
        await status('/?to=http://'),
        await status('/?to=http://a:b:c'),
      ],
      [500, 500, 500, 500],
    );
    assert.equal(await status('/?to=http://name.example'), 502);
  });
});
