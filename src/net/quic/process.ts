/**
 * The helper's process, from the worker's side. QUIC runs in a process of its own: what comes from strangers is read by
 * code that may fail there without ending a worker, under permissions that hold for nothing but the network and two
 * unix sockets.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { entryFile } from '../../place.ts';
import { findQuicBinary } from './package.ts';
import type { QuicArrival, QuicCommand, QuicDial, QuicDialled, QuicNotice } from './protocol.ts';
import { QuicSocket, readQuicStream } from './stream.ts';

/** Whom dials believe: what the world trusts, only certificates that are given, or everybody. */
export type QuicTrust = 'public' | 'given' | 'anybody';

/** After a helper has ended by itself the next one is started not sooner than this. */
const RESTART_MS = 1000;
const START_TIMEOUT_MS = 10_000;
/** Nothing is fetched, nothing is asked. */
const RUN = [
  'run',
  '--v8-flags=--expose-gc',
  '--quiet',
  '--no-prompt',
  '--no-config',
  '--no-remote',
  '--no-npm',
  '--unstable-net',
];

export type QuicLog = (level: 'info' | 'warn' | 'error', text: string) => void;

/** What listens through a helper. */
export interface QuicListening {
  command: Extract<QuicCommand, { op: 'listen' }>;
  /** @param problem null: it listens, on this port */
  told(problem: string | null, port: number): void;
  arrived(stream: QuicSocket): void;
}

export class QuicHelper {
  readonly #trust: QuicTrust;
  readonly #log: QuicLog;
  #child: ChildProcess | null = null;
  #directory = '';
  #arrivals: Server | null = null;
  #ready: Promise<void> | null = null;
  #endedAt = -Infinity;
  #closed = false;
  #restart: NodeJS.Timeout | null = null;
  readonly #listenings = new Map<number, QuicListening>();
  readonly #pems = new Map<string, number>();
  #ids = 0;

  constructor(trust: QuicTrust, log: QuicLog) {
    this.#trust = trust;
    this.#log = log;
  }

  /** Runs, from now on. @throws when the package is missing or the helper does not start */
  start(): Promise<void> {
    this.#ready ??= this.#start().catch((error: unknown) => {
      this.#ready = null;
      throw error;
    });
    return this.#ready;
  }

  async #start(): Promise<void> {
    const binary = findQuicBinary();
    const wait = this.#endedAt + RESTART_MS - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    if (this.#closed) throw new Error('QUIC: closed');
    if (this.#directory === '') this.#directory = mkdtempSync(join(tmpdir(), 'headrace-quic-'));
    const directory = this.#directory;
    rmSync(join(directory, 'open'), { force: true });
    await this.#takeArrivals(join(directory, 'arrivals'));
    const main = fileURLToPath(entryFile('net/quic/helper/main'));
    const permissions = ['--allow-net', `--allow-read=${directory}`, `--allow-write=${directory}`];
    const unchecked = this.#trust === 'anybody' ? ['--unsafely-ignore-certificate-errors'] : [];
    const sockets = [join(directory, 'open'), join(directory, 'arrivals')];
    const child = spawn(binary, [...RUN, ...permissions, ...unchecked, main, ...sockets], {
      stdio: ['pipe', 'pipe', 'pipe'],
      cwd: directory,
      env: this.#environment(directory),
    });
    this.#child = child;
    child.stdin!.on('error', () => {});
    child.stderr!.on('data', (text: Buffer) => this.#said(text.toString()));
    await this.#untilReady(child);
    child.unref();
    for (const pem of this.#pems.keys()) this.#send({ op: 'trust', id: this.#pems.get(pem)!, pem });
    for (const { command } of this.#listenings.values()) this.#send(command);
  }

  #environment(directory: string): NodeJS.ProcessEnv {
    const quiet = { DENO_DIR: directory, DENO_NO_UPDATE_CHECK: '1', NO_COLOR: '1', HOME: directory };
    // With certificates given, nobody else's count.
    const none = { DENO_TLS_CA_STORE: 'system', SSL_CERT_FILE: '/dev/null', SSL_CERT_DIR: directory };
    return this.#trust === 'given' ? { ...quiet, ...none } : quiet;
  }

  /** What the program itself says: of certificates that are not checked its user was told when he wrote so. */
  #said(text: string): void {
    for (const line of text.split('\n')) {
      if (line.trim() !== '' && !line.includes('certificate validation is disabled')) {
        this.#log('warn', `QUIC helper: ${line.trim()}`);
      }
    }
  }

  #untilReady(child: ChildProcess): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), START_TIMEOUT_MS);
      let rest = '';
      child.stdout!.on('data', (chunk: Buffer) => {
        const lines = (rest + chunk.toString()).split('\n');
        rest = lines.pop()!;
        for (const line of lines) {
          const notice = JSON.parse(line) as QuicNotice;
          if (notice.op === 'ready') {
            clearTimeout(timer);
            resolve();
          } else this.#heard(notice);
        }
      });
      const ended = (why: string): void => {
        clearTimeout(timer);
        this.#ended(child, why);
        reject(new Error(`QUIC: the helper does not start: ${why}`));
      };
      child.once('error', (error) => ended(error.message));
      child.once('exit', (code, signal) => ended(signal ?? `code ${code}`));
    });
  }

  #heard(notice: QuicNotice): void {
    if (notice.op === 'log') this.#log('info', `QUIC helper: ${notice.text}`);
    else if (notice.op === 'listening') this.#listens(notice.id, notice.port);
    else if (notice.op === 'failed') this.#listenings.get(notice.id)?.told(notice.message, 0);
  }

  #listens(id: number, port: number): void {
    const listening = this.#listenings.get(id);
    if (listening === undefined) return;
    // Started again, it is to listen where it did.
    listening.command.port = port;
    listening.told(null, port);
  }

  #ended(child: ChildProcess, why: string): void {
    if (this.#child !== child) return;
    this.#child = null;
    this.#ready = null;
    this.#endedAt = performance.now();
    if (this.#closed) return;
    this.#log('error', `the QUIC helper has ended (${why})`);
    if (this.#listenings.size === 0) return;
    // Those who listen are there again as soon as may be.
    this.#restart = setTimeout(() => {
      this.start().catch((error: unknown) => this.#log('error', (error as Error).message));
    }, RESTART_MS);
  }

  #send(command: QuicCommand): void {
    this.#child?.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  // ------------------------------------------------------------------------------------------------ streams that come

  #takeArrivals(path: string): Promise<void> {
    if (this.#arrivals !== null) return Promise.resolve();
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#arrive(socket));
    this.#arrivals = server;
    server.unref();
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
  }

  #arrive(socket: Socket): void {
    readQuicStream(socket, (line) => {
      const arrival = JSON.parse(line) as QuicArrival;
      const listening = this.#listenings.get(arrival.listener);
      if (listening === undefined) return null;
      const stream = new QuicSocket(socket, arrival, arrival.alpn, arrival.serverName);
      listening.arrived(stream);
      return stream;
    });
  }

  /** @returns what `unlisten` takes */
  listen(listening: QuicListening): number {
    const id = ++this.#ids;
    listening.command.id = id;
    this.#listenings.set(id, listening);
    this.#send(listening.command);
    return id;
  }

  /** New connections are not taken any more. */
  unlisten(id: number): void {
    this.#listenings.delete(id);
    this.#send({ op: 'close', id });
  }

  // ------------------------------------------------------------------------------------------------ dialling

  /** Certificates for dials. @returns what `QuicDial.trust` is to be */
  trust(pem: string): number {
    let id = this.#pems.get(pem);
    if (id !== undefined) return id;
    id = this.#pems.size;
    this.#pems.set(pem, id);
    this.#send({ op: 'trust', id, pem });
    return id;
  }

  /** Opens a stream; the helper has to run. @returns what stops it, before `done` was called */
  dial(dial: QuicDial, done: (stream: QuicSocket | null, problem: string) => void): () => void {
    const socket = connect({ path: join(this.#directory, 'open'), allowHalfOpen: true });
    let settled = false;
    const settle = (stream: QuicSocket | null, problem: string): void => {
      if (settled) return;
      settled = true;
      done(stream, problem);
    };
    readQuicStream(socket, (line) => {
      const dialled = JSON.parse(line) as QuicDialled;
      if ('error' in dialled || settled) {
        settle(null, 'error' in dialled ? dialled.error : '');
        return null;
      }
      const stream = new QuicSocket(socket, dialled, dialled.alpn, '');
      settle(stream, '');
      return stream;
    });
    socket.once('close', () => settle(null, 'the QUIC helper has ended'));
    socket.write(`${JSON.stringify(dial)}\n`);
    return () => {
      settled = true;
      socket.destroy();
    };
  }

  /** Ends the process at once, as if it had failed. */
  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  /** Ends the process, and with it all its streams. */
  close(): void {
    this.#closed = true;
    if (this.#restart !== null) clearTimeout(this.#restart);
    this.#child?.stdin?.end();
    this.#child?.kill();
    this.#arrivals?.close();
    if (this.#directory !== '') rmSync(this.#directory, { recursive: true, force: true });
  }
}
