/** Listening sockets of a worker. Each worker has its own on the same address (SO_REUSEPORT); the kernel spreads connections. */
import { createServer, Socket } from 'node:net';
import type { Server, SocketConstructorOpts } from 'node:net';
import { holds, letsGo } from './descriptors.ts';
import { ringInUse } from './dial.ts';
import type { IoUring, Waiter } from './io-uring.ts';
import { libc } from './libc.ts';
import { RingTransport } from './ring-transport.ts';
import { NO_DELAY, setOption } from './socket-options.ts';
import { readHook, SocketTransport } from './socket-transport.ts';
import { Timer } from './timers.ts';
import type { Transport } from './transport.ts';

export interface ListenOptions {
  kind: 'tcp' | 'unix';
  host: string;
  port: number;
  ipv6only: boolean;
  backlog: number;
}

/** What Node keeps behind a listening server; see `takeHandles`. */
interface ServerHandle {
  readonly fd: number;
  onconnection?: (status: number, handle: SocketHandle | undefined) => void;
}

interface SocketHandle {
  readonly fd: number;
  setNoDelay?(on: boolean): void;
  close(): void;
}

/** Called with each connection: its transport, or the bare socket where that is wanted. */
export type OnConnection = (connection: Transport | Socket) => void;

/** Connections that may be had as transports although the address gives bare sockets: TLS without Node's streams. */
export interface NativeListening {
  /** Never without a ring. */
  wanted(): boolean;
  make(ring: IoUring, fd: number): RingTransport;
}

/** So long nothing is accepted when the system has no more descriptors or memory, as in nginx. */
const EXHAUSTED_MS = 500;
/** ENOMEM, ENFILE, EMFILE, ENOBUFS. Anything else concerns one connection. */
const EXHAUSTED: ReadonlySet<number> = new Set([-12, -23, -24, -105]);

export class Listener {
  readonly options: ListenOptions;
  readonly #server: Server;
  readonly #raw: boolean;
  readonly #native: NativeListening | null;
  readonly #onConnection: OnConnection;
  #acceptor: Acceptor | null = null;

  /**
   * @param raw give bare sockets (for TLS) instead of transports
   * @param native of an address with bare sockets: asked with each connection
   */
  constructor(options: ListenOptions, raw: boolean, onConnection: OnConnection, native: NativeListening | null = null) {
    this.options = options;
    this.#raw = raw;
    this.#native = native;
    this.#onConnection = onConnection;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: false, highWaterMark: 1 << 20 });
    this.#server.on('connection', (socket) => onConnection(raw ? socket : new SocketTransport(socket, null)));
    this.#server.on('error', () => {});
  }

  /** Binds and listens. Rejects with the system's error. */
  listen(): Promise<void> {
    const { kind, host, port, ipv6only, backlog } = this.options;
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      const options =
        kind === 'unix'
          ? { path: host, backlog }
          : { host, port, backlog, ipv6Only: ipv6only, reusePort: true, exclusive: true };
      this.#server.listen(options, () => {
        this.#server.off('error', reject);
        const { _handle: handle } = this.#server as unknown as { _handle?: ServerHandle | null };
        if (handle !== undefined && handle !== null) this.#takeOver(handle);
        resolve();
      });
    });
  }

  /**
   * Node makes a socket of its own for each accepted connection, which costs more than what a short one is for. With a
   * ring connections are accepted by that; without, the handle is taken where Node would make the socket, to make it with
   * `onread`, without which each read costs a buffer. This is the one place that looks behind Node's public interface;
   * where the handle is not as expected, connections take the public way and only cost more.
   */
  #takeOver(handle: ServerHandle): void {
    const ring = ringInUse();
    if (ring === null) {
      if (!this.#raw) this.#takeHandles(handle);
      return;
    }
    if (this.options.kind === 'unix') {
      // Node removes the socket's file when it closes the server: that has to stay Node's.
      this.#takeDescriptors(handle, ring);
      return;
    }
    // What this thread listens on outlives the server.
    const fd = libc.dup(handle.fd);
    if (fd < 0) return;
    // Connections have it from the socket that accepts them.
    setOption(fd, NO_DELAY, 1);
    this.#server.close();
    this.#acceptor = new Acceptor(ring, fd, (accepted) => this.#give(ring, accepted));
  }

  #takeHandles(handle: ServerHandle): void {
    if (typeof handle.onconnection !== 'function') return;
    handle.onconnection = (status, client) => {
      if (status !== 0 || client === undefined) return;
      client.setNoDelay?.(true);
      const hook = readHook();
      const options = { handle: client, onread: hook.onread, allowHalfOpen: true, highWaterMark: 1 << 20 };
      const transport = new SocketTransport(new Socket(options as unknown as SocketConstructorOpts), hook);
      this.#onConnection(transport);
      transport.start();
    };
  }

  #takeDescriptors(handle: ServerHandle, ring: IoUring): void {
    if (typeof handle.onconnection !== 'function') return;
    handle.onconnection = (status, client) => {
      if (status !== 0 || client === undefined) return;
      const fd = libc.dup(client.fd);
      client.close();
      if (fd >= 0) this.#give(ring, fd);
    };
  }

  #give(ring: IoUring, fd: number): void {
    if (this.#raw && this.#native?.wanted() !== true) {
      this.#onConnection(new Socket({ fd, allowHalfOpen: true, highWaterMark: 1 << 20 } as SocketConstructorOpts));
      return;
    }
    const transport = this.#raw ? this.#native!.make(ring, fd) : new RingTransport(ring, fd);
    this.#onConnection(transport);
    transport.start();
  }

  /** Stops accepting; connections stay. */
  close(): void {
    this.#acceptor?.close();
    this.#server.close();
  }
}

/** Accepts by the ring. */
class Acceptor implements Waiter {
  readonly #ring: IoUring;
  readonly #fd: number;
  readonly #take: (fd: number) => void;
  readonly #later = new Timer(() => this.#accept());
  #token = -1;
  #closed = false;

  constructor(ring: IoUring, fd: number, take: (fd: number) => void) {
    this.#ring = ring;
    this.#fd = fd;
    holds(fd);
    this.#take = take;
    this.#accept();
  }

  #accept(): void {
    this.#token = this.#ring.accept(this.#fd, this);
  }

  received(): void {}

  accepted(fd: number): void {
    if (this.#closed) this.#ring.close(fd);
    else this.#take(fd);
  }

  /** The last one, or an error. */
  ended(result: number): void {
    this.#token = -1;
    if (result >= 0) this.accepted(result);
    if (this.#closed) return;
    if (EXHAUSTED.has(result)) this.#later.arm(EXHAUSTED_MS);
    else this.#accept();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#later.drop();
    if (this.#token >= 0) this.#ring.cancel(this.#token);
    letsGo(this.#fd);
    this.#ring.close(this.#fd);
  }
}
