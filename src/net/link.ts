/** One connection, whichever way it is made: what tunnels and probes are given to open theirs. */
import { connect } from 'node:net';
import { failedText } from '../observe/errno.ts';
import { clock } from './clock.ts';
import { startTls, tlsFailure } from './tls-client.ts';
import type { ClientTls } from './tls-client.ts';
import { intermediates } from './tls-peer.ts';
import { dial, Transport } from './transport.ts';
import type { ConnectOptions, TransportOwner } from './transport.ts';

/** Of `connected` and `failed` one is called, once, and neither after `cancel`. */
export interface Opening {
  cancel(): void;
}

export interface LinkOutcome {
  /** The caller gives the transport its owner during the call. */
  connected(transport: Transport): void;
  /** `message` for the log; what was being done stands there already. */
  failed(message: string): void;
}

/** Opens a connection. Its time is limited by whoever calls (`cancel`). */
export type DialLink = (outcome: LinkOutcome) => Opening;

/** Over plain TCP, or a unix socket. */
export function dialTcp(address: ConnectOptions): DialLink {
  return (outcome) => {
    let settled = false;
    const early: TransportOwner = {
      onData() {},
      onEnd() {},
      onDrain() {},
      onClose(error) {
        if (settled) return;
        settled = true;
        outcome.failed(failedText('connect()', error ?? new Error('connection closed')));
      },
    };
    const transport = dial(address, early, () => {
      if (settled) return;
      settled = true;
      outcome.connected(transport);
    });
    return {
      cancel() {
        if (settled) return;
        settled = true;
        transport.destroy();
      },
    };
  };
}

export interface TlsLinkOptions {
  /** As `ClientTls.contextOf` wants them. */
  credentials?: string;
  alpn?: string[];
}

/** Over TLS. @param name sent by SNI, and what the certificate has to be for */
export function dialTls(
  tls: ClientTls,
  name: string,
  address: ConnectOptions,
  { credentials = '', alpn = [] }: TlsLinkOptions = {},
): DialLink {
  return (outcome) => {
    let settled = false;
    const fail = (message: string): void => {
      if (settled) return;
      settled = true;
      clock.update();
      outcome.failed(message);
    };
    const context = tls.contextOf(credentials);
    if (typeof context === 'string') {
      queueMicrotask(() => fail(context));
      return { cancel: () => void (settled = true) };
    }
    const { host, port, path, localAddress, localPort } = address;
    const local = localAddress === null ? null : { localAddress, localPort };
    const socket = connect(
      path !== null
        ? { path, allowHalfOpen: true }
        : { host, port, noDelay: true, allowHalfOpen: true, autoSelectFamily: false, ...local },
    );
    let destroy = (): void => void socket.destroy();
    socket.once('error', (error) => fail(failedText('connect()', error)));
    socket.once('connect', () => {
      const key = `${path ?? `${host}:${port}`} ${name} ${credentials}`;
      const secure = startTls(tls, context, name, key, address, { over: socket, alpn });
      let problem: Error | null = null;
      destroy = () => void secure.destroy();
      secure.once('secureConnect', () => {
        if (settled) return;
        clock.update();
        if (tls.config.verify && !secure.isSessionReused() && intermediates(secure) > tls.config.verifyDepth) {
          fail('upstream SSL certificate verify error: (22:certificate chain too long)');
          secure.destroy();
          return;
        }
        settled = true;
        outcome.connected(new Transport(secure, null));
      });
      secure.on('error', (error) => {
        problem = error;
      });
      secure.once('close', () => fail(tlsFailure(problem, true, name).replace(/ while [^"]*$/, '')));
    });
    return {
      cancel() {
        if (settled) return;
        settled = true;
        destroy();
      },
    };
  };
}
