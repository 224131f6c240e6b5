/** `proxy_pass_…`: one way to one address, as a `server` of a group. */
import { encodeText } from '../bytes.ts';
import type { Place } from '../model.ts';
import type { Statement } from '../nginx/statements.ts';
import { fault } from './keys.ts';
import type { PassKind, Warn } from './keys.ts';
import type { Profiles } from './profiles.ts';
import type { Assignment } from './syntax.ts';
import { Toml } from './toml.ts';
import type { TomlTable } from './toml.ts';

export const BALANCERS = ['weight', 'round_robin', 'random', 'ip_hash', 'ip_hash_active', 'fair'] as const;
export type Balancer = (typeof BALANCERS)[number];

/** What `via=` each kind is. */
const VIA: Record<PassKind, string> = {
  tcp: 'tcp',
  ssl: 'tls',
  quic: 'quic',
  tunnel_tcp: 'tunnel+tcp',
  tunnel_ssl: 'tunnel+tls',
  tunnel_quic: 'tunnel+quic',
};

/** The statement of each balancer; `weight` and `round_robin` are what nginx does by itself. */
const METHODS: Record<Balancer, string | null> = {
  weight: null,
  round_robin: null,
  random: 'random',
  ip_hash: 'ip_hash_fixed',
  ip_hash_active: 'ip_hash_active',
  fair: 'fair',
};

const HEARTBEAT = { interval: 10, timeout: 10, fail: 3 };

export interface PassEnv {
  profiles: Profiles;
  warn: Warn;
  /** Completes a path of the configuration. */
  path: (name: string) => string;
}

/** Makes groups of servers. */
export class PassReader {
  readonly #env: PassEnv;
  #unverified = false;

  constructor(env: PassEnv) {
    this.#env = env;
  }

  /** A group. @throws {ConfigError} */
  group(name: string, balancer: Balancer, passes: readonly [PassKind, Assignment][], place: Place): Statement {
    const method = METHODS[balancer];
    const statements = passes.map(([kind, item]) => this.#server(kind, item, balancer));
    if (method !== null) statements.unshift({ args: [method], place });
    return { args: ['upstream', encodeText(name)], place, block: statements };
  }

  #server(kind: PassKind, item: Assignment, balancer: Balancer): Statement {
    const { root } = new Toml(item);
    const address = root.text('address');
    if (address === null) throw root.fault('"address" is missing');
    if (!/^(\[[^\]]+\]|[^\s:]+):\d+$/.test(address)) {
      throw root.fault(`"address" must be a host and a port, not "${address}"`, 'address');
    }
    const args = ['server', encodeText(address), `via=${VIA[kind]}`];
    this.#weight(root, balancer, args);
    if (kind !== 'tcp' && kind !== 'tunnel_tcp') this.#tls(root, item, args);
    if (kind.startsWith('tunnel_')) tunnel(root, args);
    const hello = root.flag('is_proxy_protocol_hello');
    if (hello !== null) args.push(`hello=${hello ? 'on' : 'off'}`);
    heartbeat(root, balancer, args);
    const dynamic = root.table('dynamic_domain');
    if (dynamic !== null) {
      args.push(`lookup=${seconds(dynamic, 'interval', 10)}`);
      const timeout = dynamic.number('timeout', 1);
      if (timeout !== null) args.push(`lookup_timeout=${timeout}s`);
      dynamic.end();
    }
    this.#profile(kind, root, args);
    // Heartbeats say who is up; failures of sessions count when they are asked to.
    args.push(`max_fails=${root.number('max_fails', 0) ?? 0}`);
    const failTimeout = root.number('fail_timeout', 0);
    if (failTimeout !== null) args.push(`fail_timeout=${failTimeout}s`);
    const most = root.number('max_connections', 0);
    if (most !== null) args.push(`max_conns=${most}`);
    if (root.flag('backup') === true) args.push('backup');
    root.end();
    return { args, place: item.place };
  }

  #weight(root: TomlTable, balancer: Balancer, args: string[]): void {
    const weight = root.number('weight', 1);
    if (balancer !== 'weight') return;
    if (weight === null) throw root.fault('"weight" is missing: the balancer is "weight"');
    args.push(`weight=${weight}`);
  }

  #tls(root: TomlTable, item: Assignment, args: string[]): void {
    const name = root.text('ssl_domain');
    if (name === null || name === '') throw root.fault('"ssl_domain" is missing: the name that TLS asks for');
    args.push(`ssl_name=${encodeText(name)}`);
    const authorities = root.text('ssl_ca');
    const verify = root.flag('ssl_verify') ?? authorities !== null;
    args.push(`ssl_verify=${verify ? 'on' : 'off'}`);
    if (authorities !== null) args.push(`ssl_trusted=${this.#env.path(encodeText(authorities))}`);
    if (verify || this.#unverified) return;
    this.#unverified = true;
    const text = 'certificates of servers are not verified, as in any-proxy: write "ssl_verify = true" or "ssl_ca"';
    this.#env.warn(text, item.place);
  }

  #profile(kind: PassKind, root: TomlTable, args: string[]): void {
    const quic = kind.endsWith('quic');
    const [key, later] = quic ? ['quic', 'quic_config_name'] : ['tcp', 'tcp_config_name'];
    const written = root.has(later) ? later : key;
    const name = root.text(written);
    const profile = this.#env.profiles.find(quic ? 'quic' : 'tcp', name);
    if (profile === null) throw root.fault(`there is no ${key} profile "${name}" in "socket"`, written);
    if (profile.connectTimeoutMs > 0) args.push(`connect_timeout=${profile.connectTimeoutMs}ms`);
  }
}

function seconds(table: TomlTable, key: string, otherwise: number): string {
  return `${table.number(key, 1) ?? otherwise}s`;
}

function tunnel(root: TomlTable, args: string[]): void {
  const table = root.table('tunnel');
  if (table === null) throw root.fault('"tunnel" is missing: tunnel = {max_stream_size = 5, …}, or {}');
  const parameters = [
    ['max_stream_size', 'tunnel_max_streams', 1],
    ['start_stream_size', 'tunnel_start_streams', 1],
    ['min_stream_cache_size', 'tunnel_min_idle', 0],
    ['channel_size', 'tunnel_channel', 1],
  ] as const;
  for (const [key, parameter, least] of parameters) {
    const value = table.number(key, least);
    if (value !== null) args.push(`${parameter}=${value}`);
  }
  const wire = table.text('wire');
  if (wire !== null) args.push(`tunnel_wire=${encodeText(wire)}`);
  table.end();
}

function heartbeat(root: TomlTable, balancer: Balancer, args: string[]): void {
  const table = root.table('heartbeat');
  if (table === null) {
    if (balancer === 'fair') args.push('heartbeat=interval=10s,timeout=10s,fails=3,type=hello');
    return;
  }
  const parts = [
    `interval=${seconds(table, 'interval', HEARTBEAT.interval)}`,
    `timeout=${seconds(table, 'timeout', HEARTBEAT.timeout)}`,
    `fails=${table.number('fail', 1) ?? HEARTBEAT.fail}`,
  ];
  const http = table.table('http');
  const connect = table.flag('connect') === true;
  if (http !== null && connect) throw table.fault('a heartbeat is either "http" or "connect"', 'connect');
  parts.push(`type=${http !== null ? 'http' : connect ? 'connect' : 'hello'}`);
  if (http !== null) {
    const port = http.number('port', 1);
    const uri = http.text('uri') ?? '/';
    if (!uri.startsWith('/') || /[\s,]/.test(uri)) throw http.fault(`"uri" must begin with "/", not "${uri}"`, 'uri');
    if (port !== null) parts.push(`port=${port}`);
    parts.push(`uri=${uri}`);
    http.end();
  }
  table.end();
  args.push(encodeText(`heartbeat=${parts.join(',')}`));
}

/** @throws {ConfigError} unless it is fit to be a group's name */
export function groupName(item: Assignment): string {
  if (/^[A-Za-z0-9_.-]+$/.test(item.value)) return item.value;
  throw fault(`"${item.key}" must be of letters, digits, "_", "." and "-", not "${item.value}"`, item);
}
