/** A worker thread: listens, carries traffic, and takes generations from the main thread (see protocol.ts). */
import { parentPort, workerData } from 'node:worker_threads';
import { unlinkSync } from 'node:fs';
import type { ErrorLogTarget } from '../config/model.ts';
import { ResolverPool } from '../discovery/resolver-pool.ts';
import { compileHttp } from '../http/compile.ts';
import type { HttpRuntime } from '../http/compile.ts';
import { ConnectionList, HttpListen } from '../http/server/listen.ts';
import type { ListenRuntime } from '../http/server/listen.ts';
import { clock } from '../net/clock.ts';
import { Listener } from '../net/listener.ts';
import { AccessLogs } from '../observe/access-log-writer.ts';
import { reopenFiles } from '../observe/append-file.ts';
import { failedText } from '../observe/errno.ts';
import { ErrorLog } from '../observe/error-log.ts';
import { acceptPlain, acceptSecure, TlsTable } from './connections.ts';
import type { FromWorker, GenerationData, ToWorker, WorkerInit } from './protocol.ts';

const init = workerData as WorkerInit;

/** An address that this worker listens on. */
interface Bound {
  listener: Listener;
  listen: HttpListen;
  tls: TlsTable | null;
}

/** A generation that is compiled and bound, waiting for its commit. */
interface Prepared {
  id: number;
  runtime: HttpRuntime | null;
  /** By key of `keyOf`: bound for this generation only. */
  fresh: Map<string, Bound>;
  tls: Map<string, TlsTable>;
}

/** What identifies a listening socket over reloads: plain sockets and TLS are accepted differently. */
function keyOf(runtime: ListenRuntime): string {
  return `${runtime.config.address}${runtime.config.ssl ? ' ssl' : ''}`;
}

class HttpWorker {
  readonly #bound = new Map<string, Bound>();
  readonly #connections = new ConnectionList();
  readonly #accessLogs = new AccessLogs({ onFailure: (message) => this.#log.alert(message) });
  readonly #logs = new Map<string, ErrorLog>();
  readonly #env = { workerId: init.workerId, clock: { now: () => clock.wall }, random: Math.random };
  readonly #resolvers = new ResolverPool({ clock: { ms: () => clock.update() }, log: (level, message) => this.#log.write(level, message) });
  #log: ErrorLog = new ErrorLog([{ kind: 'file', path: init.errorLogPath, level: 'error' }]);
  #prepared: Prepared | null = null;
  #current: HttpRuntime | null = null;

  async prepare(data: GenerationData): Promise<void> {
    let prepared: Prepared | null = null;
    try {
      prepared = { id: data.id, runtime: this.#compile(data), fresh: new Map(), tls: new Map() };
      await this.#bind(prepared);
      this.#prepared = prepared;
      say({ type: 'prepared', id: data.id });
    } catch (error) {
      if (prepared !== null) for (const bound of prepared.fresh.values()) bound.listener.close();
      say({ type: 'refused', id: data.id, message: (error as Error).message });
    }
  }

  #compile(data: GenerationData): HttpRuntime | null {
    const { config } = data;
    this.#errorLog(config.main.errorLog);
    if (config.http === null) return null;
    return compileHttp(data.id, config, config.http, {
      group: this.#env,
      tables: data.tables,
      learnZones: data.learnZones,
      errorLog: (targets) => this.#errorLog(targets),
      accessLogs: this.#accessLogs,
      resolver: (resolver) => this.#resolvers.acquire(resolver).resolver,
    });
  }

  #errorLog(targets: ErrorLogTarget[]): ErrorLog {
    const key = JSON.stringify(targets);
    let log = this.#logs.get(key);
    if (log === undefined) this.#logs.set(key, (log = new ErrorLog(targets)));
    return log;
  }

  async #bind(prepared: Prepared): Promise<void> {
    for (const runtime of prepared.runtime?.listens.values() ?? []) {
      const key = keyOf(runtime);
      const tls = runtime.config.ssl ? new TlsTable(runtime) : null;
      if (tls !== null) prepared.tls.set(key, tls);
      // Unix sockets cannot be shared by SO_REUSEPORT: the first worker has them.
      if (this.#bound.has(key) || (runtime.config.kind === 'unix' && init.workerId !== 0)) continue;
      const bound = this.#makeBound(runtime, tls);
      prepared.fresh.set(key, bound);
      await this.#listen(bound, runtime);
    }
  }

  #makeBound(runtime: ListenRuntime, tls: TlsTable | null): Bound {
    const listen = new HttpListen(runtime, this.#connections);
    const { kind, host, port, ipv6only, backlog } = runtime.config;
    const bound: Bound = {
      listen,
      tls,
      listener: new Listener({ kind, host, port, ipv6only, backlog }, tls !== null, (socket, transport) => {
        clock.update();
        if (bound.tls !== null) acceptSecure(listen, socket, bound.tls);
        else acceptPlain(listen, socket, transport);
      }),
    };
    return bound;
  }

  async #listen(bound: Bound, runtime: ListenRuntime): Promise<void> {
    const { config } = runtime;
    try {
      await bound.listener.listen();
    } catch (error) {
      // A worker that died leaves the file of its unix socket behind; the main thread has seen to all other cases.
      if (config.kind !== 'unix' || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') {
        throw new Error(failedText(`bind() to ${config.address}`, error), { cause: error });
      }
      unlinkSync(config.host);
      bound.listener = this.#makeBound(runtime, bound.tls).listener;
      await bound.listener.listen();
    }
  }

  commit(id: number): void {
    const prepared = this.#prepared;
    if (prepared === null || prepared.id !== id) return;
    this.#prepared = null;
    const previous = this.#current;
    this.#current = prepared.runtime;
    if (prepared.runtime !== null) this.#log = prepared.runtime.generation.log;
    for (const [key, bound] of prepared.fresh) this.#bound.set(key, bound);
    const wanted = new Map<string, ListenRuntime>();
    for (const runtime of prepared.runtime?.listens.values() ?? []) wanted.set(keyOf(runtime), runtime);
    for (const [key, bound] of this.#bound) {
      const runtime = wanted.get(key);
      if (runtime === undefined) {
        bound.listener.close();
        this.#bound.delete(key);
        continue;
      }
      bound.listen.swap(runtime);
      bound.tls = prepared.tls.get(key) ?? null;
    }
    say({ type: 'committed', id });
    if (previous !== null) this.#drain(previous);
  }

  /** Tells when the last request of a replaced generation has ended; its idle connections to servers close. */
  #drain(previous: HttpRuntime): void {
    const { generation } = previous;
    for (const group of previous.groups) group.idle?.closeAll();
    const drained = (): void => {
      generation.onDrained = null;
      for (const group of previous.groups) group.idle?.closeAll();
      say({ type: 'drained', id: generation.id });
    };
    if (generation.active === 0) drained();
    else generation.onDrained = drained;
  }

  abandon(id: number): void {
    if (this.#prepared === null || this.#prepared.id !== id) return;
    for (const bound of this.#prepared.fresh.values()) bound.listener.close();
    this.#prepared = null;
  }

  reopen(): void {
    for (const failure of reopenFiles()) this.#log.emerg(failure);
  }

  quit(timeoutMs: number): void {
    for (const bound of this.#bound.values()) bound.listener.close();
    this.#bound.clear();
    const finish = (): void => {
      this.#accessLogs.close();
      say({ type: 'finished' });
    };
    this.#connections.onEmpty = finish;
    this.#connections.each((connection) => connection.quit());
    if (this.#connections.size === 0) {
      this.#connections.onEmpty = null;
      finish();
      return;
    }
    if (timeoutMs > 0) setTimeout(() => this.#connections.each((connection) => connection.kill()), timeoutMs);
  }
}

function say(message: FromWorker): void {
  parentPort!.postMessage(message);
}

const worker = new HttpWorker();

parentPort!.on('message', (message: ToWorker) => {
  switch (message.type) {
    case 'prepare':
      void worker.prepare(message.generation);
      break;
    case 'commit':
      worker.commit(message.id);
      break;
    case 'abandon':
      worker.abandon(message.id);
      break;
    case 'reopen':
      worker.reopen();
      break;
    case 'quit':
      worker.quit(message.timeoutMs);
  }
});
say({ type: 'online' });
