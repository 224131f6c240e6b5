/**
 * A client's connection over TLS whose bytes travel like those of a plain one: encrypted bytes come in by `take`, and go
 * out by the plain transport's `write`; OpenSSL stands in between (`openssl.ts`).
 *
 * A connection begins with its first bytes read and nothing decided (RFC 8446 section 4.1.2: the name that the client
 * asks for chooses the server); whoever accepts it then says `begin` or `goPlain`.
 */
import { Buffer } from 'node:buffer';
import { openSsl, WANT_READ, ZERO_RETURN } from './openssl.ts';
import type { Negotiation, OpenSsl, Session } from './openssl.ts';
import type { IoUring } from './io-uring.ts';
import { RingTransport } from './ring-transport.ts';
import { HELD, SENT } from './transport.ts';
import type { TlsInfo } from './tls-info.ts';
import { helloOffers } from './client-hello.ts';
import { cipherName, groupName } from './tls-names.ts';

/** The longest plaintext of a record (RFC 8446 section 5.1). */
const RECORD = 16 * 1024;
/** Encrypted bytes that go out at a time. */
const OUT = 4 * (RECORD + 512);
/** Encrypted bytes that OpenSSL is given at a time: its buffers keep the size that they once had. */
const IN = 32 * 1024;
const PLAIN = 64 * 1024;

/** What waits for the kernel's memory between our buffers and OpenSSL; used during one call only. */
class Stage {
  readonly in = Buffer.allocUnsafeSlow(IN);
  readonly plainIn = Buffer.allocUnsafeSlow(PLAIN);
  readonly plainOut = Buffer.allocUnsafeSlow(RECORD);
  readonly out = Buffer.allocUnsafeSlow(OUT);
  readonly inAt: bigint;
  readonly plainInAt: bigint;
  readonly plainOutAt: bigint;
  readonly outAt: bigint;
  /** `plainIn` is being read by somebody. */
  busy = false;

  constructor(openssl: OpenSsl) {
    this.inAt = openssl.addressOf(this.in);
    this.plainInAt = openssl.addressOf(this.plainIn);
    this.plainOutAt = openssl.addressOf(this.plainOut);
    this.outAt = openssl.addressOf(this.out);
  }
}

let sharedStage: Stage | null = null;

/** What becomes of the handshake. */
export interface TlsHandshake extends Negotiation {
  /** It is done: bytes of the client follow to the transport's owner, whom this sets. */
  secure(): void;
  /** The transport is closed. */
  failed(message: string): void;
}

const HELLO = 0;
const SHAKING = 1;
const OPEN = 2;
const NO_TLS = 3;
const OVER = 4;

export class TlsTransport extends RingTransport {
  readonly #openssl: OpenSsl;
  readonly #stage: Stage;
  #state = HELLO;
  /** Gets what arrives before anything is decided. */
  onHello: (chunk: Buffer) => void = () => {};
  #session: Session | null = null;
  #handshake: TlsHandshake | null = null;
  /** OpenSSL has bytes that nobody wanted yet. */
  #left = false;
  /** The end is told once they are taken. */
  #endLeft = false;
  #working = false;

  /** @param fd as of a `RingTransport` */
  constructor(ring: IoUring, fd: number) {
    super(ring, fd);
    this.#openssl = openSsl()!;
    this.#stage = sharedStage ??= new Stage(this.#openssl);
  }

  /** Begins the handshake. @param held what has arrived so far */
  begin(context: bigint, handshake: TlsHandshake, held: Buffer): void {
    this.#session = this.#openssl.open(context);
    this.#handshake = handshake;
    this.#state = SHAKING;
    this.#feed(held, 0, held.length);
  }

  /** This is no TLS: from now on a plain connection. @param held what has arrived so far, for the owner, who is set */
  goPlain(held: Buffer): void {
    this.#state = NO_TLS;
    this.owner.onData(held, 0, held.length);
  }

  /** Says why there will be no handshake, and closes. */
  refuse(alert: Buffer): void {
    this.#state = OVER;
    super.write(alert, 0, alert.length);
    super.close();
  }

  /** null: there is none (any more). */
  get session(): Session | null {
    return this.#session;
  }

  protected override get bare(): boolean {
    return this.#state === NO_TLS;
  }

  override take(buf: Buffer, start: number, end: number): void {
    if (this.#state === OPEN || this.#state === SHAKING) this.#feed(buf, start, end);
    else if (this.#state === NO_TLS) super.take(buf, start, end);
    else if (this.#state === HELLO) this.onHello(Buffer.from(buf.subarray(start, end)));
  }

  #feed(buf: Buffer, start: number, end: number): void {
    const { lib } = this.#openssl;
    const stage = this.#stage;
    for (let at = start; at < end && this.#session !== null; at += IN) {
      const n = Math.min(IN, end - at);
      buf.copy(stage.in, 0, at, at + n);
      lib.BIO_write(this.#session.incoming, stage.inAt, n);
      // Who pauses meanwhile gets the rest when he goes on.
      if (!this.paused) this.#work();
      else this.#left = true;
    }
  }

  /** Nothing more comes; but what came may not be given out yet. */
  protected override tellEnd(): void {
    this.#endLeft = this.#left;
    if (!this.#left) super.tellEnd();
  }

  #work(): void {
    if (this.#working) return;
    this.#working = true;
    try {
      if (this.#state === SHAKING) this.#shake();
      if (this.#state === OPEN) this.#read();
    } finally {
      this.#working = false;
    }
    if (this.#endLeft && !this.#left) this.tellEnd();
  }

  #shake(): void {
    const { lib } = this.#openssl;
    const session = this.#session!;
    const handshake = this.#handshake!;
    const result = this.#openssl.handshake(session, handshake);
    if (result === 1) {
      this.#sendPending();
      this.#state = OPEN;
      this.#handshake = null;
      handshake.secure();
      return;
    }
    if (lib.SSL_get_error(session.ssl, result) === WANT_READ) {
      this.#sendPending();
      return;
    }
    const message = this.#openssl.error();
    // The alert says why.
    this.#sendPending();
    this.#handshake = null;
    this.#state = OVER;
    super.close();
    handshake.failed(message);
  }

  #read(): void {
    const { lib } = this.#openssl;
    const session = this.#session!;
    const stage = this.#stage;
    this.#left = false;
    while (!this.gone) {
      if (this.paused) {
        this.#left = true;
        return;
      }
      // What others left in the thread's list of errors would be taken for ours.
      lib.ERR_clear_error();
      // Somebody below us on the stack reads from the common area: one of our own, which is rare.
      const own = stage.busy ? Buffer.allocUnsafeSlow(RECORD) : null;
      const n = lib.SSL_read(session.ssl, own === null ? stage.plainInAt : this.#openssl.addressOf(own), RECORD);
      if (n <= 0) {
        this.#readEnded(n);
        return;
      }
      let filled = n;
      let more = this.#openssl.pending(session.incoming) > 0;
      if (own === null) {
        while (more && filled + RECORD <= PLAIN) {
          const next = lib.SSL_read(session.ssl, stage.plainInAt + BigInt(filled), RECORD);
          if (next <= 0) break;
          filled += next;
          more = this.#openssl.pending(session.incoming) > 0;
        }
      }
      this.bytesRead += filled;
      const before = stage.busy;
      stage.busy = true;
      try {
        this.owner.onData(own ?? stage.plainIn, 0, filled);
      } finally {
        stage.busy = before;
      }
      if (!more) return;
    }
  }

  #readEnded(result: number): void {
    const why = this.#openssl.lib.SSL_get_error(this.#session!.ssl, result);
    // A key update has an answer (RFC 8446 section 4.6.3).
    this.#sendPending();
    if (why === WANT_READ) return;
    if (why === ZERO_RETURN) {
      this.tellEnd();
      return;
    }
    const message = this.#openssl.error();
    this.#state = OVER;
    this.fail(Object.assign(new Error(message), { code: 'ERR_SSL' }));
  }

  /** What OpenSSL has to say goes out. @returns as `write` */
  #sendPending(): number {
    const { lib } = this.#openssl;
    const session = this.#session!;
    let result = SENT;
    for (let n = this.#openssl.pending(session.outgoing); n > 0; n = this.#openssl.pending(session.outgoing)) {
      const got = lib.BIO_read(session.outgoing, this.#stage.outAt, Math.min(n, OUT));
      if (got <= 0) break;
      const counted = this.bytesWritten;
      if (super.write(this.#stage.out, 0, got) === HELD) result = HELD;
      this.bytesWritten = counted;
    }
    return result;
  }

  override write(buf: Buffer, start: number, end: number): number {
    if (this.#state === NO_TLS) return super.write(buf, start, end);
    if (this.closed || this.#state !== OPEN || this.#session === null) return SENT;
    const { lib } = this.#openssl;
    const { ssl, outgoing } = this.#session;
    const stage = this.#stage;
    const counted = this.bytesWritten + end - start;
    let result = SENT;
    let filled = 0;
    for (let at = start; at < end; at += RECORD) {
      const n = Math.min(RECORD, end - at);
      buf.copy(stage.plainOut, 0, at, at + n);
      if (lib.SSL_write(ssl, stage.plainOutAt, n) !== n) {
        // Memory takes all of it: only a connection that is over does not.
        this.#openssl.error();
        break;
      }
      const got = lib.BIO_read(outgoing, filled === 0 ? stage.outAt : stage.outAt + BigInt(filled), OUT - filled);
      filled += Math.max(got, 0);
      if (filled + RECORD + 512 > OUT || at + RECORD >= end) {
        if (super.write(stage.out, 0, filled) === HELD) result = HELD;
        filled = 0;
      }
    }
    this.bytesWritten = counted;
    return result;
  }

  override resume(): void {
    super.resume();
    if (this.#left) setImmediate(this.#goOn);
  }

  readonly #goOn = (): void => {
    if (this.#left && !this.paused && !this.gone && this.#session !== null) this.#work();
  };

  /** RFC 8446 section 6.1: the end is said before it comes. */
  #sayGoodbye(): void {
    if (this.#state !== OPEN || this.gone || this.#session === null) return;
    this.#state = OVER;
    this.#openssl.lib.SSL_shutdown(this.#session.ssl);
    this.#openssl.lib.ERR_clear_error();
    this.#sendPending();
  }

  override end(): void {
    this.#sayGoodbye();
    super.end();
  }

  override close(mostMs?: number): void {
    this.#sayGoodbye();
    super.close(mostMs);
  }

  protected override released(): void {
    const session = this.#session;
    this.#session = null;
    this.#state = OVER;
    if (session !== null) this.#openssl.lib.SSL_free(session.ssl);
    const handshake = this.#handshake;
    this.#handshake = null;
    handshake?.failed('');
  }
}

/** What is known of such a connection; read when somebody asks, and empty once it is closed. */
export class TransportTls implements TlsInfo {
  readonly serverName: string;
  readonly alpn: string;
  readonly clientVerify = 'NONE';
  readonly clientCertificate = null;
  readonly #transport: TlsTransport;
  readonly #hello: Buffer | null;

  /** @param hello the client's first message, if it was kept */
  constructor(transport: TlsTransport, serverName: string, alpn: string, hello: Buffer | null) {
    this.#transport = transport;
    this.serverName = serverName;
    this.alpn = alpn;
    this.#hello = hello;
  }

  get protocol(): string {
    const { session } = this.#transport;
    return session === null ? '' : openSsl()!.version(session);
  }
  get cipher(): string {
    const { session } = this.#transport;
    return session === null ? '' : openSsl()!.cipher(session);
  }
  get sessionReused(): boolean {
    const { session } = this.#transport;
    return session !== null && openSsl()!.reused(session);
  }
  get sessionId(): string {
    const { session } = this.#transport;
    return session === null ? '' : openSsl()!.sessionId(session);
  }
  get curve(): string {
    const { session } = this.#transport;
    return session === null ? '' : openSsl()!.group(session);
  }
  get ciphers(): string {
    return this.#hello === null ? '' : helloOffers(this.#hello).ciphers.map(cipherName).join(':');
  }
  get curves(): string {
    return this.#hello === null ? '' : helloOffers(this.#hello).groups.map(groupName).join(':');
  }
}
