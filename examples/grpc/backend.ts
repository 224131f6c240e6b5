/**
 * A small service in gRPC's own framing, with nothing but Node: `/greeter.Greeter/Hello` answers one call, and
 * `/greeter.Greeter/Chat` answers each message of a stream as it comes. Messages are plain text here, where a real
 * service would have Protocol Buffers. Whether it serves it tells by gRPC's own health service.
 *
 *   node examples/grpc/backend.ts PORT
 */
import { createServer } from 'node:http2';
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';

/** A message as gRPC frames it: not compressed, its length, its bytes. */
export function encode(text: string): Buffer {
  const bytes = Buffer.from(text);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** Takes whole messages out of what has come; out: their texts, and the bytes that are left. */
export function decode(bytes: Buffer): { texts: string[]; rest: Buffer } {
  const texts: string[] = [];
  let at = 0;
  while (bytes.length >= at + 5 && bytes.length >= at + 5 + bytes.readUInt32BE(at + 1)) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    texts.push(bytes.toString('utf8', at + 5, end));
    at = end;
  }
  return { texts, rest: bytes.subarray(at) };
}

/** `HealthCheckResponse`: SERVING, NOT_SERVING. */
const SERVING = Buffer.from([0, 0, 0, 0, 2, 8, 1]);
const NOT_SERVING = Buffer.from([0, 0, 0, 0, 2, 8, 2]);

export interface Service {
  /** What it says of itself. */
  serving: boolean;
  close(): void;
}

function tellHealth(stream: ServerHttp2Stream, serving: boolean): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.on('error', () => {});
  stream.resume().end(serving ? SERVING : NOT_SERVING);
}

function serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, name: string): void {
  const method = String(headers[':path']).split('/').at(-1);
  if (method !== 'Hello' && method !== 'Chat') {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '12' }, { endStream: true });
    return;
  }
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  let held: Buffer = Buffer.alloc(0);
  stream.on('data', (data: Buffer) => {
    const { texts, rest } = decode(Buffer.concat([held, data]));
    held = rest;
    for (const text of texts) stream.write(encode(`hello ${text}, from ${name}`));
  });
  stream.once('end', () => stream.end());
  stream.on('error', () => {});
}

/** Starts the service on a port of 127.0.0.1. */
export function startService(port: number): Promise<Service> {
  const server = createServer();
  const sessions = new Set<{ destroy(): void }>();
  const service = {
    serving: true,
    close() {
      for (const session of sessions) session.destroy();
      server.close();
    },
  };
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    if (headers[':path'] === '/grpc.health.v1.Health/Check') tellHealth(stream, service.serving);
    else serve(stream, headers, String(port));
  });
  server.on('session', (session) => sessions.add(session));
  server.on('sessionError', () => {});
  return new Promise((resolve) => {
    server.listen(port, '127.0.0.1', () => resolve(service));
  });
}

if (import.meta.main) await startService(Number(process.argv[2] ?? 8081));
