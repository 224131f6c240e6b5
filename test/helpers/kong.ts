/** Starts `headrace kong` with the real program, on a free port, and ends it by its process id. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './ports.ts';
import { type Scope, until } from './wait.ts';

export const BINARY = fileURLToPath(new URL('../../bin/headrace', import.meta.url));

export interface KongAnswer {
  status: number;
  json: unknown;
  headers: Headers;
}

export class KongProcess {
  readonly port: number;
  readonly proxyPort: number;
  readonly dir: string;
  log = '';
  /** Sent with every request. */
  headers: Record<string, string> = {};
  readonly #args: string[];
  #child: ChildProcess | null = null;
  #ended: Promise<unknown> = Promise.resolve();

  private constructor(dir: string, port: number, proxyPort: number, args: string[]) {
    this.dir = dir;
    this.port = port;
    this.proxyPort = proxyPort;
    this.#args = args;
  }

  /** @param dir its data directory */
  static async start(
    scope: Scope,
    dir: string,
    args: string[] = [],
    env: NodeJS.ProcessEnv = {},
  ): Promise<KongProcess> {
    const kong = new KongProcess(dir, await freePort(), await freePort(), args);
    scope.after(() => kong.stop('SIGKILL'));
    await kong.start(env);
    return kong;
  }

  async start(env: NodeJS.ProcessEnv = {}): Promise<void> {
    const own = ['--admin-listen', `127.0.0.1:${this.port}`, '--proxy-listen', `127.0.0.1:${this.proxyPort}`];
    const child = spawn(BINARY, ['kong', ...own, '--data', join(this.dir, 'data'), '--workers', '1', ...this.#args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.#child = child;
    this.#ended = new Promise((resolve) => child.once('exit', resolve));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.log += text));
    await until(
      () => `headrace kong to answer: ${this.log}`,
      async () => {
        if (child.exitCode !== null) throw new Error(`headrace kong ended: ${this.log}`);
        const status = await this.send('GET', '/status').then(
          (answer) => answer.status,
          () => 0,
        );
        // 401: it wants a token.
        return status === 200 || status === 401;
      },
    );
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  async stop(signal: NodeJS.Signals = 'SIGQUIT'): Promise<void> {
    this.#child?.kill(signal);
    await this.#ended;
    this.#child = null;
  }

  async send(method: string, path: string, body?: object, headers: Record<string, string> = {}): Promise<KongAnswer> {
    const response = await fetch(`http://127.0.0.1:${this.port}${path}`, {
      method,
      headers: { ...this.headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, json: text === '' ? null : JSON.parse(text), headers: response.headers };
  }
}
