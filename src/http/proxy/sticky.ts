/** Stickiness in HTTP: where a request says which peer it belongs to, and how the client is told (spec 2.8). */
import type { StickyConfig } from '../../config/model.ts';
import type { GroupEnv, PeerInfo } from '../../upstream/group.ts';
import { stickyCookie } from '../../upstream/sticky/cookie.ts';
import { firstOf, LearnedSessions } from '../../variables/learned-sessions.ts';
import { clock } from '../../net/clock.ts';
import type { HttpRequest } from '../request.ts';
import type { VariableTable } from '../variables/table.ts';
import type { Getter, Value } from '../variables/value.ts';

export interface Sticky {
  /** Sid that the request is bound to; empty: none. */
  hint(r: HttpRequest): string;
  /** A peer was chosen for an attempt. */
  chosen(r: HttpRequest, peer: PeerInfo): void;
  /** The answer's head is there. */
  headerReceived(r: HttpRequest, peer: PeerInfo): void;
  /** The attempt ended well. */
  done(r: HttpRequest, peer: PeerInfo): void;
}

export function compileSticky(
  sticky: StickyConfig,
  variables: VariableTable,
  learnZone: SharedArrayBuffer | null,
  env: GroupEnv,
): Sticky {
  switch (sticky.mode) {
    case 'cookie':
      return new CookieSticky(sticky, variables);
    case 'route':
      return new RouteSticky(sticky.variables.map((name) => variables.lookup(name)));
    case 'learn':
      return new LearnSticky(new LearnedSessions(sticky, variables, learnZone!, env), sticky.header);
  }
}

type CookieConfig = Extract<StickyConfig, { mode: 'cookie' }>;

class CookieSticky implements Sticky {
  readonly #config: CookieConfig;
  readonly #lookup: Getter;
  readonly #domain: Value | null;
  readonly #sameSite: Value | null;

  constructor(config: CookieConfig, variables: VariableTable) {
    this.#config = config;
    this.#lookup = variables.lookup(`cookie_${config.name}`);
    this.#domain = config.domain === null ? null : variables.compile(config.domain);
    this.#sameSite = config.sameSite === null ? null : variables.compile(config.sameSite);
  }

  hint(r: HttpRequest): string {
    return this.#lookup(r) ?? '';
  }

  chosen(r: HttpRequest, peer: PeerInfo): void {
    const domain = this.#domain === null ? '' : this.#domain.get(r);
    const sameSite = this.#sameSite === null ? '' : this.#sameSite.get(r);
    r.setCookie = stickyCookie(this.#config, peer.sid, clock.wall, domain, sameSite);
  }

  headerReceived(): void {}
  done(): void {}
}

class RouteSticky implements Sticky {
  readonly #lookups: Getter[];

  constructor(lookups: Getter[]) {
    this.#lookups = lookups;
  }

  hint(r: HttpRequest): string {
    return firstOf(this.#lookups, r);
  }

  chosen(): void {}
  headerReceived(): void {}
  done(): void {}
}

class LearnSticky implements Sticky {
  readonly #sessions: LearnedSessions<HttpRequest>;
  readonly #atHeader: boolean;

  constructor(sessions: LearnedSessions<HttpRequest>, atHeader: boolean) {
    this.#sessions = sessions;
    this.#atHeader = atHeader;
  }

  hint(r: HttpRequest): string {
    return this.#sessions.hint(r);
  }

  chosen(): void {}

  headerReceived(r: HttpRequest, peer: PeerInfo): void {
    if (this.#atHeader) this.#learn(r, peer);
  }

  done(r: HttpRequest, peer: PeerInfo): void {
    if (!this.#atHeader) this.#learn(r, peer);
  }

  /** A new session comes from the answer; one that the client brought is only kept up. */
  #learn(r: HttpRequest, peer: PeerInfo): void {
    if (!this.#sessions.create(r, peer.sid)) this.#sessions.renew(r, peer.sid);
  }
}
