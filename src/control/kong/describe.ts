/** The health of an upstream as the Admin API tells it. */
import type { KongTargetHealth, KongUpstream, KongUpstreamHealth, KongWeights } from '../../config/kong/model.ts';
import { checksOf, shareOf, unavailable } from '../../health/kong/rules.ts';
import type { PeerSnapshot } from '../../upstream/snapshot.ts';
import type { PlaneGroup } from './group.ts';

export function describeHealth(upstream: KongUpstream, group: PlaneGroup): KongUpstreamHealth {
  const peers = group.snapshot();
  const { targets, healthchecks } = upstream;
  const share = shareOf(peers);
  return {
    checked: checksOf(healthchecks).any,
    healthy: unavailable(share, healthchecks.threshold, targets.length) === null,
    weight: weights(share.total, share.available),
    targets: targets.map((target, i): KongTargetHealth => {
      const own = peers.filter(({ serverIndex }) => serverIndex === i);
      const addresses = own.map((peer) => addressOf(peer, target.weight));
      const total = addresses.reduce((sum, { weight }) => sum + weight, 0);
      const available = addresses.reduce((sum, { weight, healthy }) => sum + (healthy ? weight : 0), 0);
      return {
        id: target.id,
        host: target.host,
        port: target.port,
        dns: target.kind === 'ipv6' ? 'AAAA' : target.kind === 'ipv4' ? 'A' : group.dnsOf(target.target),
        nodeWeight: target.weight,
        weight: weights(total, available),
        addresses,
      };
    }),
  };
}

function addressOf(peer: PeerSnapshot, nodeWeight: number): KongTargetHealth['addresses'][number] {
  const weight = nodeWeight === 0 ? 0 : peer.weight;
  return { ip: peer.host, port: peer.port, weight, healthy: peer.state !== 'unhealthy' && peer.state !== 'down' };
}

const weights = (total: number, available: number): KongWeights => ({
  total,
  available,
  unavailable: total - available,
});
