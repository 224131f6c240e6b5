/** Values that the Kong door sends to servers. They are its own: configurations cannot name them. */
import type { HttpRequest } from '../request.ts';
import type { Getter } from '../variables/value.ts';
import { H } from '../wire/known.ts';
import { valuesOf } from './hash-input.ts';

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

/** A field of the client's, if it is one whose word counts; empty: it says nothing. */
export function forwarded(r: HttpRequest, trusted: boolean, name: string): string {
  return trusted ? (valuesOf(r, name)[0] ?? '') : '';
}

const passedOn =
  (name: string, own: (r: HttpRequest) => string): Getter =>
  (r) =>
    forwarded(r, r.kong?.trusted === true, name) || own(r);

/** As the client sent it, without the query. */
function pathOf(r: HttpRequest): string {
  const target = r.head.target();
  const question = target.indexOf('?');
  return question < 0 ? target : target.slice(0, question);
}

/** What the route's path has taken, if that is more than the root. */
function prefixOf(r: HttpRequest): string {
  const prefix = r.kong?.prefix ?? '';
  return prefix === '/' ? '' : prefix;
}

/** What came, and the address that it came from; or the client's. */
function forwardedFor(r: HttpRequest): string {
  const given = r.head.joined(H['x-forwarded-for'], ', ');
  return given === null ? r.client.text : `${given}, ${r.channel.peer.text}`;
}

export const KONG_VARIABLES: Record<string, Getter> = {
  kong_host: host,
  kong_connection: (r) => (r.head.has(H.upgrade) ? 'upgrade' : ''),
  kong_forwarded_for: forwardedFor,
  kong_forwarded_proto: passedOn('x-forwarded-proto', (r) => (r.channel.tls === null ? 'http' : 'https')),
  kong_forwarded_host: passedOn('x-forwarded-host', (r) => r.host),
  kong_forwarded_port: passedOn('x-forwarded-port', (r) => String(r.channel.localPort())),
  kong_forwarded_path: passedOn('x-forwarded-path', pathOf),
  kong_forwarded_prefix: passedOn('x-forwarded-prefix', prefixOf),
  kong_request_id: (r) => r.kong?.id ?? '',
};
