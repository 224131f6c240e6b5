/** `$upstream_…` and `$proxy_…` (nginx.md 1.9). */
import type { HttpRequest, UpstreamAttempt } from '../request.ts';
import { H } from '../wire/known.ts';
import { sliceRange } from '../filters/slice.ts';
import { formatHttpDate } from '../filters/http-date.ts';
import { joinedFields, setCookie } from './fields.ts';
import { seconds } from '../../variables/times.ts';
import type { Getter } from './value.ts';

/**
 * One value for each attempt: `, ` between attempts, ` : ` where an internal redirect began anew. Not found when no
 * server was asked.
 */
function each(text: (attempt: UpstreamAttempt) => string): Getter {
  return (r) => {
    const attempts = r.upstream?.attempts;
    if (attempts === undefined || attempts.length === 0) return null;
    let out = text(attempts[0]!);
    for (let i = 1; i < attempts.length; i++) {
      const attempt = attempts[i]!;
      out += (attempt.redirected ? ' : ' : ', ') + text(attempt);
    }
    return out;
  };
}

/** By the numbers of `http/cache/plan.ts`. */
const CACHE_STATUS = [null, 'MISS', 'BYPASS', 'EXPIRED', 'STALE', 'UPDATING', 'REVALIDATED', 'HIT'];

const time = (ms: number): string => (ms < 0 ? '-' : seconds(ms));

function proxyTarget(r: HttpRequest): { host: string; port: string } | null {
  if (r.proxyTarget !== null) return r.proxyTarget;
  const { handler } = r.loc.config;
  return handler.kind === 'proxy' && handler.pass.variableTarget === null
    ? { host: handler.pass.hostHeader, port: handler.pass.port }
    : null;
}

/** The client's `X-Forwarded-For` with its address appended. */
function forwardedFor(r: HttpRequest): string {
  const sent = r.head.joined(H['x-forwarded-for'], ', ');
  return sent === null ? r.client.text : `${sent}, ${r.client.text}`;
}

/** The client's `Via` with this hop appended, for requests that go on. */
function via(r: HttpRequest): string {
  const sent = r.head.joined(H.via, ', ');
  const major = Math.floor(r.version / 10);
  const own = `${major}.${r.version % 10} ${r.host === '' ? r.server.config.serverName : r.host}`;
  return sent === null ? own : `${sent}, ${own}`;
}

export const UPSTREAM_VARIABLES: Record<string, Getter> = {
  upstream_addr: each((a) => a.address),
  upstream_status: each((a) => (a.status === 0 ? '-' : String(a.status))),
  upstream_connect_time: each((a) => time(a.connectMs)),
  upstream_header_time: each((a) => time(a.headerMs)),
  upstream_response_time: each((a) => time(a.responseMs)),
  upstream_response_length: each((a) => String(a.responseLength)),
  upstream_bytes_received: each((a) => String(a.bytesReceived)),
  upstream_bytes_sent: each((a) => String(a.bytesSent)),
  upstream_queue_time: (r) => (r.upstream === null || r.upstream.queueMs < 0 ? null : seconds(r.upstream.queueMs)),
  upstream_last_server_name: (r) => r.upstream?.lastServerName || null,
  upstream_last_addr: (r) => r.upstream?.attempts.at(-1)?.address ?? null,
  upstream_cache_status: (r) => CACHE_STATUS[r.cacheStatus] ?? null,
  upstream_cache_last_modified: (r) => {
    const validators = r.upstream?.validators;
    return !validators || validators.lastModified === -1 ? null : formatHttpDate(validators.lastModified);
  },
  upstream_cache_etag: (r) => r.upstream?.validators?.etag || null,
  proxy_host: (r) => proxyTarget(r)?.host ?? null,
  proxy_port: (r) => proxyTarget(r)?.port ?? null,
  proxy_add_x_forwarded_for: forwardedFor,
  proxy_add_via: via,
  // Of nginx's own default request head; nothing here needs them.
  proxy_internal_body_length: () => null,
  proxy_internal_chunked: () => null,
  slice_range: sliceRange,
};

/** `upstream_http_…`, `upstream_trailer_…`, `upstream_cookie_…`: of the last answer. */
export function upstreamFamily(name: string): Getter | null {
  if (name.startsWith('upstream_http_')) {
    const field = name.slice(14);
    return (r) => (r.upstream?.head ? joinedFields(r.upstream.head, field, ', ') : null);
  }
  if (name.startsWith('upstream_trailer_')) {
    const field = name.slice(17);
    return (r) => (r.upstream?.trailers ? joinedFields(r.upstream.trailers, field, ', ') : null);
  }
  if (name.startsWith('upstream_cookie_')) {
    const cookie = name.slice(16);
    return (r) => (r.upstream?.head ? setCookie(r.upstream.head, cookie) : null);
  }
  return null;
}
