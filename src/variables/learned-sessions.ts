/** `sticky learn`: which variables make and find sessions, of requests and of stream's sessions alike. */
import type { StickyConfig } from '../config/model.ts';
import type { GroupEnv } from '../upstream/group.ts';
import { LearnTable } from '../upstream/sticky/learn.ts';
import type { VariableContext } from './context.ts';
import type { Variables } from './table.ts';
import type { Getter } from './value.ts';

export class LearnedSessions<C extends VariableContext> {
  readonly #table: LearnTable;
  readonly #create: Getter<C>[];
  readonly #lookup: Getter<C>[];
  readonly #timeoutMs: number;
  readonly #clock: GroupEnv['clock'];
  /** Nothing that was learned ends before this moment. */
  #sweepAt = 0;

  /** @param zone its table (`upstream/sticky/learn.ts`) */
  constructor(
    config: Extract<StickyConfig, { mode: 'learn' }>,
    variables: Variables<C>,
    zone: SharedArrayBuffer,
    env: GroupEnv,
  ) {
    this.#table = new LearnTable(zone, env);
    this.#timeoutMs = config.timeoutMs;
    this.#clock = env.clock;
    this.#create = config.create.map((name) => variables.lookup(name));
    this.#lookup = config.lookup.map((name) => variables.lookup(name));
  }

  /** Sid that `c` is bound to; empty: none. */
  hint(c: C): string {
    const id = firstOf(this.#lookup, c);
    if (id === '') return '';
    this.#sweep();
    return this.#table.lookup(id);
  }

  /** Binds what begins with `c`. @returns false: nothing does */
  create(c: C, sid: string): boolean {
    this.#sweep();
    const created = firstOf(this.#create, c);
    if (created === '') return false;
    this.#table.create(created, sid);
    return true;
  }

  /** What `c` belongs to, if it is known, holds for another `timeout` from now. */
  renew(c: C, sid: string): void {
    const known = firstOf(this.#lookup, c);
    if (known !== '') this.#table.update(known, sid);
  }

  /** Sessions end when they are looked for, not by a timer: one that nobody asks for takes no room that others need. */
  #sweep(): void {
    const now = this.#clock.now();
    if (now < this.#sweepAt) return;
    // One that begins after this ends later than `timeoutMs` from now, whichever thread makes it.
    this.#sweepAt = now + Math.min(this.#table.sweep(this.#timeoutMs), this.#timeoutMs);
  }
}

/** The first that is there and not empty; empty: none is. */
export function firstOf<C extends VariableContext>(lookups: readonly Getter<C>[], c: C): string {
  for (const lookup of lookups) {
    const value = lookup(c);
    if (value !== null && value !== '') return value;
  }
  return '';
}
