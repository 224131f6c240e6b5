/** How requests for a service are taken to its servers: by HTTP/1.1, or by HTTP/2 where gRPC is spoken. */
import type { LocationConfig, ProxySslConfig, UpstreamPassConfig, UpstreamSettings } from '../../config/model.ts';
import { type KnownCertificates, serviceSsl } from '../../config/kong/known.ts';
import type { KongRoute, KongService } from '../../config/kong/model.ts';
import type { TargetBook } from '../../upstream/target-book.ts';
import type { UpstreamGroup } from '../proxy/group.ts';
import { GrpcPlan } from '../proxy/http2/grpc-plan.ts';
import { ProxyPlan } from '../proxy/plan.ts';
import { UpstreamTls } from '../proxy/tls.ts';
import type { Target } from '../proxy/target.ts';
import type { CommonParts, UpstreamPlan } from '../proxy/upstream-plan.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import type { VariableTable } from '../variables/table.ts';
import type { ResponseHead } from '../wire/response-head.ts';
import { NO_NAME, NO_PEER } from './answers.ts';
import type { KongUpstreamGroup } from './group.ts';

export interface KongPlanEnv extends KnownCertificates {
  location: LocationConfig;
  variables: VariableTable;
  book: TargetBook<UpstreamGroup>;
}

export type KongPlan = UpstreamPlan & { readonly service: KongService; readonly upstream: KongUpstreamGroup };

export const speaksGrpc = ({ protocol }: KongService): boolean => protocol === 'grpc' || protocol === 'grpcs';

/** Of a route: whether one side need not wait for the other. */
export type KongBuffering = Pick<KongRoute, 'requestBuffering' | 'responseBuffering'>;

export function kongPlan(
  service: KongService,
  upstream: KongUpstreamGroup,
  buffering: KongBuffering,
  env: KongPlanEnv,
): KongPlan {
  return speaksGrpc(service)
    ? new KongGrpcPlan(service, upstream, env)
    : new KongHttpPlan(service, upstream, buffering, env);
}

class KongHttpPlan extends ProxyPlan {
  readonly service: KongService;
  readonly upstream: KongUpstreamGroup;

  constructor(service: KongService, upstream: KongUpstreamGroup, of: KongBuffering, env: KongPlanEnv) {
    const { requestBuffering, responseBuffering: buffering } = of;
    const { proxy } = env.location;
    const ssl = serviceSsl(proxy.ssl, service, upstream.data.upstream, env);
    const settings = { ...settingsOf(service), requestBuffering, buffering, ssl };
    const location = { ...env.location, proxy: { ...proxy, ...settings } };
    super(location, location.match, parts(service, upstream, ssl, env));
    this.service = service;
    this.upstream = upstream;
  }

  /** Fields that Kong adds to answers of servers. */
  override readonly rewritesAnswer = true;

  override rewriteAnswer(r: HttpRequest, target: Target, head: ResponseHead): void {
    super.rewriteAnswer(r, target, head);
    addFields(r);
  }

  override uriOf(r: HttpRequest): string | null {
    return r.kong!.uri;
  }

  override nobody(r: HttpRequest): number {
    return nobody(r, this);
  }
}

class KongGrpcPlan extends GrpcPlan {
  readonly service: KongService;
  readonly upstream: KongUpstreamGroup;

  constructor(service: KongService, upstream: KongUpstreamGroup, env: KongPlanEnv) {
    const grpc = env.location.grpc!;
    const ssl = serviceSsl(grpc.ssl, service, upstream.data.upstream, env);
    super({ ...grpc, ...settingsOf(service), ssl }, parts(service, upstream, ssl, env));
    this.service = service;
    this.upstream = upstream;
  }

  override readonly rewritesAnswer = true;

  override rewriteAnswer(r: HttpRequest, target: Target, head: ResponseHead): void {
    super.rewriteAnswer(r, target, head);
    addFields(r);
  }

  override uriOf(r: HttpRequest): string | null {
    return r.kong!.uri;
  }

  override nobody(r: HttpRequest): number {
    return nobody(r, this);
  }
}

function addFields(r: HttpRequest): void {
  const upstreamMs = Math.max(0, r.upstream?.attempts.at(-1)?.headerMs ?? 0);
  r.fields.set('X-Kong-Upstream-Latency', String(upstreamMs));
  r.fields.set('X-Kong-Proxy-Latency', String(Math.max(0, Math.round(r.elapsedMs()) - upstreamMs)));
  r.fields.set('X-Kong-Request-Id', r.kong!.id);
}

/** Somebody was there when the request came, and is not any more, or was tried. */
function nobody(r: HttpRequest, plan: KongPlan): number {
  explain(r, plan, plan.upstream.unavailable() ?? 'all targets tried');
  return 503;
}

/** Prepares the answer to a request that no server can be had for. */
export function explain(r: HttpRequest, { service, upstream }: KongPlan, reason: string): void {
  const plain = upstream.data.upstream === null;
  r.kong!.message = plain ? NO_NAME : NO_PEER;
  r.fields.set('X-Headrace-Reason', plain ? 'name not resolved' : reason);
  const what = plain ? `host "${service.host}"` : `upstream "${service.host}"`;
  logRequest(r, 'error', `${r.kong!.message}: ${reason} (${what})`);
}

const isSecure = ({ protocol }: KongService): boolean => protocol === 'https' || protocol === 'grpcs';

function parts(
  service: KongService,
  upstream: KongUpstreamGroup,
  ssl: ProxySslConfig,
  { variables, book }: KongPlanEnv,
): CommonParts {
  const pass: UpstreamPassConfig = {
    // Services of other protocols never come here.
    scheme: service.protocol as UpstreamPassConfig['scheme'],
    upstream: null,
    variableTarget: null,
    hostHeader: service.host,
    port: String(service.port),
    uri: null,
  };
  const tls = isSecure(service) ? new UpstreamTls(ssl, variables, '/') : null;
  return { pass, group: upstream.group, tls, variables, book, serial: 0 };
}

function settingsOf(service: KongService): Partial<UpstreamSettings> {
  return {
    connectTimeoutMs: service.connectTimeoutMs,
    sendTimeoutMs: service.writeTimeoutMs,
    readTimeoutMs: service.readTimeoutMs,
    nextUpstream: { error: true, timeout: true, invalidHeader: true, nonIdempotent: false, statuses: [] },
    nextUpstreamTries: service.retries + 1,
    nextUpstreamTimeoutMs: 0,
  };
}
