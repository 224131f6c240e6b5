/**
 * What `headrace kong` and its relatives are told: by options, by `HEADRACE_…`, and by Kong's own `KONG_…` where that means the
 * same; the first of these that says anything counts.
 */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import {
  type AdminAddress,
  type AdminConfig,
  type CertificatePair,
  DEFAULT_ADMIN_LISTEN,
  DEFAULT_PROXY_LISTEN,
  DEFAULT_REAL_IP_HEADER,
  type ListenKind,
  parseListens,
  parseNameServers,
  parseNetworks,
} from '../config/kong/settings.ts';
import { badStore } from '../store/open.ts';
import { UsageError } from './options.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface KongOptions {
  help: boolean;
  admin: AdminConfig;
  /** Null: one for each processor. */
  workers: number | null;
  /** Absolute; null: none. */
  pidFile: string | null;
  /** `stderr` or an absolute path. */
  errorLog: string;
  /** Of `export`; null: the terminal. */
  output: string | null;
}

const OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  'admin-listen': { type: 'string' },
  'proxy-listen': { type: 'string' },
  'stream-listen': { type: 'string' },
  store: { type: 'string' },
  config: { type: 'string', short: 'c' },
  data: { type: 'string' },
  'status-listen': { type: 'string' },
  'trusted-ips': { type: 'string' },
  'real-ip-header': { type: 'string' },
  'real-ip-recursive': { type: 'string' },
  'admin-token': { type: 'string' },
  'admin-origin': { type: 'string', multiple: true },
  'admin-host': { type: 'string', multiple: true },
  'admin-ssl-cert': { type: 'string' },
  'admin-ssl-key': { type: 'string' },
  'ssl-cert': { type: 'string' },
  'ssl-key': { type: 'string' },
  'dns-resolver': { type: 'string' },
  workers: { type: 'string' },
  pid: { type: 'string' },
  'error-log': { type: 'string' },
  output: { type: 'string', short: 'o' },
} as const;
type Name = keyof typeof OPTIONS;

/** Kong's names of the same settings. */
const KONG_NAMES: Partial<Record<Name, string>> = {
  'admin-listen': 'KONG_ADMIN_LISTEN',
  'proxy-listen': 'KONG_PROXY_LISTEN',
  'stream-listen': 'KONG_STREAM_LISTEN',
  'status-listen': 'KONG_STATUS_LISTEN',
  'trusted-ips': 'KONG_TRUSTED_IPS',
  'real-ip-header': 'KONG_REAL_IP_HEADER',
  'real-ip-recursive': 'KONG_REAL_IP_RECURSIVE',
  config: 'KONG_DECLARATIVE_CONFIG',
  'admin-origin': 'KONG_ADMIN_GUI_URL',
  'admin-ssl-cert': 'KONG_ADMIN_SSL_CERT',
  'admin-ssl-key': 'KONG_ADMIN_SSL_CERT_KEY',
  'ssl-cert': 'KONG_SSL_CERT',
  'ssl-key': 'KONG_SSL_CERT_KEY',
  'dns-resolver': 'KONG_DNS_RESOLVER',
  workers: 'KONG_NGINX_WORKER_PROCESSES',
};

export const KONG_HELP = `Usage: headrace kong [options]         run the Admin API
       headrace kong export [options]  write all entities as kong.yml
       headrace migrate [options]      make or update the tables of the store

Options:                                         environment
  --admin-listen LIST   Admin API                HEADRACE_ADMIN_LISTEN, KONG_ADMIN_LISTEN
                        (default: ${DEFAULT_ADMIN_LISTEN})
  --proxy-listen LIST   proxy                    HEADRACE_PROXY_LISTEN, KONG_PROXY_LISTEN
                        (default: ${DEFAULT_PROXY_LISTEN})
  --stream-listen LIST  routes of TCP, TLS, UDP  HEADRACE_STREAM_LISTEN, KONG_STREAM_LISTEN
                        (default: off)
  --status-listen LIST  /status, /status/ready   HEADRACE_STATUS_LISTEN, KONG_STATUS_LISTEN
                        and healths, read-only (default: off)
  --trusted-ips LIST    proxies in front, whose word on clients counts
                                                 HEADRACE_TRUSTED_IPS, KONG_TRUSTED_IPS
  --real-ip-header NAME, --real-ip-recursive on|off
                        where they tell it       HEADRACE_REAL_IP_…, KONG_REAL_IP_…
                        (default: ${DEFAULT_REAL_IP_HEADER}, off; NAME may be proxy_protocol)
  --store STORE         sqlite:FILE, postgres://USER:PASSWORD@HOST/DATABASE, or memory
                                                 HEADRACE_STORE, KONG_DATABASE with KONG_PG_…
                        (default: sqlite:DATA/kong.db)
  -c, --config FILE     kong.yml: entities come from it, and are kept in memory
                                                 HEADRACE_CONFIG, KONG_DECLARATIVE_CONFIG
  --data DIR            data directory           HEADRACE_DATA
  --admin-token TEXT    clients must show it     HEADRACE_ADMIN_TOKEN
  --admin-origin URL    pages that may call it   HEADRACE_ADMIN_ORIGIN, KONG_ADMIN_GUI_URL
  --admin-host NAME     names of the Admin API   HEADRACE_ADMIN_HOST
  --admin-ssl-cert FILE, --admin-ssl-key FILE    HEADRACE_ADMIN_SSL_…, KONG_ADMIN_SSL_…
  --ssl-cert LIST, --ssl-key LIST                HEADRACE_SSL_…, KONG_SSL_…
                        of the proxy, for names that the store has no certificate for
                        (default: those of the Admin API, or one that is made at the first start)
  --dns-resolver LIST   name servers of targets  HEADRACE_DNS_RESOLVER, KONG_DNS_RESOLVER
                        (default: the system's)
  --workers N           worker threads           HEADRACE_WORKERS, KONG_NGINX_WORKER_PROCESSES
  --pid FILE            pid file                 HEADRACE_PID
  --error-log FILE      log (default: stderr)    HEADRACE_ERROR_LOG
  -o, --output FILE     of export
`;

/**
 * @param args after the name of the command
 * @throws {UsageError}
 */
export function readKongOptions(args: readonly string[], env: Environment, cwd: string = process.cwd()): KongOptions {
  let given: Partial<Record<Name, string | boolean | string[]>>;
  try {
    given = parseArgs({ args: [...args], options: OPTIONS, strict: true }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const text = (name: Name): string | null => {
    const value = given[name];
    if (typeof value === 'string') return value;
    const own = env[`HEADRACE_${name.toUpperCase().replaceAll('-', '_')}`];
    const kong = KONG_NAMES[name];
    return own ?? (kong === undefined ? undefined : env[kong]) ?? null;
  };
  const list = (name: Name): string[] => {
    const value = given[name];
    if (Array.isArray(value)) return value;
    return (text(name) ?? '').split(',').flatMap((part) => (part.trim() === '' ? [] : [part.trim()]));
  };
  const dataDir = resolve(cwd, text('data') ?? defaultDataDir(env));
  const file = text('config');
  const store = readStore(text('store'), file, dataDir, env);
  const tls = readPairs('admin-ssl', text('admin-ssl-cert'), text('admin-ssl-key'), cwd)[0] ?? null;
  const pid = text('pid');
  const log = text('error-log') ?? 'stderr';
  return {
    help: given.help === true,
    admin: {
      listens: listens('--admin-listen', text('admin-listen') ?? DEFAULT_ADMIN_LISTEN, 'admin'),
      proxyListens: listens('--proxy-listen', text('proxy-listen') ?? DEFAULT_PROXY_LISTEN, 'http'),
      streamListens: listens('--stream-listen', text('stream-listen') ?? 'off', 'stream'),
      statusListens: listens('--status-listen', text('status-listen') ?? 'off', 'admin'),
      realIp: realIp(text('trusted-ips'), text('real-ip-header'), text('real-ip-recursive')),
      store:
        store === 'memory'
          ? store
          : store.replace(/^sqlite:(?!\/)(.*)/, (_, path: string) => `sqlite:${resolve(cwd, path)}`),
      dataDir,
      declarative: file === null ? null : readText(resolve(cwd, file)),
      databaseless: store === 'memory',
      token: text('admin-token'),
      origins: list('admin-origin').map((url) => url.replace(/^(https?:\/\/[^/]+).*$/, '$1')),
      hosts: list('admin-host'),
      nameServers: nameServers(text('dns-resolver')),
      tls,
      proxyTls: readPairs('ssl', text('ssl-cert'), text('ssl-key'), cwd),
      ownTls: null,
    },
    workers: readWorkers(text('workers')),
    pidFile: pid === null ? null : resolve(cwd, pid),
    errorLog: log === 'stderr' ? log : resolve(cwd, log),
    output: typeof given.output === 'string' ? resolve(cwd, given.output) : null,
  };
}

function defaultDataDir(env: Environment): string {
  if (process.getuid?.() === 0) return '/var/lib/headrace';
  const base = env.XDG_DATA_HOME;
  return join(base !== undefined && base.startsWith('/') ? base : join(homedir(), '.local/share'), 'headrace');
}

function readStore(given: string | null, file: string | null, dataDir: string, env: Environment): string {
  if (given !== null) {
    const bad = badStore(given);
    if (bad !== null) throw new UsageError(bad);
    if (file !== null && given !== 'memory') {
      throw new UsageError('--config keeps entities in memory: it cannot be together with another --store');
    }
    return given === 'memory' || /^[a-z]+:/i.test(given) ? given : `sqlite:${given}`;
  }
  if (file !== null || env.KONG_DATABASE === 'off') return 'memory';
  if (env.KONG_DATABASE === 'postgres' || (env.KONG_DATABASE === undefined && env.KONG_PG_HOST !== undefined)) {
    return postgresOf(env);
  }
  if (env.KONG_DATABASE !== undefined)
    throw new UsageError(`KONG_DATABASE=${env.KONG_DATABASE}: it can be postgres or off`);
  return `sqlite:${join(dataDir, 'kong.db')}`;
}

/** Kong's settings as an address, with Kong's defaults. */
function postgresOf(env: Environment): string {
  const url = new URL('postgres://127.0.0.1');
  url.hostname = env.KONG_PG_HOST ?? '127.0.0.1';
  url.port = env.KONG_PG_PORT ?? '5432';
  url.username = env.KONG_PG_USER ?? 'kong';
  if (env.KONG_PG_PASSWORD !== undefined) url.password = env.KONG_PG_PASSWORD;
  url.pathname = `/${env.KONG_PG_DATABASE ?? 'kong'}`;
  if (env.KONG_PG_SSL === 'on') {
    url.searchParams.set('sslmode', env.KONG_PG_SSL_VERIFY === 'on' ? 'verify-full' : 'no-verify');
  }
  return url.href;
}

function nameServers(text: string | null): AdminConfig['nameServers'] {
  if (text === null) return null;
  const list = parseNameServers(text);
  if ('error' in list) throw new UsageError(`--dns-resolver: ${list.error}`);
  return list;
}

function realIp(from: string | null, header: string | null, recursive: string | null): AdminConfig['realIp'] {
  const networks = parseNetworks(from ?? '');
  if ('error' in networks) throw new UsageError(`--trusted-ips: ${networks.error}`);
  if (header !== null && !/^[\w-]+$/.test(header)) {
    throw new UsageError(`--real-ip-header ${header}: it can be the name of a header field, or proxy_protocol`);
  }
  if (recursive !== null && !/^(?:on|off|true|false)$/.test(recursive)) {
    throw new UsageError(`--real-ip-recursive ${recursive}: it can be on or off`);
  }
  return {
    from: networks,
    header: header ?? DEFAULT_REAL_IP_HEADER,
    recursive: recursive === 'on' || recursive === 'true',
  };
}

function listens(option: string, text: string, kind: ListenKind): AdminAddress[] {
  const list = parseListens(text, kind);
  if ('error' in list) throw new UsageError(`${option}: ${list.error}`);
  return list;
}

/** Files of certificates and of their keys: lists with commas between, the same number of both. */
function readPairs(option: string, certs: string | null, keys: string | null, cwd: string): CertificatePair[] {
  const [certFiles, keyFiles] = [certs, keys].map((text) =>
    (text ?? '').split(',').flatMap((file) => file.trim() || []),
  );
  if (certFiles!.length !== keyFiles!.length)
    throw new UsageError(`--${option}-cert and --${option}-key belong together`);
  return certFiles!.map((file, i) => ({
    cert: readText(resolve(cwd, file)).text,
    key: readText(resolve(cwd, keyFiles![i]!)).text,
  }));
}

function readText(file: string): { file: string; text: string } {
  try {
    return { file, text: readFileSync(file, 'utf8') };
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${(error as Error).message}`);
  }
}

function readWorkers(text: string | null): number | null {
  if (text === null || text === 'auto') return null;
  if (/^[1-9]\d{0,2}$/.test(text)) return Number(text);
  throw new UsageError(`--workers ${text}: it can be auto, or a number from 1 to 999`);
}
