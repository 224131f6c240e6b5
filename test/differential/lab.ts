/**
 * The same configuration in two programs: the installed nginx and Headrace, each in a directory and on ports of its
 * own, and a client that sends bytes and keeps what comes back.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../helpers/ports.ts';
import { findProgram } from '../helpers/requires.ts';
import { until } from '../helpers/wait.ts';

export type Kind = 'nginx' | 'headrace';

const HEADRACE = fileURLToPath(new URL('../../bin/headrace', import.meta.url));
/** Every file has this time, so that validators (ETag, Last-Modified) are the same on both sides. */
const FILE_TIME = new Date('2026-01-02T03:04:05Z');
/** What nginx needs beside a configuration, to run in a directory of its own whoever starts it. */
const NGINX_ONLY = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  .map((name) => `${name}_temp_path temp_${name};\n`)
  .join('');

export interface Setup {
  kind: Kind;
  /** The inside of `http {}`; `%%NAME%%` stands for a port: of `ports`, or one that is chosen for the program. */
  http: string;
  /** Ports that are given: backends. */
  ports?: Record<string, number>;
  /** Files by path under the prefix. */
  files?: Record<string, string | Buffer>;
  /** The main context. */
  main?: string;
}

/** A program that serves `setup`. End it by `stop`. */
export class Running {
  readonly kind: Kind;
  readonly dir: string;
  readonly ports: Record<string, number>;
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
  #stderr = '';

  private constructor(kind: Kind, dir: string, ports: Record<string, number>) {
    this.kind = kind;
    this.dir = dir;
    this.ports = ports;
    const binary = kind === 'nginx' ? findProgram('nginx') : HEADRACE;
    if (binary === null) throw new Error('nginx is not installed');
    this.child = spawn(binary, ['-p', dir, '-c', 'nginx.conf', '-e', 'error.log'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    this.ended = new Promise((resolve) => this.child.once('close', () => resolve()));
  }

  static async start(setup: Setup): Promise<Running> {
    const { kind, http, files = {}, main = 'worker_processes 1;' } = setup;
    const dir = mkdtempSync(join(tmpdir(), `headrace-differential-${kind}-`));
    // nginx's workers are somebody else when it is started as root.
    chmodSync(dir, 0o755);
    const names = [...new Set([...`${http}${main}`.matchAll(/%%(\w+)%%/g)].map((match) => match[1]!))];
    const wanted = names.filter((name) => setup.ports?.[name] === undefined);
    const ports = { ...setup.ports };
    for (const name of wanted) ports[name] = await freePort();
    const fill = (text: string): string => text.replace(/%%(\w+)%%/g, (_, name: string) => String(ports[name]));
    const nginxOnly = kind === 'nginx' ? NGINX_ONLY : '';
    write(
      join(dir, 'nginx.conf'),
      `daemon off;\npid nginx.pid;\nerror_log error.log info;\n${fill(main)}\nevents {}\n` +
        `http {\naccess_log off;\nserver_tokens off;\n${nginxOnly}${fill(http)}\n}\n`,
    );
    for (const [path, content] of Object.entries(files)) write(join(dir, path), content);
    const running = new Running(kind, dir, ports);
    try {
      await running.#ready();
    } catch (error) {
      await running.stop();
      throw error;
    }
    return running;
  }

  async #ready(): Promise<void> {
    await until(
      () => `${this.kind} to start: ${this.#stderr}${this.log()}`,
      () => existsSync(join(this.dir, 'nginx.pid')) || this.child.exitCode !== null,
    );
    if (this.child.exitCode !== null) throw new Error(`${this.kind} did not start: ${this.#stderr}${this.log()}`);
  }

  log(): string {
    const file = join(this.dir, 'error.log');
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 5000);
    await this.ended;
    clearTimeout(timer);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

function write(file: string, content: string | Buffer): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  utimesSync(file, FILE_TIME, FILE_TIME);
}

/**
 * Sends bytes and keeps what comes back until the other side closes.
 *
 * @param pieces sent one after the other, a moment apart
 * @returns the bytes as latin1; `<timeout>` or `<error CODE>` at the end says how it went wrong
 */
export function exchange(port: number, pieces: readonly string[], timeoutMs = 10_000): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(port, '127.0.0.1');
    const timer = setTimeout(() => {
      text += '<timeout>';
      socket.destroy();
    }, timeoutMs);
    socket.setNoDelay(true);
    socket.setEncoding('latin1');
    socket.on('data', (data: string) => (text += data));
    socket.on('error', (error: NodeJS.ErrnoException) => (text += `<error ${error.code}>`));
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(text);
    });
    const next = (index: number): void => {
      const piece = pieces[index];
      if (piece === undefined || socket.destroyed) return;
      socket.write(piece, 'latin1', () => setTimeout(() => next(index + 1), 20));
    };
    next(0);
  });
}
