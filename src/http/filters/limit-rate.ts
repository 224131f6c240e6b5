/**
 * `limit_rate`: holds the answer's bytes back so that no more than so many a second go out, as nginx's write filter
 * paces them: `rate * (seconds since the start + 1)` bytes may have been sent, and each write is followed by the time
 * its bytes are worth.
 */
import { parseSize } from '../../config/units.ts';
import type { CoreConfig } from '../../config/model.ts';
import { clock } from '../../net/clock.ts';
import { Timer } from '../../net/timers.ts';
import type { BodyProducer, HttpRequest } from '../request.ts';
import { HELD } from '../request.ts';
import type { VariableTable } from '../variables/table.ts';
import type { Value } from '../variables/value.ts';
import { ChainedFilter, appendFilter } from './chain.ts';
import type { HeadHook } from './headers.ts';

class LimitRateFilter extends ChainedFilter implements BodyProducer {
  readonly #r: HttpRequest;
  readonly #rate: number;
  readonly #after: number;
  readonly #timer: Timer;
  /** Bytes that are held back. */
  #buf: Buffer | null = null;
  #start = 0;
  #end = 0;
  #last = false;
  /** The producer waits for `onDrain`; it stands here while this filter takes its place. */
  #producer: BodyProducer | null = null;
  #waiting = false;
  /** The connection holds what was sent last. */
  #held = false;

  constructor(r: HttpRequest, rate: number, after: number) {
    super();
    this.#r = r;
    this.#rate = rate;
    this.#after = after;
    this.#timer = new Timer(() => this.#go());
  }

  override sendHead(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    const allowed = Math.max(0, this.#allowed());
    const n = Math.min(end - start, allowed);
    const whole = n === end - start;
    const before = r.bytesSent;
    r.headBudget = allowed;
    const result = this.nextHead(r, n > 0 ? buf : null, start, start + n, last && whole);
    r.headBudget = -1;
    if (r.headRest === null) return this.#sent(r, result, before, buf, start + n, end, last);
    // Not even the head may go out at once: nothing of the body has.
    this.#held = result === HELD;
    this.#keep(r, buf, start, end, last);
    this.#timer.arm(this.#delay(r, before));
    return HELD;
  }

  override sendBody(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    if (start === end) return this.nextBody(r, null, 0, 0, last);
    const allowed = this.#allowed();
    if (allowed <= 0) {
      this.#keep(r, buf, start, end, last);
      this.#timer.arm(this.#debt(allowed));
      return HELD;
    }
    const n = Math.min(end - start, allowed);
    const whole = n === end - start;
    const before = r.bytesSent;
    const result = this.nextBody(r, buf, start, start + n, last && whole);
    return this.#sent(r, result, before, buf, start + n, end, last);
  }

  /** Bytes that may go out now. */
  #allowed(): number {
    const elapsed = Math.floor(clock.wall / 1000) - Math.floor(this.#r.startedWall / 1000);
    return this.#rate * (elapsed + 1) - (this.#r.bytesSent - this.#after);
  }

  /** Milliseconds until bytes may go out again. */
  #debt(allowed: number): number {
    return Math.floor((-allowed * 1000) / this.#rate) + 1;
  }

  /** After a write: keeps what is left and waits for the time that the bytes sent are worth. */
  #sent(
    r: HttpRequest,
    result: number,
    before: number,
    buf: Buffer | null,
    start: number,
    end: number,
    last: boolean,
  ): number {
    if (start === end && last) return result;
    this.#held = result === HELD;
    const delay = this.#delay(r, before);
    if (start === end && delay === 0) return result;
    this.#keep(r, start === end ? null : buf, start, end, last);
    if (delay > 0) this.#timer.arm(delay);
    else if (!this.#held) this.#timer.arm(this.#debt(0));
    return HELD;
  }

  /** Milliseconds that what was written since `before` is worth. */
  #delay(r: HttpRequest, before: number): number {
    const counted = Math.max(0, r.bytesSent - this.#after) - Math.max(0, before - this.#after);
    return Math.floor((counted * 1000) / this.#rate);
  }

  /** Copies: the bytes may stand in a buffer that the thread reads into again. */
  #keep(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): void {
    this.#buf = buf === null ? null : Buffer.from(buf.subarray(start, end));
    this.#start = 0;
    this.#end = end - start;
    this.#last = last;
    if (!this.#waiting) {
      this.#waiting = true;
      this.#producer = r.producer;
      r.producer = this;
    }
  }

  /** The connection takes bytes again. */
  onDrain(_r: HttpRequest): void {
    this.#held = false;
    if (!this.#timer.armed) this.#go();
  }

  onAbort(r: HttpRequest): void {
    const producer = this.#producer;
    this.#waiting = false;
    this.#producer = null;
    this.#timer.cancel();
    this.#buf = null;
    if (producer !== null) producer.onAbort(r);
  }

  /** Sends on, once both the time has passed and the connection has room. */
  #go(): void {
    if (this.#held || !this.#waiting) return;
    const r = this.#r;
    const buf = this.#buf;
    if (buf === null && r.headRest === null && !this.#last) {
      this.#release(r);
      return;
    }
    const allowed = this.#allowed();
    if (allowed <= 0) {
      this.#timer.arm(this.#debt(allowed));
      return;
    }
    if (r.headRest !== null) {
      const before = r.bytesSent;
      this.#held = r.channel.sendHeadRest(r, allowed) === HELD;
      this.#timer.arm(Math.max(1, this.#delay(r, before)));
      return;
    }
    const start = this.#start;
    const n = Math.min(this.#end - start, allowed);
    const ends = n === this.#end - start;
    const before = r.bytesSent;
    this.#start = start + n;
    if (ends) this.#buf = null;
    const last = ends && this.#last;
    this.#last = this.#last && !ends;
    // With the last bytes the request may be over when the call returns, and be another's.
    if (last) this.#forget(r);
    const result = this.nextBody(r, buf, start, start + n, last);
    if (last) return;
    this.#held = result === HELD;
    const delay = this.#delay(r, before);
    if (delay > 0) this.#timer.arm(delay);
    else if (!this.#held) this.#timer.arm(1);
  }

  /** Gives the producer its place back. */
  #forget(r: HttpRequest): BodyProducer | null {
    const producer = this.#producer;
    this.#waiting = false;
    this.#producer = null;
    if (r.producer === this) r.producer = producer;
    return producer;
  }

  #release(r: HttpRequest): void {
    const producer = this.#forget(r);
    if (producer !== null) producer.onDrain(r);
  }

  override close(): void {
    this.#timer.cancel();
    this.#waiting = false;
    this.#producer = null;
    this.#buf = null;
    super.close();
  }
}

/** Paces an answer whose head is about to be sent. @param rate bytes a second @param after bytes that go out at once */
export function installLimitRate(r: HttpRequest, rate: number, after: number): void {
  if (rate <= 0 || r.headerOnly || r.parent !== null) return;
  appendFilter(r, new LimitRateFilter(r, rate, after));
}

/** A size that may hold variables: bytes; what is not a size counts as 0, as in nginx. */
function sizeOf(value: Value, r: HttpRequest): number {
  return parseSize(value.get(r)) ?? 0;
}

/**
 * Compiles `limit_rate` and `limit_rate_after`.
 *
 * @returns null when no answer of the location is ever paced
 */
export function compileLimitRate(core: CoreConfig, table: VariableTable): HeadHook | null {
  const rate = table.compile(core.limitRate);
  const after = table.compile(core.limitRateAfter);
  const own = rate.constant === null || parseSize(rate.constant) !== 0;
  if (!own && !table.mayPace) return null;
  return (r) => {
    // What is in force shows in $limit_rate.
    if (own && r.limitRate < 0) r.limitRate = sizeOf(rate, r);
    if (r.limitRate > 0) installLimitRate(r, r.limitRate, sizeOf(after, r));
  };
}
