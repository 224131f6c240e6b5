/** Asks a server by gRPC's health service: `grpc.health.v1.Health/Check` over HTTP/2 (grpc/doc/health-checking.md). */
import { Buffer } from 'node:buffer';
import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import type { ConnectionOptions } from 'node:tls';
import { failedText } from '../observe/errno.ts';
import type { Probe, ProbeKind, ProbeOutcome, ProbeTarget } from './probe.ts';

export interface GrpcProbeSettings {
  /** Name of the service that is asked for; empty: the server as a whole. */
  service: string;
  /** A grpc-status that counts as healthy; null: 0 with `SERVING`. */
  status: number | null;
  /** TLS; null: plain HTTP/2 with prior knowledge. */
  secure: ConnectionOptions | null;
  authority(): string;
  headers(): [name: string, value: string][];
  connectTimeoutMs: number;
  readTimeoutMs: number;
  /** 0: a connection is used once. */
  keepaliveTimeMs: number;
}

const PATH = '/grpc.health.v1.Health/Check';
/** `HealthCheckResponse.ServingStatus.SERVING`. */
const SERVING = 1;
/** The answer is a few bytes. */
const ANSWER_LIMIT = 4096;

export class GrpcProbeKind implements ProbeKind {
  readonly #settings: GrpcProbeSettings;

  constructor(settings: GrpcProbeSettings) {
    this.#settings = settings;
  }

  open(target: ProbeTarget): Probe {
    return new GrpcProbe(this.#settings, target);
  }
}

class GrpcProbe implements Probe {
  readonly #settings: GrpcProbeSettings;
  readonly #target: ProbeTarget;
  #session: ClientHttp2Session | null = null;
  #createdAt = 0;
  #stream: ClientHttp2Stream | null = null;
  #report: ((outcome: ProbeOutcome) => void) | null = null;
  #timer: NodeJS.Timeout | null = null;
  #stage = '';

  constructor(settings: GrpcProbeSettings, target: ProbeTarget) {
    this.#settings = settings;
    this.#target = target;
  }

  run(report: (outcome: ProbeOutcome) => void): void {
    this.#report = report;
    const kept = this.#session;
    if (kept !== null && !kept.closed && performance.now() - this.#createdAt < this.#settings.keepaliveTimeMs) {
      this.#ask(kept);
      return;
    }
    this.#drop();
    this.#dial();
  }

  #dial(): void {
    const { secure, connectTimeoutMs } = this.#settings;
    const { family, host, port } = this.#target;
    const address = family === 'unix' ? { path: host } : { host, port };
    this.#wait('connecting to upstream', connectTimeoutMs);
    const name = family === 6 ? `[${host}]` : family === 'unix' ? 'localhost' : host;
    const session = connect(`${secure === null ? 'http' : 'https'}://${name}:${port}`, { ...secure, ...address });
    this.#session = session;
    this.#createdAt = performance.now();
    session.on('error', (error) => {
      if (this.#session !== session) return;
      this.#fail(`${failedText('connect()', error)} while ${this.#stage}`);
    });
    session.on('close', () => {
      if (this.#session !== session) return;
      this.#session = null;
      this.#fail(`upstream prematurely closed connection while ${this.#stage}`);
    });
    session.once('connect', () => {
      if (this.#session === session && this.#report !== null) this.#ask(session);
    });
  }

  #ask(session: ClientHttp2Session): void {
    this.#wait('reading response header from upstream', this.#settings.readTimeoutMs);
    const headers: Record<string, string> = {
      ':method': 'POST',
      ':path': PATH,
      ':authority': this.#settings.authority(),
      'content-type': 'application/grpc',
      te: 'trailers',
    };
    for (const [name, value] of this.#settings.headers()) headers[name] = value;
    let stream: ClientHttp2Stream;
    try {
      stream = session.request(headers);
    } catch (error) {
      this.#fail(`${(error as Error).message} while sending request to upstream`);
      return;
    }
    this.#stream = stream;
    this.#listen(stream);
    stream.end(healthRequest(this.#settings.service));
  }

  #listen(stream: ClientHttp2Stream): void {
    let httpStatus = 0;
    let grpcStatus: string | undefined;
    const body: Buffer[] = [];
    let length = 0;
    const note = (fields: Record<string, unknown>): void => {
      const value = fields['grpc-status'];
      if (typeof value === 'string') grpcStatus = value;
    };
    stream.on('response', (fields) => {
      httpStatus = fields[':status'] ?? 0;
      note(fields);
      this.#wait('reading response from upstream', this.#settings.readTimeoutMs);
    });
    stream.on('data', (data: Buffer) => {
      length += data.length;
      if (length <= ANSWER_LIMIT) body.push(data);
      else stream.close(constants.NGHTTP2_CANCEL);
    });
    stream.on('trailers', note);
    stream.on('error', (error) => {
      if (this.#stream === stream) this.#fail(`${error.message} while ${this.#stage}`);
    });
    stream.on('close', () => {
      if (this.#stream !== stream) return;
      if (httpStatus === 0) {
        this.#fail(`upstream prematurely closed stream while ${this.#stage}`);
        return;
      }
      if (httpStatus !== 200) this.#end(false, 'checking status code', null);
      else this.#judge(grpcStatus, Buffer.concat(body));
    });
  }

  #judge(grpcStatus: string | undefined, body: Buffer): void {
    const { status } = this.#settings;
    if (status !== null && status !== 0) {
      this.#end(grpcStatus === String(status), 'checking grpc status', null);
      return;
    }
    const serving = grpcStatus === '0' && servingStatus(body) === SERVING;
    this.#end(serving, 'checking grpc status', null);
  }

  #wait(stage: string, ms: number): void {
    this.#stage = stage;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#fail(`upstream timed out (110: Connection timed out) while ${this.#stage}`);
    }, ms);
    this.#timer.unref();
  }

  #fail(error: string): void {
    if (this.#report === null) return;
    this.#drop();
    this.#end(false, this.#stage, error);
  }

  #end(passed: boolean, stage: string, error: string | null): void {
    const report = this.#report;
    if (report === null) return;
    this.#report = null;
    this.#stream = null;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#settings.keepaliveTimeMs === 0) this.#drop();
    report({ passed, stage, error });
  }

  #drop(): void {
    const session = this.#session;
    this.#session = null;
    this.#stream = null;
    session?.destroy();
  }

  close(): void {
    this.#report = null;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#drop();
  }
}

/** A length-prefixed `HealthCheckRequest { string service = 1; }`. */
export function healthRequest(service: string): Buffer {
  const name = Buffer.from(service, 'latin1');
  const message =
    name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, ...varint(name.length)]), name]);
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  return Buffer.concat([frame, message]);
}

function varint(n: number): number[] {
  const bytes: number[] = [];
  for (; n > 127; n >>>= 7) bytes.push((n & 127) | 128);
  return [...bytes, n];
}

/** Field 1 of a length-prefixed `HealthCheckResponse`; 0 when it is missing (UNKNOWN), -1 when this is no such message. */
export function servingStatus(body: Buffer): number {
  if (body.length < 5 || body[0] !== 0 || body.readUInt32BE(1) !== body.length - 5) return -1;
  let status = 0;
  let at = 5;
  const number = (): number => {
    let value = 0;
    for (let shift = 0; at < body.length && shift < 28; shift += 7) {
      const byte = body[at++]!;
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
    return -1;
  };
  while (at < body.length) {
    const key = number();
    if (key < 0) return -1;
    const value = number();
    if (value < 0) return -1;
    if (key === 8) status = value;
    // other fields of fixed or delimited form are of versions to come
    else if ((key & 7) === 2) at += value;
    else if ((key & 7) !== 0) return -1;
  }
  return status;
}
