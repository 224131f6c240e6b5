/** Opens a TCP connection to a server, plain or with TLS over it. */
import type { Buffer } from 'node:buffer';
import { connect } from 'node:net';
import { clock } from '../../net/clock.ts';
import { dialTcp } from '../../net/link.ts';
import type { DialLink, LinkOutcome, Opening } from '../../net/link.ts';
import { startTls, tlsFailure } from '../../net/tls-client.ts';
import { intermediates } from '../../net/tls-peer.ts';
import { Transport } from '../../net/transport.ts';
import type { ConnectOptions } from '../../net/transport.ts';
import { secureOver } from '../../net/via.ts';
import type { Via } from '../../net/via.ts';
import { failedText } from '../../observe/errno.ts';
import type { PeerInfo } from '../../upstream/group.ts';
import type { Session } from '../session.ts';
import type { ProxyPlan, StreamTls } from './plan.ts';

/** `failed`: the action at that time is part of the message. */
export type OpeningOutcome = LinkOutcome;
export type { Opening };

/**
 * @param via null: plain TCP
 * @param host what TLS asks for and checks, unless proxy_ssl_name says otherwise
 * @param header sent before a TLS handshake; null: nothing is
 */
export function openServer(
  s: Session,
  plan: ProxyPlan,
  peer: PeerInfo,
  via: Via | null,
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
  if (via !== null && !via.direct) return openVia(s, plan.tls, via, address, peer.address, host, header, outcome);
  return plan.tls === null
    ? dialTcp(address)(outcome)
    : openSecure(s, plan.tls, address, peer.address, host, header, outcome);
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

/** By way of TLS, QUIC or a tunnel; TLS of the session's own over it, if there is. */
function openVia(
  s: Session,
  tls: StreamTls | null,
  via: Via,
  address: ConnectOptions,
  peerText: string,
  host: string,
  header: Buffer | null,
  outcome: OpeningOutcome,
): Opening {
  const way = via.to(address, peerText);
  if (tls === null) return way(outcome);
  const name = tls.nameOf(s, host);
  const credentials = tls.credentialsOf(s);
  const alpn = tls.alpnOf(s);
  const context = tls.contextOf(credentials);
  if (typeof context === 'string') {
    let cancelled = false;
    queueMicrotask(() => void (cancelled || outcome.failed(context)));
    return { cancel: () => void (cancelled = true) };
  }
  const key = `${peerText} ${name} ${alpn.join()} ${credentials}`;
  const led: DialLink = (inner) =>
    way({
      failed: (message) => inner.failed(message),
      connected(transport) {
        if (header !== null) transport.write(header, 0, header.length);
        inner.connected(transport);
      },
    });
  const begun = (): void => void (s.action = 'SSL handshaking to upstream');
  return secureOver(led, { tls, context, name, key, address, extras: { alpn } }, begun, outcome);
}

/** The log adds what was being done itself. */
function withoutAction(message: string): string {
  return message.replace(/ while [^"]*$/, '');
}
