/** Opens a TCP connection to a server, plain or with TLS over it. */
import type { Buffer } from 'node:buffer';
import { connect } from 'node:net';
import { clock } from '../../net/clock.ts';
import { startTls, tlsFailure } from '../../net/tls-client.ts';
import { intermediates } from '../../net/tls-peer.ts';
import { dial, Transport } from '../../net/transport.ts';
import type { ConnectOptions, TransportOwner } from '../../net/transport.ts';
import { failedText } from '../../observe/errno.ts';
import type { PeerInfo } from '../../upstream/group.ts';
import type { Session } from '../session.ts';
import type { ProxyPlan, StreamTls } from './plan.ts';

/** Of `connected` and `failed` one is called, once, and neither after `cancel`. */
export interface Opening {
  cancel(): void;
}

export interface OpeningOutcome {
  /** The caller gives the transport its owner during the call. */
  connected(transport: Transport): void;
  /** `message` for the log; the action at that time is part of it. */
  failed(message: string): void;
}

/**
 * @param host what TLS asks for and checks, unless proxy_ssl_name says otherwise
 * @param header sent before a TLS handshake; null: nothing is
 */
export function openServer(
  s: Session,
  plan: ProxyPlan,
  peer: PeerInfo,
  host: string,
  header: Buffer | null,
  outcome: OpeningOutcome,
): Opening {
  const path = peer.family === 'unix' ? peer.host : null;
  const local = path === null ? plan.localAddress(s) : null;
  const address: ConnectOptions = {
    host: peer.host,
    port: peer.port,
    path,
    localAddress: local === null ? null : local.text,
    localPort: local === null ? 0 : local.port,
    keepAlive: plan.config.socketKeepalive,
  };
  return plan.tls === null
    ? openPlain(address, outcome)
    : openSecure(s, plan.tls, address, peer.address, host, header, outcome);
}

function openPlain(address: ConnectOptions, outcome: OpeningOutcome): Opening {
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
}

function openSecure(
  s: Session,
  tls: StreamTls,
  address: ConnectOptions,
  peerText: string,
  host: string,
  header: Buffer | null,
  outcome: OpeningOutcome,
): Opening {
  const name = tls.nameOf(s, host);
  const credentials = tls.credentialsOf(s);
  const alpn = tls.alpnOf(s);
  const context = tls.contextOf(credentials);
  let settled = false;
  const fail = (message: string): void => {
    if (settled) return;
    settled = true;
    clock.update();
    outcome.failed(message);
  };
  if (typeof context === 'string') {
    queueMicrotask(() => fail(context));
    return { cancel: () => void (settled = true) };
  }

  const socket = connect(
    address.path !== null
      ? { path: address.path, allowHalfOpen: true }
      : {
          host: address.host,
          port: address.port,
          noDelay: true,
          allowHalfOpen: true,
          keepAlive: address.keepAlive,
          autoSelectFamily: false,
          ...(address.localAddress === null
            ? null
            : { localAddress: address.localAddress, localPort: address.localPort }),
        },
  );
  let destroy = (): void => void socket.destroy();
  socket.once('error', (error) => fail(failedText('connect()', error)));
  socket.once('connect', () => {
    if (settled) return;
    clock.update();
    s.action = 'SSL handshaking to upstream';
    if (header !== null) socket.write(header);
    const key = `${peerText} ${name} ${alpn.join()} ${credentials}`;
    const secure = startTls(tls, context, name, key, address, { over: socket, alpn });
    destroy = () => void secure.destroy();
    let problem: Error | null = null;
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
    secure.once('close', () => fail(withoutAction(tlsFailure(problem, true, name))));
  });
  return {
    cancel() {
      if (settled) return;
      settled = true;
      destroy();
    },
  };
}

/** The log adds what was being done itself. */
function withoutAction(message: string): string {
  return message.replace(/ while [^"]*$/, '');
}
