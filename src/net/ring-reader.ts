/**
 * Reads one socket by the ring: small messages as the kernel brings them; a socket that fills what the ring gives at a
 * time is read in bulk, whenever the ring says that it can be, until it brings little again.
 */
import { Buffer } from 'node:buffer';
import { clock } from './clock.ts';
import { ECANCELED, ENOBUFS, POLL_IN, RING_READ } from './io-uring.ts';
import type { IoUring, Waiter } from './io-uring.ts';

/** The socket, and who takes what is read. */
export interface RingSource {
  /** Its descriptor; -1: it has none (any more). */
  readonly descriptor: number;
  /** Nothing is taken at present. */
  readonly paused: boolean;
  /** Nothing is taken any more. */
  readonly gone: boolean;
  /** Takes bytes; they are valid during the call. */
  take(buf: Buffer, start: number, end: number): void;
  /** Reads much, and takes it. @returns how many bytes; 0 or less: there are none, for whatever reason */
  pull(): number;
  /** The stream is over. 0: in order; else a negative errno. */
  over(result: number): void;
}

/** So many reads in a row that the ring could have brought whole end reading in bulk. */
const FEW_READS = 16;

/** How the stream ended: it did not, or the source knows; 0 and less are results of the ring that it is to be told. */
const GOES_ON = 1;
const TOLD = 2;

export class RingReader implements Waiter {
  readonly #ring: IoUring;
  readonly #source: RingSource;
  #started = false;
  /** It brings much. */
  #bulk = false;
  #littleReads = 0;
  /** Reads in a row that brought nothing although they should have. */
  #vain = 0;
  /** Of what is under way; -1: nothing is. */
  #token = -1;
  /** What is under way is a poll. */
  #polling = false;
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
    if (this.#token >= 0) this.#ring.cancel(this.#token);
  }

  resume(): void {
    if (this.#early !== null) setImmediate(this.#giveEarly);
    else if (this.#started && !this.#source.paused) this.#goOn();
  }

  /** The socket is to be closed. */
  letGo(): void {
    // Nobody asks for it any more, and what sent the last bytes of a round keeps this object for a while.
    this.#early = null;
    if (this.#token >= 0) this.#ring.cancel(this.#token);
  }

  received(buf: Buffer, start: number, end: number): void {
    const source = this.#source;
    if (source.gone) return;
    if (source.paused || this.#early !== null) {
      (this.#early ??= []).push(Buffer.from(buf.subarray(start, end)));
      return;
    }
    if (end - start === RING_READ && !this.#bulk) {
      this.#bulk = true;
      this.#littleReads = 0;
      this.#vain = 0;
      this.#ring.cancel(this.#token);
    }
    source.take(buf, start, end);
  }

  accepted(): void {}

  ended(result: number): void {
    this.#token = -1;
    const readable = this.#polling && result > 0;
    if (this.#polling) {
      this.#polling = false;
      // A receive says what is wrong.
      if (result < 0 && result !== ECANCELED) this.#bulk = false;
    } else if (result !== ECANCELED && result !== ENOBUFS) this.#end = result;
    if (this.#source.paused || this.#early !== null) return;
    if (readable) this.#pull();
    else this.#goOn();
  }

  #pull(): void {
    const source = this.#source;
    if (source.gone) return;
    const n = source.pull();
    if (n <= 0) {
      if (++this.#vain > 1) this.#bulk = false;
    } else {
      this.#vain = 0;
      if (n >= RING_READ) this.#littleReads = 0;
      else if (++this.#littleReads >= FEW_READS) this.#bulk = false;
    }
    if (!source.paused && !source.gone) this.#goOn();
  }

  /** Nobody is paused, what arrived is given out: what comes next? */
  #goOn(): void {
    const source = this.#source;
    if (this.#token >= 0 || source.gone || this.#end === TOLD) return;
    if (this.#end !== GOES_ON) {
      const result = this.#end;
      this.#end = TOLD;
      source.over(result);
      return;
    }
    const fd = source.descriptor;
    if (fd < 0) return;
    this.#polling = this.#bulk;
    this.#token = this.#bulk ? this.#ring.poll(fd, POLL_IN, this) : this.#ring.receive(fd, this);
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
}
