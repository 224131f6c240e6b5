/** A group as a worker's http side sees it: the peers, its idle connections, what binds a request to a peer. */
import type { UpstreamConfig } from '../../config/model.ts';
import { Group } from '../../upstream/group.ts';
import type { Attempt, AttemptKeys, GroupEnv, Outcome, PeerInfo } from '../../upstream/group.ts';
import { IdlePool } from '../../upstream/pool.ts';
import { clock } from '../../net/clock.ts';
import { Timer } from '../../net/timers.ts';
import type { Vias } from '../../net/via.ts';
import type { HttpRequest } from '../request.ts';
import type { Value } from '../variables/value.ts';
import type { VariableTable } from '../variables/table.ts';
import { Ntlm } from './ntlm.ts';
import type { Sticky } from './sticky.ts';
import { compileSticky } from './sticky.ts';
import type { UpstreamChannel } from './upstream-channel.ts';

/** How long more idle connections than `keepalive` allows may lie in the pool. */
const TRIM_MS = 40;

/** Smaller limits than this are there to be kept exactly, not to catch bursts. */
const EXACT_BELOW = 8;

const keys: AttemptKeys = {};

/** What another door than nginx's looks at instead of `hash` and `sticky`, and who hears of the end of each attempt. */
export interface GroupBindings {
  hashKey: Value | null;
  sticky: Sticky | null;
  observer: AttemptObserver | null;
}

export interface AttemptObserver {
  /** @param outcome valid during the call */
  ended(r: HttpRequest, peer: PeerInfo, outcome: Outcome): void;
}

export class UpstreamGroup {
  readonly config: UpstreamConfig;
  readonly peers: Group;
  /** Null: no connection is kept. */
  readonly idle: IdlePool<UpstreamChannel> | null;
  readonly hashKey: Value | null;
  /** The method looks at the client's address. */
  readonly byAddress: boolean;
  /** The method looks at the address as a text. */
  readonly byText: boolean;
  readonly sticky: Sticky | null;
  /** Clients have connections of their own; null: none has. */
  readonly ntlm: Ntlm | null;
  /** Nothing but the peers decides: no key is to be made per request. */
  readonly keyless: boolean;

  /** Null: all servers are reached by plain TCP. */
  readonly vias: Vias | null;
  /** Null: nobody wants to hear of attempts. */
  readonly observer: AttemptObserver | null;

  readonly #trimmer = new Timer(() => this.#trim());
  readonly #sweeper = new Timer(() => this.#sweep());

  constructor(
    config: UpstreamConfig,
    table: SharedArrayBuffer,
    env: GroupEnv,
    variables: VariableTable,
    learnZone: SharedArrayBuffer | null,
    bindings: GroupBindings | null = null,
    vias: Vias | null = null,
  ) {
    this.config = config;
    this.vias = vias;
    this.peers = new Group(config, table, env);
    this.idle =
      config.implicit || config.keepalive.connections === 0
        ? null
        : new IdlePool<UpstreamChannel>({
            connections: config.keepalive.connections,
            ...(config.keepalive.connections < EXACT_BELOW ? { most: config.keepalive.connections } : null),
            timeoutMs: config.keepalive.timeoutMs,
            gauge: this.peers.idleGauge,
          });
    this.hashKey =
      config.balancer.kind === 'hash' ? variables.compile(config.balancer.key) : (bindings?.hashKey ?? null);
    this.byAddress = config.balancer.kind === 'ip_hash';
    this.byText = config.balancer.kind === 'address_hash';
    this.sticky =
      config.sticky === null ? (bindings?.sticky ?? null) : compileSticky(config.sticky, variables, learnZone, env);
    this.observer = bindings?.observer ?? null;
    this.ntlm = config.ntlm ? new Ntlm(config.name) : null;
    this.keyless =
      this.hashKey === null && !this.byAddress && !this.byText && this.sticky === null && this.ntlm === null;
  }

  /** Begins a request's journey, with what the method and stickiness look at. @param tries 0: as many as there are */
  begin(attempt: Attempt, r: HttpRequest, tries: number): void {
    keys.hashKey = '';
    keys.clientAddress = undefined;
    keys.stickySid = '';
    keys.bound = null;
    if (!this.keyless) {
      if (this.hashKey !== null) keys.hashKey = this.hashKey.get(r);
      if (this.byText) keys.hashKey = r.client.text;
      if (this.byAddress) keys.clientAddress = r.client.bytes;
      if (this.sticky !== null) keys.stickySid = this.sticky.hint(r);
      const own = this.ntlm === null ? null : this.ntlm.peerOf(r);
      if (own !== null) {
        keys.stickySid = own.sid;
        keys.bound = own;
      }
    }
    this.peers.begin(attempt, keys, tries);
  }

  /** What idle channels of a server are found by: one address may be reached in several ways. */
  poolKey(peer: PeerInfo): string {
    return this.vias === null ? peer.address : `${peer.server} ${peer.address}`;
  }

  /** Puts an idle channel into the pool; it is watched there and closed after keepalive_timeout. */
  keep(channel: UpstreamChannel, key: string, variant: string): void {
    const idle = this.idle!;
    channel.onIdleClose = this.#dropIdle;
    idle.put(channel, key, variant, clock.now);
    if (!this.#sweeper.armed) this.#sweeper.arm(this.config.keepalive.timeoutMs);
    if (idle.overfull && !this.#trimmer.armed) this.#trimmer.arm(TRIM_MS);
  }

  /** The configuration has been replaced: idle connections close, and no timer holds the group any more. */
  closeIdle(): void {
    this.idle?.closeAll();
    this.#sweeper.drop();
    this.#trimmer.drop();
  }

  readonly #dropIdle = (channel: UpstreamChannel): void => {
    this.idle!.remove(channel);
  };

  #trim(): void {
    const idle = this.idle!;
    idle.trim();
    if (idle.overfull) this.#trimmer.arm(TRIM_MS);
  }

  #sweep(): void {
    const idle = this.idle!;
    idle.sweep(clock.now);
    if (idle.size > 0) this.#sweeper.arm(Math.max(1, idle.nextSweep - clock.now));
  }
}
