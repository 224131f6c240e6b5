/**
 * Small messages that are written in one turn of the event loop go to the kernel together, at its end.
 *
 * A write to a socket wakes the process that waits at its other end, and waking costs several times what the write does.
 * While we work on the next request that process has done its part and sleeps again, so that it is woken for every
 * message. Written back to back, one wake-up serves many messages. Measured at 64 connections on two cores: waking cost
 * 3.6 of 20 microseconds per proxied request before.
 */
import { Buffer } from 'node:buffer';
import type { IoUring } from './io-uring.ts';

/** A transport with bytes in the batch. */
export interface Batched {
  /** Its bytes go straight to the kernel. */
  readonly direct: boolean;
  /** Writes what the batch holds for it; with a ring it may leave that to the ring, which sends for all at once. */
  flushBatched(ring: IoUring | null): void;
}

/** Who waits for the batch to go out. */
export interface Flushed {
  flushed(): void;
}

export const BATCH_SIZE = 256 * 1024;
/** Larger messages are written at once: they are worth a wake-up. */
export const BATCHED_MAX = 8192;
/** No message waits for more than so many others. */
const MOST = 64;

class WriteBatch {
  buf: Buffer = Buffer.allocUnsafeSlow(BATCH_SIZE);
  length = 0;
  #ring: IoUring | null = null;
  readonly #members: Batched[] = [];
  #count = 0;
  #scheduled = false;

  #flushing = false;
  /** Who is told when the batch has gone out. */
  #waiters: Flushed[] = [];

  /** From now on one system call sends the whole batch. Before anything was written. */
  useRing(ring: IoUring): void {
    this.#ring = ring;
    this.buf = ring.out;
    ring.flush = () => this.flush();
  }

  /**
   * Copies a message; it stands at `[returned, returned + n)` of `buf` until the flush. -1: the batch is being written
   * (to a pipe that goes through another connection): what comes meanwhile is to be written at once.
   */
  add(member: Batched, src: Buffer, start: number, end: number): number {
    if (this.#flushing) return -1;
    const n = end - start;
    if (this.length + n > BATCH_SIZE || this.#count === MOST) this.flush();
    const at = this.#append(src, start, end);
    this.#members[this.#count++] = member;
    if (!this.#scheduled && (this.#ring === null || !this.#ring.running)) {
      this.#scheduled = true;
      setImmediate(this.#turnEnds);
    }
    return at;
  }

  /**
   * Copies more bytes behind the message at `[from, to)`, which is moved when another one stands behind it: a connection
   * with many answers in a turn (HTTP/2) still sends them together. @returns where it begins now; -1: it stays as it is
   */
  extend(from: number, to: number, src: Buffer, start: number, end: number): number {
    const moved = to === this.length ? 0 : to - from;
    if (end - start > BATCHED_MAX || moved > BATCHED_MAX) return -1;
    if (this.length + moved + end - start > BATCH_SIZE) return -1;
    if (moved > 0) from = this.#append(this.buf, from, to);
    this.#append(src, start, end);
    return from;
  }

  /** There is room. */
  #append(src: Buffer, start: number, end: number): number {
    const at = this.length;
    src.copy(this.buf, at, start, end);
    this.length += end - start;
    return at;
  }

  readonly #turnEnds = (): void => {
    this.#scheduled = false;
    this.flush();
  };

  flush(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    const count = this.#count;
    const ring = this.#ring;
    if (ring === null) for (let i = 0; i < count; i++) this.#members[i]!.flushBatched(null);
    else {
      // A pipe may write to a connection whose bytes wait here: before they are given to the ring, so that they stay in order.
      for (let i = 0; i < count; i++) if (!this.#members[i]!.direct) this.#members[i]!.flushBatched(null);
      for (let i = 0; i < count; i++) this.#members[i]!.flushBatched(ring);
      ring.submitSends();
    }
    this.#flushing = false;
    this.#count = 0;
    this.length = 0;
    if (this.#waiters.length === 0) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.flushed();
  }

  /** Tells when the batch, in which something of `waiter` is, has gone out. */
  tell(waiter: Flushed): void {
    this.#waiters.push(waiter);
  }
}

/** One batch a thread. */
export const writeBatch: WriteBatch = new WriteBatch();
