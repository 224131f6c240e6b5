/** A worker thread: listens, carries traffic, and takes generations from the main thread (see protocol.ts). */
import { parentPort, workerData } from 'node:worker_threads';
import { unlinkSync } from 'node:fs';
import type { Socket } from 'node:net';
import { dirname } from 'node:path';
import { ResolverPool } from '../discovery/resolver-pool.ts';
import type { PeerAddress } from '../config/model.ts';
import { compileHttp, hasKong } from '../http/compile.ts';
import type { HttpRuntime } from '../http/compile.ts';
import type { AdminReply } from '../http/handlers/admin.ts';
import { loadParts } from '../http/parts.ts';
import type { ClientConnection } from '../http/server/connection-list.ts';
import { HttpListen } from '../http/server/listen.ts';
import type { ListenRuntime } from '../http/server/listen.ts';
import type { ClientAddress } from '../net/client-address.ts';
import { clock } from '../net/clock.ts';
import { noteDescriptorsIn } from '../net/descriptors.ts';
import { Listener } from '../net/listener.ts';
import { LiveList } from '../net/live-list.ts';
import type { OnConnection } from '../net/listener.ts';
import { SocketTransport } from '../net/socket-transport.ts';
import type { Transport } from '../net/transport.ts';
import type { TlsChooser } from '../net/tls-server.ts';
import type { TicketSecret } from '../net/tls-tickets.ts';
import { AccessLogs } from '../observe/access-log-writer.ts';
import { reopenFiles } from '../observe/append-file.ts';
import { failedText } from '../observe/errno.ts';
import { ErrorLog } from '../observe/error-log.ts';
import { counters } from '../observe/counters.ts';
import { traffic } from '../observe/traffic.ts';
import { ZoneCounter } from '../observe/zones.ts';
import type { KeyvalSource } from '../variables/keyval-source.ts';
import { MainThreadGate } from './admin-gate.ts';
import { acceptPlain } from './connections.ts';
import type * as Secure from './secure.ts';
import { Bells } from './bells.ts';
import { chooseEventMethod } from './event-method.ts';
import { saveCompileCache } from './compile-cache.ts';
import type { FromWorker, GenerationData, ToWorker, WorkerInit } from './protocol.ts';
import { loadHttp2 } from './http2.ts';
import { KongInbox } from './kong.ts';
import { ErrorLogPool, Resources } from './resources.ts';
import type { PreparedStream, StreamSide } from './stream.ts';
import { listensFor } from './listens.ts';

const init = workerData as WorkerInit;
noteDescriptorsIn(init.descriptors);

/** The cache of compiled code is written this long after the first commit, when nobody waits for it. */
const CACHE_DELAY_MS = 2000;

/** An address that this worker listens on. */
interface Bound {
  listener: Listener;
  listen: HttpListen;
  tls: HttpTls | null;
}

/** Contexts of an address; names of certificates may look at the client's address. */
type HttpTls = TlsChooser<ClientAddress>;

/** A generation that is compiled and bound, waiting for its commit. */
interface Prepared {
  id: number;
  runtime: HttpRuntime | null;
  resources: Resources;
  log: ErrorLog;
  tickets: TicketSecret;
  /** Of the configuration file. */
  directory: string;
  /** worker_shutdown_timeout; 0: none. */
  shutdownTimeoutMs: number;
  /** By key of `keyOf`: bound for this generation only. */
  fresh: Map<string, Bound>;
  tls: Map<string, HttpTls>;
  stream: PreparedStream | null;
}

/** What identifies a listening socket over reloads: plain sockets and TLS are accepted differently. */
function keyOf(runtime: ListenRuntime): string {
  return `${runtime.config.address}${runtime.config.ssl ? ' ssl' : ''}`;
}

/** The zones of `keyval_zone`, for both protocols; their code is read when a configuration has some. */
async function keyvalsOf({ config, keyvalZones }: GenerationData): Promise<KeyvalSource | null> {
  const zones = [...(config.http?.keyvalZones ?? []), ...(config.stream?.keyvalZones ?? [])];
  if (zones.length === 0) return null;
  const { Keyvals } = await import('../variables/keyval.ts');
  return new Keyvals(zones, keyvalZones, init.workerId);
}

class HttpWorker {
  readonly #bound = new Map<string, Bound>();
  readonly #connections = new LiveList<ClientConnection>();
  readonly kong = new KongInbox();
  /** TLS of clients; null as long as no address had it. */
  #secure: typeof Secure | null = null;
  /** Null as long as there was no `stream` block. */
  #stream: StreamSide | null = null;
  readonly #accessLogs = new AccessLogs({
    onFailure: (message) => this.#log.alert(message),
    onOpenFailure: (message) => this.#log.write('crit', message),
  });
  readonly #logs = new ErrorLogPool();
  readonly #gate = new MainThreadGate(say);
  readonly #bells = new Bells(init.workerId);
  readonly #env = {
    workerId: init.workerId,
    clock: { now: () => clock.wall },
    random: Math.random,
    ring: this.#bells.ring,
  };
  readonly #resolvers = new ResolverPool({
    clock: { ms: () => clock.update() },
    log: (level, message) => this.#log.write(level, message),
  });
  #log: ErrorLog = new ErrorLog([{ kind: 'file', path: init.errorLogPath, level: 'error' }]);
  #prepared: Prepared | null = null;
  #current: Prepared | null = null;
  #killTimer: NodeJS.Timeout | null = null;

  async prepare(data: GenerationData): Promise<void> {
    let prepared: Prepared | null = null;
    const resources = new Resources(this.#logs, this.#resolvers);
    traffic.use(data.traffic, init.workerId);
    counters.use(data.counters, init.workerId);
    if (data.kong !== null) this.kong.begin(data.kong);
    try {
      const shutdownTimeoutMs = data.config.main.workerShutdownTimeoutMs;
      const keyvals = await keyvalsOf(data);
      const runtime = await this.#compile(data, keyvals, resources);
      const { id, tickets } = data;
      const log = resources.errorLog(data.config.main.errorLog);
      chooseEventMethod(data.config.main.eventMethod, log);
      const side = await this.#streamSide(data);
      const stream = side === null ? null : this.#compileStream(side, data, keyvals, resources);
      const directory = dirname(data.config.file);
      const empty = { fresh: new Map<string, Bound>(), tls: new Map<string, HttpTls>() };
      prepared = { id, runtime, resources, log, tickets, directory, shutdownTimeoutMs, stream, ...empty };
      await this.#bind(prepared);
      if (stream !== null) await side!.bind(stream, tickets, directory, data.config.main.workerConnections);
      this.#prepared = prepared;
      say({ type: 'prepared', id: data.id });
    } catch (error) {
      if (prepared !== null) this.#unbind(prepared);
      resources.release();
      say({ type: 'refused', id: data.id, message: (error as Error).message });
    }
  }

  async #compile(
    data: GenerationData,
    keyvals: KeyvalSource | null,
    resources: Resources,
  ): Promise<HttpRuntime | null> {
    const { config } = data;
    if (config.http === null) return null;
    await loadParts(config.http);
    const runtime = compileHttp(data.id, config, config.http, {
      group: this.#env,
      kong: this.kong,
      kongHandler: hasKong(config.http) ? await import('../http/kong/handler.ts') : null,
      tables: data.tables,
      learnZones: data.learnZones,
      limitZones: data.limitZones,
      keyvals,
      cacheZones: data.cacheZones,
      errorLog: (targets) => resources.errorLog(targets),
      accessLogs: this.#accessLogs,
      resolver: (resolver) => resources.resolver(resolver),
      admin: this.#gate,
      zone: (kind, name) => {
        const memory = data.statusZones[kind][name];
        return memory === undefined ? null : new ZoneCounter(memory, init.workerId);
      },
    });
    resources.add(() => runtime.close());
    const waiting = runtime.groups.filter(({ config: { queue } }) => queue !== null).map(({ peers }) => peers);
    resources.add(this.#bells.watch(waiting));
    return runtime;
  }

  /** Loaded when it is first needed: every start would read its sources, and most configurations have no `stream`. */
  async #streamSide({ config }: GenerationData): Promise<StreamSide | null> {
    if (config.stream !== null && this.#stream === null) {
      const { StreamSide: Side } = await import('./stream.ts');
      this.#stream = new Side(init.workerId, this.kong);
    }
    return this.#stream;
  }

  #compileStream(
    side: StreamSide,
    data: GenerationData,
    keyvals: KeyvalSource | null,
    resources: Resources,
  ): PreparedStream | null {
    const prepared = side.compile(data, {
      group: this.#env,
      kong: this.kong,
      tables: data.stream.tables,
      learnZones: data.stream.learnZones,
      limitZones: data.limitZones,
      keyvals,
      errorLog: (targets) => resources.errorLog(targets),
      accessLogs: this.#accessLogs,
      resolver: (resolver) => resources.resolver(resolver),
      zone: (name) => {
        const memory = data.statusZones.stream[name];
        return memory === undefined ? null : new ZoneCounter(memory, init.workerId);
      },
      passOn: (to, socket, client) => this.#passOn(to, socket, client),
    });
    if (prepared !== null) resources.add(() => prepared.runtime.close());
    return prepared;
  }

  /** A connection that stream hands on, for whoever listens on an address. */
  #passOn(to: PeerAddress, socket: Socket, client: ClientAddress): boolean {
    if (!this.#takeHttp(to, socket, client) && this.#stream?.take(to, socket, client) !== true) return false;
    socket.resume();
    return true;
  }

  #takeHttp(to: PeerAddress, socket: Socket, client: ClientAddress): boolean {
    for (const { listen, tls } of this.#bound.values()) {
      if (!listensFor(listen.config, to)) continue;
      if (tls === null) acceptPlain(listen, new SocketTransport(socket, null), client);
      else this.#secure!.acceptSecure(listen, socket, tls, client);
      return true;
    }
    return false;
  }

  #unbind({ fresh, stream }: Prepared): void {
    for (const bound of fresh.values()) bound.listener.close();
    if (stream !== null) this.#stream!.abandon(stream);
  }

  async #bind(prepared: Prepared): Promise<void> {
    const listens = [...(prepared.runtime?.listens.values() ?? [])];
    await loadHttp2(listens);
    if (listens.some(({ config }) => config.ssl)) this.#secure ??= await import('./secure.ts');
    for (const runtime of prepared.runtime?.listens.values() ?? []) {
      const key = keyOf(runtime);
      const tls = runtime.config.ssl
        ? this.#secure!.tlsTable(runtime, prepared.tickets, prepared.directory, this.kong)
        : null;
      if (tls !== null) prepared.tls.set(key, tls);
      if (this.#bound.has(key)) continue;
      const bound = this.#makeBound(runtime, tls);
      prepared.fresh.set(key, bound);
      // Unix sockets cannot be shared by SO_REUSEPORT: the first worker has them.
      if (runtime.config.kind === 'tcp' || init.workerId === 0) await this.#listen(bound, runtime);
    }
  }

  #makeBound(runtime: ListenRuntime, tls: HttpTls | null): Bound {
    const listen = new HttpListen(runtime, this.#connections);
    const bound: Bound = { listen, tls, listener: this.#listener(runtime, listen, () => bound.tls) };
    return bound;
  }

  /** `tls`: asked for with each connection, for a reload replaces it. */
  #listener(runtime: ListenRuntime, listen: HttpListen, tls: () => HttpTls | null): Listener {
    const { host, port, ipv6only, backlog, ssl } = runtime.config;
    const kind = runtime.config.kind === 'unix' ? 'unix' : 'tcp';
    const onConnection: OnConnection = (connection) => {
      clock.update();
      const table = tls();
      // A plain address gives no sockets.
      if (table === null) acceptPlain(listen, connection as Transport);
      else this.#secure!.takeSecure(listen, connection, table);
    };
    const native = ssl && !runtime.config.proxyProtocol ? this.#secure!.nativeListening(tls) : null;
    return new Listener({ kind, host, port, ipv6only, backlog }, ssl, onConnection, native);
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
      bound.listener = this.#listener(runtime, bound.listen, () => bound.tls);
      await bound.listener.listen();
    }
  }

  commit(id: number): void {
    const prepared = this.#prepared;
    if (prepared === null || prepared.id !== id) return;
    this.#prepared = null;
    const previous = this.#current;
    if (previous === null) setTimeout(saveCompileCache, CACHE_DELAY_MS).unref();
    this.#current = prepared;
    this.#log = prepared.log;
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
    this.#stream?.commit(prepared.stream);
    if (previous !== null) this.#connections.each((connection) => connection.reload());
    say({ type: 'committed', id });
    if (previous !== null) this.#drain(previous);
  }

  /** Tells when the last request of a replaced generation has ended; its idle connections to servers close. */
  #drain({ id, runtime, stream, resources, shutdownTimeoutMs }: Prepared): void {
    const generations = [runtime?.generation, stream?.runtime.generation].filter((g) => g !== undefined);
    if (generations.length === 0) {
      resources.release();
      return;
    }
    const groups = runtime === null ? [] : runtime.groups;
    for (const group of groups) group.closeIdle();
    let timer: NodeJS.Timeout | undefined;
    const drained = (): void => {
      if (generations.some(({ active }) => active > 0)) return;
      clearTimeout(timer);
      for (const generation of generations) generation.onDrained = null;
      for (const group of groups) group.closeIdle();
      // Who is told of the last request's end may still want to log.
      setImmediate(() => resources.release());
      say({ type: 'drained', id });
    };
    if (shutdownTimeoutMs > 0) {
      timer = setTimeout(() => {
        if (runtime !== null) this.#connections.each((connection) => connection.expire(runtime.generation));
        this.#stream?.sessions.each((session) => {
          if (session.generation === stream?.runtime.generation) session.expire();
        });
      }, shutdownTimeoutMs);
    }
    for (const generation of generations) generation.onDrained = drained;
    drained();
  }

  abandon(id: number): void {
    if (this.#prepared === null || this.#prepared.id !== id) return;
    this.#unbind(this.#prepared);
    this.#prepared.resources.release();
    this.#prepared = null;
  }

  reopen(): void {
    this.#accessLogs.prepareReopen();
    for (const failure of reopenFiles()) this.#log.emerg(failure);
  }

  /** The main thread's answer to an administrative request. */
  adminReply(id: number, reply: AdminReply): void {
    clock.update();
    this.#gate.answered(id, reply);
  }

  /** A second call may shorten the time. */
  quit(timeoutMs: number): void {
    for (const bound of this.#bound.values()) bound.listener.close();
    this.#bound.clear();
    const sessions = this.#stream?.sessions ?? null;
    let finished = false;
    const finish = (): void => {
      if (this.#connections.size > 0 || (sessions?.size ?? 0) > 0) return;
      finished = true;
      this.#connections.onEmpty = null;
      if (sessions !== null) sessions.onEmpty = null;
      this.#accessLogs.close();
      say({ type: 'finished' });
    };
    this.#stream?.quit();
    this.#connections.each((connection) => connection.quit());
    this.#connections.onEmpty = finish;
    if (sessions !== null) sessions.onEmpty = finish;
    finish();
    if (finished || timeoutMs === 0) return;
    if (this.#killTimer !== null) clearTimeout(this.#killTimer);
    this.#killTimer = setTimeout(() => {
      this.#connections.each((connection) => connection.kill());
      sessions?.each((session) => session.expire());
    }, timeoutMs);
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
    case 'kong':
      worker.kong.change(message.change);
      break;
    case 'reopen':
      worker.reopen();
      break;
    case 'adminReply':
      worker.adminReply(message.id, message.reply);
      break;
    case 'quit':
      worker.quit(message.timeoutMs);
  }
});
say({ type: 'online' });
