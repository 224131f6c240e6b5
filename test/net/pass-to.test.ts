/** Bytes that a transport passes on to another one within the kernel. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { dial, useRing } from '../../src/net/dial.ts';
import { IoUring } from '../../src/net/io-uring.ts';
import { PIPED } from '../../src/net/kernel-pipe.ts';
import { Listener } from '../../src/net/listener.ts';
import { HELD } from '../../src/net/transport.ts';
import type { Transport } from '../../src/net/transport.ts';
import { freePort } from '../helpers/ports.ts';
import { until } from '../helpers/wait.ts';
import type { Scope } from '../helpers/wait.ts';
import { numbers, pattern } from './transport-suite.ts';

const ring = IoUring.open();
if (typeof ring !== 'string') useRing(ring);
const HOST = '127.0.0.1';

interface Relay {
  client: Socket;
  server: Socket;
  /** Towards the client and the server. */
  front: Transport;
  back: Transport;
  /** Bytes of the server that went through as bytes, and within the kernel. */
  seen: number;
  piped: number;
  closed: number;
}

interface RelayOptions {
  /** Of the next bytes of the server so many are passed on; asked again and again. */
  most(sofar: Relay): number;
  /** Whether a piece is written to the client. */
  writes?(): boolean;
}

/** What the server says goes to the client, as a proxy does it. */
async function relay(scope: Scope, { most, writes = () => true }: RelayOptions): Promise<Relay> {
  let server: Socket | null = null;
  const backend = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    server = socket;
  });
  await new Promise<void>((resolve) => backend.listen(0, HOST, resolve));
  scope.after(() => void backend.close());
  const local = { path: null, localAddress: null, localPort: 0, keepAlive: false };
  const address = { host: HOST, port: (backend.address() as AddressInfo).port, ...local };
  const made: Partial<Relay> = { seen: 0, piped: 0, closed: 0 };
  const port = await freePort();
  const listener = new Listener({ kind: 'tcp', host: HOST, port, ipv6only: false, backlog: 5 }, false, (connection) => {
    const front = connection as Transport;
    made.front = front;
    const back = dial(
      address,
      {
        onData(buf, start, end) {
          if (buf === PIPED) made.piped! += end - start;
          else made.seen! += end - start;
          if (!writes()) return;
          if (front.write(buf, start, end) === HELD) back.pause();
          else back.passTo(front, most(made as Relay));
        },
        onEnd: () => front.end(),
        onDrain() {},
        onClose() {
          made.closed!++;
          front.destroy();
        },
      },
      () => {
        made.back = back;
        back.passTo(front, most(made as Relay));
      },
    );
    front.owner = {
      onData: (buf, start, end) => void back.write(buf, start, end),
      onEnd: () => back.end(),
      onDrain() {
        back.resume();
        back.passTo(front, most(made as Relay));
      },
      onClose() {
        made.closed!++;
        back.destroy();
      },
    };
  });
  await listener.listen();
  scope.after(() => listener.close());
  const client = connect({ port, host: HOST, allowHalfOpen: true });
  client.on('error', () => {});
  scope.after(() => void client.destroy());
  made.server = await until('the server', () => (made.back === undefined ? null : server));
  made.client = client;
  return made as Relay;
}

describe('passing on within the kernel', { skip: typeof ring === 'string' ? ring : false }, () => {
  for (const slow of [false, true]) {
    test(`bytes arrive as they were sent, whatever part is passed on; the client is ${slow ? 'slow' : 'fast'}`, async (t) => {
      const next = numbers(slow ? 3 : 4);
      const made = await relay(t, { most: () => (next(6) === 0 ? 1 + next(70_000) : Infinity) });
      const { client, server } = made;
      const sent = pattern(24_000_000, 9);
      const got: Buffer[] = [];
      let length = 0;
      client.on('data', (chunk: Buffer) => {
        got.push(chunk);
        length += chunk.length;
        if (!slow || next(40) !== 0) return;
        client.pause();
        setTimeout(() => client.resume(), next(30));
      });
      const feed = (at: number): void => {
        if (at >= sent.length) return void server.end();
        const end = Math.min(sent.length, at + (next(3) === 0 ? 1 + next(2000) : 1 + next(1_500_000)));
        server.write(sent.subarray(at, end), () => setImmediate(feed, end));
      };
      feed(0);
      await until(
        () => `the end; ${length} of ${sent.length} bytes are there`,
        () => client.readableEnded,
      );
      assert.ok(Buffer.concat(got).equals(sent));
      assert.ok(made.piped > sent.length / 20, `${made.piped} bytes were passed on, ${made.seen} seen`);
      assert.equal(made.back.bytesRead, sent.length);
      assert.equal(made.front.bytesWritten, sent.length);
      client.end();
      await until('both to close', () => made.closed === 2);
    });
  }

  test('no more is passed on than was said, and what follows is seen', async (t) => {
    const made: Relay = await relay(t, {
      most: (so) => Math.max(0, 4_000_000 - so.piped - so.seen),
    });
    const sent = pattern(4_000_007, 1);
    const got: Buffer[] = [];
    made.client.on('data', (chunk: Buffer) => got.push(chunk));
    const before = made.front.bytesWritten;
    made.server.end(sent);
    await until('the end', () => made.client.readableEnded);
    assert.ok(Buffer.concat(got).equals(sent));
    assert.equal(made.front.bytesWritten - before, sent.length);
    assert.ok(made.piped <= 4_000_000 && made.seen >= 7);
  });

  test('what nobody writes is gone, and the next bytes are the next ones', async (t) => {
    let writes = true;
    const made = await relay(t, { most: () => Infinity, writes: () => writes });
    const got: Buffer[] = [];
    made.client.on('data', (chunk: Buffer) => got.push(chunk));
    const first = pattern(3_000_000, 2);
    made.server.write(first);
    await until('the first bytes', () => made.front.bytesWritten === first.length);
    writes = false;
    made.server.write(pattern(3_000_000, 3));
    await until('bytes that nobody wants', () => made.back.bytesRead === 6_000_000);
    writes = true;
    const last = pattern(3_000_000, 4);
    made.server.end(last);
    await until('the end', () => made.client.readableEnded);
    assert.ok(Buffer.concat(got).equals(Buffer.concat([first, last])));
  });

  test('a client that is cut off, a server that is', async (t) => {
    const one = await relay(t, { most: () => Infinity });
    one.client.once('data', () => one.client.resetAndDestroy());
    const feed = (): void =>
      void (one.server.destroyed || one.server.write(pattern(500_000, 5), () => setImmediate(feed)));
    feed();
    await until('both to close', () => one.closed === 2);

    const two = await relay(t, { most: () => Infinity });
    two.client.resume();
    two.server.write(pattern(2_000_000, 6), () => two.server.resetAndDestroy());
    await until('both to close', () => two.closed === 2);
    await until('the cut', () => two.client.readableEnded || two.client.destroyed);
  });
});
