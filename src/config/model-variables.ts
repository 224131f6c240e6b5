/** Types of `Config` for variables that `map`, `geo` and `split_clients` define. Parts of the model: see model.ts. */
import type { RegexText, ValueText } from './model.ts';

export interface MapConfig {
  source: ValueText;
  /** Variable name without `$`. */
  variable: string;
  hostnames: boolean;
  volatile: boolean;
  default: ValueText;
  /** Exact keys, lower-case, to values. */
  exact: [key: string, value: ValueText][];
  /** Wildcard host names (only with `hostnames`). */
  wildcards: { kind: 'suffix' | 'prefix'; name: string; value: ValueText }[];
  regexes: { regex: RegexText; value: ValueText }[];
}

/**
 * Addresses in order, each the first of a stretch that has one value: what `geo` says, ready to be searched.
 * `starts` are words of 32 bits: one for each IPv4 address, four for IPv6. `values` are indexes into `GeoConfig.texts`.
 */
export interface GeoTable {
  starts: number[];
  values: number[];
}

export interface GeoConfig {
  /** Variable name without `$`. */
  variable: string;
  /** Variable whose value is the address; null: the client's address. */
  source: string | null;
  volatile: boolean;
  /** CIDRs whose `X-Forwarded-For` counts. */
  proxies: string[];
  proxyRecursive: boolean;
  texts: string[];
  v4: GeoTable;
  /** With `ranges` all of IPv6 has the default. */
  v6: GeoTable;
}

export interface SplitClientsConfig {
  source: ValueText;
  /** Variable name without `$`. */
  variable: string;
  /** A hash below `below` has the value; 0: any. In order. */
  parts: { below: number; value: string }[];
}

/** What the key of a pair means: a text, a network, or how texts begin. */
export type KeyvalType = 'string' | 'ip' | 'prefix';

/** A pair of a state file: byte strings. */
export interface KeyvalRecord {
  key: string;
  value: string;
  /** Milliseconds since the epoch; 0: it has no end. */
  end: number;
}

/** A `keyval_zone`. */
export interface KeyvalZoneConfig {
  name: string;
  /** Bytes. */
  size: number;
  type: KeyvalType;
  /** Milliseconds; 0: pairs have no end. */
  timeoutMs: number;
  stateFile: string | null;
  /** What the state file held when the configuration was read; workers are not told. */
  records: KeyvalRecord[];
}

/** A `keyval`. */
export interface KeyvalConfig {
  key: ValueText;
  /** Variable name without `$`. */
  variable: string;
  zone: string;
}
