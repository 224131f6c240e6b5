/** How requests are passed to upstreams: the part of the model that the `…_pass` families share, and what each has of its own. */
import type { CacheConfig, StoreConfig, TempPath } from './cache-model.ts';
import type { ValueText, RegexText, CertificateCacheConfig, SslCommands } from './model.ts';

/** Where a location's requests go. */
export interface UpstreamPassConfig {
  /** As the log names it; `https`, `grpcs` and `suwsgi` go over TLS. */
  scheme: PassScheme;
  /** Index into `HttpConfig.upstreams`; null when the target holds variables. */
  upstream: number | null;
  /** The whole target as written, when it holds variables. */
  variableTarget: ValueText | null;
  /** Host and port as written: `$proxy_host`; for `unix:` sockets `localhost`. */
  hostHeader: string;
  /** `$proxy_port`. */
  port: string;
  /** URI part; null: the request's own URI goes on unchanged. */
  uri: string | null;
}

export type PassScheme =
  | 'http'
  | 'https'
  | 'grpc'
  | 'grpcs'
  | 'fastcgi'
  | 'scgi'
  | 'uwsgi'
  | 'suwsgi'
  | 'memcached'
  | 'tunnel';

export interface NextUpstream {
  error: boolean;
  timeout: boolean;
  invalidHeader: boolean;
  nonIdempotent: boolean;
  /** Listed statuses out of 403 404 429 500 502 503 504. */
  statuses: number[];
}

export interface ProxySslConfig {
  verify: boolean;
  verifyDepth: number;
  trustedCertificate: string | null;
  crl: string | null;
  name: ValueText | null;
  serverName: boolean;
  certificate: ValueText | null;
  certificateKey: ValueText | null;
  /** Contents read at load time when the two above hold no variables. */
  certificatePem: string | null;
  certificateKeyPem: string | null;
  passphrases: string[];
  protocols: string[];
  ciphers: string;
  sessionReuse: boolean;
  certificateCache: CertificateCacheConfig | null;
  commands: SslCommands;
}

/** What all modules that pass requests to upstreams have in common; unset: see each protocol's own defaults. */
export interface UpstreamSettings {
  passRequestHeaders: boolean;
  passRequestBody: boolean;
  /** Trailers of the upstream's answer go to the client; absent: they do not. */
  passTrailers?: boolean;
  hideHeaders: string[];
  passHeaders: string[];
  ignoreHeaders: string[];
  connectTimeoutMs: number;
  sendTimeoutMs: number;
  readTimeoutMs: number;
  buffering: boolean;
  requestBuffering: boolean;
  bufferSize: number;
  buffers: { count: number; size: number };
  busyBuffersSize: number;
  maxTempFileSize: number;
  tempFileWriteSize: number;
  tempPath: TempPath;
  cache: CacheConfig | null;
  store: StoreConfig | null;
  /** Permissions of what `proxy_store` stores. */
  storeAccess: number;
  nextUpstream: NextUpstream;
  nextUpstreamTries: number;
  nextUpstreamTimeoutMs: number;
  interceptErrors: boolean;
  /** Any 404 gets the location's own page. */
  intercept404?: boolean;
  ignoreClientAbort: boolean;
  forceRanges: boolean;
  limitRate: ValueText;
  bind: { address: ValueText | null; transparent: boolean } | null;
  socketKeepalive: boolean;
}

export interface ProxyConfig extends UpstreamSettings {
  httpVersion: '1.0' | '1.1' | '2';
  method: ValueText | null;
  setHeaders: { name: string; value: ValueText }[];
  setBody: ValueText | null;
  /** `default`: rewrite `Location` from the proxy_pass URL to the location's; rules run in order. */
  redirects: ProxyRedirect[];
  cookieDomains: ProxyCookieRewrite[];
  cookiePaths: ProxyCookieRewrite[];
  cookieFlags: { cookie: ValueText | RegexText; flags: ValueText[] }[];
  ssl: ProxySslConfig;
}

export interface GrpcConfig extends UpstreamSettings {
  setHeaders: { name: string; value: ValueText }[];
  ssl: ProxySslConfig;
}

/** A parameter that goes to the server (`fastcgi_param`). */
export interface ParamConfig {
  name: string;
  value: ValueText;
  /** `if_not_empty`. */
  skipEmpty: boolean;
}

export interface FastcgiConfig extends UpstreamSettings {
  params: ParamConfig[];
  index: string;
  /** Two groups: script name and path info. */
  splitPathInfo: RegexText | null;
  /** Texts in the server's error stream that make an answer invalid. */
  catchStderr: string[];
  keepConn: boolean;
}

export interface ScgiConfig extends UpstreamSettings {
  params: ParamConfig[];
}

export interface UwsgiConfig extends UpstreamSettings {
  params: ParamConfig[];
  modifier1: number;
  modifier2: number;
  /** Appended to the parameters as it is. */
  string: string;
  ssl: ProxySslConfig;
}

export interface MemcachedConfig extends UpstreamSettings {
  /** Values with any of these flags are compressed; 0: flags are not looked at. */
  gzipFlag: number;
}

export type ProxyRedirect =
  | { kind: 'default' }
  | { kind: 'prefix'; from: ValueText; to: ValueText }
  | { kind: 'regex'; regex: RegexText; to: ValueText };

export type ProxyCookieRewrite =
  | { kind: 'text'; from: ValueText; to: ValueText }
  | { kind: 'regex'; regex: RegexText; to: ValueText };
