/**
 * A byte connection. There are two kinds: `RingTransport` lets io_uring carry the bytes, `SocketTransport` goes over a
 * socket of Node (plain ones where there is no io_uring; TLS; pipes that stand for sockets). Which one it is concerns
 * only whoever makes it (`dial.ts`, `listener.ts`).
 *
 * All connections of a thread read into one area: bytes are valid only during `onData`. That costs nothing as long as
 * what they become is written at once, and it is: `write` gives bytes to the kernel directly and copies only what the
 * kernel does not take. Measured: one area instead of a buffer per `'data'` event saves 1.6 of 11.4 microseconds of
 * CPU per small proxied request; reading 512 KiB at a time into one area that stays in the cache, instead of 64 KiB
 * into a buffer per connection, takes 1 MiB answers from 690 to 470 microseconds.
 */
import type { Socket } from 'node:net';
import { Buffer } from 'node:buffer';
import type { IoUring } from './io-uring.ts';
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
export const CLOSING_MS = 60_000;

export const NOBODY: TransportOwner = {
  onData() {},
  onEnd() {},
  onDrain() {},
  onClose() {},
};

/** Addresses of both ends; empty and 0 where there are none (unix sockets), or no more. */
export interface Ends {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
}

export abstract class Transport implements Batched, Ends {
  owner: TransportOwner = NOBODY;
  /** Bytes accepted by `write` so far. */
  bytesWritten = 0;
  bytesRead = 0;
  closed = false;
  /** The peer has ended its side. */
  ended = false;

  /** Bytes go to the kernel without Node's stream in between. */
  abstract readonly direct: boolean;
  /** It is closed, or about to be. */
  abstract readonly gone: boolean;
  /** Something written was not taken by the kernel yet. */
  abstract readonly waits: boolean;
  abstract readonly paused: boolean;
  /** The socket, for who goes on with it without the transport (`detach`) or over it; null: there is none. */
  abstract readonly socket: Socket | null;
  abstract readonly remoteAddress: string;
  abstract readonly remotePort: number;
  abstract readonly localAddress: string;
  abstract readonly localPort: number;

  /** Where bytes wait in the batch; start -1: none do. */
  #batchedStart = -1;
  #batchedEnd = 0;

  /** Begins to read: once, when it is connected. */
  abstract start(): void;
  abstract pause(): void;
  abstract resume(): void;
  /** Who takes what is read here is slow: less at a time means less to hold. */
  abstract slowDown(): void;
  /** Sends what is written, then FIN; the other direction goes on. */
  abstract end(): void;
  /** Closes after what was written is taken; at once when the peer has not taken it within `mostMs`. */
  abstract close(mostMs?: number): void;
  /** Closes at once; with `reset` by RST, so that the peer sees the cut. */
  abstract destroy(reset?: boolean): void;
  abstract setNoDelay(on: boolean): void;
  abstract setKeepAlive(on: boolean, idleMs: number): void;

  /** Gives bytes to the kernel; nothing else waits to be written. @returns as `write` */
  protected abstract writeNow(buf: Buffer, start: number, end: number): number;
  /** Writes a copy of its own behind what waits. @returns as `write` */
  protected abstract queue(bytes: Buffer): number;

  /**
   * Says that of what is received next the first `most` bytes will only be written to `to`, each piece during its
   * `onData`: they may be moved there within the kernel. Their buffer has no content then (`kernel-pipe.ts`). Ends with
   * `pause`. Does nothing where it cannot be done.
   */
  passTo(_to: Transport, _most: number): void {}

  /**
   * Lets go of `socket`, which is not closed, so that somebody else may take it over. Nothing more is told to the owner;
   * the socket is paused.
   */
  detach(): void {
    throw new Error('only a transport over a socket that emits data can be detached');
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
    if (this.waits) return this.queue(Buffer.from(buf.subarray(start, end)));
    if (end - start <= BATCHED_MAX) {
      this.#batchedStart = writeBatch.add(this, buf, start, end);
      if (this.#batchedStart >= 0) {
        this.#batchedEnd = writeBatch.length;
        return SENT;
      }
    }
    return this.writeNow(buf, start, end);
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
    if (this.closed || (by !== null && this.writeBy(by, start, this.#batchedEnd))) return;
    this.writeNow(writeBatch.buf, start, this.#batchedEnd);
  }

  /** Has the ring send a part of the batch. @returns false: it cannot */
  protected writeBy(_ring: IoUring, _start: number, _end: number): boolean {
    return false;
  }

  /** Something waits for the end of the turn. */
  protected get batched(): boolean {
    return this.#batchedStart >= 0;
  }

  /** Whether something written is still waiting to be taken. Over TLS it is taken, but Node tells so a turn later. */
  get busy(): boolean {
    return this.#batchedStart >= 0 || (this.direct && this.waits);
  }
}
