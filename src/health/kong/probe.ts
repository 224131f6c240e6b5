/**
 * Probes of Kong's active health checks: each asks one address once, and says what happened in the terms of the counters.
 * Every probe has its own connection and an end: the check's timeout covers all of it.
 */
import { request as httpRequest, type ClientRequest } from 'node:http';
import { connect as connectHttp2, constants } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import { connect as connectTcp, isIP } from 'node:net';
import type { KongHealthchecks } from '../../config/kong/model.ts';
import { describeError } from '../../observe/errno.ts';
import { HTTP_FAILURE, type HealthEvent, SUCCESS, TCP_FAILURE, TIMEOUT } from './target-health.ts';

export interface ProbeAddress {
  /** IP address. */
  host: string;
  port: number;
  /** As the target was given, without port. */
  name: string;
}

export interface ProbeSettings {
  active: KongHealthchecks['active'];
  /** The upstream's `host_header`. */
  hostHeader: string | null;
  /** PEM; null: none. */
  certificate: { cert: string; key: string } | null;
}

/** `event` null: the answer says neither. */
export type ProbeDone = (event: HealthEvent | null, detail: string) => void;

/** A probe of no limit must end as well. */
const LONGEST_MS = 60_000;

/**
 * Asks. `done` is called once, never during the call.
 * @returns gives it up; `done` is not called then
 */
export function probe(address: ProbeAddress, settings: ProbeSettings, done: ProbeDone): () => void {
  let over = false;
  let close = (): void => {};
  const end: ProbeDone = (event, detail) => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    close();
    done(event, detail);
  };
  const { timeoutMs, type } = settings.active;
  const limit = timeoutMs > 0 ? Math.min(timeoutMs, LONGEST_MS) : LONGEST_MS;
  const timer = setTimeout(() => end(TIMEOUT, `no answer within ${limit}ms`), limit);
  const begin = type === 'tcp' ? probeTcp : type === 'grpc' || type === 'grpcs' ? probeGrpc : probeHttp;
  close = begin(address, settings, end);
  return () => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    close();
  };
}

function probeTcp({ host, port }: ProbeAddress, _: ProbeSettings, end: ProbeDone): () => void {
  const socket = connectTcp({ host, port });
  socket.once('connect', () => end(SUCCESS, 'connected'));
  socket.on('error', (error) => end(TCP_FAILURE, describeError(error)));
  return () => socket.destroy();
}

/** The Host field: the upstream's, else the target's name; the port unless it is the protocol's own. */
function hostOf({ name, port }: ProbeAddress, { hostHeader }: ProbeSettings, usual: number): string {
  if (hostHeader !== null) return hostHeader;
  const text = name.includes(':') && !name.startsWith('[') ? `[${name}]` : name;
  return port === usual ? text : `${text}:${port}`;
}

/** Options of TLS: the name that is asked for and checked. */
function tlsOf({ name }: ProbeAddress, { active, hostHeader, certificate }: ProbeSettings): Record<string, unknown> {
  const server = active.httpsSni ?? hostHeader?.replace(/:\d+$/, '') ?? name;
  return {
    ...(isIP(server) === 0 ? { servername: server } : null),
    rejectUnauthorized: active.httpsVerifyCertificate,
    ...(certificate === null ? null : { cert: certificate.cert, key: certificate.key }),
  };
}

function probeHttp(address: ProbeAddress, settings: ProbeSettings, end: ProbeDone): () => void {
  const { active } = settings;
  const secure = active.type === 'https';
  const headers: Record<string, string | string[]> = { Host: hostOf(address, settings, secure ? 443 : 80) };
  for (const { name, values } of active.headers) headers[name] = values;
  const options = {
    host: address.host,
    port: address.port,
    path: active.httpPath,
    headers: { ...headers, Connection: 'close' },
    agent: false,
    setHost: false,
  };
  const sent: ClientRequest = secure ? httpsRequest({ ...options, ...tlsOf(address, settings) }) : httpRequest(options);
  sent.on('response', ({ statusCode = 0 }) => end(eventOf(statusCode, active), `status ${statusCode}`));
  // What is no HTTP is a failure of the server's, not of the connection.
  sent.on('error', (error: NodeJS.ErrnoException) => {
    end(error.code?.startsWith('HPE_') === true ? HTTP_FAILURE : TCP_FAILURE, describeError(error));
  });
  sent.end();
  return () => sent.destroy();
}

function eventOf(status: number, { healthy, unhealthy }: KongHealthchecks['active']): HealthEvent | null {
  if (healthy.httpStatuses.includes(status)) return SUCCESS;
  return unhealthy.httpStatuses.includes(status) ? HTTP_FAILURE : null;
}

/** An empty HealthCheckRequest, framed: the whole server is asked about. */
const GRPC_REQUEST = Buffer.alloc(5);
const SERVING = 1;

/** grpc.health.v1.Health/Check. */
function probeGrpc(address: ProbeAddress, settings: ProbeSettings, end: ProbeDone): () => void {
  const secure = settings.active.type === 'grpcs';
  const { host, port } = address;
  const authority = `${secure ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
  const session = connectHttp2(authority, secure ? tlsOf(address, settings) : {});
  session.on('error', (error) => end(TCP_FAILURE, describeError(error)));
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: 'POST',
    [constants.HTTP2_HEADER_PATH]: '/grpc.health.v1.Health/Check',
    [constants.HTTP2_HEADER_AUTHORITY]: hostOf(address, settings, secure ? 443 : 80),
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  const parts: Buffer[] = [];
  let size = 0;
  let status = 0;
  let grpcStatus = '';
  const note = (headers: Record<string, unknown>): void => {
    const told = headers['grpc-status'];
    if (typeof told === 'string') grpcStatus = told;
  };
  stream.on('response', (headers) => {
    status = headers[':status'] ?? 0;
    note(headers);
  });
  stream.on('trailers', note);
  stream.on('data', (part: Buffer) => {
    // An answer is a few bytes; more is not looked at.
    if ((size += part.length) <= 1024) parts.push(part);
  });
  stream.on('error', (error) => end(TCP_FAILURE, describeError(error)));
  stream.on('close', () => {
    const serving = status === 200 && grpcStatus === '0' && servingStatus(Buffer.concat(parts)) === SERVING;
    end(serving ? SUCCESS : HTTP_FAILURE, `status ${status}, grpc-status ${grpcStatus || 'none'}`);
  });
  stream.end(GRPC_REQUEST);
  return () => session.destroy();
}

/** Field 1 of a HealthCheckResponse; 0 when it is not there. */
export function servingStatus(message: Buffer): number {
  return message.length >= 7 && message[0] === 0 && message[5] === 0x08 ? message[6]! : 0;
}
