/** Which fields are not passed on: tables made when a configuration is loaded, asked once per field. */
import { H, hashName, KNOWN_COUNT } from '../wire/known.ts';
import type { KnownName } from '../wire/known.ts';
import type { HideTable, HttpRequest } from '../request.ts';
import { CONNECTION_OTHER, CONNECTION_UPGRADE, connectionFlags, nominatedFields } from '../server/framing.ts';
import type { ResponseHead } from '../wire/response-head.ts';

/** Table of the given names (any case). */
export function hideTable(names: Iterable<string>): HideTable {
  const table: HideTable = { ids: new Uint8Array(KNOWN_COUNT), others: null, ownDate: false, ownServer: false };
  for (const name of names) hideName(table, name.toLowerCase());
  return table;
}

/** A copy with more names, for what only one message asks. */
export function extended(table: HideTable, names: readonly string[]): HideTable {
  const others = table.others === null ? null : new Map(table.others);
  const copy: HideTable = { ...table, ids: table.ids.slice(), others };
  for (const name of names) hideName(copy, name);
  return copy;
}

function hideName(table: HideTable, lower: string): void {
  if (Object.hasOwn(H, lower)) {
    table.ids[H[lower as KnownName]] = 1;
    return;
  }
  const others = (table.others ??= new Map());
  const hash = hashName(lower);
  // A name that collides must not take the place of another: the client would get a hidden field through.
  const same = others.get(hash) ?? [];
  if (!same.includes(lower)) others.set(hash, [...same, lower]);
}

/**
 * Fields of a client's request that are never copied: those of the connection (RFC 9110 section 7.6.1), and those that
 * the proxy writes itself.
 */
export const REQUEST_HIDDEN: readonly string[] = [
  'Host',
  'Connection',
  'Proxy-Connection',
  'Content-Length',
  'Transfer-Encoding',
  'TE',
  'Keep-Alive',
  'Expect',
  'Upgrade',
  'HTTP2-Settings',
  'Trailer',
];

/** Fields of a server's answer that are never copied; framing and connection are ours. */
export const RESPONSE_FRAMING: readonly string[] = [
  'Connection',
  'Keep-Alive',
  'Proxy-Connection',
  'Content-Length',
  'Transfer-Encoding',
  'Trailer',
];

/**
 * What an answer's own Connection field names is for this hop only. An offer to upgrade goes on to clients of HTTP/1, if it
 * is a proper one (RFC 9110 section 7.8: Connection names it); HTTP/2 has none (RFC 9113 section 8.2.2).
 * @returns `table`, extended by what is not passed on
 */
export function hopHidden(table: HideTable, r: HttpRequest, head: ResponseHead): HideTable {
  const flags = head.has(H.connection) ? connectionFlags(head) : 0;
  const named = (flags & CONNECTION_OTHER) !== 0;
  const upgrade = head.has(H.upgrade) && (r.version >= 20 || (flags & CONNECTION_UPGRADE) === 0);
  if (!named && !upgrade) return table;
  return extended(table, [...(named ? nominatedFields(head) : []), ...(upgrade ? ['upgrade'] : [])]);
}

/** Hidden unless proxy_pass_header names them (ngx_http_proxy_module). */
export const RESPONSE_HIDDEN: readonly string[] = [
  'Date',
  'Server',
  'X-Pad',
  'X-Accel-Expires',
  'X-Accel-Redirect',
  'X-Accel-Limit-Rate',
  'X-Accel-Buffering',
  'X-Accel-Charset',
];

/** The same for FastCGI, SCGI and uwsgi: their programs answer for themselves, date and server name included. */
export const CGI_HIDDEN: readonly string[] = ['Status', ...RESPONSE_HIDDEN.slice(3)];
