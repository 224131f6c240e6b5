/** `allow` and `deny` of a location. */
import type { LocationConfig } from '../../config/model.ts';
import { AccessList, DENIED, UNDECIDED } from '../../net/access-list.ts';
import { logRequest } from '../request-log.ts';
import { ALLOW, DECLINED } from './phase.ts';
import type { AccessChecker } from './phase.ts';

/** @returns null when the location has no rules */
export function compileRules(config: LocationConfig): AccessChecker | null {
  if (config.access.length === 0) return null;
  const list = new AccessList(config.access);
  // With "any" another one may still allow it.
  const logs = config.core.satisfy === 'all';
  return (r) => {
    const verdict = list.decide(r.client.bytes);
    if (verdict === UNDECIDED) return DECLINED;
    if (verdict !== DENIED) return ALLOW;
    if (logs) logRequest(r, 'error', 'access forbidden by rule');
    return 403;
  };
}
