/**
 * Stickiness in stream, beyond nginx: `sticky route` and `sticky learn` as http has them, by any variable: the client's
 * address, the name in a TLS hello, the first bytes. What to learn is known before a server answers.
 */
import type { StickyConfig } from '../../config/model.ts';
import type { GroupEnv, PeerInfo } from '../../upstream/group.ts';
import { firstOf, LearnedSessions } from '../../variables/learned-sessions.ts';
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
  if (sticky.mode === 'learn')
    return new LearnSticky(new LearnedSessions(sticky, variables, learnZone!, env), sticky.header);
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
  readonly #sessions: LearnedSessions<Session>;
  readonly #atFirstByte: boolean;

  constructor(sessions: LearnedSessions<Session>, atFirstByte: boolean) {
    this.#sessions = sessions;
    this.#atFirstByte = atFirstByte;
  }

  hint(s: Session): string {
    return this.#sessions.hint(s);
  }

  connected(s: Session, peer: PeerInfo): void {
    if (!this.#atFirstByte) this.#sessions.create(s, peer.sid);
  }

  firstByte(s: Session, peer: PeerInfo): void {
    if (this.#atFirstByte) this.#sessions.create(s, peer.sid);
  }

  ended(s: Session, peer: PeerInfo): void {
    this.#sessions.renew(s, peer.sid);
  }
}
