/**
 * `npm run bench:health`: what health checks cost the main thread, and how late they are. 300 groups of 10 servers, each
 * asked once a second, unless options say otherwise.
 *
 * The figure is CPU time of the main thread, which a busy machine does not change: seconds of it per second.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { summarise, type CpuProfile } from './lib/cpuprofile.ts';
import type { HealthReport } from './lib/health-backend.ts';
import { cleanUp, guard, start, temporaryDirectory } from './lib/proc.ts';

const USAGE = `npm run bench:health -- [options]

  --groups N       groups (default 300)
  --servers N      servers of each (default 10)
  --interval MS    from one probe of a server to the next (default 1000)
  --jitter MS      each up to so much later (default 100)
  --keepalive      probes of a server share a connection (keepalive_time=1h)
  --tcp            checks of stream: connecting is enough
  --seconds N      to measure (default 10)
  --scrape         ask for the whole page of metrics meanwhile
  --profile        show the functions of the main thread by self time
`;

/** Until the functions that matter are compiled, and new objects have moved to where they stay. */
const WARM_UP_SECONDS = 8;
const root = join(import.meta.dirname, '..');

type Options = {
  readonly groups: number;
  readonly servers: number;
  readonly interval: number;
  readonly jitter: number;
  readonly keepalive: boolean;
  readonly tcp: boolean;
  readonly seconds: number;
  readonly scrape: boolean;
  readonly profile: boolean;
};

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      groups: { type: 'string', default: '300' },
      servers: { type: 'string', default: '10' },
      interval: { type: 'string', default: '1000' },
      jitter: { type: 'string', default: '100' },
      seconds: { type: 'string', default: '10' },
      keepalive: { type: 'boolean', default: false },
      tcp: { type: 'boolean', default: false },
      scrape: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
    },
  });
  const number = (name: 'groups' | 'servers' | 'interval' | 'jitter' | 'seconds'): number => {
    const n = Number(values[name]);
    if (!Number.isInteger(n) || n < (name === 'jitter' ? 0 : 1))
      throw new Error(`--${name} ${values[name]}: not a number\n\n${USAGE}`);
    return n;
  };
  const { keepalive, tcp, scrape: whole, profile } = values;
  return {
    groups: number('groups'),
    servers: number('servers'),
    interval: number('interval'),
    jitter: number('jitter'),
    seconds: number('seconds'),
    keepalive,
    tcp,
    scrape: whole,
    profile,
  };
}

function configuration({ groups, servers, interval, jitter, keepalive, tcp }: Options, port: number): string {
  const names = Array.from({ length: groups }, (_, i) => `g${i}`);
  let next = 0;
  const address = (): string => {
    next++;
    return `127.1.${next >> 8}.${next & 255}:${port}`;
  };
  const lines = (): string => Array.from({ length: servers }, () => `server ${address()};`).join(' ');
  const upstreams = names.map((name) => `upstream ${name} { zone ${name} 64k; ${lines()} }`).join('\n');
  const check = `health_check interval=${interval}ms jitter=${jitter}ms${keepalive ? ' keepalive_time=1h' : ''};`;
  const head = `worker_processes 1;\npid headrace.pid;\nerror_log error.log;\ndaemon off;\nevents {}\n`;
  if (tcp) {
    const listens = names.map((name, i) => `server { listen unix:s${i}; proxy_pass ${name}; ${check} }`);
    const metrics = 'http { access_log off; server { listen unix:http; location /metrics { prometheus; } } }';
    return `${head}stream {\n${upstreams}\n${listens.join('\n')}\n}\n${metrics}\n`;
  }
  const locations = names.map((name) => `location /${name} { proxy_pass http://${name}; ${check} }`);
  return `${head}http {\naccess_log off;\n${upstreams}\nserver { listen unix:http;\n${locations.join('\n')}\nlocation /metrics { prometheus; }\n}\n}\n`;
}

/** CPU time of a thread, and how long it waited for a core, seconds. */
function threadTimes(pid: number, thread: number): { used: number; waited: number } {
  const [used, waited] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ');
  return { used: Number(used) / 1e9, waited: Number(waited) / 1e9 };
}

function processSeconds(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + threadTimes(pid, Number(thread)).used, 0);
}

const HISTOGRAM = 'headrace_health_check_lateness_seconds';
const TOO_LATE = 'headrace_health_checks_late_total';

type Lateness = {
  /** How many probes were begun at most so many seconds later than planned, by the bounds of the program's histogram. */
  readonly upTo: ReadonlyMap<number, number>;
  /** Later than interval and jitter allow. */
  readonly tooLate: number;
};

/** Only what is wanted is asked for: the page of 3,000 servers is work for the whole machine. */
async function lateness(socketPath: string): Promise<Lateness> {
  const path = `/metrics?name[]=${HISTOGRAM}&name[]=${TOO_LATE}`;
  const [response] = (await once(get({ socketPath, path }), 'response')) as [IncomingMessage];
  let text = '';
  for await (const piece of response) text += String(piece);
  const found = [...text.matchAll(/^(\w+?)(?:_bucket\{le="([^"]+)"\})? (\d+)$/gm)];
  const buckets = found.filter(([, name]) => name === HISTOGRAM);
  return {
    upTo: new Map(buckets.map(([, , le, count]) => [le === '+Inf' ? Infinity : Number(le), Number(count)])),
    tooLate: Number(found.find(([, name]) => name === TOO_LATE)![3]),
  };
}

/** The whole page, as somebody's Prometheus would ask for it; @returns how long it took, milliseconds */
async function scrape(socketPath: string): Promise<number> {
  const began = performance.now();
  const [response] = (await once(get({ socketPath, path: '/metrics' }), 'response')) as [IncomingMessage];
  for await (const _ of response);
  return performance.now() - began;
}

async function told<T>(child: ChildProcess, question: string): Promise<T> {
  const answer = once(child, 'message') as Promise<[T]>;
  child.send(question);
  return (await answer)[0];
}

/** The functions of the main thread, by self time. */
function showProfile(directory: string, pid: number, probes: number): void {
  const text = readFileSync(join(directory, `${pid}-0.cpuprofile`), 'utf8');
  const { busyMicros, functions } = summarise(JSON.parse(text) as CpuProfile, root);
  console.log(`\nmain thread, ${(busyMicros / probes).toFixed(1)} µs per probe:`);
  for (const { name, where, micros } of functions.slice(0, 45)) {
    console.log(`${(micros / probes).toFixed(2).padStart(7)} µs  ${name}  ${where}`);
  }
}

/** How late probes were begun between two moments, in words. */
function beginnings(before: Lateness, after: Lateness): string {
  const upTo = (bound: number): number => (after.upTo.get(bound) ?? 0) - (before.upTo.get(bound) ?? 0);
  const all = upTo(Infinity);
  const later = (bound: number): string => `${((1 - upTo(bound) / all) * 100).toFixed(2)} %`;
  const worst = [...after.upTo.keys()].find((bound) => upTo(bound) === all)!;
  const tooLate = after.tooLate - before.tooLate;
  const parts = `${later(0.005)} more than 5 ms after the moment planned, ${later(0.025)} more than 25; the worst up to`;
  return `${tooLate} of ${all} later than interval and jitter allow; ${parts} ${worst * 1000} ms`;
}

async function run(options: Options): Promise<void> {
  const directory = temporaryDirectory();
  const backend = fork(join(import.meta.dirname, 'lib/health-backend.ts'), [options.tcp ? 'tcp' : 'http']);
  try {
    const [port] = (await once(backend, 'message')) as [number];
    writeFileSync(join(directory, 'nginx.conf'), configuration(options, port));
    const hook = pathToFileURL(join(import.meta.dirname, 'lib/profile-hook.ts')).href;
    const env: Record<string, string> = options.profile
      ? { NODE_OPTIONS: `--import ${hook}`, HEADRACE_PROFILE: directory, HEADRACE_SOURCES: '1' }
      : {};
    const args = ['-p', directory, '-c', 'nginx.conf', '-e', 'error.log'];
    const headrace = await start({ file: join(root, 'bin/headrace'), args, env }, directory);
    const socket = join(directory, 'http');
    while (!existsSync(socket) && headrace.alive()) await sleep(50);
    await sleep(WARM_UP_SECONDS * 1000);
    if (!headrace.alive()) throw new Error(`it did not start:\n${headrace.output()}`);

    const lateBefore = await lateness(socket);
    backend.send('count');
    const before = { main: threadTimes(headrace.pid, headrace.pid), all: processSeconds(headrace.pid) };
    const began = performance.now();
    if (options.profile) writeFileSync(join(directory, 'go'), String((options.seconds - 1) * 1000));
    await sleep(options.seconds * 500);
    const page = options.scrape ? await scrape(socket) : 0;
    await sleep(began + options.seconds * 1000 - performance.now());
    const after = threadTimes(headrace.pid, headrace.pid);
    const main = after.used - before.main.used;
    const waited = after.waited - before.main.waited;
    const all = processSeconds(headrace.pid) - before.all;
    const seconds = (performance.now() - began) / 1000;
    const lateAfter = await lateness(socket);
    const { probes, gaps } = await told<HealthReport>(backend, 'report');

    const percent = (used: number): string => `${((used / seconds) * 100).toFixed(1)} %`;
    const { groups, servers, interval, jitter } = options;
    console.log(`${groups} groups of ${servers} servers, each asked every ${interval} ms, jitter ${jitter} ms`);
    console.log(`probes          ${(probes / seconds).toFixed(0)} a second`);
    console.log(`main thread     ${percent(main)} of one core, ${((main / probes) * 1e6).toFixed(1)} µs per probe`);
    console.log(`whole process   ${percent(all)}`);
    console.log(`                it waited ${(waited * 1000).toFixed(0)} ms for a core`);
    console.log(`begun           ${beginnings(lateBefore, lateAfter)}`);
    const [p50, p99, worst] = gaps.map((ms) => ms.toFixed(0));
    console.log(`come            ${p50} ms after the one before at the median, ${p99} of 99 in 100, ${worst} at most`);
    if (options.scrape) console.log(`metrics         the whole page meanwhile, in ${page.toFixed(0)} ms`);
    if (options.profile) showProfile(directory, headrace.pid, probes);
  } finally {
    backend.disconnect();
  }
}

guard();
try {
  await run(readOptions());
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
} finally {
  await cleanUp();
}
