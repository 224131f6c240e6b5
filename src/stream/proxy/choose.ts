/** An attempt of a session at a server: what TCP and UDP have in common of it. */
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
