/** Regular expressions as requests and sessions meet them: a match sets `$1`… and the variables of named groups. */
import { compilePattern } from '../config/pcre.ts';
import type { RegexText } from '../config/model.ts';
import type { VariableContext } from './context.ts';

/** Where named groups are stored. */
export interface CaptureSlots {
  /** Index in `vars` of a variable, made if new. */
  indexOf(name: string): number;
}

export class CaptureRegex {
  /** The pattern as written, for logs. */
  readonly pattern: string;
  readonly #regexp: RegExp;
  /** Groups that count as `$1`…; JavaScript may know helpers behind them. */
  readonly #captures: number;
  readonly #names: { group: string; index: number }[];

  /** @throws {TypeError} if the pattern is wrong, which the configuration's check would have told */
  constructor(regex: RegexText, slots: CaptureSlots) {
    const compiled = compilePattern(regex);
    if (!compiled.ok) throw new TypeError(compiled.error);
    this.pattern = regex.pattern;
    this.#regexp = new RegExp(compiled.source, compiled.flags);
    this.#captures = compiled.captures;
    this.#names = compiled.names.map((group) => ({ group, index: slots.indexOf(group.toLowerCase()) }));
  }

  /**
   * Matches `subject`. On success `captures` are those of this match (none if the pattern has no groups, as in
   * nginx); otherwise nothing changes.
   */
  exec(c: VariableContext, subject: string): boolean {
    if (this.#captures === 0) {
      if (!this.#regexp.test(subject)) return false;
      c.captures = null;
      return true;
    }
    const match = this.#regexp.exec(subject);
    if (match === null) return false;
    c.captures = match.length > this.#captures + 1 ? match.slice(0, this.#captures + 1) : match;
    for (const { group, index } of this.#names) (c.vars ??= [])[index] = match.groups![group] ?? '';
    return true;
  }

  /** Matches only: nothing is stored. */
  test(subject: string): boolean {
    return this.#regexp.test(subject);
  }
}
