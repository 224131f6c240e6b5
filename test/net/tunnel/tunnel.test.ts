/** Tunnels over real sockets: pools, keys, lost connections, limits, and peers that mean no good. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { connect, createServer } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { SocketTransport } from '../../../src/net/socket-transport.ts';
import { HELD } from '../../../src/net/transport.ts';
import { ClientHandshake } from '../../../src/net/tunnel/handshake.ts';
import { frame, HELLO, OPEN, openFrame, PING, TUNNEL_MAGIC } from '../../../src/net/tunnel/wire.ts';
import { assertEchoed, echo, exchange, listen, open, Relay, tcpTo, TunnelPair } from '../../helpers/tunnel.ts';
import { until, within } from '../../helpers/wait.ts';

const KEY = { id: 'k1', secret: 'a secret that both know' };

describe('streams and their connections', () => {
  test('what is written comes back, and the connection serves the next stream', async (t) => {
    const pair = await TunnelPair.start(t, echo);
    for (let i = 0; i < 5; i++) {
      assertEchoed(await exchange(await open(pair.client), 100_000), 100_000);
      await until('it is idle', () => pair.client.idle === 1 && pair.server.streams === 0);
    }
    assert.equal(pair.server.links, 1, 'one connection for all');
    assert.equal(pair.client.streams, 0);
  });

  test('streams at the same time have connections of their own', async (t) => {
    const pair = await TunnelPair.start(t, echo);
    const all = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => exchange(await open(pair.client), 1000 * i)),
    );
    all.forEach((result, i) => assertEchoed(result, 1000 * i));
    await until('all are idle', () => pair.client.idle === 20);
    assert.equal(pair.server.links, 20);
  });

  test('no more idle connections are kept than is said; 0: none', async (t) => {
    for (const keep of [0, 3]) {
      const pair = await TunnelPair.start(t, echo, {}, { minStreamCacheSize: keep, idleMs: 50 });
      await Promise.all(Array.from({ length: 8 }, async () => exchange(await open(pair.client), 10)));
      await until(`${keep} are left`, () => pair.client.idle === keep && pair.server.links === keep);
    }
  });

  test('a kept connection that has died costs a dial, and no stream', async (t) => {
    const pair = await TunnelPair.start(t, echo);
    const relay = await Relay.start(t, pair.port);
    const client = pair.newClient(tcpTo(relay.port));
    assertEchoed(await exchange(await open(client), 10), 10);
    await until('it is idle', () => client.idle === 1);
    // What is written now goes nowhere, and then the connection is gone.
    relay.stalled = true;
    const transport = await open(client);
    const result = exchange(transport, 5000);
    relay.stalled = false;
    relay.cut(0);
    assertEchoed(await result, 5000);
    assert.equal(relay.made, 2);
  });

  test('the other side reads on after our end, and its own end comes later', async (t) => {
    const pair = await TunnelPair.start(t, (socket) => {
      let size = 0;
      socket.on('data', (chunk: Buffer) => (size += chunk.length));
      socket.on('end', () => socket.end(`${size} bytes`));
    });
    const result = await exchange(await open(pair.client), 300_000);
    assert.equal(result.received, '300000 bytes'.length);
    assert.equal(result.error, null);
  });

  test('a reset is seen as one on the other side, both ways', async (t) => {
    const pair = await TunnelPair.start(t, (socket) => {
      socket.on('data', (chunk: Buffer) => {
        if (chunk.includes('cut')) socket.resetAndDestroy();
      });
    });
    const first = await open(pair.client);
    first.write(Buffer.from('cut'), 0, 3);
    const result = new Promise<Error | null>((resolve) => {
      first.owner = { onData() {}, onEnd() {}, onDrain() {}, onClose: resolve };
    });
    assert.match((await within('the reset', result))!.message, /given up/);
    const second = await open(pair.client);
    second.write(Buffer.from('x'), 0, 1);
    await until('it has come', () => pair.accepted.length === 2);
    second.destroy(true);
    await until('the server sees it', () => pair.accepted[1]!.errored !== null);
    assert.match(pair.accepted[1]!.errored!.message, /given up/);
  });

  test('who does not read holds up who writes; nothing grows without end', async (t) => {
    const pair = await TunnelPair.start(t, () => {});
    const transport = await open(pair.client);
    transport.owner = { onData() {}, onEnd() {}, onDrain() {}, onClose() {} };
    const chunk = Buffer.alloc(65_536, 1);
    let taken = 0;
    await until('it is held', async () => {
      while (transport.write(chunk, 0, chunk.length) !== HELD) {
        taken += chunk.length;
        assert.ok(taken < 64 * 1024 * 1024, 'bounded');
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
      return transport.socket!.writableLength > 0;
    });
    // The server's window, and less than a megabyte that has not gone out.
    assert.ok(taken < 8 * 1024 * 1024, `${taken}`);
    assert.ok(pair.accepted[0]!.readableLength < 6 * 1024 * 1024);
    // It goes on as soon as somebody reads.
    let read = 0;
    pair.accepted[0]!.on('data', (data: Buffer) => (read += data.length));
    await until('all has come', () => read >= taken);
    transport.destroy(true);
  });
});

describe('lost connections', () => {
  test('with several connections and one cut again and again, all bytes arrive', async (t) => {
    const pair = await TunnelPair.start(t, echo);
    const relay = await Relay.start(t, pair.port);
    relay.rate = 8 * 1024 * 1024;
    const client = pair.newClient(tcpTo(relay.port), { startStreams: 5 });
    const size = 16 * 1024 * 1024;
    const result = exchange(await open(client), size);
    await until('five serve it', () => relay.pairs.length === 5);
    let cuts = 0;
    const timer = setInterval(() => {
      if (relay.cut(cuts % Math.max(1, relay.pairs.length))) cuts++;
    }, 40);
    const done = await within('the exchange', result);
    clearInterval(timer);
    assertEchoed(done, size);
    assert.ok(cuts >= 5, `${cuts} cuts`);
    assert.ok(done.links > 5, 'lost ones were dialled again');
  });

  test('all of them at once, and the stream goes on', async (t) => {
    const pair = await TunnelPair.start(t, echo);
    const relay = await Relay.start(t, pair.port);
    relay.rate = 4 * 1024 * 1024;
    const client = pair.newClient(tcpTo(relay.port), { startStreams: 3 });
    const result = exchange(await open(client), 4 * 1024 * 1024);
    for (let i = 0; i < 5; i++) {
      await until('there are some', () => relay.pairs.length > 0);
      await new Promise((resolve) => setTimeout(resolve, 60));
      while (relay.cut(0));
    }
    assertEchoed(await within('the exchange', result), 4 * 1024 * 1024);
  });

  test('when the server does not come back, the stream ends with an error, on both sides', async (t) => {
    const pair = await TunnelPair.start(t, (socket) => void socket.resume(), { resumeMs: 200 });
    const relay = await Relay.start(t, pair.port);
    const client = pair.newClient((outcome) => (relay.made > 0 ? tcpTo(1) : tcpTo(relay.port))(outcome), {
      resumeMs: 200,
    });
    const transport = await open(client);
    const closed = new Promise<Error | null>((resolve) => {
      transport.owner = { onData() {}, onEnd() {}, onDrain() {}, onClose: resolve };
    });
    transport.write(Buffer.from('hello'), 0, 5);
    await until('it has come', () => pair.accepted.length === 1);
    relay.cut(0);
    assert.match((await within('the error', closed))!.message, /all connections were lost/);
    await until('the server gives up', () => pair.accepted[0]!.errored !== null);
    assert.match(pair.accepted[0]!.errored!.message, /all connections were lost/);
    assert.equal(pair.server.streams, 0);
  });

  test('a server that has forgotten the stream says so, and it ends with an error at once', async (t) => {
    const pair = await TunnelPair.start(t, (socket) => void socket.resume());
    const other = await TunnelPair.start(t, (socket) => void socket.resume());
    const relay = await Relay.start(t, pair.port);
    const client = pair.newClient((outcome) => tcpTo(relay.made > 0 ? other.port : relay.port)(outcome));
    const transport = await open(client);
    const closed = new Promise<Error | null>((resolve) => {
      transport.owner = { onData() {}, onEnd() {}, onDrain() {}, onClose: resolve };
    });
    transport.write(Buffer.from('hello'), 0, 5);
    await until('it has come', () => pair.accepted.length === 1);
    relay.cut(0);
    assert.match((await within('the error', closed))!.message, /not known/);
    pair.accepted[0]!.destroy();
  });

  test('a connection that is silent is given up, and another one takes its place', async (t) => {
    const pair = await TunnelPair.start(t, echo, { pingMs: 100 });
    const relay = await Relay.start(t, pair.port);
    const client = pair.newClient(tcpTo(relay.port), { pingMs: 100 });
    const transport = await open(client);
    const got: Buffer[] = [];
    transport.owner = {
      onData: (buf, start, end) => void got.push(Buffer.from(buf.subarray(start, end))),
      onEnd() {},
      onDrain() {},
      onClose() {},
    };
    transport.write(Buffer.from('one'), 0, 3);
    await until('it comes back', () => got.length > 0);
    relay.stalled = true;
    transport.write(Buffer.from('two'), 0, 3);
    await until('it is given up', () => relay.made === 2);
    relay.stalled = false;
    await until('all is there', () => Buffer.concat(got).toString() === 'onetwo');
    transport.destroy();
  });
});

describe('keys', () => {
  test('both sides have the same: streams', async (t) => {
    const pair = await TunnelPair.start(t, echo, { keys: [{ id: 'other', secret: 'x' }, KEY] }, { keys: [KEY] });
    assertEchoed(await exchange(await open(pair.client), 1000), 1000);
    await until('it is idle', () => pair.client.idle === 1);
    assertEchoed(await exchange(await open(pair.client), 1000), 1000);
    assert.equal(pair.server.links, 1);
  });

  test('another secret, another name, none on one side: nobody is let in', async (t) => {
    const pair = await TunnelPair.start(t, echo, { keys: [KEY] });
    const plain = await TunnelPair.start(t, echo);
    for (const [port, keys] of [
      [pair.port, [{ ...KEY, secret: 'wrong' }]],
      [pair.port, [{ ...KEY, id: 'nobody' }]],
      [plain.port, [KEY]],
    ] as const) {
      await assert.rejects(open(pair.newClient(tcpTo(port), { keys })), /not authorized/);
    }
    // Without a key nothing is waited for: the stream ends instead.
    const result = await within('the end', exchange(await open(pair.newClient(tcpTo(pair.port))), 10));
    assert.ok(result.error !== null);
    assert.equal(pair.accepted.length + plain.accepted.length, 0);
  });

  test('what was heard of a handshake opens nothing later', async (t) => {
    const pair = await TunnelPair.start(t, echo, { keys: [KEY] });
    const heard: Buffer[] = [];
    const tap = createServer((near) => {
      const far = connect(pair.port, '127.0.0.1');
      near.on('data', (chunk: Buffer) => {
        heard.push(Buffer.from(chunk));
        far.write(chunk);
      });
      far.on('data', (chunk) => void near.write(chunk));
      for (const [a, b] of [
        [near, far],
        [far, near],
      ] as const) {
        a.on('error', () => {});
        a.on('close', () => b.destroy());
      }
    });
    t.after(() => tap.close());
    const client = pair.newClient(tcpTo(await listen(tap)), { keys: [KEY] });
    assertEchoed(await exchange(await open(client), 10), 10);
    client.close();
    const socket = connect(pair.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(Buffer.concat(heard));
    const answer: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => answer.push(chunk));
    await within('the end', new Promise((resolve) => void socket.once('close', resolve)));
    assert.equal(pair.accepted.length, 1);
    assert.ok(pair.log.some((line) => line.includes('not authorized')));
  });
});

describe('limits of the server', () => {
  test('no more streams than are allowed', async (t) => {
    const pair = await TunnelPair.start(t, echo, { maxSessions: 1 });
    const first = await open(pair.client);
    first.write(Buffer.from('x'), 0, 1);
    first.owner = { onData() {}, onEnd() {}, onDrain() {}, onClose() {} };
    await until('it has come', () => pair.accepted.length === 1);
    const second = await exchange(await open(pair.client), 10);
    assert.match(second.error!.message, /too many streams/);
    first.destroy(true);
    await until('it has gone', () => pair.server.streams === 0);
    assertEchoed(await exchange(await open(pair.client), 10), 10);
  });

  test('no more connections than are allowed, neither of a stream nor of all', async (t) => {
    const pair = await TunnelPair.start(t, echo, { maxStreamSize: 2 }, { startStreams: 5 });
    const transport = await open(pair.client);
    transport.owner = { onData() {}, onEnd() {}, onDrain() {}, onClose() {} };
    transport.write(Buffer.from('x'), 0, 1);
    await until('two serve it', () => pair.accepted[0]?.session.links.length === 2);
    assert.equal(pair.server.links, 2);
    transport.destroy(true);
    const few = await TunnelPair.start(t, echo, { maxLinks: 1 });
    const one = await open(few.client);
    one.owner = { onData() {}, onEnd() {}, onDrain() {}, onClose() {} };
    one.write(Buffer.from('x'), 0, 1);
    await until('it has come', () => few.accepted.length === 1);
    const two = await exchange(await open(few.client), 10);
    assert.ok(two.error !== null);
    one.destroy(true);
  });

  test('who does not begin is closed', async (t) => {
    const pair = await TunnelPair.start(t, echo, { handshakeMs: 60 });
    const socket = connect(pair.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(TUNNEL_MAGIC.subarray(0, 4));
    await within('the end', new Promise((resolve) => void socket.once('close', resolve)));
    assert.equal(pair.server.links, 0);
  });
});

describe('peers that mean no good', () => {
  /** Sends bytes to the server, and waits until it has closed or has nothing to say to a ping. */
  async function attack(pair: TunnelPair, pieces: readonly Buffer[]): Promise<void> {
    const socket = connect({ port: pair.port, host: '127.0.0.1', noDelay: true });
    socket.on('error', () => {});
    let heard = 0;
    socket.on('data', (chunk: Buffer) => (heard += chunk.length));
    let closed = false;
    socket.once('close', () => (closed = true));
    for (const piece of pieces) socket.write(piece);
    socket.end();
    await until('it is dealt with', () => closed || heard > 1e6, 20_000);
    socket.destroy();
  }

  const hello = (): Buffer => new ClientHandshake(null, null).begin().send!;
  const openStream = (id: number): Buffer =>
    openFrame(Buffer.alloc(16, id), false, { maxLinks: 5, channelSize: 4, acked: 0, limit: 65_536 });

  test('frames that have no place end the connection, and nothing else', async (t) => {
    const pair = await TunnelPair.start(t, echo, { resumeMs: 100 });
    const offset = (n: number): Buffer => {
      const buf = Buffer.alloc(8);
      buf.writeBigUInt64BE(BigInt(n));
      return buf;
    };
    const begun = Buffer.concat([hello(), openStream(7)]);
    const bad: Buffer[] = [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.concat([TUNNEL_MAGIC, frame(0x7f, Buffer.alloc(1))]),
      Buffer.concat([TUNNEL_MAGIC, frame(HELLO, Buffer.alloc(5))]),
      Buffer.concat([hello(), hello().subarray(TUNNEL_MAGIC.length)]),
      Buffer.concat([hello(), frame(OPEN, Buffer.alloc(3))]),
      Buffer.concat([begun, openStream(8)]),
      // Past the window, past 2^53, before an end that was told, an end that moves, acknowledgements of what was not sent.
      Buffer.concat([begun, frame(0x20, Buffer.concat([offset(1e9), Buffer.alloc(9)]))]),
      Buffer.concat([begun, frame(0x20, Buffer.concat([Buffer.alloc(8, 0xff), Buffer.alloc(9)]))]),
      Buffer.concat([begun, frame(0x22, offset(5)), frame(0x20, Buffer.concat([offset(3), Buffer.alloc(9)]))]),
      Buffer.concat([begun, frame(0x22, offset(5)), frame(0x22, offset(6))]),
      Buffer.concat([begun, frame(0x21, Buffer.concat([offset(999), offset(1)]))]),
      Buffer.concat([begun, frame(0x24, offset(0))]),
      Buffer.concat([begun, frame(0x25, Buffer.alloc(1))]),
      Buffer.concat([begun, frame(0x20, Buffer.alloc(8))]),
      Buffer.concat([begun, Buffer.from([0x20, 0xff, 0xff, 0xff])]),
    ];
    for (const bytes of bad) await attack(pair, [bytes]);
    await until('nothing is left', () => pair.server.links === 0 && pair.server.streams === 0);
    assertEchoed(await exchange(await open(pair.client), 1000), 1000);
  });

  test('gaps without end are not collected', async (t) => {
    const pair = await TunnelPair.start(t, echo, { resumeMs: 100 });
    const pieces = [hello(), openStream(9)];
    for (let at = 2; at < 60_000; at += 2) {
      const payload = Buffer.alloc(9);
      payload.writeUInt32BE(at, 4);
      pieces.push(frame(0x20, payload));
    }
    await attack(pair, [Buffer.concat(pieces)]);
    await until('nothing is left', () => pair.server.links === 0 && pair.server.streams === 0);
    assert.match(pair.accepted[0]!.errored?.message ?? '', /broke the protocol/);
  });

  test('whatever bytes come, the server lives, and nothing is left of them', async (t) => {
    const pair = await TunnelPair.start(t, echo, { resumeMs: 50, handshakeMs: 500 });
    const type = fc.constantFrom(1, 2, 3, 4, 5, 0x10, 0x11, 0x12, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, PING, 0x31, 0x99);
    const anyFrame = fc.tuple(type, fc.uint8Array({ maxLength: 60 })).map(([k, p]) => frame(k, Buffer.from(p)));
    const low = fc.tuple(fc.nat(70_000), fc.uint8Array({ minLength: 1, maxLength: 300 })).map(([at, p]) => {
      const payload = Buffer.alloc(8 + p.length);
      payload.writeUInt32BE(at, 4);
      payload.set(p, 8);
      return frame(0x20, payload);
    });
    const junk = fc.uint8Array({ maxLength: 200 }).map((p) => Buffer.from(p));
    let id = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('nothing', 'magic', 'hello', 'open'),
        fc.array(fc.oneof(anyFrame, low, junk), { maxLength: 20 }),
        async (begin, rest) => {
          id = (id + 1) % 250;
          const beginnings: Record<string, Buffer> = {
            nothing: Buffer.alloc(0),
            magic: TUNNEL_MAGIC,
            hello: hello(),
            open: Buffer.concat([hello(), openStream(id)]),
          };
          await attack(pair, [beginnings[begin]!, ...rest]);
        },
      ),
      { numRuns: 150 },
    );
    await until('nothing is left', () => pair.server.links === 0 && pair.server.streams === 0);
    assertEchoed(await exchange(await open(pair.client), 1000), 1000);
  });

  test('a server that answers nonsense is told from one that is not there', async (t) => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
    });
    t.after(() => server.close());
    const port = await listen(server);
    const pair = await TunnelPair.start(t, echo);
    await assert.rejects(open(pair.newClient(tcpTo(port), { keys: [KEY] })), /broke the protocol/);
    await assert.rejects(open(pair.newClient(tcpTo(1))), /Connection refused/);
  });
});

test('a connection that a listener has begun to read is taken with what was read', async (t) => {
  const pair = await TunnelPair.start(t, echo);
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const transport = new SocketTransport(socket, null);
    transport.owner = {
      onData: (buf, start, end) => pair.server.accept(transport, Buffer.from(buf.subarray(start, end))),
      onEnd() {},
      onDrain() {},
      onClose() {},
    };
  });
  t.after(() => server.close());
  const client = pair.newClient(tcpTo(await listen(server)));
  assertEchoed(await exchange(await open(client), 50_000), 50_000);
  client.close();
});
