/** `npm start`, on free ports. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

const ROOT = join(import.meta.dirname, '..');
const PATIENCE_MS = 30_000;

async function until(what: () => string, ask: () => boolean): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!ask()) {
    if (performance.now() > end) throw new Error(`waited ${PATIENCE_MS} ms: ${what()}`);
    await sleep(20);
  }
}

function listen(port = 0): Promise<Server> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;
const close = (server: Server): Promise<unknown> => new Promise((resolve) => server.close(resolve));

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => listen()));
  const ports = servers.map(portOf);
  await Promise.all(servers.map(close));
  return ports;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A child that nobody has waited for yet is a name, not a process.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

class Quickstart {
  readonly dir: string;
  readonly conf: string;
  readonly ports: number[];
  readonly child: ChildProcess;
  text = '';

  constructor(t: TestContext, ports: number[]) {
    this.ports = ports;
    this.dir = mkdtempSync(join(tmpdir(), 'headrace-test-'));
    this.conf = join(this.dir, 'nginx.conf');
    const text = readFileSync(join(ROOT, 'examples/quickstart/nginx.conf'), 'utf8');
    writeFileSync(
      this.conf,
      text.replace(
        /127\.0\.0\.1:80(8[0-3]|90)\b/g,
        (_, n: string) => `127.0.0.1:${ports[n === '90' ? 4 : Number(n) - 80] ?? 0}`,
      ),
    );
    this.child = spawn(
      process.execPath,
      [join(ROOT, 'scripts/run.mjs'), 'examples/quickstart/run.ts', '--conf', this.conf],
      // A process group of its own, as a terminal gives: Ctrl-C goes to all of it.
      { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], detached: true },
    );
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (chunk: string) => (this.text += chunk));
    }
    t.after(() => {
      for (const pid of this.pids()) if (alive(pid)) process.kill(pid, 'SIGKILL');
      if (this.child.exitCode === null) this.child.kill('SIGKILL');
      rmSync(this.dir, { recursive: true, force: true });
    });
  }

  /** Process ids of the servers, as they were told to the user, and of Headrace. */
  pids(): number[] {
    const told = [...this.text.matchAll(/127\.0\.0\.1:\d+ +process (\d+)$/gm)].map((match) => Number(match[1]));
    const file = join(this.dir, 'headrace.pid');
    const own = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
    return own > 0 ? [...told, own] : told;
  }

  said(text: string): Promise<void> {
    return until(
      () => `"${text}" in:\n${this.text}`,
      () => this.text.includes(text) || this.child.exitCode !== null,
    );
  }

  get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  async names(count: number): Promise<string[]> {
    const names: string[] = [];
    for (let i = 0; i < count; i++) {
      const response = await fetch(`http://127.0.0.1:${this.ports[0] ?? 0}/`, { headers: { connection: 'close' } });
      assert.equal(response.status, 200);
      await response.text();
      names.push(response.headers.get('x-backend') ?? '');
    }
    return names;
  }
}

function counts(names: readonly string[]): Record<string, number> {
  const result: Record<string, number> = {};
  for (const name of names) result[name] = (result[name] ?? 0) + 1;
  return result;
}

test('balances 5:1:1, goes on without a killed server, ends with Ctrl-C', async (t) => {
  const quickstart = new Quickstart(t, await freePorts(5));
  await quickstart.said('Ctrl-C ends');
  assert.match(quickstart.text, /for i in 1 2 3 4 5 6 7; do curl/);
  const dashboard = /See it live, and change it: +(http:\S+)/.exec(quickstart.text)?.[1];
  assert.equal(dashboard, `http://127.0.0.1:${quickstart.ports[4] ?? 0}/dashboard`);
  assert.match(await (await fetch(dashboard)).text(), /<title>Headrace<\/title>/);

  // The very order, from the first request on, over both workers.
  const names = await quickstart.names(70);
  assert.deepEqual(names.slice(0, 7), ['alpha', 'alpha', 'beta', 'alpha', 'gamma', 'alpha', 'alpha']);
  assert.deepEqual(counts(names), { alpha: 50, beta: 10, gamma: 10 });

  const beta = Number(/beta .*process (\d+)/.exec(quickstart.text)?.[1]);
  process.kill(beta, 'SIGKILL');
  await quickstart.said('beta is gone');
  const rest = counts(await quickstart.names(21));
  assert.deepEqual(Object.keys(rest).sort(), ['alpha', 'gamma'], 'and no request failed');

  const others = (): number[] => quickstart.pids().filter((pid) => pid !== beta);
  await until(
    () => 'two servers and Headrace',
    () => others().length === 3,
  );
  const pids = others();
  process.kill(-(quickstart.child.pid ?? 0), 'SIGINT');
  await until(
    () => `its end:\n${quickstart.text}`,
    () => quickstart.ended && !pids.some(alive),
  );
  assert.equal(quickstart.child.exitCode, 0);
  assert.equal(existsSync(join(quickstart.dir, 'headrace.pid')), false);
});

test('ends when only the outermost process is told to', async (t) => {
  const quickstart = new Quickstart(t, await freePorts(5));
  await quickstart.said('Ctrl-C ends');
  // Headrace's own stands in its pid file, which is made first and written then.
  await until(
    () => 'all four',
    () => quickstart.pids().length === 4,
  );
  const pids = quickstart.pids();
  quickstart.child.kill('SIGTERM');
  await until(
    () => `its end:\n${quickstart.text}`,
    () => quickstart.ended && !pids.some(alive),
  );
});

test('a port in use is named', async (t) => {
  const taken = await listen();
  t.after(() => close(taken));
  const ports = await freePorts(4);
  const quickstart = new Quickstart(t, [portOf(taken), ...ports]);
  await until(
    () => quickstart.text,
    () => quickstart.ended,
  );
  assert.equal(quickstart.child.exitCode, 1);
  assert.match(quickstart.text, new RegExp(`127\\.0\\.0\\.1:${portOf(taken)} is in use by another program`));
  assert.doesNotMatch(quickstart.text, /\n\s+at /, 'no stack');
});
