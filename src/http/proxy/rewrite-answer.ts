/** What proxy_redirect and proxy_cookie_* change in a server's answer. */
import type { ProxyPlan } from './plan.ts';
import type { Target } from './target.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import { H } from '../wire/known.ts';
import type { ResponseHead } from '../wire/response-head.ts';
import { absoluteLocation } from '../server/error-pages.ts';
import type { CookieRewriter } from './cookies.ts';
import { extended } from './hide.ts';

/** Rewrites `Location`, the URL in `Refresh` and cookies; fields that change are hidden in the block and made anew. */
export function rewriteAnswer(r: HttpRequest, plan: ProxyPlan, target: Target, head: ResponseHead): void {
  if (plan.cookies !== null && head.has(H['set-cookie'])) rewriteCookies(r, plan.cookies, head);
  const location = head.first(H.location);
  if (location >= 0 && plan.redirects.length > 0) {
    const value = head.value(location);
    const rewritten = rewriteUrl(r, plan, target, value, 0);
    if (rewritten !== null) {
      r.hide = extended(r.hide!, ['location']);
      r.fields.add('Location', absoluteLocation(r, rewritten));
    }
  }
  const refresh = head.first(H.refresh);
  if (refresh >= 0 && plan.redirects.length > 0) {
    const value = head.value(refresh);
    const at = value.toLowerCase().indexOf('url=');
    const rewritten = at < 0 ? null : rewriteUrl(r, plan, target, value, at + 4);
    if (rewritten !== null) {
      r.hide = extended(r.hide!, ['refresh']);
      r.fields.add('Refresh', rewritten);
    }
  }
}

/** Fields that an answer has once. */
const SINGLE = [
  'content-type',
  'date',
  'etag',
  'expires',
  'last-modified',
  'location',
  'refresh',
  'server',
  'status',
] as const;

/** Of a field that an answer may have once the first one goes on; nginx ignores the others. Call it when names repeat. */
export function dropDuplicates(r: HttpRequest, head: ResponseHead): void {
  for (const name of SINGLE) {
    const first = head.first(H[name]);
    if (first < 0 || head.next(first) < 0) continue;
    logRequest(
      r,
      'warn',
      `upstream sent duplicate header line: "${head.name(first)}", ignored while reading response header from upstream`,
    );
    if (r.hide!.ids[H[name]] !== 0) continue;
    r.hide = extended(r.hide!, [name]);
    r.fields.add(head.name(first), head.value(first));
  }
}

/** All cookies are made anew when one of them changes: their order stays. */
function rewriteCookies(r: HttpRequest, cookies: CookieRewriter, head: ResponseHead): void {
  const values: string[] = [];
  let changed = false;
  for (let i = head.first(H['set-cookie']); i >= 0; i = head.next(i)) {
    const value = head.value(i);
    const rewritten = cookies.rewrite(r, value);
    if (rewritten !== null) changed = true;
    values.push(rewritten ?? value);
  }
  if (!changed || r.hide!.ids[H['set-cookie']] !== 0) return;
  r.hide = extended(r.hide!, ['set-cookie']);
  for (const value of values) r.fields.add('Set-Cookie', value);
}

/** Applies the first proxy_redirect rule that matches `value` from `at` on; null: none does. */
function rewriteUrl(r: HttpRequest, plan: ProxyPlan, target: Target, value: string, at: number): string | null {
  const tail = value.slice(at);
  for (const rule of plan.redirects) {
    if (rule.regex !== null) {
      if (!rule.regex.exec(r, tail)) continue;
      return value.slice(0, at) + rule.to.get(r);
    }
    const from = rule.from === null ? plan.defaultRedirect(target) : rule.from.get(r);
    if (from === null || !tail.startsWith(from)) continue;
    // Without a URI part paths are the same on both sides.
    const to = rule.from !== null ? rule.to.get(r) : plan.uriPart === null ? '/' : plan.location;
    return value.slice(0, at) + to + tail.slice(from.length);
  }
  return null;
}
