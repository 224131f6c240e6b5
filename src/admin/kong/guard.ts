/**
 * Who may call the Admin API. It has no users: whoever reaches it may do everything. So a page in somebody's browser must
 * not reach it in their name: neither by a name that leads here (Host), nor from another site (Origin).
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { AdminConfig } from '../../config/kong/settings.ts';
import { type AdminAnswer, type AdminRequest, header, message } from './http.ts';

type Rules = Pick<AdminConfig, 'token' | 'origins' | 'hosts'>;

/** Null: it may. */
export function refusal(request: AdminRequest, rules: Rules): AdminAnswer | null {
  const host = header(request, 'host');
  if (host === null || !hostAllowed(host, rules)) {
    return message(
      403,
      `Host ${JSON.stringify(host ?? '')} is not one of this API; see admin_host in the documentation`,
    );
  }
  const origin = header(request, 'origin');
  if (origin !== null && !originAllowed(origin, host, rules)) {
    return message(
      403,
      `Origin ${JSON.stringify(origin)} may not call this API; see admin_origin in the documentation`,
    );
  }
  // A browser asks without the token whether it may ask.
  if (rules.token === null || request.method === 'OPTIONS') return null;
  const bearer = /^Bearer (.+)$/i.exec(header(request, 'authorization') ?? '')?.[1];
  const given = bearer ?? header(request, 'kong-admin-token');
  return given !== null && sameText(given, rules.token) ? null : message(401, 'Unauthorized');
}

/** In a time that does not tell how much of it is right. */
function sameText(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

function nameOf(host: string): string {
  return host
    .toLowerCase()
    .replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1');
}

const isLocalName = (name: string): boolean =>
  name === 'localhost' || name.endsWith('.localhost') || name === hostname().toLowerCase();

/** Addresses are safe: only names can be made to lead here by somebody else. */
function hostAllowed(host: string, { hosts }: Rules): boolean {
  const name = nameOf(host);
  return isIP(name) !== 0 || isLocalName(name) || hosts.some((known) => known === '*' || known.toLowerCase() === name);
}

function originAllowed(origin: string, host: string, { origins }: Rules): boolean {
  if (origins.some((known) => known === '*' || known === origin)) return true;
  const match = /^https?:\/\/([^/]+)$/.exec(origin);
  if (match === null) return false;
  const [, authority = ''] = match;
  const name = nameOf(authority);
  if (name === 'localhost' || name.endsWith('.localhost') || name === '::1' || /^127(?:\.\d+){3}$/.test(name))
    return true;
  return authority.toLowerCase() === host.toLowerCase();
}
