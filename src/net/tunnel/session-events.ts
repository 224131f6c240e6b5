/** What a tunnel's session is given, and what it wants of whoever drives it. */
import type { Buffer } from 'node:buffer';
import type { Channel } from './send-queue.ts';

/** A connection that serves a session at present. */
export interface SessionLink extends Channel {
  /** Each side has said that it sends nothing more of this session on it. */
  doneSent: boolean;
  doneSeen: boolean;
}

/** What the session wants of its driver. */
export interface SessionEvents {
  /** The next bytes of the other side, in order; valid during the call. */
  deliver(buf: Buffer, start: number, end: number): void;
  /** The other side has sent all. */
  ended(): void;
  /** What was written has gone out, or nearly. */
  drained(): void;
  /** The session has ended before its time. Its connections are dropped already. @param code of REASONS */
  failed(code: number): void;
  /** One more connection is wanted. Clients only. */
  wantLink(): void;
  /** A connection has no more of this session on it: another one may have it. */
  releaseLink(link: SessionLink): void;
  /** A connection is of no use any more: close it when what was sent on it is taken. */
  dropLink(link: SessionLink): void;
  /** Nothing follows: forget the session. @param clean all that either side has sent has arrived */
  over(clean: boolean): void;
}

export interface SessionLimits {
  maxLinks: number;
  channelSize: number;
  /** Connections that are wanted from the start. */
  startLinks: number;
  /** How long a session may be without any connection. */
  resumeMs: number;
}
