/**
 * The listener of the Admin API, in the main thread: `node:http`, as no traffic comes here. Bounded in what it reads and how
 * long it waits.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { AdminAddress } from '../../config/kong/settings.ts';
import { VERSION } from '../../version.ts';
import { type AdminAnswer, type AdminRequest, message } from './http.ts';

/** A kong.yml of some 100,000 entities. */
const MAX_BODY = 64 * 1024 * 1024;
const HEAD_MS = 10_000;
const REQUEST_MS = 60_000;
const IDLE_MS = 65_000;
const MAX_CONNECTIONS = 512;

export type Answer = (request: AdminRequest) => Promise<AdminAnswer>;

export interface Listening {
  /** The port, where the system was to choose one. */
  port: number;
  /** Takes no more connections, and ends those that wait; answers under way are finished. */
  close(): Promise<void>;
}

/**
 * @param tls PEM, for an address with `ssl`
 * @throws {Error} of listen(2)
 */
export async function listenAdmin(
  address: AdminAddress,
  tls: { cert: string; key: string } | null,
  answer: Answer,
): Promise<Listening> {
  const options = {
    headersTimeout: HEAD_MS,
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: IDLE_MS,
    connectionsCheckingInterval: 5000,
  };
  const listener = (request: IncomingMessage, response: ServerResponse): void => void serve(request, response, answer);
  const server: Server = address.ssl
    ? createTlsServer({ ...options, ...tls }, listener)
    : createServer(options, listener);
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: address.host, port: address.port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  server.on('error', () => {});
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      server.closeIdleConnections();
      // Whoever holds a connection open does not hold up the end.
      const timer = setTimeout(() => server.closeAllConnections(), 1000);
      await closed;
      clearTimeout(timer);
    },
  };
}

async function serve(request: IncomingMessage, response: ServerResponse, answer: Answer): Promise<void> {
  const started = performance.now();
  const body = await readAll(request);
  if (body === 'gone') return void request.destroy();
  const result =
    body === 'too large'
      ? message(413, 'Request body too large')
      : await answer({
          method: request.method ?? 'GET',
          url: request.url ?? '/',
          headers: request.headersDistinct,
          body,
        });
  response.writeHead(result.status, {
    ...result.headers,
    Server: `headrace/${VERSION}`,
    'X-Kong-Admin-Latency': String(Math.round(performance.now() - started)),
    ...(result.status === 204 || result.status === 304
      ? {}
      : request.method === 'HEAD'
        ? {}
        : { 'Content-Length': Buffer.byteLength(result.body ?? '') }),
    // What was not read would be taken for the next request.
    ...(body === 'too large' ? { Connection: 'close' } : {}),
  });
  response.end(result.body ?? undefined);
}

async function readAll(request: IncomingMessage): Promise<Buffer | 'too large' | 'gone'> {
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY) return 'too large';
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for await (const part of request as AsyncIterable<Buffer>) {
      size += part.length;
      if (size > MAX_BODY) return 'too large';
      parts.push(part);
    }
  } catch {
    return 'gone';
  }
  return Buffer.concat(parts);
}
