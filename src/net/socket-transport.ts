/** A connection over a socket of Node: plain by libuv, TLS, or a pipe that stands for a socket (pipe.ts). */
import { Buffer } from 'node:buffer';
import { writeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { clock } from './clock.ts';
import { HEADROOM, largeView, LARGE_READ, readArea, smallView, SMALL_READ } from './read-area.ts';
import { reset } from './reset.ts';
import { Timer } from './timers.ts';
import { CLOSING_MS, HELD, NOBODY, SENT, Transport } from './transport.ts';

const EMPTY = Buffer.alloc(0);

/** Options for the sockets we make: reads go to the transport that is made right after. */
export interface ReadHook {
  transport: SocketTransport | null;
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

/** Pipes want to know whether bytes need memory of their own: what a transport hands on does not. */
interface Lender {
  lends?: boolean;
}

/** What Node keeps behind a socket. */
interface HandleHolder {
  _handle: { readonly fd: number } | null;
}

export class SocketTransport extends Transport {
  readonly socket: Socket;
  readonly direct: boolean;

  #error: Error | null = null;
  /** It is no socket of the system, but goes through others. */
  readonly #pipe: boolean;
  #draining = false;
  /** Runs while the rest is waited for. */
  #closing: Timer | null = null;
  /** The socket's descriptor, once it was asked for. */
  #fd = -1;
  #paused = false;
  /** What the socket reads into, and what it should from the next read on. */
  #large = false;
  #wantsLarge = false;

  /** `hook`: what `readHook` gave and the socket was made with; null: the socket emits `data`. */
  constructor(socket: Socket, hook: ReadHook | null) {
    super();
    this.socket = socket;
    this.direct = hook !== null;
    this.#pipe = hook === null && 'lends' in socket;
    if (hook !== null) hook.transport = this;
    else {
      if (this.#pipe) (socket as Lender).lends = true;
      socket.on('data', (chunk: Buffer) => {
        clock.update();
        this.bytesRead += chunk.length;
        this.owner.onData(chunk, 0, chunk.length);
      });
    }
    socket.on('end', () => {
      if (this.ended) return;
      this.ended = true;
      clock.update();
      this.owner.onEnd();
    });
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.on('close', () => {
      this.closed = true;
      this.#closing?.drop();
      clock.update();
      this.owner.onClose(this.#error);
      this.owner = NOBODY;
    });
  }

  start(): void {
    if (this.direct) this.socket.read(0);
  }

  get gone(): boolean {
    return this.closed || this.socket.destroyed;
  }

  get waits(): boolean {
    return this.socket.writableLength !== 0;
  }

  get remoteAddress(): string {
    return this.socket.remoteAddress ?? '';
  }
  get remotePort(): number {
    return this.socket.remotePort ?? 0;
  }
  get localAddress(): string {
    return this.socket.localAddress ?? '';
  }
  get localPort(): number {
    return this.socket.localPort ?? 0;
  }

  setNoDelay(on: boolean): void {
    this.socket.setNoDelay(on);
  }

  setKeepAlive(on: boolean, idleMs: number): void {
    this.socket.setKeepAlive(on, idleMs);
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
    this.bytesRead += n;
    this.owner.onData(readArea, HEADROOM, HEADROOM + n);
    return !this.#paused;
  }

  slowDown(): void {
    this.#wantsLarge = false;
  }

  protected override writeNow(buf: Buffer, start: number, end: number): number {
    const { socket } = this;
    if (socket.destroyed) return SENT;
    if (!this.direct) {
      // TLS encrypts during the call.
      socket.write(buf.subarray(start, end));
      // A pipe says at once whether it has taken them; TLS, a turn later.
      return socket.writableLength > (this.#pipe ? 0 : LARGE_READ) ? this.#settle() : SENT;
    }
    const rest = start + this.#writeDirect(buf, start, end);
    return rest === end ? SENT : this.queue(Buffer.from(buf.subarray(rest, end)));
  }

  /**
   * Gives bytes to the kernel by write(2); nothing else waits to be written. A socket closes its descriptor nowhere but
   * where it is destroyed, so bytes never go to somebody else's.
   * @returns how many bytes were taken; errors are left to the socket, which meets them next
   */
  #writeDirect(buf: Buffer, start: number, end: number): number {
    if (this.#fd < 0) this.#fd = (this.socket as unknown as HandleHolder)._handle?.fd ?? -1;
    if (this.#fd < 0) return 0;
    try {
      return writeSync(this.#fd, buf, start, end - start);
    } catch {
      return 0;
    }
  }

  protected override queue(bytes: Buffer): number {
    this.socket.write(bytes);
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

  end(): void {
    this.flush();
    if (!this.closed && this.socket.writable) this.socket.end();
  }

  close(mostMs: number = CLOSING_MS): void {
    if (this.closed) return;
    this.flush();
    if (this.socket.writableLength === 0) return this.destroy();
    this.#closing ??= new Timer(() => this.destroy());
    if (!this.#closing.armed) this.#closing.arm(mostMs);
    this.socket.destroySoon();
  }

  override detach(): void {
    if (this.direct) super.detach();
    this.flush();
    this.socket.pause();
    // The others have nobody to tell from now on.
    this.socket.removeAllListeners('data');
    if (this.#pipe) (this.socket as Lender).lends = false;
    this.closed = true;
    this.owner = NOBODY;
  }

  destroy(byReset = false): void {
    if (this.closed) return;
    if (byReset) reset(this.socket);
    else this.socket.destroy();
  }
}
