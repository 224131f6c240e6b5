/** Exchanges of every shape through the Kong door: WebSocket, events, large bodies both ways, HTTP/2 clients. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { directory } from '../helpers/headrace.ts';
import { Gateway } from '../helpers/kong-gateway.ts';
import { KongProcess } from '../helpers/kong.ts';
import { freePort } from '../helpers/ports.ts';
import { Caller } from '../helpers/stream.ts';
import { until } from '../helpers/wait.ts';

const LARGE = 8 << 20;
/** More than the sockets between take. */
/** More than the kernel keeps for two connections, where it is generous (`tcp_rmem`, `tcp_wmem`). */
const HUGE = 80 << 20;

test('exchanges through the Kong door', async (t) => {
  const port = await freePort();
  const dir = directory(t);
  const kong = await KongProcess.start(t, dir, ['--proxy-listen', `127.0.0.1:${port} http2`]);
  const gate = new Gateway(kong);
  /** When the head of a request has come, and how much of its body by then. */
  const seen: { received: number; ended: boolean }[] = [];
  /** Answers that the system has taken from the server. */
  let finished = 0;
  const server = createServer((req: IncomingMessage, res: ServerResponse) => {
    const about = { received: 0, ended: false };
    seen.push(about);
    req.on('data', (part: Buffer) => (about.received += part.length));
    req.on('end', () => {
      about.ended = true;
      if (req.url === '/events') return;
      if (req.url === '/huge') res.end(Buffer.alloc(HUGE), () => finished++);
      else res.end(String(about.received));
    });
    if (req.url === '/events') {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write('data: 1\n\n');
    }
  });
  server.on('upgrade', (req: IncomingMessage, socket: Socket) => {
    socket.on('error', () => {});
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: ${req.headers.upgrade}\r\n\r\n`);
    socket.on('data', (data: Buffer) => void socket.write(`echo ${data.latin1Slice()}`));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  await gate.make('/services', { name: 's', url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  await gate.make('/services/s/routes', { hosts: ['kept.test'] });
  const streamed = { hosts: ['streamed.test'], request_buffering: false, response_buffering: false };
  await gate.make('/services/s/routes', streamed);

  const get = async (host: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const req = request({ host: '127.0.0.1', port, headers: { host }, agent: false }, (res) => {
        res.resume().on('end', () => resolve(res.statusCode ?? 0));
      });
      req.on('error', reject).end();
    });
  await until('the routes', async () => (await get('streamed.test')) === 200 && (await get('kept.test')) === 200);

  await t.test('WebSocket', async () => {
    const caller = await Caller.to(t, port);
    caller.send('GET /ws HTTP/1.1\r\nHost: kept.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    await caller.says('101 Switching Protocols');
    caller.send('one');
    await caller.says('echo one');
    caller.send('two');
    await caller.says('echo two');
  });

  await t.test('events come as they are sent', async () => {
    for (const host of ['kept.test', 'streamed.test']) {
      const caller = await Caller.to(t, port);
      caller.send(`GET /events HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      await caller.says('data: 1\n\n');
      caller.socket.destroy();
    }
  });

  await t.test('a request body waits for its end, unless the route says otherwise', async () => {
    for (const [host, kept] of [
      ['kept.test', true],
      ['streamed.test', false],
    ] as const) {
      const before = seen.length;
      const caller = await Caller.to(t, port);
      const half = 'x'.repeat(LARGE / 2);
      caller.send(
        `POST /size HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${LARGE}\r\nConnection: close\r\n\r\n${half}`,
      );
      if (!kept) await until('the head', () => (seen[before]?.received ?? 0) > 0);
      assert.equal(seen.length > before, !kept, host);
      caller.send(half);
      assert.match(await caller.rest(), new RegExp(`\r\n\r\n${LARGE}$`));
    }
    // Where the node's own files are, and nowhere else.
    assert.ok(existsSync(join(dir, 'data/client_body_temp')));
    assert.ok(!existsSync('/client_body_temp'));
  });

  await t.test('an answer need not wait for a slow client, unless the route says otherwise', async () => {
    for (const [host, kept] of [
      ['kept.test', true],
      ['streamed.test', false],
    ] as const) {
      const before = finished;
      const caller = await Caller.to(t, port);
      caller.socket.pause();
      caller.send(`GET /huge HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
      if (kept) await until('the server to be done', () => finished > before);
      else {
        await sleep(300);
        assert.equal(finished, before, 'it was kept for the client');
      }
      caller.socket.resume();
      await until('the end', () => caller.ended);
      assert.equal(caller.bytes.length - caller.bytes.indexOf('\r\n\r\n') - 4, HUGE, host);
    }
  });

  await t.test('clients of HTTP/2 reach routes of HTTP', async () => {
    const client = connectHttp2(`http://127.0.0.1:${port}`);
    t.after(() => client.close());
    const stream = client.request({ ':method': 'POST', ':path': '/size', ':authority': 'kept.test' });
    let text = '';
    let status = 0;
    stream.on('response', (headers) => (status = headers[':status'] ?? 0));
    stream.setEncoding('latin1').on('data', (part: string) => (text += part));
    stream.end('12345');
    await new Promise<void>((resolve, reject) => stream.once('close', resolve).once('error', reject));
    assert.deepEqual([status, text], [200, '5']);
  });
});
