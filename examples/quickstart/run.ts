/**
 * `npm start`: three small servers, and Headrace in front of them with `nginx.conf` of this directory.
 *
 *     npm start [-- --conf FILE]
 *
 * The ports are those of the configuration: a server is started for each `server 127.0.0.1:PORT` in it.
 * Ctrl-C ends all of it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

const ROOT = join(import.meta.dirname, '../..');
const BIN = join(ROOT, 'bin/headrace');
const NAMES = ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta'];
/** A server that was killed comes back after this: long enough to see the others take over. */
const COMES_BACK_MS = 15_000;
const STARTS_WITHIN_MS = 20_000;
const ENDS_WITHIN_MS = 3000;

interface Backend {
  readonly name: string;
  readonly port: number;
  child: ChildProcess | null;
}

const { values } = parseArgs({ options: { conf: { type: 'string' } } });
const conf = resolve(values.conf ?? join(import.meta.dirname, 'nginx.conf'));
const shownConf = relative(process.cwd(), conf);

let headrace: ChildProcess | null = null;
let ending = false;

/** What the configuration says about ports. */
function readConf(): { port: number; others: number[]; dashboard: string | null; backends: Backend[] } {
  const text = readFileSync(conf, 'utf8').replace(/#.*$/gm, '');
  const [port = 0, ...others] = [...text.matchAll(/\blisten\s+127\.0\.0\.1:(\d+)/g)].map((match) => Number(match[1]));
  const ports = [...text.matchAll(/\bserver\s+127\.0\.0\.1:(\d+)/g)].map((match) => Number(match[1]));
  if (port === 0 || ports.length === 0) {
    throw new Error(`${shownConf}: needs a "listen 127.0.0.1:PORT" and an upstream with a "server 127.0.0.1:PORT"`);
  }
  const path = /\blocation\s+(\S+)\s*\{\s*dashboard;/.exec(text)?.[1];
  const dashboard = path === undefined ? null : `http://127.0.0.1:${others.at(-1) ?? port}${path}`;
  return {
    port,
    others,
    dashboard,
    backends: ports.map((at, i) => ({ name: NAMES[i] ?? `backend-${i + 1}`, port: at, child: null })),
  };
}

/** The code of the error when the port cannot be listened on; null: it is free. */
function whyNotFree(port: number): Promise<string | null> {
  return new Promise((answer) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => answer(error.code ?? error.message));
    server.listen(port, '127.0.0.1', () => server.close(() => answer(null)));
  });
}

async function checkPorts(ports: readonly number[]): Promise<void> {
  const taken: number[] = [];
  for (const port of ports) {
    const code = await whyNotFree(port);
    if (code === null) continue;
    if (code !== 'EADDRINUSE') throw new Error(`cannot listen on 127.0.0.1:${port} (${code})`);
    taken.push(port);
  }
  if (taken.length === 0) return;
  const list = taken.map((port) => `127.0.0.1:${port}`).join(', ');
  throw new Error(
    `${list} ${taken.length === 1 ? 'is' : 'are'} in use by another program (another npm start?). ` +
      `End that one, or change the ports in ${shownConf}.`,
  );
}

/** Starts a server, and again whenever it is killed. Resolves when it listens. */
async function startBackend(backend: Backend): Promise<void> {
  const args = [join(import.meta.dirname, 'backend.ts'), backend.name, String(backend.port)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  backend.child = child;
  await new Promise<void>((done, failed) => {
    child.once('message', () => done());
    child.once('exit', () => failed(new Error(`${backend.name} could not start`)));
    child.once('error', failed);
  });
  child.once('exit', () => comeBack(backend));
}

/** What follows when somebody has killed a server. */
function comeBack(backend: Backend): void {
  backend.child = null;
  if (ending) return;
  say(`${backend.name} is gone; the others take its requests. It comes back in ${COMES_BACK_MS / 1000} seconds.`);
  const again = async (): Promise<void> => {
    if (ending) return;
    try {
      await startBackend(backend);
      say(`${backend.name} is back (process ${backend.child?.pid ?? '?'}).`);
    } catch {
      comeBack(backend);
    }
  };
  setTimeout(() => void again(), COMES_BACK_MS).unref();
}

function startHeadrace(): ChildProcess {
  const child = spawn(BIN, ['-p', dirname(conf), '-c', basename(conf), '-g', 'daemon off;'], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  child.once('error', (error) => void stop(1, `could not run ${relative(process.cwd(), BIN)}: ${error.message}`));
  child.once('exit', (code, signal) => {
    headrace = null;
    if (!ending) void stop(code === 0 ? 0 : 1, `Headrace has ended (${signal ?? `code ${code ?? '?'}`}).`);
  });
  return child;
}

/** Asks until there is an answer. */
async function untilAnswers(port: number): Promise<void> {
  const end = performance.now() + STARTS_WITHIN_MS;
  while (!ending) {
    try {
      // Not through the balancer: the first request that you send goes to the first server.
      await fetch(`http://127.0.0.1:${port}/healthz`);
      return;
    } catch {
      if (performance.now() > end) throw new Error(`Headrace does not answer on 127.0.0.1:${port}`);
      await sleep(25);
    }
  }
}

function say(text: string): void {
  console.log(`\n${text}`);
}

function guide(port: number, dashboard: string | null, backends: readonly Backend[]): string {
  const url = `http://127.0.0.1:${port}/`;
  const list = backends.map(
    ({ name, port: at, child }) => `    ${name.padEnd(8)} 127.0.0.1:${at}  process ${child?.pid ?? '?'}`,
  );
  const run = `bin/headrace -p ${relative(ROOT, dirname(conf)) || '.'} -c ${basename(conf)}`;
  return `Headrace listens on ${url} and balances over

${list.join('\n')}

${dashboard === null ? '' : `See it live, and change it:  ${dashboard}\n\n`}In another terminal:

  Who answers? Of seven requests five go to ${backends[0]?.name ?? 'the first'}, one to each of the others:
    for i in 1 2 3 4 5 6 7; do curl -si ${url} | grep -i x-backend; done

  End a server; no request fails, and it comes back by itself after ${COMES_BACK_MS / 1000} seconds:
    kill ${backends[1]?.child?.pid ?? backends[0]?.child?.pid ?? 'PID'}

  Change weights or the method in ${shownConf}; then check it, and take it over while traffic goes on:
    ${run} -t
    ${run} -s reload

  See who got what:
    tail -f ${join(relative(process.cwd(), dirname(conf)), 'access.log')}

Ctrl-C ends all of it.`;
}

/** Waits for the end of a process, with force after a while. */
async function end(child: ChildProcess | null, signal: NodeJS.Signals): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((done) => child.once('exit', () => done()));
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), ENDS_WITHIN_MS);
  await ended;
  clearTimeout(timer);
}

/** Ends everything: Headrace first, so that nobody asks a server that is gone. */
async function stop(code: number, message?: string): Promise<void> {
  if (ending) return;
  ending = true;
  if (message !== undefined) console.error(`\nquickstart: ${message}`);
  await end(headrace, 'SIGTERM');
  await Promise.all(backends.map(({ child }) => end(child, 'SIGTERM')));
  process.exit(code);
}

let backends: Backend[] = [];

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void stop(0));
// Whoever started this is gone without a word.
process.on('disconnect', () => void stop(1));

try {
  const { port, others, dashboard, backends: wanted } = readConf();
  backends = wanted;
  await checkPorts([port, ...others, ...backends.map((backend) => backend.port)]);
  await Promise.all(backends.map(startBackend));
  headrace = startHeadrace();
  await untilAnswers(port);
  if (!ending) say(guide(port, dashboard, backends));
} catch (error) {
  await stop(1, (error as Error).message);
}
