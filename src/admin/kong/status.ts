/**
 * The status API, for probes of those who run nodes (an address of its own, as Kong's `status_listen`): how the node is, whether it is
 * ready, and the health of upstreams. It changes nothing, and tells no secrets: it needs no token.
 */
import type { Api } from './context.ts';
import { NOTHING_LOADED } from './config.ts';
import { handle } from './handle.ts';
import { type AdminAnswer, type AdminRequest, message, methodNotAllowed, notFound } from './http.ts';

const PATHS = /^\/(?:status|upstreams\/[^/]+\/(?:health|targets(?:\/all|\/[^/]+)?))\/?$/;

/** @param api null: no configuration is in effect yet */
export async function statusAnswer(api: Api | null, request: AdminRequest): Promise<AdminAnswer> {
  const path = request.url.replace(/\?.*$/s, '');
  if (/^\/status\/ready\/?$/.test(path)) {
    if (request.method !== 'GET' && request.method !== 'HEAD') return methodNotAllowed();
    const why = notReady(api);
    const answer = why === null ? message(200, 'ready') : message(503, why);
    return request.method === 'HEAD' ? { ...answer, body: null } : answer;
  }
  if (api === null) return message(503, 'starting');
  if (!PATHS.test(path)) return notFound();
  return ['GET', 'HEAD', 'OPTIONS'].includes(request.method) ? handle(api, request) : methodNotAllowed();
}

/** A database that is away does not count: the node goes on with what it knows. */
function notReady(api: Api | null): string | null {
  if (api === null) return 'no configuration available (starting)';
  if (api.declarative?.hash === NOTHING_LOADED) return 'no configuration available (empty configuration present)';
  return null;
}
