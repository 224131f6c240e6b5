/**
 * `limit_req`: a leaky bucket for each key, as ngx_http_limit_req_module counts it. Excess and rate are in thousandths
 * of a request; time is in whole milliseconds.
 */
import { KeyTable, NIL } from './key-table.ts';

/** The request may go on, after the time that `excess` is worth. */
export const WITHIN = 0;
/** More than rate and burst allow. */
export const EXCEEDED = 1;

/** A clock that stepped back by more is taken as having moved on. */
const STEP_MS = 60_000;

const MAX_INT32 = 0x7fffffff;

/** A thread's handle on a zone. */
export class RateTable {
  /** How far above the rate the key is, after `test` or `account`. */
  excess = 0;
  readonly #table: KeyTable;
  /** Thousandths of a request in a second. */
  readonly #rate: number;

  constructor(buffer: SharedArrayBuffer, workerId: number, rate: number) {
    this.#table = new KeyTable(buffer, workerId);
    this.#rate = rate;
  }

  get used(): number {
    return this.#table.used;
  }

  /**
   * Whether one more request of the key would be within `burst`; it is not counted yet.
   * @param key one character a byte
   * @param now milliseconds since the epoch
   */
  test(key: string, burst: number, now: number): number {
    const t = this.#table;
    t.enter();
    const node = t.find(key);
    this.excess = node === NIL ? 0 : this.#after(node, now);
    t.leave();
    return this.excess > burst ? EXCEEDED : WITHIN;
  }

  /** As `test`, and counts the request if it is within. */
  account(key: string, burst: number, now: number): number {
    const t = this.#table;
    t.enter();
    let node = t.find(key);
    if (node === NIL) {
      // The key that was not used for longest makes room: a new one is never refused.
      node = t.insert(true);
      t.time[node] = now;
      this.excess = 0;
      t.leave();
      return WITHIN;
    }
    t.touch(node);
    this.excess = this.#after(node, now);
    const result = this.excess > burst ? EXCEEDED : WITHIN;
    if (result === WITHIN) {
      t.value[node] = Math.min(this.excess, MAX_INT32);
      if (elapsed(t.time[node]!, now) > 0) t.time[node] = now;
    }
    t.leave();
    return result;
  }

  /** Milliseconds that a request with this excess has to wait when `delay` go at once. */
  waitMs(excess: number, delay: number): number {
    return excess <= delay ? 0 : Math.floor(((excess - delay) * 1000) / this.#rate);
  }

  #after(node: number, now: number): number {
    const t = this.#table;
    const drained = Math.floor((this.#rate * elapsed(t.time[node]!, now)) / 1000);
    return Math.max(0, t.value[node]! - drained + 1000);
  }
}

function elapsed(then: number, now: number): number {
  const ms = now - then;
  if (ms >= 0) return ms;
  return ms < -STEP_MS ? 1 : 0;
}
