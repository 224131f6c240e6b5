/** Where a request goes: the group of a literal proxy_pass, or one found per request for a target with variables. */
import { parseUrl, peerAddress } from '../../config/address.ts';
import type { Resolver } from '../../discovery/resolver.ts';
import { clock } from '../../net/clock.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import type { UpstreamGroup } from './group.ts';
import type { ProxyPlan } from './plan.ts';
import { targetOf } from './request-writer.ts';

export interface Target {
  readonly group: UpstreamGroup | null;
  /** `$proxy_host` and `$proxy_port`. */
  readonly proxyHost: string;
  readonly proxyPort: string;
  /** What stands in the request line; null: the client's own target. */
  uriOf(r: HttpRequest, plan: ProxyPlan): string | null;
  /** Which idle connections are fit. */
  variantOf(r: HttpRequest, plan: ProxyPlan): string;
}

/** A target that was evaluated for one request. */
class FoundTarget implements Target {
  readonly group: UpstreamGroup;
  readonly proxyHost: string;
  readonly proxyPort: string;
  readonly #uri: string | null;

  constructor(group: UpstreamGroup, proxyHost: string, proxyPort: string, uri: string | null) {
    this.group = group;
    this.proxyHost = proxyHost;
    this.proxyPort = proxyPort;
    this.#uri = uri;
  }

  uriOf(r: HttpRequest, plan: ProxyPlan): string | null {
    return targetOf(r, plan, this.#uri);
  }

  variantOf(r: HttpRequest, plan: ProxyPlan): string {
    return plan.variantOf(r);
  }
}

/** Evaluates a target with variables and finds its group; null: an error was logged, the answer is 502 (500 for nonsense). */
export function resolveTarget(r: HttpRequest, plan: ProxyPlan, done: (target: Target | null) => void): void {
  const text = plan.target!.get(r);
  const scheme = /^https?:\/\//i.exec(text);
  if (scheme === null) {
    logRequest(r, 'error', `invalid URL prefix in "${text}"`);
    done(null);
    return;
  }
  const secure = scheme[0].length === 8;
  const defaultPort = secure ? 443 : 80;
  const parsed = parseUrl(text.slice(scheme[0].length), { defaultPort, uriPart: true });
  if (!parsed.ok) {
    logRequest(r, 'error', `${parsed.error} in upstream "${text}"`);
    done(null);
    return;
  }
  const { url } = parsed;
  const uri = url.uri === '' ? null : url.uri.startsWith('/') ? url.uri : `/${url.uri}`;
  const proxyHost =
    url.kind === 'unix' ? 'localhost' : url.noPort || url.port === defaultPort ? url.host : `${url.host}:${url.port}`;
  const finish = (group: UpstreamGroup): void => {
    const target = new FoundTarget(group, proxyHost, url.kind === 'unix' ? '' : String(url.port), uri);
    r.proxyTarget = { host: target.proxyHost, port: target.proxyPort };
    done(target);
  };
  const book = plan.book;
  const named = url.kind === 'inet' ? book.named(url.host, url.port, url.noPort) : null;
  if (named !== null) {
    finish(named);
    return;
  }
  if (url.kind === 'unix' || url.address !== null) {
    finish(book.of(proxyHost, [peerAddress(url.kind, url.address ?? url.host, url.port)]));
    return;
  }
  const resolver: Resolver | null = r.loc.resolver;
  if (resolver === null) {
    logRequest(r, 'error', `no resolver defined to resolve ${url.host}`);
    done(null);
    return;
  }
  resolver.lookup(url.host, r.loc.core.resolverTimeoutMs, (resolution) => {
    clock.update();
    if (r.aborted) return;
    if (!resolution.ok) {
      logRequest(r, 'error', `${url.host} could not be resolved (${resolution.code}: ${resolution.text})`);
      done(null);
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
