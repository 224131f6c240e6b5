/** A Kong upstream as a worker's stream side sees it: its peers, what sessions are hashed by, and its health. */
import type { KongGroup } from '../../config/kong/groups.ts';
import type { KongHash } from '../../config/kong/model.ts';
import { PassiveChecks } from '../../health/kong/passive.ts';
import { checksOf, ShareWatch } from '../../health/kong/rules.ts';
import type { GroupEnv, PeerInfo } from '../../upstream/group.ts';
import type { Variables } from '../../variables/table.ts';
import type { Value } from '../../variables/value.ts';
import { type AttemptObserver, StreamGroup } from '../proxy/group.ts';
import type { Session } from '../session.ts';

/** Passive health checks of sessions: one that was connected counts as an answer with status 200, as Kong has it. */
class SessionChecks implements AttemptObserver {
  readonly #checks: PassiveChecks;
  /** Set once the group is there. */
  group: StreamGroup | null = null;

  constructor(checks: PassiveChecks) {
    this.#checks = checks;
  }

  ended(s: Session, peer: PeerInfo, status: number): void {
    const said = this.#checks.ended(this.group!.peers, peer, status !== 200, status);
    if (said !== null) s.log(said.level, said.text);
  }
}

export class KongStreamGroup {
  readonly data: KongGroup;
  readonly group: StreamGroup;
  readonly #share: ShareWatch;

  constructor(data: KongGroup, env: GroupEnv, variables: Variables<Session>) {
    const { upstream, config, table, health } = data;
    this.data = data;
    const hashed = upstream?.algorithm === 'consistent-hashing';
    const observer =
      upstream !== null && checksOf(upstream.healthchecks).passive
        ? new SessionChecks(new PassiveChecks(upstream, health))
        : null;
    const hashKey = hashed ? hashInput(upstream.hashOn, upstream.hashFallback) : null;
    this.group = new StreamGroup(config, table, env, variables, null, { hashKey, observer });
    if (observer !== null) observer.group = this.group;
    this.#share = new ShareWatch(this.group.peers);
  }

  /** Why no session can be let through; null: it can. */
  unavailable(): string | null {
    const { upstream, targets } = this.data;
    return this.#share.unavailable(upstream?.healthchecks.threshold ?? 0, targets);
  }
}

/** A session has an address and nothing else to be hashed by; without one, round robin. */
function hashInput(on: KongHash, fallback: KongHash): Value<Session> {
  const byAddress = on.kind === 'ip' || (on.kind !== 'cookie' && fallback.kind === 'ip');
  return { constant: null, get: byAddress ? (s) => s.client.text : () => '' };
}
