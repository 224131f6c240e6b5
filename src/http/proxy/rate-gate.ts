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
  readonly #r: HttpRequest;
  readonly #value: Value;
  /** Bytes a second; 0: no limit. Known once the head is there: the value may depend on it. */
  #rate = 0;
  readonly #timer = new Timer(() => this.#release());
  #startSec = 0;
  #passed = 0;
  /** What waits. */
  #waiting: Buffer | null = null;
  #last = false;
  #failure: Failure | null = null;
  #closed = false;

  /** @param value bytes a second; what is no size counts as 0, which is no limit */
  constructor(next: UpstreamEvents, channel: UpstreamChannel, r: HttpRequest, value: Value) {
    this.#next = next;
    this.#channel = channel;
    this.#r = r;
    this.#value = value;
  }

  onHints(head: ResponseHead): void {
    this.#next.onHints(head);
  }

  onHead(head: ResponseHead): void {
    this.#startSec = Math.floor(clock.wall / 1000);
    this.#next.onHead(head);
    // `$upstream_http_…` speaks of this answer now, unless the exchange has ended with its head.
    if (!this.#closed) this.#rate = parseSize(this.#value.get(this.#r)) ?? 0;
  }

  onBody(buf: Buffer, start: number, end: number, last: boolean): void {
    if (this.#rate === 0) {
      this.#next.onBody(buf, start, end, last);
      return;
    }
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
