/** Where a request goes: the group of a literal proxy_pass, or one found per request for a target with variables. */
import { parseUrl, peerAddress } from '../../config/address.ts';
import type { Resolver } from '../../discovery/resolver.ts';
import { clock } from '../../net/clock.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import type { UpstreamGroup } from './group.ts';
import type { UpstreamTls } from './tls.ts';
import type { UpstreamPlan } from './upstream-plan.ts';

export interface Target {
  readonly group: UpstreamGroup | null;
  /** Null: servers are reached without TLS. */
  readonly tls: UpstreamTls | null;
  /** `$proxy_host` and `$proxy_port`. */
  readonly proxyHost: string;
  readonly proxyPort: string;
  /** URI part; null: none. */
  readonly uriPart: string | null;
}

/**
 * Evaluates a target with variables and finds its group.
 * @param done called once, with the target or with the status that is answered; the error was logged
 */
export function resolveTarget(r: HttpRequest, plan: UpstreamPlan, done: (target: Target | number) => void): void {
  const text = plan.target!.get(r);
  const split = plan.splitTarget(text);
  if (split === null) {
    logRequest(r, 'error', `invalid URL prefix in "${text}"`);
    done(500);
    return;
  }
  const { defaultPort } = split;
  const parsed = parseUrl(split.address, { defaultPort, uriPart: true });
  if (!parsed.ok) {
    logRequest(r, 'error', `${parsed.error} in upstream "${text}"`);
    done(500);
    return;
  }
  const { url } = parsed;
  const uriPart = url.uri === '' ? null : url.uri.startsWith('/') ? url.uri : `/${url.uri}`;
  const proxyHost =
    url.kind === 'unix' ? 'localhost' : url.noPort || url.port === defaultPort ? url.host : `${url.host}:${url.port}`;
  const finish = (group: UpstreamGroup): void => {
    const proxyPort = url.kind === 'unix' ? '' : String(url.port);
    r.proxyTarget = { host: proxyHost, port: proxyPort };
    done({ group, tls: split.secure ? plan.tls : null, proxyHost, proxyPort, uriPart });
  };
  const book = plan.book;
  const named = url.kind === 'inet' ? book.named(url.host, url.port, url.noPort) : null;
  if (named !== null) {
    finish(named);
    return;
  }
  if (url.kind !== 'unix' && url.port === 0) {
    logRequest(r, 'error', `no port in upstream "${url.host}"`);
    done(500);
    return;
  }
  if (url.kind === 'unix' || url.address !== null) {
    finish(book.of(proxyHost, [peerAddress(url.kind, url.address ?? url.host, url.port)]));
    return;
  }
  const resolver: Resolver | null = r.loc.resolver;
  if (resolver === null) {
    logRequest(r, 'error', `no resolver defined to resolve ${url.host}`);
    done(502);
    return;
  }
  resolver.lookup(url.host, r.loc.core.resolverTimeoutMs, (resolution) => {
    clock.update();
    if (r.aborted) return;
    if (!resolution.ok) {
      logRequest(r, 'error', `${url.host} could not be resolved (${resolution.code}: ${resolution.text})`);
      done(502);
      return;
    }
    finish(
      book.of(
        proxyHost,
        resolution.addresses.map((a) => peerAddress(a.family === 4 ? 'inet' : 'inet6', a.address, url.port)),
      ),
    );
  });
}
