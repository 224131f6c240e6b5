/**
 * A byte connection: a thin layer over `net.Socket` (or `tls.TLSSocket`) that neither allocates per read nor ties up
 * buffers.
 *
 * All connections of a thread read into one area: bytes are valid only during `onData`. That costs nothing as long as
 * what they become is written at once, and it is: `write` gives bytes to the kernel directly and copies only what the
 * kernel does not take. Measured: one area instead of a buffer per `'data'` event saves 1.6 of 11.4 microseconds of
 * CPU per small proxied request; reading 512 KiB at a time into one area that stays in the cache, instead of 64 KiB
 * into a buffer per connection, takes 1 MiB answers from 690 to 470 microseconds.
 *
 * With io_uring (`useRing`) small messages come and go by the ring (`ring-reader.ts`); libuv reads in bulk.
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { Buffer } from 'node:buffer';
import { writeSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { clock } from './clock.ts';
import type { IoUring, Sender } from './io-uring.ts';
import { HEADROOM, largeView, LARGE_READ, readArea, smallView, SMALL_READ } from './read-area.ts';
import { reset } from './reset.ts';
import { RingReader } from './ring-reader.ts';
import type { RingSource } from './ring-reader.ts';
import { Timer } from './timers.ts';
import { BATCHED_MAX, writeBatch } from './write-batch.ts';
import type { Batched } from './write-batch.ts';

/** All bytes were given to the kernel. */
export const SENT = 0;
/** Some wait for the peer: send nothing more before `onDrain`. The buffer is free in any case. */
export const HELD = 1;

/** Who owns a transport and is told what happens on it. */
export interface TransportOwner {
  /** Bytes arrived; valid during the call. */
  onData(buf: Buffer, start: number, end: number): void;
  /** The peer will send nothing more. */
  onEnd(): void;
  /** What was held has been taken. */
  onDrain(): void;
  /** The connection is gone; nothing follows. `error` is null after an orderly end. */
  onClose(error: Error | null): void;
}

/** How long `close` waits for a peer to take the rest, if nothing else is said: nginx's default `send_timeout`. */
const CLOSING_MS = 60_000;
const EMPTY = Buffer.alloc(0);

let ring: IoUring | null = null;

/** All plain connections of the thread that are made from now on use the ring. */
export function useRing(given: IoUring): void {
  ring = given;
  writeBatch.useRing(given);
}

/** Whether connections of this thread use it. */
export function ringInUse(): boolean {
  return ring !== null;
}

const NOBODY: TransportOwner = {
  onData() {},
  onEnd() {},
  onDrain() {},
  onClose() {},
};

/** Options for the sockets we make: reads go to the transport that is made right after. */
export interface ReadHook {
  transport: Transport | null;
  readonly onread: { buffer: () => Uint8Array; callback: (n: number, buf: Uint8Array) => boolean };
}

/** The `onread` option for a socket whose transport is made right after it. */
export function readHook(): ReadHook {
  const hook: ReadHook = {
    transport: null,
    onread: {
      // Node asks for the next buffer after each read; "none" keeps the present one.
      buffer: () => (hook.transport === null ? smallView : (hook.transport.nextView() as Uint8Array)),
      callback: (n) => hook.transport!.deliver(n),
    },
  };
  return hook;
}

/** Pipes (pipe.ts) want to know whether bytes need memory of their own: what a transport hands on does not. */
interface Lender {
  lends?: boolean;
}

/** What Node keeps behind a socket. */
interface HandleHolder {
  _handle: { readonly fd: number } | null;
}

export class Transport implements Batched, RingSource, Sender {
  readonly socket: Socket;
  owner: TransportOwner = NOBODY;
  /** Bytes accepted by `write` so far. */
  bytesWritten = 0;
  bytesRead = 0;
  closed = false;
  /** The peer has ended its side. */
  ended = false;

  #error: Error | null = null;
  /** Bytes go to the kernel without Node's stream in between. */
  readonly direct: boolean;
  /** It is no socket of the system, but goes through others (pipe.ts). */
  #pipe = false;
  #draining = false;
  /** Runs while the rest is waited for. */
  #closing: Timer | null = null;
  /** Where bytes wait in the batch; start -1: none do. */
  #batchedStart = -1;
  #batchedEnd = 0;
  /** The socket's descriptor, once it was asked for. */
  #fd = -1;
  #paused = false;
  /** What the socket reads into, and what it should from the next read on. */
  #large = false;
  #wantsLarge = false;
  /** Reads in place of libuv; null: libuv reads. */
  readonly #reader: RingReader | null;

  /** `hook`: what `readHook` gave and the socket was made with; null: the socket emits `data` (TLS). */
  constructor(socket: Socket, hook: ReadHook | null) {
    this.socket = socket;
    this.direct = hook !== null;
    this.#reader = hook === null || ring === null ? null : new RingReader(ring, this);
    // Node would read once it is connected.
    if (this.#reader !== null) socket.pause();
    if (hook !== null) hook.transport = this;
    else {
      this.#pipe = 'lends' in socket;
      if (this.#pipe) (socket as Lender).lends = true;
      socket.on('data', (chunk: Buffer) => {
        clock.update();
        this.bytesRead += chunk.length;
        this.owner.onData(chunk, 0, chunk.length);
      });
    }
    socket.on('end', () => this.tellEnd());
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.on('close', () => {
      this.closed = true;
      this.#reader?.letGo();
      this.#closing?.drop();
      clock.update();
      this.owner.onClose(this.#error);
      this.owner = NOBODY;
      this.released();
    });
  }

  /** Nothing more comes from the peer. */
  protected tellEnd(): void {
    if (this.ended) return;
    this.ended = true;
    clock.update();
    this.owner.onEnd();
  }

  /** It is closed, and its owner knows. */
  protected released(): void {}

  /** Begins to read: once, when the socket is connected. */
  start(): void {
    if (this.#reader !== null) this.#reader.start();
    else if (this.direct) this.socket.read(0);
  }

  /** @internal */
  get gone(): boolean {
    return this.closed || this.socket.destroyed;
  }

  /** @internal */
  take(buf: Buffer, start: number, end: number): void {
    this.bytesRead += end - start;
    this.owner.onData(buf, start, end);
  }

  /** @internal */
  readInBulk(): void {
    this.socket.resume();
  }

  /** @internal */
  stopBulk(): void {
    this.socket.pause();
  }

  /** @internal */
  over(result: number): void {
    if (result === 0) {
      // Node tells of the end, and closes when both sides have ended.
      this.socket.push(null);
      this.socket.read(0);
      return;
    }
    const code = getSystemErrorName(result);
    this.socket.destroy(Object.assign(new Error(`read ${code}`), { code, errno: result, syscall: 'read' }));
  }

  /** @internal The view for the next read, or undefined to go on with the present one. */
  nextView(): Buffer | undefined {
    if (this.#wantsLarge === this.#large) return undefined;
    this.#large = this.#wantsLarge;
    return this.#large ? largeView : smallView;
  }

  /** @internal */
  deliver(n: number): boolean {
    clock.update();
    // A peer that fills the view sends much: read more at a time, unless `slowDown` says who takes it is slow.
    if (n === SMALL_READ) this.#wantsLarge = true;
    this.take(readArea, HEADROOM, HEADROOM + n);
    if (this.#reader !== null && this.#reader.backFromBulk(n)) return false;
    return !this.#paused;
  }

  /** Who takes what is read here is slow: less at a time means less to hold. */
  slowDown(): void {
    this.#wantsLarge = false;
  }

  /**
   * Writes `buf[start, end)`: large messages at once, small ones at the end of the turn (see write-batch.ts). What the
   * kernel does not take is copied: `buf` is free afterwards.
   * @returns `SENT`, or `HELD`: `owner.onDrain` follows once all is taken
   */
  write(buf: Buffer, start: number, end: number): number {
    if (this.closed) return SENT;
    this.bytesWritten += end - start;
    if (this.#batchedStart >= 0) {
      const at = writeBatch.extend(this.#batchedStart, this.#batchedEnd, buf, start, end);
      if (at >= 0) {
        this.#batchedStart = at;
        this.#batchedEnd = writeBatch.length;
        return SENT;
      }
      this.flush();
    }
    if (this.socket.writableLength !== 0) {
      this.socket.write(Buffer.from(buf.subarray(start, end)));
      return this.#settle();
    }
    if (end - start <= BATCHED_MAX) {
      this.#batchedStart = writeBatch.add(this, buf, start, end);
      if (this.#batchedStart >= 0) {
        this.#batchedEnd = writeBatch.length;
        return SENT;
      }
    }
    return this.#writeNow(buf, start, end);
  }

  /** What was written and waits for the end of the turn goes out now. */
  flush(): void {
    this.flushBatched(null);
  }

  /** @internal */
  flushBatched(by: IoUring | null): void {
    const start = this.#batchedStart;
    if (start < 0) return;
    this.#batchedStart = -1;
    if (this.closed || this.socket.destroyed) return;
    if (by !== null && this.direct) {
      const fd = this.descriptor();
      if (fd >= 0) {
        by.send(fd, this, start, this.#batchedEnd);
        return;
      }
    }
    this.#writeNow(writeBatch.buf, start, this.#batchedEnd);
  }

  /** @internal The kernel did not take this part of the batch. */
  unsent(start: number, end: number): void {
    if (start === end || this.closed || this.socket.destroyed) return;
    this.socket.write(Buffer.from(writeBatch.buf.subarray(start, end)));
    this.#settle();
  }

  /** @internal The socket's descriptor; -1: it has none, or no more. */
  descriptor(): number {
    if (this.#fd < 0) this.#fd = (this.socket as unknown as HandleHolder)._handle?.fd ?? -1;
    return this.#fd;
  }

  /** Nothing else waits to be written. */
  #writeNow(buf: Buffer, start: number, end: number): number {
    const { socket } = this;
    if (!this.direct) {
      // TLS encrypts during the call.
      socket.write(buf.subarray(start, end));
      // A pipe says at once whether it has taken them; TLS, a turn later.
      return socket.writableLength > (this.#pipe ? 0 : LARGE_READ) ? this.#settle() : SENT;
    }
    const rest = start + this.#writeDirect(buf, start, end);
    if (rest === end) return SENT;
    socket.write(Buffer.from(buf.subarray(rest, end)));
    return this.#settle();
  }

  /**
   * Gives bytes to the kernel by write(2); nothing else waits to be written. A socket closes its descriptor nowhere but
   * where it is destroyed, so bytes never go to somebody else's.
   * @returns how many bytes were taken; errors are left to the socket, which meets them next
   */
  #writeDirect(buf: Buffer, start: number, end: number): number {
    if (this.socket.destroyed) return 0;
    const fd = this.descriptor();
    if (fd < 0) return 0;
    try {
      return writeSync(fd, buf, start, end - start);
    } catch {
      return 0;
    }
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

  /** Whether something written is still waiting to be taken. Over TLS it is taken, but Node tells so a turn later. */
  get busy(): boolean {
    return this.#batchedStart >= 0 || (this.direct && this.socket.writableLength !== 0);
  }

  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    if (this.#reader === null || this.#reader.bulk) this.socket.pause();
    else this.#reader.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.closed) return;
    if (this.#reader === null || this.#reader.bulk) this.socket.resume();
    else this.#reader.resume();
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Sends what is written, then FIN; the other direction goes on. */
  end(): void {
    this.flush();
    if (!this.closed && this.socket.writable) this.socket.end();
  }

  /** Closes after what was written is taken; at once when the peer has not taken it within `mostMs`. */
  close(mostMs: number = CLOSING_MS): void {
    if (this.closed) return;
    this.flush();
    if (this.socket.writableLength === 0) return this.destroy();
    this.#closing ??= new Timer(() => this.destroy());
    if (!this.#closing.armed) this.#closing.arm(mostMs);
    this.socket.destroySoon();
  }

  /**
   * Lets go of a socket that is not closed, so that somebody else may take it over; only for those that emit `data` (made
   * without hook). Nothing more is told to the owner; the socket is paused.
   */
  detach(): void {
    this.flush();
    this.socket.pause();
    // The others have nobody to tell from now on.
    this.socket.removeAllListeners('data');
    if (this.#pipe) (this.socket as Lender).lends = false;
    this.closed = true;
    this.owner = NOBODY;
  }

  /** Closes at once; `byReset`: by RST where there is such a thing, so that the peer sees the cut. */
  destroy(byReset = false): void {
    if (this.closed) return;
    this.#reader?.letGo();
    if (byReset) reset(this.socket);
    else this.socket.destroy();
  }
}

export interface ConnectOptions {
  host: string;
  port: number;
  /** Path of a unix socket; host and port are ignored. */
  path: string | null;
  localAddress: string | null;
  /** 0: any. */
  localPort: number;
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
          ...(options.localAddress === null
            ? null
            : { localAddress: options.localAddress, localPort: options.localPort }),
        });
  const transport = new Transport(socket, hook);
  transport.owner = owner;
  socket.once('connect', () => {
    clock.update();
    if (ring !== null) transport.start();
    onConnect();
  });
  return transport;
}
