/** Types of `Config` that say how answers are changed on their way. Parts of the model: see model.ts. */
import type { RegexText } from './model.ts';

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
