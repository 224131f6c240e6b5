/** `admin { … }`: the Admin API of the Kong door beside everything else. It is Headrace's own; nginx has none. */
import { decodeText } from '../../bytes.ts';
import {
  DEFAULT_ADMIN_LISTEN,
  DEFAULT_PROXY_LISTEN,
  DEFAULT_REAL_IP_HEADER,
  parseListens,
  parseNameServers,
  parseNetworks,
} from '../../kong/settings.ts';
import type { AdminAddress, AdminConfig, ListenKind } from '../../kong/settings.ts';
import { Args, Context } from '../context.ts';
import type { Cycle } from '../cycle.ts';
import { errnoText } from '../cycle.ts';
import { table } from '../directive.ts';
import type { ModuleDef } from '../module.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';

interface AdminRaw {
  seen?: boolean;
  listens: AdminAddress[];
  proxyListens: AdminAddress[];
  streamListens: AdminAddress[];
  statusListens: AdminAddress[];
  trusted: string[];
  realIpHeader?: string;
  realIpRecursive?: boolean;
  store?: string;
  data?: string;
  declarative?: { file: string; text: string };
  token?: string;
  origins: string[];
  hosts: string[];
  nameServers?: { host: string; port: number }[];
  cert?: string;
  key?: string;
  proxyCerts: string[];
  proxyKeys: string[];
}

const adminSlot = slot<AdminRaw>('admin', () => ({
  listens: [],
  proxyListens: [],
  streamListens: [],
  statusListens: [],
  trusted: [],
  origins: [],
  hosts: [],
  proxyCerts: [],
  proxyKeys: [],
}));
const admin = table<AdminRaw>((cf) => cf.cycle.core.get(adminSlot));
const ADMIN = Context.admin;

function listen(cf: Conf, list: AdminAddress[], kind: ListenKind): void {
  const parsed = parseListens(cf.args.slice(1).join(' '), kind);
  if ('error' in parsed) throw cf.error(parsed.error);
  const double = parsed.find(({ text, udp }) => list.some((other) => other.text === text && other.udp === udp));
  if (double !== undefined) throw cf.error(`duplicate listen options for "${double.text}"`);
  list.push(...parsed);
}

function readText(cf: Conf): { file: string; text: string } {
  const file = cf.cycle.fullName(cf.args[1] as string, 'conf');
  try {
    return { file: decodeText(file), text: decodeText(cf.cycle.readFile(file)) };
  } catch (error) {
    throw cf.error(`open() "${decodeText(file)}" failed (${errnoText(error)})`);
  }
}

function store(cf: Conf, raw: AdminRaw): string | void {
  if (raw.store !== undefined) return 'is duplicate';
  const text = decodeText(cf.args[1] as string);
  if (text === 'memory' || /^postgres(?:ql)?:/.test(text)) {
    raw.store = text;
    return;
  }
  const path = text.replace(/^sqlite:/, '');
  if (/^[a-z]+:/i.test(path)) {
    throw cf.error(`unknown store "${text}", it can be sqlite:FILE, postgres://…, or memory`);
  }
  raw.store = `sqlite:${decodeText(cf.cycle.fullName(cf.args[1]?.replace(/^sqlite:/, '') as string))}`;
}

export const adminModule: ModuleDef = {
  name: 'admin',
  directives: [
    admin.block('admin', Context.main, Args.none, (cf, raw): string | void => {
      if (raw.seen === true) return 'is duplicate';
      raw.seen = true;
      cf.block(ADMIN);
    }),
    admin.custom('listen', ADMIN, Args.oneOrMore, (cf, raw) => listen(cf, raw.listens, 'admin')),
    admin.custom('proxy_listen', ADMIN, Args.oneOrMore, (cf, raw) => listen(cf, raw.proxyListens, 'http')),
    admin.custom('stream_listen', ADMIN, Args.oneOrMore, (cf, raw) => listen(cf, raw.streamListens, 'stream')),
    admin.custom('status_listen', ADMIN, Args.oneOrMore, (cf, raw) => listen(cf, raw.statusListens, 'admin')),
    admin.custom('set_real_ip_from', ADMIN, Args.oneOrMore, (cf, raw) => {
      const list = parseNetworks(cf.args.slice(1).join(' '));
      if ('error' in list) throw cf.error(list.error);
      raw.trusted.push(...list);
    }),
    admin.text('real_ip_header', ADMIN, 'realIpHeader'),
    admin.flag('real_ip_recursive', ADMIN, 'realIpRecursive'),
    admin.custom('store', ADMIN, Args.one, store),
    admin.path('data', ADMIN, 'data'),
    admin.custom('declarative', ADMIN, Args.one, (cf, raw): string | void => {
      if (raw.declarative !== undefined) return 'is duplicate';
      raw.declarative = readText(cf);
    }),
    admin.custom('dns_resolver', ADMIN, Args.oneOrMore, (cf, raw): string | void => {
      if (raw.nameServers !== undefined) return 'is duplicate';
      const list = parseNameServers(cf.args.slice(1).join(' '));
      if ('error' in list) throw cf.error(list.error);
      raw.nameServers = list;
    }),
    admin.text('token', ADMIN, 'token'),
    admin.list('origin', ADMIN, 'origins'),
    admin.list('host', ADMIN, 'hosts'),
    admin.custom('ssl_certificate', ADMIN, Args.one, (cf, raw): string | void => {
      if (raw.cert !== undefined) return 'is duplicate';
      raw.cert = readText(cf).text;
    }),
    admin.custom('ssl_certificate_key', ADMIN, Args.one, (cf, raw): string | void => {
      if (raw.key !== undefined) return 'is duplicate';
      raw.key = readText(cf).text;
    }),
    admin.custom('proxy_ssl_certificate', ADMIN, Args.one, (cf, raw) => void raw.proxyCerts.push(readText(cf).text)),
    admin.custom('proxy_ssl_certificate_key', ADMIN, Args.one, (cf, raw) => void raw.proxyKeys.push(readText(cf).text)),
  ],
};

/**
 * Null: there is no such block. What does not fit together is told by the second function.
 */
export function finishAdmin(cycle: Cycle): AdminConfig | null {
  const raw = cycle.core.get(adminSlot);
  if (raw.seen !== true) return null;
  const dataDir = raw.data ?? decodeText(cycle.fullName('data'));
  const memory = raw.store === 'memory' || raw.declarative !== undefined;
  return {
    listens: raw.listens.length > 0 ? raw.listens : (parseListens(DEFAULT_ADMIN_LISTEN, 'admin') as AdminAddress[]),
    proxyListens:
      raw.proxyListens.length > 0 ? raw.proxyListens : (parseListens(DEFAULT_PROXY_LISTEN, 'http') as AdminAddress[]),
    streamListens: raw.streamListens,
    statusListens: raw.statusListens,
    realIp: {
      from: raw.trusted,
      header: raw.realIpHeader ?? DEFAULT_REAL_IP_HEADER,
      recursive: raw.realIpRecursive ?? false,
    },
    store: memory ? 'memory' : (raw.store ?? `sqlite:${dataDir}/kong.db`),
    dataDir,
    declarative: raw.declarative ?? null,
    databaseless: memory,
    token: raw.token ?? null,
    origins: raw.origins,
    hosts: raw.hosts,
    nameServers: raw.nameServers ?? null,
    tls: raw.cert === undefined || raw.key === undefined ? null : { cert: raw.cert, key: raw.key },
    proxyTls: raw.proxyCerts.map((cert, i) => ({ cert, key: raw.proxyKeys[i]! })),
    ownTls: null,
  };
}

/** What is wrong with the block as a whole, or null. */
export function adminFault(cycle: Cycle): string | null {
  const raw = cycle.core.get(adminSlot);
  if (raw.seen !== true) return null;
  if ((raw.cert === undefined) !== (raw.key === undefined)) {
    return '"ssl_certificate" and "ssl_certificate_key" of "admin" belong together';
  }
  if (raw.realIpHeader !== undefined && !/^[\w-]+$/.test(raw.realIpHeader)) {
    return `invalid "real_ip_header" "${raw.realIpHeader}" of "admin"`;
  }
  if (raw.proxyCerts.length !== raw.proxyKeys.length) {
    return '"proxy_ssl_certificate" and "proxy_ssl_certificate_key" of "admin" belong together';
  }
  if (raw.declarative !== undefined && raw.store !== undefined && raw.store !== 'memory') {
    return '"declarative" keeps entities in memory: it cannot be together with another "store"';
  }
  return null;
}
