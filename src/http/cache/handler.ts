/** Where requests of a location with a cache begin: what is fresh and in memory is answered here, all else is a session's. */
import { hash } from 'node:crypto';
import { Buffer } from 'node:buffer';
import { purgeAll } from '../../cache/purger.ts';
import { clock } from '../../net/clock.ts';
import { background } from '../detached.ts';
import * as engine from '../engine.ts';
import { fetchFor, proxy } from '../proxy/exchange.ts';
import type { HttpRequest } from '../request.ts';
import { SENT } from '../request.ts';
import { logRequest } from '../request-log.ts';
import { CLONE, subrequest } from '../subrequest.ts';
import type { SubrequestSink } from '../subrequest.ts';
import { HIT } from './plan.ts';
import type { CachePlan } from './plan.ts';
import { serve } from './serve.ts';
import { CacheSession } from './session.ts';
import type { SessionDriver } from './session.ts';
import { variantName, variantOf } from './vary.ts';
import type { CacheZone } from './zone.ts';

/** What a header part needs besides the key: nginx reckons so, too. */
const HEAD_ROOM = 256;
const FIXED_PART = 336;

export function cached(r: HttpRequest, plan: CachePlan): void {
  if (!plan.caches(r) && !plan.purges(r)) {
    proxy(r, plan.upstream);
    return;
  }
  const zone = plan.zoneOf(r);
  if (zone === undefined) {
    engine.finalize(r, 500);
    return;
  }
  if (zone === null) {
    proxy(r, plan.upstream);
    return;
  }
  const text = plan.keyOf(r);
  if (plan.purges(r)) {
    purge(r, zone, text);
    return;
  }
  const needed = FIXED_PART + text.length + 6 + 1 + HEAD_ROOM;
  if (needed > plan.bufferSize) {
    const enough = Math.ceil(needed / 1024) * 1024;
    logRequest(
      r,
      'error',
      `${plan.module}_buffer_size ${plan.bufferSize} is not enough for cache key, ` +
        `it should be increased to at least ${enough}`,
    );
    proxy(r, plan.upstream);
    return;
  }
  const bypassed = plan.bypasses(r);
  if (!bypassed && r.cacheTicket === 0 && answeredFromMemory(r, plan, zone, text)) return;
  const ticket = r.cacheTicket;
  r.cacheTicket = 0;
  const session = new CacheSession(r, plan, zone, { text, sum: sumOf(text) }, driver, ticket);
  if (bypassed) session.bypass();
  else session.look();
}

function answeredFromMemory(r: HttpRequest, plan: CachePlan, zone: CacheZone, text: string): boolean {
  const now = Math.floor(clock.wall / 1000);
  let answer = zone.remembered(text, now);
  if (answer === null) return false;
  const { variant, vary } = answer.header;
  if (variant !== null) {
    const wanted = variantOf(sumOf(text), vary, r.head);
    if (!wanted.equals(variant)) {
      answer = zone.remembered(variantName(wanted), now);
      if (answer === null || answer.header.variant === null || !answer.header.variant.equals(wanted)) return false;
    }
  }
  if (answer.header.validUntil < now) return false;
  serve(r, plan, zone, answer, HIT);
  return true;
}

function sumOf(text: string): Buffer {
  return hash('md5', Buffer.from(text, 'latin1'), 'buffer');
}

const driver: SessionDriver = {
  fetch(r, session) {
    fetchFor(r, session.plan.upstream, session);
  },

  updateLater(r, session, ticket) {
    const update = subrequest(background(r), r.uri, r.args, new Update(session, ticket), CLONE);
    if (update === null) return false;
    update.cacheTicket = ticket;
    return true;
  },
};

/** An update in the background: nobody wants its answer, but its right to update must not be lost. */
class Update implements SubrequestSink {
  readonly #session: CacheSession;
  readonly #ticket: number;

  constructor(session: CacheSession, ticket: number) {
    this.#session = session;
    this.#ticket = ticket;
  }

  onHead(): void {}

  onBody(): number {
    return SENT;
  }

  onEnd(): void {
    this.#session.updateEnded(this.#ticket);
  }
}

// ---------------------------------------------------------------------------------------------- purge

const PURGE_PACE = { purgerFiles: 100, purgerSleepMs: 5, purgerThresholdMs: 20 };

/** proxy_cache_purge: removes what the key names; with `*` at its end, all that begins so. */
function purge(r: HttpRequest, zone: CacheZone, text: string): void {
  const wild = text.endsWith('*');
  if (!wild) {
    const found = zone.purge(sumOf(text), text);
    if (found !== 'variants') {
      if (found) r.respond(204, null, null);
      else engine.finalize(r, 404);
      return;
    }
  }
  const prefix = wild ? text.slice(0, -1) : '';
  const fits = wild ? (key: string) => key.startsWith(prefix) : (key: string) => key === text;
  let gone = false;
  r.producer = {
    onDrain() {},
    onAbort() {
      gone = true;
    },
  };
  const { files, sleepMs, thresholdMs } = zone.config.purger;
  const pace = zone.config.purges
    ? { purgerFiles: files, purgerSleepMs: sleepMs, purgerThresholdMs: thresholdMs }
    : PURGE_PACE;
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  void purgeAll(zone.store, fits, pace, sleep).then((removed) => {
    clock.update();
    if (gone || r.aborted) return;
    r.producer = null;
    if (removed > 0 || !wild) r.respond(204, null, null);
    else engine.finalize(r, 404);
  });
}
