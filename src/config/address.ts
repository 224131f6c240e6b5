/**
 * Addresses as nginx writes them: `host[:port][/uri]`, `[v6]:port`, `unix:/path[:/uri]`, CIDRs (ngx_inet.c).
 *
 * Pure: a host name is only recognised as one here; who resolves it is `nginx/cycle.ts`.
 */
import { parseNumber } from './units.ts';
import type { PeerAddress } from './model.ts';

/** sizeof(sun_path) on Linux, with the terminating zero. */
const MAX_UNIX_PATH = 108;

export interface UrlOptions {
  /** A `listen` address: port ranges, `*`, a port alone. */
  listen?: boolean;
  /** `/uri` may follow. */
  uriPart?: boolean;
  defaultPort?: number;
}

export interface ParsedUrl {
  kind: 'inet' | 'inet6' | 'unix';
  /** As written; an IPv6 address with its brackets; a path for unix sockets. */
  host: string;
  port: number;
  /** Upper end of a port range, 0 if there is none. */
  lastPort: number;
  /** The port as written, empty if it was not. */
  portText: string;
  noPort: boolean;
  uri: string;
  /** The literal address in canonical form without brackets; null: a name that has to be resolved. */
  address: string | null;
}

export type UrlResult = { ok: true; url: ParsedUrl } | { ok: false; error: string };

const fail = (error: string): UrlResult => ({ ok: false, error });

/**
 * Parses an address.
 *
 * @returns its parts, or nginx's text of what is wrong with it (`invalid port`, `no host`, …)
 */
export function parseUrl(text: string, options: UrlOptions = {}): UrlResult {
  if (text.slice(0, 5).toLowerCase() === 'unix:') return parseUnix(text, options);
  return text.startsWith('[') ? parseInet6(text, options) : parseInet(text, options);
}

function parseUnix(text: string, options: UrlOptions): UrlResult {
  let path = text.slice(5);
  let uri = '';
  if (options.uriPart === true) {
    const colon = path.indexOf(':');
    if (colon >= 0) {
      uri = path.slice(colon + 1);
      path = path.slice(0, colon);
    }
  }
  if (path === '') return fail('no path in the unix domain socket');
  if (path.length + 1 > MAX_UNIX_PATH) return fail('too long path in the unix domain socket');
  return {
    ok: true,
    url: { kind: 'unix', host: path, port: 0, lastPort: 0, portText: '', noPort: false, uri, address: path },
  };
}

/** A port or, for `listen`, a range; what follows the colon. */
function parsePort(text: string, options: UrlOptions): { port: number; lastPort: number } | string {
  let lastPort = 0;
  let first = text;
  const dash = options.listen === true ? text.indexOf('-') : -1;
  if (dash >= 0) {
    const last = parseNumber(text.slice(dash + 1));
    if (last === null || last < 1 || last > 65535) return 'invalid port';
    lastPort = last;
    first = text.slice(0, dash);
  }
  const port = parseNumber(first);
  if (port === null || port < 1 || port > 65535) return 'invalid port';
  if (lastPort !== 0 && port > lastPort) return 'invalid port range';
  return { port, lastPort };
}

function parseInet(text: string, options: UrlOptions): UrlResult {
  const url: ParsedUrl = {
    kind: 'inet',
    host: '',
    port: options.defaultPort ?? 0,
    lastPort: 0,
    portText: '',
    noPort: true,
    uri: '',
    address: null,
  };

  let rest = text;
  const uriStart = text.search(/[/?]/);
  if (uriStart >= 0) {
    if (options.listen === true || options.uriPart !== true) return fail('invalid host');
    url.uri = text.slice(uriStart);
    rest = text.slice(0, uriStart);
  }

  const colon = rest.indexOf(':');
  if (colon >= 0) {
    const port = parsePort(rest.slice(colon + 1), options);
    if (typeof port === 'string') return fail(port);
    url.port = port.port;
    url.lastPort = port.lastPort;
    url.portText = rest.slice(colon + 1);
    url.noPort = false;
    rest = rest.slice(0, colon);
  } else if (options.listen === true && /^[0-9]+(-[0-9]+)?$/.test(rest)) {
    const port = parsePort(rest, options);
    if (typeof port === 'string') return fail(port);
    return {
      ok: true,
      url: { ...url, ...port, portText: rest, noPort: false, address: '0.0.0.0' },
    };
  }

  if (rest === '') return fail('no host');
  url.host = rest;
  url.address = options.listen === true && rest === '*' ? '0.0.0.0' : parseIpv4(rest) === null ? null : rest;
  return { ok: true, url };
}

function parseInet6(text: string, options: UrlOptions): UrlResult {
  const close = text.indexOf(']');
  if (close < 0) return fail('invalid host');
  let rest = text.slice(close + 1);
  let uri = '';
  const slash = rest.indexOf('/');
  if (slash >= 0) {
    if (options.listen === true || options.uriPart !== true) return fail('invalid host');
    uri = rest.slice(slash);
    rest = rest.slice(0, slash);
  }

  let port = { port: options.defaultPort ?? 0, lastPort: 0 };
  const portText = rest.slice(1);
  if (rest !== '') {
    if (rest[0] !== ':') return fail('invalid host');
    const parsed = parsePort(portText, options);
    if (typeof parsed === 'string') return fail(parsed);
    port = parsed;
  }

  const inner = text.slice(1, close);
  if (inner === '') return fail('no host');
  const bytes = parseIpv6(inner);
  if (bytes === null) return fail('invalid IPv6 address');
  const host = text.slice(0, close + 1);
  return {
    ok: true,
    url: { kind: 'inet6', host, ...port, portText, noPort: rest === '', uri, address: formatIpv6(bytes) },
  };
}

/** Four decimal bytes; null if it is not one. */
export function parseIpv4(text: string): number[] | null {
  const match = /^([0-9]+)\.([0-9]+)\.([0-9]+)\.([0-9]+)$/.exec(text);
  if (match === null) return null;
  const bytes = match.slice(1).map(Number);
  // 255.255.255.255 is nginx's "no address" mark.
  if (bytes.some((byte) => byte > 255) || bytes.every((byte) => byte === 255)) return null;
  return bytes;
}

/** Sixteen bytes of an IPv6 address without brackets; null if it is not one. */
export function parseIpv6(text: string): number[] | null {
  let source = text;
  const dotted = /^(.*:)([0-9]+\.[0-9]+\.[0-9]+\.[0-9]+)$/.exec(text);
  if (dotted !== null) {
    const v4 = parseIpv4(dotted[2] as string);
    if (v4 === null) return null;
    const hex = v4.map((byte) => byte.toString(16).padStart(2, '0'));
    source = `${dotted[1]}${hex[0]}${hex[1]}:${hex[2]}${hex[3]}`;
  }
  const halves = source.split('::');
  if (halves.length > 2) return null;
  const groups = halves.map((half) => (half === '' ? [] : half.split(':')));
  const head = groups[0] as string[];
  const tail = groups[1] ?? [];
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  const all = [...head, ...Array.from({ length: halves.length === 1 ? 0 : missing }, () => '0'), ...tail];
  if (!all.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return null;
  return all.flatMap((group) => {
    const value = parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

/** Canonical text of RFC 5952; nginx prints mapped IPv4 addresses dotted. */
export function formatIpv6(bytes: readonly number[]): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] as number) << 8) | (bytes[i + 1] as number));

  const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (mapped) return `::ffff:${bytes.slice(12).join('.')}`;

  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > bestLength) {
      best = i;
      bestLength = end - i;
    }
  }
  const hex = groups.map((group) => group.toString(16));
  if (best < 0) return hex.join(':');
  return `${hex.slice(0, best).join(':')}::${hex.slice(best + bestLength).join(':')}`;
}

/** A socket address with the text that logs show. */
export function peerAddress(kind: ParsedUrl['kind'], host: string, port: number): PeerAddress {
  if (kind === 'unix') return { text: `unix:${host}`, family: 'unix', host, port: 0 };
  return kind === 'inet6'
    ? { text: `[${host}]:${port}`, family: 6, host, port }
    : { text: `${host}:${port}`, family: 4, host, port };
}

export interface ParsedCidr {
  /** `address/bits`, low bits cleared. */
  text: string;
  /** Some low bits were set: nginx warns of that. */
  meaningless: boolean;
}

/** Network in CIDR notation or a single address; null if it is neither. */
export function parseCidr(text: string): ParsedCidr | null {
  const slash = text.indexOf('/');
  const address = slash < 0 ? text : text.slice(0, slash);
  const v4 = parseIpv4(address);
  const bytes = v4 ?? parseIpv6(address);
  if (bytes === null) return null;
  const width = v4 === null ? 128 : 32;
  const bits = slash < 0 ? width : parseNumber(text.slice(slash + 1));
  if (bits === null || bits > width) return null;

  const masked = bytes.map((byte, i) => {
    const keep = Math.min(8, Math.max(0, bits - i * 8));
    return byte & (0xff << (8 - keep)) & 0xff;
  });
  const host = v4 === null ? formatIpv6(masked) : masked.join('.');
  return { text: `${host}/${bits}`, meaningless: masked.some((byte, i) => byte !== bytes[i]) };
}
