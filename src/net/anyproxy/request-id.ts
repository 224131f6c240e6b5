/** Ids that requests keep over several proxies. */
import { randomBytes } from 'node:crypto';

/** Of this thread, for no other thread or machine may make the same id. */
const THREAD = randomBytes(8).toString('hex');
let made = 0;

/**
 * A new id. any-proxy puts a number of its own behind the `@` at each hop, and refuses ids without one.
 * @param local where the client's connection arrived, `ip:port`
 * @param remote where it came from
 */
export function newRequestId(local: string, remote: string): string {
  made++;
  return `${THREAD}-${made}_${local}_${remote}@${made}`;
}
