/** Where a session goes: the group of a literal proxy_pass, or one found for this session. */
import { parseUrl, peerAddress } from '../../config/address.ts';
import { clock } from '../../net/clock.ts';
import type { Session } from '../session.ts';
import type { StreamGroup } from './group.ts';
import type { ProxyPlan } from './plan.ts';

/**
 * @param found called at once or later, with the group and the host that TLS asks for; null: the log says why not.
 * It may come after the session's end.
 */
export function findTarget(
  s: Session,
  plan: ProxyPlan,
  found: (group: StreamGroup | null, host: string) => void,
): void {
  if (plan.group !== null) {
    found(plan.group, plan.group.config.name);
    return;
  }
  const text = plan.target!.get(s);
  const refuse = (message: string): void => {
    s.log('error', message);
    found(null, '');
  };
  const parsed = parseUrl(text);
  if (!parsed.ok) {
    refuse(`${parsed.error} in upstream "${text}"`);
    return;
  }
  const { url } = parsed;
  const { book } = plan;
  const named = url.kind === 'inet' ? book.named(url.host, url.port, url.noPort) : null;
  if (named !== null) {
    found(named, url.host);
    return;
  }
  if (url.port === 0 && url.kind !== 'unix') {
    refuse(`no port in upstream "${url.host}"`);
    return;
  }
  if (url.address !== null) {
    found(book.of(url.host, [peerAddress(url.kind, url.address, url.port)]), url.host);
    return;
  }
  const { resolver, config } = s.server;
  if (resolver === null) {
    refuse(`no resolver defined to resolve ${url.host}`);
    return;
  }
  resolver.lookup(url.host, config.core.resolverTimeoutMs, (resolution) => {
    clock.update();
    if (s.status !== 0) return;
    if (!resolution.ok) {
      refuse(`${url.host} could not be resolved (${resolution.code}: ${resolution.text})`);
      return;
    }
    const addresses = resolution.addresses.map((a) =>
      peerAddress(a.family === 4 ? 'inet' : 'inet6', a.address, url.port),
    );
    found(book.of(url.host, addresses), url.host);
  });
}
