/** The table of balancers: a new one is a file beside this and a line here. */
import type { BalancerConfig } from '../../config/model.ts';
import { AddressHashBalancer } from './address_hash.ts';
import type { Balancer } from './balancer.ts';
import { ConsistentHashBalancer } from './consistent_hash.ts';
import { FairBalancer } from './fair.ts';
import { HashBalancer } from './hash.ts';
import { IpHashBalancer } from './ip_hash.ts';
import { leastConn } from './least_conn.ts';
import { LeastTimeBalancer } from './least_time.ts';
import { PeakEwmaBalancer } from './peak_ewma.ts';
import { RandomBalancer } from './random.ts';
import { roundRobinBalancer } from './round_robin.ts';
import { TargetRingBalancer } from './target_ring.ts';

type Makers = { [K in BalancerConfig['kind']]: (c: Extract<BalancerConfig, { kind: K }>) => Balancer };

const MAKERS: Makers = {
  round_robin: () => roundRobinBalancer,
  hash: (c) => (c.consistent ? new ConsistentHashBalancer() : new HashBalancer()),
  ip_hash: () => new IpHashBalancer(),
  address_hash: (c) => new AddressHashBalancer(c.active),
  fair: () => new FairBalancer(),
  least_conn: () => leastConn,
  least_time: (c) => new LeastTimeBalancer(c.mode, c.inflight),
  target_ring: () => new TargetRingBalancer(),
  peak_ewma: () => new PeakEwmaBalancer(),
  random: (c) => new RandomBalancer(c.two),
};

/** A thread's balancer for a group. */
export function makeBalancer(config: BalancerConfig): Balancer {
  return (MAKERS[config.kind] as (c: BalancerConfig) => Balancer)(config);
}
