/** Compiles a configuration's stream part into what sessions read. Runs once per worker and generation. */
import { dirname } from 'node:path';
import type { KongFeed } from '../config/kong/groups.ts';
import type { Config, ErrorLogTarget, ListenConfig, ResolverConfig } from '../config/model.ts';
import type { StreamConfig, StreamServerConfig } from '../config/stream-model.ts';
import type { Resolver } from '../discovery/resolver.ts';
import { AccessList } from '../net/access-list.ts';
import { NetworkList } from '../net/networks.ts';
import { closeVias, viasOf } from '../net/via.ts';
import type { LinkLog } from '../net/via.ts';
import type { ErrorLog } from '../observe/error-log.ts';
import { counters } from '../observe/counters.ts';
import { traffic } from '../observe/traffic.ts';
import type { ZoneCounter } from '../observe/zones.ts';
import type { GroupEnv } from '../upstream/group.ts';
import { TargetBook } from '../upstream/target-book.ts';
import { AccessLogCompiler } from '../variables/access-log.ts';
import type { LogFiles } from '../variables/access-log.ts';
import type { KeyvalSource } from '../variables/keyval-source.ts';
import { HostTable } from '../variables/host-table.ts';
import { passHandler, proxyHandler, returnHandler } from './handlers.ts';
import type { PassOn } from './handlers.ts';
import { KongStream } from './kong/runtime.ts';
import { ConnectionTable } from '../limit/connections.ts';
import { SessionLimits } from './limits.ts';
import { StreamGroup } from './proxy/group.ts';
import { ProxyPlan } from './proxy/plan.ts';
import { StreamGeneration, StreamServer } from './runtime.ts';
import type { Handler, StreamListenRuntime } from './runtime.ts';
import type { Session } from './session.ts';
import { StreamVariables } from './variables/table.ts';

/** What a generation is compiled with. */
export interface StreamEnv {
  group: GroupEnv;
  kong: KongFeed;
  /** Shared peer tables, by index into `StreamConfig.upstreams`. */
  tables: SharedArrayBuffer[];
  learnZones: Record<string, SharedArrayBuffer>;
  /** Memory of `limit_conn_zone`, by name. */
  limitZones: Record<string, SharedArrayBuffer>;
  /** Null: the configuration has no `keyval_zone`. */
  keyvals: KeyvalSource | null;
  errorLog(targets: ErrorLogTarget[]): ErrorLog;
  accessLogs: LogFiles;
  resolver(config: ResolverConfig): Resolver;
  passOn: PassOn;
  /** Counters of a `status_zone`; null: there is none of that name. */
  zone(name: string): ZoneCounter | null;
}

export interface StreamRuntime {
  generation: StreamGeneration;
  listens: StreamListenRuntime[];
  /** Lets go of log files and senders: the generation's last session is over. */
  close(): void;
}

export function compileStream(id: number, config: Config, stream: StreamConfig, env: StreamEnv): StreamRuntime {
  return new Compiler(id, config, stream, env).run();
}

class Compiler {
  readonly #config: Config;
  readonly #stream: StreamConfig;
  readonly #env: StreamEnv;
  readonly #variables: StreamVariables;
  readonly #book: TargetBook<StreamGroup>;
  readonly #generation: StreamGeneration;
  readonly #accessLogs: AccessLogCompiler<Session>;
  /** One for all servers of the Kong door. */
  #kongStream: KongStream | null = null;
  /** What is let go when the last session is over. */
  readonly #closes: (() => void)[] = [];

  constructor(id: number, config: Config, stream: StreamConfig, env: StreamEnv) {
    this.#config = config;
    this.#stream = stream;
    this.#env = env;
    const variables = new StreamVariables(stream, {
      prefix: config.prefix,
      connections: () => traffic.totals(),
      keyvals: env.keyvals,
    });
    this.#variables = variables;
    this.#book = new TargetBook((upstream, table) => new StreamGroup(upstream, table, env.group, variables, null));
    this.#accessLogs = new AccessLogCompiler(stream.logFormats, variables, env.accessLogs);
    const log = env.errorLog(config.main.errorLog);
    const linkLog: LinkLog = (level, message) => log.write(level, message);
    const groups = stream.upstreams.map((upstream, i) => {
      const { sticky } = upstream;
      const zone = sticky?.mode === 'learn' ? (env.learnZones[sticky.zone.name] ?? null) : null;
      const group = new StreamGroup(
        upstream,
        env.tables[i]!,
        env.group,
        variables,
        zone,
        null,
        viasOf(upstream, linkLog),
      );
      this.#book.add(group);
      if (group.vias !== null) this.#closes.push(() => closeVias(group.vias));
      return group;
    });
    this.#generation = new StreamGeneration(id, stream, variables, groups);
    const { debugConnections } = config.main;
    if (debugConnections.length > 0) this.#generation.debugConnections = new NetworkList(debugConnections);
  }

  run(): StreamRuntime {
    for (const server of this.#stream.servers) this.#generation.servers.push(this.#server(server));
    const listens = this.#stream.listens.map((listen) => this.#listen(listen));
    return { generation: this.#generation, listens, close: () => this.#close() };
  }

  #close(): void {
    for (const close of this.#closes) close();
    this.#accessLogs.close();
  }

  #listen(config: ListenConfig): StreamListenRuntime {
    const servers = config.servers.map((i) => this.#generation.servers[i]!);
    const defaultServer = this.#generation.servers[config.defaultServer]!;
    const hosts = new HostTable(servers, defaultServer, this.#variables);
    return { generation: this.#generation, config, servers, defaultServer, hosts };
  }

  #server(config: StreamServerConfig): StreamServer {
    const log = this.#env.errorLog(config.core.errorLog ?? this.#config.main.errorLog);
    const server = new StreamServer(config, log);
    server.accessLog = this.#accessLogs.compile(config.log.access, null);
    if (config.realip.from.length > 0) server.trusted = new NetworkList(config.realip.from);
    if (config.readHello !== undefined) server.helloFrom = new NetworkList(config.readHello.from);
    if (config.access.length > 0) server.access = new AccessList(config.access);
    if (config.limitConn.limits.length > 0) server.limits = this.#limits(config);
    server.sets = config.sets.map(({ variable, value }) => ({
      set: this.#variables.setter(variable),
      value: this.#variables.compile(value),
    }));
    server.resolver = config.core.resolver === null ? null : this.#env.resolver(config.core.resolver);
    if (config.statusZone !== undefined) server.zone = this.#env.zone(config.statusZone);
    server.handler = this.#handler(config);
    return server;
  }

  #limits({ limitConn }: StreamServerConfig): SessionLimits {
    const limits = limitConn.limits.map(({ zone, connections }) => {
      const { key } = this.#stream.limitZones.find(({ name }) => name === zone)!;
      const counts = counters.row(`limit_conn ${zone}`);
      const table = new ConnectionTable(this.#env.limitZones[zone]!, this.#env.group.workerId);
      return { zone, keyText: key, table, key: this.#variables.compile(key), connections, counts };
    });
    return new SessionLimits(limits, limitConn);
  }

  #kong(proxy: StreamServerConfig['proxy']): Handler {
    const { kong, group } = this.#env;
    if (this.#kongStream === null) {
      const made = new KongStream({ proxy, group, variables: this.#variables, book: this.#book }, kong);
      this.#kongStream = made;
      this.#closes.push(kong.follow((change) => made.take(change)));
    }
    const runtime = this.#kongStream;
    return (s) => runtime.handle(s);
  }

  #handler({ handler, proxy }: StreamServerConfig): Handler | null {
    switch (handler.kind) {
      case 'return':
        return returnHandler(this.#variables.compile(handler.text));
      case 'pass':
        return passHandler(this.#variables.compile(handler.address), this.#env.passOn);
      case 'proxy': {
        const group = handler.upstream === null ? null : this.#generation.groups[handler.upstream]!;
        const target = this.#variables.compileOptional(handler.variableTarget);
        const directory = dirname(this.#config.file);
        return proxyHandler(new ProxyPlan(proxy, group, target, this.#book, this.#variables, directory));
      }
      case 'kong':
        return this.#kong(proxy);
      default:
        return null;
    }
  }
}
