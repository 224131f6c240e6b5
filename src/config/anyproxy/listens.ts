/** `port_listen_…` and `domain_listen_…`, and the names of `domain`. */
import { encodeText } from '../bytes.ts';
import { ConfigError, at } from '../errors.ts';
import type { Place } from '../model.ts';
import { fault } from './keys.ts';
import type { Assignment } from './syntax.ts';
import { Toml } from './toml.ts';

export type ListenKind = 'tcp' | 'ssl' | 'quic';

/** One of the listeners of a server. */
export interface Listening {
  mode: 'port' | 'domain';
  kind: ListenKind;
  place: Place;
  /** As nginx's `listen` takes them: `0.0.0.0:80`, `0.0.0.0:8000-8010`. */
  addresses: string[];
  /** Certificate and key, complete paths; null: `tcp`. */
  tls: { certificate: string; key: string; protocols: string[] | null } | null;
}

const LISTEN = /^(port|domain)_listen_(tcp|ssl|quic)$/;
const VERSIONS: Readonly<Record<string, string>> = {
  'tls1.0': 'TLSv1',
  'tls1.1': 'TLSv1.1',
  'tls1.2': 'TLSv1.2',
  'tls1.3': 'TLSv1.3',
};

/** @returns null: it is another key @throws {ConfigError} */
export function readListening(item: Assignment, path: (name: string) => string): Listening | null {
  const match = LISTEN.exec(item.key);
  if (match === null) return null;
  const mode = match[1] as Listening['mode'];
  const kind = match[2] as ListenKind;
  const { root } = new Toml(item);
  const text = root.text('address');
  if (text === null || text.trim() === '') throw root.fault('"address" is missing');
  const addresses = text
    .trim()
    .split(/\s+/)
    .map((one) => {
      const found = /^(\[[^\]]+\]|[^\s:[]*):(?:(\d+)|\[(\d+)~(\d+)\])$/.exec(one);
      if (found === null) {
        throw root.fault(`"${one}" must be an address and a port, or ports as [10000~10010]`, 'address');
      }
      const [, host = '', port, first, last] = found;
      return encodeText(`${host === '' ? '0.0.0.0' : host}:${port ?? `${first}-${last}`}`);
    });
  let tls: Listening['tls'] = null;
  if (kind !== 'tcp') {
    const ssl = root.table('ssl');
    if (ssl === null) throw root.fault('"ssl" is missing: ssl = {key = "…", cert = "…"}');
    const certificate = ssl.text('cert');
    const key = ssl.text('key');
    if (certificate === null || key === null) throw ssl.fault(`"${key === null ? 'key' : 'cert'}" is missing`);
    // Which certificate is sent does not depend on it: there is one.
    ssl.text('ssl_domain');
    const versions = ssl.table('tls');
    const written = versions?.texts('tls_versions') ?? null;
    versions?.end();
    ssl.end();
    const protocols =
      written?.map((one) => {
        const known =
          VERSIONS[
            one
              .toLowerCase()
              .replace('v', '')
              .replace(/^(?=1\.)/, 'tls')
          ];
        if (known === undefined) throw ssl.fault(`"${one}" is no version of TLS: tls1.2, tls1.3`, 'tls');
        return known;
      }) ?? null;
    tls = { certificate: path(encodeText(certificate)), key: path(encodeText(key)), protocols };
  }
  root.end();
  return { mode, kind, place: item.place, addresses, tls };
}

/** What `domain` says. */
export interface Domains {
  /** As `server_name` takes them. */
  names: string[];
  /** `$$(.*)`: takes every name, and sessions without one. */
  all: boolean;
}

/** @throws {ConfigError} */
export function readDomains(item: Assignment): Domains {
  const domains: Domains = { names: [], all: false };
  for (const word of item.value.trim().split(/\s+/)) {
    if (!word.startsWith('$$')) {
      if (!/^[A-Za-z0-9_.-]+$/.test(word)) throw fault(`"${word}" in "domain" is no name of a host`, item);
      domains.names.push(word);
      continue;
    }
    const [, pattern, suffix = ''] = /^\$\$\((.*)\)((?:\.[A-Za-z0-9_-]+)*)$/.exec(word) ?? [];
    if (pattern === undefined) {
      const text = `"${word}" in "domain" must be like $$(.*) or $$(.*).example.cn`;
      throw new ConfigError(text, item.place, at(item.place));
    }
    if (pattern !== '.*') domains.names.push(`~^(?:${pattern})${suffix.replaceAll('.', String.raw`\.`)}$`);
    else if (suffix === '') domains.all = true;
    else domains.names.push(`*${suffix}`);
  }
  return domains;
}
