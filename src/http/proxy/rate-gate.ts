/**
 * `proxy_limit_rate`: lets an answer through at no more than so many bytes a second, as nginx reads it: by the end of
 * each second `rate * (seconds since the head + 1)` bytes may have come. What was read beyond that waits here.
 */
import { Buffer } from 'node:buffer';
import type { LogLevel } from '../../config/model.ts';
import { parseSize } from '../../config/units.ts';
import { clock } from '../../net/clock.ts';
import { Timer } from '../../net/timers.ts';
import type { HttpRequest } from '../request.ts';
import type { Value } from '../variables/value.ts';
import type { ResponseHead } from '../wire/response-head.ts';
import type { Failure, UpstreamChannel, UpstreamEvents } from './upstream-channel.ts';

export class RateGate implements UpstreamEvents {
  readonly #next: UpstreamEvents;
  readonly #channel: UpstreamChannel;
  readonly #rate: number;
  readonly #timer = new Timer(() => this.#release());
  #startSec = 0;
  #passed = 0;
  /** What waits. */
  #waiting: Buffer | null = null;
  #last = false;
  #failure: Failure | null = null;
  #closed = false;

  /** @param rate bytes a second, more than 0 */
  constructor(next: UpstreamEvents, channel: UpstreamChannel, rate: number) {
    this.#next = next;
    this.#channel = channel;
    this.#rate = rate;
  }

  onHead(head: ResponseHead): void {
    this.#startSec = Math.floor(clock.wall / 1000);
    this.#next.onHead(head);
  }

  onBody(buf: Buffer, start: number, end: number, last: boolean): void {
    if (this.#waiting !== null) {
      // A client that has drained made the channel go on.
      this.#channel.pause();
      this.#waiting = Buffer.concat([this.#waiting, buf.subarray(start, end)]);
      this.#last = last;
      return;
    }
    const n = Math.min(end - start, Math.max(0, this.#allowed()));
    if (n === end - start) {
      this.#passed += n;
      this.#next.onBody(buf, start, end, last);
      return;
    }
    this.#waiting = Buffer.from(buf.subarray(start + n, end));
    this.#last = last;
    this.#passed += n;
    this.#channel.pause();
    this.#timer.arm(this.#delay());
    if (n > 0 || this.#passed === 0) this.#next.onBody(buf, start, start + n, false);
  }

  #allowed(): number {
    const elapsed = Math.floor(clock.wall / 1000) - this.#startSec;
    return this.#rate * (elapsed + 1) - this.#passed;
  }

  /** Milliseconds until more may come. */
  #delay(): number {
    return Math.max(20, Math.floor((-this.#allowed() * 1000) / this.#rate) + 1);
  }

  #release(): void {
    const waiting = this.#waiting;
    if (waiting === null || this.#closed) return;
    const n = Math.min(waiting.length, Math.max(0, this.#allowed()));
    if (n === waiting.length) {
      this.#waiting = null;
      this.#passed += n;
      const last = this.#last;
      this.#next.onBody(waiting, 0, n, last);
      if (last || this.#closed) return;
      if (this.#failure !== null) this.#next.onFailure(this.#failure);
      else this.#channel.resume();
      return;
    }
    this.#waiting = waiting.subarray(n);
    this.#passed += n;
    this.#timer.arm(this.#delay());
    if (n > 0) this.#next.onBody(waiting, 0, n, false);
  }

  onFailure(failure: Failure): void {
    if (this.#waiting === null) this.#next.onFailure(failure);
    else this.#failure = failure;
  }

  onMessage(level: LogLevel, text: string): void {
    this.#next.onMessage(level, text);
  }

  onUpstreamDrain(): void {
    this.#next.onUpstreamDrain();
  }

  onTunnelData(buf: Buffer, start: number, end: number): void {
    this.#next.onTunnelData(buf, start, end);
  }

  onTunnelEnd(): void {
    this.#next.onTunnelEnd();
  }

  close(): void {
    this.#closed = true;
    this.#timer.cancel();
    this.#waiting = null;
  }
}

/** The gate for an answer; null: it has no rate. @param value bytes a second; what is no size counts as 0 */
export function gateFor(r: HttpRequest, value: Value, next: UpstreamEvents, channel: UpstreamChannel): RateGate | null {
  const rate = parseSize(value.get(r)) ?? 0;
  return rate === 0 ? null : new RateGate(next, channel, rate);
}
