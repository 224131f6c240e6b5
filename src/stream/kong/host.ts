/** The name that a server of the Kong door is asked for by TLS (`$kong_host`: configurations cannot name it). */
import type { Session } from '../session.ts';

/** The client's with `preserve_host`, else the upstream's `host_header`, else the target's name. */
export function kongHost(s: Session): string | null {
  const { kong } = s;
  if (kong === null) return null;
  const asked = s.tls?.serverName ?? s.hello?.serverName ?? '';
  if (kong.route.preserveHost && asked !== '') return asked;
  return kong.hostHeader ?? s.lastServerName;
}
