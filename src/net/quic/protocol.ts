/** What a worker and its QUIC helper say to each other beside the streams: a line of JSON each. */

export interface QuicListenOptions {
  host: string;
  port: number;
  /** PEM. */
  certificate: string;
  key: string;
  alpn: string[];
  /** Most connections of clients. */
  maxConnections: number;
  idleMs: number;
  keepAliveMs: number;
}

/** To the helper, by its standard input. */
export type QuicCommand =
  | ({ op: 'listen'; id: number } & QuicListenOptions)
  | { op: 'close'; id: number }
  /** Certificates that dials may refer to. */
  | { op: 'trust'; id: number; pem: string };

/** From the helper, by its standard output. */
export type QuicNotice =
  | { op: 'ready' }
  | { op: 'listening'; id: number; port: number }
  | { op: 'failed'; id: number; message: string }
  | { op: 'log'; text: string };

/** First line of a connection to the helper: a stream is wanted. */
export interface QuicDial {
  host: string;
  port: number;
  /** Sent by SNI, and what the certificate has to be for. */
  name: string;
  alpn: string[];
  /** Of a `trust` command; -1: none. */
  trust: number;
  localAddress: string | null;
  idleMs: number;
  keepAliveMs: number;
}

/** The answer to it. */
export type QuicDialled =
  | { alpn: string; remoteAddress: string; remotePort: number; localAddress: string; localPort: number }
  | { error: string };

/** First line of a connection from the helper: a stream has come. */
export interface QuicArrival {
  listener: number;
  alpn: string;
  serverName: string;
  remoteAddress: string;
  remotePort: number;
  localAddress: string;
  localPort: number;
}
