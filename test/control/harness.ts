/**
 * Starts the program for a test and ends it, by its process id, whatever happens.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, statSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { FakeConfig } from './fixtures/run.ts';

const RUN = fileURLToPath(new URL('./fixtures/run.ts', import.meta.url));
const FLAGS = ['--disable-warning=ExperimentalWarning'];
const PATIENCE_MS = 60_000;

/** A directory that is removed after the test. */
export function directory(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'headrace-test-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** A port of 127.0.0.1 that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Asks until the answer is true; fails with `what` after a while. */
export async function until(
  what: string,
  ask: () => boolean | Promise<boolean>,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const end = performance.now() + patienceMs;
  while (!(await ask())) {
    if (performance.now() > end) throw new Error(`waited ${patienceMs} ms: ${what}`);
    await sleep(20);
  }
}

/** Sends a request; out: what came until the connection's end, '' when it was refused or reset. */
export function get(where: number | string, path = '/'): Promise<string> {
  return new Promise((resolve) => {
    const socket = typeof where === 'number' ? connect(where, '127.0.0.1') : connect(where);
    let text = '';
    socket.setEncoding('latin1');
    socket.on('error', () => resolve(''));
    socket.on('data', (data: string) => (text += data));
    socket.on('close', () => resolve(text));
    socket.write(`GET ${path} HTTP/1.0\r\n\r\n`);
  });
}

export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export class Program {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  stdout = '';
  stderr = '';

  constructor(t: TestContext, command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    this.child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env });
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.ended = new Promise((resolve) => this.child.once('close', (code, signal) => resolve({ code, signal })));
    t.after(async () => {
      if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL');
      await this.ended;
    });
  }

  get pid(): number {
    return this.child.pid!;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }
}

/** A master with the fake worker in a directory of its own. */
export class Fake {
  readonly dir: string;
  readonly file: string;
  readonly pidFile: string;
  readonly logFile: string;
  config: FakeConfig;

  constructor(t: TestContext, config: Partial<FakeConfig>) {
    this.dir = directory(t);
    this.file = join(this.dir, 'fake.json');
    this.pidFile = join(this.dir, 'fake.pid');
    this.logFile = join(this.dir, 'error.log');
    this.config = { pid: this.pidFile, log: this.logFile, listen: [], ...config };
    this.write();
  }

  write(changes: Partial<FakeConfig> = {}): void {
    this.config = { ...this.config, ...changes };
    writeFileSync(this.file, JSON.stringify(this.config));
  }

  start(t: TestContext, ...args: string[]): Program {
    const all = [...FLAGS, RUN, '-p', this.dir, '-c', 'fake.json', '-e', 'early.log', ...args];
    return new Program(t, process.execPath, all);
  }

  async running(t: TestContext): Promise<Program> {
    const program = this.start(t);
    // It is made first and written then.
    const written = (): boolean => existsSync(this.pidFile) && statSync(this.pidFile).size > 0;
    await until('pid file', () => written() || program.child.exitCode !== null);
    if (program.child.exitCode !== null) throw new Error(`did not start: ${program.stderr}`);
    return program;
  }

  log(): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile, 'utf8') : '';
  }

  /** How often the log says it. */
  count(text: string): number {
    return this.log().split(text).length - 1;
  }

  logged(text: string, times = 1): Promise<void> {
    return until(`${times} times in the log: ${text}\n${this.log()}`, () => this.count(text) >= times);
  }
}
