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
  --keepalive      probes of a server share a connection (keepalive_time=1h)
  --tcp            checks of stream: connecting is enough
  --seconds N      to measure (default 10)
  --profile        show the functions of the main thread by self time
`;

const WARM_UP_SECONDS = 4;
const root = join(import.meta.dirname, '..');

type Options = {
  readonly groups: number;
  readonly servers: number;
  readonly interval: number;
  readonly keepalive: boolean;
  readonly tcp: boolean;
  readonly seconds: number;
  readonly profile: boolean;
};

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      groups: { type: 'string', default: '300' },
      servers: { type: 'string', default: '10' },
      interval: { type: 'string', default: '1000' },
      seconds: { type: 'string', default: '10' },
      keepalive: { type: 'boolean', default: false },
      tcp: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
    },
  });
  const number = (name: 'groups' | 'servers' | 'interval' | 'seconds'): number => {
    const n = Number(values[name]);
    if (!Number.isInteger(n) || n < 1) throw new Error(`--${name} ${values[name]}: not a number\n\n${USAGE}`);
    return n;
  };
  const { keepalive, tcp, profile } = values;
  const numbers = { groups: number('groups'), servers: number('servers') };
  return { ...numbers, interval: number('interval'), seconds: number('seconds'), keepalive, tcp, profile };
}

function configuration({ groups, servers, interval, keepalive, tcp }: Options, port: number): string {
  const names = Array.from({ length: groups }, (_, i) => `g${i}`);
  let next = 0;
  const address = (): string => {
    next++;
    return `127.1.${next >> 8}.${next & 255}:${port}`;
  };
  const lines = (): string => Array.from({ length: servers }, () => `server ${address()};`).join(' ');
  const upstreams = names.map((name) => `upstream ${name} { zone ${name} 64k; ${lines()} }`).join('\n');
  const check = `health_check interval=${interval}ms${keepalive ? ' keepalive_time=1h' : ''};`;
  const head = `worker_processes 1;\npid headrace.pid;\nerror_log error.log;\ndaemon off;\nevents {}\n`;
  if (tcp) {
    const listens = names.map((name, i) => `server { listen unix:s${i}; proxy_pass ${name}; ${check} }`);
    const metrics = 'http { access_log off; server { listen unix:http; location /metrics { prometheus; } } }';
    return `${head}stream {\n${upstreams}\n${listens.join('\n')}\n}\n${metrics}\n`;
  }
  const locations = names.map((name) => `location /${name} { proxy_pass http://${name}; ${check} }`);
  return `${head}http {\naccess_log off;\n${upstreams}\nserver { listen unix:http;\n${locations.join('\n')}\nlocation /metrics { prometheus; }\n}\n}\n`;
}

/** CPU time of a thread, seconds. */
function threadSeconds(pid: number, thread: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0]) / 1e9;
}

function processSeconds(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + threadSeconds(pid, Number(thread)), 0);
}

/** How many probes were begun at most so many seconds late, by the bounds of the program's histogram. */
async function lateness(socketPath: string): Promise<Map<number, number>> {
  const [response] = (await once(get({ socketPath, path: '/metrics' }), 'response')) as [IncomingMessage];
  let text = '';
  for await (const piece of response) text += String(piece);
  const found = text.matchAll(/^headrace_health_check_lateness_seconds_bucket\{le="([^"]+)"\} (\d+)/gm);
  return new Map([...found].map(([, le, count]) => [le === '+Inf' ? Infinity : Number(le), Number(count)]));
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

async function run(options: Options): Promise<void> {
  const directory = temporaryDirectory();
  const backend = fork(join(import.meta.dirname, 'lib/health-backend.ts'), [
    String(options.interval),
    options.tcp ? 'tcp' : 'http',
  ]);
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
    const before = { main: threadSeconds(headrace.pid, headrace.pid), all: processSeconds(headrace.pid) };
    const began = performance.now();
    if (options.profile) writeFileSync(join(directory, 'go'), String((options.seconds - 1) * 1000));
    await sleep(options.seconds * 1000);
    const main = threadSeconds(headrace.pid, headrace.pid) - before.main;
    const all = processSeconds(headrace.pid) - before.all;
    const seconds = (performance.now() - began) / 1000;
    const lateAfter = await lateness(socket);
    const { probes, late } = await told<HealthReport>(backend, 'report');

    const percent = (used: number): string => `${((used / seconds) * 100).toFixed(1)} %`;
    console.log(`${options.groups} groups of ${options.servers} servers, each asked every ${options.interval} ms`);
    console.log(`probes          ${(probes / seconds).toFixed(0)} a second`);
    console.log(`main thread     ${percent(main)} of one core, ${((main / probes) * 1e6).toFixed(1)} µs per probe`);
    console.log(`whole process   ${percent(all)}`);
    const upTo = (bound: number): number => (lateAfter.get(bound) ?? 0) - (lateBefore.get(bound) ?? 0);
    const later = (bound: number): string => `${((1 - upTo(bound) / upTo(Infinity)) * 100).toFixed(2)} %`;
    console.log(`begun late      ${later(0.005)} by more than 5 ms, ${later(0.025)} by 25, ${later(0.1)} by 100`);
    const [p50, p99, worst] = late.map((ms) => ms.toFixed(1));
    console.log(
      `come late       ${p50} ms at the median, ${p99} of 99 in 100, ${worst} at most, as the servers see it`,
    );
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
