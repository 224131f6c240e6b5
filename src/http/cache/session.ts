/**
 * A request whose location has a cache, from the look-up of its key to the end of what it fetched: decides what is sent
 * from the cache, what is fetched, and what of that is kept. The exchange tells it what happens to the fetch.
 *
 * Requests that find a fresh answer in memory never make one of these (`handler.ts`).
 */
import type { Buffer } from 'node:buffer';
import { MAX_ETAG } from '../../cache/file-format.ts';
import type { FileHeader } from '../../cache/file-format.ts';
import { SCARCE, FRESH } from '../../cache/keys-zone.ts';
import { clock } from '../../net/clock.ts';
import { failedText } from '../../observe/errno.ts';
import type { BodyProducer, HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import * as engine from '../engine.ts';
import { parseHttpDate } from '../filters/http-date.ts';
import type { AnswerKeeper } from '../proxy/answer-buffering.ts';
import { H } from '../wire/known.ts';
import type { ResponseHead } from '../wire/response-head.ts';
import type { CachedAnswer } from './entry.ts';
import { Fill, storedHead } from './fill.ts';
import { readFreshness } from './freshness.ts';
import type { Freshness } from './freshness.ts';
import { LockWait } from './lock-wait.ts';
import { BYPASS, EXPIRED, HIT, MISS, REVALIDATED, STALE, UPDATING } from './plan.ts';
import type { CachePlan } from './plan.ts';
import { serve } from './serve.ts';
import { variantName, variantOf } from './vary.ts';
import { METHOD_HEAD } from '../wire/request-head.ts';
import type { CacheZone } from './zone.ts';

/** An update of what is there already keeps others waiting for no longer. */
const UPDATE_MS = 60_000;

/** What the session needs to have done about its request. */
export interface SessionDriver {
  /** Asks the server; the session is told of what comes. */
  fetch(r: HttpRequest, session: CacheSession): void;
  /** Updates an answer in the background with the right to do so. @returns false: that is not possible */
  updateLater(r: HttpRequest, session: CacheSession, ticket: number): boolean;
}

export class CacheSession implements AnswerKeeper, BodyProducer {
  readonly plan: CachePlan;
  readonly zone: CacheZone;
  /** A copy once the client is gone. */
  r: HttpRequest;
  /** The answer may be kept. */
  cacheable = true;
  readonly #driver: SessionDriver;
  readonly #text: string;
  readonly #main: Buffer;
  #key: Buffer;
  /** The name it is remembered by. */
  #name: string;
  #secondary = false;
  /** The right to update the key; 0: not had. */
  #ticket: number;
  /** This request is an update in the background itself. */
  readonly #background: boolean;
  /** What there is, but is too old. */
  #old: CachedAnswer | null = null;
  #ended = false;

  /** Bytes of the file that it became. */
  #written = 0;
  /** What is being kept. */
  #fill: Fill | null = null;

  #waiting: LockWait | null = null;
  #patience: number;

  /** @param ticket of an update in the background; 0: this is none */
  constructor(
    r: HttpRequest,
    plan: CachePlan,
    zone: CacheZone,
    key: { text: string; sum: Buffer },
    driver: SessionDriver,
    ticket: number,
  ) {
    this.r = r;
    this.plan = plan;
    this.zone = zone;
    this.#text = this.#name = key.text;
    this.#main = this.#key = key.sum;
    this.#driver = driver;
    this.#ticket = ticket;
    this.#background = ticket !== 0;
    this.#patience = plan.config.lockTimeoutMs;
  }

  // ------------------------------------------------------------------------------------ the look-up

  /** Fetches without looking (proxy_cache_bypass); the answer is kept nevertheless. */
  bypass(): void {
    this.r.cacheStatus = BYPASS;
    this.#fetch();
  }

  look(counted = false): void {
    const { zone, plan, r } = this;
    const { keys } = zone.store;
    const now = Math.floor(clock.wall / 1000);
    r.cacheStatus = MISS;
    for (;;) {
      const result = keys.use(this.#key, now, counted ? 1 : plan.config.minUses);
      if (keys.error !== 0) {
        const status = keys.error;
        r.cacheStatus = HIT;
        this.#end();
        engine.finalize(r, status);
        return;
      }
      if (result === SCARCE) {
        this.cacheable = false;
        break;
      }
      const found = keys.version !== 0 || keys.cold ? this.#find(now) : null;
      if (found === 'other variant') continue;
      if (found !== null) {
        this.#found(found, now);
        return;
      }
      if (result === FRESH && plan.config.minUses > 1 && !counted) {
        this.cacheable = false;
        break;
      }
      if (this.#background || !plan.config.lock || this.#claim()) break;
      if (this.#patience === 0) {
        this.cacheable = false;
        break;
      }
      this.#wait();
      return;
    }
    this.#fetch();
  }

  /** The key's answer, in memory or on disk; `other variant`: the key has become that of another variant. */
  #find(now: number): CachedAnswer | 'other variant' | null {
    const { zone } = this;
    const { keys } = zone.store;
    let answer = zone.remembered(this.#name, now);
    if (answer === null) {
      let { version } = keys;
      answer = zone.open(this.#name, this.#key, this.#text);
      if (answer === null) {
        if (version !== 0) keys.forget(this.#key, version);
        return null;
      }
      if (version === 0) {
        const size = answer.bodyStart + answer.header.bodyLength;
        version = keys.adopt(this.#key, zone.store.blocksOf(size), now);
      }
      zone.remember(this.#name, answer, keys.node, version, now);
    }
    const { vary, variant } = answer.header;
    if (variant === null) return answer;
    const wanted = variantOf(this.#main, vary, this.r.head);
    if (wanted.equals(variant)) return answer;
    if (this.#secondary) return null;
    this.#secondary = true;
    this.#key = wanted;
    this.#name = variantName(wanted);
    return 'other variant';
  }

  #found(answer: CachedAnswer, now: number): void {
    const { header } = answer;
    if (header.validUntil >= now) {
      this.#end();
      serve(this.r, this.plan, this.zone, answer, HIT);
      return;
    }
    const { useStale, backgroundUpdate } = this.plan.config;
    const mayBeStale = (useStale.updating || header.validUntil + header.staleUpdating >= now) && !this.#background;
    if (this.#ticket === 0) this.#ticket = this.zone.store.keys.claim(this.#key, clock.wall, UPDATE_MS);
    if (this.#ticket === 0 && mayBeStale) {
      this.#end();
      serve(this.r, this.plan, this.zone, answer, UPDATING);
      return;
    }
    if (this.#ticket !== 0 && mayBeStale && backgroundUpdate) {
      const ticket = this.#ticket;
      if (this.#driver.updateLater(this.r, this, ticket)) {
        // The right to update has gone to the background request.
        this.#ticket = 0;
        this.#ended = true;
        serve(this.r, this.plan, this.zone, answer, STALE);
        return;
      }
    }
    this.#old = answer;
    this.r.cacheStatus = EXPIRED;
    this.#fetch();
  }

  #claim(): boolean {
    this.#ticket = this.zone.store.keys.claim(this.#key, clock.wall, this.plan.config.lockAgeMs);
    return this.#ticket !== 0;
  }

  #fetch(): void {
    if (this.cacheable && !this.#rangeFits()) this.cacheable = false;
    this.#driver.fetch(this.r, this);
  }

  /** proxy_cache_max_range_offset: who wants the end of something large need not wait for its beginning. */
  #rangeFits(): boolean {
    const limit = this.plan.config.maxRangeOffset;
    if (limit === null) return true;
    const range = this.r.header(H.range);
    if (range === null) return true;
    if (limit === 0) return false;
    const match = /^bytes= *(-|\d*)/i.exec(range);
    if (match === null) return true;
    return match[1] !== '-' && Number(match[1]) < limit;
  }

  // ------------------------------------------------------------------------------------ waiting

  #wait(): void {
    this.r.producer = this;
    this.#waiting ??= new LockWait(this.zone, this.#key, this.#waited);
    this.#waiting.start(this.#key, this.#patience);
  }

  readonly #waited = (timedOut: boolean): void => {
    if (timedOut) {
      logRequest(this.r, 'info', 'cache lock timeout');
      this.#patience = 0;
    }
    this.r.producer = null;
    this.look(true);
  };

  onDrain(): void {}

  /** The client is gone while it waits. */
  onAbort(): void {
    this.#waiting?.stop();
    this.#end();
  }

  // ------------------------------------------------------------------------------------ the fetch, before its answer

  /** The request is sent so that its answer can be kept: all of it, unconditionally but for our own conditions. */
  get wantsWhole(): boolean {
    return this.cacheable;
  }

  /** HEAD is sent as GET. */
  get convertsHead(): boolean {
    return this.cacheable && this.plan.config.convertHead;
  }

  /** What the update asks for to have changed since (proxy_cache_revalidate); null: all of it is wanted. */
  get validators(): { etag: string; lastModified: number } | null {
    const { header } = this.#old ?? { header: null };
    return header === null || !this.plan.config.revalidate || this.r.cacheStatus !== EXPIRED ? null : header;
  }

  /** An old answer that may stand in because no server answered. @param why as proxy_cache_use_stale names it */
  insteadOfFailure(why: 'error' | 'timeout' | 'invalidHeader'): CachedAnswer | null {
    const old = this.#old;
    if (old === null || this.r.cacheStatus !== EXPIRED) return null;
    const { validUntil, staleError } = old.header;
    const now = Math.floor(clock.wall / 1000);
    return this.plan.config.useStale[why] || validUntil + staleError >= now ? old : null;
  }

  /** An old answer that may stand in for one with this status. */
  insteadOfStatus(status: number): CachedAnswer | null {
    return this.r.cacheStatus === EXPIRED && this.plan.config.useStale.statuses.includes(status) ? this.#old : null;
  }

  /** The server says that the old answer is still good. */
  get confirmable(): boolean {
    return this.validators !== null;
  }

  serveOld(answer: CachedAnswer): void {
    this.#end();
    serve(this.r, this.plan, this.zone, answer, STALE);
  }

  /** A 304 has come: the old answer is valid again. */
  serveConfirmed(head: ResponseHead): void {
    this.confirmAlone(head);
    serve(this.r, this.plan, this.zone, this.#old!, REVALIDATED);
  }

  /** The same when nobody is there to be answered. */
  confirmAlone(head: ResponseHead): void {
    const old = this.#old!;
    const { plan } = this;
    const now = Math.floor(clock.wall / 1000);
    // What the 304 says, else what the answer said when it was fetched, else what the configuration says.
    let fresh = readFreshness(head, plan.fields, now);
    if (fresh.validUntil === 0) fresh = readFreshness(old.head, plan.fields, now);
    if (fresh.validUntil === 0) {
      const sec = plan.validFor(old.head.status);
      if (sec > 0) fresh.validUntil = now + sec;
    }
    if (fresh.validUntil !== 0) {
      const header = {
        ...old.header,
        validUntil: fresh.validUntil,
        staleUpdating: fresh.staleUpdating,
        staleError: fresh.staleError,
        date: now,
      };
      this.zone.store.refresh(this.#key, this.#ticket, header, old.inode);
    }
    this.#end();
  }

  /** No server answered, and nothing stands in: the status may be remembered. */
  failed(status: number): void {
    if (this.cacheable) this.#rememberStatus(status, 0);
    this.#end();
  }

  /** The answer is replaced by an error page of the location (proxy_intercept_errors): its status may be remembered. */
  intercepted(head: ResponseHead): void {
    const fresh = readFreshness(head, this.plan.fields, Math.floor(clock.wall / 1000));
    if (this.cacheable && fresh.cacheable) this.#rememberStatus(head.status, fresh.validUntil);
    this.#end();
  }

  #rememberStatus(status: number, until: number): void {
    const now = Math.floor(clock.wall / 1000);
    const sec = until === 0 ? this.plan.validFor(status) : until - now;
    if (sec <= 0) return;
    this.zone.store.keys.fail(this.#key, this.#ticket, status, Math.min(now + sec, 0xffffffff), now);
    this.#ticket = 0;
  }

  // ------------------------------------------------------------------------------------ keeping

  /**
   * An answer has begun.
   * @returns true: it is to be kept, and the session takes its body; false: the session is over
   */
  keeps(head: ResponseHead, buffered: boolean): boolean {
    const { plan, r } = this;
    const now = Math.floor(clock.wall / 1000);
    const fresh = readFreshness(head, plan.fields, now);
    if (!fresh.cacheable || (plan.bareHead && r.method === METHOD_HEAD)) this.cacheable = false;
    // Predicates and times are asked when the head stands as it is sent; an answer that is not buffered is not kept.
    if (this.cacheable && (!buffered || plan.refuses(r))) this.cacheable = false;
    if (this.cacheable && fresh.validUntil === 0) {
      const sec = plan.validFor(head.status);
      if (sec > 0) fresh.validUntil = now + sec;
      else this.cacheable = false;
    }
    if (!this.cacheable) {
      this.#end();
      return false;
    }
    this.#fill = new Fill(this.#headerOf(head, fresh, now), this.zone.store, plan.tempPath);
    return true;
  }

  #headerOf(head: ResponseHead, fresh: Freshness, now: number): FileHeader {
    const whole = head.status === 200 || head.status === 206;
    const modified = whole ? head.get(H['last-modified']) : null;
    const etag = (whole ? head.get(H.etag) : null) ?? '';
    const variant = fresh.vary === '' ? null : variantOf(this.#main, fresh.vary, this.r.head);
    if (this.#secondary && (variant === null || !variant.equals(this.#key))) this.#becomeMain();
    return {
      key: this.#text,
      vary: fresh.vary,
      variant,
      etag: etag.length <= MAX_ETAG ? etag : '',
      lastModified: modified === null ? -1 : parseHttpDate(modified),
      validUntil: fresh.validUntil,
      staleUpdating: fresh.staleUpdating,
      staleError: fresh.staleError,
      date: now,
      bodyLength: 0,
      head: storedHead(head),
    };
  }

  /** The answer is not of the variant that was looked for: it takes the place of the first one. */
  #becomeMain(): void {
    this.zone.store.keys.release(this.#key, this.#ticket, false);
    this.zone.wake(this.#key);
    this.#ticket = 0;
    this.#secondary = false;
    this.#key = this.#main;
    this.#name = this.#text;
  }

  get base(): number {
    return this.#fill!.base;
  }

  openFile(): number | null {
    try {
      return this.#fill!.open(this.#key);
    } catch (error) {
      logRequest(this.r, 'crit', failedText(`open() in "${this.plan.tempPath.dir}"`, error));
      this.fail();
      return null;
    }
  }

  complete(whole: Buffer | null, length: number): void {
    try {
      const now = Math.floor(clock.wall / 1000);
      this.#fill!.complete(this.#key, this.#ticket, whole, length, now);
      this.#written = this.base + length;
      this.#ticket = 0;
    } catch (error) {
      logRequest(this.r, 'crit', failedText(`cache file "${this.zone.store.pathOf(this.#key)}"`, error));
    }
    this.#end();
  }

  /** The answer broke off, or the file cannot be written. Its descriptor is the buffer's, which may still be writing. */
  fail(): void {
    this.#fill?.remove();
    this.cacheable = false;
    this.#end();
  }

  /** The exchange is over, whatever became of it. @param received bytes of the last server that was asked */
  close(received: number): void {
    if (!this.#ended) this.fail();
    this.zone.countFetched(this.r.cacheStatus, received, this.#written);
  }

  /** The update in the background is over; as a rule it has used its right. */
  updateEnded(ticket: number): void {
    this.zone.store.keys.release(this.#key, ticket, true);
    this.zone.wake(this.#key);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.zone.store.keys.release(this.#key, this.#ticket, this.plan.config.minUses > 1);
    this.#ticket = 0;
    this.zone.wake(this.#key);
  }
}
