/**
 * Reads one socket by the ring: small messages as the kernel brings them; a socket that fills what the ring gives at a
 * time is left to libuv, which reads more at once, until it brings little again.
 */
import { Buffer } from 'node:buffer';
import { clock } from './clock.ts';
import { ECANCELED, ENOBUFS, RING_READ } from './io-uring.ts';
import type { IoUring, Receiver } from './io-uring.ts';

/** The socket, and who takes what is read. */
export interface RingSource {
  /** Its descriptor; -1: it has none (any more). */
  descriptor(): number;
  /** Nothing is taken at present. */
  readonly paused: boolean;
  /** Nothing is taken any more. */
  readonly gone: boolean;
  /** Takes bytes; they are valid during the call. */
  take(buf: Buffer, start: number, end: number): void;
  /** libuv reads from now on: `RingReader.backFromBulk` is told of what it brings. */
  readInBulk(): void;
  /** libuv stops reading. */
  stopBulk(): void;
  /** The stream is over. 0: in order; else a negative errno. */
  over(result: number): void;
}

/** So many reads in a row that the ring could have brought whole end reading in bulk. */
const FEW_READS = 16;

/** How the stream ended: it did not, or the source knows; 0 and less are results of the ring that it is to be told. */
const GOES_ON = 1;
const TOLD = 2;

export class RingReader implements Receiver {
  /** libuv reads. */
  bulk = false;
  readonly #ring: IoUring;
  readonly #source: RingSource;
  #started = false;
  #wantsBulk = false;
  #littleReads = 0;
  /** Of the receive under way; -1: none is. */
  #token = -1;
  /** What the ring brought although the source was paused: a receive ends a moment after it is asked to. */
  #early: Buffer[] | null = null;
  #end = GOES_ON;

  constructor(ring: IoUring, source: RingSource) {
    this.#ring = ring;
    this.#source = source;
  }

  /** The socket is connected. */
  start(): void {
    this.#started = true;
    this.resume();
  }

  pause(): void {
    if (this.#token >= 0) this.#ring.cancel(this.#token, false);
  }

  resume(): void {
    if (this.#early !== null) setImmediate(this.#giveEarly);
    else if (this.#started && !this.#source.paused) this.#goOn();
  }

  /** The socket is to be closed: a descriptor that somebody holds is not. */
  letGo(): void {
    // Nobody asks for it any more, and what sent the last bytes of a round keeps this object for a while.
    this.#early = null;
    if (this.#token >= 0) this.#ring.cancel(this.#token, true);
  }

  received(buf: Buffer, start: number, end: number): void {
    const source = this.#source;
    if (source.gone) return;
    if (source.paused || this.#early !== null) {
      (this.#early ??= []).push(Buffer.from(buf.subarray(start, end)));
      return;
    }
    if (end - start === RING_READ && !this.#wantsBulk) {
      this.#wantsBulk = true;
      this.#ring.cancel(this.#token, false);
    }
    source.take(buf, start, end);
  }

  receiveEnded(result: number): void {
    this.#token = -1;
    if (result !== ECANCELED && result !== ENOBUFS) this.#end = result;
    if (!this.#source.paused && this.#early === null) this.#goOn();
  }

  /** Nobody is paused, what arrived is given out: what comes next? */
  #goOn(): void {
    const source = this.#source;
    if (this.#token >= 0 || this.bulk || source.gone || this.#end === TOLD) return;
    if (this.#end !== GOES_ON) {
      const result = this.#end;
      this.#end = TOLD;
      source.over(result);
    } else if (this.#wantsBulk) {
      this.#wantsBulk = false;
      this.bulk = true;
      this.#littleReads = 0;
      source.readInBulk();
    } else this.#receive();
  }

  #receive(): void {
    const fd = this.#source.descriptor();
    if (fd >= 0) this.#token = this.#ring.receive(fd, this);
  }

  readonly #giveEarly = (): void => {
    const source = this.#source;
    while (this.#early !== null && !source.paused && !source.gone) {
      const chunk = this.#early.shift()!;
      if (this.#early.length === 0) this.#early = null;
      clock.update();
      source.take(chunk, 0, chunk.length);
    }
    if (!source.paused && this.#early === null) this.#goOn();
  };

  /** libuv has brought `n` bytes, and they were taken. @returns whether the ring reads again */
  backFromBulk(n: number): boolean {
    if (n >= RING_READ) this.#littleReads = 0;
    else if (++this.#littleReads >= FEW_READS && !this.#source.paused && !this.#source.gone) {
      this.bulk = false;
      this.#source.stopBulk();
      this.#receive();
      return true;
    }
    return false;
  }
}
