/**
 * A main request that outlives its client's: a copy, with a head and a body of its own, for subrequests that go on after
 * the answer (`mirror`, `post_action`, updates of a cache in the background). The client's connection goes on to its next
 * request meanwhile. It keeps its generation; it has no answer itself.
 */
import type { ClientAddress, ClientChannel, TlsInfo, UpstreamTrace } from './request.ts';
import { HttpRequest, SENT } from './request.ts';
import type { ProxyProtocolInfo } from '../net/proxy-protocol.ts';
import { RequestLimits } from './limit/zones.ts';
import { RequestBody } from './server/body.ts';
import { Family } from './subrequest.ts';

/** The client as it was: its connection may be gone, or be at another request. */
class DetachedChannel implements ClientChannel {
  readonly serial: number;
  readonly requestCount: number;
  readonly acceptedAt: number;
  readonly peer: ClientAddress;
  readonly tls: TlsInfo | null;
  readonly proxyProtocol: ProxyProtocolInfo | null;
  readonly listenAddress: string;
  readonly pipelined: boolean;
  readonly #localAddress: string;
  readonly #localPort: number;

  constructor(channel: ClientChannel) {
    this.serial = channel.serial;
    this.requestCount = channel.requestCount;
    this.acceptedAt = channel.acceptedAt;
    this.peer = channel.peer;
    this.tls = channel.tls;
    this.proxyProtocol = channel.proxyProtocol ?? null;
    this.listenAddress = channel.listenAddress;
    this.pipelined = channel.pipelined === true;
    this.#localAddress = channel.localAddress();
    this.#localPort = channel.localPort();
  }

  localAddress(): string {
    return this.#localAddress;
  }
  localPort(): number {
    return this.#localPort;
  }

  sendHead(): number {
    return SENT;
  }
  sendHeadRest(): number {
    return SENT;
  }
  sendBody(): number {
    return SENT;
  }
  sendInformational(): void {}
  abort(r: HttpRequest): void {
    r.family!.endOf(r);
  }
  closeSilently(r: HttpRequest): void {
    r.family!.endOf(r);
  }
  resumeReading(): void {}
  takeOver(): void {}
}

/**
 * Copies a main request so that subrequests of the copy may outlive it. Begin those in the same call: the copy is let go
 * of when its last subrequest is over.
 */
export function detach(r: HttpRequest): HttpRequest {
  const d = new HttpRequest(new DetachedChannel(r.channel));
  const family = new Family(d);
  d.family = family;
  d.gen = r.gen;
  d.gen.active++;
  d.server = r.server;
  d.loc = r.loc;
  d.head = r.head.snapshot();
  d.method = r.method;
  d.internalMethod = r.internalMethod;
  d.version = r.version;
  d.uri = r.uri;
  d.args = r.args;
  d.host = r.host;
  d.client = r.client;
  d.validUnparsed = r.validUnparsed;
  d.validLocation = r.validLocation;
  d.internal = r.internal;
  d.phase = r.phase;
  d.vars = r.vars ??= [];
  d.captures = r.captures;
  d.startedAt = r.startedAt;
  d.startedWall = r.startedWall;
  d.bytesReceived = r.bytesReceived;
  d.body = new RequestBody();
  if (r.body.complete) {
    d.body.share(r.body);
    d.bodyLength = d.body.length;
  }
  if (r.limits !== null) {
    // It was counted already; what it holds is the client's request's.
    d.limits = new RequestLimits();
    d.limits.reqStatus = r.limits.reqStatus;
    d.limits.connStatus = r.limits.connStatus;
  }
  family.onIdle = () => {
    family.onIdle = null;
    d.body.close();
    if (d.limits !== null) d.limits.release();
    d.gen.release();
  };
  return d;
}

/**
 * The detached copy of a request for what goes on after its answer, made once. If the client leaves before it is
 * answered, its subrequests end, too.
 */
export function background(r: HttpRequest): HttpRequest {
  const family = (r.family ??= new Family(r));
  return (family.background ??= detach(r));
}

/** What an answered request knows of its attempts at servers, for as long as somebody asks. */
export function traceOf(r: HttpRequest): UpstreamTrace | null {
  const trace = r.upstream;
  if (trace === null) return null;
  return {
    attempts: trace.attempts,
    head: trace.head === null ? null : trace.head.snapshot(),
    trailers: null,
    queueMs: trace.queueMs,
    lastServerName: trace.lastServerName,
    leavesWithClient: false,
    release() {},
  };
}
