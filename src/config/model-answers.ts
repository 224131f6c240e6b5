/** Types of `Config` that say how answers are changed on their way. Parts of the model: see model.ts. */
import type { RegexText, ValueText } from './model.ts';

export type GzipProxied =
  | 'off'
  | 'expired'
  | 'no-cache'
  | 'no-store'
  | 'private'
  | 'no_last_modified'
  | 'no_etag'
  | 'auth'
  | 'any';

/** `gzip…`, `gunzip`. */
export interface GzipConfig {
  on: boolean;
  /** Answers whose content is compressed are unpacked for clients that cannot. */
  gunzip: boolean;
  /** Files that are compressed already (`X.gz` beside `X`). */
  static: 'off' | 'on' | 'always';
  /** Lower case; `*`: any. */
  types: string[];
  /** Bytes. */
  minLength: number;
  level: number;
  vary: boolean;
  /** 10 or 11: requests below are not compressed for. */
  httpVersion: number;
  /** For which answers to requests that came through a proxy (`Via`). */
  proxied: GzipProxied[];
  /** User agents that are not compressed for. */
  disable: RegexText[];
  /** `gzip_disable msie6`. */
  disableMsie6: boolean;
}

/** `charset` and what belongs to it, of a location that says something about them. */
export interface CharsetConfig {
  /** What answers are to be in; null: `off`. */
  charset: ValueText | null;
  /** What answers are in that do not say it themselves; null: not known. */
  source: ValueText | null;
  /** Answers that name a charset are made those of `charset`, too. */
  override: boolean;
  /** Types that get a charset when they have none; `*`: all. */
  types: string[];
}

/** What `charset_map` and all `charset` of a configuration know. */
export interface CharsetsConfig {
  names: string[];
  maps: CharsetMap[];
}

export interface CharsetMap {
  from: string;
  /** `utf-8`: values are characters of UTF-8; else single bytes. */
  to: string;
  pairs: [byte: number, bytes: number[]][];
}
