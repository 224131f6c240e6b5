/**
 * Runs nginx's public test suite against Headrace.
 *
 *     test/conformance/run CHECKOUT [GROUP|FILE …] [--json[=FILE]] [--jobs=N] [--timeout=SECONDS]
 *                          [--binary=PATH] [--user=NAME] [--verbose]
 *
 * CHECKOUT is a checkout of nginx-tests; groups are those of `groups.tsv` (default: A1). A file has passed when all
 * that it planned ran and held; one that skips itself has not passed. Exit status: 0 when none failed, 1 when one
 * did, 2 when the command line is wrong. TEST_NGINX_* of the environment are handed through.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadGroups, select } from './groups.ts';
import type { TestFile } from './groups.ts';
import { runFile } from './run-file.ts';
import type { FileResult, RunOptions } from './run-file.ts';

const BINARY = fileURLToPath(new URL('../../bin/headrace', import.meta.url));
const USAGE =
  'usage: run CHECKOUT [GROUP|FILE …] [--json[=FILE]] [--jobs=N] [--timeout=SECONDS] [--binary=PATH] [--user=NAME] [--verbose]';

interface Done extends FileResult {
  group: string;
}

/** Test files keep what they make in directories that only they can read: nginx's workers cannot, started as root. */
function unprivileged(name: string, binary: string): RunOptions['as'] {
  if (process.getuid?.() !== 0) return null;
  const id = (flag: string): number => Number(execFileSync('id', [flag, name], { encoding: 'utf8' }));
  const as = { uid: id('-u'), gid: id('-g') };
  if (spawnSync(binary, ['-v'], { ...as, cwd: '/' }).status === 0) return as;
  process.stderr.write(`${name} cannot run ${binary}: going on as root\n`);
  return null;
}

function report(result: Done, verbose: boolean): void {
  const { verdict, tap, file, millis } = result;
  const reason = verdict.status === 'passed' ? `${tap.passed + tap.todo} assertions` : verdict.reason;
  process.stdout.write(`${verdict.status.padEnd(7)}  ${file.padEnd(36)} ${reason} (${(millis / 1000).toFixed(1)} s)\n`);
  for (const failure of tap.failures) {
    process.stdout.write(`         not ok ${failure.number} - ${failure.name}\n`);
    for (const line of failure.details.slice(0, 12)) process.stdout.write(`           ${line.slice(0, 400)}\n`);
  }
  const broken = verdict.status === 'failed' && tap.failures.length === 0;
  const lines = verbose ? result.output : broken ? result.output.slice(-8) : [];
  for (const line of lines) process.stdout.write(`         | ${line.slice(0, 400)}\n`);
}

function counts(results: readonly Done[]): { passed: number; failed: number; skipped: number; assertions: number } {
  const of = (status: string): number => results.filter((result) => result.verdict.status === status).length;
  const assertions = results.reduce((sum, { tap }) => sum + tap.passed + tap.todo, 0);
  return { passed: of('passed'), failed: of('failed'), skipped: of('skipped'), assertions };
}

function summary(results: readonly Done[]): void {
  const groups = [...new Set(results.map((result) => result.group))];
  const line = (name: string, { passed, failed, skipped, assertions }: ReturnType<typeof counts>): void => {
    const text = `${passed} passed, ${failed} failed, ${skipped} skipped (${assertions} assertions held)`;
    process.stdout.write(`${name.padEnd(6)} ${text}\n`);
  };
  process.stdout.write('\n');
  for (const group of groups) line(group, counts(results.filter((result) => result.group === group)));
  line('total', counts(results));
}

function json(results: readonly Done[]): string {
  const files = results.map(({ group, file, verdict, tap, millis }) => ({
    group,
    file,
    status: verdict.status,
    reason: verdict.status === 'passed' ? null : verdict.reason,
    planned: tap.planned,
    passed: tap.passed,
    todo: tap.todo,
    skipped: tap.skipped,
    failures: tap.failures,
    millis,
  }));
  return `${JSON.stringify({ ...counts(results), files }, null, 2)}\n`;
}

/** Takes the next file whenever one has ended. */
async function runAll(
  files: readonly TestFile[],
  jobs: number,
  options: RunOptions,
  each: (result: Done) => void,
): Promise<Done[]> {
  const results: Done[] = [];
  const queue = files.values();
  const lane = async (): Promise<void> => {
    for (const { group, file } of queue) {
      let result = { group, ...(await runFile(file, options)) };
      // Some bind foreign addresses: they run as we do, if that is enough.
      if (options.as !== null && result.tap.skipAll === 'must be root')
        result = { group, ...(await runFile(file, { ...options, as: null })) };
      results.push(result);
      each(result);
    }
  };
  await Promise.all(Array.from({ length: jobs }, lane));
  return results;
}

async function main(): Promise<number> {
  // --json may come with or without a value, which parseArgs cannot say.
  const args = process.argv.slice(2).map((arg) => (arg === '--json' ? '--json=-' : arg));
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      json: { type: 'string' },
      jobs: { type: 'string', default: '1' },
      timeout: { type: 'string', default: '120' },
      binary: { type: 'string', default: process.env.TEST_NGINX_BINARY ?? BINARY },
      user: { type: 'string', default: 'nobody' },
      verbose: { type: 'boolean', default: false },
    },
  });
  const [path, ...names] = positionals;
  if (path === undefined) throw new Error(USAGE);
  const checkout = resolve(path);
  if (!existsSync(join(checkout, 'lib/Test/Nginx.pm')))
    throw new Error(`${path} is no checkout of nginx-tests (no lib/Test/Nginx.pm)`);
  const files = select(names.length === 0 ? ['A1'] : names, loadGroups());
  const jobs = Number(values.jobs);
  const timeoutMs = Number(values.timeout) * 1000;
  if (!(jobs >= 1) || !(timeoutMs > 0)) throw new Error(USAGE);

  const binary = resolve(values.binary);
  const as = unprivileged(values.user, binary);
  // Compiled code is kept for the length of the run, in a place that whoever runs the tests may write to.
  const cache = mkdtempSync(join(tmpdir(), 'headrace-conformance-'));
  chmodSync(cache, 0o700);
  if (as !== null) chownSync(cache, as.uid, as.gid);
  const env = { NODE_COMPILE_CACHE: cache, ...process.env, TEST_NGINX_BINARY: binary };
  try {
    const quiet = values.json === '-';
    const results = await runAll(files, jobs, { checkout, env, timeoutMs, as }, (result) => {
      if (!quiet) report(result, values.verbose);
    });
    results.sort(
      (a, b) => files.findIndex(({ file }) => file === a.file) - files.findIndex(({ file }) => file === b.file),
    );
    if (!quiet) summary(results);
    if (values.json === '-') process.stdout.write(json(results));
    else if (values.json !== undefined) writeFileSync(values.json, json(results));
    return results.some(({ verdict }) => verdict.status === 'failed') ? 1 : 0;
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}

main().then(
  (code) => (process.exitCode = code),
  (error: Error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 2;
  },
);
