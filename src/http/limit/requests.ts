/** `limit_req`: requests above a rate wait, or are refused (ngx_http_limit_req_module). */
import type { LogLevel } from '../../config/model.ts';
import type { LimitReqConfig } from '../../config/model-access.ts';
import { EXCEEDED } from '../../limit/rate.ts';
import type { RateTable } from '../../limit/rate.ts';
import { clock } from '../../net/clock.ts';
import { LIMIT } from '../../observe/counters.ts';
import * as engine from '../engine.ts';
import { logRequest } from '../request-log.ts';
import type { BodyProducer, HttpRequest } from '../request.ts';
import { NEXT, TAKEN } from '../runtime.ts';
import { mainOf } from '../subrequest.ts';
import type { Phase } from '../runtime.ts';
import { RequestLimits } from './zones.ts';
import type { LimitBook, Zone } from './zones.ts';

const MAX_KEY = 65_535;
/** Of a request that waits is told one level lower than of one that is refused. */
const LOWER: Partial<Record<LogLevel, LogLevel>> = { error: 'warn', warn: 'notice', notice: 'info' };

interface Limit {
  zone: Zone<RateTable>;
  burst: number;
  delay: number;
}

/** @returns null when the location has no limit */
export function compileLimitReq(config: LimitReqConfig, book: LimitBook): Phase | null {
  if (config.limits.length === 0) return null;
  const limits = config.limits.map(({ zone, burst, delay }): Limit => ({ zone: book.rate(zone), burst, delay }));
  const phase = new LimitReq(limits, config);
  return (r) => phase.run(r);
}

class LimitReq {
  readonly #limits: readonly Limit[];
  readonly #config: LimitReqConfig;
  readonly #keys: string[];

  constructor(limits: readonly Limit[], config: LimitReqConfig) {
    this.#limits = limits;
    this.#config = config;
    // Reused: nothing is kept in it longer than a call.
    this.#keys = limits.map(() => '');
  }

  run(r: HttpRequest): number {
    // Once a request, whatever it is redirected to, and whatever it asks for itself.
    const main = mainOf(r);
    if (main.limits !== null && main.limits.reqStatus !== null) return NEXT;
    const limits = this.#limits;
    const now = clock.wall;
    let last = -1;
    let excess = 0;
    for (let i = 0; i < limits.length; i++) {
      const { zone, burst } = limits[i]!;
      const key = (this.#keys[i] = usableKey(r, zone));
      if (key === '') continue;
      // Only when all agree is the request counted; the last one counts as it looks.
      const { table } = zone;
      const result = i === limits.length - 1 ? table.account(key, burst, now) : table.test(key, burst, now);
      last = i;
      excess = table.excess;
      if (result === EXCEEDED) return this.#reject(r, zone, excess);
    }
    if (last < 0) return NEXT;
    return this.#count(r, last, excess, now);
  }

  #count(r: HttpRequest, last: number, lastExcess: number, now: number): number {
    const limits = this.#limits;
    let longest = 0;
    let slowest = limits[last]!.zone;
    let worst = 0;
    for (let i = last; i >= 0; i--) {
      const { zone, delay } = limits[i]!;
      if (this.#keys[i] === '') continue;
      // All but the last of the list have been looked at only.
      if (i !== limits.length - 1) zone.table.account(this.#keys[i]!, Infinity, now);
      const excess = i === limits.length - 1 ? lastExcess : zone.table.excess;
      const wait = zone.table.waitMs(excess, delay);
      if (wait > longest) {
        longest = wait;
        slowest = zone;
        worst = excess;
      }
    }
    const said = (mainOf(r).limits ??= new RequestLimits());
    const { dryRun } = this.#config;
    for (let i = last; i >= 0; i--) {
      const { zone } = limits[i]!;
      if (this.#keys[i] === '') continue;
      const how = longest === 0 || zone !== slowest ? LIMIT.passed : dryRun ? LIMIT.delayedDryRun : LIMIT.delayed;
      zone.counts[how]!++;
    }
    if (longest === 0) {
      said.reqStatus = 'PASSED';
      return NEXT;
    }
    const { logLevel } = this.#config;
    const dry = dryRun ? ', dry run' : '';
    const level = LOWER[logLevel] ?? 'info';
    logRequest(r, level, `delaying request${dry}, excess: ${thousandths(worst)}, by zone "${slowest.name}"`);
    said.reqStatus = dryRun ? 'DELAYED_DRY_RUN' : 'DELAYED';
    if (dryRun) return NEXT;
    r.producer = new Wait(r, longest);
    return TAKEN;
  }

  #reject(r: HttpRequest, zone: Zone<RateTable>, excess: number): number {
    const { logLevel, dryRun, status } = this.#config;
    const dry = dryRun ? ', dry run' : '';
    logRequest(r, logLevel, `limiting requests${dry}, excess: ${thousandths(excess)} by zone "${zone.name}"`);
    zone.counts[dryRun ? LIMIT.rejectedDryRun : LIMIT.rejected]!++;
    const said = (mainOf(r).limits ??= new RequestLimits());
    said.reqStatus = dryRun ? 'REJECTED_DRY_RUN' : 'REJECTED';
    if (dryRun) return NEXT;
    engine.finalize(r, status);
    return TAKEN;
  }
}

/** The key; empty: the zone does not count this request. */
function usableKey<T>(r: HttpRequest, zone: Zone<T>): string {
  const key = zone.key.get(r);
  if (key.length <= MAX_KEY) return key;
  logRequest(r, 'error', `the value of the "${zone.keyText}" key is more than 65535 bytes: "${key}"`);
  return '';
}

/** `1.250` for 1250. */
function thousandths(n: number): string {
  return `${Math.floor(n / 1000)}.${String(n % 1000).padStart(3, '0')}`;
}

/** Goes on with the request after a while; forgets it when the client leaves. */
class Wait implements BodyProducer {
  readonly delays = true;
  // Exact to a millisecond, which the timers of connections are not: this one decides on a rate.
  readonly #timer: NodeJS.Timeout;

  constructor(r: HttpRequest, ms: number) {
    this.#timer = setTimeout(() => {
      clock.update();
      r.producer = null;
      engine.resume(r);
    }, ms);
  }

  onDrain(): void {}

  onAbort(): void {
    clearTimeout(this.#timer);
  }
}
