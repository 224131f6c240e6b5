/** any-proxy's tunnel over real sockets. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { createHash, randomBytes } from 'node:crypto';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { readOpening } from '../../../../src/net/accept-opening.ts';
import { addressOf } from '../../../../src/net/client-address.ts';
import type { DialLink } from '../../../../src/net/link.ts';
import { SocketTransport } from '../../../../src/net/socket-transport.ts';
import { HELD } from '../../../../src/net/transport.ts';
import type { Transport } from '../../../../src/net/transport.ts';
import { AnyproxyTunnelClient } from '../../../../src/net/tunnel/anyproxy/client.ts';
import { BothTunnels } from '../../../../src/net/tunnel/anyproxy/both.ts';
import {
  ANYPROXY_TUNNEL_MAGIC,
  anyproxyClose,
  anyproxyDataHead,
  anyproxyHello,
} from '../../../../src/net/tunnel/anyproxy/frames.ts';
import { MAGIC_MORE, MAGIC_NONE } from '../../../../src/net/magic.ts';
import { TUNNEL_MAGIC } from '../../../../src/net/tunnel/wire.ts';
import { AnyproxyTunnelServer } from '../../../../src/net/tunnel/anyproxy/server.ts';
import type { AnyproxySocket } from '../../../../src/net/tunnel/anyproxy/stream.ts';
import { DEFAULT_TUNNEL_CLIENT, DEFAULT_TUNNEL_SERVER } from '../../../../src/net/tunnel/options.ts';
import type { TunnelClientOptions } from '../../../../src/net/tunnel/options.ts';
import { echo, listen, open, Relay, tcpTo, TunnelPair } from '../../../helpers/tunnel.ts';
import { until, within } from '../../../helpers/wait.ts';
import type { Scope } from '../../../helpers/wait.ts';

interface Setup {
  server: AnyproxyTunnelServer;
  port: number;
  accepted: AnyproxySocket[];
  client(options?: Partial<TunnelClientOptions>, dial?: DialLink): AnyproxyTunnelClient;
}

async function start(scope: Scope, onStream: (socket: AnyproxySocket) => void): Promise<Setup> {
  const accepted: AnyproxySocket[] = [];
  const clients: AnyproxyTunnelClient[] = [];
  const sockets = new Set<Socket>();
  const server = new AnyproxyTunnelServer(
    { ...DEFAULT_TUNNEL_SERVER, handshakeMs: 1000 },
    (socket) => {
      accepted.push(socket);
      socket.on('error', () => {});
      onStream(socket);
    },
    () => {},
  );
  const listener = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    const transport = new SocketTransport(socket, null);
    const options = { hello: true, heartbeat: true, trusted: null, timeoutMs: 5000, heartbeatIdleMs: 5000 };
    readOpening(
      transport,
      addressOf(socket, false),
      { ...options, tunnel: server },
      { ready: () => socket.destroy(), taken() {}, failed() {} },
    );
  });
  const port = await listen(listener);
  scope.after(() => {
    listener.close();
    for (const client of clients) client.close();
    for (const socket of sockets) socket.destroy();
  });
  return {
    server,
    port,
    accepted,
    client(options = {}, dial = tcpTo(port)) {
      const client = new AnyproxyTunnelClient({ ...DEFAULT_TUNNEL_CLIENT, ...options }, dial, () => {});
      clients.push(client);
      return client;
    },
  };
}

interface Outcome {
  same: boolean;
  received: number;
  error: Error | null;
  joined: number;
}

/** Sends, reads all of it back, and only then ends: an end of one direction is the end of both. */
function echoed(transport: Transport, size: number): Promise<Outcome> {
  return new Promise((resolve) => {
    const [sent, got] = [createHash('sha1'), createHash('sha1')];
    const chunk = randomBytes(100_000);
    let left = size;
    let received = 0;
    const pump = (): void => {
      while (left > 0) {
        const n = Math.min(left, chunk.length);
        sent.update(chunk.subarray(0, n));
        left -= n;
        if (transport.write(chunk, 0, n) === HELD) return;
      }
    };
    transport.owner = {
      onData(buf, start, end) {
        received += end - start;
        got.update(buf.subarray(start, end));
        if (received === size) transport.end();
      },
      onEnd() {},
      onDrain: pump,
      onClose(error) {
        const { joined } = transport.socket as unknown as AnyproxySocket;
        resolve({ same: sent.digest('hex') === got.digest('hex'), received, error, joined });
      },
    };
    pump();
  });
}

test('bytes both ways, and the connection serves the next stream', async (t) => {
  const { client, server } = await start(t, (socket) => void socket.pipe(socket));
  const tunnel = client();
  for (let i = 0; i < 4; i++) {
    const { same, error } = await within('the echo', echoed(await open(tunnel), 200_000));
    assert.deepEqual([same, error], [true, null]);
    await until('it is idle', () => tunnel.idle === 1 && server.streams === 0);
  }
  assert.equal(server.links, 1);
});

test('who is slow gets more connections, up to the limit, and all bytes in order', async (t) => {
  const { client, port } = await start(t, (socket) => void socket.pipe(socket));
  const relay = await Relay.start(t, port);
  relay.rate = 3 * 1024 * 1024;
  const tunnel = client({ maxStreamSize: 3 }, tcpTo(relay.port));
  const { same, error, joined } = await within('the echo', echoed(await open(tunnel), 24 * 1024 * 1024));
  assert.deepEqual([same, error], [true, null]);
  assert.ok(joined > 1 && joined <= 3, `${joined}`);
});

test('a lost connection ends the stream with an error, on both sides', async (t) => {
  const { client, port, accepted, server } = await start(t, (socket) => void socket.pipe(socket));
  const relay = await Relay.start(t, port);
  const tunnel = client({}, tcpTo(relay.port));
  const transport = await open(tunnel);
  const closed = new Promise<Error | null>((resolve) => {
    transport.owner = { onData() {}, onEnd() {}, onDrain() {}, onClose: resolve };
  });
  transport.write(Buffer.from('x'), 0, 1);
  await until('it has come', () => accepted.length === 1);
  relay.cut(0);
  assert.notEqual(await within('the end', closed), null);
  await until('the server sees it', () => accepted[0]!.errored !== null && server.streams === 0);
});

test('who does not read holds up who writes', async (t) => {
  const { client, accepted } = await start(t, () => {});
  const transport = await open(client());
  transport.owner = { onData() {}, onEnd() {}, onDrain() {}, onClose() {} };
  const chunk = Buffer.alloc(65_536, 1);
  let taken = 0;
  await until('it is held', async () => {
    const before = taken;
    while (transport.write(chunk, 0, chunk.length) !== HELD) taken += chunk.length;
    taken += chunk.length;
    await new Promise((resolve) => setTimeout(resolve, 100));
    return taken - before <= 2 * chunk.length;
  });
  assert.ok(taken < 64 * 1024 * 1024, `${taken}`);
  assert.ok(accepted[0]!.readableLength < 2 * 1024 * 1024, `${accepted[0]!.readableLength}`);
  let read = 0;
  accepted[0]!.on('data', (data: Buffer) => (read += data.length));
  await until('all has come', () => read === taken);
  transport.destroy(true);
});

test('one address for both kinds', async (t) => {
  const { server } = await start(t, (socket) => void socket.pipe(socket));
  const own = await TunnelPair.start(t, echo);
  const gate = new BothTunnels(own.server, server);
  const listener = createServer({ allowHalfOpen: true }, (socket) => {
    const transport = new SocketTransport(socket, null);
    const options = { hello: true, heartbeat: true, trusted: null, timeoutMs: 5000, heartbeatIdleMs: 5000 };
    const outcome = { ready: () => socket.destroy(), taken() {}, failed() {} };
    readOpening(transport, addressOf(socket, false), { ...options, tunnel: gate }, outcome);
  });
  const port = await listen(listener);
  const anyproxy = new AnyproxyTunnelClient(DEFAULT_TUNNEL_CLIENT, tcpTo(port), () => {});
  const headrace = own.newClient(tcpTo(port));
  t.after(() => {
    anyproxy.close();
    headrace.close();
    listener.close();
  });
  assert.ok((await within('the echo', echoed(await open(anyproxy), 10_000))).same);
  assert.ok((await within('the echo', echoed(await open(headrace), 10_000))).same);
  for (const [bytes, kind] of [
    [TUNNEL_MAGIC, TUNNEL_MAGIC.length],
    [ANYPROXY_TUNNEL_MAGIC, ANYPROXY_TUNNEL_MAGIC.length],
    [ANYPROXY_TUNNEL_MAGIC.subarray(0, 18), MAGIC_MORE],
    [TUNNEL_MAGIC.subarray(0, 1), MAGIC_MORE],
    [Buffer.from('GET'), MAGIC_NONE],
  ] as const) {
    assert.equal(gate.sniff(bytes, 0, bytes.length), kind);
  }
});

test('bytes as any-proxy sends them, and what it gets back', async (t) => {
  const { port } = await start(t, (socket) => void socket.pipe(socket));
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  t.after(() => socket.destroy());
  const got: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => got.push(chunk));
  const hello = { sessionId: 'a_b_c@1', minStreamCacheSize: 50, channelSize: 64, index: 0, wantsAck: false };
  const data = Buffer.concat([anyproxyDataHead(1, 5), Buffer.from('hello')]);
  socket.write(Buffer.concat([anyproxyHello(hello), data]));
  await until('it comes back', () => Buffer.concat(got).length >= data.length);
  assert.deepEqual(Buffer.concat(got.splice(0)), data);
  // Our end comes back, and the connection is ready for another stream; one that has ended is not begun again.
  socket.write(anyproxyClose(true));
  await until('the end', () => Buffer.concat(got).length >= anyproxyClose(true).length);
  assert.ok(Buffer.concat(got.splice(0)).includes(anyproxyClose(true)));
  socket.write(Buffer.concat([anyproxyHello({ ...hello, sessionId: 'a_b_c@2', wantsAck: true }), data]));
  await until('it is taken', () => Buffer.concat(got).includes(data));
  const late = connect({ port, host: '127.0.0.1' });
  t.after(() => late.destroy());
  late.on('error', () => {});
  late.resume();
  late.write(anyproxyHello({ ...hello, wantsAck: true }));
  await until('it is closed', () => late.closed);
});
