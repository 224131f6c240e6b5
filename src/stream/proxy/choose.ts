/** An attempt of a session at a server: what TCP and UDP have in common of it. */
import type { StreamProxyConfig } from '../../config/stream-model.ts';
import { clock } from '../../net/clock.ts';
import { writeProxyV1, writeProxyV2 } from '../../net/proxy-protocol.ts';
import { BUSY } from '../../upstream/group.ts';
import type { Attempt, PeerInfo } from '../../upstream/group.ts';
import type { Session, UpstreamAttempt } from '../session.ts';
import type { StreamGroup } from './group.ts';

/** Notes a new attempt and chooses its server; `peer` null: there is none, and the log says so. */
export function choosePeer(
  s: Session,
  group: StreamGroup,
  attempt: Attempt,
): { trace: UpstreamAttempt; peer: PeerInfo | null } {
  s.action = 'connecting to upstream';
  const trace = { address: '', connectMs: -1, firstByteMs: -1, sessionMs: -1, bytesSent: 0, bytesReceived: 0 };
  (s.attempts ??= []).push(trace);
  const slot = group.peers.pick(attempt);
  if (slot === BUSY) {
    trace.address = group.config.name;
    s.log('error', 'no live upstreams');
    return { trace, peer: null };
  }
  const peer = group.peers.peer(slot);
  trace.address = peer.address;
  s.lastServerName = peer.server;
  return { trace, peer };
}

/** What a server is told of the client before anything else; null: nothing is. @param datagrams not a connection */
export function proxyHeader(s: Session, { proxyProtocol }: StreamProxyConfig, datagrams: boolean): Buffer | null {
  if (proxyProtocol === 0) return null;
  const source = { address: s.client.text, port: s.client.port };
  const destination = { address: s.localAddress(), port: s.localPort() };
  return proxyProtocol === 1 ? writeProxyV1(source, destination) : writeProxyV2(source, destination, [], datagrams);
}

/** Whether another server is tried. @param beganAt when the first one was */
export function triesAnother(config: StreamProxyConfig, { triesLeft }: Attempt, beganAt: number): boolean {
  const { nextUpstream, nextUpstreamTimeoutMs: mostMs } = config;
  return nextUpstream && triesLeft > 0 && (mostMs === 0 || clock.now - beganAt < mostMs);
}

/**
 * A server could not be reached: says so to the group.
 *
 * @param timedOut it did not answer in time
 */
export function attemptFailed(
  s: Session,
  group: StreamGroup,
  attempt: Attempt,
  peer: PeerInfo | null,
  elapsedMs: number,
  timedOut: boolean,
): void {
  if (group.observer !== null && peer !== null) group.observer.ended(s, peer, timedOut ? 504 : 502);
  const outcome = { failed: true, next: false, hadHeader: false, headerMs: 0, responseMs: elapsedMs };
  if (group.peers.done(attempt, outcome)) s.log('warn', 'upstream server temporarily disabled');
}
