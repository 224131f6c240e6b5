/**
 * Kong's entities as a worker's stream side runs them: a router, and plans and groups that are made when a session first asks for
 * them. Groups are those of http: peers and their health stand in the same memory.
 */
import { type KongChange, type KongFeed, wholeChange } from '../../config/kong/groups.ts';
import { KnownEntities, type Planned, serviceSsl } from '../../config/kong/known.ts';
import type { KongRoute, KongService } from '../../config/kong/model.ts';
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

interface StreamPlanned extends Planned<KongStreamGroup> {
  readonly plan: ProxyPlan;
}

const UNKNOWN = new Uint8Array(0);

export class KongStream {
  readonly #env: KongStreamEnv;
  #router = new StreamRouter([]);
  /** Plans by service, and whether TLS of the client goes through. */
  readonly #known: KnownEntities<KongStreamGroup, StreamPlanned>;

  constructor(env: KongStreamEnv, { state }: KongFeed) {
    this.#env = env;
    this.#known = new KnownEntities(
      (data) => new KongStreamGroup(data, env.group, env.variables),
      () => {},
    );
    if (state !== null) this.take(wholeChange(state));
  }

  take(change: KongChange): void {
    if (change.routes !== undefined) this.#router = new StreamRouter(change.routes);
    this.#known.take(change);
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
    const service = route.service === null ? undefined : this.#known.services.get(route.service);
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
  #plan(service: KongService, through: boolean): StreamPlanned | null {
    if (!/^(?:tcp|tls|tls_passthrough|udp)$/.test(service.protocol)) return null;
    const id = `${service.id} ${through}`;
    const known = this.#known.plans.get(id);
    if (known !== undefined) return known;
    const upstream = this.#known.groupFor(service);
    if (upstream === null) return null;
    const { variables, book } = this.#env;
    const config = this.#settings(service, upstream, through);
    const plan = new ProxyPlan(config, upstream.group, null, book, variables, '/');
    const planned = { service, upstream, plan };
    this.#known.plans.set(id, planned);
    return planned;
  }

  #settings(service: KongService, { data }: KongStreamGroup, through: boolean): StreamProxyConfig {
    const { proxy } = this.#env;
    const { ssl } = proxy;
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
          : serviceSsl(ssl, service, data.upstream, this.#known),
    };
  }
}
