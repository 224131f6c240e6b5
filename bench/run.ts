/**
 * `npm run bench`: Headrace beside other proxies, in turns, in one run, with the same backends. The method is in
 * README.md; what is measured, in lib/scenarios.ts; by whom, in proxies/.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { ensureBuilt } from '../scripts/build.ts';
import { groupOf, startBackends } from './lib/backends.ts';
import { makeCertificate } from './lib/certificate.ts';
import { judge } from './lib/goals.ts';
import { h2loadVersion } from './lib/http2.ts';
import { writeLoadFiles, wrkVersion } from './lib/load.ts';
import { measure, measureStart, median, medianSample, type Bench, type Sample } from './lib/measure.ts';
import { parseOptions, USAGE, type Options } from './lib/options.ts';
import { plot } from './lib/plot.ts';
import { cleanUp, guard, temporaryDirectory } from './lib/proc.ts';
import { brief, goalLines, ratioToNginx, round, show, table, type Invalid, type Row } from './lib/report.ts';
import { isHttp2, scenarios, type Scenario } from './lib/scenarios.ts';
import { startEchoes } from './lib/udp.ts';
import { nginx } from './proxies/nginx.ts';
import { installNodeProxies } from './proxies/node.ts';
import type { Proxy } from './proxies/types.ts';

const STARTS = 5;

type Installed = { readonly proxy: Proxy; readonly version: string };

/** What a run found out. */
type Results = { rows: Row[]; invalid: Invalid[]; cores: Record<string, number>; samples: Record<string, number[]> };

/** The proxies that are there; a line for each that is not. */
function findInstalled(wanted: readonly Proxy[]): Installed[] {
  installNodeProxies(wanted);
  const found: Installed[] = [];
  for (const proxy of wanted) {
    const version = proxy.version();
    if (version === undefined) console.log(`${proxy.name}: left out, not installed (${proxy.install})`);
    else found.push({ proxy, version });
  }
  return found;
}

function speaks(proxy: Proxy, { protocol }: Scenario): boolean {
  return protocol === 'http' || proxy.speaks?.includes(protocol) === true;
}

/** One scenario: rounds in which the proxies take turns; then the median of each, or the reason why there is none. */
async function runScenario(
  scenario: Scenario,
  installed: readonly Installed[],
  rounds: number,
  bench: Bench,
  results: Results,
): Promise<void> {
  const samples = new Map<Proxy, Sample[]>(
    installed.filter(({ proxy }) => speaks(proxy, scenario)).map(({ proxy }) => [proxy, []]),
  );
  for (let turn = 1; turn <= rounds; turn++) {
    for (const [proxy, list] of samples) {
      progress(`${scenario.name}, round ${turn} of ${rounds}: ${proxy.name}`);
      try {
        list.push(await measure(proxy, scenario, bench));
      } catch (error) {
        samples.delete(proxy);
        results.invalid.push({ scenario: scenario.name, proxy: proxy.name, reason: (error as Error).message });
      }
    }
  }
  progress('');
  for (const [proxy, list] of samples) {
    const { coresUsed, ...figures } = medianSample(list);
    const rounded = Object.fromEntries(Object.entries(figures).map(([key, value]) => [key, round(value)]));
    results.rows.push({ scenario: scenario.name, proxy: proxy.name, ...rounded } as Row);
    results.cores[`${scenario.name} ${proxy.name}`] = round(coresUsed);
    results.samples[`${scenario.name} ${proxy.name}`] = list.map((sample) => round(sample.cpuMicrosPerRequest));
  }
}

/** Milliseconds from start to first answer, the median of some starts in turns. */
async function runStarts(installed: readonly Installed[], bench: Bench): Promise<Record<string, number>> {
  const times = new Map(installed.map(({ proxy }) => [proxy, [] as number[]]));
  for (let turn = 1; turn <= STARTS; turn++) {
    for (const [proxy, list] of times) {
      progress(`start ${turn} of ${STARTS}: ${proxy.name}`);
      try {
        list.push(await measureStart(proxy, scenarios[0]!, bench));
      } catch (error) {
        times.delete(proxy);
        progress('');
        console.log(`${proxy.name}: does not start: ${brief((error as Error).message)}`);
      }
    }
  }
  progress('');
  return Object.fromEntries([...times].map(([proxy, list]) => [proxy.name, round(median(list))]));
}

/** What is going on, in one line that is overwritten; nothing when the output is no terminal. */
function progress(text: string): void {
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${text}`);
}

/** The scenarios that can be run here; a line for what cannot. */
function runnable(wanted: readonly Scenario[], tls: Bench['tls']): Scenario[] {
  if (!tls && wanted.some((scenario) => scenario.tls)) {
    console.log('TLS scenarios: left out, no certificate could be made (apt install openssl)');
  }
  const h2load = h2loadVersion() !== undefined;
  if (!h2load && wanted.some(isHttp2)) {
    console.log('HTTP/2 and gRPC: left out, h2load is not installed (apt install nghttp2-client)');
  }
  const grpc = nginx.version() !== undefined;
  if (h2load && !grpc && wanted.some(({ protocol }) => protocol === 'grpc')) {
    console.log('gRPC: left out, the servers need nginx (apt install nginx)');
  }
  return wanted.filter(
    (scenario) => (tls || !scenario.tls) && (h2load || !isHttp2(scenario)) && (grpc || scenario.protocol !== 'grpc'),
  );
}

async function run(options: Options): Promise<void> {
  const wrk = wrkVersion();
  if (!wrk) {
    console.error('wrk, which makes the load, is not installed (apt install wrk)');
    process.exitCode = 1;
    return;
  }
  const installed = findInstalled(options.proxies);
  if (installed.length === 0) throw new Error('no proxy to measure');

  if (installed.some(({ proxy }) => proxy.kind === 'headrace')) await ensureBuilt();

  const directory = temporaryDirectory();
  writeLoadFiles(directory);
  const tls = makeCertificate(directory);
  const wanted = runnable(options.scenarios, tls);
  const manyServers = wanted.some((scenario) => scenario.servers > 3);
  const backends = await startBackends(directory, manyServers, nginx.version() !== undefined);
  if (backends.kind === 'node') console.log('backends: Node, for want of nginx; they may slow down the load');
  const echoes = wanted.some(({ protocol }) => protocol === 'udp') ? await startEchoes(directory) : [];
  const bench: Bench = {
    directory,
    tls,
    servers: (scenario) =>
      scenario.protocol === 'udp' ? echoes.map((port) => `127.0.0.1:${port}`) : groupOf(backends, scenario),
    seconds: options.seconds,
    warmUpSeconds: options.warmUpSeconds,
  };

  const results: Results = { rows: [], invalid: [], cores: {}, samples: {} };
  for (const scenario of wanted) {
    await runScenario(scenario, installed, options.rounds, bench, results);
    process.stdout.write(table(scenario, results.rows, results.invalid));
    const unable = installed.filter(({ proxy }) => !speaks(proxy, scenario)).map(({ proxy }) => proxy.name);
    if (unable.length > 0) console.log(`  left out, for they do not speak ${scenario.protocol}: ${unable.join(', ')}`);
  }
  const starters = installed.filter(({ proxy }) => proxy.measureStart);
  const starts = options.starts ? await runStarts(starters, bench) : {};
  for (const [name, millis] of Object.entries(starts)) console.log(`\n${name}: first answer after ${show(millis)} ms`);

  const goals = judge(results.rows, starts['headrace']);
  if (goals.some((one) => one.reached !== undefined)) process.stdout.write(goalLines(goals));
  const meta = {
    date: new Date().toISOString(),
    machine: {
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: availableParallelism(),
      memoryGiB: round(totalmem() / 2 ** 30),
      kernel: release(),
    },
    versions: {
      node: process.version,
      wrk,
      h2load: h2loadVersion(),
      ...Object.fromEntries(installed.map(({ proxy, version }) => [proxy.name, version])),
    },
    options: { seconds: options.seconds, rounds: options.rounds, warmUpSeconds: options.warmUpSeconds },
    backends: backends.kind,
    goals,
    startMillis: starts,
    invalid: results.invalid,
    cpuRatioToNginx: Object.fromEntries(
      results.rows.map((row) => [`${row.scenario} ${row.proxy}`, ratioToNginx(results.rows, row)?.toFixed(3) ?? null]),
    ),
    coresUsed: results.cores,
    cpuMicrosPerRequestOfEachRound: results.samples,
  };
  mkdirSync(options.out, { recursive: true });
  const write = (name: string, text: string): void => writeFileSync(join(options.out, name), text);
  write('latest.json', `[\n${results.rows.map((row) => `  ${JSON.stringify(row)}`).join(',\n')}\n]\n`);
  write('latest-meta.json', `${JSON.stringify(meta, null, 2)}\n`);
  write('latest.svg', plot(wanted, results.rows, { ...meta, proxies: installed.map(({ proxy }) => proxy.name) }));
  console.log(`\nwritten: ${join(options.out, 'latest.json')}, latest-meta.json, latest.svg`);
}

guard();
try {
  const options = parseOptions(process.argv.slice(2));
  if (options === 'help') process.stdout.write(USAGE);
  else await run(options);
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
} finally {
  await cleanUp();
}
