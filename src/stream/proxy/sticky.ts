/**
 * Stickiness in stream, beyond nginx: `sticky route` and `sticky learn` as http has them, by any variable: the client's
 * address, the name in a TLS hello, the first bytes. What to learn is known before a server answers.
 */
import type { StickyConfig } from '../../config/model.ts';
import type { GroupEnv, PeerInfo } from '../../upstream/group.ts';
import { LearnTable } from '../../upstream/sticky/learn.ts';
import type { Variables } from '../../variables/table.ts';
import type { Getter } from '../../variables/value.ts';
import type { Session } from '../session.ts';

export interface StreamSticky {
  /** Sid that the session is bound to; empty: none. */
  hint(s: Session): string;
  /** The server is connected (`header`: its first byte is there). */
  connected(s: Session, peer: PeerInfo): void;
  firstByte(s: Session, peer: PeerInfo): void;
  /** The session has ended well: what was learned holds for another `timeout` from now. */
  ended(s: Session, peer: PeerInfo): void;
}

export function compileSticky(
  sticky: StickyConfig,
  variables: Variables<Session>,
  learnZone: SharedArrayBuffer | null,
  env: GroupEnv,
): StreamSticky {
  if (sticky.mode === 'route') return new RouteSticky(sticky.variables.map((name) => variables.lookup(name)));
  if (sticky.mode === 'learn') return new LearnSticky(sticky, variables, new LearnTable(learnZone!, env), env.clock);
  throw new TypeError('sticky cookie needs HTTP');
}

class RouteSticky implements StreamSticky {
  readonly #lookups: Getter<Session>[];

  constructor(lookups: Getter<Session>[]) {
    this.#lookups = lookups;
  }

  hint(s: Session): string {
    return firstOf(this.#lookups, s);
  }

  connected(): void {}
  firstByte(): void {}
  ended(): void {}
}

class LearnSticky implements StreamSticky {
  readonly #table: LearnTable;
  readonly #create: Getter<Session>[];
  readonly #lookup: Getter<Session>[];
  readonly #atFirstByte: boolean;
  readonly #timeoutMs: number;
  readonly #clock: GroupEnv['clock'];
  /** Nothing that was learned ends before this moment. */
  #sweepAt = 0;

  constructor(
    config: Extract<StickyConfig, { mode: 'learn' }>,
    variables: Variables<Session>,
    table: LearnTable,
    time: GroupEnv['clock'],
  ) {
    this.#table = table;
    this.#timeoutMs = config.timeoutMs;
    this.#clock = time;
    this.#create = config.create.map((name) => variables.lookup(name));
    this.#lookup = config.lookup.map((name) => variables.lookup(name));
    this.#atFirstByte = config.header;
  }

  hint(s: Session): string {
    const id = firstOf(this.#lookup, s);
    if (id === '') return '';
    this.#sweep();
    return this.#table.lookup(id);
  }

  connected(s: Session, peer: PeerInfo): void {
    if (!this.#atFirstByte) this.#learn(s, peer);
  }

  firstByte(s: Session, peer: PeerInfo): void {
    if (this.#atFirstByte) this.#learn(s, peer);
  }

  ended(s: Session, peer: PeerInfo): void {
    const id = firstOf(this.#lookup, s);
    if (id !== '') this.#table.update(id, peer.sid);
  }

  #sweep(): void {
    const now = this.#clock.now();
    if (now < this.#sweepAt) return;
    this.#sweepAt = now + Math.min(this.#table.sweep(this.#timeoutMs), this.#timeoutMs);
  }

  #learn(s: Session, peer: PeerInfo): void {
    this.#sweep();
    const created = firstOf(this.#create, s);
    if (created !== '') this.#table.create(created, peer.sid);
  }
}

function firstOf(lookups: readonly Getter<Session>[], s: Session): string {
  for (const lookup of lookups) {
    const value = lookup(s);
    if (value !== null && value !== '') return value;
  }
  return '';
}
