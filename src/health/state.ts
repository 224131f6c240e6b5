/** What a check knows of a server: counts, and when they change its state. Pure. */

/** `checking`: it has not passed yet and must (mandatory). */
export type CheckState = 'checking' | 'healthy' | 'unhealthy';

export interface CheckRules {
  /** Failures in a row that make it unhealthy. */
  fails: number;
  /** Passes in a row that make it healthy again. */
  passes: number;
  mandatory: boolean;
}

export class CheckRecord {
  state: CheckState;
  checks = 0;
  fails = 0;
  /** Times that it became unhealthy. */
  unhealthy = 0;
  /** Null: no check has ended yet. */
  lastPassed: boolean | null = null;
  /** Outcomes in a row that were like the last one. */
  streak = 0;

  constructor(state: CheckState) {
    this.state = state;
  }

  /** Notes an outcome. @returns whether the state has changed */
  note(passed: boolean, rules: CheckRules): boolean {
    this.checks++;
    if (!passed) this.fails++;
    this.streak = this.lastPassed === passed ? this.streak + 1 : 1;
    this.lastPassed = passed;
    if (passed) {
      // the first pass ends the checking of a new server; who was unhealthy has to prove more
      if (this.state === 'healthy' || (this.state === 'unhealthy' && this.streak < rules.passes)) return false;
      this.state = 'healthy';
      return true;
    }
    if (this.state === 'unhealthy' || this.streak < rules.fails) return false;
    this.state = 'unhealthy';
    this.unhealthy++;
    return true;
  }
}

/** What several checks of one server say together: all must pass. */
export function combined(records: readonly CheckRecord[]): CheckState {
  if (records.some(({ state }) => state === 'unhealthy')) return 'unhealthy';
  return records.some(({ state }) => state === 'checking') ? 'checking' : 'healthy';
}
