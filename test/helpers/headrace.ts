/** Starts the real program with a configuration in a directory of its own, and ends it by its process id. */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Held, heldBy, measuredEnv } from './heap.ts';
import { freePort } from './ports.ts';
import { type Scope, until, within } from './wait.ts';

const BINARY = fileURLToPath(new URL('../../bin/headrace', import.meta.url));
/** How many ports a configuration may name. */
const MAX_PORTS = 40;

/** What a configuration is written with. */
export interface Place {
  /** A free port; the same name gives the same port. */
  readonly port: (name: string) => number;
  /** The directory: prefix of relative paths. */
  readonly dir: string;
}

export interface Options {
  /** Directives of the main level, besides those of the harness. */
  main?: string;
  /** What stands inside `stream {}`; missing: there is none. */
  stream?: (place: Place) => string;
  /** Files to write first, by relative path. */
  files?: Record<string, string | Buffer>;
  workers?: number;
  logLevel?: string;
  /** Whether a wrong start is an error (default) or what the test wants to see. */
  mayFail?: boolean;
  env?: NodeJS.ProcessEnv;
  /** Whether `held` will be asked. */
  measured?: boolean;
}

/** A directory that is removed after the test. */
export function directory(scope: Scope): string {
  const dir = mkdtempSync(join(tmpdir(), 'headrace-test-'));
  scope.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export class Headrace implements Place {
  readonly dir: string;
  stdout = '';
  stderr = '';
  readonly #ports = new Map<string, number>();
  readonly #spare: number[];
  readonly #options: Options;
  #child: ChildProcess | null = null;
  #ended: Promise<void> = Promise.resolve();

  private constructor(dir: string, ports: number[], options: Options) {
    this.dir = dir;
    this.#spare = ports;
    this.#options = options;
  }

  /**
   * Writes the configuration and starts the program; returns when its sockets are bound.
   * @param http what stands inside `http {}`
   */
  static async start(scope: Scope, http: (place: Place) => string, options: Options = {}): Promise<Headrace> {
    const ports = await Promise.all(Array.from({ length: MAX_PORTS }, freePort));
    const h = new Headrace(directory(scope), ports, options);
    for (const [name, content] of Object.entries(options.files ?? {})) h.file(name, content);
    h.configure(http);
    scope.after(() => h.stop());
    await h.#launch();
    return h;
  }

  readonly port = (name: string): number => {
    let port = this.#ports.get(name);
    if (port === undefined) {
      port = this.#spare.pop();
      if (port === undefined) throw new Error(`more than ${MAX_PORTS} ports`);
      this.#ports.set(name, port);
    }
    return port;
  };

  /** Writes a file below the directory; out: its path. */
  file(name: string, content: string | Buffer): string {
    const path = join(this.dir, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    return path;
  }

  /** Writes the configuration (a reload takes it): at once, for the reload before may be reading it just now. */
  configure(http: (place: Place) => string, stream: Options['stream'] = this.#options.stream): void {
    const { main = '', workers = 1, logLevel = 'info' } = this.#options;
    const text = http(this);
    const streamBlock = stream === undefined ? '' : `stream {\n${stream(this)}\n}\n`;
    // "off" would silence the same level's other logs.
    const accessLog = /^ *access_log /m.test(text) ? '' : 'access_log off;';
    const written = this.file(
      'headrace.conf.new',
      `worker_processes ${workers};\ndaemon off;\npid ${join(this.dir, 'headrace.pid')};\n` +
        `error_log ${join(this.dir, 'error.log')} ${logLevel};\n${main}\nevents { worker_connections 4096; }\n` +
        `http {\n${accessLog}\nclient_body_temp_path ${join(this.dir, 'client_body')};\n${text}\n}\n${streamBlock}`,
    );
    renameSync(written, join(this.dir, 'headrace.conf'));
  }

  async #launch(): Promise<void> {
    const child = spawn(BINARY, ['-p', this.dir, '-c', 'headrace.conf', '-e', 'error.log'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        ...(this.#options.measured === true ? measuredEnv(this.#heapSocket) : null),
        ...this.#options.env,
      },
    });
    this.#child = child;
    child.stdout!.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.#ended = new Promise((resolve) => child.once('close', () => resolve()));
    await until(
      () => `pid file; ${this.stderr}\n${this.errorLog()}`,
      () => existsSync(join(this.dir, 'headrace.pid')) || !this.running,
    );
    if (!this.running && this.#options.mayFail !== true) {
      throw new Error(`did not start:\n${this.stderr}\n${this.errorLog()}`);
    }
    // The first time loads what asking needs.
    if (this.#options.measured === true) await this.held();
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  get running(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  signal(name: NodeJS.Signals): void {
    this.#child!.kill(name);
  }

  errorLog(): string {
    return this.read('error.log');
  }

  /** A file below the directory; '' if it is not there. */
  read(name: string): string {
    const path = join(this.dir, name);
    return existsSync(path) ? readFileSync(path, 'latin1') : '';
  }

  /** Waits until the file holds `text`, and returns its content. */
  async logged(text: string | RegExp, name = 'error.log'): Promise<string> {
    let content = '';
    await until(
      () => `${String(text)} in ${name}:\n${content}`,
      () => {
        content = this.read(name);
        return typeof text === 'string' ? content.includes(text) : text.test(content);
      },
    );
    return content;
  }

  /** Lines of a log that hold `text`. */
  lines(text: string, name = 'error.log'): string[] {
    return this.read(name)
      .split('\n')
      .filter((line) => line.includes(text));
  }

  /** What the process keeps in memory, in bytes. */
  memory(): number {
    const match = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.pid}/status`, 'latin1'));
    return match === null ? 0 : Number(match[1]) * 1024;
  }

  get #heapSocket(): string {
    return join(this.dir, 'heap.sock');
  }

  /** What it holds after garbage was collected; of one that is `measured`. */
  held(): Promise<Held> {
    return heldBy(this.#heapSocket, 1 + (this.#options.workers ?? 1));
  }

  /** How many descriptors the process holds. */
  descriptors(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  /** Ends it and starts it again in the same directory, with the configuration that stands there. */
  async restart(): Promise<void> {
    await this.stop();
    rmSync(join(this.dir, 'headrace.pid'), { force: true });
    await this.#launch();
  }

  /** Asks it to leave, then makes it. */
  async stop(): Promise<void> {
    if (!this.running) return;
    this.signal('SIGTERM');
    try {
      await within('end of the program', this.#ended, 5000);
    } catch {
      this.signal('SIGKILL');
      await this.#ended;
    }
  }
}
