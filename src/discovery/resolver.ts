/**
 * The DNS client behind `resolver`: behaves as nginx's (src/core/ngx_resolver.c), tested against what
 * http_resolver*.t of nginx-tests expects.
 *
 * - A and AAAA are asked for together; an error of either is an error of both.
 * - Only answers with addresses (or a CNAME, or services) are cached. Failures are not: `validUntilMs` of a failure
 *   is advice for those who resolve again on their own.
 * - Requests for a name that is being asked for wait for that query.
 * - Name servers take turns, query by query; what is not answered is sent again every 5 s, to the next one.
 *
 * Differences, on purpose: times are milliseconds, not whole seconds, so records with a time to live of 0 serve only
 * those who wait for them; the validity of an answer is the lowest over its chain of CNAMEs; a socket that reports an
 * error lets its queries go to the next name server at once; pending queries and cached names are limited in number.
 */
import { randomInt } from 'node:crypto';
import type { ResolverConfig } from '../config/model.ts';
import { counters, DNS } from '../observe/counters.ts';
import { literalAddress, normalizeName } from './message.ts';
import { QueryTable } from './queries.ts';
import type { Entry, Waiter } from './queries.ts';
import { assembleService, rotateAddresses, serviceName } from './service.ts';
import type { TargetResult } from './service.ts';
import { failure, systemTimers } from './types.ts';
import type {
  Clock,
  Failure,
  FailureCode,
  Log,
  Resolution,
  Resolved,
  ServiceFailure,
  ServiceResolution,
  Timers,
} from './types.ts';

/** As NGX_RESOLVER_MAX_RECURSION: so many CNAMEs are followed, the next one is "not found". */
const MAX_CNAMES = 50;
/** How long a failure is believed without `valid=`. */
const NEGATIVE_MS = 10_000;
/** A name that nobody asked for during this time leaves the cache. */
const IDLE_MS = 30_000;
/** What a timeout of 0 or less stands for: no wait is without end. */
const DEFAULT_TIMEOUT_MS = 30_000;

export interface ResolverEnv {
  clock: Clock;
  /** [0, 1): order of addresses. Not used for query ids. */
  random?: () => number;
  log?: Log;
  timers?: Timers;
  /** Query ids, 0 to 65535; for tests. The default is a cryptographic source. */
  randomId?: () => number;
  /** Most names that are asked for at one time (default 1024); more fail with code 2. */
  maxPending?: number;
  /** Most names in the cache (default 4096); the one least recently used leaves first. */
  maxCached?: number;
}

/** Counters over the life of a resolver: queries put to name servers and how they ended. */
export interface ResolverCounters {
  requests: { name: number; srv: number };
  responses: {
    noerror: number;
    formerr: number;
    servfail: number;
    nxdomain: number;
    notimp: number;
    refused: number;
    timedout: number;
  };
}

const COUNTER_NAMES = {
  1: 'formerr',
  2: 'servfail',
  3: 'nxdomain',
  4: 'notimp',
  5: 'refused',
  110: 'timedout',
} as const;

export class Resolver {
  readonly counters: ResolverCounters = {
    requests: { name: 0, srv: 0 },
    responses: { noerror: 0, formerr: 0, servfail: 0, nxdomain: 0, notimp: 0, refused: 0, timedout: 0 },
  };
  /** The same over all threads, for its `status_zone`. */
  readonly #counts: Float64Array;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #timers: Timers;
  readonly #log: Log;
  readonly #validMs: number | null;
  readonly #maxCached: number;
  readonly #queries: QueryTable;
  /** Least recently used first. */
  readonly #names = new Map<string, Entry>();
  readonly #services = new Map<string, Entry>();
  readonly #waiters = new Set<Waiter>();
  #closed = false;

  /** In: at least one name server, addresses as literals. No socket is opened before the first query. */
  constructor(config: ResolverConfig, env: ResolverEnv) {
    this.#clock = env.clock;
    this.#counts = counters.row(`resolver ${config.statusZone ?? ''}`);
    this.#random = env.random ?? Math.random;
    this.#timers = env.timers ?? systemTimers;
    this.#log = env.log ?? (() => {});
    this.#validMs = config.validMs;
    this.#maxCached = env.maxCached ?? 4096;
    this.#queries = new QueryTable(config, {
      clock: env.clock,
      timers: this.#timers,
      log: this.#log,
      randomId: env.randomId ?? (() => randomInt(0x10000)),
      maxPending: env.maxPending ?? 1024,
      onAnswer: (entry, waiting) => this.#answered(entry, waiting),
      onFailure: (entry, code, waiting) => this.#failed(entry, code, waiting),
    });
  }

  /** Sizes, for status pages and tests. */
  get size(): { pending: number; cached: number; waiting: number } {
    return {
      pending: this.#queries.size,
      cached: this.#names.size + this.#services.size,
      waiting: this.#waiters.size,
    };
  }

  /**
   * Resolves a name to addresses. A literal address resolves to itself.
   *
   * In: a host name, with or without final dot; how long to wait, ms (0: 30 s). Out: never rejects.
   */
  resolve(name: string, timeoutMs: number): Promise<Resolution> {
    return new Promise((done) => {
      this.lookup(name, timeoutMs, done);
    });
  }

  /**
   * The same without a promise. `done` is called once, before this returns when the answer is cached.
   * Out: call it to lose interest; `done` is not called after that.
   */
  lookup(name: string, timeoutMs: number, done: (resolution: Resolution) => void): () => void {
    const known = this.cached(name);
    if (known !== null) {
      done(known);
      return () => {};
    }
    return this.#start(false, name, timeoutMs, (waiter, answer) => {
      done('key' in answer ? this.#resolved(waiter, answer) : answer);
    });
  }

  /** Out: what is known of a name without asking, its addresses in a new order; null: it has to be asked for. */
  cached(name: string): Resolved | null {
    let entry = this.#names.get(name);
    if (entry === undefined) {
      const literal = literalAddress(name);
      if (literal !== null) {
        return { ok: true, addresses: [literal], validUntilMs: Number.MAX_SAFE_INTEGER, ttlSec: 0x7fffffff };
      }
      const key = normalizeName(name);
      entry = key === null ? undefined : this.#names.get(key);
    }
    const nowMs = this.#clock.ms();
    let validUntilMs = Infinity;
    let ttlSec = Infinity;
    for (let depth = 0; entry !== undefined && entry.validUntilMs > nowMs && depth <= MAX_CNAMES; depth++) {
      this.#touch(this.#names, entry, nowMs);
      validUntilMs = Math.min(validUntilMs, entry.validUntilMs);
      ttlSec = Math.min(ttlSec, entry.ttlSec);
      if (entry.cname === null) {
        return { ok: true, addresses: rotateAddresses(entry.v4, entry.v6, this.#random), validUntilMs, ttlSec };
      }
      entry = this.#names.get(entry.cname);
    }
    return null;
  }

  /**
   * Resolves a service: the SRV record, then all of its targets.
   *
   * In: the value of `service=`, the host of the server line; how long to wait, ms, for the SRV answer and again for
   * the targets. Out: never rejects.
   */
  resolveService(service: string, host: string, timeoutMs: number): Promise<ServiceResolution> {
    return new Promise((done) => {
      this.lookupService(service, host, timeoutMs, done);
    });
  }

  /** `resolveService` without a promise; see `lookup`. */
  lookupService(
    service: string,
    host: string,
    timeoutMs: number,
    done: (resolution: ServiceResolution) => void,
  ): () => void {
    const cancels: (() => void)[] = [];
    const first = this.#start(true, serviceName(service, host), timeoutMs, (waiter, answer) => {
      if (!('key' in answer)) {
        done({ ...answer, failed: [], partial: [] } satisfies ServiceFailure);
        return;
      }
      const results: TargetResult[] = [];
      let left = answer.targets.length;
      answer.targets.forEach((srv, index) => {
        const cancel = this.lookup(srv.target, timeoutMs, (resolution) => {
          results[index] = { srv, resolution };
          left--;
          if (left === 0) {
            done(assembleService(results, waiter, this.#negativeUntilMs(), this.#random));
          }
        });
        cancels.push(cancel);
      });
    });
    return () => {
      first();
      cancels.forEach((cancel) => cancel());
    };
  }

  /** Closes all sockets and forgets everything. Who still waits gets code 110, as does whoever asks later. */
  close(): void {
    this.#closed = true;
    this.#queries.close();
    this.#names.clear();
    this.#services.clear();
    for (const waiter of this.#waiters) {
      this.#finish(waiter, failure(110, this.#negativeUntilMs()));
    }
  }

  #start(service: boolean, name: string, timeoutMs: number, done: Waiter['done']): () => void {
    const waiter: Waiter = {
      service,
      depth: 0,
      validUntilMs: Infinity,
      ttlSec: Infinity,
      entry: null,
      stop: null,
      done,
    };
    if (this.#closed) {
      done(waiter, failure(110, this.#negativeUntilMs()));
      return () => {};
    }
    this.#waiters.add(waiter);
    this.#advance(waiter, name, timeoutMs);
    return () => this.#drop(waiter);
  }

  /** Goes along cached CNAMEs to an answer, or waits for the query that is missing. */
  #advance(waiter: Waiter, name: string, timeoutMs: number): void {
    const cache = waiter.service ? this.#services : this.#names;
    const nowMs = this.#clock.ms();
    let key = normalizeName(name);
    for (;;) {
      if (key === null) {
        this.#finish(waiter, failure(3, this.#negativeUntilMs()));
        return;
      }
      const entry = cache.get(key);
      if (entry === undefined || entry.validUntilMs <= nowMs) {
        break;
      }
      this.#touch(cache, entry, nowMs);
      include(waiter, entry);
      if (entry.cname === null) {
        this.#finish(waiter, entry);
        return;
      }
      if (waiter.depth++ >= MAX_CNAMES) {
        this.#finish(waiter, failure(3, this.#negativeUntilMs()));
        return;
      }
      key = normalizeName(entry.cname);
    }
    cache.delete(key);
    if (waiter.stop === null) {
      const delayMs = timeoutMs > 0 ? timeoutMs : DEFAULT_TIMEOUT_MS;
      waiter.stop = this.#timers.after(delayMs, () => {
        waiter.stop = null;
        this.counters.responses.timedout++;
        this.#counts[DNS.timedout]!++;
        this.#finish(waiter, failure(110, this.#negativeUntilMs()));
      });
    }
    const joined = this.#queries.ask(key, waiter);
    if (joined === 'full') {
      this.#finish(waiter, failure(2, this.#negativeUntilMs()));
    } else if (joined === 'started') {
      const what = waiter.service ? 'srv' : 'name';
      this.counters.requests[what]++;
      this.#counts[DNS[what]]!++;
    }
  }

  /** A query was answered with something to keep. */
  #answered(entry: Entry, waiting: Waiter[]): void {
    const nowMs = this.#clock.ms();
    this.counters.responses.noerror++;
    this.#counts[DNS.noerror]!++;
    entry.validUntilMs = nowMs + (this.#validMs ? this.#validMs : entry.ttlSec * 1000);
    entry.usedMs = nowMs;
    const cache = entry.service ? this.#services : this.#names;
    if (entry.validUntilMs > nowMs) {
      cache.set(entry.key, entry);
    }
    this.#sweep(cache, nowMs);
    for (const waiter of waiting) {
      if (!this.#waiters.has(waiter)) {
        continue;
      }
      include(waiter, entry);
      if (entry.cname === null) {
        this.#finish(waiter, entry);
      } else if (waiter.depth++ >= MAX_CNAMES) {
        this.#finish(waiter, failure(3, this.#negativeUntilMs()));
      } else {
        // The timer of the waiter runs since its first query: the timeout given here is not used.
        this.#advance(waiter, entry.cname, 0);
      }
    }
  }

  #failed(_entry: Entry, code: FailureCode, waiting: Waiter[]): void {
    this.counters.responses[COUNTER_NAMES[code]]++;
    this.#counts[DNS[COUNTER_NAMES[code]]]!++;
    for (const waiter of waiting) {
      if (this.#waiters.has(waiter)) {
        this.#finish(waiter, failure(code, this.#negativeUntilMs()));
      }
    }
  }

  /** A fresh answer is handed out in its own order; `cached` rotates. */
  #resolved(waiter: Waiter, entry: Entry): Resolved {
    const { validUntilMs, ttlSec } = waiter;
    return { ok: true, addresses: [...entry.v4, ...entry.v6], validUntilMs, ttlSec };
  }

  #finish(waiter: Waiter, answer: Entry | Failure): void {
    this.#drop(waiter);
    try {
      waiter.done(waiter, answer);
    } catch (error) {
      // A fault of the caller: it must reach neither the socket's event nor the others who wait.
      this.#log('alert', `callback of a resolver failed: ${error instanceof Error ? error.stack : String(error)}`);
    }
  }

  #drop(waiter: Waiter): void {
    this.#waiters.delete(waiter);
    waiter.stop?.();
    waiter.stop = null;
    waiter.entry?.waiting.delete(waiter);
    waiter.entry = null;
  }

  #negativeUntilMs(): number {
    return this.#clock.ms() + (this.#validMs ? this.#validMs : NEGATIVE_MS);
  }

  /** Moves an entry to the end of its map; at most once a second, which is exact enough and costs a request nothing. */
  #touch(cache: Map<string, Entry>, entry: Entry, nowMs: number): void {
    if (nowMs - entry.usedMs >= 1000) {
      entry.usedMs = nowMs;
      cache.delete(entry.key);
      cache.set(entry.key, entry);
    }
  }

  /** Two idle entries leave for each that comes (as in nginx), and as many as are over the limit. */
  #sweep(cache: Map<string, Entry>, nowMs: number): void {
    let idle = 2;
    for (const [key, entry] of cache) {
      if (cache.size <= this.#maxCached) {
        if (idle === 0 || nowMs - entry.usedMs <= IDLE_MS) {
          return;
        }
        idle--;
      }
      cache.delete(key);
    }
  }
}

/** An answer is valid as long as all that it came from. */
function include(waiter: Waiter, entry: Entry): void {
  waiter.validUntilMs = Math.min(waiter.validUntilMs, entry.validUntilMs);
  waiter.ttlSec = Math.min(waiter.ttlSec, entry.ttlSec);
}
