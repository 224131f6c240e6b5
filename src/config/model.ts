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
import type { RewriteOp } from './model-rewrite.ts';
import type { SslServerConfig } from './model-tls.ts';
import type { UpstreamConfig } from './model-upstream.ts';
import type { GeoConfig, KeyvalConfig, KeyvalZoneConfig, MapConfig, SplitClientsConfig } from './model-variables.ts';
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
import type { ListenExtras } from './via-model.ts';

export type * from './model-health.ts';
export type * from './model-pass.ts';
export type * from './model-rewrite.ts';
export type * from './model-tls.ts';
export type * from './model-upstream.ts';
export type { MapConfig } from './model-variables.ts';

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
