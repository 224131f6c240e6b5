/** A group as a worker's stream side sees it: the peers, and what a choice may depend on. */
import type { UpstreamConfig } from '../../config/model.ts';
import { Group } from '../../upstream/group.ts';
import type { Attempt, GroupEnv, PeerInfo } from '../../upstream/group.ts';
import type { Vias } from '../../net/via.ts';
import type { Variables } from '../../variables/table.ts';
import type { Value } from '../../variables/value.ts';
import type { Session } from '../session.ts';
import { compileSticky } from './sticky.ts';
import type { StreamSticky } from './sticky.ts';

const NO_KEYS = {};

/** What another door than nginx's looks at instead of `hash`, and who hears of the end of each attempt. */
export interface StreamBindings {
  hashKey: Value<Session> | null;
  observer: AttemptObserver | null;
}

export interface AttemptObserver {
  /** @param status 504: the server did not answer in time; 502: it could not be reached; 200: it was */
  ended(s: Session, peer: PeerInfo, status: number): void;
}

export class StreamGroup {
  readonly config: UpstreamConfig;
  readonly peers: Group;
  readonly #hashKey: Value<Session> | null;
  /** The method looks at the client's address. */
  readonly #byAddress: boolean;
  /** The method looks at the address as a text. */
  readonly #byText: boolean;
  readonly sticky: StreamSticky | null;
  /** Null: all servers are reached by plain TCP. */
  readonly vias: Vias | null;
  /** Null: nobody wants to hear of attempts. */
  readonly observer: AttemptObserver | null;

  constructor(
    config: UpstreamConfig,
    table: SharedArrayBuffer,
    env: GroupEnv,
    variables: Variables<Session>,
    learnZone: SharedArrayBuffer | null,
    bindings: StreamBindings | null = null,
    vias: Vias | null = null,
  ) {
    this.config = config;
    this.vias = vias;
    this.peers = new Group(config, table, env);
    this.#hashKey =
      config.balancer.kind === 'hash' ? variables.compile(config.balancer.key) : (bindings?.hashKey ?? null);
    this.observer = bindings?.observer ?? null;
    this.#byAddress = config.balancer.kind === 'ip_hash';
    this.#byText = config.balancer.kind === 'address_hash';
    this.sticky = config.sticky === null ? null : compileSticky(config.sticky, variables, learnZone, env);
  }

  /** Begins a session's journey. @param maxTries 0: no limit but the number of peers */
  begin(a: Attempt, s: Session, maxTries: number): void {
    if (this.#hashKey === null && !this.#byAddress && !this.#byText && this.sticky === null) {
      this.peers.begin(a, NO_KEYS, maxTries);
      return;
    }
    this.peers.begin(
      a,
      {
        hashKey: this.#byText ? s.client.text : this.#hashKey === null ? '' : this.#hashKey.get(s),
        clientAddress: this.#byAddress ? s.client.bytes : new Uint8Array(0),
        stickySid: this.sticky === null ? '' : this.sticky.hint(s),
      },
      maxTries,
    );
  }
}
