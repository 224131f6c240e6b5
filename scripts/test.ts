/**
 * `npm test`: all tests, or those whose path contains one of the arguments.
 *
 *     npm test                              everything
 *     npm test -- upstream http/wire        files with this in their path
 *     npm test -- --name 'least_conn'       tests whose name matches
 *     npm test -- --slow                    prints the ten slowest files
 *     npm test -- --coverage
 */
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { Transform } from 'node:stream';
import { run } from 'node:test';
import { spec, dot } from 'node:test/reporters';
import { parseArgs } from 'node:util';
import { ensureBuilt } from './build.ts';

const ROOT = join(import.meta.dirname, '..');
/** A file that takes longer than this hangs; those that are meant to be long have limits of their own. */
const FILE_TIMEOUT_MS = process.env.HEADRACE_CHAOS === 'long' ? 4 * 3_600_000 : 300_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    name: { type: 'string', multiple: true },
    slow: { type: 'boolean' },
    coverage: { type: 'boolean' },
    dots: { type: 'boolean' },
    concurrency: { type: 'string' },
  },
});

const all = globSync('test/**/*.test.ts', { cwd: ROOT }).sort();
const files = all.filter((file) => positionals.length === 0 || positionals.some((part) => file.includes(part)));
if (files.length === 0) {
  console.error(`no test file has any of this in its path: ${positionals.join(' ')}`);
  process.exit(1);
}

// Each file is a process, and many start a proxy and backends of their own: more than the cores only makes them late.
const concurrency = Number(values.concurrency ?? Math.max(1, Math.min(4, availableParallelism())));

interface Skip {
  name: string;
  reason: string;
}

const skips: Skip[] = [];
const millis = new Map<string, number>();
let failed = false;

// Told to end, it ends the processes of the test files, too.
const ending = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    failed = true;
    ending.abort();
  });
}

// What is tested is what is published, and starts in half the time. Coverage is of the sources.
if (values.coverage === true) process.env['HEADRACE_SOURCES'] = '1';
else if (positionals.length === 0)
  await ensureBuilt().catch((error: Error) => console.log(`not built: ${error.message}`));

const started = performance.now();
const stream = run({
  files: files.map((file) => join(ROOT, file)),
  cwd: ROOT,
  concurrency,
  timeout: FILE_TIMEOUT_MS,
  signal: ending.signal,
  coverage: values.coverage ?? false,
  ...(values.name === undefined ? {} : { testNamePatterns: values.name.map((text) => new RegExp(text)) }),
});

stream.on('test:fail', ({ todo }) => {
  if (todo === undefined || todo === false) failed = true;
});
stream.on('test:pass', ({ name, skip }) => {
  if (skip !== undefined && skip !== false)
    skips.push({ name, reason: typeof skip === 'string' ? skip : 'no reason given' });
});
stream.on('test:summary', ({ file, duration_ms, success }) => {
  if (!success) failed = true;
  if (file !== undefined) millis.set(relative(ROOT, file), duration_ms);
});

const reporter = (values.dots ? Transform.from(dot) : new spec()) as unknown as NodeJS.ReadWriteStream;
stream.compose(reporter).pipe(process.stdout);

stream.once('end', () => {
  process.exitCode = failed ? 1 : 0;
});

process.once('exit', () => {
  if (values.slow) {
    const slowest = [...millis].sort((a, b) => b[1] - a[1]).slice(0, 10);
    console.log('\nslowest files:');
    for (const [file, ms] of slowest) console.log(`  ${(ms / 1000).toFixed(1).padStart(6)} s  ${file}`);
  }
  if (skips.length > 0) {
    const byReason = Map.groupBy(skips, ({ reason }) => reason);
    console.log('\nskipped:');
    for (const [reason, list] of byReason) console.log(`  ${list.length} × ${reason}`);
  }
  console.log(
    `\n${files.length} files, ${((performance.now() - started) / 1000).toFixed(1)} s: ${failed ? 'FAILED' : 'passed'}`,
  );
});
