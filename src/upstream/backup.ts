/** Which balancing methods know a backup list, and servers that start slowly. */
import type { BalancerConfig } from '../config/model.ts';

const WITHOUT: readonly BalancerConfig['kind'][] = ['hash', 'ip_hash', 'address_hash', 'fair', 'random'];

export function knowsBackup({ kind }: BalancerConfig): boolean {
  return !WITHOUT.includes(kind);
}
