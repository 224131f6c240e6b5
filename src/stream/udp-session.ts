/** A session over UDP: the datagrams of one client on one listening address, until they stop. */
import type { Buffer } from 'node:buffer';
import { Timer } from '../net/timers.ts';
import type { ClientAddress } from '../net/client-address.ts';
import { CLOSED, traffic } from '../observe/traffic.ts';
import { admit } from './admission.ts';
import type { StreamListen } from './listen.ts';
import { INTERNAL_ERROR, OK, Session } from './session.ts';
import type { UpstreamBytes } from './session.ts';

/** Where a session's datagrams go back to its client. */
export interface UdpReply {
  /** The socket that it came in by. */
  send(datagram: Uint8Array, client: ClientAddress): void;
  localAddress(): string;
  localPort(): number;
  /** The client's next datagram begins another session. */
  forget(s: UdpSession): void;
}

/** Whoever serves the session. */
export interface UdpContent {
  readonly upstreamBytes: UpstreamBytes | null;
  /** A datagram of the client; the buffer is the content's to keep. */
  onDatagram(datagram: Buffer): void;
  close(): void;
}

export class UdpSession extends Session {
  readonly udp = true;
  sent = 0;
  content: UdpContent | null = null;
  readonly timer: Timer = new Timer(() => this.onTimeout());
  onTimeout: () => void = () => this.finalize(OK);
  /** Found under this in the socket's table. */
  readonly key: string;
  readonly #reply: UdpReply;

  constructor(listen: StreamListen, peer: ClientAddress, key: string, reply: UdpReply) {
    super(listen, peer);
    this.key = key;
    this.#reply = reply;
  }

  get upstreamBytes(): UpstreamBytes | null {
    return this.content === null ? null : this.content.upstreamBytes;
  }

  localAddress(): string {
    return this.#reply.localAddress();
  }

  localPort(): number {
    return this.#reply.localPort();
  }

  /** The session's first datagram. */
  begin(datagram: Buffer): void {
    this.received += datagram.length;
    const refusal = admit(this);
    if (refusal !== 0) {
      this.finalize(refusal);
      return;
    }
    this.action = '';
    this.enterZone();
    const { handler, config } = this.server;
    if (config.prereadBytes > 0) this.firstBytes = datagram.latin1Slice(0, config.prereadBytes);
    this.held = datagram;
    if (handler === null) this.finalize(INTERNAL_ERROR);
    else handler(this);
  }

  /** Each one after the first. */
  onDatagram(datagram: Buffer): void {
    this.content?.onDatagram(datagram);
  }

  /** Sends a datagram to the client. */
  send(datagram: Uint8Array): void {
    this.sent += datagram.length;
    this.#reply.send(datagram, this.peer);
  }

  /** Answers with a text and ends. */
  sendAndEnd(text: Buffer): void {
    this.action = 'returning text';
    if (text.length > 0) this.send(text);
    this.finalize(OK);
  }

  /** The client's next datagram begins another session; this one may go on for answers. */
  forget(): void {
    this.#reply.forget(this);
  }

  finalize(status: number): void {
    if (this.status !== 0) return;
    this.status = status;
    this.timer.drop();
    this.content?.close();
    this.#reply.forget(this);
    this.leave(status);
    this.held = null;
    traffic.row[CLOSED]!++;
  }

  /** Nothing more can come in: the listening socket closes with the worker. */
  shutdown(): void {
    this.note('disconnected on shutdown');
    this.finalize(OK);
  }
}
