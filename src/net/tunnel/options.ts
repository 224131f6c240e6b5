/** What can be set of a tunnel. */
import type { TunnelKey } from './handshake.ts';

/** Both sides have these. */
interface CommonOptions {
  /** Frames that may be unacknowledged on one connection (`channel_size`). */
  channelSize: number;
  /** Most connections of one logical stream (`max_stream_size`). */
  maxStreamSize: number;
  /** Clients use the first one; none: no authentication. */
  keys: readonly TunnelKey[];
  /** How long a logical stream may be without any connection before it ends with an error. */
  resumeMs: number;
  /** A connection that was silent for so long is asked whether it lives, and given up after as long again. */
  pingMs: number;
  /** How long the beginning of a connection may take. */
  handshakeMs: number;
}

export interface TunnelClientOptions extends CommonOptions {
  /** Idle connections that are kept whatever their age; 0: none are (`min_stream_cache_size`). */
  minStreamCacheSize: number;
  /** Connections that a logical stream begins with. */
  startStreams: number;
  /** Above `minStreamCacheSize`, an idle connection is closed after so long. */
  idleMs: number;
  /** A connection older than this is not used for another stream. */
  maxAgeMs: number;
}

export interface TunnelServerOptions extends CommonOptions {
  /** Most logical streams at a time. */
  maxSessions: number;
  /** Most connections, idle ones too. */
  maxLinks: number;
}

export const DEFAULT_TUNNEL_CLIENT: TunnelClientOptions = {
  channelSize: 64,
  maxStreamSize: 5,
  minStreamCacheSize: 50,
  startStreams: 1,
  keys: [],
  resumeMs: 10_000,
  pingMs: 15_000,
  handshakeMs: 10_000,
  idleMs: 10_000,
  maxAgeMs: 3_600_000,
};

export const DEFAULT_TUNNEL_SERVER: TunnelServerOptions = {
  channelSize: 256,
  maxStreamSize: 16,
  keys: [],
  resumeMs: 10_000,
  pingMs: 15_000,
  handshakeMs: 10_000,
  maxSessions: 10_000,
  maxLinks: 50_000,
};

/** Where the tunnel says what an operator may want to know. */
export type TunnelLog = (level: 'debug' | 'info' | 'warn' | 'error', text: string) => void;
