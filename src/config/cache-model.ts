/** Caches in `Config`: what `proxy_cache_path` makes, and what a location does with it. The same for all protocols. */
import type { ValueText } from './model.ts';

/** Directory with levels of subdirectories. */
export interface TempPath {
  /** Absolute, without a trailing slash. */
  dir: string;
  /** Lengths of the names of its levels; empty: none. */
  levels: number[];
}

/** A cache: `proxy_cache_path`, `fastcgi_cache_path` and so on. */
export interface CacheZoneConfig extends TempPath {
  /** `keys_zone=name:size`. */
  name: string;
  size: number;
  useTempPath: boolean;
  inactiveSec: number;
  /** Bytes; null: no limit. */
  maxSize: number | null;
  /** Bytes that are to stay free; 0: no matter. */
  minFree: number;
  /** Files in one go, pause after it, longest time of one go. */
  loader: CachePace;
  manager: CachePace;
  purger: CachePace;
  /** `purger=on`. */
  purges: boolean;
}

export interface CachePace {
  files: number;
  sleepMs: number;
  thresholdMs: number;
}

/** When an answer may be sent although its time is over. */
export interface UseStale {
  error: boolean;
  timeout: boolean;
  invalidHeader: boolean;
  updating: boolean;
  statuses: number[];
}

/** A location with a cache. */
export interface CacheConfig {
  /** Name of the zone; with variables: empty and `off` mean none. */
  zone: ValueText;
  /** Null: made of where the request goes (`proxy_cache_key $scheme$proxy_host$request_uri`). */
  key: ValueText | null;
  /** Status 0: any. The first that fits counts. */
  valid: { status: number; sec: number }[];
  /** GET and HEAD are among them. */
  methods: string[];
  minUses: number;
  bypass: ValueText[];
  noCache: ValueText[];
  useStale: UseStale;
  lock: boolean;
  lockTimeoutMs: number;
  lockAgeMs: number;
  revalidate: boolean;
  backgroundUpdate: boolean;
  convertHead: boolean;
  /** Bytes; null: no limit. */
  maxRangeOffset: number | null;
  /** Conditions under which a request removes what is cached. */
  purge: ValueText[];
}

/** `proxy_store`. */
export interface StoreConfig {
  /** Null: the path that `root` or `alias` gives. */
  path: ValueText | null;
}
