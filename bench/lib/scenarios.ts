/** What is measured: the scenarios, as data. */

/** 1 MiB, the size of the large answers and uploads. */
export const MIB = 1048576;

/** Length of the small answers. */
export const SMALL = 65;

/**
 * What a proxy is to speak: `http` is HTTP/1.1; `http2` to the client only; `grpc` is HTTP/2 on both sides, calls with
 * bodies and trailers; `tcp` relays the same requests as `http` without reading them; `udp` relays datagrams.
 */
export type Protocol = 'http' | 'http2' | 'grpc' | 'tcp' | 'udp';

export type Scenario = {
  /** The name in options and results. */
  readonly name: string;
  /** The heading in the table and the plot. */
  readonly title: string;
  /** What the load asks the backends for. */
  readonly path: '/small' | '/big' | '/upload' | '/bench.Echo/Call';
  readonly tls: boolean;
  /** Connections that the load generator holds open. */
  readonly connections: number;
  /** True: every request comes on a new connection. */
  readonly closing: boolean;
  /** Servers in the group; more than the three backends means many loopback addresses of the same three. */
  readonly servers: number;
  readonly protocol: Protocol;
};

/** Whether clients speak HTTP/2. */
export function isHttp2({ protocol }: { readonly protocol: Protocol }): boolean {
  return protocol === 'http2' || protocol === 'grpc';
}

const base = { path: '/small', tls: false, connections: 64, closing: false, servers: 3, protocol: 'http' } as const;
const http2 = { ...base, protocol: 'http2', connections: 16 } as const;
const tcp = { ...base, protocol: 'tcp' } as const;

export const scenarios: readonly Scenario[] = [
  { ...base, name: 'small', title: '65 bytes, keep-alive' },
  { ...base, name: 'small-new-connection', title: '65 bytes, a new connection each', closing: true },
  { ...base, name: 'large', title: '1 MiB answers', path: '/big', connections: 16 },
  { ...base, name: 'upload', title: '1 MiB uploads', path: '/upload', connections: 16 },
  { ...base, name: 'tls-small', title: 'TLS, 65 bytes, keep-alive', tls: true },
  { ...base, name: 'tls-large', title: 'TLS, 1 MiB answers', tls: true, path: '/big', connections: 16 },
  { ...base, name: 'connections-1000', title: '65 bytes, 1,000 connections', connections: 1000 },
  { ...base, name: 'servers-10000', title: '65 bytes, a group of 10,000 servers', servers: 10000 },
  { ...http2, name: 'http2', title: 'HTTP/2 without TLS, 65 bytes, 10 streams each' },
  { ...http2, name: 'http2-tls', title: 'HTTP/2 over TLS, 65 bytes, 10 streams each', tls: true },
  { ...http2, name: 'grpc', title: 'gRPC, 65 bytes there and back', protocol: 'grpc', path: '/bench.Echo/Call' },
  { ...tcp, name: 'tcp-small', title: 'TCP relay, 65 bytes there and back' },
  { ...tcp, name: 'tcp-new-connection', title: 'TCP relay, a new connection each', closing: true },
  { ...tcp, name: 'tcp-large', title: 'TCP relay, 1 MiB', path: '/big', connections: 16 },
  { ...base, name: 'udp', title: 'UDP, 65 bytes there and back', protocol: 'udp' },
];

/** What the load generator has to send, and how much of a body the answer has. */
export function answerLength(scenario: Scenario): number {
  return scenario.path === '/big' ? MIB : SMALL;
}
