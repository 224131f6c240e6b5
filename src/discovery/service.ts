/**
 * Services (SRV, RFC 2782) and the order of addresses: what nginx makes of them. Pure.
 */
import type { SrvTarget } from './message.ts';
import { failure } from './types.ts';
import type {
  FailedTarget,
  FailureCode,
  Resolution,
  ResolvedAddress,
  ServiceRecord,
  ServiceResolution,
} from './types.ts';

/**
 * In: the value of `service=` and the host of the server line. Out: the name to query: `http` and `example.com`
 * give `_http._tcp.example.com`, `_http._udp` gives `_http._udp.example.com`.
 */
export function serviceName(service: string, host: string): string {
  return service.includes('.') ? `${service}.${host}` : `_${service}._tcp.${host}`;
}

/**
 * Spreads the load of the first address over all: the addresses of each family are rotated to a random start, then
 * all are rotated to a random start (ngx_resolver_export). `random` gives [0, 1).
 */
export function rotateAddresses(v4: ResolvedAddress[], v6: ResolvedAddress[], random: () => number): ResolvedAddress[] {
  const start = Math.floor(random() * (v4.length + v6.length));
  const all = [...rotate(v4, Math.floor(random() * v4.length)), ...rotate(v6, Math.floor(random() * v6.length))];
  return rotate(all, (all.length - start) % all.length);
}

function rotate<T>(items: T[], start: number): T[] {
  return start === 0 ? items : [...items.slice(start), ...items.slice(0, start)];
}

/** What became of one target. */
export interface TargetResult {
  srv: SrvTarget;
  resolution: Resolution;
}

/**
 * Puts the answers for the targets together.
 *
 * A target that does not exist is left out. A target that failed otherwise fails the whole, so that the peers that
 * were known before stay; the addresses that were found are in `partial`.
 *
 * In: targets by priority ascending with their results; validity of the SRV answer itself; `negativeUntilMs` for
 * failures; random source in [0, 1).
 */
export function assembleService(
  results: TargetResult[],
  answer: { validUntilMs: number; ttlSec: number },
  negativeUntilMs: number,
  random: () => number,
): ServiceResolution {
  let { validUntilMs, ttlSec } = answer;
  let broken: FailureCode | null = null;
  const failed: FailedTarget[] = [];
  for (const { srv, resolution } of results) {
    if (resolution.ok) {
      validUntilMs = Math.min(validUntilMs, resolution.validUntilMs);
      ttlSec = Math.min(ttlSec, resolution.ttlSec);
      continue;
    }
    failed.push({ target: srv.target, code: resolution.code, text: resolution.text });
    if (resolution.code !== 3) {
      broken ??= resolution.code;
    }
  }
  const records = orderRecords(results, random);
  if (broken !== null || records.length === 0) {
    return { ...failure(broken ?? 3, negativeUntilMs), failed, partial: records };
  }
  return { ok: true, records, validUntilMs, ttlSec, failed };
}

/** Per priority: start at a target drawn by weight x addresses, then the others in order (ngx_resolver_report_srv). */
function orderRecords(results: TargetResult[], random: () => number): ServiceRecord[] {
  const records: ServiceRecord[] = [];
  let from = 0;
  while (from < results.length) {
    const priority = results[from]?.srv.priority;
    let to = from;
    while (results[to]?.srv.priority === priority && to < results.length) {
      to++;
    }
    const group = results.slice(from, to);
    const shares = group.map(({ srv, resolution }) => (resolution.ok ? resolution.addresses.length * srv.weight : 0));
    let draw = Math.floor(random() * shares.reduce((sum, share) => sum + share, 0));
    let start = 0;
    while (start < group.length - 1 && draw >= (shares[start] ?? 0)) {
      draw -= shares[start] ?? 0;
      start++;
    }
    for (const { srv, resolution } of rotate(group, start)) {
      if (resolution.ok) {
        for (const { family, address } of resolution.addresses) {
          records.push({ ...srv, family, address });
        }
      }
    }
    from = to;
  }
  return records;
}
