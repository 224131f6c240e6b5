/**
 * `proxy_upload_rate`, `proxy_download_rate`: one direction of a session passes no more than so many bytes a second on
 * average, counted from the moment that the server was asked, as nginx counts.
 */
import { Buffer } from 'node:buffer';
import { clock } from '../../net/clock.ts';
import { Timer } from '../../net/timers.ts';

/** The direction that is paced. */
export interface Paced {
  /** Passes bytes on, valid during the call. @returns false: no more before `resume` */
  pass(buf: Buffer, start: number, end: number): boolean;
  /** Stops reading, and goes on. */
  stop(): void;
  go(): void;
  /** All that was held has gone out, and the source has ended. */
  ended(): void;
}

export class Pacer {
  readonly #paced: Paced;
  readonly #rate: number;
  /** The most that is passed at once. */
  readonly #most: number;
  readonly #startSec: number;
  readonly #timer = new Timer(() => this.#wake());
  #passed = 0;
  #held: Buffer | null = null;
  #sourceEnded = false;
  /** Who takes it is slow. */
  #blocked = false;

  /** @param startMs `clock.now` when the server was asked */
  constructor(paced: Paced, rate: number, most: number, startMs: number) {
    this.#paced = paced;
    this.#rate = rate;
    this.#most = most;
    this.#startSec = Math.floor(startMs / 1000);
  }

  /** Nothing passes before the timer fires: the session's own timeout waits meanwhile. */
  get delayed(): boolean {
    return this.#timer.armed;
  }

  get empty(): boolean {
    return this.#held === null;
  }

  /** Bytes arrived. */
  push(buf: Buffer, start: number, end: number): void {
    if (this.#held !== null) {
      this.#held = Buffer.concat([this.#held, buf.subarray(start, end)]);
      return;
    }
    this.#run(buf, start, end);
  }

  /** The source has ended: `ended` follows once nothing is held. */
  finish(): void {
    this.#sourceEnded = true;
    if (this.#held === null) this.#paced.ended();
  }

  /** Who takes the bytes takes more. */
  resume(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    if (!this.delayed) this.#wake();
  }

  close(): void {
    this.#timer.drop();
    this.#held = null;
  }

  #run(buf: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end && !this.#blocked && !this.delayed) {
      const limit = this.#rate * (Math.floor(clock.now / 1000) - this.#startSec + 1) - this.#passed;
      if (limit <= 0) {
        this.#timer.arm(Math.floor((-limit * 1000) / this.#rate) + 1);
        break;
      }
      const n = Math.min(end - at, limit, this.#most);
      this.#passed += n;
      if (!this.#paced.pass(buf, at, at + n)) this.#blocked = true;
      at += n;
      const delay = Math.floor((n * 1000) / this.#rate);
      if (delay > 0) this.#timer.arm(delay);
    }
    this.#held = at === end ? null : Buffer.from(buf.subarray(at, end));
    if (this.#held !== null || this.delayed || this.#blocked) this.#paced.stop();
    else this.#paced.go();
    if (this.#held === null && this.#sourceEnded) this.#paced.ended();
  }

  #wake(): void {
    const held = this.#held;
    if (held === null) {
      if (!this.#blocked) this.#paced.go();
      return;
    }
    this.#held = null;
    this.#run(held, 0, held.length);
  }
}

/** Datagrams that wait; more are dropped, as a full socket buffer would. */
const MAX_DATAGRAMS = 256;

/** As `Pacer`, for datagrams: they are not split, so the one that goes past the rate delays the next. */
export class DatagramPacer {
  readonly #rate: number;
  readonly #startSec: number;
  readonly #pass: (datagram: Buffer) => void;
  readonly #timer = new Timer(() => this.#run());
  readonly #waiting: Buffer[] = [];
  #passed: number;

  /** @param passed bytes that have gone before */
  constructor(rate: number, startMs: number, passed: number, pass: (datagram: Buffer) => void) {
    this.#rate = rate;
    this.#startSec = Math.floor(startMs / 1000);
    this.#passed = passed;
    this.#pass = pass;
  }

  /** Nothing waits. */
  get idle(): boolean {
    return this.#waiting.length === 0;
  }

  push(datagram: Buffer): void {
    if (this.#waiting.length >= MAX_DATAGRAMS) return;
    this.#waiting.push(datagram);
    if (!this.#timer.armed) this.#run();
  }

  close(): void {
    this.#timer.drop();
    this.#waiting.length = 0;
  }

  #run(): void {
    while (this.#waiting.length > 0) {
      const limit = this.#rate * (Math.floor(clock.now / 1000) - this.#startSec + 1) - this.#passed;
      if (limit <= 0) {
        this.#timer.arm(Math.floor((-limit * 1000) / this.#rate) + 1);
        return;
      }
      const datagram = this.#waiting.shift()!;
      this.#passed += datagram.length;
      this.#pass(datagram);
      const delay = Math.floor((datagram.length * 1000) / this.#rate);
      if (delay > 0) {
        this.#timer.arm(delay);
        return;
      }
    }
  }
}
