/** Opens a connection to a peer for a channel that has it for itself: plain or over TLS. */
import type { PeerInfo } from '../../upstream/group.ts';
import { clock } from '../../net/clock.ts';
import { dial, Transport } from '../../net/transport.ts';
import type { ConnectOptions, TransportOwner } from '../../net/transport.ts';
import { intermediates } from '../../net/tls-peer.ts';
import type { ClientAddress, HttpRequest } from '../request.ts';
import type { LinkOutcome } from '../../net/link.ts';
import { Timer } from '../../net/timers.ts';
import { secureOver } from '../../net/via.ts';
import type { Via } from '../../net/via.ts';
import { logRequest } from '../request-log.ts';
import { parseAddress } from '../../net/networks.ts';
import { failedText } from '../../observe/errno.ts';
import type { Target } from './target.ts';
import { startTls, tlsFailure } from '../../net/tls-client.ts';
import type { UpstreamChannel } from './upstream-channel.ts';
import type { UpstreamPlan } from './upstream-plan.ts';

/**
 * @param opened called once with the plan's channel, ready for an exchange
 * @param failed called once instead, with the log's text
 * @returns a handle that stops the attempt; neither callback is called after `cancel`
 */
export function openUpstream(
  r: HttpRequest,
  plan: UpstreamPlan,
  target: Target,
  peer: PeerInfo,
  opened: (channel: UpstreamChannel) => void,
  failed: (message: string, ours?: boolean) => void,
): { cancel(): void } {
  const path = peer.family === 'unix' ? peer.host : null;
  const local = plan.bind === null || path !== null ? null : localOf(r, plan.bind.get(r));
  const localAddress = local === null ? null : local.text;
  const localPort = local === null ? 0 : local.port;
  const keepAlive = plan.config.socketKeepalive;
  const address = { host: peer.host, port: peer.port, path, localAddress, localPort, keepAlive };
  const vias = target.group === null ? null : target.group.vias;
  const via = vias === null ? undefined : vias.get(peer.server);
  if (via !== undefined && !via.direct) return openVia(r, plan, target, via, address, peer, opened, failed);
  if (target.tls !== null) return openTls(r, plan, target, address, peer, opened, failed);

  const channel = plan.newChannel();
  let settled = false;
  const early: TransportOwner = {
    onData() {},
    onEnd() {},
    onDrain() {},
    onClose(error) {
      if (settled) return;
      settled = true;
      failed(`${failedText('connect()', error ?? new Error('connection closed'))} while connecting to upstream`);
    },
  };
  const transport = dial(address, early, () => {
    if (settled) return;
    settled = true;
    transport.owner = channel;
    opened(channel);
  });
  channel.transport = transport;
  return {
    cancel() {
      if (settled) return;
      settled = true;
      transport.destroy();
    },
  };
}

function openTls(
  r: HttpRequest,
  plan: UpstreamPlan,
  target: Target,
  address: ConnectOptions,
  peer: PeerInfo,
  opened: (channel: UpstreamChannel) => void,
  failed: (message: string, ours?: boolean) => void,
): { cancel(): void } {
  const tls = target.tls!;
  const name = tls.nameOf(r, target.proxyHost);
  let settled = false;
  const credentials = tls.credentialsOf(r);
  const context = tls.contextOf(credentials);
  if (typeof context === 'string') {
    // The caller has no handle to cancel yet.
    queueMicrotask(() => {
      if (!settled) failed(context, true);
    });
    return { cancel: () => void (settled = true) };
  }
  const socket = startTls(tls, context, name, `${peer.address} ${name} ${credentials}`, address, { alpn: plan.alpn });
  const channel = plan.newChannel();
  let connected = false;
  let problem: Error | null = null;
  socket.once('connect', () => {
    connected = true;
  });
  socket.once('secureConnect', () => {
    if (settled) return;
    settled = true;
    clock.update();
    if (tls.config.verify && !socket.isSessionReused() && intermediates(socket) > tls.config.verifyDepth) {
      socket.destroy();
      failed(
        'upstream SSL certificate verify error: (22:certificate chain too long) while SSL handshaking to upstream',
      );
      return;
    }
    const transport = new Transport(socket, null);
    channel.transport = transport;
    transport.owner = channel;
    opened(channel);
  });
  socket.once('error', (error) => {
    problem = error;
  });
  socket.once('close', () => {
    if (settled) return;
    settled = true;
    clock.update();
    failed(tlsFailure(problem, connected, name));
  });
  return {
    cancel() {
      if (settled) return;
      settled = true;
      socket.destroy();
    },
  };
}

/** By way of TLS, QUIC or a tunnel; the location's own TLS over it, if it has any. */
function openVia(
  r: HttpRequest,
  plan: UpstreamPlan,
  target: Target,
  via: Via,
  address: ConnectOptions,
  peer: PeerInfo,
  opened: (channel: UpstreamChannel) => void,
  failed: (message: string, ours?: boolean) => void,
): { cancel(): void } {
  let action = 'connecting to upstream';
  let settled = false;
  const outcome: LinkOutcome = {
    failed: (message) => failed(`${message} while ${action}`),
    connected(transport) {
      const channel = plan.newChannel();
      channel.transport = transport;
      transport.owner = channel;
      opened(channel);
    },
  };
  const timeoutMs = via.config.connectTimeoutMs;
  const timer = timeoutMs === 0 ? null : new Timer(() => late());
  const bounded: LinkOutcome = {
    failed(message) {
      end();
      outcome.failed(message);
    },
    connected(transport) {
      end();
      outcome.connected(transport);
    },
  };
  const end = (): void => {
    settled = true;
    timer?.drop();
  };
  const opening = begin();
  const late = (): void => {
    opening.cancel();
    bounded.failed('upstream timed out (110: Connection timed out)');
  };
  if (!settled) timer?.arm(timeoutMs);
  return {
    cancel() {
      end();
      opening.cancel();
    },
  };

  function begin(): { cancel(): void } {
    const way = via.to(address, peer.address);
    const { tls } = target;
    if (tls === null) return way(bounded);
    const name = tls.nameOf(r, target.proxyHost);
    const credentials = tls.credentialsOf(r);
    const context = tls.contextOf(credentials);
    if (typeof context === 'string') {
      // The caller has no handle to cancel yet.
      queueMicrotask(() => void (settled || failed(context, true)));
      return { cancel: () => void (settled = true) };
    }
    const key = `${peer.address} ${name} ${credentials}`;
    const parts = { tls, context, name, key, address, extras: { alpn: plan.alpn } };
    return secureOver(way, parts, () => void (action = 'SSL handshaking to upstream'), bounded);
  }
}

/** The address of proxy_bind, which may come from a variable: what is none is told and not used, as in nginx. */
export function localOf(r: HttpRequest, text: string): ClientAddress | null {
  if (text === '' || text === 'off') return null;
  const address = parseAddress(text);
  if (address === null) logRequest(r, 'error', `invalid local address "${text}"`);
  return address;
}
