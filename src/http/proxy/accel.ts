/** What a server tells the proxy by `X-Accel-…` fields (ngx_http_upstream_process_headers). */
import type { HttpRequest } from '../request.ts';
import * as engine from '../engine.ts';
import { logRequest } from '../request-log.ts';
import { H } from '../wire/known.ts';
import { METHOD_GET, METHOD_HEAD } from '../wire/request-head.ts';
import type { ResponseHead } from '../wire/response-head.ts';
import { splitUnsafeUri } from '../wire/uri.ts';
import type { CookieRewriter } from './cookies.ts';

/** Which of the fields a location listens to (`proxy_ignore_headers`). */
export interface Acceleration {
  redirect: boolean;
  limitRate: boolean;
  buffering: boolean;
  charset: boolean;
}

/** @param ignoreHeaders names, any case */
export function acceleration(ignoreHeaders: readonly string[]): Acceleration {
  const ignored = new Set(ignoreHeaders.map((name) => name.toLowerCase()));
  return {
    redirect: !ignored.has('x-accel-redirect'),
    limitRate: !ignored.has('x-accel-limit-rate'),
    buffering: !ignored.has('x-accel-buffering'),
    charset: !ignored.has('x-accel-charset'),
  };
}

/** `X-Accel-Buffering`: `yes` or `no` for this answer; anything else changes nothing. */
export function accelBuffering(head: ResponseHead, configured: boolean): boolean {
  const value = head.get(H['x-accel-buffering'])?.toLowerCase();
  return value === 'yes' ? true : value === 'no' ? false : configured;
}

/** `X-Accel-Limit-Rate`: bytes a second for this answer; 0 turns the location's own limit off. */
export function limitRate(r: HttpRequest, head: ResponseHead): void {
  const value = head.get(H['x-accel-limit-rate']);
  if (value !== null && /^\d{1,15}$/.test(value)) r.limitRate = Number(value);
}

/** Fields that go over to what an X-Accel-Redirect leads to, besides `Content-Type` and cookies. */
const KEPT = ['content-disposition', 'cache-control', 'expires', 'accept-ranges'];

/** Answers with another location instead. The server's connection must have been given up; `head` is a copy. */
export function accelRedirect(r: HttpRequest, head: ResponseHead, cookies: CookieRewriter | null): void {
  const type = head.get(H['content-type']);
  if (type !== null) r.contentType = type;
  for (let i = head.first(H['set-cookie']); i >= 0; i = head.next(i)) {
    const value = head.value(i);
    r.fields.add('Set-Cookie', cookies?.rewrite(r, value) ?? value);
  }
  for (const name of KEPT)
    for (let i = head.find(name); i >= 0; i = head.find(name, i)) r.fields.add(head.name(i), head.value(i));

  const to = head.get(H['x-accel-redirect']) ?? '';
  if (to.startsWith('@')) {
    engine.namedLocation(r, to);
    return;
  }
  const target = splitUnsafeUri(to);
  if (target === null) {
    logRequest(r, 'error', `unsafe URI "${to}" was detected`);
    engine.finalize(r, 404);
    return;
  }
  if (r.method !== METHOD_HEAD) {
    r.method = METHOD_GET;
    r.internalMethod = 'GET';
  }
  engine.internalRedirect(r, target.uri, target.args);
}
