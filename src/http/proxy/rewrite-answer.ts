/** What proxy_redirect and proxy_cookie_* change in a server's answer. */
import type { ProxyPlan } from './plan.ts';
import type { Target } from './target.ts';
import type { HttpRequest } from '../request.ts';
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
    const to = rule.from !== null ? rule.to.get(r) : plan.pass.uri === null ? '/' : plan.location;
    return value.slice(0, at) + to + tail.slice(from.length);
  }
  return null;
}
