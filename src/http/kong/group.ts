/** A Kong upstream as a worker's http side sees it: its peers, what binds requests to them, and its health. */
import type { KongGroup } from '../../config/kong/groups.ts';
import { PassiveChecks } from '../../health/kong/passive.ts';
import { checksOf, ShareWatch } from '../../health/kong/rules.ts';
import type { GroupEnv, Outcome, PeerInfo } from '../../upstream/group.ts';
import { type AttemptObserver, UpstreamGroup } from '../proxy/group.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import type { VariableTable } from '../variables/table.ts';
import { hashInput } from './hash-input.ts';
import { SessionCookie } from './sticky.ts';

/** Passive health checks of requests. */
class RequestChecks implements AttemptObserver {
  readonly #checks: PassiveChecks;
  /** Set once the group is there. */
  group: UpstreamGroup | null = null;

  constructor(checks: PassiveChecks) {
    this.#checks = checks;
  }

  ended(r: HttpRequest, peer: PeerInfo, { failed, status = 0 }: Outcome): void {
    const said = this.#checks.ended(this.group!.peers, peer, failed, status);
    if (said !== null) logRequest(r, said.level, said.text);
  }
}

export class KongUpstreamGroup {
  readonly data: KongGroup;
  readonly group: UpstreamGroup;
  readonly #share: ShareWatch;

  constructor(data: KongGroup, env: GroupEnv, variables: VariableTable) {
    const { upstream, config, table, health } = data;
    this.data = data;
    const sticky = upstream?.stickyCookie ?? null;
    const hashed = upstream?.algorithm === 'consistent-hashing';
    const observer =
      upstream !== null && checksOf(upstream.healthchecks).passive
        ? new RequestChecks(new PassiveChecks(upstream, health))
        : null;
    this.group = new UpstreamGroup(config, table, env, variables, null, {
      hashKey: hashed ? hashInput(upstream.hashOn, upstream.hashFallback) : null,
      sticky: sticky === null ? null : new SessionCookie(sticky),
      observer,
    });
    if (observer !== null) observer.group = this.group;
    this.#share = new ShareWatch(this.group.peers);
  }

  /** Why no request can be let through; null: it can. */
  unavailable(): string | null {
    const { upstream, targets } = this.data;
    return this.#share.unavailable(upstream?.healthchecks.threshold ?? 0, targets);
  }
}
