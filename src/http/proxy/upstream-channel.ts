/**
 * What the exchange driver sees of the server's side, whatever protocol is spoken there: a channel carries one exchange at
 * a time. For HTTP/1 and the like it is a connection, used by one exchange after another; for multiplexed protocols it
 * is one stream of a connection that others share.
 *
 * The life of an exchange on a channel: `begin`, `sendRequest`, then body pieces and `endBody` if the body is streamed;
 * events come meanwhile; at the end the driver calls `finish` (the answer was read to its end) or `destroy` (it was not).
 * After either no event follows.
 */
import type { Buffer } from 'node:buffer';
import type { LogLevel } from '../../config/model.ts';
import type { Transport } from '../../net/transport.ts';
import type { IdleEntry } from '../../upstream/pool.ts';
import type { HttpRequest } from '../request.ts';
import type { HeaderBlock } from '../wire/header-block.ts';
import type { ResponseHead } from '../wire/response-head.ts';
import type { UpstreamPlan } from './upstream-plan.ts';

/** Lengths of a request's body that are no lengths: none at all, and not known in advance. */
export const NO_BODY = -2;
export const UNKNOWN_LENGTH = -1;

/** What goes to the server. */
export interface OutgoingRequest {
  readonly r: HttpRequest;
  readonly plan: UpstreamPlan;
  /** The target as the plan computed it; null: the client's own. */
  readonly uri: string | null;
  /** Bytes, `UNKNOWN_LENGTH` or `NO_BODY`. */
  readonly bodyLength: number;
  /** The body's beginning, which goes out with the head; null: nothing is at hand. */
  readonly first: Buffer | null;
  readonly firstLength: number;
  /** The answer is to be cached: all of it is asked for, on the cache's own conditions instead of the client's. */
  readonly cached: boolean;
  /** HEAD goes out as GET. */
  readonly convertsHead: boolean;
  /** It goes over TLS. */
  readonly secure: boolean;
}

export interface UpstreamChannel {
  /** Length of the answer's body as announced; -1: unknown. */
  readonly contentLength: number;
  readonly trailers: HeaderBlock | null;
  /** More bytes arrived than the answer has ("upstream sent more data than specified"). */
  readonly extra: boolean;
  /** With its head the answer has ended: there is no body, and the channel may be kept without reading on. */
  readonly complete: boolean;
  /** Of the present exchange, framing included. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Nothing more can be sent. */
  readonly closed: boolean;

  /** @param headOnly the answer has no body whatever it says (HEAD). `headLimit`: largest head in bytes */
  begin(events: UpstreamEvents, headOnly: boolean, headLimit: number): void;
  /** Sends head and first body bytes. @returns `SENT`, or `HELD`: `onUpstreamDrain` follows */
  sendRequest(request: OutgoingRequest): number;
  /** Sends more of the body; valid during the call. `last`: it is known to end with it. @returns as `sendRequest` */
  sendBody(buf: Buffer, start: number, end: number, last: boolean): number;
  /** The connection on which what is given to `sendBody` goes out as it is; null or absent: it does not. */
  bareBody?(): Transport | null;
  /** The body is complete. Called once unless it was in `first` as a whole, or there is none. */
  endBody(): void;

  /**
   * Says that the rest of the body will only be written to `to`, each piece during its `onBody`: see `Transport.passTo`.
   * Ends with `pause`. Absent: the protocol has its body in frames.
   */
  passTo?(to: Transport): void;
  /** Stops reading for now: who takes the answer is slow. */
  pause(): void;
  resume(): void;
  /** The head's bytes must outlive the read area from now on. */
  keepHead(): void;

  /**
   * The answer was read to its end.
   * @param complete all of the request was sent
   * @returns true: the channel is idle and can be used again, the caller keeps it; false: it has taken care of itself
   */
  finish(complete: boolean, limits: ReuseLimits): boolean;
  /** Gives the exchange up at once. */
  destroy(): void;
  /** For the pool. `onIdleClose` is called when the channel ends while it is idle. */
  onIdleClose: ((channel: UpstreamChannel) => void) | null;
  idleEntry?: IdleEntry<UpstreamChannel> | null;

  /** After a 101: from now on bytes pass uninterpreted. */
  upgrade(): void;
  tunnelWrite(buf: Buffer, start: number, end: number): number;
  tunnelEnd(): void;
}

/** How often and how long a connection is used (keepalive_requests, keepalive_time). */
export interface ReuseLimits {
  readonly requests: number;
  readonly timeMs: number;
}

/** What an exchange is told by its channel. */
export interface UpstreamEvents {
  /** A 103 (RFC 8297), valid during the call; the head follows. */
  onHints(head: ResponseHead): void;
  /** The final head, or a 101; body bytes follow by `onBody`. */
  onHead(head: ResponseHead): void;
  /** Body bytes of one read, valid during the call; `last`: the body ends with them. Also called without bytes. */
  onBody(buf: Buffer, start: number, end: number, last: boolean): void;
  /** The server broke the protocol, or the connection. */
  onFailure(failure: Failure): void;
  /** Something to be logged that ends nothing (FastCGI's stderr). */
  onMessage(level: LogLevel, text: string): void;
  /** What was written has been taken. */
  onUpstreamDrain(): void;
  /** Bytes after a 101. */
  onTunnelData(buf: Buffer, start: number, end: number): void;
  onTunnelEnd(): void;
}

export type FailureKind = 'error' | 'invalid' | 'cut';

export interface Failure {
  /** `error`: connection or premature end; `invalid`: not a valid answer; `cut`: the body broke off. */
  kind: FailureKind;
  /** The log's text. */
  message: string;
}
