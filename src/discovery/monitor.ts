/**
 * Keeps the servers with `resolve` resolved: when to ask again and what to do with failures, as nginx does it
 * (ngx_http_upstream_zone_module.c). Runs once, in the main thread; what the answers mean for the peers is the
 * business of those who watch.
 */
import type { Resolver } from './resolver.ts';
import { systemTimers } from './types.ts';
import type { Clock, Failure, Log, Resolution, ServiceRecord, ServiceResolution, Timers } from './types.ts';

/** The first query, when nothing is known from before. */
const FIRST_MS = 1;
/** Added to the validity of an answer, and the wait when it has none: the cache must have let go of it. */
const AFTER_MS = 1000;
/** A resolver may say "valid for years"; timers cannot, and an operator would not expect it. */
const LONGEST_MS = 24 * 60 * 60 * 1000;

export interface MonitorEnv {
  clock: Clock;
  log?: Log;
  timers?: Timers;
}

/** Who is asked: a resolver, or the system. */
export type AddressSource = Pick<Resolver, 'lookup' | 'lookupService'>;

export interface WatchOptions {
  /** Whose names these are, for status pages; need not be unique (an old generation may still run). */
  key: string;
  /** Null: a line in the log, and nothing is ever resolved. */
  resolver: AddressSource | null;
  host: string;
  /** The value of `service=`; null: addresses of the host itself. */
  service: string | null;
  /** `resolver_timeout`, ms. */
  timeoutMs: number;
  /** Until when records taken over from before a reload are good; the first query waits for it. */
  initialValidUntilMs?: number;
}

/**
 * Called with every answer, changed or not: the caller compares. An empty list: the name does not exist (any more).
 * For `service: null` the records have port 0, weight 1, priority 0 and the host as target.
 */
export type OnChange = (records: ServiceRecord[], validUntilMs: number) => void;

/** Called with failures that leave the records as they are; the log has them already. */
export type OnError = (failure: Failure) => void;

/** What a watch is doing, for status pages. */
export interface WatchStatus {
  key: string;
  host: string;
  service: string | null;
  validUntilMs: number;
  lastFailure: Failure | null;
}

export class Monitor {
  readonly #env: { clock: Clock; log: Log; timers: Timers };
  readonly #watches = new Set<Watch>();

  constructor(env: MonitorEnv) {
    this.#env = { clock: env.clock, log: env.log ?? (() => {}), timers: env.timers ?? systemTimers };
  }

  /** Starts to watch a name. Out: stops it; neither function is called after that. */
  watch(options: WatchOptions, onChange: OnChange, onError?: OnError): () => void {
    if (options.resolver === null) {
      this.#env.log('error', `no resolver defined to resolve ${options.host}`);
      return () => {};
    }
    const watch = new Watch(this.#env, options, options.resolver, onChange, onError ?? (() => {}));
    this.#watches.add(watch);
    return () => {
      watch.stop();
      this.#watches.delete(watch);
    };
  }

  status(): WatchStatus[] {
    return [...this.#watches].map((watch) => watch.status());
  }

  /** Stops all watches. The resolvers stay open: they belong to whoever made them. */
  close(): void {
    this.#watches.forEach((watch) => watch.stop());
    this.#watches.clear();
  }
}

class Watch {
  readonly #env: { clock: Clock; log: Log; timers: Timers };
  readonly #options: WatchOptions;
  readonly #resolver: AddressSource;
  readonly #onChange: OnChange;
  readonly #onError: OnError;
  #validUntilMs: number;
  #lastFailure: Failure | null = null;
  /** Whether the peers come from an answer, be it from before a reload. */
  #hasRecords: boolean;
  #stopped = false;
  /** Calls off the timer or the query under way. */
  #cancel: () => void = () => {};

  constructor(
    env: { clock: Clock; log: Log; timers: Timers },
    options: WatchOptions,
    resolver: AddressSource,
    onChange: OnChange,
    onError: OnError,
  ) {
    this.#env = env;
    this.#options = options;
    this.#resolver = resolver;
    this.#onChange = onChange;
    this.#onError = onError;
    this.#validUntilMs = options.initialValidUntilMs ?? 0;
    this.#hasRecords = options.initialValidUntilMs !== undefined;
    const leftMs = this.#validUntilMs - env.clock.ms();
    this.#sleep(leftMs > 0 ? leftMs : FIRST_MS);
  }

  status(): WatchStatus {
    const { key, host, service } = this.#options;
    return { key, host, service, validUntilMs: this.#validUntilMs, lastFailure: this.#lastFailure };
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  #sleep(delayMs: number): void {
    if (!this.#stopped) {
      this.#cancel = this.#env.timers.after(Math.min(delayMs, LONGEST_MS), () => this.#ask());
    }
  }

  #ask(): void {
    const { host, service, timeoutMs } = this.#options;
    let answered = false;
    const cancel =
      service === null
        ? this.#resolver.lookup(host, timeoutMs, (resolution) => {
            answered = true;
            this.#take(asService(resolution, host));
          })
        : this.#resolver.lookupService(service, host, timeoutMs, (resolution) => {
            answered = true;
            this.#take(resolution);
          });
    if (!answered) {
      this.#cancel = cancel;
    }
  }

  #take(resolution: ServiceResolution): void {
    if (this.#stopped) {
      return;
    }
    const { host, service } = this.#options;
    for (const { target, code, text } of resolution.failed) {
      const cause = `${target} could not be resolved (${code}: ${text})`;
      this.#env.log('error', `${cause} while resolving service ${service ?? ''} of ${host}`);
    }
    if (resolution.ok) {
      this.#lastFailure = null;
      this.#deliver(resolution.records, resolution.validUntilMs);
      return;
    }
    this.#lastFailure = {
      ok: false,
      code: resolution.code,
      text: resolution.text,
      validUntilMs: resolution.validUntilMs,
    };
    const name = service === null ? host : `service ${service} of ${host}`;
    this.#env.log('error', `${name} could not be resolved (${resolution.code}: ${resolution.text})`);
    if (resolution.code === 3) {
      this.#deliver([], resolution.validUntilMs);
      return;
    }
    // A group without any peer must not stay so because one target of many cannot be resolved.
    if (!this.#hasRecords && resolution.partial.length > 0) {
      this.#call(() => this.#onChange(resolution.partial, this.#env.clock.ms()));
    }
    const failed = this.#lastFailure;
    this.#call(() => this.#onError(failed));
    this.#sleep(Math.max(this.#options.timeoutMs, AFTER_MS));
  }

  /** A fault of the caller must not end the watch. */
  #call(run: () => void): void {
    try {
      run();
    } catch (error) {
      const cause = error instanceof Error ? error.stack : String(error);
      this.#env.log('alert', `taking over the addresses of ${this.#options.host} failed: ${cause}`);
    }
  }

  #deliver(records: ServiceRecord[], validUntilMs: number): void {
    this.#validUntilMs = validUntilMs;
    this.#hasRecords = records.length > 0;
    this.#call(() => this.#onChange(records, validUntilMs));
    // After the call: a caller that takes long must not make the wait shorter, and it may have stopped the watch.
    this.#sleep(Math.max(validUntilMs - this.#env.clock.ms(), 0) + AFTER_MS);
  }
}

/** An answer for a host in the form of one for a service. */
function asService(resolution: Resolution, host: string): ServiceResolution {
  if (!resolution.ok) {
    return { ...resolution, failed: [], partial: [] };
  }
  const { addresses, validUntilMs, ttlSec } = resolution;
  const records = addresses.map(({ family, address }) => {
    return { family, address, port: 0, weight: 1, priority: 0, target: host };
  });
  return { ok: true, records, validUntilMs, ttlSec, failed: [] };
}
