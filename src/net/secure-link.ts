/** TLS to servers: over a connection of its own, or over any other way. */
import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { checkServerIdentity, connect } from 'node:tls';
import type { ConnectionOptions, SecureContext, TLSSocket } from 'node:tls';
import { failedText } from '../observe/errno.ts';
import { clock } from './clock.ts';
import { dialDetachable } from './link.ts';
import type { DialLink, LinkOutcome, Opening } from './link.ts';
import { isLiteral } from './tls-client.ts';
import type { ClientTls } from './tls-client.ts';
import { countFailedHandshake, countHandshake } from './tls-counts.ts';
import { intermediates } from './tls-peer.ts';
import type { ConnectOptions } from './dial.ts';
import { SocketTransport } from './socket-transport.ts';

/** What a handshake with a server goes by. */
export interface SecureParts {
  tls: ClientTls;
  /** As `ClientTls.contextOf` wants them. */
  credentials: string;
  /** Sent by SNI, and what the certificate has to be for. */
  name: string;
  /** The server, for sessions that may be used again. */
  server: string;
  address: ConnectOptions;
  /** Protocols to ask for. */
  alpn: string[];
  /** The server may end its side and go on reading; over another way, as that has it. */
  halfOpen: boolean;
  /** Sent before the handshake; null: nothing is. */
  preface: Buffer | null;
}

/**
 * Opens a connection with TLS.
 * @param way null: a TCP connection of its own
 * @param begun called when the connection is there and the handshake begins
 */
export function openSecure(parts: SecureParts, way: DialLink | null, begun: () => void, outcome: LinkOutcome): Opening {
  const context = parts.tls.contextOf(parts.credentials);
  if (typeof context === 'string') return refuse(context, outcome);
  // A socket of TLS's own is the cheaper one, but nothing can be sent before the handshake.
  if (way === null && parts.preface === null) return shakeHands(parts, context, null, begun, outcome);
  return secureOver(way ?? dialDetachable(parts.address), parts, context, begun, outcome);
}

/** Not even tried. */
function refuse(message: string, outcome: LinkOutcome): Opening {
  let cancelled = false;
  queueMicrotask(() => {
    if (!cancelled) outcome.failed(message, true);
  });
  return { cancel: () => void (cancelled = true) };
}

function secureOver(
  way: DialLink,
  parts: SecureParts,
  context: SecureContext,
  begun: () => void,
  outcome: LinkOutcome,
): Opening {
  let cancelled = false;
  let opening = way({
    failed: (message) => void (cancelled || outcome.failed(message)),
    connected(transport) {
      if (cancelled) return;
      const socket = transport.socket!;
      transport.detach();
      if (parts.preface !== null) socket.write(parts.preface);
      opening = shakeHands(parts, context, socket, begun, outcome);
    },
  });
  return {
    cancel() {
      cancelled = true;
      opening.cancel();
    },
  };
}

/** @param over a connection that is there already; null: one is made */
function shakeHands(
  parts: SecureParts,
  context: SecureContext,
  over: Socket | null,
  begun: () => void,
  outcome: LinkOutcome,
): Opening {
  const { config } = parts.tls;
  const secure = startTls(parts, context, over);
  let settled = false;
  let connected = over !== null;
  let problem: Error | null = null;
  const fail = (message: string): void => {
    if (settled) return;
    settled = true;
    clock.update();
    outcome.failed(message);
  };
  if (connected) begun();
  else {
    secure.once('connect', () => {
      connected = true;
      begun();
    });
  }
  secure.once('secureConnect', () => {
    if (settled) return;
    if (config.verify && !secure.isSessionReused() && intermediates(secure) > config.verifyDepth) {
      fail('upstream SSL certificate verify error: (22:certificate chain too long)');
      secure.destroy();
      return;
    }
    settled = true;
    clock.update();
    outcome.connected(new SocketTransport(secure, null));
  });
  secure.on('error', (error) => {
    problem = error;
  });
  secure.once('close', () => fail(failureOf(problem, connected, parts.name)));
  return {
    cancel() {
      if (settled) return;
      settled = true;
      secure.destroy();
    },
  };
}

function startTls(parts: SecureParts, context: SecureContext, over: Socket | null): TLSSocket {
  const { tls, credentials, name, server, address, alpn, halfOpen } = parts;
  const key = `${server} ${name} ${alpn.join()} ${credentials}`;
  const session = tls.session(key);
  const options: ConnectionOptions & { allowHalfOpen?: boolean } = {
    secureContext: context,
    rejectUnauthorized: tls.config.verify,
    checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
  };
  if (over !== null) options.socket = over;
  else {
    const { host, port, path, localAddress, localPort } = address;
    Object.assign(options, path !== null ? { path } : { host, port });
    if (localAddress !== null) Object.assign(options, { localAddress, localPort });
    options.allowHalfOpen = halfOpen;
  }
  if (tls.config.serverName && !isLiteral(name)) options.servername = name;
  if (session !== undefined) options.session = session;
  if (alpn.length > 0) options.ALPNProtocols = alpn;
  const socket = connect(options);
  socket.setNoDelay(true);
  if (address.keepAlive) socket.setKeepAlive(true);
  let connected = false;
  socket.once('secureConnect', () => {
    connected = true;
    countHandshake(socket.isSessionReused());
  });
  // Not being able to connect is no failed handshake.
  socket.once('error', (error: NodeJS.ErrnoException) => {
    if (!connected && error.syscall !== 'connect') countFailedHandshake(error);
  });
  socket.on('session', (data: Buffer) => tls.keepSession(key, data));
  return socket;
}

/** nginx's wording of what can go wrong; the action at that time is for the caller to add. */
function failureOf(error: Error | null, connected: boolean, name: string): string {
  if (error === null) return 'peer closed connection in SSL handshake';
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (!connected && code.startsWith('E') && !code.startsWith('ERR_')) return failedText('connect()', error);
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return `upstream SSL certificate does not match "${name}"`;
  if (/CERT|SELF_SIGNED|VERIFY|CRL|UNABLE_TO/.test(code))
    return `upstream SSL certificate verify error: (${code}:${error.message})`;
  return `SSL_do_handshake() failed (SSL: ${error.message})`;
}
