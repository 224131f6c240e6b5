/** What the cache directives of a location come to, made once when a configuration is loaded. */
import type { CacheConfig, TempPath } from '../../config/cache-model.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import { holds } from '../../variables/value.ts';
import type { Value } from '../variables/value.ts';
import type { VariableTable } from '../variables/table.ts';
import type { UpstreamPlan } from '../proxy/upstream-plan.ts';
import type { HideTable } from '../request.ts';
import { extended } from '../proxy/hide.ts';
import { cacheFields } from './freshness.ts';
import type { CacheFields } from './freshness.ts';
import type { CacheZone } from './zone.ts';

/** How a cache has answered (`$upstream_cache_status`). */
export const NONE = 0;
export const MISS = 1;
export const BYPASS = 2;
export const EXPIRED = 3;
export const STALE = 4;
export const UPDATING = 5;
export const REVALIDATED = 6;
export const HIT = 7;

export class CachePlan {
  readonly config: CacheConfig;
  readonly upstream: UpstreamPlan;
  readonly fields: CacheFields;
  readonly tempPath: TempPath;
  /** Largest header part in bytes (proxy_buffer_size). */
  readonly bufferSize: number;
  readonly module: string;
  /** The server is told HEAD as it is, and may leave the body out: what it answers is not what GET gets. */
  readonly bareHead: boolean;
  /** Fields that are not passed on: with a 304, and where ranges are offered by us. */
  readonly hideForNotModified: HideTable;
  readonly hideForRanges: HideTable;
  readonly hideForRange: HideTable;
  readonly hideForParts: HideTable;
  /** Null: the zone's name holds variables. */
  readonly #zone: CacheZone | null;
  readonly #zoneName: Value;
  readonly #zones: ReadonlyMap<string, CacheZone>;
  readonly #key: Value | null;
  readonly #bypass: Value[];
  readonly #noCache: Value[];
  readonly #purge: Value[];

  constructor(
    config: CacheConfig,
    upstream: UpstreamPlan,
    module: string,
    zones: ReadonlyMap<string, CacheZone>,
    variables: VariableTable,
  ) {
    this.config = config;
    this.upstream = upstream;
    this.module = module;
    this.bareHead = module === 'fastcgi' || module === 'scgi' || module === 'uwsgi';
    this.fields = cacheFields(upstream.config.ignoreHeaders);
    this.tempPath = upstream.config.tempPath;
    this.bufferSize = upstream.config.bufferSize;
    this.hideForRanges = extended(upstream.responseHide, ['accept-ranges']);
    this.hideForRange = extended(this.hideForRanges, ['content-range']);
    this.hideForParts = extended(this.hideForRange, ['content-type']);
    this.hideForNotModified = this.hideForParts;
    this.#zones = zones;
    this.#zoneName = variables.compile(config.zone);
    this.#zone = this.#zoneName.constant === null ? null : (zones.get(this.#zoneName.constant) ?? null);
    this.#key = config.key === null ? null : variables.compile(config.key);
    const compile = (texts: string[]): Value[] => texts.map((text) => variables.compile(text));
    this.#bypass = compile(config.bypass);
    this.#noCache = compile(config.noCache);
    this.#purge = compile(config.purge);
  }

  /** @returns null: this request has no cache; undefined: there is none of this name, as was logged */
  zoneOf(r: HttpRequest): CacheZone | null | undefined {
    if (this.#zone !== null) return this.#zone;
    const name = this.#zoneName.get(r);
    if (name === '' || name === 'off') return null;
    const zone = this.#zones.get(name);
    if (zone === undefined) logRequest(r, 'error', `cache "${name}" not found`);
    return zone;
  }

  /** The key in words. */
  keyOf(r: HttpRequest): string {
    if (this.#key !== null) return this.#key.get(r);
    const { upstream } = this;
    if (upstream.target !== null) {
      // Where the request goes, as far as the target says; the rest is what the client asked for.
      const target = upstream.target.get(r);
      return target.indexOf('/', target.indexOf('://') + 3) < 0 ? target + clientTarget(r) : target;
    }
    const uri = upstream.uriOf(r, upstream) ?? r.head.target();
    return `${upstream.scheme}://${upstream.proxyHost}${uri}`;
  }

  caches(r: HttpRequest): boolean {
    return this.config.methods.includes(r.methodName);
  }

  bypasses(r: HttpRequest): boolean {
    return holds(this.#bypass, r);
  }

  refuses(r: HttpRequest): boolean {
    return holds(this.#noCache, r);
  }

  purges(r: HttpRequest): boolean {
    return holds(this.#purge, r);
  }

  /** Seconds that an answer of this status is valid for (proxy_cache_valid); 0: it is not to be cached. */
  validFor(status: number): number {
    const { valid } = this.config;
    for (let i = 0; i < valid.length; i++) {
      if (valid[i]!.status === 0 || valid[i]!.status === status) return valid[i]!.sec;
    }
    return 0;
  }
}

function clientTarget(r: HttpRequest): string {
  return r.validUnparsed ? r.head.target() : r.args === '' ? r.uri : `${r.uri}?${r.args}`;
}
