/** What every transport does, whoever reads and writes for it. */
import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { after, describe, test } from 'node:test';
import { Listener } from '../../src/net/listener.ts';
import { dial } from '../../src/net/dial.ts';
import { HELD } from '../../src/net/transport.ts';
import type { Transport, TransportOwner } from '../../src/net/transport.ts';
import { freePort } from '../helpers/ports.ts';
import { suiteScope, until, within } from '../helpers/wait.ts';
import type { Scope } from '../helpers/wait.ts';

const HOST = '127.0.0.1';

/** Numbers that look random and are the same in each run. */
export function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % below;
  };
}

export function pattern(length: number, seed: number): Buffer {
  const next = numbers(seed);
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = next(256);
  return bytes;
}

/** Keeps what arrives. */
export class Recorder implements TransportOwner {
  chunks: Buffer[] = [];
  length = 0;
  ended = false;
  closed = false;
  error: Error | null = null;
  drained = 0;
  onChunk: (n: number) => void = () => {};

  onData(buf: Buffer, start: number, end: number): void {
    this.chunks.push(Buffer.from(buf.subarray(start, end)));
    this.length += end - start;
    this.onChunk(end - start);
  }
  onEnd(): void {
    this.ended = true;
  }
  onDrain(): void {
    this.drained++;
  }
  onClose(error: Error | null): void {
    this.closed = true;
    this.error = error;
  }
  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

export interface Pair {
  transport: Transport;
  owner: Recorder;
  /** The other end. */
  peer: Socket;
  /** Of the peer's connection, if that carries TLS. */
  below?: Socket;
}

async function listen(scope: Scope, onTransport: (transport: Transport) => void): Promise<number> {
  const port = await freePort();
  const options = { kind: 'tcp' as const, host: HOST, port, ipv6only: false, backlog: 511 };
  const listener = new Listener(options, false, (connection) => onTransport(connection as Transport));
  await listener.listen();
  scope.after(() => listener.close());
  return port;
}

/** A transport that accepted a connection. */
async function accepted(scope: Scope): Promise<Pair> {
  const owner = new Recorder();
  let transport: Transport | null = null;
  const port = await listen(scope, (given) => {
    transport = given;
    given.owner = owner;
  });
  const peer = connect({ port, host: HOST, allowHalfOpen: true });
  peer.on('error', () => {});
  scope.after(() => peer.destroy());
  return { transport: await until('a connection', () => transport), owner, peer };
}

/** A transport that opened a connection. */
async function dialled(scope: Scope): Promise<Pair> {
  const owner = new Recorder();
  let peer: Socket | null = null;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    peer = socket;
  });
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  scope.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const local = { localAddress: null, localPort: 0, keepAlive: false };
  const transport = await within(
    'a connection',
    new Promise<Transport>((resolve) => {
      const made = dial({ host: HOST, port, path: null, ...local }, owner, () => resolve(made));
    }),
  );
  const other = await until('the other end', () => peer);
  scope.after(() => other.destroy());
  return { transport, owner, peer: other };
}

export const PLAIN = { accepted, dialled };

export type Make = (scope: Scope) => Promise<Pair>;

export function transportSuite(makes: Record<string, Make>): void {
  for (const [name, make] of Object.entries(makes)) {
    describe(name, { concurrency: false }, () => {
      const scope = suiteScope(after);

      test('bytes arrive as they were sent, in pieces of any size, while the reader pauses and goes on', async () => {
        const { transport, owner, peer } = await make(scope);
        const sent = pattern(9_000_000, 7);
        const next = numbers(11);
        owner.onChunk = () => {
          if (next(4) !== 0) return;
          transport.pause();
          // Some go on at once, some later, some twice.
          if (next(3) === 0) transport.resume();
          else setTimeout(() => transport.resume(), next(3));
        };
        const feed = (at: number): void => {
          if (at >= sent.length) return void peer.end();
          const size = next(3) === 0 ? 1 + next(400_000) : 1 + next(3000);
          const end = Math.min(sent.length, at + size);
          peer.write(sent.subarray(at, end), () => setImmediate(feed, end));
        };
        feed(0);
        await until(
          () => `the end; ${owner.length} of ${sent.length} bytes are there`,
          () => {
            return owner.ended;
          },
        );
        assert.ok(owner.bytes.equals(sent));
        assert.equal(transport.bytesRead, sent.length);
        transport.end();
        await until('the close, as both sides have ended', () => owner.closed);
        assert.equal(owner.error, null);
      });

      test('nothing arrives while it is paused, not even the end', async () => {
        const { transport, owner, peer } = await make(scope);
        peer.write('one');
        await until('the first bytes', () => owner.length === 3);
        transport.pause();
        peer.end('two');
        await new Promise((resolve) => setTimeout(resolve, 50));
        assert.equal(owner.length, 3);
        assert.equal(owner.ended, false);
        transport.resume();
        await until('the end', () => owner.ended);
        assert.equal(owner.bytes.toString(), 'onetwo');
        transport.destroy();
      });

      test('small and large writes keep their order when the peer reads late', async () => {
        const { transport, owner, peer } = await make(scope);
        peer.pause();
        const next = numbers(5);
        const pieces: Buffer[] = [];
        let held = false;
        let total = 0;
        while (total < 12_000_000) {
          const piece = pattern(next(5) === 0 ? 100_000 + next(300_000) : 1 + next(9000), total + 1);
          if (transport.write(piece, 0, piece.length) === HELD) held = true;
          pieces.push(Buffer.from(piece));
          // The buffer is free afterwards.
          piece.fill(0);
          total += piece.length;
          if (next(3) === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        assert.ok(held, 'the kernel took all of it');
        const got: Buffer[] = [];
        peer.on('data', (chunk: Buffer) => got.push(chunk));
        peer.resume();
        await until('onDrain', () => owner.drained > 0);
        transport.end();
        await within('the end', new Promise((resolve) => peer.once('end', resolve)));
        assert.ok(Buffer.concat(got).equals(Buffer.concat(pieces)));
        peer.end();
        await until('the close', () => owner.closed);
      });

      test('one side may end and the other go on', async () => {
        const { transport, owner, peer } = await make(scope);
        peer.end('question');
        await until('the end of the question', () => owner.ended);
        const got: Buffer[] = [];
        peer.on('data', (chunk: Buffer) => got.push(chunk));
        transport.write(Buffer.from('answer'), 0, 6);
        transport.end();
        await until('the answer', () => Buffer.concat(got).toString() === 'answer');
        await until('the close', () => owner.closed);
      });

      test('close sends what was written, and the peer sees the end', async () => {
        const { transport, owner, peer } = await make(scope);
        const got: Buffer[] = [];
        peer.on('data', (chunk: Buffer) => got.push(chunk));
        transport.write(Buffer.from('last words'), 0, 10);
        transport.close();
        await within('the end', new Promise((resolve) => peer.once('end', resolve)));
        assert.equal(Buffer.concat(got).toString(), 'last words');
        await until('onClose', () => owner.closed);
        assert.equal(owner.error, null);
      });

      test('a reset goes out as one, and comes in as an error', async () => {
        const first = await make(scope);
        const reset = new Promise<NodeJS.ErrnoException>((resolve) => first.peer.once('error', resolve));
        first.peer.resume();
        first.transport.destroy(true);
        assert.equal((await within('the reset', reset)).code, 'ECONNRESET');
        await until('onClose', () => first.owner.closed);

        const second = await make(scope);
        (second.below ?? second.peer).resetAndDestroy();
        await until('onClose', () => second.owner.closed);
        assert.equal((second.owner.error as NodeJS.ErrnoException).code, 'ECONNRESET');
      });
    });
  }
}

export function manyConnections(): void {
  test('many connections, each with its own bytes; none stays open', async (t) => {
    const open = new Set<Transport>();
    const port = await listen(t, (transport) => {
      open.add(transport);
      transport.owner = {
        onData: (buf, start, end) => void transport.write(buf, start, end),
        onEnd: () => transport.end(),
        onDrain() {},
        onClose: () => void open.delete(transport),
      };
    });
    const one = async (seed: number): Promise<void> => {
      const next = numbers(seed);
      const socket = connect({ port, host: HOST });
      for (let round = 0; round < 20; round++) {
        const message = pattern(1 + next(next(4) === 0 ? 60_000 : 300), seed + round);
        const got: Buffer[] = [];
        let length = 0;
        const back = new Promise<void>((resolve, reject) => {
          socket.on('error', reject);
          socket.on('data', (chunk: Buffer) => {
            got.push(chunk);
            length += chunk.length;
            if (length === message.length) resolve();
          });
        });
        socket.write(message);
        await within('an echo', back);
        assert.ok(Buffer.concat(got).equals(message));
        socket.removeAllListeners();
      }
      socket.end();
      socket.resume();
    };
    await Promise.all(Array.from({ length: 300 }, (_, i) => one(i + 1)));
    await until(
      () => `${open.size} connections to close`,
      () => open.size === 0,
    );
  });
}

export function manyMessages(): void {
  test('many messages of a turn, those of some connections between those of others', async (t) => {
    const pairs = await Promise.all(Array.from({ length: 8 }, () => accepted(t)));
    const next = numbers(7);
    const received = pairs.map(({ peer }) => {
      const chunks: Buffer[] = [];
      peer.on('data', (chunk: Buffer) => chunks.push(chunk));
      return chunks;
    });
    const sent = pairs.map((): Buffer[] => []);
    const send = (which: number, message: Buffer): void => {
      sent[which]!.push(message);
      pairs[which]!.transport.write(message, 0, message.length);
    };
    const arrived = (): boolean =>
      sent.every((messages, i) => Buffer.concat(messages).length === Buffer.concat(received[i]!).length);

    // Few: what is for one connection goes out at once.
    for (let k = 0; k < 24; k++) send(k % 8, pattern(50, k));
    await until('the first messages', arrived);
    for (const chunks of received) assert.equal(chunks.length, 1);
    // More than the batch holds, and messages that are larger than it takes.
    for (let k = 0; k < 600; k++) send(next(8), pattern(1 + next(next(8) === 0 ? 12_000 : 1_000), k));
    await until('all messages', arrived);
    for (const [i, chunks] of received.entries()) assert.ok(Buffer.concat(chunks).equals(Buffer.concat(sent[i]!)));
  });
}
