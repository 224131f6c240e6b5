/** The model of `stream`: TCP and UDP. What it shares with http stands in `model.ts`. */
import type {
  ErrorLogTarget,
  ListenConfig,
  LogConfig,
  LogFormatConfig,
  MapConfig,
  Place,
  ProxySslConfig,
  RealipConfig,
  ResolverConfig,
  ServerNameConfig,
  SslServerConfig,
  UpstreamConfig,
  ValueText,
} from './model.ts';
import type { AccessRule, LimitConnConfig, LimitZoneConfig } from './model-access.ts';
import type { StreamCheckConfig, StreamMatchConfig } from './model-health.ts';
import type { ReadHelloConfig, SendHelloConfig, TunnelServerConfig } from './via-model.ts';
import type { GeoConfig, KeyvalConfig, KeyvalZoneConfig, SplitClientsConfig } from './model-variables.ts';

export interface StreamConfig {
  /** Explicit groups and the implicit ones of literal `proxy_pass` addresses. */
  upstreams: UpstreamConfig[];
  /** Their `servers` are indexes into `StreamConfig.servers`. */
  listens: ListenConfig[];
  servers: StreamServerConfig[];
  maps: MapConfig[];
  geos: GeoConfig[];
  splits: SplitClientsConfig[];
  /** Absent: none. */
  keyvalZones?: KeyvalZoneConfig[];
  keyvals?: KeyvalConfig[];
  /** `limit_conn_zone`. */
  limitZones: LimitZoneConfig[];
  logFormats: LogFormatConfig[];
  /** `match` blocks. */
  matches: StreamMatchConfig[];
}

export interface StreamServerConfig {
  place: Place;
  names: ServerNameConfig[];
  /** First name as written: `$server_name`. */
  serverName: string;
  core: StreamCoreConfig;
  ssl: SslServerConfig | null;
  handshakeTimeoutMs: number;
  /** Protocols offered by ALPN, by preference; empty: ALPN is not answered. */
  alpn: string[];
  /** Look into a TLS ClientHello without ending TLS. */
  sslPreread: boolean;
  /** Wait for so many first bytes of the client before a server is chosen; 0: none. */
  prereadBytes: number;
  realip: RealipConfig;
  /** `allow` and `deny`, in order. */
  access: AccessRule[];
  limitConn: LimitConnConfig;
  log: LogConfig;
  /** Absent: neither hello nor heartbeat is read. */
  readHello?: ReadHelloConfig;
  tunnel: TunnelServerConfig;
  sets: { variable: string; value: ValueText }[];
  proxy: StreamProxyConfig;
  handler: StreamHandlerConfig;
  /** `status_zone`; absent: its sessions are not counted. */
  statusZone?: string;
  /** `health_check` of the group that sessions go to. */
  healthChecks: StreamCheckConfig[];
  /** A probe as a whole may take so long. */
  healthTimeoutMs: number;
}

export interface StreamCoreConfig {
  tcpNodelay: boolean;
  prereadBufferSize: number;
  prereadTimeoutMs: number;
  proxyProtocolTimeoutMs: number;
  resolver: ResolverConfig | null;
  resolverTimeoutMs: number;
  errorLog: ErrorLogTarget[] | null;
}

export type StreamHandlerConfig =
  /** A server without one closes its sessions with status 500, as in nginx. */
  | { kind: 'none' }
  /** `upstream`: index into `StreamConfig.upstreams`; null when the target holds variables. */
  | { kind: 'proxy'; upstream: number | null; variableTarget: ValueText | null }
  | { kind: 'return'; text: ValueText }
  /** Routes by Kong's entities, of which the workers are told apart from the configuration. */
  | { kind: 'kong' }
  /** Hands the connection to another listening address of this process. */
  | { kind: 'pass'; address: ValueText };

export interface StreamProxyConfig {
  connectTimeoutMs: number;
  /** Between two reads or writes, on either side. */
  timeoutMs: number;
  bufferSize: number;
  /** Bytes a second; `0`: no limit. */
  uploadRate: ValueText;
  downloadRate: ValueText;
  /** Datagrams of a client after which its session takes no more; 0: no limit. */
  requests: number;
  /** Datagrams expected for each of the client's; null: any number, the session ends by its timeout. */
  responses: number | null;
  nextUpstream: boolean;
  nextUpstreamTries: number;
  nextUpstreamTimeoutMs: number;
  /** Version of the PROXY protocol header that is sent; 0: none. */
  proxyProtocol: 0 | 1 | 2;
  hello: SendHelloConfig;
  halfClose: boolean;
  /** Sessions end when their server is removed or no longer healthy. */
  sessionDrop: boolean;
  bind: { address: ValueText; transparent: boolean } | null;
  socketKeepalive: boolean;
  /** Bytes; 0: the system's. Used for UDP. */
  socketRcvbuf: number;
  socketSndbuf: number;
  /** Null: no TLS towards servers. */
  ssl: ProxySslConfig | null;
  /** Protocols asked for by ALPN. */
  alpn: ValueText[];
}
