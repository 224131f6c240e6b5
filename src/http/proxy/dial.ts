/** Opens a connection to a peer for a channel that has it for itself: by TCP or the server's own way, plain or over TLS. */
import type { PeerInfo } from '../../upstream/group.ts';
import { openTcp } from '../../net/link.ts';
import type { DialLink, LinkOutcome, Opening } from '../../net/link.ts';
import { parseAddress } from '../../net/networks.ts';
import { openSecure } from '../../net/secure-link.ts';
import type { SecureParts } from '../../net/secure-link.ts';
import { Timer } from '../../net/timers.ts';
import type { Transport } from '../../net/transport.ts';
import type { ClientAddress, HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import type { Target } from './target.ts';
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
): Opening {
  const path = peer.family === 'unix' ? peer.host : null;
  const local = plan.bind === null || path !== null ? null : localOf(r, plan.bind.get(r));
  const localAddress = local === null ? null : local.text;
  const localPort = local === null ? 0 : local.port;
  const keepAlive = plan.config.socketKeepalive;
  const address = { host: peer.host, port: peer.port, path, localAddress, localPort, keepAlive };
  const outcome = new ChannelOutcome(plan, opened, failed);
  const vias = target.group === null ? null : target.group.vias;
  const named = vias === null ? undefined : vias.get(peer.server);
  const via = named === undefined || named.direct ? null : named;
  const way = via === null ? null : via.to(address, peer.address);
  const mostMs = via === null ? 0 : via.config.connectTimeoutMs;
  const { tls } = target;
  if (tls === null) return way === null ? openTcp(address, outcome) : within(mostMs, outcome, way);
  const parts: SecureParts = {
    tls,
    credentials: tls.credentialsOf(r),
    name: tls.nameOf(r, target.proxyHost),
    server: peer.address,
    address,
    alpn: plan.alpn,
    halfOpen: false,
    preface: null,
  };
  return within(mostMs, outcome, (to) => openSecure(parts, way, () => outcome.handshaking(), to));
}

/** Makes the plan's channel of a connection, and says in the log's text what was being done. */
class ChannelOutcome implements LinkOutcome {
  #action = 'connecting to upstream';
  readonly #plan: UpstreamPlan;
  readonly #opened: (channel: UpstreamChannel) => void;
  readonly #failed: (message: string, ours?: boolean) => void;

  constructor(
    plan: UpstreamPlan,
    opened: (channel: UpstreamChannel) => void,
    failed: (message: string, ours?: boolean) => void,
  ) {
    this.#plan = plan;
    this.#opened = opened;
    this.#failed = failed;
  }

  handshaking(): void {
    this.#action = 'SSL handshaking to upstream';
  }

  connected(transport: Transport): void {
    const channel = this.#plan.newChannel();
    channel.transport = transport;
    transport.owner = channel;
    this.#opened(channel);
  }

  failed(message: string, ours = false): void {
    this.#failed(ours ? message : `${message} while ${this.#action}`, ours);
  }
}

/** Ends an opening that takes longer. @param ms 0: no limit */
function within(ms: number, outcome: LinkOutcome, open: DialLink): Opening {
  if (ms === 0) return open(outcome);
  const opening = open({
    connected(transport) {
      timer.drop();
      outcome.connected(transport);
    },
    failed(message, ours) {
      timer.drop();
      outcome.failed(message, ours);
    },
  });
  const timer = new Timer(() => {
    timer.drop();
    opening.cancel();
    outcome.failed('upstream timed out (110: Connection timed out)');
  });
  timer.arm(ms);
  return {
    cancel() {
      timer.drop();
      opening.cancel();
    },
  };
}

/** The address of proxy_bind, which may come from a variable: what is none is told and not used, as in nginx. */
export function localOf(r: HttpRequest, text: string): ClientAddress | null {
  if (text === '' || text === 'off') return null;
  const address = parseAddress(text);
  if (address === null) logRequest(r, 'error', `invalid local address "${text}"`);
  return address;
}
