/** A tunnel's two ends in this process, and a relay between them that cuts, stalls and slows connections. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { createHash, randomBytes } from 'node:crypto';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { dialTcp } from '../../src/net/link.ts';
import type { DialLink } from '../../src/net/link.ts';
import { SocketTransport } from '../../src/net/socket-transport.ts';
import { HELD } from '../../src/net/transport.ts';
import type { Transport } from '../../src/net/transport.ts';
import { TunnelClient } from '../../src/net/tunnel/client.ts';
import { DEFAULT_TUNNEL_CLIENT, DEFAULT_TUNNEL_SERVER } from '../../src/net/tunnel/options.ts';
import type { TunnelClientOptions, TunnelServerOptions } from '../../src/net/tunnel/options.ts';
import { TunnelServer } from '../../src/net/tunnel/server.ts';
import type { TunnelSocket } from '../../src/net/tunnel/stream.ts';
import type { Scope } from './wait.ts';

const NOTHING = Buffer.alloc(0);

export function tcpTo(port: number): DialLink {
  return dialTcp({ host: '127.0.0.1', port, path: null, localAddress: null, localPort: 0, keepAlive: false });
}

export function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

/** What connections pass through. */
export class Relay {
  port = 0;
  /** Bytes a second for each connection and direction; 0: as fast as it goes. */
  rate = 0;
  /** Nothing moves. */
  stalled = false;
  /** Connections so far. */
  made = 0;
  readonly pairs: { near: Socket; far: Socket }[] = [];
  readonly #to: number;

  private constructor(to: number) {
    this.#to = to;
  }

  static async start(scope: Scope, to: number): Promise<Relay> {
    const relay = new Relay(to);
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => relay.#accept(near));
    relay.port = await listen(server);
    scope.after(() => {
      server.close();
      while (relay.pairs.length > 0) relay.cut(0);
    });
    return relay;
  }

  #accept(near: Socket): void {
    this.made++;
    const far = connect({ port: this.#to, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const pair = { near, far };
    this.pairs.push(pair);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('error', () => {});
      from.on('data', (chunk: Buffer) => {
        if (this.stalled) {
          from.pause();
          return;
        }
        const taken = to.write(chunk);
        if (this.rate > 0) {
          from.pause();
          setTimeout(() => from.resume(), (chunk.length / this.rate) * 1000).unref();
        } else if (!taken) {
          from.pause();
          to.once('drain', () => from.resume());
        }
      });
      from.on('end', () => to.end());
      from.on('close', () => {
        to.destroy();
        const at = this.pairs.indexOf(pair);
        if (at >= 0) this.pairs.splice(at, 1);
      });
    }
  }

  /** Cuts a connection: both ends see a reset. @returns false: there is none */
  cut(at: number): boolean {
    const [pair] = this.pairs.splice(at, 1);
    if (pair === undefined) return false;
    pair.near.resetAndDestroy();
    pair.far.resetAndDestroy();
    return true;
  }
}

/** A server that hands its streams to `onStream`, and a client of it. */
export class TunnelPair {
  readonly server: TunnelServer;
  client!: TunnelClient;
  port = 0;
  readonly log: string[] = [];
  /** The streams that came to the server. */
  readonly accepted: TunnelSocket[] = [];
  #listener!: Server;

  private constructor(options: Partial<TunnelServerOptions>, onStream: (socket: TunnelSocket) => void) {
    this.server = new TunnelServer(
      { ...DEFAULT_TUNNEL_SERVER, ...options },
      (socket) => {
        this.accepted.push(socket);
        socket.on('error', (error) => this.log.push(`server stream: ${error.message}`));
        onStream(socket);
      },
      (level, text) => this.log.push(`server ${level}: ${text}`),
    );
  }

  static async start(
    scope: Scope,
    onStream: (socket: TunnelSocket) => void,
    server: Partial<TunnelServerOptions> = {},
    client: Partial<TunnelClientOptions> = {},
  ): Promise<TunnelPair> {
    const pair = new TunnelPair(server, onStream);
    const sockets = new Set<Socket>();
    pair.#listener = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      pair.server.accept(new SocketTransport(socket, null), NOTHING);
    });
    pair.port = await listen(pair.#listener);
    pair.client = pair.newClient(tcpTo(pair.port), client);
    scope.after(() => {
      pair.client.close();
      pair.#listener.close();
      for (const socket of sockets) socket.destroy();
    });
    return pair;
  }

  newClient(dial: DialLink, options: Partial<TunnelClientOptions> = {}): TunnelClient {
    return new TunnelClient({ ...DEFAULT_TUNNEL_CLIENT, ...options }, dial, (level, text) =>
      this.log.push(`client ${level}: ${text}`),
    );
  }
}

/** A stream of a tunnel, or why there is none. */
export function open(client: { open: DialLink }): Promise<Transport> {
  return new Promise((resolve, reject) => {
    client.open({ connected: resolve, failed: (message) => reject(new Error(message)) });
  });
}

/** What came of sending bytes and reading others. */
export interface Exchange {
  received: number;
  /** SHA-1 of what was received, and of what was sent. */
  hash: string;
  sentHash: string;
  error: Error | null;
  links: number;
}

/** Sends `size` bytes and the end, reads all that comes, and tells when the stream is closed. */
export function exchange(transport: Transport, size: number): Promise<Exchange> {
  return new Promise((resolve) => {
    const sent = createHash('sha1');
    const got = createHash('sha1');
    const chunk = randomBytes(128 * 1024);
    const { socket } = transport;
    let left = size;
    let received = 0;
    const pump = (): void => {
      while (left > 0) {
        const n = Math.min(left, chunk.length);
        // Each chunk differs from the one before.
        chunk.writeUInt32LE(left % 0x7fffffff, left % (chunk.length - 4));
        sent.update(chunk.subarray(0, n));
        left -= n;
        if (transport.write(chunk, 0, n) === HELD) return;
      }
      transport.end();
    };
    transport.owner = {
      onData(buf, start, end) {
        received += end - start;
        got.update(buf.subarray(start, end));
      },
      onEnd() {},
      onDrain: pump,
      onClose(error) {
        const { links } = socket as unknown as TunnelSocket;
        resolve({ received, hash: got.digest('hex'), sentHash: sent.digest('hex'), error, links });
      },
    };
    pump();
  });
}

/** All that was sent came back, and the end. */
export function assertEchoed(result: Exchange, size: number): void {
  assert.equal(result.error, null);
  assert.equal(result.received, size);
  assert.equal(result.hash, result.sentHash);
}

/** Sends back what comes, with the end, and takes no more than is taken. */
export function echo(socket: TunnelSocket): void {
  socket.pipe(socket);
}
