/**
 * One request of a client and the answer to it, whatever protocol carries them.
 *
 * Connections pool these: `reset` brings one back to its first state. Bytes of the head stay in the connection's buffer
 * for as long as the request lives, and texts are made of them only when somebody asks.
 *
 * Life: the connection parses a head and calls `engine.start(r)`; phases run; a handler answers by `sendHead`,
 * `sendBody`, or by `finalize(status)`; when the answer's last byte went to the connection and the request's body was
 * consumed, the connection calls `engine.finished(r)` (access log, clean-up).
 */
import type { ResponseHead } from './wire/response-head.ts';
import type { HeaderBlock } from './wire/header-block.ts';
import type { RequestHead } from './wire/request-head.ts';
import { METHOD_HEAD } from './wire/request-head.ts';
import type { PendingAccess } from './access/phase.ts';
import type { RequestLimits } from './limit/zones.ts';
import type { HttpGeneration, Location, Server } from './runtime.ts';
import type { RequestBody } from './server/body.ts';
import type { SliceState } from './filters/slice.ts';
import type { KongCase } from './kong/case.ts';
import type { Family } from './subrequest.ts';
import { FieldList } from './fields.ts';
import { clock } from '../net/clock.ts';
import type { Transport } from '../net/transport.ts';
import type { ProxyProtocolInfo } from '../net/proxy-protocol.ts';
import type { ClientAddress } from '../net/client-address.ts';
import type { TlsInfo } from '../net/tls-info.ts';

export type { ClientAddress } from '../net/client-address.ts';
export type { TlsInfo } from '../net/tls-info.ts';

/** All bytes were taken. */
export const SENT = 0;
/** The bytes are accepted, but the client is slow: send nothing more before `onDrain`. Buffers are free either way. */
export const HELD = 1;

/** What a request needs of the connection or stream that carries it. */
export interface ClientChannel {
  /** Serial number of the connection (`$connection`). */
  readonly serial: number;
  /** Requests so far on this connection, this one included (`$connection_requests`). */
  readonly requestCount: number;
  /** `clock.now` when the connection was accepted. */
  readonly acceptedAt: number;
  readonly peer: ClientAddress;
  readonly tls: TlsInfo | null;
  /** What the PROXY protocol told of the connection; null or absent: nothing. */
  readonly proxyProtocol?: ProxyProtocolInfo | null;
  readonly listenAddress: string;
  /** The request was sent before the answer to an earlier one. */
  readonly pipelined?: boolean;
  /** What ends with the client's connection (`ntlm`); null: nothing; absent: nothing can be bound to it. */
  bound?: ClientBound | null;
  localAddress(): string;
  localPort(): number;
  /** TCP round trip and the like are not to be had from Node: 0. */

  /**
   * Sends the head in `r` and, in the same write, the body bytes `buf[start, end)` (may be none). `last`: the body ends
   * with them.
   * @returns `SENT` or `HELD`
   */
  sendHead(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number;
  /** Sends up to `n` more bytes of a head that went out in part (`r.headRest`), before any of the body. */
  sendHeadRest(r: HttpRequest, n: number): number;
  /** Sends body bytes; `last` ends the message. `buf` may be null to end it. */
  sendBody(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number;
  /**
   * The connection on which what is given to `sendBody` goes out as it is, with nothing around it and nothing else done
   * with it; null or absent: it does not.
   */
  bareBody?(r: HttpRequest): Transport | null;
  /**
   * Says that the rest of the request's body will only be written to `to`, each piece during its `onBodyData`: see
   * `Transport.passTo`. Absent: it comes in frames.
   */
  passBody?(r: HttpRequest, to: Transport): void;
  /** A subrequest's: true when something else than the error's page is answered. */
  replaceError?(r: HttpRequest, status: number): boolean;
  /** An interim answer (100, 103). */
  sendInformational(r: HttpRequest, status: number, fields: FieldList | null): void;
  /** Ends the connection without completing the answer: the client must see that it is cut. */
  abort(r: HttpRequest): void;
  /** Closes silently (`return 444`). */
  closeSilently(r: HttpRequest): void;
  /** Starts or stops reading from the client (request body). */
  resumeReading(r: HttpRequest): void;
  /** Takes the raw connection over (Upgrade): from now on bytes go to `tunnel`. */
  takeOver(r: HttpRequest, tunnel: ClientTunnel): void;
}

/** Something that belongs to a client's connection and ends with it; a list of them. */
export interface ClientBound {
  readonly next: ClientBound | null;
  /** Ends this one and those after it. */
  clientGone(): void;
}

/** The other side of an upgraded connection. */
export interface ClientTunnel {
  /** Bytes of the client, valid during the call. `HELD`: no more before `resumeReading`. */
  onClientData(buf: Buffer, start: number, end: number): number;
  onClientEnd(): void;
  onClientDrain(): void;
  onClientClose(): void;
}

/** Whoever produces the answer's body and must be told when the client takes more, or is gone. */
export interface BodyProducer {
  /** The client takes bytes again after `HELD`. */
  onDrain(r: HttpRequest): void;
  /** The client is gone: stop, nothing can be sent any more. */
  onAbort(r: HttpRequest): void;
  /** The request is only being held back: a client that ends its side has left (limit_req, auth_delay). */
  readonly delays?: boolean;
}

/** A filter between the producer and the client (limit_rate, ranges, compression). */
export interface BodyFilter {
  sendHead(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number;
  sendBody(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number;
  /** Called when the client is gone or the request is over: free timers and memory. */
  close(): void;
}

export class HttpRequest {
  readonly channel: ClientChannel;
  /** The request that this subrequest was made for; null: it is a client's own. */
  parent: HttpRequest | null = null;
  /** The subrequests of this request and of its main request; null: there never was one. */
  family: Family | null = null;

  gen!: HttpGeneration;
  server!: Server;
  loc!: Location;

  // -------------------------------------------------------------------------------- the request
  head!: RequestHead;
  /** `METHOD_…`; `methodName` for its text. Internal redirects to error pages turn it to GET. */
  method = 0;
  /** 9, 10, 11, 20. */
  version = 11;
  /** Normal form of the path, decoded, one character a byte (`$uri`). */
  uri = '';
  /** Query without `?` (`$args`). */
  args = '';
  /** The request-target may be passed upstream as it was sent: no rewrite or redirect has changed `uri`. */
  validUnparsed = true;
  /** `uri` still begins as the location says: no `rewrite … break` has changed it there (then proxy_pass drops its URI). */
  validLocation = true;
  /** Host without port, lower case; empty: none was sent (`$host` falls back to the server's name). */
  host = '';
  /** Length of the body as announced; -1: chunked; 0: none. */
  bodyLength = 0;
  body!: RequestBody;
  /** The address after realip. */
  client!: ClientAddress;
  startedAt = 0;
  /** `clock.wall` at the start. */
  startedWall = 0;
  bytesReceived = 0;

  // -------------------------------------------------------------------------------- phases
  internal = false;
  uriChanges = 11;
  uriChanged = false;
  /** Next entry of `loc.phases`. */
  phase = 0;
  /** A checker of the access phase has not answered yet; null: none. */
  access: PendingAccess | null = null;
  /** What the Kong door knows of it; null: it came by another one. */
  kong: KongCase | null = null;
  /** What limit_req and limit_conn said and hold; null: nothing yet. */
  limits: RequestLimits | null = null;
  /** Values of `set` and captured variables, by index in the generation's table; allocated when first written. */
  vars: (string | null)[] | null = null;
  /** `$1`…: captures of the last successful match; index 0 is the whole. */
  captures: readonly (string | undefined)[] | null = null;
  /** Cookie text that stickiness wants to set; written with the answer's head. */
  setCookie: string | null = null;
  /** An error page is being made: its own errors get the built-in page (recursive_error_pages off). */
  inErrorPage = false;
  /** Status of the error that led to an error page: the page is sent with it; 0: with its own. */
  errorStatus = 0;
  /** A cut or refused request: log it, send nothing more. */
  aborted = false;

  // -------------------------------------------------------------------------------- the answer
  status = 0;
  /** Reason phrase of the server's own status line, null: the usual one. */
  reason: string | null = null;
  /** Length of the body to come; -1: unknown (chunked or until close). */
  contentLength = -1;
  contentType: string | null = null;
  /** What the body is made of when it holds several ranges; null: it does not. */
  multipart: PartsInfo | null = null;
  /** Charset that the server wants its answer to be had in (X-Accel-Charset); null: it did not say. */
  accelCharset: string | null = null;
  /** Fields of the upstream's answer that pass through, less those that `hide` names. */
  block: ResponseHead | null = null;
  /** Identifiers and names of `block` fields that are not passed on. */
  hide: HideTable | null = null;
  /** Fields made here. */
  readonly fields: FieldList = new FieldList();
  /** Trailers of the upstream's answer that pass through, less those that `hide` names. */
  trailers: HeaderBlock | null = null;
  /** Makes this answer's trailers when its body has ended; null: none are to be made. */
  trailing: Trailing | null = null;
  headSent = false;
  /** Behind the head come the bytes of a tunnel. */
  tunnels = false;
  /** The answer's last byte was handed over. */
  ended = false;
  /** Its server counts it among those under way (status_zone). */
  inZone = false;
  keepAlive = true;
  /** Body bytes and all bytes sent (`$body_bytes_sent`, `$bytes_sent`). */
  bodyBytesSent = 0;
  bytesSent = 0;
  producer: BodyProducer | null = null;
  filter: BodyFilter | null = null;
  /** Target of a proxy_pass with variables (`$proxy_host`, `$proxy_port`); null: the location's own. */
  proxyTarget: { host: string; port: string } | null = null;
  /** Attempts at upstream servers; null: none (`$upstream_…`). */
  upstream: UpstreamTrace | null = null;
  /** Rate set by `$limit_rate` or X-Accel-Limit-Rate; -1: as configured. */
  limitRate = -1;
  /** The answer is fetched in pieces (slice); null: it is not. */
  slice: SliceState | null = null;
  /** How a cache has answered (`http/cache/plan.ts`); 0: none was asked. */
  cacheStatus = 0;
  /** The right to update what is cached, of an update in the background; 0: this is none. */
  cacheTicket = 0;

  constructor(channel: ClientChannel) {
    this.channel = channel;
  }

  reset(): void {
    this.parent = null;
    this.family = null;
    this.method = 0;
    this.validUnparsed = true;
    this.validLocation = true;
    this.bodyLength = 0;
    this.bytesReceived = 0;
    this.internal = false;
    this.uriChanges = 11;
    this.uriChanged = false;
    this.phase = 0;
    this.access = null;
    this.kong = null;
    this.limits = null;
    this.vars = null;
    this.captures = null;
    this.setCookie = null;
    this.inErrorPage = false;
    this.errorStatus = 0;
    this.aborted = false;
    this.headSent = this.tunnels = false;
    this.ended = false;
    this.keepAlive = true;
    this.bodyBytesSent = 0;
    this.bytesSent = 0;
    this.upstream = null;
    this.proxyTarget = null;
    this.limitRate = -1;
    this.slice = null;
    this.cacheStatus = 0;
    this.cacheTicket = 0;
    this.headBudget = -1;
    this.headRest = null;
    this.internalMethod = null;
    this.clearAnswer();
  }

  /** Forgets what was prepared of an answer. */
  clearAnswer(): void {
    if (this.fields.count !== 0) this.fields.clear();
    this.clearBody();
  }

  /** Before an error page takes the place of an answer: as `clearAnswer`, but fields that were made stay. */
  clearBody(): void {
    this.status = 0;
    this.reason = null;
    this.contentLength = -1;
    this.contentType = null;
    this.multipart = null;
    this.accelCharset = null;
    this.block = null;
    this.hide = null;
    this.trailers = null;
    this.trailing = null;
    this.producer = null;
    if (this.filter !== null) {
      this.filter.close();
      this.filter = null;
    }
  }

  /** Bytes of the head that may go out now (limit_rate paces it too); -1: all. */
  headBudget = -1;
  /** What is left of a head that was longer than that; null: nothing. */
  headRest: Buffer | null = null;

  get methodName(): string {
    return this.internalMethod ?? this.head.methodText();
  }

  /** `GET` after a redirect to an error page; null: the client's own. */
  internalMethod: string | null = null;

  /** First value of a request field by known name, or null. */
  header(id: number): string | null {
    return this.head.get(id);
  }

  /** No body goes to the client: HEAD, 1xx, 204, 304, tunnels. */
  get headerOnly(): boolean {
    return (
      this.method === METHOD_HEAD || this.status === 204 || this.status === 304 || this.status < 200 || this.tunnels
    );
  }

  /** Seconds since the request's first byte, as of the clock's last update. */
  elapsedMs(): number {
    return clock.now - this.startedAt;
  }

  /** Sends the answer's head through the filters; see `ClientChannel.sendHead`. */
  sendHead(buf: Buffer | null, start: number, end: number, last: boolean): number {
    const loc = this.loc;
    if (this.errorStatus !== 0) {
      this.status = this.errorStatus;
      this.reason = null;
    }
    if (loc.headFilter !== null) loc.headFilter(this);
    if (this.filter !== null) return this.filter.sendHead(this, buf, start, end, last);
    return this.channel.sendHead(this, buf, start, end, last);
  }

  sendBody(buf: Buffer | null, start: number, end: number, last: boolean): number {
    if (this.filter !== null) return this.filter.sendBody(this, buf, start, end, last);
    return this.channel.sendBody(this, buf, start, end, last);
  }

  /** Answers with a whole body that is at hand. */
  respond(status: number, contentType: string | null, body: Buffer | null): void {
    this.status = status;
    this.contentType = contentType;
    this.contentLength = body === null ? 0 : body.length;
    this.sendHead(body, 0, body === null ? 0 : body.length, true);
  }
}

/** A body of several ranges. */
export interface PartsInfo {
  /** Type of the content. */
  readonly partType: string | null;
  /** Where in the body stands what is not of the content. */
  readonly texts: readonly { start: number; end: number }[];
}

/** `add_trailer` of one answer. */
export interface Trailing {
  /** Made so far (`$sent_trailer_…`). */
  readonly fields: FieldList;
  fill(r: HttpRequest): void;
}

/** Which fields of an upstream's block are not passed on: by identifier, and by hash and name for the others. */
export interface HideTable {
  /** Indexed by known identifier: 1 hides. */
  ids: Uint8Array;
  /** Lower-case names that are not known, by their hash (clients can make names collide: all are kept); null: none. */
  others: Map<number, readonly string[]> | null;
  /** Date and server name are the block's own matter, even where it has none: none is made here. */
  ownDate: boolean;
  ownServer: boolean;
}

/** What is kept of each attempt, for `$upstream_…` and the error log. */
export interface UpstreamTrace {
  attempts: UpstreamAttempt[];
  /** The last answer's head, for `$upstream_http_…`. */
  head: ResponseHead | null;
  trailers: HeaderBlock | null;
  /** Milliseconds waited in the group's queue; -1: none. */
  queueMs: number;
  lastServerName: string;
  /** A client that ends its side in the middle of the request is taken as gone. */
  readonly leavesWithClient: boolean;
  /** What an update asks for to have changed since; null or absent: it is unconditional. */
  readonly validators?: { etag: string; lastModified: number } | null;
  /** The request is over and was logged. */
  release(): void;
}

export interface UpstreamAttempt {
  /** Address, or the group's name when no server could be chosen. */
  address: string;
  /** 0: none. */
  status: number;
  /** Milliseconds; -1: not reached. */
  connectMs: number;
  headerMs: number;
  responseMs: number;
  responseLength: number;
  bytesReceived: number;
  bytesSent: number;
  /** This attempt began a new request of the same client (after an internal redirect): joined with ` : `. */
  redirected: boolean;
}
