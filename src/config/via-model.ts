/**
 * How servers are reached otherwise than by plain TCP, and what goes with it: transports, tunnels, hello, heartbeat. The part
 * of the model that any-proxy brought; nginx's language has it, too.
 */
import type { Place, ProxySslConfig, ValueText } from './model.ts';

/** What a server line may say beyond nginx. Absent: nothing of it. */
export interface ServerExtras {
  via?: ViaConfig;
  heartbeat?: HeartbeatConfig;
  /** The name is looked up again by the system. */
  lookup?: { intervalMs: number; timeoutMs: number };
}

export type ViaTransport = 'tcp' | 'tls' | 'quic';

export interface ViaConfig {
  transport: ViaTransport;
  /** Null: each session has a connection for itself. */
  tunnel: ViaTunnelConfig | null;
  /** Null with `tcp`. Its name and files hold no variables. */
  ssl: ProxySslConfig | null;
  /** Whether a hello is sent first; null: as whoever proxies says. */
  hello: boolean | null;
  /** 0: as whoever proxies says. */
  connectTimeoutMs: number;
}

export type TunnelWire = 'headrace' | 'anyproxy';

/** A shared secret; the first of several is used to ask, all are taken. */
export interface TunnelKeyConfig {
  id: string;
  secret: string;
}

export interface ViaTunnelConfig {
  /** Most connections of one stream. */
  maxStreams: number;
  /** Connections that a stream begins with. */
  startStreams: number;
  /** Idle connections that are kept; 0: none. */
  minIdle: number;
  /** Frames under way on one connection. */
  channel: number;
  wire: TunnelWire;
  keys: TunnelKeyConfig[];
}

export interface HeartbeatConfig {
  place: Place;
  intervalMs: number;
  timeoutMs: number;
  /** Failures in a row. One success makes it healthy again. */
  fails: number;
  /** `hello`: packets to another Headrace or any-proxy, the server's own way; `connect`: TCP; `http`: HEAD. */
  type: 'hello' | 'connect' | 'http';
  /** Null: the server's own. Of `hello` always null. */
  port: number | null;
  uri: string;
}

/** What a `listen` of stream may say beyond nginx. */
export interface ListenExtras {
  /** Over UDP, which `kind` says. */
  quic?: boolean;
  /** `only`: connections are those of tunnels; `also`: those that do not begin like one are served as they are. */
  tunnel?: 'only' | 'also';
}

/** `magic`: which edition of any-proxy reads it. */
export type HelloMagic = '2023-12' | '2024-08';

/** Of a server of stream: what it sends first to servers, unless they say otherwise. */
export interface SendHelloConfig {
  on: boolean;
  magic: HelloMagic;
  /** Null: the name that the client asked for. */
  domain: ValueText | null;
}

/** Of a server of stream: whose hello and heartbeats are read. */
export interface ReadHelloConfig {
  /** CIDRs, or `unix:`. */
  from: string[];
  /** How long the first bytes are waited for. */
  timeoutMs: number;
}

/** Of a server of stream whose addresses accept tunnels. */
export interface TunnelServerConfig {
  keys: TunnelKeyConfig[];
  wire: TunnelWire | 'both';
}
