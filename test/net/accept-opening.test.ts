/** What other proxies say before a connection's own bytes, over real sockets. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { readOpening } from '../../src/net/accept-opening.ts';
import type { OpeningOptions } from '../../src/net/accept-opening.ts';
import { HeartbeatProbe } from '../../src/net/anyproxy/heartbeat.ts';
import { writeHeartbeat, writeHello } from '../../src/net/anyproxy/packet.ts';
import { addressOf, SocketAddress } from '../../src/net/client-address.ts';
import { NetworkList } from '../../src/net/networks.ts';
import { SocketTransport } from '../../src/net/socket-transport.ts';
import { TUNNEL_MAGIC } from '../../src/net/tunnel/wire.ts';
import { assertEchoed, echo, exchange, listen, open, tcpTo, TunnelPair } from '../helpers/tunnel.ts';
import { until } from '../helpers/wait.ts';
import type { Scope } from '../helpers/wait.ts';

const OPTIONS: OpeningOptions = {
  hello: true,
  heartbeat: true,
  trusted: null,
  tunnel: null,
  timeoutMs: 5000,
  heartbeatIdleMs: 5000,
};

/** What a listener has seen, in order. */
async function listener(scope: Scope, options: Partial<OpeningOptions>): Promise<{ port: number; seen: string[] }> {
  const seen: string[] = [];
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    const transport = new SocketTransport(socket, null);
    readOpening(
      transport,
      addressOf(socket, false),
      { ...OPTIONS, ...options },
      {
        ready(hello) {
          seen.push(hello === null ? 'none' : `hello ${hello.client.text}:${hello.client.port} ${hello.domain}`);
          transport.owner = {
            onData: (buf, start, end) => void seen.push(buf.toString('latin1', start, end)),
            onEnd: () => transport.close(),
            onDrain() {},
            onClose() {},
          };
        },
        taken: () => void seen.push('taken'),
        failed: (why) => void seen.push(`failed ${why}`),
      },
    );
  });
  const port = await listen(server);
  scope.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { port, seen };
}

async function send(scope: Scope, port: number, ...pieces: Buffer[]): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  scope.after(() => socket.destroy());
  socket.on('error', () => {});
  for (const piece of pieces) {
    socket.write(piece);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return socket;
}

const HELLO = writeHello({ requestId: 'r@1', client: new SocketAddress('2001:db8::7', 77), domain: 'a.test' });

test('a hello is read, and what stands behind it is the connection’s own', async (t) => {
  const { port, seen } = await listener(t, {});
  await send(t, port, Buffer.concat([HELLO, Buffer.from('own')]));
  await until('it is read', () => seen.length === 2);
  assert.deepEqual(seen.splice(0), ['hello 2001:db8::7:77 a.test', 'own']);
  await send(t, port, HELLO.subarray(0, 1), HELLO.subarray(1, 60), HELLO.subarray(60), Buffer.from('own'));
  await until('it is read', () => seen.length === 2);
  assert.deepEqual(seen, ['hello 2001:db8::7:77 a.test', 'own']);
});

test('without one all bytes are the connection’s own, at the first that differs', async (t) => {
  const { port, seen } = await listener(t, {});
  await send(t, port, Buffer.from('GET /'));
  await until('they are there', () => seen.length === 2);
  assert.deepEqual(seen.splice(0), ['none', 'GET /']);
  await send(t, port, HELLO.subarray(0, 5), Buffer.from('xyz'));
  await until('they are there', () => seen.length === 2);
  assert.deepEqual(seen, ['none', `${HELLO.toString('latin1', 0, 5)}xyz`]);
});

test('a client that waits for the server to speak is not waited for', async (t) => {
  const { port, seen } = await listener(t, { timeoutMs: 40 });
  const socket = await send(t, port);
  await until('it goes on', () => seen.length === 1);
  socket.write('late');
  await until('they are there', () => seen.length === 2);
  assert.deepEqual(seen.splice(0), ['none', 'late']);
  await send(t, port, HELLO.subarray(0, 3));
  await until('it goes on', () => seen.length === 2);
  assert.deepEqual(seen, ['none', HELLO.toString('latin1', 0, 3)]);
});

test('who is not trusted is not believed: a hello is bytes like others', async (t) => {
  const { port, seen } = await listener(t, { trusted: new NetworkList(['10.0.0.0/8']) });
  await send(t, port, HELLO);
  await until('they are there', () => seen.length === 2);
  assert.deepEqual(seen, ['none', HELLO.toString('latin1')]);
});

test('what is broken, or not wanted, ends the connection with a reason', async (t) => {
  const { port, seen } = await listener(t, { heartbeat: false });
  const broken = await send(t, port, Buffer.from('${4anyproxy}\xff\xff', 'latin1'));
  broken.resume();
  await until('it is closed', () => broken.closed);
  const unwanted = await send(t, port, writeHeartbeat(false));
  unwanted.resume();
  await until('it is closed', () => unwanted.closed);
  assert.deepEqual(seen, ['failed broken packet: header of 65535 bytes', 'failed unexpected heartbeat packet']);
});

test('heartbeats are answered, each by its own magic', async (t) => {
  const { port, seen } = await listener(t, {});
  const socket = await send(t, port, writeHeartbeat(false, '2023-12'), writeHeartbeat(false));
  const got: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => got.push(chunk));
  const expected = Buffer.concat([writeHeartbeat(true, '2023-12'), writeHeartbeat(true)]);
  await until('both are answered', () => Buffer.concat(got).length >= expected.length);
  assert.deepEqual(Buffer.concat(got), expected);
  assert.deepEqual(seen, ['taken']);
});

test('a probe asks again over one connection, and tells what went wrong', async (t) => {
  const { port, seen } = await listener(t, {});
  const probe = new HeartbeatProbe(tcpTo(port));
  t.after(() => probe.close());
  const ask = (p: HeartbeatProbe, ms = 5000): Promise<string | null> => new Promise((resolve) => p.probe(ms, resolve));
  assert.deepEqual([await ask(probe), await ask(probe), await ask(probe)], [null, null, null]);
  assert.deepEqual(seen, ['taken']);
  assert.match((await ask(new HeartbeatProbe(tcpTo(1))))!, /Connection refused/);
  const silent = createServer((socket) => void socket.on('error', () => {}));
  t.after(() => silent.close());
  assert.equal(await ask(new HeartbeatProbe(tcpTo(await listen(silent))), 60), 'heartbeat timed out');
  const other = createServer((socket) => void socket.on('error', () => {}).end('220 smtp\r\n'));
  t.after(() => other.close());
  assert.match((await ask(new HeartbeatProbe(tcpTo(await listen(other)))))!, /something else|closed the connection/);
});

test('a tunnel is taken where one is accepted; with keys, from anybody', async (t) => {
  const pair = await TunnelPair.start(t, echo);
  const { port, seen } = await listener(t, { tunnel: pair.server });
  assertEchoed(await exchange(await open(pair.newClient(tcpTo(port))), 5000), 5000);
  await send(t, port, Buffer.from('plain'));
  await until('both are seen', () => seen.length === 3);
  assert.deepEqual(seen.splice(0), ['taken', 'none', 'plain']);

  const keys = [{ id: 'a', secret: 'b' }];
  const keyed = await TunnelPair.start(t, echo, { keys });
  const trusted = new NetworkList(['10.0.0.0/8']);
  const open1 = await listener(t, { tunnel: pair.server, trusted });
  await send(t, open1.port, TUNNEL_MAGIC);
  await until('it is bytes like others', () => open1.seen.length === 2);
  const open2 = await listener(t, { tunnel: keyed.server, trusted });
  assertEchoed(await exchange(await open(pair.newClient(tcpTo(open2.port), { keys })), 5000), 5000);
});
