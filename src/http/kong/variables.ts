/** Values that the Kong door sends to servers. They are its own: configurations cannot name them. */
import type { HttpRequest } from '../request.ts';
import type { Getter } from '../variables/value.ts';
import { H } from '../wire/known.ts';

/**
 * The Host field, anew for each server that is tried: the client's with `preserve_host`, else the upstream's `host_header`, else the
 * target's name with its port unless that is the protocol's own.
 */
function host(r: HttpRequest): string | null {
  const { kong } = r;
  if (kong === null) return null;
  if (kong.route.preserveHost) return r.head.get(H.host);
  if (kong.hostHeader !== null) return kong.hostHeader;
  const name = r.upstream?.lastServerName ?? '';
  const secure = /^(?:https|grpcs)$/.test(kong.service.protocol);
  return name.replace(secure ? /:443$/ : /:80$/, '');
}

export const KONG_VARIABLES: Record<string, Getter> = {
  kong_host: host,
  kong_connection: (r) => (r.head.has(H.upgrade) ? 'upgrade' : ''),
  kong_path: (r) => r.uri,
  kong_prefix: (r) => r.kong?.prefix ?? '',
  kong_request_id: (r) => r.kong?.id ?? '',
};
