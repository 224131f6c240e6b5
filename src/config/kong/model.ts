/**
 * What the data plane is told of Kong's entities, and what it is asked: the seam between the store and the proxy.
 *
 * `to-config.ts` makes `KongConfig` of a snapshot of the store, and a `KongUpdate` of each change, so that a new target
 * rebuilds one upstream and nothing else. Plain data: it is cloned into worker threads and can be printed as JSON.
 * References between entities are ids. All times are milliseconds, weights and counters plain numbers; `createdAt` is
 * Unix time in seconds, with fractions for targets.
 */

/** Everything, at start and whenever changes were missed. */
export interface KongConfig {
  /** The store's revision that this is; updates have higher ones. */
  revision: number;
  /** In no order that means anything: the router sorts by Kong's rules. */
  routes: KongRoute[];
  services: KongService[];
  upstreams: KongUpstream[];
  certificates: KongCertificate[];
  caCertificates: KongCaCertificate[];
  consumers: KongConsumer[];
}

/** A change. A list that is absent has not changed. */
export interface KongUpdate {
  revision: number;
  /** The complete lists: what is compiled of them (a router, tables of names) is compiled as a whole. */
  routes?: KongRoute[];
  services?: KongService[];
  certificates?: KongCertificate[];
  caCertificates?: KongCaCertificate[];
  consumers?: KongConsumer[];
  /** Upstreams that are new or have changed, complete with their targets; ids of those that are gone. */
  upstreams?: { set: KongUpstream[]; removed: string[] };
  /** Marks set by hand on some node (`PUT …/healthy`), in order. */
  marks?: KongMark[];
}

export type KongProtocol = 'http' | 'https' | 'grpc' | 'grpcs' | 'tcp' | 'tls' | 'tls_passthrough' | 'udp';

export interface KongService {
  id: string;
  name: string | null;
  enabled: boolean;
  protocol: KongProtocol;
  /** An upstream's name, exactly, or a name to be resolved. */
  host: string;
  port: number;
  path: string | null;
  /** Further tries after the first. */
  retries: number;
  connectTimeoutMs: number;
  writeTimeoutMs: number;
  readTimeoutMs: number;
  /** Null: Kong's default, off. */
  tlsVerify: boolean | null;
  tlsVerifyDepth: number | null;
  /** Id of a certificate. */
  clientCertificate: string | null;
  /** Ids of CA certificates. */
  caCertificates: string[];
}

export interface KongRoute {
  id: string;
  name: string | null;
  createdAt: number;
  protocols: KongProtocol[];
  /** Empty lists match everything. */
  methods: string[];
  /** As given; at most one `*`, as the first or the last label; a port may follow. */
  hosts: string[];
  paths: KongPath[];
  headers: { name: string; values: string[] }[];
  snis: string[];
  sources: KongAddress[];
  destinations: KongAddress[];
  stripPath: boolean;
  preserveHost: boolean;
  regexPriority: number;
  pathHandling: 'v0' | 'v1';
  httpsRedirectStatusCode: 426 | 301 | 302 | 307 | 308;
  requestBuffering: boolean;
  responseBuffering: boolean;
  /** Id of a service; null: the route answers 503 of itself, as Kong's does. */
  service: string | null;
}

/** `regex`: written with a leading `~`, which is not part of `text`. */
export interface KongPath {
  kind: 'prefix' | 'regex';
  text: string;
}

/** An address or CIDR, a port, or both. */
export interface KongAddress {
  ip: string | null;
  port: number | null;
}

export type KongAlgorithm = 'round-robin' | 'consistent-hashing' | 'least-connections' | 'latency' | 'sticky-sessions';

export type KongHash =
  | { kind: 'none' | 'consumer' | 'ip' | 'path' }
  | { kind: 'header' | 'query_arg' | 'uri_capture'; name: string }
  | { kind: 'cookie'; name: string; path: string };

export interface KongUpstream {
  id: string;
  /** What services name as their host. */
  name: string;
  algorithm: KongAlgorithm;
  hashOn: KongHash;
  hashFallback: KongHash;
  /** Only with `sticky-sessions`. */
  stickyCookie: { name: string; path: string } | null;
  slots: number;
  /** Host field for its targets, perhaps with a port; null: the target's own name. */
  hostHeader: string | null;
  /** Id of a certificate. */
  clientCertificate: string | null;
  useSrvName: boolean;
  healthchecks: KongHealthchecks;
  /** By host, then port: the same on every node, whatever order they were made in. */
  targets: KongTarget[];
}

export interface KongTarget {
  id: string;
  createdAt: number;
  /** `host:port`, IPv6 expanded and in brackets: what the API shows. */
  target: string;
  kind: 'name' | 'ipv4' | 'ipv6';
  /** Without brackets. */
  host: string;
  port: number;
  /** 0: drains. */
  weight: number;
  failover: boolean;
}

export type KongCheckType = 'tcp' | 'http' | 'https' | 'grpc' | 'grpcs';

export interface KongHealthchecks {
  /** Percent of the weight that has to be healthy, else the whole upstream counts as down. */
  threshold: number;
  active: {
    type: KongCheckType;
    timeoutMs: number;
    concurrency: number;
    httpPath: string;
    httpsSni: string | null;
    httpsVerifyCertificate: boolean;
    headers: { name: string; values: string[] }[];
    /** Intervals and limits of 0 switch off what they belong to. */
    healthy: { intervalMs: number; httpStatuses: number[]; successes: number };
    unhealthy: KongFailureLimits & { intervalMs: number };
  };
  passive: {
    type: KongCheckType;
    healthy: { httpStatuses: number[]; successes: number };
    unhealthy: KongFailureLimits;
  };
}

export interface KongFailureLimits {
  httpStatuses: number[];
  tcpFailures: number;
  timeouts: number;
  httpFailures: number;
}

/** PEM texts. */
export interface KongCertificate {
  id: string;
  cert: string;
  key: string;
  certAlt: string | null;
  keyAlt: string | null;
  /** Names it is for, perhaps with a wildcard. */
  snis: string[];
}

export interface KongCaCertificate {
  id: string;
  cert: string;
}

export interface KongConsumer {
  id: string;
  username: string | null;
  customId: string | null;
}

// ---------------------------------------------------------------------------------------------- asked of the data plane

/** A target, or one address of it, marked by hand. */
export interface KongMark {
  /** The node that was told; it has done it already. */
  node: string;
  upstream: string;
  target: string;
  /** Null: all addresses of the target. Without a port: the target's own, or any. */
  address: { ip: string; port: number | null } | null;
  healthy: boolean;
}

/** What `Admin API` asks of whoever runs the balancers of this node. */
export interface KongBalancers {
  /** Null: this node does not know the upstream (yet). */
  health(upstream: string): Promise<KongUpstreamHealth | null> | KongUpstreamHealth | null;
  /**
   * Clears the counters of what the mark names and sets its state, in all workers.
   *
   * @returns `no healthchecker`: health checks of the upstream are off; `not found`: no such target or address
   */
  mark(mark: KongMark): Promise<KongMarkResult> | KongMarkResult;
}

/** Who runs what the store holds: told of it, and asked about it. */
export interface KongDataPlane extends KongBalancers {
  /** Everything, at start and when changes were missed. Called again when it throws. */
  load(config: KongConfig): void | Promise<void>;
  /** A change after that; one at a time, in order. */
  apply(update: KongUpdate): void | Promise<void>;
}

export type KongMarkResult = 'done' | 'no healthchecker' | 'not found';

export interface KongWeights {
  total: number;
  available: number;
  unavailable: number;
}

export interface KongUpstreamHealth {
  /** Whether any health check is configured. */
  checked: boolean;
  /** Whether requests are let through: weight above the threshold. */
  healthy: boolean;
  weight: KongWeights;
  targets: KongTargetHealth[];
}

export interface KongTargetHealth {
  /** The target's id. */
  id: string;
  host: string;
  port: number;
  /** `A`, `AAAA`, `SRV`, or why the name has no addresses. */
  dns: string;
  nodeWeight: number;
  weight: KongWeights;
  addresses: { ip: string; port: number; weight: number; healthy: boolean }[];
}
