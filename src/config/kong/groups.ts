/** Kong's upstreams as groups of the core, and what workers are told of them. Pure. */
import { formatIpv6, parseIpv6, peerAddress } from '../address.ts';
import type { BalancerConfig, PeerAddress, UpstreamConfig, UpstreamServerConfig } from '../model.ts';
import { DEFAULT_SERVER } from '../server-defaults.ts';
import { parseHost } from './host.ts';
import type { KongCaCertificate, KongCertificate, KongRoute, KongService, KongTarget, KongUpstream } from './model.ts';

/** A group as workers get it: where balancing looks, and the memory that it happens in. */
export interface KongGroup {
  /** `upstream NAME`, or `host NAME PORT` for a service whose host is no upstream's name. */
  key: string;
  /** Without its targets: those are in the table. Null: a plain host. */
  upstream: Omit<KongUpstream, 'targets'> | null;
  /** Without its servers. */
  config: UpstreamConfig;
  /** How many there are. */
  targets: number;
  /** Peers (`upstream/table`). */
  table: SharedArrayBuffer;
  /** States and counters of health checks, by slot (`health/kong/target-health.ts`). */
  health: SharedArrayBuffer;
}

/** What a worker knows of Kong's entities. */
export interface KongState {
  /** Counts the changes: a worker that was told of a later one passes an earlier one over. */
  serial: number;
  routes: KongRoute[];
  services: KongService[];
  certificates: KongCertificate[];
  caCertificates: KongCaCertificate[];
  groups: KongGroup[];
}

/** A change of it. What is absent has not changed; of groups only those that are named have. */
export interface KongChange extends Partial<Omit<KongState, 'serial' | 'groups'>> {
  serial: number;
  groups?: { set: KongGroup[]; removed: string[] };
}

/** All of it, as a change. */
export function wholeChange(state: KongState): KongChange {
  return { ...state, groups: { set: state.groups, removed: [] } };
}

/** Where a worker's runtimes learn of Kong's entities. */
export interface KongFeed {
  /** Null: the main thread has told nothing yet. */
  readonly state: KongState | null;
  /** @returns stops it */
  follow(take: (change: KongChange) => void): () => void;
}

export const upstreamKey = (name: string): string => `upstream ${name}`;
export const hostKey = (host: string, port: number): string => `host ${host} ${port}`;

/** Kong's defaults of `upstream_keepalive_…`. */
const KEEPALIVE: UpstreamConfig['keepalive'] = {
  connections: 512,
  local: false,
  requests: 10_000,
  timeMs: 3_600_000,
  timeoutMs: 60_000,
};

const PLACE = { file: '', line: 0 };

function balancerOf({ algorithm }: KongUpstream): BalancerConfig {
  switch (algorithm) {
    case 'consistent-hashing':
      return { kind: 'target_ring' };
    case 'least-connections':
      return { kind: 'least_conn' };
    case 'latency':
      return { kind: 'peak_ewma' };
    default:
      return { kind: 'round_robin' };
  }
}

function serverOf(target: KongTarget, failover: boolean): UpstreamServerConfig {
  const { host, port, weight, kind } = target;
  return {
    place: PLACE,
    server: target.target,
    host,
    port,
    addresses: kind === 'name' ? [] : [literal(kind, host, port)],
    ...DEFAULT_SERVER,
    weight: Math.max(1, weight),
    // Kong's health checks count failures, by their own rules.
    maxFails: 0,
    failTimeoutSec: 0,
    backup: failover && target.failover,
    // Gets nothing new; who is bound to it by a cookie may go on.
    drain: weight === 0,
    resolve: kind === 'name',
  };
}

function literal(kind: 'ipv4' | 'ipv6', host: string, port: number): PeerAddress {
  const bytes = kind === 'ipv6' ? parseIpv6(host) : null;
  return bytes === null ? peerAddress('inet', host, port) : peerAddress('inet6', formatIpv6(bytes), port);
}

function groupOf(
  name: string,
  port: number,
  balancer: BalancerConfig,
  servers: UpstreamServerConfig[],
): UpstreamConfig {
  return {
    name,
    place: PLACE,
    implicit: false,
    port,
    balancer,
    sticky: null,
    zone: null,
    servers,
    keepalive: KEEPALIVE,
    resolver: null,
    resolverTimeoutMs: 5000,
    queue: null,
    ntlm: false,
    stateFile: null,
  };
}

/** A Kong upstream as a group. */
export function upstreamConfig(upstream: KongUpstream): UpstreamConfig {
  const { algorithm } = upstream;
  const failover = algorithm !== 'consistent-hashing' && algorithm !== 'sticky-sessions';
  const servers = upstream.targets.map((target) => serverOf(target, failover));
  return groupOf(upstream.name, 0, balancerOf(upstream), servers);
}

/** The host of a service that is no upstream's name, as a group of one. */
export function hostConfig(host: string, port: number): UpstreamConfig {
  const parsed = parseHost(host);
  const { kind, host: name } = 'error' in parsed ? { kind: 'name' as const, host } : parsed;
  const target = {
    id: '',
    createdAt: 0,
    target: `${host}:${port}`,
    kind,
    host: name,
    port,
    weight: 100,
    failover: false,
  };
  return groupOf(host, port, { kind: 'round_robin' }, [serverOf(target, false)]);
}
