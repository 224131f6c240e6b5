/** `ip_hash`: by the first three bytes of an IPv4 address, all of IPv6 (spec 2.7). */
import type { Attempt } from '../attempt.ts';
import type { Selection } from '../selection.ts';
import { type Balancer, MAX_MISSES, ROUND_ROBIN } from './balancer.ts';
import { WeightTable } from './weights.ts';

const START = 89;

export class IpHashBalancer implements Balancer {
  readonly choosesBackup = false;
  readonly inflight = false;
  private readonly weights = new WeightTable();

  defers(s: Selection, a: Attempt, list: number): boolean {
    return a.misses > MAX_MISSES || s.count(list) < 2;
  }

  select(s: Selection, a: Attempt, list: number): number {
    const total = s.totalWeight(list);
    const address = a.clientAddress;
    const bytes = address.length === 16 ? 16 : 3;
    // rehash marks that the hash was begun; only a success keeps it for the next attempt, misses go on from it anyway
    let hash = a.rehash === 0 ? START : a.hash;
    while (a.misses <= MAX_MISSES) {
      for (let i = 0; i < bytes; i++) hash = (hash * 113 + (address[i] ?? 0)) % 6271;
      const slot = this.weights.slotAt(s, list, hash % total);
      if (s.usable(a, slot)) {
        a.hash = hash;
        a.rehash = 1;
        return slot;
      }
      a.misses++;
    }
    return ROUND_ROBIN;
  }
}
