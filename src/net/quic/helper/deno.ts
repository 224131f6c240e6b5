/** The little of Deno's interface that the helper uses (Deno 2.4 and newer, `--unstable-net`). */

export interface DenoConn {
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  closeWrite(): Promise<void>;
  close(): void;
}

export interface DenoNetAddr {
  hostname: string;
  port: number;
}

export interface DenoQuicStream {
  readable: ReadableStream<Uint8Array>;
  writable: WritableStream<Uint8Array>;
}

export interface DenoQuicConn {
  readonly protocol: string | undefined;
  readonly serverName: string | undefined;
  readonly remoteAddr: DenoNetAddr;
  readonly closed: Promise<unknown>;
  readonly incomingBidirectionalStreams: ReadableStream<DenoQuicStream>;
  createBidirectionalStream(): Promise<DenoQuicStream>;
  close(info?: { closeCode: number; reason: string }): void;
}

export interface DenoQuicIncoming {
  readonly remoteAddressValidated: boolean;
  accept(options?: DenoTransportOptions): Promise<DenoQuicConn>;
  refuse(): void;
}

export interface DenoTransportOptions {
  keepAliveInterval?: number;
  maxIdleTimeout?: number;
  maxConcurrentBidirectionalStreams?: number;
  maxConcurrentUnidirectionalStreams?: number;
}

export interface DenoQuicListener {
  incoming(): Promise<DenoQuicIncoming>;
  stop(): void;
}

export interface DenoQuicEndpoint {
  readonly addr: DenoNetAddr;
  listen(options: { cert: string; key: string; alpnProtocols: string[] } & DenoTransportOptions): DenoQuicListener;
  close(info?: { closeCode: number; reason: string }): void;
}

export interface DenoNamespace {
  readonly args: string[];
  readonly stdin: { readonly readable: ReadableStream<Uint8Array> };
  readonly stdout: { write(bytes: Uint8Array): Promise<number> };
  listen(options: { transport: 'unix'; path: string }): AsyncIterable<DenoConn>;
  connect(options: { transport: 'unix'; path: string }): Promise<DenoConn>;
  connectQuic(
    options: {
      hostname: string;
      port: number;
      serverName: string;
      alpnProtocols: string[];
      caCerts?: string[];
      endpoint: DenoQuicEndpoint;
    } & DenoTransportOptions,
  ): Promise<DenoQuicConn>;
  QuicEndpoint: new (options: { hostname: string; port: number }) => DenoQuicEndpoint;
  exit(code: number): never;
  /** Of V8, with --expose-gc. */
  collectGarbage?: () => void;
}

const { Deno, gc } = globalThis as unknown as { Deno: DenoNamespace; gc?: () => void };

export const deno: DenoNamespace = gc === undefined ? Deno : { ...Deno, collectGarbage: gc };
