/**
 * Kong's entities as a worker runs them: a router, and plans and groups that are made when a request first asks for them. Peers
 * that come and go change in shared memory.
 */
import { Buffer } from 'node:buffer';
import { type KongChange, type KongFeed, wholeChange } from '../../config/kong/groups.ts';
import { KnownEntities } from '../../config/kong/known.ts';
import type { KongRoute, KongService } from '../../config/kong/model.ts';
import type { LocationConfig } from '../../config/model.ts';
import { NetworkList } from '../../net/networks.ts';
import type { GroupEnv } from '../../upstream/group.ts';
import type { TargetBook } from '../../upstream/target-book.ts';
import * as engine from '../engine.ts';
import { proxy } from '../proxy/exchange.ts';
import type { UpstreamGroup } from '../proxy/group.ts';
import type { HttpRequest } from '../request.ts';
import { newRequestId } from '../variables/request.ts';
import type { VariableTable } from '../variables/table.ts';
import { escapeUri } from '../wire/escape.ts';
import { isGrpc, NO_GRPC, NO_SERVICE, WANTS_HTTP2, WANTS_TLS } from './answers.ts';
import { KongUpstreamGroup } from './group.ts';
import { valuesOf } from './hash-input.ts';
import { explain, type KongBuffering, type KongPlan, kongPlan } from './plan.ts';
import { type Routed, type RouteMatch, Router } from './router.ts';
import { servicePath } from './target-uri.ts';
import { forwarded } from './variables.ts';

export interface KongRuntimeEnv {
  location: LocationConfig;
  group: GroupEnv;
  variables: VariableTable;
  book: TargetBook<UpstreamGroup>;
}

/** Over TLS, or by the word of a proxy that has ended it. */
function isSecure(r: HttpRequest, trusted: boolean): boolean {
  const told = forwarded(r, trusted, 'x-forwarded-proto');
  return told === '' ? r.channel.tls !== null : told === 'https';
}

const needsTls = ({ protocols }: KongRoute): boolean => protocols.includes('https') && !protocols.includes('http');
const forGrpc = ({ protocols }: KongRoute): boolean => protocols.includes('grpc') || protocols.includes('grpcs');

/** Of `HttpRequest.version`. */
const HTTP2 = 20;

/** What the router looks at; one for all requests of a runtime. */
class RoutedRequest implements Routed {
  r!: HttpRequest;

  get method(): string {
    return this.r.methodName;
  }
  get host(): string {
    return this.r.host;
  }
  get port(): number {
    return this.r.channel.localPort();
  }
  get path(): string {
    return this.r.uri;
  }
  get serverName(): string {
    return this.r.channel.tls?.serverName ?? '';
  }
  header(name: string): string[] {
    return valuesOf(this.r, name);
  }
}

export class KongRuntime {
  readonly #env: KongRuntimeEnv;
  readonly #routed = new RoutedRequest();
  /** Proxies whose word counts; null: nobody's does. */
  readonly #trusted: NetworkList | null;
  #router = new Router([]);
  /** Plans by service, and whether requests and answers are buffered. */
  readonly #known: KnownEntities<KongUpstreamGroup, KongPlan>;

  constructor(env: KongRuntimeEnv, feed: KongFeed) {
    this.#env = env;
    const { from } = env.location.realip;
    this.#trusted = from.length === 0 ? null : new NetworkList(from);
    this.#known = new KnownEntities(
      (data) => new KongUpstreamGroup(data, env.group, env.variables),
      ({ group }) => group.idle?.closeAll(),
    );
    if (feed.state !== null) this.take(wholeChange(feed.state));
  }

  take(change: KongChange): void {
    if (change.routes !== undefined) this.#router = new Router(change.routes);
    this.#known.take(change);
  }

  /** The handler of the location. */
  handle(r: HttpRequest): void {
    this.#routed.r = r;
    const match = this.#router.find(this.#routed);
    if (match === null) {
      engine.finalize(r, 404);
      return;
    }
    const { route } = match;
    const service = route.service === null ? undefined : this.#known.services.get(route.service);
    const trusted = this.#trusted !== null && this.#trusted.has(r.channel.peer.bytes);
    if (needsTls(route) && !isSecure(r, trusted)) {
      this.#wantsTls(r, match, service);
      return;
    }
    if (forGrpc(route) && !this.#grpc(r, match, service, isSecure(r, trusted))) return;
    const plan = service?.enabled === true ? this.#plan(service, route) : null;
    if (service === undefined || plan === null) {
      r.kong = caseOf(r, match, EMPTY_SERVICE, null);
      r.kong.message = NO_SERVICE;
      if (service?.enabled === true) r.fields.set('X-Headrace-Reason', `protocol ${service.protocol}`);
      engine.finalize(r, 503);
      return;
    }
    r.kong = caseOf(r, match, service, plan.upstream.data.upstream?.hostHeader ?? null, trusted);
    const reason = plan.upstream.unavailable();
    if (reason === null) {
      proxy(r, plan);
      return;
    }
    explain(r, plan, reason);
    engine.finalize(r, 503);
  }

  #wantsTls(r: HttpRequest, match: RouteMatch, service: KongService | undefined): void {
    const { httpsRedirectStatusCode: status } = match.route;
    r.kong = caseOf(r, match, service ?? EMPTY_SERVICE, null);
    if (status !== 426) {
      engine.redirect(r, status, `https://${r.host}${r.head.target()}`);
      return;
    }
    r.kong.message = WANTS_TLS;
    r.fields.set('Upgrade', 'TLS/1.2, HTTP/1.1');
    engine.finalize(r, 426);
  }

  /** A route of gRPC is for requests of gRPC alone. @returns false: it is answered */
  #grpc(r: HttpRequest, match: RouteMatch, service: KongService | undefined, secure: boolean): boolean {
    const grpc = isGrpc(r);
    if (grpc && r.version === HTTP2) {
      if (secure || match.route.protocols.includes('grpc')) return true;
      r.fields.set('grpc-status', '1');
      r.fields.set('grpc-message', 'gRPC request matched gRPCs route');
      r.respond(200, 'application/grpc', Buffer.alloc(0));
      return false;
    }
    r.kong = caseOf(r, match, service ?? EMPTY_SERVICE, null);
    r.kong.message = grpc ? WANTS_HTTP2 : NO_GRPC;
    if (grpc) r.fields.set('Upgrade', 'HTTP/2');
    engine.finalize(r, grpc ? 426 : 415);
    return false;
  }

  /** Null: what the service leads to is not known (yet), or it is spoken to on other addresses. */
  #plan(service: KongService, buffering: KongBuffering): KongPlan | null {
    // Others are for routes of TCP, TLS and UDP.
    if (!/^(?:http|grpc)s?$/.test(service.protocol)) return null;
    const id = `${service.id} ${buffering.requestBuffering} ${buffering.responseBuffering}`;
    const known = this.#known.plans.get(id);
    if (known !== undefined) return known;
    const group = this.#known.groupFor(service);
    if (group === null) return null;
    const { plans, certificates, caCertificates } = this.#known;
    const plan = kongPlan(service, group, buffering, { ...this.#env, certificates, caCertificates });
    plans.set(id, plan);
    return plan;
  }

  /** The generation has ended. */
  close(): void {
    this.#known.close();
  }
}

function caseOf(
  r: HttpRequest,
  { route, matched, captures }: RouteMatch,
  service: KongService,
  hostHeader: string | null,
  trusted = false,
): NonNullable<HttpRequest['kong']> {
  const { stripPath, pathHandling } = route;
  const prefix = stripPath && matched > 0 ? r.uri.slice(0, matched) : '';
  let uri: string | null = null;
  // Without anything to change the client's own bytes go on.
  if ((stripPath && matched > 0) || (service.path !== null && service.path !== '/') || !r.validUnparsed) {
    const path = escapeUri(servicePath(r.uri, matched, service.path, stripPath, pathHandling));
    uri = r.args === '' ? path : `${path}?${r.args}`;
  }
  return { route, service, hostHeader, uri, prefix, captures, trusted, id: newRequestId(), message: '' };
}

const EMPTY_SERVICE = { protocol: 'http', path: null, host: '' } as KongService;
