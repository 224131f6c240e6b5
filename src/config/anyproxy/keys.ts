/** Which keys there are, where they may stand, and of which type they are. */
import { ConfigError, at } from '../errors.ts';
import { nearest } from '../nginx/suggest.ts';
import type { Assignment, Block, Item, ValueKind } from './syntax.ts';

/** Levels of `http` (or `net`): the block itself, its servers, their locals. */
export const MAIN = 1;
export const SERVER = 2;
export const LOCAL = 4;
const ALL = MAIN | SERVER | LOCAL;

export interface Key {
  type: ValueKind;
  /** Bits of the levels; of other blocks `MAIN`. */
  levels: number;
  /** `none`: it is read and changes nothing; a text: it is refused, with this reason. */
  effect?: 'none' | { refused: string };
}

export type Keys = Readonly<Record<string, Key>>;

const own = (type: ValueKind, levels = MAIN): Key => ({ type, levels });
const without = (type: ValueKind, levels = MAIN): Key => ({ type, levels, effect: 'none' });
const refused = (type: ValueKind, levels: number, why: string): Key => ({ type, levels, effect: { refused: why } });

const OBSOLETE = 'tunnel2 is obsolete in any-proxy itself, use proxy_pass_tunnel_…';
const HTTP = 'that is for an nginx.conf to say, which may proxy to the same upstreams with "via="';

export const COMMON: Keys = {
  worker_threads: own('int'),
  max_connections: own('int'),
  shutdown_timeout: own('int'),
  disable_ipv6_only: own('bool'),
  cpu_affinity: without('bool'),
  // Workers always share their ports so.
  reuseport: without('bool'),
  max_open_file_limit: without('int'),
  memlock_rlimit_curr: without('int'),
  memlock_rlimit_max: without('int'),
  worker_threads_blocking: without('int'),
  // Headrace's own.
  daemon: own('bool'),
  user: own('str'),
  pid: own('str'),
  error_log: own('str'),
  error_log_level: own('str'),
};

export const SOCKET: Keys = { tcp: own('raw'), quic: own('raw') };
export const DATA: Keys = { data: own('raw') };

const PASS_KINDS = ['tcp', 'ssl', 'quic', 'tunnel_tcp', 'tunnel_ssl', 'tunnel_quic'] as const;
export type PassKind = (typeof PASS_KINDS)[number];

function passes(levels: number): Record<string, Key> {
  const keys = PASS_KINDS.map((kind): [string, Key] => [`proxy_pass_${kind}`, own('raw', levels)]);
  const gone = ['tcp', 'ssl', 'quic'].map((kind): [string, Key] => {
    return [`proxy_pass_tunnel2_${kind}`, refused('raw', levels, OBSOLETE)];
  });
  return Object.fromEntries([...keys, ...gone]);
}

/** The kind that a key `proxy_pass_…` stands for; null: it is another key. */
export function passKind(key: string): PassKind | null {
  return PASS_KINDS.find((kind) => key === `proxy_pass_${kind}`) ?? null;
}

export const UPSTREAM_SERVER: Keys = { name: own('str'), balancer: own('str'), ...passes(MAIN) };

function listed(names: string, key: Key): Record<string, Key> {
  return Object.fromEntries(names.split(' ').map((name) => [name, key]));
}

export const NET: Keys = {
  domain: own('str', SERVER),
  ...listed('port_listen_tcp port_listen_ssl port_listen_quic', own('raw', SERVER)),
  ...listed('domain_listen_tcp domain_listen_ssl domain_listen_quic', own('raw', SERVER)),
  ...passes(SERVER | LOCAL),
  proxy_pass_upstream: own('str', SERVER | LOCAL),
  rule: own('raw', LOCAL),
  ...listed('tcp_conf_name tcp_config_name quic_conf_name quic_config_name', own('str', MAIN | SERVER)),
  stream_cache_size: own('int', ALL),
  ...listed('download_limit_rate upload_limit_rate', own('int', ALL)),
  is_proxy_protocol_hello: own('bool', ALL),
  close_type: own('str', ALL),
  access: own('raw', ALL),
  ...listed('ip_allow ip_deny', own('str', ALL)),
  // Headrace's own.
  hello_from: own('strs', MAIN | SERVER),
  hello_magic: own('str', ALL),
  accept_tunnel: own('bool', MAIN | SERVER),
  next_upstream: own('bool', ALL),
  // Ways of any-proxy to do what is done here in another way, or not needed.
  ...listed('download_limit_rate_after upload_limit_rate_after', without('int', ALL)),
  ...listed('download_tmp_file_size upload_tmp_file_size', without('int', ALL)),
  ...listed('download_tmp_file_reopen_size upload_tmp_file_reopen_size', without('int', ALL)),
  ...listed('stream_so_singer_time sendfile_max_write_size read_buffer_page_size', without('int', ALL)),
  ...listed('write_buffer_page_size stream_delay_mil_time stream_nodelay_size directio', without('int', ALL)),
  ...listed('client_timeout_mil_time_ebpf upstream_timeout_mil_time_ebpf tmp_file_cache_size', without('int', ALL)),
  ...listed('debug_print_access_log_time debug_print_stream_flow_time', without('int', ALL)),
  ...listed('is_stream_cache_merge is_tmp_file_io_page is_open_sendfile is_open_ebpf', without('bool', ALL)),
  ...listed('is_disable_share_http_context is_upload_open_stream_cache', without('bool', ALL)),
  ...listed('is_download_open_stream_cache is_port_direct_ebpf stream_nopush', without('bool', ALL)),
  ...listed('debug_is_open_stream_work_times debug_is_open_print', without('bool', ALL)),
  ...listed('http_server_echo http_server_static http_server_proxy http_server_proxy_websocket', own('raw', ALL)),
  ...listed('net_server_http net_server_http_echo net_server_http_static net_server_http_proxy', own('raw', ALL)),
  ...listed('net_server_websocket net_server_websocket_proxy', own('raw', ALL)),
  ...listed('http_server_echo_websocket http_server_static_websocket', refused('raw', ALL, HTTP)),
  ...listed('net_server_websocket_echo net_server_websocket_static', refused('raw', ALL, HTTP)),
  ...listed('net_server_http_router', refused('str', ALL, HTTP)),
  ...listed('domain_from_http_v1 proxy_cache proxy_cache_valid', refused('raw', ALL, HTTP)),
  ...listed('wasm_access wasm_serverless wasm_access_log wasm_http_in_headers', refused('raw', ALL, HTTP)),
  ...listed('wasm_http_filter_headers wasm_http_filter_headers_pre proxy_hot_file', refused('raw', ALL, HTTP)),
  ...listed('rewrite proxy_cache_name proxy_cache_methods', refused('strs', ALL, HTTP)),
};

export function fault(text: string, { place }: { place: Assignment['place'] }): ConfigError {
  return new ConfigError(text, place, at(place));
}

export type Warn = (text: string, place: Assignment['place']) => void;

/** The assignments of a block that have an effect, each of its key's type; those without are told of. @throws {ConfigError} */
export function assignments(items: readonly Item[], keys: Keys, level: number, warn: Warn): Assignment[] {
  const found: Assignment[] = [];
  for (const item of items) {
    if (item.kind === 'block') continue;
    const key = keys[item.key];
    if (key === undefined) {
      const here = Object.keys(keys).filter((name) => (keys[name]!.levels & level) !== 0);
      const similar = nearest(item.key, here);
      throw fault(`unknown key "${item.key}"${similar === null ? '' : ` (did you mean "${similar}"?)`}`, item);
    }
    if ((key.levels & level) === 0) throw fault(`"${item.key}" is not allowed here`, item);
    if (item.type !== key.type) {
      const wanted = { int: 'a whole number like u64', float: 'f64' }[key.type as string] ?? key.type;
      throw fault(`"${item.key}" must be of type ${wanted}, not ${item.type}`, item);
    }
    if (item.type === 'bool') flag(item);
    if (key.effect === undefined) found.push(item);
    else if (key.effect === 'none') checkIdle(item, warn);
    else throw fault(`"${item.key}" is not supported: ${key.effect.refused}`, item);
  }
  return found;
}

/** A key without effect is told of when it asks for something. */
function checkIdle(item: Assignment, warn: Warn): void {
  if (item.type === 'bool' && !flag(item)) return;
  if (item.type === 'int' && number(item, 0) === 0) return;
  if (item.key === 'reuseport' || item.key === 'worker_threads_blocking') return;
  warn(`"${item.key}" has no effect here`, item.place);
}

/** The blocks among the items of a block. @throws {ConfigError} for those that cannot stand there */
export function blocks(items: readonly Item[], allowed: readonly string[]): Block[] {
  const found = items.filter((item): item is Block => item.kind === 'block');
  for (const block of found) {
    if (allowed.includes(block.key)) continue;
    const similar = nearest(block.key, allowed);
    const hint = similar === null ? '' : ` (did you mean "${similar}"?)`;
    throw fault(`block "${block.key}" is not allowed here${hint}`, block);
  }
  return found;
}

/** @throws {ConfigError} unless it is true or false */
export function flag(item: Assignment): boolean {
  if (item.value === 'true' || item.value === 'false') return item.value === 'true';
  throw fault(`"${item.key}" must be true or false, not "${item.value}"`, item);
}

const UNITS: Readonly<Record<string, number>> = { '': 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };
const SECONDS: Readonly<Record<string, number>> = { '': 1000, ms: 1, s: 1000, min: 60_000, h: 3_600_000 };

function scaled(item: Assignment, units: Readonly<Record<string, number>>): number {
  const [, digits = '', unit = ''] = /^(\d+(?:\.\d+)?)([a-z]*)$/i.exec(item.value) ?? [];
  const scale = units[unit.toLowerCase()];
  const value = digits === '' || scale === undefined ? NaN : Number(digits) * scale;
  if (Number.isSafeInteger(Math.trunc(value)) && (unit !== '' || Number.isInteger(Number(digits)))) {
    return Math.trunc(value);
  }
  const known = Object.keys(units).filter((name) => name !== '');
  throw fault(`"${item.key}" must be a whole number, or one with ${known.join(', ')}, not "${item.value}"`, item);
}

/** A number, or a size with b, k, m, g. @throws {ConfigError} */
export function number(item: Assignment, least = 0): number {
  const value = scaled(item, UNITS);
  if (value < least) throw fault(`"${item.key}" must be ${least} or more, not "${item.value}"`, item);
  return value;
}

/** A time: seconds, or with ms, s, min, h. @returns milliseconds @throws {ConfigError} */
export function milliseconds(item: Assignment): number {
  return scaled(item, SECONDS);
}

/** One of some words. @throws {ConfigError} */
export function choice<T extends string>(item: Assignment, choices: readonly T[]): T {
  const found = choices.find((one) => one === item.value);
  if (found === undefined) throw fault(`"${item.key}" must be one of ${choices.join(', ')}, not "${item.value}"`, item);
  return found;
}
