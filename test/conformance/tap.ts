/**
 * Reads what a test file prints in TAP, the Test Anything Protocol (what Perl's Test::More writes, version 12).
 */

export interface TapFailure {
  number: number;
  name: string;
  /** The lines that Test::More wrote about it: what was got, what was expected. */
  details: string[];
}

export interface TapResult {
  /** From `1..N`; null: no plan was printed, the file did not get that far. */
  planned: number | null;
  /** The reason of `1..0 # SKIP reason`; null: the file was not skipped. */
  skipAll: string | null;
  /** Why the file gave up: `Bail out! reason`. */
  bailOut: string | null;
  passed: number;
  /** Assertions that were skipped one by one (`ok 3 # skip reason`). */
  skipped: number;
  /** Assertions that are known to fail (`# TODO`); they count as passed. */
  todo: number;
  failures: TapFailure[];
}

const RESULT = /^(not )?ok\b(?: (\d+))?(?: -)?(.*)$/;
const DIRECTIVE = /\s*(?<!\\)# *(skip|todo)\b.*$/i;
/** How Test::More begins its account of a failure. */
const FAILED = /^#\s+Failed (?:\(TODO\) )?test\b/;

/**
 * @param output the lines of both streams in the order in which they came
 * @returns what the file said; whether that is a success is `verdict`'s business
 */
export function parseTap(output: readonly string[]): TapResult {
  const result: TapResult = {
    planned: null,
    skipAll: null,
    bailOut: null,
    passed: 0,
    skipped: 0,
    todo: 0,
    failures: [],
  };
  /** The details of a failure come on the other stream, before or after its `not ok`. */
  const accounts: string[][] = [];
  let count = 0;
  for (const line of output) {
    if (FAILED.test(line)) accounts.push([]);
    if (line.startsWith('#')) {
      accounts.at(-1)?.push(line);
      continue;
    }
    const plan = /^1\.\.(\d+)(?:\s*#\s*skip\S*\s*(.*))?$/i.exec(line);
    if (plan !== null) {
      result.planned = Number(plan[1]);
      if (result.planned === 0) result.skipAll = plan[2] || 'no reason given';
      continue;
    }
    if (line.startsWith('Bail out!')) result.bailOut = line.slice('Bail out!'.length).trim();
    const assertion = RESULT.exec(line);
    if (assertion === null) continue;
    count++;
    const text = assertion[3] ?? '';
    const directive = DIRECTIVE.exec(text)?.[1]?.toLowerCase();
    if (directive === 'todo') result.todo++;
    else if (directive === 'skip') result.skipped++;
    else if (assertion[1] === undefined) result.passed++;
    else result.failures.push({ number: Number(assertion[2] ?? count), name: text.trim(), details: [] });
  }
  attach(result.failures, accounts);
  return result;
}

/** An account names its assertion in quotes; one without a name belongs to the next failure without one. */
function attach(failures: TapFailure[], accounts: string[][]): void {
  const left = [...accounts];
  for (const failure of failures) {
    const at = left.findIndex((account) => account.slice(0, 2).join(' ').includes(`'${failure.name}'`));
    if (at !== -1) failure.details = left.splice(at, 1)[0] ?? [];
  }
}

export type Verdict =
  | { status: 'passed' }
  | { status: 'skipped'; reason: string }
  | { status: 'failed'; reason: string };

/**
 * @param tap what the file said
 * @param exit its exit code; null: it was ended by a signal
 * @param timedOut it was ended because it took too long
 * @returns passed only if everything that was planned ran and held
 */
export function verdict(tap: TapResult, exit: number | null, timedOut: boolean): Verdict {
  const ran = tap.passed + tap.skipped + tap.todo + tap.failures.length;
  const failed = (reason: string): Verdict => ({ status: 'failed', reason });
  if (timedOut) return failed(`timed out after ${ran} assertions`);
  if (tap.bailOut !== null) return failed(`bailed out: ${tap.bailOut}`);
  if (tap.skipAll !== null) return { status: 'skipped', reason: tap.skipAll };
  if (tap.planned === null) return failed(`exited with ${exit ?? 'a signal'} before it had planned anything`);
  if (tap.failures.length > 0) return failed(`${tap.failures.length} of ${tap.planned} assertions failed`);
  if (ran !== tap.planned) return failed(`planned ${tap.planned} assertions but ran ${ran}`);
  if (exit !== 0) return failed(`exited with ${exit ?? 'a signal'}`);
  return { status: 'passed' };
}
