/** Listening sockets of a worker. Each worker has its own on the same address (SO_REUSEPORT); the kernel spreads connections. */
import { createServer, Socket } from 'node:net';
import type { Server, SocketConstructorOpts } from 'node:net';
import { readHook, Transport } from './transport.ts';
import type { ReadHook } from './transport.ts';

export interface ListenOptions {
  kind: 'tcp' | 'unix';
  host: string;
  port: number;
  ipv6only: boolean;
  backlog: number;
}

/** What Node keeps behind a listening server; see `takeHandles`. */
interface ServerHandle {
  onconnection?: (status: number, handle: SocketHandle | undefined) => void;
}

interface SocketHandle {
  setNoDelay?(on: boolean): void;
  close(): void;
}

/** Called with each connection; plain ones come with their transport, for TLS the bare socket is wanted, or what `NativeListening` makes. */
export type OnConnection = (socket: Socket, transport: Transport | null) => void;

/** Connections that may be had as transports although the address gives bare sockets: TLS without Node's streams. */
export interface NativeListening {
  wanted(): boolean;
  make(socket: Socket, hook: ReadHook): Transport;
}

export class Listener {
  readonly options: ListenOptions;
  readonly #server: Server;
  readonly #raw: boolean;
  readonly #native: NativeListening | null;
  readonly #onConnection: OnConnection;

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
    this.#server.on('connection', (socket) => this.#accept(socket));
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
        this.#takeHandles();
        resolve();
      });
    });
  }

  /**
   * Node makes a socket of its own options for each accepted connection, without `onread`, which costs a buffer per
   * read. Taking the handle where Node would make that socket lets us make it with `onread`. This is the one place that
   * looks behind Node's public interface; where the handle is not as expected, connections take the public way and only
   * cost more.
   */
  #takeHandles(): void {
    if (this.#raw && this.#native === null) return;
    const handle = (this.#server as unknown as { _handle?: ServerHandle })._handle;
    if (handle === undefined || handle === null || typeof handle.onconnection !== 'function') return;
    const byNode = handle.onconnection.bind(handle);
    handle.onconnection = (status, client) => {
      if (status !== 0 || client === undefined) return;
      if (this.#raw && !this.#native!.wanted()) {
        byNode(status, client);
        return;
      }
      client.setNoDelay?.(true);
      const hook = readHook();
      const options = { handle: client, onread: hook.onread, allowHalfOpen: true, highWaterMark: 1 << 20 };
      const socket = new Socket(options as unknown as SocketConstructorOpts);
      const transport = this.#raw ? this.#native!.make(socket, hook) : new Transport(socket, hook);
      this.#onConnection(socket, transport);
      transport.start();
    };
  }

  #accept(socket: Socket): void {
    this.#onConnection(socket, this.#raw ? null : new Transport(socket, null));
  }

  /** Stops accepting; connections stay. */
  close(): void {
    this.#server.close();
  }
}
