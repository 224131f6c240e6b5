/** Stickiness in HTTP: where a request says which peer it belongs to, and how the client is told (spec 2.8). */
import type { StickyConfig } from '../../config/model.ts';
import type { GroupEnv, PeerInfo } from '../../upstream/group.ts';
import { stickyCookie } from '../../upstream/sticky/cookie.ts';
import { LearnTable } from '../../upstream/sticky/learn.ts';
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
      return new LearnSticky(sticky, variables, new LearnTable(learnZone!, env), env.clock);
  }
}

type CookieConfig = Extract<StickyConfig, { mode: 'cookie' }>;
type LearnConfig = Extract<StickyConfig, { mode: 'learn' }>;

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
  readonly #table: LearnTable;
  readonly #create: Getter[];
  readonly #lookup: Getter[];
  readonly #atHeader: boolean;
  readonly #timeoutMs: number;
  readonly #clock: GroupEnv['clock'];
  /** No session ends before this moment. */
  #sweepAt = 0;

  constructor(config: LearnConfig, variables: VariableTable, table: LearnTable, time: GroupEnv['clock']) {
    this.#table = table;
    this.#timeoutMs = config.timeoutMs;
    this.#clock = time;
    this.#create = config.create.map((name) => variables.lookup(name));
    this.#lookup = config.lookup.map((name) => variables.lookup(name));
    this.#atHeader = config.header;
  }

  hint(r: HttpRequest): string {
    const id = firstOf(this.#lookup, r);
    if (id === '') return '';
    this.#sweep();
    return this.#table.lookup(id);
  }

  chosen(): void {}

  headerReceived(r: HttpRequest, peer: PeerInfo): void {
    if (this.#atHeader) this.#learn(r, peer);
  }

  done(r: HttpRequest, peer: PeerInfo): void {
    if (!this.#atHeader) this.#learn(r, peer);
  }

  /** Sessions end when they are looked for, not by a timer: one that nobody asks for takes no room that others need. */
  #sweep(): void {
    const now = this.#clock.now();
    if (now < this.#sweepAt) return;
    // One that begins after this ends later than `timeoutMs` from now, whichever thread makes it.
    this.#sweepAt = now + Math.min(this.#table.sweep(this.#timeoutMs), this.#timeoutMs);
  }

  /** A new session comes from the answer; one that the client brought is only kept up. */
  #learn(r: HttpRequest, peer: PeerInfo): void {
    this.#sweep();
    const created = firstOf(this.#create, r);
    if (created !== '') {
      this.#table.create(created, peer.sid);
      return;
    }
    const known = firstOf(this.#lookup, r);
    if (known !== '') this.#table.update(known, peer.sid);
  }
}

function firstOf(lookups: readonly Getter[], r: HttpRequest): string {
  for (const lookup of lookups) {
    const value = lookup(r);
    if (value !== null && value !== '') return value;
  }
  return '';
}
