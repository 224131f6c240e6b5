/** TLS towards clients: one context per server block, chosen by SNI, replaced by a reload without closing anything. */
import { createSecureContext, TLSSocket } from 'node:tls';
import type { SecureContext, SecureContextOptions } from 'node:tls';
import type { Socket } from 'node:net';
import type { Ends } from './transport.ts';
import type { ClientStatus } from './ocsp/client-status.ts';
import type { Stapler } from './ocsp/stapler.ts';
import { countFailedHandshake, countHandshake } from './tls-counts.ts';
import type { TicketKeys } from './tls-tickets.ts';
import { HELLO_MORE, HELLO_PLAIN, readClientHello } from './client-hello.ts';

/** What a handshake with one server block needs. */
export interface ServerTls {
  context: SecureContext;
  /** The same once more, for connections that Node knows nothing of (`OpenSsl.context`): made when it is first asked for. */
  nativeContext(): SecureContext;
  requestCertificate: boolean;
  rejectHandshake: boolean;
  /** Intermediate certificates that may stand between a client's and a trusted one. */
  verifyDepth: number;
  alpn: string[];
  /** Shows clients what OCSP says of the certificate (ssl_stapling); absent: nothing is shown. */
  stapler?: Stapler;
  /** Asks about clients' certificates (ssl_ocsp); absent: nobody does. */
  clientStatus?: ClientStatus;
  /** Keys of tickets; null: none are given out. */
  tickets: TicketKeys | null;
}

/** `A`: what a name of a certificate with variables is evaluated against. */
export interface TlsChooser<A> {
  /**
   * The settings of the block for a name; empty: the client sent none.
   * @param hello the client's first message
   * @throws when a certificate that a variable names cannot be used
   */
  choose(serverName: string, ends: Ends, about: A, hello: Buffer): ServerTls;
  /** Whether all of its settings can be had by `TlsTransport`. */
  readonly native: boolean;
  /** Whether somebody wants to know what clients offer (`$ssl_ciphers`, `$ssl_curves`). */
  readonly keepsHello: boolean;
}

/** What becomes of a connection; one of them is called, once. */
export interface TlsOutcome {
  /**
   * `hello`: the client's first message; null unless the chooser keeps it. `revoked`: what OCSP has against the client's
   * certificate.
   */
  secure(tls: TLSSocket, serverName: string, chosen: ServerTls, hello: Buffer | null, revoked: string | null): void;
  /** The client speaks no TLS: the socket is as it was accepted, its first bytes unread. */
  plain(): void;
  /** The socket is closed. `error` null: the client left. */
  failed(error: Error | null): void;
}

export function secureContext(options: SecureContextOptions): SecureContext {
  return createSecureContext(options);
}

/** Fatal alert `unrecognized_name` (RFC 6066 section 3), in a record of its own. */
export const UNRECOGNIZED_NAME = Buffer.from([21, 3, 1, 0, 2, 2, 112]);

/**
 * Reads the client's first bytes, chooses the server block by the name in them, and does the server's side of the
 * handshake with that block's settings.
 * @param handshakeTimeoutMs a client that does not come to an end is closed
 */
export function acceptTls<A>(
  socket: Socket,
  chooser: TlsChooser<A>,
  about: A,
  handshakeTimeoutMs: number,
  outcome: TlsOutcome,
): void {
  let held: Buffer | null = null;
  let tls: TLSSocket | null = null;
  let settled = false;
  const settle = (): boolean => {
    if (settled) return false;
    settled = true;
    clearTimeout(timer);
    return true;
  };
  const fail = (error: Error | null): void => {
    if (!settle()) return;
    (tls ?? socket).destroy();
    // Who leaves before it has said a word has not begun one.
    if (error !== null || tls !== null) countFailedHandshake(error);
    outcome.failed(error);
  };
  const timer = setTimeout(() => fail(new Error('handshake timed out')), handshakeTimeoutMs);
  timer.unref();

  const onData = (chunk: Buffer): void => {
    held = held === null ? chunk : Buffer.concat([held, chunk]);
    const { kind, serverName } = readClientHello(held);
    if (kind === HELLO_MORE) return;
    socket.off('data', onData);
    socket.off('end', onEnd);
    socket.pause();
    if (kind === HELLO_PLAIN) {
      if (!settle()) return;
      socket.off('error', onError);
      socket.off('close', onEnd);
      socket.unshift(held);
      outcome.plain();
      socket.resume();
      return;
    }
    let chosen: ServerTls;
    try {
      chosen = chooser.choose(serverName, socket, about, held);
    } catch (error) {
      fail(error as Error);
      return;
    }
    if (chosen.rejectHandshake) {
      if (!settle()) return;
      socket.end(UNRECOGNIZED_NAME, () => socket.destroy());
      countFailedHandshake(null);
      outcome.failed(new Error('handshake rejected'));
      return;
    }
    socket.unshift(held);
    tls = new TLSSocket(socket, {
      isServer: true,
      secureContext: chosen.context,
      requestCert: chosen.requestCertificate,
      rejectUnauthorized: false,
      ALPNProtocols: chosen.alpn,
      ...(chosen.stapler === undefined ? null : { server: chosen.stapler.server }),
    });
    const secured = tls;
    const hello = chooser.keepsHello ? held : null;
    const done = (revoked: string | null): void => {
      if (!settle()) return;
      countHandshake(secured.isSessionReused());
      outcome.secure(secured, serverName, chosen, hello, revoked);
    };
    secured.once('secure', () => {
      if (chosen.clientStatus === undefined) done(null);
      else chosen.clientStatus.check(secured, done);
    });
    secured.on('error', fail);
    // Who ends its side during the handshake is not waited for.
    secured.once('end', onEnd);
    secured.once('close', onEnd);
  };
  const onEnd = (): void => fail(null);
  const onError = (error: Error): void => fail(error);
  socket.on('data', onData);
  socket.once('end', onEnd);
  socket.on('error', onError);
  socket.once('close', onEnd);
}
