/** `hash key`: compatible with Cache::Memcached (spec 2.5). */
import type { Attempt } from '../attempt.ts';
import { CRC_START, crcEnd, crcText } from '../crc32.ts';
import type { Selection } from '../selection.ts';
import { type Balancer, MAX_MISSES, ROUND_ROBIN } from './balancer.ts';
import { WeightTable } from './weights.ts';

export class HashBalancer implements Balancer {
  readonly choosesBackup = false;
  readonly inflight = false;
  private readonly weights = new WeightTable();

  defers(s: Selection, a: Attempt, list: number): boolean {
    return a.misses > MAX_MISSES || s.count(list) < 2 || a.hashKey === '';
  }

  select(s: Selection, a: Attempt, list: number): number {
    const total = s.totalWeight(list);
    while (a.misses <= MAX_MISSES) {
      const salted = a.rehash > 0 ? crcText(CRC_START, String(a.rehash)) : CRC_START;
      const hash = (crcEnd(crcText(salted, a.hashKey)) >>> 16) & 0x7fff;
      a.hash = (a.hash + hash) >>> 0;
      a.rehash++;
      const slot = this.weights.slotAt(s, list, a.hash % total);
      if (s.usable(a, slot)) return slot;
      a.misses++;
    }
    return ROUND_ROBIN;
  }
}
