/**
 * `npm run bench:profile`: where the time goes in Headrace (or another Node proxy) under the load of a scenario. Prints
 * the functions of each thread by self time, and what they cost per request; with --perf the symbols of the whole
 * process, the kernel's too, which also works for nginx and HAProxy.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { groupOf, startBackends } from './lib/backends.ts';
import { makeCertificate } from './lib/certificate.ts';
import { summarise, type CpuProfile } from './lib/cpuprofile.ts';
import { writeLoadFiles, wrkVersion } from './lib/load.ts';
import { load, startProxy, type Bench } from './lib/measure.ts';
import { cleanUp, cpuMicros, guard, start, temporaryDirectory, tree, type Running } from './lib/proc.ts';
import { scenarios, type Scenario } from './lib/scenarios.ts';
import { versionOf } from './lib/version.ts';
import { proxies } from './proxies/index.ts';
import { nginx } from './proxies/nginx.ts';
import type { Proxy } from './proxies/types.ts';

const USAGE = `npm run bench:profile -- [options]

  --scenario NAME  ${scenarios.map((one) => one.name).join(', ')} (default small)
  --proxy NAME     ${proxies.map((one) => one.name).join(', ')} (default headrace)
  --seconds N      to record (default 5)
  --top N          functions to show (default 30)
  --perf           record with perf instead of V8's profiler (apt install linux-perf)
  --keep DIR       leave the recordings there (.cpuprofile opens in a browser's developer tools)
`;

const WARM_UP_SECONDS = 3;
const root = join(import.meta.dirname, '..');

type Options = { readonly seconds: number; readonly top: number; readonly perf: boolean; readonly keep?: string };

function fail(sentence: string): never {
  throw new Error(sentence);
}

/** Starts everything, warms up, and records while the load runs. */
async function profile(proxy: Proxy, scenario: Scenario, options: Options): Promise<void> {
  const directory = temporaryDirectory();
  writeLoadFiles(directory);
  const tls = scenario.tls ? makeCertificate(directory) : undefined;
  if (scenario.tls && !tls) fail('no certificate could be made (apt install openssl)');
  const backends = await startBackends(directory, scenario.servers > 3, nginx.version() !== undefined);
  const bench: Bench = {
    directory,
    tls,
    servers: (one) => groupOf(backends, one),
    seconds: options.seconds,
    warmUpSeconds: WARM_UP_SECONDS,
  };
  const hook = pathToFileURL(join(import.meta.dirname, 'lib/profile-hook.ts')).href;
  const environment: Record<string, string> = options.perf
    ? { NODE_OPTIONS: '--perf-basic-prof', HEADRACE_SOURCES: '1' }
    : { NODE_OPTIONS: `--import ${hook}`, HEADRACE_PROFILE: directory, HEADRACE_SOURCES: '1' };
  const observed: Proxy = {
    ...proxy,
    prepare: (setup) => {
      const command = proxy.prepare(setup);
      return { ...command, env: { ...command.env, ...environment } };
    },
  };
  const [running, port] = await startProxy(observed, scenario, bench);
  await load(directory, scenario, port, WARM_UP_SECONDS);

  const pids = tree(running.pid);
  const into = options.keep ?? directory;
  const data = join(into, 'perf.data');
  let recorder: Running | undefined;
  if (options.perf) {
    const args = ['record', '-q', '-F', '1999', '-o', data, '-p', pids.join(), '--', 'sleep', `${options.seconds}`];
    recorder = await start({ file: 'perf', args }, directory);
  } else {
    writeFileSync(join(directory, 'go'), `${options.seconds * 1000}`);
  }
  const before = cpuMicros(pids);
  const result = await load(directory, scenario, port, options.seconds + 1);
  const micros = (cpuMicros(pids) - before) / result.requests;
  // The recording ends before the load; then it is written.
  await (recorder ? recorder.ended : sleep(1000));
  const perSecond = result.requests / result.seconds;
  console.log(
    `${proxy.name}, ${scenario.title}: ${Math.round(perSecond)} requests/s, ${micros.toFixed(1)} µs CPU each`,
  );
  if (options.perf) reportPerf(data, options.top);
  else reportThreads(directory, perSecond, options);
  await running.stop();
  for (const pid of pids) rmSync(`/tmp/perf-${pid}.map`, { force: true });
}

/** The functions of every thread that did something. */
function reportThreads(directory: string, perSecond: number, options: Options): void {
  const files = readdirSync(directory).filter((name) => name.endsWith('.cpuprofile'));
  if (files.length === 0) fail('no recording was written: is it a Node program? (otherwise: --perf)');
  for (const file of files.sort()) {
    const text = readFileSync(join(directory, file), 'utf8');
    if (options.keep) writeFileSync(join(options.keep, file), text);
    const summary = summarise(JSON.parse(text) as CpuProfile, root);
    const busy = (100 * summary.busyMicros) / summary.totalMicros;
    const [pid, thread] = file.replace('.cpuprofile', '').split('-');
    console.log(`\nprocess ${pid}, thread ${thread}: ${busy.toFixed(1)} % busy`);
    // A thread that only waits needs no list.
    if (busy < 1) continue;
    const requests = (perSecond * summary.totalMicros) / 1e6;
    console.log('  self %  µs/request  function');
    for (const { name, where, micros } of summary.functions.slice(0, options.top)) {
      const share = ((100 * micros) / summary.busyMicros).toFixed(1).padStart(8);
      console.log(`${share}${(micros / requests).toFixed(2).padStart(12)}  ${name} ${where}`);
    }
  }
}

/** Shares of the whole process by program or library, then by symbol. */
function reportPerf(data: string, top: number): void {
  for (const sort of ['dso', 'dso,symbol']) {
    const args = ['report', '--stdio', '-q', '--no-children', '--sort', sort, '-i', data];
    const { stdout, stderr } = spawnSync('perf', args, { encoding: 'utf8', maxBuffer: 1 << 28 });
    const lines = stdout.split('\n').filter((line) => /^\s*\d/.test(line));
    const tidy = (line: string): string =>
      line
        .replace(/ +-( +-)* *$/, '')
        .trimEnd()
        .slice(0, 160);
    const short = lines.slice(0, top).map(tidy);
    console.log(`\nby ${sort.replace(',', ' and ')}\n${short.join('\n') || stderr}`);
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      scenario: { type: 'string', default: 'small' },
      proxy: { type: 'string', default: 'headrace' },
      seconds: { type: 'string', default: '5' },
      top: { type: 'string', default: '30' },
      perf: { type: 'boolean', default: false },
      keep: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return void process.stdout.write(USAGE);
  const scenario = scenarios.find((one) => one.name === values.scenario);
  const proxy = proxies.find((one) => one.name === values.proxy);
  if (!scenario || !proxy)
    fail(`no such ${scenario ? `proxy: ${values.proxy}` : `scenario: ${values.scenario}`}\n${USAGE}`);
  if (!proxy.version()) fail(`${proxy.name} is not installed (${proxy.install})`);
  if (!wrkVersion()) fail('wrk, which makes the load, is not installed (apt install wrk)');
  if (values.perf && !versionOf('perf', ['--version'], /(\S+)$/m))
    fail('perf is not installed (apt install linux-perf)');
  const [seconds, top] = [Number(values.seconds), Number(values.top)];
  if (!(seconds >= 1) || !(top >= 1)) fail('--seconds and --top: numbers from 1');
  const { perf, keep } = values;
  await profile(proxy, scenario, { seconds, top, perf, ...(keep === undefined ? {} : { keep }) });
}

guard();
try {
  await main();
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
} finally {
  await cleanUp();
}
