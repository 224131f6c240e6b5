/**
 * A byte connection: a thin layer over `net.Socket` (or `tls.TLSSocket`) that gives bytes without allocating per read
 * and tells exactly when a written buffer may be reused.
 *
 * Plain sockets read into one buffer that all connections of the thread share: bytes are valid only during `onData`.
 * A connection that streams a body switches to private buffers (`streaming = true`), so that bytes can be handed on to
 * the other side without a copy and be kept (`keep()`) while that side is slow. Measured against `'data'` events with a
 * buffer each, this saves about 1.6 of 11.4 microseconds of CPU per proxied request.
 */
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { Buffer } from 'node:buffer';
import { clock } from './clock.ts';

/** All bytes were given to the kernel: the buffer is free. */
export const SENT = 0;
/** The buffer belongs to the transport until `onDrain`. */
export const HELD = 1;

export const READ_SIZE = 65536;

/** Who owns a transport and is told what happens on it. */
export interface TransportOwner {
  /** Bytes arrived; valid during the call, or longer after `transport.keep()` while streaming. */
  onData(buf: Buffer, start: number, end: number): void;
  /** The peer will send nothing more. */
  onEnd(): void;
  /** What was written and held has been taken. */
  onDrain(): void;
  /** The connection is gone; nothing follows. `error` is null after an orderly end. */
  onClose(error: Error | null): void;
}

const EMPTY = Buffer.alloc(0);
const shared = Buffer.allocUnsafeSlow(READ_SIZE);
const spare: Buffer[] = [];
const MAX_SPARE = 64;

/** A private read buffer; give it back with `releaseBuffer`. */
export function acquireBuffer(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafeSlow(READ_SIZE);
}

export function releaseBuffer(buf: Buffer): void {
  if (buf.length === READ_SIZE && buf !== shared && spare.length < MAX_SPARE) spare.push(buf);
}

const NOBODY: TransportOwner = {
  onData() {},
  onEnd() {},
  onDrain() {},
  onClose() {},
};

/** Options for the sockets we make: reads go through `next` and `read` of the transport made afterwards. */
export interface ReadHook {
  transport: Transport | null;
  readonly onread: { buffer: () => Uint8Array; callback: (n: number, buf: Uint8Array) => boolean };
}

/** The `onread` option for a socket whose transport is made right after it. */
export function readHook(): ReadHook {
  let started = false;
  const hook: ReadHook = {
    transport: null,
    onread: {
      // Node asks for the next buffer after each read; "none" keeps the present one.
      buffer: () => {
        if (!started) {
          started = true;
          return shared;
        }
        return hook.transport!.nextBuffer() as Uint8Array;
      },
      callback: (n, buf) => hook.transport!.deliver(n, buf as Buffer),
    },
  };
  return hook;
}

export class Transport {
  readonly socket: Socket;
  owner: TransportOwner = NOBODY;
  /** Bytes written so far, accepted by the transport. */
  bytesWritten = 0;
  bytesRead = 0;
  /** Read into private buffers from the next read on. */
  streaming = false;
  closed = false;
  /** The peer has ended its side. */
  ended = false;

  #error: Error | null = null;
  #private: Buffer | null = null;
  #kept = false;
  #draining = false;
  #paused = false;

  /** `hook`: what `readHook` gave and the socket was made with; null: the socket emits `data` (TLS). */
  constructor(socket: Socket, hook: ReadHook | null) {
    this.socket = socket;
    if (hook !== null) hook.transport = this;
    else {
      socket.on('data', (chunk: Buffer) => {
        clock.update();
        this.bytesRead += chunk.length;
        this.owner.onData(chunk, 0, chunk.length);
      });
    }
    socket.on('end', () => {
      this.ended = true;
      clock.update();
      this.owner.onEnd();
    });
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.on('close', () => {
      this.closed = true;
      clock.update();
      if (this.#private !== null && !this.#kept) releaseBuffer(this.#private);
      this.#private = null;
      this.owner.onClose(this.#error);
      this.owner = NOBODY;
    });
  }

  /** @internal The buffer for the next read, or undefined to go on with the present one. */
  nextBuffer(): Buffer | undefined {
    if (this.streaming) {
      if (this.#private !== null && !this.#kept) return undefined;
      this.#kept = false;
      return (this.#private = acquireBuffer());
    }
    if (this.#private === null) return undefined;
    if (!this.#kept) releaseBuffer(this.#private);
    this.#kept = false;
    this.#private = null;
    return shared;
  }

  /** @internal */
  deliver(n: number, buf: Buffer): boolean {
    clock.update();
    this.bytesRead += n;
    this.owner.onData(buf, 0, n);
    return !this.#paused;
  }

  /** Whether `keep` would let the caller have `buf`. */
  keepable(buf: Buffer): boolean {
    return buf !== shared;
  }

  /**
   * Inside `onData`: the caller keeps the buffer and will `releaseBuffer` it.
   * @returns false when the bytes stand in the shared buffer and must be copied instead
   */
  keep(buf: Buffer): boolean {
    if (buf === shared) return false;
    if (buf === this.#private) this.#kept = true;
    return true;
  }

  /**
   * Writes `buf[start, end)`.
   * @returns `SENT`, or `HELD`: `owner.onDrain` follows once all is taken
   */
  write(buf: Buffer, start: number, end: number): number {
    if (this.closed) return SENT;
    this.bytesWritten += end - start;
    this.socket.write(start === 0 && end === buf.length ? buf : buf.subarray(start, end));
    return this.#settle();
  }

  /** Writes several pieces in one system call where possible. */
  writeMany(pieces: Buffer[]): number {
    if (this.closed) return SENT;
    this.socket.cork();
    for (const piece of pieces) {
      this.bytesWritten += piece.length;
      this.socket.write(piece);
    }
    this.socket.uncork();
    return this.#settle();
  }

  #settle(): number {
    if (this.socket.writableLength === 0) return SENT;
    // An empty write queued behind the rest is told when everything before it is taken.
    if (!this.#draining) {
      this.#draining = true;
      this.socket.write(EMPTY, this.#drained);
    }
    return HELD;
  }

  readonly #drained = (error?: Error | null): void => {
    this.#draining = false;
    if (this.closed || (error !== null && error !== undefined)) return;
    clock.update();
    if (this.socket.writableLength !== 0) {
      this.#settle();
      return;
    }
    this.owner.onDrain();
  };

  /** Whether something written is still waiting to be taken. */
  get busy(): boolean {
    return this.socket.writableLength !== 0;
  }

  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (!this.closed) this.socket.resume();
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Sends what is written, then FIN; the other direction goes on. */
  end(): void {
    if (!this.closed && this.socket.writable) this.socket.end();
  }

  /** Closes after what was written is taken. */
  close(): void {
    if (this.closed) return;
    if (this.socket.writableLength === 0) this.socket.destroy();
    else this.socket.destroySoon();
  }

  /** Closes at once; with `reset` by RST, so that the peer sees the cut. */
  destroy(reset = false): void {
    if (this.closed) return;
    if (reset && typeof this.socket.resetAndDestroy === 'function') this.socket.resetAndDestroy();
    else this.socket.destroy();
  }
}

export interface ConnectOptions {
  host: string;
  port: number;
  /** Path of a unix socket; host and port are ignored. */
  path: string | null;
  localAddress: string | null;
  keepAlive: boolean;
}

/** Opens a connection; `onConnect` is called once, unless `owner.onClose` comes first. */
export function dial(options: ConnectOptions, owner: TransportOwner, onConnect: () => void): Transport {
  const hook = readHook();
  const common = { onread: hook.onread, noDelay: true, allowHalfOpen: true, highWaterMark: 1 << 20 };
  const socket =
    options.path !== null
      ? connect({ ...common, path: options.path })
      : connect({
          ...common,
          host: options.host,
          port: options.port,
          keepAlive: options.keepAlive,
          autoSelectFamily: false,
          ...(options.localAddress === null ? null : { localAddress: options.localAddress }),
        });
  const transport = new Transport(socket, hook);
  transport.owner = owner;
  socket.once('connect', () => {
    clock.update();
    onConnect();
  });
  return transport;
}
