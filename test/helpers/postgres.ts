/**
 * A PostgreSQL of a test's own: a new cluster in a temporary directory, reached by a Unix socket there, run by a user that
 * is not the superuser (the server refuses to be), and ended by its process id.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { promisify } from 'node:util';
import type { TestContext } from 'node:test';
import { requires } from './requires.ts';
import { type Scope, until } from './wait.ts';

const run = promisify(execFile);
const USER = 'headrace';

interface Identity {
  uid?: number;
  gid?: number;
}

/** Whom to run it as: ourselves, unless we are root. */
function identity(): Identity {
  if (process.getuid?.() !== 0) return {};
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
  const line = ['postgres', 'nobody'].map((name) => lines.find((text) => text.startsWith(`${name}:`))).find(Boolean);
  const [, , uid, gid] = (line ?? '').split(':');
  return { uid: Number(uid), gid: Number(gid) };
}

export class Postgres {
  readonly #dir: string;
  readonly #program: string;
  readonly #identity: Identity;
  #child: ChildProcess | null = null;
  #databases = 0;

  private constructor(dir: string, program: string, who: Identity) {
    this.#dir = dir;
    this.#program = program;
    this.#identity = who;
  }

  /** Null: it is not installed, and the test is skipped (in CI: fails). */
  static async start(t: TestContext, scope: Scope): Promise<Postgres | null> {
    const program = requires(t, 'postgres');
    const initdb = requires(t, 'initdb');
    if (program === null || initdb === null) return null;
    const who = identity();
    // Short: the path of a socket has 107 characters at most.
    const dir = mkdtempSync(join(tmpdir(), 'hr-pg-'));
    const postgres = new Postgres(dir, program, who);
    scope.after(async () => {
      await postgres.stop();
      rmSync(dir, { recursive: true, force: true });
    });
    if (who.uid !== undefined && who.gid !== undefined) chownSync(dir, who.uid, who.gid);
    await run(initdb, ['-D', join(dir, 'data'), '-U', USER, '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'], {
      ...who,
      cwd: dir,
    });
    await postgres.start();
    return postgres;
  }

  async start(): Promise<void> {
    const dir = this.#dir;
    const options = ['fsync=off', 'listen_addresses=', `unix_socket_directories=${dir}`, 'shared_buffers=16MB'];
    const child = spawn(this.#program, ['-D', join(dir, 'data'), ...options.flatMap((option) => ['-c', option])], {
      ...this.#identity,
      cwd: dir,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child = child;
    let log = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (log += text));
    const ready = /database system is ready to accept connections/;
    await until(
      () => `PostgreSQL to start: ${log}`,
      () => ready.test(log) || child.exitCode !== null,
    );
    if (child.exitCode !== null) throw new Error(`PostgreSQL did not start: ${log}`);
  }

  /** Connections are cut. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGINT');
    await ended;
  }

  /** A new, empty database. */
  async database(): Promise<string> {
    const name = `db${++this.#databases}`;
    const { default: pg } = await import('pg');
    const client = new pg.Client({ connectionString: this.#url('postgres') });
    await client.connect();
    await client.query(`CREATE DATABASE ${name}`);
    await client.end();
    return this.#url(name);
  }

  #url(database: string): string {
    return `postgres://${USER}@localhost/${database}?host=${encodeURIComponent(this.#dir)}`;
  }
}
