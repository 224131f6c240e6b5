/** What a session passes before anything is read of it: realip, `set`, limits, access. */
import { DENIED } from '../net/access-list.ts';
import { parseAddress } from '../net/networks.ts';
import type { NetworkList } from '../net/networks.ts';
import { FORBIDDEN, UNAVAILABLE } from './session.ts';
import type { Session } from './session.ts';

/** @returns 0, or the status that the session is refused with */
export function admit(s: Session): number {
  const { server } = s;
  if (server.trusted !== null) takeAddress(s, server.trusted);
  for (const { set, value } of server.sets) set(s, value.get(s));
  if (server.limits !== null && !server.limits.enter(s)) return UNAVAILABLE;
  if (server.access !== null && server.access.decide(s.client.bytes) === DENIED) {
    s.log('error', 'access forbidden by rule');
    return FORBIDDEN;
  }
  return 0;
}

/** Behind a trusted proxy the client's address is the one in its PROXY protocol header. */
function takeAddress(s: Session, trusted: NetworkList): void {
  if (s.proxyProtocol === null || !trusted.has(s.peer.bytes)) return;
  const address = parseAddress(s.proxyProtocol.sourceAddress);
  if (address !== null) s.client = { ...address, port: s.proxyProtocol.sourcePort };
}
