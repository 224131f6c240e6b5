/** Settings of the Admin API: where it listens, where entities live, who may call it. */
import { isAddressOrCidr, parseHost } from './host.ts';

export interface AdminAddress {
  /** As written: `127.0.0.1:8001`. The identity over reloads. */
  text: string;
  host: string;
  port: number;
  ssl: boolean;
  http2: boolean;
  /** Datagrams; of `streamListens` alone. */
  udp: boolean;
  /** Connections begin with a PROXY protocol header; not of `listens` and `statusListens`. */
  proxyProtocol: boolean;
}

/** PEM. */
export interface CertificatePair {
  cert: string;
  key: string;
}

export interface AdminConfig {
  listens: AdminAddress[];
  /** Addresses of the proxy, which the data plane binds. */
  proxyListens: AdminAddress[];
  /** Those of routes of TCP, TLS and UDP. */
  streamListens: AdminAddress[];
  /** Where probes ask how the node is: read-only, without a token. */
  statusListens: AdminAddress[];
  /** Proxies in front of this one, whose word on clients counts. */
  realIp: { from: string[]; header: string; recursive: boolean };
  /** `memory`, `sqlite:FILE`, `postgres://…`. */
  store: string;
  /** Where the node's id is kept; absolute. */
  dataDir: string;
  /** kong.yml: entities come from it and are not changed one by one. Its contents are those when it was read. */
  declarative: { file: string; text: string } | null;
  /** `memory` without a file: entities come by `/config` alone. */
  databaseless: boolean;
  /** Clients must show it. */
  token: string | null;
  /** Origins of pages in browsers that may call it, besides those of this machine. */
  origins: string[];
  /** Names in the Host field, besides addresses and this machine's names; `*`: any. */
  hosts: string[];
  /** Name servers for targets; null: the system's. */
  nameServers: { host: string; port: number }[] | null;
  /** For addresses of the Admin API with `ssl`. */
  tls: CertificatePair | null;
  /** For those of the proxy, where the store has none for a name; empty: `tls`. */
  proxyTls: CertificatePair[];
  /** Made by the program itself, in the place of both; null: not needed. */
  ownTls: CertificatePair | null;
}

/** Does the configuration ask for TLS and bring no certificate? */
export function needsCertificate(admin: AdminConfig): boolean {
  const { listens, statusListens, proxyListens, streamListens, tls, proxyTls } = admin;
  if (tls !== null) return false;
  return (
    [...listens, ...statusListens].some(({ ssl }) => ssl) ||
    (proxyTls.length === 0 && [...proxyListens, ...streamListens].some(({ ssl }) => ssl))
  );
}

/** What clients of the proxy see when the store has nothing for the name that they ask for. */
export function proxyCertificates({ tls, proxyTls, ownTls }: AdminConfig): CertificatePair[] {
  if (proxyTls.length > 0) return proxyTls;
  return [tls ?? ownTls].filter((pair) => pair !== null);
}

export const DEFAULT_ADMIN_LISTEN = '127.0.0.1:8001';
export const DEFAULT_PROXY_LISTEN = '0.0.0.0:8000';

/** Words after an address that Kong and nginx know, and that change nothing here. */
const HARMLESS = /^(?:reuseport|deferred|bind|backlog=\d+|so_keepalive=\S+|ipv6only=(?:on|off))$/;

/** What may stand behind an address, besides what changes nothing. */
const PARAMETERS = {
  admin: ['ssl', 'http2'],
  http: ['ssl', 'http2', 'proxy_protocol'],
  stream: ['ssl', 'udp', 'proxy_protocol'],
} as const;

export type ListenKind = keyof typeof PARAMETERS;

/**
 * `127.0.0.1:8001 reuseport, 127.0.0.1:8444 http2 ssl`, or `off`.
 *
 * @returns the addresses, or what is wrong
 */
export function parseListens(text: string, kind: ListenKind): AdminAddress[] | { error: string } {
  if (text.trim() === 'off') return [];
  const list: AdminAddress[] = [];
  for (const entry of text.split(',')) {
    const [address = '', ...words] = entry.trim().split(/\s+/);
    const at = /^\d+$/.test(address) ? `127.0.0.1:${address}` : address.replace(/^\*:/, '0.0.0.0:');
    const host = parseHost(at.replace(/^localhost:/, '127.0.0.1:'));
    if ('error' in host || host.port === null) {
      return { error: `invalid address "${address}"; it can be ADDRESS:PORT, perhaps with "ssl" after it` };
    }
    const known: readonly string[] = PARAMETERS[kind];
    const unknown = words.find((word) => !known.includes(word) && !HARMLESS.test(word));
    if (unknown !== undefined) return { error: `unknown parameter "${unknown}" of address "${address}"` };
    const [ssl, http2, udp] = [words.includes('ssl'), words.includes('http2'), words.includes('udp')];
    const proxyProtocol = words.includes('proxy_protocol');
    if (ssl && udp) return { error: `"ssl" and "udp" of address "${address}" cannot be together` };
    list.push({ text: address, host: host.host, port: host.port, ssl, http2, udp, proxyProtocol });
  }
  return list;
}

/** Kong's own. */
export const DEFAULT_REAL_IP_HEADER = 'X-Real-IP';

/**
 * `10.0.0.0/8, 127.0.0.1`.
 *
 * @returns the networks, or what is wrong
 */
export function parseNetworks(text: string): string[] | { error: string } {
  const list = text.split(/[\s,]+/).filter((one) => one !== '');
  const bad = list.find((one) => one !== 'unix:' && !isAddressOrCidr(one));
  return bad === undefined ? list : { error: `invalid network "${bad}"; it can be ADDRESS, ADDRESS/BITS or unix:` };
}

/**
 * `127.0.0.1, 127.0.0.1:8600`.
 *
 * @returns the name servers, or what is wrong
 */
export function parseNameServers(text: string): { host: string; port: number }[] | { error: string } {
  const list: { host: string; port: number }[] = [];
  for (const entry of text.split(/[\s,]+/)) {
    if (entry === '') continue;
    const host = parseHost(entry);
    if ('error' in host || host.kind === 'name') {
      return { error: `invalid name server "${entry}"; it can be ADDRESS or ADDRESS:PORT` };
    }
    list.push({ host: host.host, port: host.port ?? 53 });
  }
  return list;
}

/** Does the address take connections of this machine only? */
export function isLoopback(host: string): boolean {
  return host.startsWith('127.') || /^(?:::1|(?:0000:){7}0001|localhost)$/.test(host);
}
