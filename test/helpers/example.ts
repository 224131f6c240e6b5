/** Runs a configuration of `examples/` as it stands, on free ports and in a directory of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { directory } from './headrace.ts';
import { freePort } from './ports.ts';
import { type Scope, until } from './wait.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export class Example {
  readonly dir: string;
  /** What stands for 8080, 8081 and so on. */
  readonly ports: ReadonlyMap<number, number>;
  readonly #conf: string;
  #child: ChildProcess | null = null;
  #text = '';

  private constructor(dir: string, conf: string, ports: ReadonlyMap<number, number>) {
    this.dir = dir;
    this.#conf = conf;
    this.ports = ports;
  }

  /**
   * Copies the example and puts free ports in the place of `127.0.0.1:80NN`; nothing runs yet.
   * @param ports of others that it is to meet; its own are added
   */
  static async prepare(
    scope: Scope,
    name: string,
    conf = 'nginx.conf',
    ports = new Map<number, number>(),
  ): Promise<Example> {
    const dir = directory(scope);
    cpSync(join(ROOT, 'examples', name), dir, { recursive: true });
    const text = readFileSync(join(dir, conf), 'utf8');
    for (const [, port] of text.matchAll(/127\.0\.0\.1:(80\d\d)\b/g)) {
      if (!ports.has(Number(port))) ports.set(Number(port), await freePort());
    }
    const example = new Example(dir, conf, ports);
    example.edit(conf, (before) =>
      before.replace(/127\.0\.0\.1:(80\d\d)\b/g, (_, port: string) => `127.0.0.1:${ports.get(Number(port)) ?? 0}`),
    );
    scope.after(() => example.stop());
    return example;
  }

  port(number: number): number {
    const port = this.ports.get(number);
    if (port === undefined) throw new Error(`the example has no port ${number}`);
    return port;
  }

  edit(file: string, change: (text: string) => string): void {
    const path = join(this.dir, file);
    const before = readFileSync(path, 'utf8');
    const after = change(before);
    if (after === before) throw new Error(`nothing to change in ${file}`);
    writeFileSync(path, after);
  }

  read(file: string): string {
    const path = join(this.dir, file);
    return existsSync(path) ? readFileSync(path, 'latin1') : '';
  }

  /** Starts a TypeScript file of the example with Node, and waits until it says that it listens. */
  async program(scope: Scope, file: string, ...args: string[]): Promise<void> {
    const child = spawn(process.execPath, [join(this.dir, file), ...args], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    scope.after(() => child.kill('SIGKILL'));
    let listening = false;
    child.once('message', () => (listening = true));
    await until(`${file} to listen`, () => listening || child.exitCode !== null);
    if (!listening) throw new Error(`${file} has ended`);
  }

  async start(): Promise<void> {
    const child = spawn(join(ROOT, 'bin/headrace'), ['-p', this.dir, '-c', this.#conf, '-g', 'daemon off;'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (this.#text += text));
    }
    await until(
      () => `pid file; ${this.#text}`,
      () => existsSync(join(this.dir, 'headrace.pid')) || child.exitCode !== null,
    );
    if (child.exitCode !== null) throw new Error(`did not start:\n${this.#text}`);
  }

  /** Asks for the configuration to be taken over; when it is, requests show. */
  reload(): void {
    this.#child?.kill('SIGHUP');
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGTERM');
    await ended;
  }
}
