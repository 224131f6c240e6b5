/** How requests for a service are taken to its servers. */
import type { LocationConfig } from '../../config/model.ts';
import type { KongCaCertificate, KongCertificate, KongService } from '../../config/kong/model.ts';
import type { TargetBook } from '../../upstream/target-book.ts';
import type { UpstreamGroup } from '../proxy/group.ts';
import { ProxyPlan } from '../proxy/plan.ts';
import { UpstreamTls } from '../proxy/tls.ts';
import type { Target } from '../proxy/target.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import { newRequestId } from '../variables/request.ts';
import type { VariableTable } from '../variables/table.ts';
import type { ResponseHead } from '../wire/response-head.ts';
import { NO_NAME, NO_PEER } from './answers.ts';
import type { KongUpstreamGroup } from './group.ts';

export interface KongPlanEnv {
  location: LocationConfig;
  variables: VariableTable;
  book: TargetBook<UpstreamGroup>;
  certificates: ReadonlyMap<string, KongCertificate>;
  caCertificates: ReadonlyMap<string, KongCaCertificate>;
}

export class KongPlan extends ProxyPlan {
  readonly service: KongService;
  readonly upstream: KongUpstreamGroup;

  constructor(service: KongService, upstream: KongUpstreamGroup, requestBuffering: boolean, env: KongPlanEnv) {
    const secure = /^(?:https|grpcs)$/.test(service.protocol);
    const location = settings(service, upstream, requestBuffering, env);
    const pass = {
      scheme: secure ? 'https' : 'http',
      upstream: null,
      variableTarget: null,
      hostHeader: service.host,
      port: String(service.port),
      uri: null,
    } as const;
    const { variables, book } = env;
    const tls = secure ? new UpstreamTls(location.proxy.ssl, variables, '/') : null;
    super(location, location.match, { pass, group: upstream.group, tls, variables, book, serial: 0 });
    this.service = service;
    this.upstream = upstream;
  }

  /** Fields that Kong adds to answers of servers. */
  override readonly rewritesAnswer = true;

  override rewriteAnswer(r: HttpRequest, target: Target, head: ResponseHead): void {
    super.rewriteAnswer(r, target, head);
    const upstreamMs = Math.max(0, r.upstream?.attempts.at(-1)?.headerMs ?? 0);
    r.fields.set('X-Kong-Upstream-Latency', String(upstreamMs));
    r.fields.set('X-Kong-Proxy-Latency', String(Math.max(0, Math.round(r.elapsedMs()) - upstreamMs)));
    r.fields.set('X-Kong-Request-Id', newRequestId());
  }

  override uriOf(r: HttpRequest): string | null {
    return r.kong!.uri;
  }

  /** Somebody was there when the request came, and is not any more, or was tried. */
  override nobody(r: HttpRequest): number {
    this.explain(r, this.upstream.unavailable() ?? 'all targets tried');
    return 503;
  }

  /** Prepares the answer to a request that no server can be had for. */
  explain(r: HttpRequest, reason: string): void {
    const plain = this.upstream.data.upstream === null;
    r.kong!.message = plain ? NO_NAME : NO_PEER;
    r.fields.set('X-Headrace-Reason', plain ? 'name not resolved' : reason);
    const what = plain ? `host "${this.service.host}"` : `upstream "${this.service.host}"`;
    logRequest(r, 'error', `${r.kong!.message}: ${reason} (${what})`);
  }
}

function settings(
  service: KongService,
  { data }: KongUpstreamGroup,
  requestBuffering: boolean,
  { location, certificates, caCertificates }: KongPlanEnv,
): LocationConfig {
  const { proxy } = location;
  const certificate = service.clientCertificate ?? data.upstream?.clientCertificate ?? null;
  const own = certificate === null ? undefined : certificates.get(certificate);
  const trusted = service.caCertificates.flatMap((id) => caCertificates.get(id)?.cert ?? []);
  return {
    ...location,
    proxy: {
      ...proxy,
      requestBuffering,
      connectTimeoutMs: service.connectTimeoutMs,
      sendTimeoutMs: service.writeTimeoutMs,
      readTimeoutMs: service.readTimeoutMs,
      nextUpstream: { error: true, timeout: true, invalidHeader: true, nonIdempotent: false, statuses: [] },
      nextUpstreamTries: service.retries + 1,
      nextUpstreamTimeoutMs: 0,
      ssl: {
        ...proxy.ssl,
        name: '$kong_host',
        serverName: true,
        verify: service.tlsVerify ?? false,
        verifyDepth: service.tlsVerifyDepth ?? proxy.ssl.verifyDepth,
        trustedCertificate: trusted.length === 0 ? null : trusted.join('\n'),
        certificatePem: own?.cert ?? null,
        certificateKeyPem: own?.key ?? null,
      },
    },
  };
}
