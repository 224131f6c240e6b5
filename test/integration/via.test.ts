/** Servers that are reached by TLS of the group's own, hello through several proxies, heartbeats. */
import assert from 'node:assert/strict';
import { createServer as createHttpServer } from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { createServer, type TLSSocket } from 'node:tls';
import { PacketReader, writeHeartbeat, writeHello } from '../../src/net/anyproxy/packet.ts';
import { makeSelfSigned } from '../../src/net/self-signed.ts';
import { parseSocketAddress } from '../../src/net/anyproxy/address.ts';
import { Headrace } from '../helpers/headrace.ts';
import { Caller, call, echo, listen } from '../helpers/stream.ts';
import { suiteScope, until } from '../helpers/wait.ts';

const scope = suiteScope(after);
const names = ['server.test', 'other.test'] as const;
const pairs = Object.fromEntries(names.map((name) => [name, makeSelfSigned(name, Date.now())]));

async function started(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scope.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

describe('via=tls', () => {
  let h: Headrace;
  /** Names that were asked for, in order. */
  const asked: (string | false)[] = [];
  /** Connections that the HTTP server has seen. */
  let connections = 0;

  before(async () => {
    const secure = await started(
      createServer({ ...pairs['server.test'] }, (socket) => {
        asked.push((socket as TLSSocket & { servername?: string | false }).servername ?? '');
        socket.on('error', () => {});
        socket.on('data', (data) => socket.write(data));
        socket.on('end', () => socket.end());
      }),
    );
    const web = createHttpServer({ ...pairs['server.test'] }, (_request, response) => response.end('secure'));
    web.on('secureConnection', () => connections++);
    const webPort = await started(web);
    const plain = await listen(scope, echo());
    h = await Headrace.start(
      scope,
      ({ port }) => `
        upstream web { server 127.0.0.1:${webPort} via=tls ssl_name=server.test; via_ssl_trusted_certificate server.crt; }
        upstream wrong { server 127.0.0.1:${webPort} via=tls ssl_name=other.test; via_ssl_trusted_certificate server.crt; }
        upstream checked { zone checked 64k; server 127.0.0.1:${webPort} via=tls ssl_name=server.test; via_ssl_trusted_certificate server.crt; }
        server {
          listen 127.0.0.1:${port('web')};
          location / { proxy_pass http://web; }
          location /checked { proxy_pass http://checked; health_check interval=50ms mandatory keepalive_time=1h; }
        }
        server { listen 127.0.0.1:${port('web wrong')}; location / { proxy_pass http://wrong; } }`,
      {
        files: { 'server.crt': pairs['server.test']!.cert, 'server.key': pairs['server.test']!.key },
        stream: ({ port }) => `
          upstream good { server 127.0.0.1:${secure} via=tls ssl_name=server.test ssl_trusted=server.crt; }
          upstream unknown { server 127.0.0.1:${secure} via=tls ssl_name=server.test; }
          upstream careless { server 127.0.0.1:${secure} via=tls ssl_name=any.test ssl_verify=off; }
          upstream mixed {
            server 127.0.0.1:${secure} via=tls ssl_name=server.test ssl_trusted=server.crt;
            server 127.0.0.1:${plain};
          }
          upstream twice { server 127.0.0.1:${port('inner')} via=tls ssl_name=server.test ssl_trusted=server.crt; }
          server { listen 127.0.0.1:${port('good')}; proxy_pass good; }
          server { listen 127.0.0.1:${port('unknown')}; proxy_pass unknown; }
          server { listen 127.0.0.1:${port('careless')}; proxy_pass careless; }
          server { listen 127.0.0.1:${port('mixed')}; proxy_pass mixed; }
          server { listen 127.0.0.1:${port('twice')}; proxy_pass twice; proxy_ssl on; }
          server {
            listen 127.0.0.1:${port('inner')} ssl; ssl_certificate server.crt; ssl_certificate_key server.key;
            proxy_pass 127.0.0.1:${secure};
          }`,
      },
    );
  });

  test('http: health checks go the same way', async () => {
    const get = (): Promise<string> =>
      call(scope, h.port('web'), 'GET /checked HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    await until('a pass', async () => (await get()).endsWith('secure'));
    assert.deepEqual(h.lines('is unhealthy'), []);
  });

  test('stream: the server is asked for by its name, and verified', async () => {
    asked.length = 0;
    const caller = await Caller.to(scope, h.port('good'));
    caller.send('hello');
    await caller.says('hello');
    assert.deepEqual(asked, ['server.test']);
    caller.socket.end();
    assert.equal(await caller.rest(), 'hello');
  });

  test('stream: without a certificate that is known nothing is sent', async () => {
    assert.equal(await call(scope, h.port('unknown'), 'secret'), '');
    await h.logged(/upstream SSL certificate verify error.*self-signed certificate/);
  });

  test('stream: verification can be switched off', async () => {
    const caller = await Caller.to(scope, h.port('careless'));
    caller.send('careless');
    await caller.says('careless');
    assert.equal(asked.at(-1), 'any.test');
    caller.socket.end();
  });

  test('stream: one group, two ways', async () => {
    asked.length = 0;
    for (let i = 0; i < 4; i++) {
      const caller = await Caller.to(scope, h.port('mixed'));
      caller.send(`turn ${i}`);
      await caller.says(`turn ${i}`);
      caller.socket.end();
    }
    assert.equal(asked.length, 2);
  });

  test('stream: TLS of the session over TLS of the way', async () => {
    asked.length = 0;
    const caller = await Caller.to(scope, h.port('twice'));
    caller.send('in two layers');
    await caller.says('in two layers');
    caller.socket.end();
    assert.deepEqual(asked, [false], 'proxy_ssl sends no name unless it is told to');
  });

  test('http: connections are kept', async () => {
    // by now the health check has a connection of its own, and so have the requests to that group
    const before = connections;
    for (let i = 0; i < 3; i++) {
      const answer = await fetch(`http://127.0.0.1:${h.port('web')}/`);
      assert.equal(await answer.text(), 'secure');
    }
    assert.equal(connections, before + 1);
  });

  test('http: a server of another name gets nothing', async () => {
    const answer = await fetch(`http://127.0.0.1:${h.port('web wrong')}/`);
    assert.equal(answer.status, 502);
    await h.logged('upstream SSL certificate does not match "other.test"');
  });
});

describe('hello', () => {
  let h: Headrace;
  /** What the origin was sent, by connection. */
  const origin: Caller[] = [];

  before(async () => {
    const originPort = await listen(scope, (caller) => {
      origin.push(caller);
      caller.socket.write('220 ready\r\n');
    });
    h = await Headrace.start(scope, () => '', {
      stream: ({ port }) => `
        log_format line '$remote_addr|$realip_remote_addr|$hello_domain|$hello_request_id|$server_name';
        access_log hop.log line;
        upstream told { server 127.0.0.1:${originPort} hello=on; }
        upstream proxy { server 127.0.0.1:${port('proxy')} hello=on; }
        upstream silent { server 127.0.0.1:${originPort} hello=off; }
        server { listen 127.0.0.1:${port('told')}; proxy_hello_domain www.example.cn; proxy_pass told; }
        server { listen 127.0.0.1:${port('seed')}; proxy_hello on; proxy_hello_magic 2023-12; proxy_pass 127.0.0.1:${originPort}; }
        server { listen 127.0.0.1:${port('off')}; proxy_hello on; proxy_pass silent; }
        server { listen 127.0.0.1:${port('edge')}; server_name edge; access_log edge.log line; proxy_pass proxy; }
        server { listen 127.0.0.1:${port('proxy')} default_server; hello_from 127.0.0.0/8; hello_timeout 300ms; proxy_pass silent; }
        server { listen 127.0.0.1:${port('proxy')}; server_name www.example.cn; proxy_pass told; proxy_hello_domain two; }
        server { listen 127.0.0.1:${port('denied')}; hello_from 127.0.0.1; deny 203.0.113.0/24; proxy_pass silent; }
        server { listen 127.0.0.1:${port('strangers')}; hello_from 192.0.2.0/24; proxy_pass silent; }`,
    });
  });

  /** The next connection that the origin gets while `act` runs. */
  async function reaches(act: () => Promise<Caller>): Promise<{ client: Caller; server: Caller }> {
    const count = origin.length;
    const client = await act();
    await until('a connection to the origin', () => origin.length > count);
    return { client, server: origin[count]! };
  }

  function packet(bytes: Buffer): { reader: PacketReader; rest: string } {
    const reader = new PacketReader();
    const next = reader.feed(bytes, 0, bytes.length);
    assert.ok(next >= 0, `${next}: ${bytes.toString('latin1', 0, 200)}`);
    return { reader, rest: bytes.toString('latin1', next) };
  }

  const client = parseSocketAddress('203.0.113.9:50123')!;
  const hello = (domain: string): Buffer => writeHello({ requestId: 'r1@1', client, domain });

  test('stands before the client’s bytes, and a server that speaks first is heard', async () => {
    const { client: caller, server } = await reaches(() => Caller.to(scope, h.port('told')));
    await caller.says('220 ready');
    caller.send('EHLO');
    await server.says('EHLO');
    const { reader, rest } = packet(server.bytes);
    assert.ok(reader.packet?.kind === 'hello' && reader.packet.magic === '2024-08');
    const { requestId, client: who, domain } = reader.packet.hello;
    assert.equal(rest, 'EHLO');
    assert.equal(`${who.text}:${who.port}`, `127.0.0.1:${caller.socket.localPort}`);
    assert.equal(domain, 'www.example.cn');
    assert.match(requestId, /@/);
    caller.socket.end();
  });

  test('the magic of 2023-12', async () => {
    const { client: caller, server } = await reaches(() => Caller.to(scope, h.port('seed')));
    await until('bytes', () => server.bytes.length > 20);
    const { reader } = packet(server.bytes);
    assert.equal(reader.packet?.magic, '2023-12');
    caller.socket.destroy();
  });

  test('hello=off of a server counts more than proxy_hello', async () => {
    const { client: caller, server } = await reaches(() => Caller.to(scope, h.port('off')));
    caller.send('bare');
    assert.equal(await server.says('bare'), 'bare');
    caller.socket.destroy();
  });

  test('through two proxies: client, request id and name stay', async () => {
    const { client: caller, server } = await reaches(() => Caller.to(scope, h.port('edge')));
    caller.send('x');
    assert.equal(await server.says('x'), 'x', 'the second proxy takes it off');
    caller.socket.destroy();
    const [edge] = (await h.logged(/\n/, 'edge.log')).split('\n');
    const [hop] = (await h.logged(`|${edge!.split('|')[3]}|`, 'hop.log')).split('\n').slice(-2);
    assert.equal(hop!.split('|')[3], edge!.split('|')[3], 'one request id');
  });

  test('a hello chooses the server by its name, and is passed on', async () => {
    const { client: caller, server } = await reaches(async () => {
      const one = await Caller.to(scope, h.port('proxy'));
      // In pieces: each byte by itself.
      const bytes = Buffer.concat([hello('www.example.cn'), Buffer.from('PAYLOAD')]);
      for (const byte of bytes) {
        one.socket.write(Buffer.from([byte]));
        await new Promise((resolve) => setImmediate(resolve));
      }
      return one;
    });
    await server.says('PAYLOAD');
    const { reader, rest } = packet(server.bytes);
    assert.ok(reader.packet?.kind === 'hello');
    assert.equal(reader.packet.hello.requestId, 'r1@1');
    assert.equal(reader.packet.hello.client.text, '203.0.113.9');
    assert.equal(reader.packet.hello.domain, 'two');
    assert.equal(rest, 'PAYLOAD');
    caller.socket.destroy();
    await h.logged('203.0.113.9|127.0.0.1|two|r1@1|www.example.cn', 'hop.log');
  });

  test('the client that a hello names is the one that rules are about', async () => {
    assert.equal(await call(scope, h.port('denied'), hello('')), '');
    await h.logged('access forbidden by rule');
    const { client: caller } = await reaches(async () => {
      const one = await Caller.to(scope, h.port('denied'));
      one.send('no hello');
      return one;
    });
    caller.socket.destroy();
  });

  test('of strangers it is not believed: it is bytes like others', async () => {
    const bytes = Buffer.concat([hello('www.example.cn'), Buffer.from('end')]);
    const { client: caller, server } = await reaches(async () => {
      const one = await Caller.to(scope, h.port('strangers'));
      one.send(bytes);
      return one;
    });
    await server.says('end');
    assert.ok(server.bytes.equals(bytes));
    caller.socket.destroy();
  });

  test('who waits for the server to speak is served after a moment', async () => {
    const { client: caller } = await reaches(() => Caller.to(scope, h.port('proxy')));
    await caller.says('220 ready');
    caller.socket.destroy();
  });

  test('a broken hello ends the connection', async () => {
    const bytes = Buffer.from(hello('x'));
    bytes[13] = 0;
    bytes[12] = 0;
    assert.equal(await call(scope, h.port('proxy'), bytes), '');
    await h.logged('broken packet: header of 0 bytes');
  });

  test('heartbeats are answered, one after the other', async () => {
    const caller = await Caller.to(scope, h.port('proxy'));
    caller.send(Buffer.concat([writeHeartbeat(false), writeHeartbeat(false, '2023-12')]));
    const answers = Buffer.concat([writeHeartbeat(true), writeHeartbeat(true, '2023-12')]);
    await until('both answers', () => caller.bytes.equals(answers));
    caller.send(writeHeartbeat(false));
    await until('one more', () => caller.bytes.length > answers.length);
    caller.socket.end();
    await caller.rest();
  });
});

describe('heartbeat', () => {
  test('hello, connect and HTTP: down after so many failures in a row, up after one success', async (t) => {
    let healthy = true;
    let heads = 0;
    const web = await listen(t, ({ socket }) => {
      socket.once('data', (data) => {
        assert.match(String(data), /^HEAD \/up HTTP\/1\.1\r\nHost: 127\.0\.0\.1:\d+\r\nRange: bytes=0-1\r\n/);
        heads++;
        socket.end(`HTTP/1.1 ${healthy ? 206 : 503} X\r\nContent-Length: 2\r\n\r\n`);
      });
    });
    const app = await listen(t, ({ socket }) => socket.end('app'));
    const dumb = await listen(t, ({ socket }) => void socket.on('data', () => {}));
    const h = await Headrace.start(t, () => '', {
      stream: ({ port }) => `
        upstream by_http { heartbeat interval=50ms timeout=1s fails=2 type=http port=${web} uri=/up; server 127.0.0.1:${app}; }
        upstream by_connect { server 127.0.0.1:${port('nobody')} heartbeat=interval=50ms,fails=3,type=connect; server 127.0.0.1:${app}; }
        upstream by_hello { heartbeat interval=50ms timeout=500ms fails=2; server 127.0.0.1:${port('peer')}; server 127.0.0.1:${dumb}; }
        server { listen 127.0.0.1:${port('by_http')}; proxy_pass by_http; }
        server { listen 127.0.0.1:${port('by_connect')}; proxy_pass by_connect; }
        server { listen 127.0.0.1:${port('by_hello')}; proxy_pass by_hello; }
        server { listen 127.0.0.1:${port('peer')}; hello_from 127.0.0.1; hello_timeout 100ms; proxy_pass 127.0.0.1:${app}; }`,
    });
    const ask = (name: string): Promise<string> => call(t, h.port(name));

    assert.equal(await ask('by_http'), 'app');
    healthy = false;
    await h.logged(
      /peer is unhealthy while reading response header from upstream, health check "heartbeat" of peer .* "by_http"/,
    );
    assert.ok(heads >= 2);
    assert.equal(await ask('by_http'), '');
    await h.logged('upstream answered with status 503');
    healthy = true;
    await h.logged(/peer is healthy .* "by_http"/);
    assert.equal(await ask('by_http'), 'app');

    await h.logged(/peer is unhealthy while connecting to upstream.* "by_connect"/);
    for (let i = 0; i < 3; i++) assert.equal(await ask('by_connect'), 'app');
    await listen(t, () => {});

    // Of the two the one is silent; the other one answers.
    await h.logged(new RegExp(`peer is unhealthy while checking heartbeat.*127\\.0\\.0\\.1:${dumb} .*"by_hello"`));
    for (let i = 0; i < 3; i++) assert.equal(await ask('by_hello'), 'app');
    assert.equal(h.lines(`peer 127.0.0.1:${h.port('peer')} `).length, 0, 'nothing is said of the one that answers');
  });
});
