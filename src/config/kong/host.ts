/**
 * Host names and addresses, perhaps with a port, as Kong reads them: `name`, `name:80`, `1.2.3.4:80`, `::1`, `[::1]:80`.
 */

export interface Host {
  /** By exclusion: two colons make it IPv6, nothing but digits and dots IPv4. */
  kind: 'name' | 'ipv4' | 'ipv6';
  /** IPv4 without leading zeros; IPv6 expanded, lower case, without brackets; a name as it is. */
  host: string;
  port: number | null;
}

/** What is wrong with it, in Kong's words. */
export interface BadHost {
  error: string;
}

const BAD_PORT = 'invalid port number';

export function parseHost(text: string): Host | BadHost {
  const colons = text.split(':').length - 1;
  if (colons > 1) return parseIPv6(text);
  return /^[\d.]+$/.test(text.replace(':', '')) ? parseIPv4(text) : parseName(text);
}

/** `host:port` as targets are stored and shown. */
export function formatHost({ kind, host, port }: Host, defaultPort: number): string {
  return `${kind === 'ipv6' ? `[${host}]` : host}:${port ?? defaultPort}`;
}

function parseIPv4(text: string): Host | BadHost {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?::(\d+))?$/.exec(text);
  const parts = match?.slice(1, 5).map(Number) ?? [];
  if (match === null || parts.some((part) => part > 255)) return { error: `invalid ipv4 address: ${text}` };
  const port = parsePort(match[5]);
  return port === undefined ? { error: BAD_PORT } : { kind: 'ipv4', host: parts.join('.'), port };
}

function parseIPv6(text: string): Host | BadHost {
  const bad = { error: `invalid ipv6 address: ${text}` };
  const match = /^\[([^[\]]*)\](?::(\d+))?$/.exec(text);
  if (match === null && /[[\]]/.test(text)) return bad;
  const host = expandIPv6(match === null ? text : (match[1] as string));
  if (host === null) return bad;
  const port = parsePort(match?.[2]);
  return port === undefined ? { error: BAD_PORT } : { kind: 'ipv6', host, port };
}

/** Eight groups of four digits, or null. Addresses with an IPv4 tail are not known to Kong. */
function expandIPv6(text: string): string | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const [head = [], tail = []] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  const groups = [...head, ...Array.from({ length: missing }, () => '0'), ...tail];
  if (!groups.every((group) => /^[\da-f]{1,4}$/i.test(group))) return null;
  return groups.map((group) => group.toLowerCase().padStart(4, '0')).join(':');
}

function parseName(text: string): Host | BadHost {
  const bad = { error: `invalid hostname: ${text}` };
  const match = /^(.*?)(?::(\d+))?$/s.exec(text);
  const name = match?.[1] ?? '';
  const port = parsePort(match?.[2]);
  if (port === undefined) return { error: BAD_PORT };
  if (!/^[\w.-]+$/.test(name)) return bad;
  const segments = name.split('.');
  // A single dot at the end is the root.
  if (segments.some((segment, i) => segment.endsWith('-') || (segment === '' && i !== segments.length - 1))) return bad;
  return { kind: 'name', host: name, port };
}

/** Null: none; undefined: too large. */
function parsePort(digits: string | undefined): number | null | undefined {
  if (digits === undefined) return null;
  const port = Number(digits);
  return port > 65_535 ? undefined : port;
}

/** `1.2.3.4`, `::1`, `10.0.0.0/8`. */
export function isAddressOrCidr(text: string): boolean {
  const [address = '', bits, more] = text.split('/');
  if (more !== undefined || address.includes('[')) return false;
  const host = parseHost(address);
  if ('error' in host || host.kind === 'name' || host.port !== null) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (host.kind === 'ipv4' ? 32 : 128));
}
