/**
 * The main thread's life: load, bind, run, reload, end. It never touches a request.
 */
import { availableParallelism } from 'node:os';
import type { AdminConfig } from '../config/kong/settings.ts';
import { hasHealthChecks } from '../config/health-checks.ts';
import type { Config } from '../config/model.ts';
import { reopenFiles } from '../observe/append-file.ts';
import { describeError } from '../observe/errno.ts';
import type { ErrorLog } from '../observe/error-log.ts';
import { totalsOf } from '../observe/traffic.ts';
import { NGINX_VERSION, VERSION } from '../version.ts';
import { AdminDesk, type AdminFactory, type AdminView } from './admin-desk.ts';
import { claimAddresses, listensOf, newAddresses, removeSockets } from './addresses.ts';
import { MainBell } from '../worker/bells.ts';
import { saveCompileCache } from '../worker/compile-cache.ts';
import type { Caching } from './caching.ts';
import { daemonChannel, daemonize } from './daemon.ts';
import type { Companion, NodeView } from './companion.ts';
import type { KongPlane } from './kong/plane.ts';
import type { EarlyWorkers } from './early-workers.ts';
import type { KeyvalZones } from './keyvals.ts';
import { type Generation, Generations, hasDashboard, keyvalZonesOf, needsResolving } from './generations.ts';
import { ConfigRefused, type ConfigSource, type LoadConfig, loadConfig } from './load-config.ts';
import { makeDirectories } from './directories.ts';
import { openLogFiles } from './log-files.ts';
import { PidFile } from './pid-file.ts';
import { Privileges } from './privileges.ts';
import { Groups, type GroupsEnv } from './groups.ts';
import type { HealthChecks } from './health.ts';
import type { Resolving } from './resolving.ts';
import { type Command, onSignals } from './signals.ts';
import { WorkerPool } from './worker-pool.ts';

/** A fast stop gives workers this long to write their logs and close. */
const FAST_MS = 1;
/** The caches of compiled code are written this long after start, when nobody waits for it. */
const CACHE_DELAY_MS = 2000;

const NOT_BUILT = { status: 501, fields: [], body: '', more: false };
/** Tables of Kong's upstreams have room for this many workers, so that a reload may raise their number. */
const KONG_WORKERS = 32;

const NO_WORKERS: EarlyWorkers = { count: 0, threads: [] };

export interface MasterOptions {
  source: ConfigSource;
  /** The early log; it becomes the configuration's own. */
  log: ErrorLog;
  /** What a worker thread runs. */
  workerEntry: URL;
  /** Worker threads that were started before this module was loaded. */
  early?: EarlyWorkers;
  load?: LoadConfig;
  /** Made at once, with what it may see of the node. */
  companion?: (node: NodeView) => Companion;
  /** Answers `api` and the like; without it they are answered with 501. */
  admin?: AdminFactory;
}

export class Master {
  readonly #source: ConfigSource;
  readonly #log: ErrorLog;
  readonly #load: LoadConfig;
  readonly #companion: Companion | null;
  readonly #generations = new Generations();
  readonly #pool: WorkerPool;
  readonly #pidFile = new PidFile();
  readonly #privileges = new Privileges();
  #resolving: Resolving | null = null;
  #caching: Caching | null = null;
  #keyvals: KeyvalZones | null = null;
  #health: HealthChecks | null = null;
  readonly #admin: AdminDesk | null;
  #loadedAt = 0;
  readonly #bell = new MainBell();
  /** The groups that run: what changes them goes through here. */
  readonly #groupsEnv: GroupsEnv = {
    now: Date.now,
    changed: () => this.#bell.announce(),
    health: (door, group) => this.#health?.counters(door, group) ?? null,
    names: {
      watch: (...name) => void this.#resolver().then((resolving) => resolving.watch(...name)),
      unwatch: (...name) => void this.#resolver().then((resolving) => resolving.unwatch(...name)),
    },
  };
  readonly groups = new Groups(this.#groupsEnv);
  readonly streamGroups = new Groups(this.#groupsEnv, 'stream');
  #kong: KongPlane | null = null;

  #started = false;
  #ending: 'no' | 'quit' | 'stop' = 'no';
  /** The end that is under way. */
  #endBegun: 'no' | 'quit' | 'stop' = 'no';
  /** Ends waits for addresses when the process is told to stop. */
  readonly #abort = new AbortController();
  /** A HUP has come that no reload has begun for. */
  #reloadWanted = false;
  #reloading = false;
  #reopenWanted = false;

  constructor({ source, log, workerEntry, early = NO_WORKERS, load = loadConfig, companion, admin }: MasterOptions) {
    this.#source = source;
    this.#log = log;
    this.#load = load;
    this.#companion =
      companion?.({
        traffic: () => totalsOf(this.#generations.traffic),
        ending: this.#abort.signal,
        kong: (settings) => this.#kongPlane(settings),
      }) ?? null;
    this.#admin = admin === undefined ? null : new AdminDesk(this.#view(), admin);
    this.#pool = new WorkerPool({
      entry: workerEntry,
      log,
      early,
      errorLogPath: source.errorLogPath,
      onDrained: (workerId, id) => this.#generations.drained(workerId, id),
      onAdmin: (thread, message) => {
        if (this.#admin !== null) this.#admin.take(thread, message);
        else if (message.type === 'admin') thread.adminReply(message.id, NOT_BUILT);
      },
      onEnded: (thread) => this.#admin?.gone(thread),
      onLost: (workerId) => {
        this.#generations.reclaim(workerId);
        this.#kong?.reclaim(workerId);
      },
      privileged: (work) => this.#privileges.during(work),
    });
  }

  /** What administrative requests may see and do. */
  #view(): AdminView {
    const startedAt = Date.now();
    return {
      log: this.#log,
      startedAt,
      loadedAt: () => this.#loadedAt,
      generation: () => this.#generations.current!,
      workers: () => this.#pool.workers(),
      respawned: () => this.#pool.respawned,
      groups: this.groups,
      streamGroups: this.streamGroups,
      keyvals: () => this.#keyvals,
      lateness: () => this.#health?.lateness() ?? null,
    };
  }

  /** @returns the exit code when it did not start (or went into the background); null: it runs */
  async start(): Promise<number | null> {
    const daemon = daemonChannel();
    onSignals({ log: this.#log, daemon: daemon !== null }, (command) => this.#command(command));
    try {
      const config = await this.#load(this.#source, this.#log);
      if (config.main.daemon && daemon === null) {
        return await daemonize(config.main.errorLog.some(({ kind }) => kind === 'stderr'));
      }
      const generation = await this.#prepare(config);
      this.#log.notice(`nginx/${NGINX_VERSION} (Headrace ${VERSION}, Node.js ${process.versions.node})`);
      this.#log.notice('start worker processes');
      await this.#commit(generation);
    } catch (error) {
      if (!(error instanceof ConfigRefused)) throw error;
      for (const message of error.messages) this.#log.emerg(message);
      await this.#pool.quit(FAST_MS);
      this.#pidFile.remove();
      return 1;
    }
    this.#privileges.leave();
    this.#log.stopCopies();
    daemon?.ready();
    this.#started = true;
    this.#surviveFaults();
    setTimeout(saveCompileCache, CACHE_DELAY_MS).unref();
    this.#next();
    return null;
  }

  /**
   * Everything up to the point of no return: nothing has changed when it throws.
   *
   * @throws {ConfigRefused}
   */
  async #prepare(config: Config): Promise<Generation> {
    const current = this.#generations.current;
    const owner = this.#privileges.owner(config.main.user);
    const failures = openLogFiles(config, owner);
    failures.push(...makeDirectories(config, owner));
    if (failures.length > 0) throw new ConfigRefused(failures);

    const listens = newAddresses(listensOf(config), current === null ? [] : listensOf(current.config));
    // At start the log says why by then; a reload reports to the running log.
    if (current === null) this.#log.setTargets(config.main.errorLog);
    if (!(await claimAddresses(listens, this.#log, this.#abort.signal))) throw new ConfigRefused([]);

    const keyvals = await this.#keyvalZones(config);
    const generation = this.#generations.make(config, keyvals === null ? null : (...args) => keyvals.memory(...args));
    generation.data.kong = this.#kong?.state ?? null;
    const refusal = await this.#pool.prepare(generation.data, workersOf(config));
    const failure = refusal ?? (await this.#companion?.prepare(config)) ?? this.#pidFile.write(config.main.pidFile);
    if (failure === null) return generation;

    this.#generations.rollBack(generation);
    await this.#pool.abandon(generation.data);
    await this.#companion?.abandon();
    throw new ConfigRefused([failure]);
  }

  async #commit(generation: Generation): Promise<void> {
    const { config } = generation;
    const { current } = this.#generations;
    const before = current === null ? [] : listensOf(current.config);
    this.#log.setTargets(config.main.errorLog);
    this.#generations.commit(generation);
    this.#loadedAt = Date.now();
    // The first request of a worker that commits may ask about them.
    this.groups.follow(generation);
    this.streamGroups.follow(generation);
    this.#keyvals?.follow(generation);
    // Workers that are replaced later begin with what is known then.
    generation.data.kong = this.#kong?.state ?? null;
    await this.#pool.commit(generation.data, workersOf(config), config.main.workerShutdownTimeoutMs);
    removeSockets(newAddresses(before, listensOf(config)));
    this.#privileges.become(config.main.user);
    this.#admin?.follow(hasDashboard(generation));
    await this.#resolve(generation);
    await this.#cache(generation);
    await this.#check(generation);
    await this.#companion?.commit();
  }

  /** Null: there are none, and never were. */
  async #keyvalZones(config: Config): Promise<KeyvalZones | null> {
    if (this.#keyvals === null && keyvalZonesOf(config).length > 0) {
      const { KeyvalZones } = await import('./keyvals.ts');
      this.#keyvals = new KeyvalZones(this.#log);
    }
    return this.#keyvals;
  }

  async #cache(generation: Generation): Promise<void> {
    if (this.#caching === null && (generation.config.http?.caches ?? []).length === 0) return;
    const { Caching } = await import('./caching.ts');
    this.#caching ??= new Caching(this.#log);
    this.#caching.follow(generation);
  }

  async #check(generation: Generation): Promise<void> {
    if (this.#health === null && !hasHealthChecks(generation.config)) return;
    const { HealthChecks } = await import('./health.ts');
    const { loadParts } = await import('../http/parts.ts');
    const { http } = generation.config;
    if (http !== null) await loadParts(http);
    this.#health ??= new HealthChecks(this.#log, () => this.#bell.announce());
    this.#health.follow(generation);
  }

  async #kongPlane(settings: AdminConfig): Promise<KongPlane> {
    const { KongPlane } = await import('./kong/plane.ts');
    const { systemNameServers } = await import('./kong/names.ts');
    this.#kong ??= new KongPlane({
      log: this.#log,
      maxWorkers: Math.max(KONG_WORKERS, availableParallelism()),
      nameServers: () => settings.nameServers ?? systemNameServers(),
      send: (change) => this.#pool.tellKong(change),
    });
    return this.#kong;
  }

  async #resolve(generation: Generation): Promise<void> {
    if (this.#resolving === null && !needsResolving(generation)) return;
    (await this.#resolver()).follow(generation);
  }

  async #resolver(): Promise<Resolving> {
    const { Resolving } = await import('./resolving.ts');
    return (this.#resolving ??= new Resolving(this.#log));
  }

  #command(command: Command): void {
    switch (command) {
      case 'reload':
        this.#reloadWanted = true;
        break;
      case 'reopen':
        this.#reopenWanted = true;
        break;
      case 'quit':
        if (this.#ending !== 'no') return;
        this.#ending = 'quit';
        this.#abort.abort();
        break;
      case 'stop':
        // The second one does not ask any more.
        if (this.#ending === 'stop' || !this.#started) this.#exit();
        this.#ending = 'stop';
        this.#abort.abort();
        break;
      default:
    }
    this.#next();
  }

  /** Does what signals have asked for, one thing at a time; the end goes first. */
  #next(): void {
    if (!this.#started) return;
    if (this.#ending !== 'no') return void this.#end();
    if (this.#reopenWanted) {
      this.#reopenWanted = false;
      this.#reopen();
    }
    if (this.#reloadWanted && !this.#reloading) void this.#reload();
  }

  async #reload(): Promise<void> {
    this.#reloadWanted = false;
    this.#reloading = true;
    this.#log.notice('reconfiguring');
    try {
      await this.#privileges.during(async () => {
        const generation = await this.#prepare(await this.#load(this.#source, this.#log));
        if (this.#ending === 'no') await this.#commit(generation);
      });
    } catch (error) {
      // The running configuration goes on, whatever was wrong with the new one.
      const messages = error instanceof ConfigRefused ? error.messages : [`reload failed: ${describeError(error)}`];
      for (const message of messages) this.#log.emerg(message);
    }
    this.#reloading = false;
    this.#next();
  }

  #reopen(): void {
    this.#log.notice('reopening logs');
    this.#privileges.enter();
    const config = this.#generations.current?.config;
    const failures = reopenFiles();
    // Workers reopen them as the user: the files must be there and be the user's.
    if (config !== undefined) openLogFiles(config, this.#privileges.owner(config.main.user));
    this.#privileges.leave();
    for (const failure of failures) this.#log.emerg(failure);
    this.#pool.reopen();
  }

  /** Workers carry the traffic: a fault here is written down and must not take them along. */
  #surviveFaults(): void {
    const survive = (error: unknown): void => this.#log.alert(`main thread: ${describeError(error)}`);
    process.on('uncaughtException', survive);
    process.on('unhandledRejection', survive);
  }

  async #end(): Promise<void> {
    const ending = this.#ending;
    if (this.#endBegun === ending) return;
    this.#endBegun = ending;
    const graceful = ending === 'quit';
    if (graceful) this.#log.notice('gracefully shutting down');
    this.#admin?.stop();
    if (graceful) await this.#companion?.close();
    const config = this.#generations.current?.config;
    await this.#pool.quit(graceful ? (config?.main.workerShutdownTimeoutMs ?? 0) : FAST_MS);
    await this.#keyvals?.close();
    // After a graceful end that a stop has overtaken, it is the stop that ends the process.
    if (this.#ending === ending) this.#exit();
  }

  #exit(): never {
    this.#log.notice('exiting');
    this.#resolving?.close();
    this.#health?.close();
    this.#bell.close();
    this.#kong?.close();
    this.#companion?.leave();
    this.#privileges.enter();
    const { current } = this.#generations;
    if (current !== null) removeSockets(listensOf(current.config));
    const failure = this.#pidFile.remove();
    if (failure !== null) this.#log.alert(failure);
    this.#log.notice('exit');
    saveCompileCache();
    process.exit(0);
  }
}

function workersOf(config: Config): number {
  return config.main.masterProcess ? config.main.workerProcesses : 1;
}
