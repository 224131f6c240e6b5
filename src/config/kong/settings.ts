/** Settings of the Admin API: where it listens, where entities live, who may call it. */
import { parseHost } from './host.ts';

export interface AdminAddress {
  /** As written: `127.0.0.1:8001`. The identity over reloads. */
  text: string;
  host: string;
  port: number;
  ssl: boolean;
}

export interface AdminConfig {
  listens: AdminAddress[];
  /** Addresses of the proxy, which the data plane binds. */
  proxyListens: AdminAddress[];
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
  /** PEM, for addresses with `ssl`. */
  tls: { cert: string; key: string } | null;
}

export const DEFAULT_ADMIN_LISTEN = '127.0.0.1:8001';
export const DEFAULT_PROXY_LISTEN = '0.0.0.0:8000';

/** Words after an address that Kong and nginx know, and that change nothing here. */
const HARMLESS = /^(?:http2|reuseport|deferred|bind|backlog=\d+|so_keepalive=\S+|ipv6only=(?:on|off))$/;

/**
 * `127.0.0.1:8001 reuseport, 127.0.0.1:8444 http2 ssl`, or `off`.
 *
 * @returns the addresses, or what is wrong
 */
export function parseListens(text: string): AdminAddress[] | { error: string } {
  if (text.trim() === 'off') return [];
  const list: AdminAddress[] = [];
  for (const entry of text.split(',')) {
    const [address = '', ...words] = entry.trim().split(/\s+/);
    const at = /^\d+$/.test(address) ? `127.0.0.1:${address}` : address.replace(/^\*:/, '0.0.0.0:');
    const host = parseHost(at.replace(/^localhost:/, '127.0.0.1:'));
    if ('error' in host || host.port === null) {
      return { error: `invalid address "${address}"; it can be ADDRESS:PORT, perhaps with "ssl" after it` };
    }
    const unknown = words.find((word) => word !== 'ssl' && !HARMLESS.test(word));
    if (unknown !== undefined) return { error: `unknown parameter "${unknown}" of address "${address}"` };
    list.push({ text: address, host: host.host, port: host.port, ssl: words.includes('ssl') });
  }
  return list;
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
