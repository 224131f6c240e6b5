/**
 * Kong's entities as a worker's stream side runs them: a router, and plans and groups that are made when a session first asks for
 * them. Groups are those of http: peers and their health stand in the same memory.
 */
import { hostKey, type KongChange, type KongFeed, type KongGroup, upstreamKey } from '../../config/kong/groups.ts';
import type { KongCaCertificate, KongCertificate, KongRoute, KongService } from '../../config/kong/model.ts';
import type { StreamProxyConfig } from '../../config/stream-model.ts';
import { parseAddress } from '../../net/networks.ts';
import type { GroupEnv } from '../../upstream/group.ts';
import type { TargetBook } from '../../upstream/target-book.ts';
import type { StreamGroup } from '../proxy/group.ts';
import { ProxyPlan } from '../proxy/plan.ts';
import { proxyTcp } from '../proxy/tcp.ts';
import { proxyUdp } from '../proxy/udp.ts';
import { BAD_REQUEST, INTERNAL_ERROR, type Session, UNAVAILABLE } from '../session.ts';
import { TcpSession } from '../tcp-session.ts';
import { UdpSession } from '../udp-session.ts';
import type { StreamVariables } from '../variables/table.ts';
import { KongStreamGroup } from './group.ts';
import { StreamRouter } from './router.ts';

export interface KongStreamEnv {
  /** What services do not say. */
  proxy: StreamProxyConfig;
  group: GroupEnv;
  variables: StreamVariables;
  book: TargetBook<StreamGroup>;
}

interface Planned {
  service: KongService;
  upstream: KongStreamGroup;
  plan: ProxyPlan;
}

const UNKNOWN = new Uint8Array(0);

const byId = <T extends { id: string }>(list: readonly T[]): Map<string, T> =>
  new Map(list.map((one) => [one.id, one]));

export class KongStream {
  readonly #env: KongStreamEnv;
  #router = new StreamRouter([]);
  #services = new Map<string, KongService>();
  #certificates = new Map<string, KongCertificate>();
  #caCertificates = new Map<string, KongCaCertificate>();
  readonly #data = new Map<string, KongGroup>();
  readonly #groups = new Map<string, KongStreamGroup>();
  /** By service, and whether TLS of the client goes through. */
  readonly #plans = new Map<string, Planned>();

  constructor(env: KongStreamEnv, { state }: KongFeed) {
    this.#env = env;
    if (state !== null) this.take({ ...state, groups: { set: state.groups, removed: [] } });
  }

  take({ routes, services, certificates, caCertificates, groups }: KongChange): void {
    if (routes !== undefined) this.#router = new StreamRouter(routes);
    if (services !== undefined) this.#services = byId(services);
    if (certificates !== undefined) this.#certificates = byId(certificates);
    if (caCertificates !== undefined) this.#caCertificates = byId(caCertificates);
    if (services ?? certificates ?? caCertificates) this.#plans.clear();
    for (const key of groups?.removed ?? []) {
      this.#data.delete(key);
      this.#drop(key);
    }
    for (const data of groups?.set ?? []) {
      this.#data.set(data.key, data);
      this.#drop(data.key);
    }
  }

  /** A group is made anew when it is next asked for. Sessions under way go on with the one they have. */
  #drop(key: string): void {
    const known = this.#groups.get(key);
    for (const [id, { service, upstream }] of this.#plans) {
      if (upstreamKey(service.host) === key || upstream === known) this.#plans.delete(id);
    }
    this.#groups.delete(key);
  }

  /** The handler of the server. */
  handle(s: Session): void {
    const tls = s instanceof TcpSession && s.termination !== null;
    if (tls && s.tls === null && s.hello === null) {
      s.log('info', 'client sent no TLS hello');
      s.finalize(BAD_REQUEST);
      return;
    }
    const serverName = s.tls?.serverName ?? s.hello?.serverName ?? '';
    const route = this.#router.find({
      udp: s.udp,
      tls,
      serverName,
      source: s.client,
      destination: { bytes: parseAddress(s.localAddress())?.bytes ?? UNKNOWN, port: s.localPort() },
    });
    if (route === null) {
      s.log('error', 'no Route found with those values');
      s.finalize(INTERNAL_ERROR);
      return;
    }
    // TLS ends here if the route says so; then this is called again.
    if (tls && s.tls === null && route.protocols.includes('tls')) (s as TcpSession).terminate();
    else this.#proxy(s, route);
  }

  #proxy(s: Session, route: KongRoute): void {
    const service = route.service === null ? undefined : this.#services.get(route.service);
    const planned = service?.enabled === true ? this.#plan(service, s.tls === null && s.hello !== null) : null;
    if (planned === null) {
      s.log(
        'error',
        service === undefined ? 'no Service found with those values' : `no service over ${service.protocol}`,
      );
      s.finalize(UNAVAILABLE);
      return;
    }
    const { upstream, plan } = planned;
    const { data } = upstream;
    s.kong = { route, service: planned.service, hostHeader: data.upstream?.hostHeader ?? null };
    const reason = upstream.unavailable();
    if (reason !== null) {
      const what = data.upstream === null ? `host "${service!.host}"` : `upstream "${service!.host}"`;
      s.log('error', `failure to get a peer from the ring-balancer: ${reason} (${what})`);
      s.finalize(UNAVAILABLE);
    } else if (s instanceof TcpSession) proxyTcp(s, plan);
    else if (s instanceof UdpSession) proxyUdp(s, plan);
  }

  /** Null: what the service leads to is not known (yet), or it is spoken to on other addresses. */
  #plan(service: KongService, through: boolean): Planned | null {
    if (!/^(?:tcp|tls|tls_passthrough|udp)$/.test(service.protocol)) return null;
    const id = `${service.id} ${through}`;
    const known = this.#plans.get(id);
    if (known !== undefined) return known;
    const upstream = this.#group(upstreamKey(service.host)) ?? this.#group(hostKey(service.host, service.port));
    if (upstream === null) return null;
    const { variables, book } = this.#env;
    const config = this.#settings(service, upstream, through);
    const plan = new ProxyPlan(config, upstream.group, null, book, variables, '/');
    const planned = { service, upstream, plan };
    this.#plans.set(id, planned);
    return planned;
  }

  #settings(service: KongService, { data }: KongStreamGroup, through: boolean): StreamProxyConfig {
    const { proxy } = this.#env;
    const { ssl } = proxy;
    const certificate = service.clientCertificate ?? data.upstream?.clientCertificate ?? null;
    const own = certificate === null ? undefined : this.#certificates.get(certificate);
    const trusted = service.caCertificates.flatMap((id) => this.#caCertificates.get(id)?.cert ?? []);
    return {
      ...proxy,
      connectTimeoutMs: service.connectTimeoutMs,
      timeoutMs: Math.max(service.readTimeoutMs, service.writeTimeoutMs),
      nextUpstream: true,
      nextUpstreamTries: service.retries + 1,
      nextUpstreamTimeoutMs: 0,
      ssl:
        ssl === null || service.protocol !== 'tls' || through
          ? null
          : {
              ...ssl,
              name: '$kong_host',
              serverName: true,
              verify: service.tlsVerify ?? false,
              verifyDepth: service.tlsVerifyDepth ?? ssl.verifyDepth,
              trustedCertificate: trusted.length === 0 ? null : trusted.join('\n'),
              certificatePem: own?.cert ?? null,
              certificateKeyPem: own?.key ?? null,
            },
    };
  }

  #group(key: string): KongStreamGroup | null {
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    const data = this.#data.get(key);
    if (data === undefined) return null;
    const group = new KongStreamGroup(data, this.#env.group, this.#env.variables);
    this.#groups.set(key, group);
    return group;
  }
}
