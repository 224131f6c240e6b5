/** Types of `Config` about groups of servers. Parts of the model: see model.ts. */
import type { Place, ResolverConfig, ValueText } from './model.ts';
import type { ServerExtras } from './via-model.ts';

export type BalancerConfig =
  | { kind: 'round_robin' }
  | { kind: 'hash'; key: ValueText; consistent: boolean }
  | { kind: 'ip_hash' }
  | { kind: 'least_conn' }
  /** any-proxy's `ip_hash` and `ip_hash_active`: modulo all servers, or those that are up. */
  | { kind: 'address_hash'; active: boolean }
  /** any-proxy's: whose heartbeats are answered fastest. */
  | { kind: 'fair' }
  /** Kong's consistent hashing. */
  | { kind: 'target_ring' }
  /** Kong's `latency`. */
  | { kind: 'peak_ewma' }
  | { kind: 'least_time'; mode: LeastTimeMode; inflight: boolean }
  /** `two`: null draws one; else the method that chooses between two draws. */
  | { kind: 'random'; two: null | { kind: 'least_conn' } | { kind: 'least_time'; mode: LeastTimeMode } };

export type LeastTimeMode = 'header' | 'connect' | 'first_byte' | 'last_byte';

export type StickyConfig =
  | {
      mode: 'cookie';
      name: string;
      /** Seconds; `max` for the far future; null: a session cookie. */
      expires: number | 'max' | null;
      domain: ValueText | null;
      httpOnly: boolean;
      secure: boolean;
      sameSite: ValueText | null;
      path: string | null;
    }
  /** Variable names without `$`, in order; the first that is not empty counts. */
  | { mode: 'route'; variables: string[] }
  | {
      mode: 'learn';
      create: string[];
      lookup: string[];
      zone: { name: string; size: number };
      timeoutMs: number;
      header: boolean;
    };

export interface UpstreamConfig {
  name: string;
  place: Place;
  /** Made from a literal `proxy_pass` host: no keepalive, not visible to other directives. */
  implicit: boolean;
  /** Default port of implicit groups, `$proxy_port`. */
  port: number;
  balancer: BalancerConfig;
  sticky: StickyConfig | null;
  zone: { name: string; size: number } | null;
  servers: UpstreamServerConfig[];
  keepalive: { connections: number; local: boolean; requests: number; timeMs: number; timeoutMs: number };
  resolver: ResolverConfig | null;
  resolverTimeoutMs: number;
  queue: { size: number; timeoutMs: number } | null;
  ntlm: boolean;
  stateFile: string | null;
}

/** What of a server can be changed at run time, too. */
export interface ServerParameters {
  weight: number;
  /** 0: no limit. */
  maxConns: number;
  /** 0: failures are not counted. */
  maxFails: number;
  failTimeoutSec: number;
  slowStartMs: number;
  down: boolean;
  drain: boolean;
}

/** One `server` line. A name that resolved to several addresses when loaded has several `addresses`. */
export interface UpstreamServerConfig extends ServerParameters, ServerExtras {
  place: Place;
  /** As written, without default port: what consistent hashing sees and `$upstream_last_server_name` shows. */
  server: string;
  /** Host name or address without port. */
  host: string;
  /** 80 when not written; 0 with `service`. */
  port: number;
  /** Empty for servers that are resolved at run time. */
  addresses: PeerAddress[];
  backup: boolean;
  /** Null: the MD5 of the address. */
  route: string | null;
  resolve: boolean;
  service: string | null;
}

/** A concrete socket address. `text` is what logs and `$upstream_addr` show: `127.0.0.1:80`, `[::1]:80`, `unix:/path`. */
export interface PeerAddress {
  text: string;
  family: 4 | 6 | 'unix';
  /** Address without brackets, or the path. */
  host: string;
  port: number;
}
