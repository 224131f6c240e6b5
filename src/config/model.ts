/**
 * The one truth: what every door (nginx.conf, Kong, any-proxy) produces and all of the runtime consumes.
 *
 * Plain data only: it is cloned into worker threads and can be printed as JSON. Texts that may hold variables
 * (`$host`, `${name}`) are kept as written and marked `ValueText`; they are checked when parsed and compiled
 * once by the runtime when a generation is loaded. All times are milliseconds unless the name ends in `Sec`;
 * all sizes are bytes.
 *
 * Texts are byte strings (one character a byte, see `config/bytes.ts`), as configuration files and requests are bytes;
 * paths that cannot hold variables are ordinary text.
 */

import type { AdminConfig } from './kong/settings.ts';
import type {
  AccessRule,
  AuthBasicConfig,
  LimitConnConfig,
  LimitReqConfig,
  LimitZoneConfig,
  RefererConfig,
} from './model-access.ts';
import type { CharsetConfig, CharsetsConfig, GzipConfig } from './model-answers.ts';
import type { HealthCheckConfig, MatchConfig } from './model-health.ts';
import type { OcspConfig, StaplingConfig } from './model-tls.ts';
import type { GeoConfig, KeyvalConfig, KeyvalZoneConfig, SplitClientsConfig } from './model-variables.ts';
import type { AdditionConfig, AuthRequestConfig, MirrorConfig, SsiConfig, SubFilterConfig } from './model-content.ts';
import type {
  FastcgiConfig,
  GrpcConfig,
  MemcachedConfig,
  ProxyConfig,
  ScgiConfig,
  UpstreamPassConfig,
  UwsgiConfig,
  UpstreamSettings,
} from './model-pass.ts';
import type { StreamConfig } from './stream-model.ts';
import type { CacheZoneConfig } from './cache-model.ts';
import type { ListenExtras, ServerExtras } from './via-model.ts';

export type * from './model-pass.ts';
export type * from './model-health.ts';

/** Where a statement ended: what error messages cite. `file` is an absolute path. */
export interface Place {
  file: string;
  line: number;
}

/** Text that may contain variables, as written. */
export type ValueText = string;

/** A regular expression as written (PCRE syntax); `config/pcre.ts` translates it. */
export interface RegexText {
  pattern: string;
  caseless: boolean;
}

export type LogLevel = 'debug' | 'info' | 'notice' | 'warn' | 'error' | 'crit' | 'alert' | 'emerg';

export interface SyslogTarget {
  /** `host:port` or a path of a unix socket. */
  server: string;
  facility: string;
  severity: string;
  tag: string;
  hostname: boolean;
}

export type ErrorLogTarget =
  | { kind: 'file'; path: string; level: LogLevel }
  | { kind: 'stderr'; level: LogLevel }
  | { kind: 'syslog'; target: SyslogTarget; level: LogLevel };

export interface Config {
  /** Prefix directory, absolute, with a trailing slash. */
  prefix: string;
  /** The main configuration file, absolute. */
  file: string;
  main: MainConfig;
  http: HttpConfig | null;
  stream: StreamConfig | null;
  /** The Admin API of the Kong door; absent or null: there is none. */
  admin?: AdminConfig | null;
  /** All files that were read, in order, with their contents: what `-T` prints. */
  sources: { file: string; text: string }[];
}

export interface MainConfig {
  daemon: boolean;
  masterProcess: boolean;
  /** Number of worker threads, `auto` already resolved. */
  workerProcesses: number;
  workerConnections: number;
  /** How plain TCP connections are read and written: `auto` takes io_uring where it can be had. */
  eventMethod: 'auto' | 'io_uring' | 'libuv';
  pidFile: string;
  user: { name: string; group: string | null } | null;
  errorLog: ErrorLogTarget[];
  /** 0: wait for ever. */
  workerShutdownTimeoutMs: number;
  /** Addresses whose connections are logged at debug level; empty: no filter. */
  debugConnections: string[];
}

export interface HttpConfig {
  /** Explicit groups and the implicit ones of literal `proxy_pass` hosts. */
  upstreams: UpstreamConfig[];
  listens: ListenConfig[];
  servers: ServerConfig[];
  maps: MapConfig[];
  /** Absent: no charset is named anywhere. */
  charsets?: CharsetsConfig;
  geos: GeoConfig[];
  splits: SplitClientsConfig[];
  /** Absent: none. */
  keyvalZones?: KeyvalZoneConfig[];
  keyvals?: KeyvalConfig[];
  limitZones: LimitZoneConfig[];
  /** `proxy_cache_path` and its like. */
  caches: CacheZoneConfig[];
  /** `match` blocks; absent: none. */
  matches?: MatchConfig[];
  logFormats: LogFormatConfig[];
}

export interface LogFormatConfig {
  name: string;
  parts: ValueText;
  escape: 'default' | 'json' | 'none';
}

// ---------------------------------------------------------------------------------------------- listening

export interface ListenConfig extends ListenExtras {
  /** Canonical text, the identity over reloads: `0.0.0.0:80`, `[::]:80`, `unix:/path`. */
  address: string;
  /** `udp` in stream only. */
  kind: 'tcp' | 'unix' | 'udp';
  /** Address without brackets, or the path. */
  host: string;
  port: number;
  ipv6only: boolean;
  backlog: number;
  ssl: boolean;
  /** `listen … http2`: all its servers speak it, whatever their `http2` says. */
  http2: boolean;
  proxyProtocol: boolean;
  /** Indexes into `HttpConfig.servers`, in order of configuration. */
  servers: number[];
  /** Index into `HttpConfig.servers`. */
  defaultServer: number;
  /** TCP keepalive: `null` leaves the system's default. */
  soKeepalive: { on: boolean; idleMs: number } | null;
  /** Socket buffers, bytes; 0: the system's. Used for UDP; of TCP sockets Node cannot set them. */
  rcvbuf: number;
  sndbuf: number;
}

export type ServerNameConfig =
  | { kind: 'exact'; name: string }
  /** `*.example.com`; `name` is `.example.com`. `.example.com` also yields an exact entry. */
  | { kind: 'suffix'; name: string }
  /** `mail.*`; `name` is `mail.`. */
  | { kind: 'prefix'; name: string }
  | { kind: 'regex'; regex: RegexText };

export interface ServerConfig {
  place: Place;
  names: ServerNameConfig[];
  /** First name as written: `$server_name`. */
  serverName: string;
  clientHeaderBufferSize: number;
  largeClientHeaderBuffers: { count: number; size: number };
  clientHeaderTimeoutMs: number;
  /** 0: unlimited number of header fields is refused by the size limits alone. */
  maxHeaders: number;
  ignoreInvalidHeaders: boolean;
  underscoresInHeaders: boolean;
  mergeSlashes: boolean;
  /** A location of it takes CONNECT requests (tunnel_pass); absent: they are refused. */
  allowConnect?: boolean;
  http2: {
    on: boolean;
    maxConcurrentStreams: number;
    /** Bytes of each request's body that the client may send before anybody asks for it. */
    bodyPrereadSize: number;
  };
  allowHttp09: boolean;
  ssl: SslServerConfig | null;
  /** `rewrite`, `set`, `if`, `return` of the server block, run before a location is looked up. */
  rewrite: RewriteOp[];
  /** The server's own settings as the location that is used when none matches; its `locations` are the tree. */
  root: LocationConfig;
  /** `status_zone`; absent: none. */
  statusZone?: string;
}

export interface SslServerConfig {
  /** Absent: off, as are the next. */
  stapling?: StaplingConfig;
  ocsp?: OcspConfig;
  certificates: { certificateFile: string; keyFile: string; certificate: string; key: string }[];
  passphrases: string[];
  protocols: string[];
  ciphers: string;
  preferServerCiphers: boolean;
  ecdhCurve: string;
  dhparam: string | null;
  verifyClient: 'off' | 'on' | 'optional' | 'optional_no_ca';
  verifyDepth: number;
  clientCertificate: string | null;
  trustedCertificate: string | null;
  crl: string | null;
  sessionTimeoutSec: number;
  sessionTickets: boolean;
  sessionCache: 'off' | 'none' | 'builtin' | 'shared';
  sessionTicketKeys: string[];
  rejectHandshake: boolean;
  certificateCompression: boolean;
  certificateCache: CertificateCacheConfig | null;
  commands: SslCommands;
}

/** `ssl_certificate_cache`: of certificates and keys whose names hold variables. */
export interface CertificateCacheConfig {
  /** Certificates and keys, counted alike. */
  max: number;
  /** Not asked for so long: dropped. */
  inactiveMs: number;
  /** After that the file is looked at again. */
  validMs: number;
}

/** What `ssl_conf_command` says beyond the other directives; a field that is absent leaves theirs. */
export interface SslCommands {
  certificate?: string;
  key?: string;
  ciphers?: string;
  /** Of TLS 1.3. */
  ciphersuites?: string;
  groups?: string;
  signatureAlgorithms?: string;
  dhparam?: string;
  protocols?: string[];
  /** Bits of `SSL_OP_…` to set and to clear. */
  set?: number;
  clear?: number;
}

// ---------------------------------------------------------------------------------------------- locations

export type LocationMatch =
  | { kind: 'server' }
  | { kind: 'exact'; path: string }
  /** `noRegex`: written with `^~`. `autoRedirect`: ends in `/` and proxies, so `/x` answers 301 to `/x/`. */
  | { kind: 'prefix'; path: string; noRegex: boolean; autoRedirect: boolean }
  | { kind: 'regex'; regex: RegexText }
  | { kind: 'named'; name: string }
  | { kind: 'if' }
  | { kind: 'limit_except'; methods: string[] };

export interface LocationConfig {
  /** Largest DATA frame, in bytes. */
  http2: { chunkSize: number };
  match: LocationMatch;
  place: Place;
  /** The location's name as written (`$document_root`-like uses, `proxy_pass` URI mapping). */
  name: string;
  core: CoreConfig;
  headers: HeadersConfig;
  log: LogConfig;
  proxy: ProxyConfig;
  /** Present where requests are passed so, or the settings are asked for. */
  grpc?: GrpcConfig;
  fastcgi?: FastcgiConfig;
  scgi?: ScgiConfig;
  uwsgi?: UwsgiConfig;
  memcached?: MemcachedConfig;
  /** Of CONNECT requests. */
  tunnel?: UpstreamSettings;
  realip: RealipConfig;
  /** `slice`; absent: off. */
  sliceSize?: number;
  access: AccessRule[];
  authBasic: AuthBasicConfig;
  referer: RefererConfig | null;
  gzip: GzipConfig;
  limitReq: LimitReqConfig;
  limitConn: LimitConnConfig;
  /** Run in order in the rewrite phase. */
  rewrite: RewriteOp[];
  rewriteLog: boolean;
  /** Absent: the request is not copied. */
  mirror?: MirrorConfig;
  /** Absent: no subrequest is asked whether a request is let in. */
  authRequest?: AuthRequestConfig;
  /** Absent: `ssi off`. */
  ssi?: SsiConfig;
  /** Absent: no texts are replaced. */
  subFilter?: SubFilterConfig;
  /** Absent: nothing is added around the body. */
  addition?: AdditionConfig;
  /** Absent: the location says nothing about charsets. */
  charset?: CharsetConfig;
  /** What produces the answer. */
  handler: HandlerConfig;
  /** Nested locations, in order of configuration. */
  locations: LocationConfig[];
  limitExcept: LocationConfig | null;
  /** `health_check` of the group that the location passes requests to; absent: none. */
  healthChecks?: HealthCheckConfig[];
  /** `status_zone`; absent: its requests are not counted apart. */
  statusZone?: string;
}

export type HandlerConfig =
  | { kind: 'static' }
  | { kind: PassKind; pass: UpstreamPassConfig }
  | { kind: 'stub_status' }
  /** Routes by Kong's entities, of which the workers are told apart from the configuration. */
  | { kind: 'kong' }
  /** The main thread answers. `writable`: `api write=on`. */
  | { kind: 'admin'; what: 'api' | 'upstream_conf' | 'prometheus' | 'dashboard'; writable: boolean };

/** Protocols that are spoken to upstreams. */
export type PassKind = 'proxy' | 'grpc' | 'fastcgi' | 'scgi' | 'uwsgi' | 'memcached' | 'tunnel';

export interface CoreConfig {
  root: ValueText;
  alias: ValueText | null;
  /**
   * How much of the URI's beginning `alias` replaces: the length of the location that has it (a nested location
   * inherits both). Absent with regular expressions, where `alias` is the whole path, and without `alias`.
   */
  aliasLength?: number;
  index: ValueText[];
  types: Record<string, string>;
  defaultType: string;
  internal: boolean;
  clientMaxBodySize: number;
  clientBodyBufferSize: number;
  clientBodyTimeoutMs: number;
  clientBodyTempPath: string;
  clientBodyInFileOnly: 'off' | 'on' | 'clean';
  keepaliveTimeoutMs: number;
  /** Seconds announced in `Keep-Alive: timeout=`; 0: none. */
  keepaliveHeaderSec: number;
  keepaliveRequests: number;
  keepaliveTimeMs: number;
  /** Browsers whose connections are closed; absent: `msie6`. */
  keepaliveDisable?: ('none' | 'msie6' | 'safari')[];
  keepaliveMinTimeoutMs: number;
  sendTimeoutMs: number;
  lingeringClose: 'off' | 'on' | 'always';
  lingeringTimeMs: number;
  lingeringTimeoutMs: number;
  resetTimedoutConnection: boolean;
  /** Bytes a second; 0: none. */
  limitRate: ValueText;
  limitRateAfter: ValueText;
  satisfy: 'all' | 'any';
  /** How long a 401 of the access phase is held back. */
  authDelayMs: number;
  /** `owned`: links are followed whose owner owns what they lead to. `from`: not looked at; absent: all are followed. */
  disableSymlinks?: { owned: boolean; from: ValueText | null };
  /** Hints of servers (103) are passed on when one of these is neither empty nor `0`; absent: never. */
  earlyHints?: ValueText[];
  errorPages: ErrorPage[];
  serverTokens: 'on' | 'off' | 'build';
  serverNameInRedirect: boolean;
  portInRedirect: boolean;
  absoluteRedirect: boolean;
  recursiveErrorPages: boolean;
  chunkedTransferEncoding: boolean;
  etag: boolean;
  ifModifiedSince: 'off' | 'exact' | 'before';
  maxRanges: number;
  logNotFound: boolean;
  logSubrequest: boolean;
  /** URI or `@name` that runs when a request is over; absent: none. */
  postAction?: string;
  /** Longest answer of a subrequest that is kept in memory; absent: 4096. */
  subrequestOutputBufferSize?: number;
  msiePadding: boolean;
  tcpNodelay: boolean;
  tryFiles: { paths: ValueText[]; fallback: ValueText; status: number } | null;
  resolver: ResolverConfig | null;
  resolverTimeoutMs: number;
  errorLog: ErrorLogTarget[] | null;
}

export interface ErrorPage {
  statuses: number[];
  /** -1: keep the original status; 0: take the status of the page (`=`); else that status. */
  overwrite: number;
  uri: ValueText;
}

export interface HeadersConfig {
  addHeaders: { name: string; value: ValueText; always: boolean }[];
  addTrailers: { name: string; value: ValueText; always: boolean }[];
  expires: ValueText | null;
}

export interface LogConfig {
  /** Empty: `access_log off`. */
  access: AccessLogTarget[];
}

export interface AccessLogTarget {
  target: { kind: 'file'; path: ValueText } | { kind: 'syslog'; target: SyslogTarget };
  /** Name of a log format. */
  format: string;
  /** Log only when this value is neither empty nor `0`. */
  condition: ValueText | null;
  bufferSize: number;
  flushMs: number;
  gzipLevel: number;
  /** `open_log_file_cache`, for paths with variables; absent or null: off. */
  fileCache?: { max: number; inactiveMs: number; minUses: number; validMs: number } | null;
}

export interface RealipConfig {
  /** CIDRs, or `unix:`. */
  from: string[];
  /** Lower-case header name, `proxy_protocol`, or null for the default `X-Real-IP`. */
  header: string;
  recursive: boolean;
}

export interface ResolverConfig {
  /** Name servers, `ip:port`. */
  addresses: { host: string; port: number }[];
  /** Overrides the records' own time to live; null: use theirs. */
  validMs: number | null;
  ipv4: boolean;
  ipv6: boolean;
  statusZone: string | null;
}

// ---------------------------------------------------------------------------------------------- rewrite and map

export type IfCondition =
  | { kind: 'truthy'; variable: string }
  | { kind: 'equal'; variable: string; negate: boolean; value: ValueText }
  | { kind: 'regex'; variable: string; negate: boolean; regex: RegexText }
  | { kind: 'file'; test: 'f' | 'd' | 'e' | 'x'; negate: boolean; path: ValueText };

export type RewriteOp =
  | { op: 'set'; variable: string; value: ValueText }
  | { op: 'return'; status: number; text: ValueText | null }
  | {
      op: 'rewrite';
      regex: RegexText;
      replacement: ValueText;
      flag: 'none' | 'last' | 'break' | 'redirect' | 'permanent';
    }
  | { op: 'break' }
  /** `location`: the settings that hold once the condition was true. */
  | { op: 'if'; condition: IfCondition; ops: RewriteOp[]; location: LocationConfig };

export interface MapConfig {
  source: ValueText;
  /** Variable name without `$`. */
  variable: string;
  hostnames: boolean;
  volatile: boolean;
  default: ValueText;
  /** Exact keys, lower-case, to values. */
  exact: [key: string, value: ValueText][];
  /** Wildcard host names (only with `hostnames`). */
  wildcards: { kind: 'suffix' | 'prefix'; name: string; value: ValueText }[];
  regexes: { regex: RegexText; value: ValueText }[];
}

// ---------------------------------------------------------------------------------------------- upstream

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

/** One `server` line. A name that resolved to several addresses when loaded has several `addresses`. */
export interface UpstreamServerConfig extends ServerExtras {
  place: Place;
  /** As written, without default port: what consistent hashing sees and `$upstream_last_server_name` shows. */
  server: string;
  /** Host name or address without port. */
  host: string;
  /** 80 when not written; 0 with `service`. */
  port: number;
  /** Empty for servers that are resolved at run time. */
  addresses: PeerAddress[];
  weight: number;
  /** 0: no limit. */
  maxConns: number;
  /** 0: failures are not counted. */
  maxFails: number;
  failTimeoutSec: number;
  slowStartMs: number;
  backup: boolean;
  down: boolean;
  drain: boolean;
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
