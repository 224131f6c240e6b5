/** A Kong upstream as a worker's http side sees it: its peers, what binds requests to them, and its health. */
import type { KongGroup } from '../../config/kong/groups.ts';
import type { KongUpstream } from '../../config/kong/model.ts';
import {
  HTTP_FAILURE,
  type HealthLimits,
  SUCCESS,
  TargetHealth,
  TCP_FAILURE,
  TIMEOUT,
} from '../../health/kong/target-health.ts';
import { checksOf, type Share, shareOf, unavailable } from '../../health/kong/rules.ts';
import type { GroupEnv, Outcome, PeerInfo } from '../../upstream/group.ts';
import { type AttemptObserver, UpstreamGroup } from '../proxy/group.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import type { VariableTable } from '../variables/table.ts';
import { hashInput } from './hash-input.ts';
import { SessionCookie } from './sticky.ts';

type Settings = Omit<KongUpstream, 'targets'>;

/** Passive health checks: counts what becomes of requests. */
class PassiveChecks implements AttemptObserver {
  readonly #health: TargetHealth;
  readonly #limits: HealthLimits;
  readonly #good: ReadonlySet<number>;
  readonly #bad: ReadonlySet<number>;
  readonly #upstream: string;
  /** Set once the group is there. */
  group: UpstreamGroup | null = null;

  constructor({ name, healthchecks: { passive } }: Settings, memory: SharedArrayBuffer) {
    const { httpFailures, tcpFailures, timeouts } = passive.unhealthy;
    this.#upstream = name;
    this.#health = new TargetHealth(memory);
    this.#limits = { successes: passive.healthy.successes, httpFailures, tcpFailures, timeouts };
    this.#good = new Set(passive.healthy.httpStatuses);
    this.#bad = new Set(passive.unhealthy.httpStatuses);
  }

  ended(r: HttpRequest, { slot, generation, address }: PeerInfo, { failed, status = 0 }: Outcome): void {
    // A timeout counts as such whether another server is tried or not.
    const event = failed
      ? status === 504
        ? TIMEOUT
        : TCP_FAILURE
      : this.#bad.has(status)
        ? HTTP_FAILURE
        : this.#good.has(status)
          ? SUCCESS
          : null;
    if (event === null) return;
    const verdict = this.#health.report(slot, generation, event, this.#limits);
    if (verdict === 'unchanged') return;
    this.group!.peers.setUnhealthy(slot, generation, verdict === 'unhealthy');
    const why = event === HTTP_FAILURE ? `status ${status}` : event === TIMEOUT ? 'timeout' : 'connection error';
    const text = `target ${address} of upstream "${this.#upstream}" is ${verdict}`;
    logRequest(r, verdict === 'unhealthy' ? 'warn' : 'notice', verdict === 'healthy' ? text : `${text}: ${why}`);
  }
}

export class KongUpstreamGroup {
  readonly data: KongGroup;
  readonly group: UpstreamGroup;
  #share: Share = { total: 0, available: 0 };
  #version = -1;

  constructor(data: KongGroup, env: GroupEnv, variables: VariableTable) {
    const { upstream, config, table, health } = data;
    this.data = data;
    const sticky = upstream?.stickyCookie ?? null;
    const hashed = upstream?.algorithm === 'consistent-hashing';
    const observer =
      upstream !== null && checksOf(upstream.healthchecks).passive ? new PassiveChecks(upstream, health) : null;
    this.group = new UpstreamGroup(config, table, env, variables, null, {
      hashKey: hashed ? hashInput(upstream.hashOn, upstream.hashFallback) : null,
      sticky: sticky === null ? null : new SessionCookie(sticky),
      observer,
    });
    if (observer !== null) observer.group = this.group;
  }

  /** Why no request can be let through; null: it can. */
  unavailable(): string | null {
    const { peers } = this.group;
    const { version } = peers;
    if (version !== this.#version) {
      this.#share = shareOf(peers.snapshot());
      this.#version = version;
    }
    const { upstream, config } = this.data;
    return unavailable(this.#share, upstream?.healthchecks.threshold ?? 0, config.servers.length);
  }
}
