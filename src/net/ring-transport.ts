/**
 * A connection whose bytes io_uring carries: small messages by the ring itself, as the kernel brings them and as the
 * batch sends them; much at a time by system calls of its own, when the ring says that they will bring something. It is
 * a descriptor and no socket of Node, which would cost more than all the rest of a short connection.
 */
import { Buffer } from 'node:buffer';
import { writeSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { clock } from './clock.ts';
import { holds, letsGo } from './descriptors.ts';
import { ECANCELED, POLL_OUT } from './io-uring.ts';
import type { IoUring, Sender, Told, Waiter } from './io-uring.ts';
import { filledPipe, kernelPipe, PIPED } from './kernel-pipe.ts';
import { addressOfBytes, libc } from './libc.ts';
import { HEADROOM, LARGE_READ, readArea, SMALL_READ } from './read-area.ts';
import { RingReader } from './ring-reader.ts';
import type { RingSource } from './ring-reader.ts';
import { LINGER, localEnd, NO_DELAY, remoteEnd, setKeepAlive, setOption } from './socket-options.ts';
import type { End } from './socket-options.ts';
import { Timer } from './timers.ts';
import { CLOSING_MS, HELD, NOBODY, SENT, Transport } from './transport.ts';
import { writeBatch } from './write-batch.ts';
import type { Flushed } from './write-batch.ts';

const SHUT_WR = 1;
/** What is read of a message whose rest is passed on. */
const HEAD_READ = 16 * 1024;
const HEAD_N = BigInt(HEAD_READ);
const SMALL_N = BigInt(SMALL_READ);
const LARGE_N = BigInt(LARGE_READ);
const area = addressOfBytes(readArea) + BigInt(HEADROOM);

/** How far our side has ended. */
const OPEN = 0;
const ENDING = 1;
const ENDED = 2;

function systemError(errno: number, syscall: string): Error {
  const code = getSystemErrorName(errno);
  return Object.assign(new Error(`${syscall} ${code}`), { code, errno, syscall });
}

export class RingTransport extends Transport implements RingSource, Sender, Flushed, Told {
  readonly direct: boolean = true;
  readonly socket = null;
  readonly #ring: IoUring;
  readonly #reader: RingReader;
  /** -1: closed. */
  #fd: number;
  #error: Error | null = null;
  #side = OPEN;
  /** It closes once all that was written is taken. */
  #closes = false;
  #paused = false;
  /** Much is read at a time. */
  #large = false;
  /** Written and not taken. */
  #queue: Buffer[] | null = null;
  #step: Step | null = null;
  /** Runs while it closes, for so many milliseconds at most. */
  #closing: Timer | null = null;
  #closingMs = 0;
  /** Where the next bytes go, and how many of them; see `passTo`. */
  #passTo: RingTransport | null = null;
  #passMost = 0;
  /** What it brought last was passed on. */
  #passes = false;
  #remote: End | null = null;
  #local: End | null = null;

  /** @param fd of a socket that is connected, or will be when it is started; non-blocking */
  constructor(ring: IoUring, fd: number) {
    super();
    this.#ring = ring;
    this.#fd = fd;
    holds(fd);
    this.#reader = new RingReader(ring, this);
  }

  get descriptor(): number {
    return this.#fd;
  }

  get gone(): boolean {
    return this.#fd < 0 || this.#closes;
  }

  get waits(): boolean {
    return this.#queue !== null;
  }

  // ------------------------------------------------------------------------------------------------ reading

  start(): void {
    this.#reader.start();
  }

  /** Opens the connection, and starts. @param address `struct sockaddr` */
  connect(address: Buffer, onConnect: () => void): void {
    const step = new Step(this.#ring, (result) => {
      this.#step = null;
      if (this.#fd < 0) return;
      if (result < 0) {
        this.fail(systemError(result, 'connect'));
        return;
      }
      this.start();
      onConnect();
    });
    this.#step = step;
    step.connect(this.#fd, address);
  }

  /** @internal */
  take(buf: Buffer, start: number, end: number): void {
    this.bytesRead += end - start;
    if (this.#passTo !== null) {
      this.#passMost -= end - start;
      if (this.#passMost <= 0) this.#passTo = null;
    }
    this.owner.onData(buf, start, end);
  }

  /** @internal */
  pull(): number {
    if (this.#passTo !== null) return this.#pass(this.#passTo);
    if (!this.#passes) return this.#read(this.#large ? LARGE_N : SMALL_N);
    // A message that begins as those that were passed on: its head, then the rest.
    const n = this.#read(HEAD_N);
    if (this.#passTo === null) this.#passes = false;
    else if (n === HEAD_READ && this.#fd >= 0) return n + Math.max(this.#pass(this.#passTo), 0);
    return n;
  }

  #pass(to: RingTransport): number {
    const n = to.#takesPiped ? (kernelPipe()?.fill(this.#fd, this.#passMost) ?? -1) : -1;
    // Nothing is there, or it cannot be done here: a read tells which.
    if (n < 0) return this.#read(this.#large ? LARGE_N : SMALL_N);
    if (n > 0) this.take(PIPED, 0, n);
    return n;
  }

  #read(most: bigint): number {
    const n = libc.read(this.#fd, area, most);
    if (n === SMALL_READ) this.#large = true;
    if (n > 0) this.take(readArea, HEADROOM, HEADROOM + n);
    return n;
  }

  /** @internal */
  over(result: number): void {
    if (result < 0) {
      this.fail(systemError(result, 'read'));
      return;
    }
    this.tellEnd();
    if (this.#side === ENDED) this.destroy();
  }

  /** Nothing more comes from the peer. */
  protected tellEnd(): void {
    if (this.ended) return;
    this.ended = true;
    this.owner.onEnd();
  }

  /** Whether bytes can be moved to it within the kernel. */
  protected get bare(): boolean {
    return true;
  }

  get #takesPiped(): boolean {
    return this.#fd >= 0 && this.#queue === null && this.#side === OPEN && !this.#closes;
  }

  override passTo(to: Transport, most: number): void {
    if (this.#paused || !(to instanceof RingTransport) || !to.bare || !this.bare) return;
    this.#passTo = to;
    this.#passes = true;
    this.#passMost = most;
  }

  slowDown(): void {
    this.#large = false;
  }

  pause(): void {
    this.#passTo = null;
    if (this.#paused) return;
    this.#paused = true;
    this.#reader.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#fd >= 0) this.#reader.resume();
  }

  get paused(): boolean {
    return this.#paused;
  }

  // ------------------------------------------------------------------------------------------------ writing

  override write(buf: Buffer, start: number, end: number): number {
    if (this.gone || this.#side !== OPEN) return SENT;
    return buf === PIPED ? this.#writePiped(end - start) : super.write(buf, start, end);
  }

  #writePiped(n: number): number {
    this.bytesWritten += n;
    this.flush();
    const pipe = filledPipe();
    const given = this.#queue === null ? pipe.give(this.#fd, n) : 0;
    return given === n ? SENT : this.queue(pipe.take(n - given));
  }

  protected override writeBy(by: IoUring, start: number, end: number): boolean {
    if (this.#fd >= 0) by.send(this.#fd, this, start, end);
    return true;
  }

  /** @internal */
  unsent(start: number, end: number, errno: number): void {
    if (this.#fd < 0) return;
    if (errno < 0) this.fail(systemError(errno, 'write'));
    else if (start < end) this.queue(Buffer.from(writeBatch.buf.subarray(start, end)));
  }

  protected override writeNow(buf: Buffer, start: number, end: number): number {
    const sent = this.#send(buf, start, end);
    return this.#fd < 0 || sent === end - start ? SENT : this.queue(Buffer.from(buf.subarray(start + sent, end)));
  }

  /** @returns how many bytes the kernel took; what is wrong is dealt with */
  #send(buf: Buffer, start: number, end: number): number {
    if (this.#fd < 0) return 0;
    try {
      return writeSync(this.#fd, buf, start, end - start);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') this.fail(error as Error);
      return 0;
    }
  }

  protected override queue(bytes: Buffer): number {
    if (this.#queue === null) {
      this.#queue = [bytes];
      this.#step ??= new Step(this.#ring, () => this.#writeOn());
      this.#step.takesMore(this.#fd);
    } else this.#queue.push(bytes);
    return HELD;
  }

  /** The kernel takes more; what is wrong with the socket shows when it is written to. */
  #writeOn(): void {
    const queue = this.#queue;
    if (queue === null || this.#fd < 0) return;
    let done = 0;
    while (done < queue.length) {
      const bytes = queue[done]!;
      const sent = this.#send(bytes, 0, bytes.length);
      if (this.#fd < 0) return;
      if (sent < bytes.length) {
        queue[done] = bytes.subarray(sent);
        queue.splice(0, done);
        this.#step!.takesMore(this.#fd);
        return;
      }
      done++;
    }
    this.#queue = null;
    if (this.#closes) this.destroy();
    else if (this.#side === ENDING) this.#shut();
    else this.owner.onDrain();
  }

  // ------------------------------------------------------------------------------------------------ the end

  end(): void {
    if (this.gone || this.#side !== OPEN) return;
    this.flush();
    this.#side = ENDING;
    if (this.#queue === null) this.#shut();
  }

  #shut(): void {
    this.#side = ENDED;
    if (this.#fd < 0) return;
    libc.shutdown(this.#fd, SHUT_WR);
    if (this.ended) this.destroy();
  }

  close(mostMs: number = CLOSING_MS): void {
    if (this.#fd < 0 || this.#closes) return;
    this.#closingMs = mostMs;
    if (this.batched) {
      // It goes out with all others.
      this.#closes = true;
      this.#reader.letGo();
      writeBatch.tell(this);
    } else this.flushed();
  }

  /** @internal All that was written was given to the kernel, or waits. */
  flushed(): void {
    if (this.#queue === null) {
      this.destroy();
      return;
    }
    if (this.#fd < 0) return;
    this.#closes = true;
    this.#reader.letGo();
    this.#closing = new Timer(() => this.destroy());
    this.#closing.arm(this.#closingMs);
  }

  protected fail(error: Error): void {
    this.#error ??= error;
    this.destroy();
  }

  destroy(reset = false): void {
    // What it was closed with still goes out.
    if (this.#closes && !reset) this.flush();
    const fd = this.#fd;
    if (fd < 0) return;
    this.#fd = -1;
    this.#queue = null;
    this.#passTo = null;
    this.#reader.letGo();
    this.#step?.letGo();
    this.#closing?.drop();
    if (reset) setOption(fd, LINGER, 1, 0);
    letsGo(fd);
    this.#ring.close(fd);
    this.#ring.tell(this);
  }

  /** @internal */
  told(): void {
    if (this.closed) return;
    this.closed = true;
    clock.update();
    this.owner.onClose(this.#error);
    this.owner = NOBODY;
    this.released();
  }

  /** It is closed, and its owner knows. */
  protected released(): void {}

  // ------------------------------------------------------------------------------------------------ about it

  get #theRemote(): End {
    return (this.#remote ??= remoteEnd(this.#fd));
  }
  get #theLocal(): End {
    return (this.#local ??= localEnd(this.#fd));
  }
  get remoteAddress(): string {
    return this.#theRemote.address;
  }
  get remotePort(): number {
    return this.#theRemote.port;
  }
  get localAddress(): string {
    return this.#theLocal.address;
  }
  get localPort(): number {
    return this.#theLocal.port;
  }

  setNoDelay(on: boolean): void {
    if (this.#fd >= 0) setOption(this.#fd, NO_DELAY, on ? 1 : 0);
  }

  setKeepAlive(on: boolean, idleMs: number): void {
    if (this.#fd >= 0) setKeepAlive(this.#fd, on, idleMs);
  }
}

/** Waits for one thing at a time that a socket is to do: to be connected, to take more. */
class Step implements Waiter {
  readonly #ring: IoUring;
  readonly #done: (result: number) => void;
  #token = -1;

  constructor(ring: IoUring, done: (result: number) => void) {
    this.#ring = ring;
    this.#done = done;
  }

  connect(fd: number, address: Buffer): void {
    this.#token = this.#ring.connect(fd, address, this);
  }

  takesMore(fd: number): void {
    if (this.#token < 0) this.#token = this.#ring.poll(fd, POLL_OUT, this);
  }

  letGo(): void {
    if (this.#token >= 0) this.#ring.cancel(this.#token);
  }

  received(): void {}
  accepted(): void {}

  ended(result: number): void {
    this.#token = -1;
    if (result !== ECANCELED) this.#done(result);
  }
}
