/** A session over TCP: its connection, its phases up to the handler, and its end. */
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { ClientAddress } from '../net/client-address.ts';
import { SocketTls } from '../net/tls-info.ts';
import type { TlsInfo } from '../net/tls-info.ts';
import { countRefusedCertificate } from '../net/tls-counts.ts';
import { acceptTls } from '../net/tls-server.ts';
import type { ServerTls, TlsChooser } from '../net/tls-server.ts';
import { Timer } from '../net/timers.ts';
import { SocketTransport } from '../net/socket-transport.ts';
import { HELD } from '../net/transport.ts';
import type { Ends, Transport } from '../net/transport.ts';
import type { TransportOwner } from '../net/transport.ts';
import { CLOSED, traffic } from '../observe/traffic.ts';
import { readOpening } from '../net/accept-opening.ts';
import type { OpeningOptions } from '../net/accept-opening.ts';
import { admit } from './admission.ts';
import type { StreamListen } from './listen.ts';
import { expectsHello, openingOf, takeHello } from './opening.ts';
import { chooseServer, needsPreread, preread } from './preread.ts';
import { BAD_REQUEST, INTERNAL_ERROR, OK, Session } from './session.ts';
import type { UpstreamBytes } from './session.ts';

/** How long the last bytes of a session may wait for whoever they are for: nginx gives close_notify as long. */
const LINGER_MS = 3000;

/** How long a client may take a text that `return` sends. */
const RETURN_MS = 5000;

/** Whoever serves the session once its phases are over. */
export interface Content {
  readonly upstreamBytes: UpstreamBytes | null;
  /** The session ends: let go of everything on the server's side. */
  close(): void;
}

/** Reads nothing before the handshake, and after it the connection is `secure`. */
type Phase = 'handshake' | 'preread' | 'content' | 'sending' | 'closed';

export class TcpSession extends Session implements TransportOwner {
  readonly udp = false;
  /** The socket of Node that carries it; null: a transport does without one. */
  readonly socket: Socket | null;
  /** The client's connection; null: its handshake is under way. */
  transport: Transport | null;
  content: Content | null = null;
  /** Ends TLS on this address; null: a plain one. */
  termination: TlsChooser<Session> | null = null;
  /** It came out of a tunnel. */
  inner = false;
  /** For whatever the session waits for at present. */
  readonly timer: Timer = new Timer(() => this.#onTimer());
  /** What to do when `timer` fires. */
  onTimeout: () => void = () => this.finalize(OK);
  #phase: Phase = 'handshake';

  constructor(listen: StreamListen, peer: ClientAddress, socket: Socket | null, transport: Transport | null) {
    super(listen, peer);
    this.socket = socket;
    this.transport = transport;
  }

  get sent(): number {
    return this.transport === null ? 0 : this.transport.bytesWritten;
  }

  get upstreamBytes(): UpstreamBytes | null {
    return this.content === null ? null : this.content.upstreamBytes;
  }

  localAddress(): string {
    if (this.listen.runtime.config.kind === 'unix') return this.listen.address;
    const text = this.#ends.localAddress ?? '';
    return text.startsWith('::ffff:') && text.includes('.') ? text.slice(7) : text;
  }

  localPort(): number {
    return this.#ends.localPort ?? 0;
  }

  get #ends(): Ends {
    return this.socket ?? this.transport!;
  }

  #onTimer(): void {
    this.onTimeout();
  }

  // ------------------------------------------------------------------------------------------------ phases

  /** The PROXY protocol header, if there had to be one, was read. @param tls null: a plain address */
  begin(tls: TlsChooser<Session> | null): void {
    // Who the client is will be known with the hello.
    if (!expectsHello(this) && !this.#admitted()) return;
    if (tls === null) this.#afterHandshake();
    else this.#handshake(tls);
  }

  /** What carries it has had its handshake: a tunnel, whose first connection it was, or QUIC. */
  beginSecure(tls: TlsInfo | null): void {
    this.tls = tls;
    if (tls !== null) chooseServer(this, tls.serverName);
    this.begin(null);
  }

  #admitted(): boolean {
    const refusal = admit(this);
    if (refusal !== 0) this.finalize(refusal);
    return refusal === 0;
  }

  #handshake(tls: TlsChooser<Session>): void {
    this.action = 'SSL handshaking';
    acceptTls(this.socket!, tls, this as Session, this.server.config.handshakeTimeoutMs, {
      secure: (...secured) => this.#secured(...secured),
      plain: () => this.#handshakeFailed('wrong version number'),
      failed: (error) => this.#handshakeFailed(error === null ? null : error.message),
    });
  }

  /** Ends the client's TLS after all, whose first bytes were looked at; the handler is called again behind it. */
  terminate(): void {
    const { held, transport } = this;
    transport!.detach();
    this.transport = null;
    this.held = null;
    this.#phase = 'handshake';
    if (held !== null) this.socket!.unshift(held);
    this.#handshake(this.termination!);
    this.socket!.resume();
  }

  #handshakeFailed(why: string | null): void {
    if (this.status !== 0) return;
    if (why === 'handshake timed out') this.log('info', 'client timed out (110: Connection timed out)');
    else if (why !== null) this.log('info', `SSL_do_handshake() failed (SSL: ${why})`);
    else this.log('info', 'peer closed connection in SSL handshake');
    this.finalize(INTERNAL_ERROR);
  }

  #secured(
    socket: TLSSocket,
    serverName: string,
    chosen: ServerTls,
    hello: Buffer | null,
    revoked: string | null,
  ): void {
    if (this.status !== 0) {
      socket.destroy();
      return;
    }
    this.tls = new SocketTls(socket, serverName, chosen, hello, revoked);
    this.transport = new SocketTransport(socket, null);
    chooseServer(this, serverName);
    const refusal = this.#certificateRefusal();
    if (refusal !== null) {
      this.log('info', refusal);
      this.finalize(INTERNAL_ERROR);
      return;
    }
    this.#afterHandshake();
  }

  /** Why the client's certificate, or its absence, ends the session. */
  #certificateRefusal(): string | null {
    const mode = this.server.config.ssl?.verifyClient ?? 'off';
    if (mode === 'off') return null;
    const { clientVerify } = this.tls!;
    if (clientVerify.startsWith('FAILED') && mode !== 'optional_no_ca') {
      countRefusedCertificate(clientVerify);
      return `client SSL certificate verify error: (${clientVerify.slice(7)})`;
    }
    if (mode !== 'on' || clientVerify !== 'NONE') return null;
    countRefusedCertificate(clientVerify);
    return 'client sent no required SSL certificate';
  }

  #afterHandshake(): void {
    const opening = openingOf(this, this.inner);
    if (opening === null) this.#preread();
    else this.#open(opening);
  }

  #open(options: OpeningOptions): void {
    this.action = 'reading the beginning of the connection';
    if (options.tunnel !== null && this.tls !== null) this.listen.tlsOf.set(this.transport!, this.tls);
    readOpening(this.transport!, this.peer, options, {
      ready: (hello) => {
        if (this.status !== 0) return;
        if (hello !== null) takeHello(this, hello);
        this.transport!.owner = this;
        if (!options.hello || this.#admitted()) this.#preread();
      },
      taken: () => this.release(),
      failed: (why) => {
        if (why !== null) this.log('info', why);
        this.finalize(why === null ? OK : BAD_REQUEST);
      },
    });
  }

  #preread(): void {
    // Behind TLS that was looked into there is nothing more to look for.
    if (!needsPreread(this) || (this.tls !== null && this.hello !== null)) {
      this.#serve();
      return;
    }
    this.action = 'prereading client data';
    this.#phase = 'preread';
    this.transport!.owner = this;
    this.onTimeout = () => this.finalize(OK);
    this.timer.arm(this.server.config.core.prereadTimeoutMs);
  }

  #serve(): void {
    this.timer.cancel();
    this.action = '';
    this.#phase = 'content';
    this.enterZone();
    const { handler, config } = this.server;
    if (!config.core.tcpNodelay) (this.socket ?? this.transport!).setNoDelay(false);
    if (handler === null) this.finalize(INTERNAL_ERROR);
    else handler(this);
  }

  // ------------------------------------------------------------------------------------------------ return

  /** Sends a text and ends the session. */
  sendAndEnd(text: Buffer): void {
    this.action = 'returning text';
    if (text.length === 0) {
      this.finalize(OK);
      return;
    }
    const transport = this.transport!;
    transport.owner = this;
    this.#phase = 'sending';
    if (transport.write(text, 0, text.length) !== HELD) {
      this.finalize(OK);
      return;
    }
    this.onTimeout = () => {
      this.log('info', 'connection timed out (110: Connection timed out)');
      this.finalize(OK);
    };
    this.timer.arm(RETURN_MS);
  }

  // ------------------------------------------------------------------------------------------------ events

  onData(buf: Buffer, start: number, end: number): void {
    if (this.#phase !== 'preread') return;
    this.received += end - start;
    this.hold(buf, start, end);
    const { held } = this;
    const { core, prereadBytes } = this.server.config;
    // As in nginx, what does not fit into the buffer is not looked at.
    if (preread(this, held!.subarray(0, core.prereadBufferSize))) {
      if (prereadBytes > 0) this.firstBytes = held!.latin1Slice(0, prereadBytes);
      this.#serve();
      return;
    }
    if (held!.length < core.prereadBufferSize) return;
    this.log('error', 'preread buffer full');
    this.finalize(BAD_REQUEST);
  }

  /** Keeps bytes for later. */
  hold(buf: Buffer, start: number, end: number): void {
    const piece = buf.subarray(start, end);
    this.held = this.held === null ? Buffer.from(piece) : Buffer.concat([this.held, piece]);
  }

  onEnd(): void {
    if (this.#phase === 'preread') this.finalize(OK);
  }

  onDrain(): void {
    if (this.#phase === 'sending') {
      this.timer.arm(RETURN_MS);
      this.finalize(OK);
    }
  }

  onClose(): void {
    this.finalize(OK);
  }

  // ------------------------------------------------------------------------------------------------ end

  finalize(status: number): void {
    if (this.status !== 0) return;
    this.status = status;
    this.timer.drop();
    this.content?.close();
    this.leave(status);
    this.#phase = 'closed';
    this.held = null;
    traffic.row[CLOSED]!++;
    const { transport } = this;
    if (transport === null) this.socket!.destroy();
    else closeSoon(transport, this.tls !== null);
  }

  /** The connection is somebody else's from now on (`pass`): the session ends without closing it. */
  release(): void {
    if (this.status !== 0) return;
    this.status = OK;
    this.timer.drop();
    // As in nginx it is whoever takes it that logs; and it is counted there once more.
    this.depart();
    traffic.row[CLOSED]!++;
    this.#phase = 'closed';
  }

  shutdown(): void {}
}

/**
 * Closes after what was written is taken, TLS with its close_notify (RFC 8446 section 6.1); a peer that does not take it
 * is not waited for longer than a moment.
 */
export function closeSoon(transport: Transport, secure: boolean): void {
  if (transport.closed) return;
  const { socket } = transport;
  if (!secure || socket === null) {
    transport.close(LINGER_MS);
    return;
  }
  transport.flush();
  socket.destroySoon();
  if (socket.destroyed) return;
  const timer = new Timer(() => void socket.destroy());
  timer.arm(LINGER_MS);
  socket.once('close', () => timer.drop());
}
