/** Types of `Config` that say who may come in, and how often. Parts of the model: see model.ts. */
import type { LogLevel, RegexText, ValueText } from './model.ts';

/** One `allow` or `deny`, in order; the first whose network fits decides. */
export interface AccessRule {
  deny: boolean;
  /** CIDR, `unix:` or `all`. */
  network: string;
}

export interface AuthBasicConfig {
  /** Null: off. The value `off` means the same when a request evaluates it. */
  realm: ValueText | null;
  /** Relative to the configuration file's directory once its variables are known; null: none is configured. */
  userFile: ValueText | null;
}

/** `valid_referers`; null where it is not configured. */
export interface RefererConfig {
  /** A request without the field is valid. */
  none: boolean;
  /** A field without `http://` or `https://` is valid. */
  blocked: boolean;
  /** The server's own names are valid. */
  serverNames: boolean;
  /** `uri`: how the path must begin; empty: any. */
  names: { kind: 'exact' | 'suffix' | 'prefix'; name: string; uri: string }[];
  /** Matched against the field behind its scheme. */
  regexes: RegexText[];
}

export interface LimitSettings {
  logLevel: LogLevel;
  status: number;
  dryRun: boolean;
}

export interface LimitReqConfig extends LimitSettings {
  /** `burst` and `delay` in thousandths of a request, as nginx counts. */
  limits: { zone: string; burst: number; delay: number }[];
}

export interface LimitConnConfig extends LimitSettings {
  limits: { zone: string; connections: number }[];
}

/** A `limit_req_zone` or `limit_conn_zone`. */
export interface LimitZoneConfig {
  kind: 'req' | 'conn';
  name: string;
  /** Bytes. */
  size: number;
  key: ValueText;
  /** Thousandths of a request in a second; 0 for connections. */
  rate: number;
}
