/** TLS towards clients over `TlsTransport`: what `acceptTls` does for sockets of Node. */
import { Buffer } from 'node:buffer';
import { HELLO_MORE, HELLO_PLAIN, readClientHello } from './client-hello.ts';
import { openSsl } from './openssl.ts';
import { ringInUse } from './dial.ts';
import { countFailedHandshake, countHandshake } from './tls-counts.ts';
import type { TlsInfo } from './tls-info.ts';
import { UNRECOGNIZED_NAME } from './tls-server.ts';
import type { ServerTls, TlsChooser } from './tls-server.ts';
import { TransportTls } from './tls-transport.ts';
import type { TlsTransport } from './tls-transport.ts';

/** What becomes of a connection; one of them is called, once. */
export interface TlsTransportOutcome {
  /** The transport's owner is set during the call. */
  secure(info: TlsInfo): void;
  /** The client speaks no TLS; the owner is set during the call, and gets what the client has said. */
  plain(): void;
  /** The connection is closed. `message` empty: the client left. */
  failed(message: string): void;
}

/** With the code that Node would make of OpenSSL's reason. */
function asError(message: string): Error {
  const reason = /::([^:]+)$/.exec(message)?.[1] ?? '';
  return Object.assign(new Error(message), { code: `ERR_SSL_${reason.toUpperCase().replaceAll(/[ /-]/g, '_')}` });
}

/** Whether connections of these settings are taken as `TlsTransport`. */
export function acceptsNatively(chooser: TlsChooser<never>): boolean {
  return chooser.native && ringInUse() !== null && openSsl() !== null;
}

/**
 * Reads the client's first bytes, chooses the server block by the name in them, and does the server's side of the
 * handshake with that block's settings.
 * @param handshakeTimeoutMs a client that does not come to an end is closed
 */
export function acceptTlsTransport<A>(
  transport: TlsTransport,
  chooser: TlsChooser<A>,
  about: A,
  handshakeTimeoutMs: number,
  outcome: TlsTransportOutcome,
): void {
  let held: Buffer = Buffer.alloc(0);
  let settled = false;
  const settle = (): boolean => {
    if (settled) return false;
    settled = true;
    clearTimeout(timer);
    return true;
  };
  const fail = (message: string): void => {
    if (!settle()) return;
    if (message !== '' || held.length > 0) countFailedHandshake(message === '' ? null : asError(message));
    transport.destroy();
    outcome.failed(message);
  };
  const timer = setTimeout(() => fail('handshake timed out'), handshakeTimeoutMs);
  timer.unref();
  transport.owner = {
    onData() {},
    onEnd: () => fail(''),
    onDrain() {},
    onClose: (error) => fail(error === null ? '' : error.message),
  };

  transport.onHello = (chunk) => {
    if (settled) return;
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    const { kind, serverName } = readClientHello(held);
    if (kind === HELLO_MORE) return;
    if (kind === HELLO_PLAIN) {
      if (!settle()) return;
      outcome.plain();
      transport.goPlain(held);
      return;
    }
    let chosen: ServerTls;
    let context: bigint;
    try {
      chosen = chooser.choose(serverName, transport, about, held);
      context = openSsl()!.context(chosen.nativeContext());
    } catch (error) {
      fail((error as Error).message);
      return;
    }
    if (chosen.rejectHandshake) {
      if (!settle()) return;
      countFailedHandshake(null);
      transport.refuse(UNRECOGNIZED_NAME);
      outcome.failed('handshake rejected');
      return;
    }
    const hello = chooser.keepsHello ? held : null;
    const handshake = {
      alpn: chosen.alpn,
      tickets: chosen.tickets,
      protocol: '',
      secure() {
        if (!settle()) return;
        const info = new TransportTls(transport, serverName, handshake.protocol, hello);
        countHandshake(info.sessionReused);
        outcome.secure(info);
      },
      failed: fail,
    };
    transport.begin(context, handshake, held);
  };
}
