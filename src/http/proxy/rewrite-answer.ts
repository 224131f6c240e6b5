/** What proxy_redirect and proxy_cookie_* change in a server's answer. */
import type { ProxyPlan } from './plan.ts';
import type { Target } from './target.ts';
import type { HttpRequest } from '../request.ts';
import { H } from '../wire/known.ts';
import type { ResponseHead } from '../wire/response-head.ts';
import { extended } from './hide.ts';

/** Rewrites `Location` and the URL in `Refresh`; fields that change are hidden in the block and made anew. */
export function rewriteAnswer(r: HttpRequest, plan: ProxyPlan, target: Target, head: ResponseHead): void {
  const location = head.first(H.location);
  if (location >= 0) {
    const value = head.value(location);
    const rewritten = rewriteUrl(r, plan, target, value, 0);
    if (rewritten !== null) {
      r.hide = extended(r.hide!, ['location']);
      r.fields.add('Location', rewritten);
    }
  }
  const refresh = head.first(H.refresh);
  if (refresh >= 0) {
    const value = head.value(refresh);
    const at = value.toLowerCase().indexOf('url=');
    const rewritten = at < 0 ? null : rewriteUrl(r, plan, target, value, at + 4);
    if (rewritten !== null) {
      r.hide = extended(r.hide!, ['refresh']);
      r.fields.add('Refresh', rewritten);
    }
  }
}

/** Applies the first proxy_redirect rule that matches `value` from `at` on; null: none does. */
function rewriteUrl(r: HttpRequest, plan: ProxyPlan, target: Target, value: string, at: number): string | null {
  const tail = value.slice(at);
  for (const rule of plan.redirects) {
    if (rule.regex !== null) {
      const match = rule.regex.exec(tail);
      if (match === null) continue;
      r.captures = match;
      return value.slice(0, at) + rule.to.get(r);
    }
    const from = rule.from === null ? plan.defaultRedirect(target) : rule.from.get(r);
    if (from === null || !tail.startsWith(from)) continue;
    const to = rule.from === null ? plan.location : rule.to.get(r);
    return value.slice(0, at) + to + tail.slice(from.length);
  }
  return null;
}
