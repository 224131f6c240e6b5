/** Opens a connection to a server: by TCP or its own way, plain or with TLS over it. */
import type { Buffer } from 'node:buffer';
import { openTcp } from '../../net/link.ts';
import type { LinkOutcome, Opening } from '../../net/link.ts';
import { openSecure } from '../../net/secure-link.ts';
import type { SecureParts } from '../../net/secure-link.ts';
import type { ConnectOptions } from '../../net/dial.ts';
import type { Via } from '../../net/via.ts';
import type { PeerInfo } from '../../upstream/group.ts';
import type { Session } from '../session.ts';
import type { ProxyPlan } from './plan.ts';

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
  const way = via === null || via.direct ? null : via.to(address, peer.address);
  const { tls } = plan;
  if (tls === null) return way === null ? openTcp(address, outcome) : way(outcome);
  const parts: SecureParts = {
    tls,
    credentials: tls.credentialsOf(s),
    name: tls.nameOf(s, host),
    server: peer.address,
    address,
    alpn: tls.alpnOf(s),
    halfOpen: true,
    preface: header,
  };
  return openSecure(parts, way, () => void (s.action = 'SSL handshaking to upstream'), outcome);
}
