/**
 * What an answer's head says of caching it: how long, for whom, or not at all (ngx_http_upstream's header handlers: the
 * order of fields matters where theirs does). Pure.
 */
import { parseHttpDate } from '../filters/http-date.ts';
import { H } from '../wire/known.ts';
import type { HeaderBlock } from '../wire/header-block.ts';
import { MAX_VARY } from '../../cache/file-format.ts';

/** Which fields a location listens to (`proxy_ignore_headers`). */
export interface CacheFields {
  accelExpires: boolean;
  expires: boolean;
  cacheControl: boolean;
  setCookie: boolean;
  vary: boolean;
}

/** @param ignoreHeaders names, any case */
export function cacheFields(ignoreHeaders: readonly string[]): CacheFields {
  const ignored = new Set(ignoreHeaders.map((name) => name.toLowerCase()));
  return {
    accelExpires: !ignored.has('x-accel-expires'),
    expires: !ignored.has('expires'),
    cacheControl: !ignored.has('cache-control'),
    setCookie: !ignored.has('set-cookie'),
    vary: !ignored.has('vary'),
  };
}

export interface Freshness {
  cacheable: boolean;
  /** Seconds since the epoch; 0: the answer does not say. */
  validUntil: number;
  /** Seconds after `validUntil`: stale-while-revalidate, stale-if-error. */
  staleUpdating: number;
  staleError: number;
  /** '': none, or not listened to. */
  vary: string;
}

/** nginx's integers end here. */
const FOREVER = 2 ** 53 - 1;

/** Reads the fields of an answer. @param now seconds since the epoch */
export function readFreshness(head: HeaderBlock, fields: CacheFields, now: number): Freshness {
  const f: Freshness = { cacheable: true, validUntil: 0, staleUpdating: 0, staleError: 0, vary: '' };
  let noCache = false;
  let expired = false;
  let accelSeen = false;
  let expiresSeen = false;
  for (let i = 0; i < head.count; i++) {
    switch (head.id(i)) {
      case H['x-accel-expires']: {
        if (accelSeen) break;
        accelSeen = true;
        if (!fields.accelExpires) break;
        const until = accelExpires(head.value(i), now);
        if (until === 0) f.cacheable = false;
        if (until <= 0) break;
        f.validUntil = until;
        noCache = false;
        expired = false;
        break;
      }
      case H['cache-control']: {
        if (!fields.cacheControl) break;
        const value = head.value(i).toLowerCase();
        if (f.validUntil === 0 || !accelSeen) {
          if (value.includes('no-cache') || value.includes('no-store') || value.includes('private')) {
            noCache = true;
            break;
          }
          const age = seconds(value, 's-maxage=') ?? seconds(value, 'max-age=');
          if (age !== null) {
            if (age < 0) {
              f.cacheable = false;
              break;
            }
            if (age === 0) {
              noCache = true;
              break;
            }
            f.validUntil = Math.min(now + age, FOREVER);
            expired = false;
          }
        }
        const updating = seconds(value, 'stale-while-revalidate=');
        const error = seconds(value, 'stale-if-error=');
        if ((updating ?? 0) < 0 || (error ?? 0) < 0) f.cacheable = false;
        if (updating !== null && updating >= 0) f.staleUpdating = f.staleError = updating;
        if (error !== null && error >= 0) f.staleError = error;
        break;
      }
      case H.expires: {
        if (expiresSeen) break;
        expiresSeen = true;
        if (!fields.expires || f.validUntil !== 0) break;
        const until = parseHttpDate(head.value(i));
        if (until === -1 || until < now) expired = true;
        else f.validUntil = until;
        break;
      }
      case H['set-cookie']:
        if (fields.setCookie) f.cacheable = false;
        break;
      case H.vary: {
        if (!fields.vary) break;
        const value = head.value(i);
        if (value === '*') f.cacheable = false;
        f.vary = f.vary === '' ? value : `${f.vary}, ${value}`;
        if (f.vary.length > MAX_VARY) f.cacheable = false;
        break;
      }
      default:
    }
  }
  if (noCache || expired) f.cacheable = false;
  return f;
}

/** @returns seconds since the epoch; 0: not to be cached; -1: no number */
function accelExpires(value: string, now: number): number {
  const at = value.startsWith('@');
  const digits = at ? value.slice(1) : value;
  if (!/^\d{1,15}$/.test(digits)) return -1;
  const n = Number(digits);
  if (at) return n === 0 ? -1 : n;
  return n === 0 ? 0 : now + n;
}

/** The number behind a directive's name; null: it is not there, -1: it is no number. */
function seconds(value: string, name: string): number | null {
  const at = value.indexOf(name);
  if (at < 0) return null;
  const match = /^(\d*)(?=[,; ]|$)/.exec(value.slice(at + name.length));
  if (match === null) return -1;
  return Math.min(Number(match[1]), FOREVER);
}
