/** TLS towards clients: one context per server block, chosen by SNI, replaced by a reload without closing anything. */
import { createSecureContext, TLSSocket } from 'node:tls';
import type { SecureContext, SecureContextOptions } from 'node:tls';
import type { Socket } from 'node:net';

/** What a handshake with one server block needs. */
export interface ServerTls {
  context: SecureContext;
  requestCertificate: boolean;
  rejectHandshake: boolean;
  alpn: string[];
}

export interface TlsChooser {
  /** The block for a name; empty: the client sent none. */
  choose(serverName: string): ServerTls;
}

export function secureContext(options: SecureContextOptions): SecureContext {
  return createSecureContext(options);
}

/**
 * Starts the server's side of a handshake on an accepted socket.
 * @param done called once: with the TLS socket when the handshake is over, or with null (the socket is closed)
 * @param handshakeTimeoutMs a client that does not come to an end is closed
 */
export function acceptTls(
  socket: Socket,
  chooser: TlsChooser,
  handshakeTimeoutMs: number,
  done: (tls: TLSSocket | null, error: Error | null) => void,
): void {
  const initial = chooser.choose('');
  const tls = new TLSSocket(socket, {
    isServer: true,
    secureContext: initial.context,
    requestCert: initial.requestCertificate,
    rejectUnauthorized: false,
    ALPNProtocols: initial.alpn,
    SNICallback: (name: string, callback: (error: Error | null, context?: SecureContext) => void) => {
      const chosen = chooser.choose(name);
      if (chosen.rejectHandshake) callback(new Error('handshake rejected'));
      else callback(null, chosen.context);
    },
  });
  let settled = false;
  const finish = (result: TLSSocket | null, error: Error | null): void => {
    if (settled) return;
    settled = true;
    clearTimeout(timer);
    if (result === null) tls.destroy();
    done(result, error);
  };
  const timer = setTimeout(() => finish(null, new Error('handshake timed out')), handshakeTimeoutMs);
  timer.unref();
  tls.once('secure', () => finish(tls, null));
  tls.on('error', (error) => finish(null, error));
  socket.on('error', (error) => finish(null, error));
  tls.once('close', () => finish(null, null));
}
