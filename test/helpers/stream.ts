/** Raw TCP and UDP clients for tests of stream. */
import { Buffer } from 'node:buffer';
import { createSocket } from 'node:dgram';
import type { Socket as UdpSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { type Scope, until, within } from './wait.ts';

/** A TCP connection that keeps what it was sent. */
export class Caller {
  readonly socket: Socket;
  ended = false;
  closed = false;
  error: NodeJS.ErrnoException | null = null;
  readonly #parts: Buffer[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data: Buffer) => void this.#parts.push(data));
    socket.on('end', () => (this.ended = true));
    socket.on('error', (error) => (this.error = error));
    socket.on('close', () => (this.ended = this.closed = true));
  }

  /** Connects to a port of this machine, or to the path of a unix socket. */
  static async to(scope: Scope, where: number | string): Promise<Caller> {
    const options = typeof where === 'string' ? { path: where } : { host: '127.0.0.1', port: where };
    const socket = connect({ ...options, allowHalfOpen: true, noDelay: true });
    const caller = new Caller(socket);
    scope.after(() => socket.destroy());
    await within(`connection to ${where}`, new Promise<void>((resolve) => socket.once('connect', () => resolve())));
    return caller;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  get text(): string {
    return this.bytes.latin1Slice();
  }

  send(bytes: string | Buffer): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** Waits until what came holds `text`. */
  async says(text: string): Promise<string> {
    await until(
      () => `"${text}" in "${this.text.slice(0, 200)}"`,
      () => this.text.includes(text),
    );
    return this.text;
  }

  /** Waits for the end of what the other side sends, and returns all of it. */
  async rest(): Promise<string> {
    await until('the end', () => this.ended);
    return this.text;
  }
}

/** All that a server says to somebody who sends `bytes` and then nothing more until the server ends. */
export async function call(scope: Scope, where: number | string, bytes: string | Buffer = ''): Promise<string> {
  const caller = await Caller.to(scope, where);
  if (bytes.length > 0) caller.send(bytes);
  const text = await caller.rest();
  caller.socket.destroy();
  return text;
}

/** A TCP server; it and its connections end with the test. */
export async function listen(scope: Scope, onConnection: (caller: Caller) => void, port = 0): Promise<number> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    onConnection(new Caller(socket));
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  scope.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as { port: number }).port;
}

/** Sends back what it is sent, `prefix` first; ends when its client does. */
export function echo(prefix = ''): (caller: Caller) => void {
  return ({ socket }) => {
    if (prefix !== '') socket.write(prefix);
    socket.on('data', (data) => {
      if (!socket.write(data)) socket.pause();
    });
    socket.on('drain', () => socket.resume());
    socket.on('end', () => socket.end());
  };
}

/** A UDP socket that keeps what it was sent. */
export class Datagrams {
  readonly socket: UdpSocket;
  readonly received: string[] = [];

  private constructor(socket: UdpSocket) {
    this.socket = socket;
    socket.on('message', (data) => void this.received.push(data.latin1Slice()));
    socket.on('error', () => {});
  }

  static async open(scope: Scope): Promise<Datagrams> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    scope.after(() => socket.close());
    return new Datagrams(socket);
  }

  get port(): number {
    return this.socket.address().port;
  }

  send(port: number, text: string): void {
    this.socket.send(Buffer.from(text, 'latin1'), port, '127.0.0.1');
  }

  /** Waits until so many have come in all. */
  async count(n: number): Promise<string[]> {
    await until(
      () => `${n} datagrams, not ${this.received.length}`,
      () => this.received.length >= n,
    );
    return this.received;
  }
}

/** A UDP server that answers each datagram. @returns its port */
export async function answer(scope: Scope, reply: (text: string, from: number) => string[]): Promise<number> {
  const datagrams = await Datagrams.open(scope);
  datagrams.socket.on('message', (data, from) => {
    for (const text of reply(data.latin1Slice(), from.port)) datagrams.send(from.port, text);
  });
  return datagrams.port;
}
