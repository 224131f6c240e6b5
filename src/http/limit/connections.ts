/** `limit_conn`: so many requests of a key at a time (ngx_http_limit_conn_module). */
import type { LimitConnConfig } from '../../config/model-access.ts';
import { REFUSED } from '../../limit/connections.ts';
import type { ConnectionTable } from '../../limit/connections.ts';
import { LIMIT } from '../../observe/counters.ts';
import * as engine from '../engine.ts';
import { logRequest } from '../request-log.ts';
import type { HttpRequest } from '../request.ts';
import { NEXT, TAKEN } from '../runtime.ts';
import { mainOf } from '../subrequest.ts';
import type { Phase } from '../runtime.ts';
import { RequestLimits } from './zones.ts';
import type { LimitBook, Zone } from './zones.ts';

const MAX_KEY = 255;

/** @returns null when the location has no limit */
export function compileLimitConn(config: LimitConnConfig, book: LimitBook): Phase | null {
  if (config.limits.length === 0) return null;
  const limits = config.limits.map(({ zone, connections }) => ({ zone: book.connections(zone), connections }));
  return (r) => {
    // Once a request, whatever it is redirected to, and whatever it asks for itself; held until the main request ends.
    const main = mainOf(r);
    if (main.limits !== null && main.limits.connStatus !== null) return NEXT;
    for (const { zone, connections } of limits) {
      const key = zone.key.get(r);
      if (key === '') continue;
      if (key.length > MAX_KEY) {
        logRequest(r, 'error', `the value of the "${zone.keyText}" key is more than 255 bytes: "${key}"`);
        continue;
      }
      const held = (main.limits ??= new RequestLimits());
      const node = zone.table.take(key, connections);
      if (node === REFUSED) return refuse(r, held, config, zone);
      zone.counts[LIMIT.passed]!++;
      held.connStatus = 'PASSED';
      held.hold(zone.table, node);
    }
    return NEXT;
  };
}

function refuse(
  r: HttpRequest,
  held: RequestLimits,
  { logLevel, dryRun, status }: LimitConnConfig,
  { name, counts }: Zone<ConnectionTable>,
): number {
  logRequest(r, logLevel, `limiting connections${dryRun ? ', dry run,' : ''} by zone "${name}"`);
  counts[dryRun ? LIMIT.rejectedDryRun : LIMIT.rejected]!++;
  held.release();
  held.connStatus = dryRun ? 'REJECTED_DRY_RUN' : 'REJECTED';
  if (dryRun) return NEXT;
  engine.finalize(r, status);
  return TAKEN;
}
