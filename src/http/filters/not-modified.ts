/** Preconditions of requests (RFC 9110 section 13), in nginx's order: ngx_http_not_modified_filter_module. */
import type { HttpRequest } from '../request.ts';
import { H } from '../wire/known.ts';
import { parseHttpDate } from './http-date.ts';

/**
 * Tests the request's preconditions for an answer with status 200.
 *
 * @param etag the answer's, null if it has none
 * @param lastModified seconds since the epoch, -1 if not known
 * @returns 0: answer as prepared; 304; 412
 */
export function checkPreconditions(r: HttpRequest, etag: string | null, lastModified: number): 0 | 304 | 412 {
  // What was asked on a condition is the main request's answer.
  if (r.parent !== null) return 0;
  const { head } = r;
  const unmodifiedSince = head.get(H['if-unmodified-since']);
  if (unmodifiedSince !== null && (lastModified === -1 || parseHttpDate(unmodifiedSince) < lastModified)) return 412;

  const match = head.get(H['if-match']);
  if (match !== null && !matchesEtag(match, etag, false)) return 412;

  const modifiedSince = head.get(H['if-modified-since']);
  const noneMatch = head.get(H['if-none-match']);
  if (modifiedSince === null && noneMatch === null) return 0;
  if (modifiedSince !== null && isModified(modifiedSince, lastModified, r.loc.core.ifModifiedSince)) return 0;
  if (noneMatch !== null && !matchesEtag(noneMatch, etag, true)) return 0;
  return 304;
}

function isModified(since: string, lastModified: number, mode: 'off' | 'exact' | 'before'): boolean {
  if (lastModified === -1 || mode === 'off') return true;
  const time = parseHttpDate(since);
  return time !== lastModified && (mode === 'exact' || time < lastModified);
}

/**
 * Whether a list of entity tags names `etag`. `*` names any, even none.
 *
 * @param weak compare without `W/` (RFC 9110 section 8.8.3.2)
 */
export function matchesEtag(list: string, etag: string | null, weak: boolean): boolean {
  if (list === '*') return true;
  if (etag === null) return false;
  const tag = weak && etag.startsWith('W/') ? etag.slice(2) : etag;
  let at = 0;
  while (at < list.length) {
    if (weak && list.startsWith('W/', at)) at += 2;
    if (list.startsWith(tag, at)) {
      let end = at + tag.length;
      while (list[end] === ' ' || list[end] === '\t') end++;
      if (end === list.length || list[end] === ',') return true;
    }
    while (at < list.length && list[at] !== ',') at++;
    while (list[at] === ' ' || list[at] === '\t' || list[at] === ',') at++;
  }
  return false;
}
