/**
 * Compiles a configuration's http part into what the request path reads. Runs once per worker and generation; whatever
 * can be decided here is not decided per request.
 */
import { dirname } from 'node:path';
import type { KongFeed } from '../config/kong/groups.ts';
import type {
  Config,
  ErrorLogTarget,
  HttpConfig,
  ListenConfig,
  LocationConfig,
  ServerConfig,
} from '../config/model.ts';
import type { Resolver } from '../discovery/resolver.ts';
import { closeVias, viasOf } from '../net/via.ts';
import type { LinkLog } from '../net/via.ts';
import type { ErrorLog } from '../observe/error-log.ts';
import type { GroupEnv } from '../upstream/group.ts';
import { NetworkList } from '../net/networks.ts';
import { TargetBook } from '../upstream/target-book.ts';
import { HttpGeneration, LimitExcept, Location, NEXT, Server } from './runtime.ts';
import type { Phase } from './runtime.ts';
import { compileAuthRequest } from './access/auth-request.ts';
import { compileAccess } from './access/phase.ts';
import { RefererMatcher } from './access/referer.ts';
import { compileRules } from './access/rules.ts';
import { AccessLogCompiler } from './log/access-log.ts';
import type { ZoneCounter } from '../observe/zones.ts';
import type { AccessLogs } from '../observe/access-log-writer.ts';
import { traffic } from '../observe/traffic.ts';
import { sliceHook } from './filters/slice.ts';
import type { CacheZone } from './cache/zone.ts';
import { parts } from './parts.ts';
import { compileGzip } from './filters/gzip.ts';
import { compileHeaders, compileTrailers, joinHooks, trailerHook } from './filters/headers.ts';
import { rewritesBody } from './filters/body-change.ts';
import { LocationCharset } from './filters/charset/charset.ts';
import { Charsets } from './filters/charset/tables.ts';
import { compileLimitRate } from './filters/limit-rate.ts';
import { adminHandler, apiOf } from './handlers/admin.ts';
import type { AdminGate } from './handlers/admin.ts';
import { compileMirror } from './handlers/mirror.ts';
import { compilePostAction } from './handlers/post-action.ts';
import { staticHandler } from './handlers/static.ts';
import { stubStatus } from './handlers/stub-status.ts';
import { compileSymlinks } from './handlers/symlinks.ts';
import { compileTryFiles } from './handlers/static-try.ts';
import { compileRewrite } from './rewrite/program.ts';
import type { KongHandler } from './kong/handler.ts';
import { METHOD_CONNECT } from './wire/request-head.ts';
import { finalize } from './engine.ts';
import { LimitBook } from './limit/zones.ts';
import { compileLimitConn } from './limit/connections.ts';
import { compileLimitReq } from './limit/requests.ts';
import { UpstreamGroup } from './proxy/group.ts';
import { compilePass } from './proxy/compile.ts';
import { compileErrorPages } from './server/error-pages.ts';
import { HostTable } from '../variables/host-table.ts';
import type { KeyvalSource } from '../variables/keyval-source.ts';
import { holds } from '../variables/value.ts';
import { compileKeepaliveDisable } from './server/keepalive.ts';
import type { ListenRuntime } from './server/listen.ts';
import { LocationTree } from './server/location-tree.ts';
import { compileRealip } from './server/realip.ts';
import { VariableTable } from './variables/table.ts';

type AdminConfig = LocationConfig['handler'] & { kind: 'admin' };

/** What a generation is compiled with. */
export interface CompileEnv {
  group: GroupEnv;
  kong: KongFeed;
  /** Null: no server routes by Kong's entities (`hasKong`). */
  kongHandler: KongHandler | null;
  tables: SharedArrayBuffer[];
  learnZones: Record<string, SharedArrayBuffer>;
  limitZones: Record<string, SharedArrayBuffer>;
  /** Null: the configuration has no `keyval_zone`. */
  keyvals: KeyvalSource | null;
  /** Keys zones of caches by name. */
  cacheZones: Record<string, SharedArrayBuffer>;
  /** Error log for these targets; the same one for the same targets. */
  errorLog(targets: ErrorLogTarget[]): ErrorLog;
  accessLogs: AccessLogs;
  resolver(config: NonNullable<LocationConfig['core']['resolver']>): Resolver;
  /** The way to the main thread, which answers `api` and the like. */
  admin: AdminGate;
  /** Counters of `status_zone`, by name; null where there is none of that name. */
  zone(kind: 'server' | 'location', name: string): ZoneCounter | null;
}

export interface HttpRuntime {
  generation: HttpGeneration;
  /** By canonical address. */
  listens: Map<string, ListenRuntime>;
  groups: UpstreamGroup[];
  /** Lets go of log files and senders: the generation's last request is over. */
  close(): void;
}

/** Whether a server routes by Kong's entities: then `CompileEnv.kongHandler` is needed. */
export function hasKong(http: HttpConfig): boolean {
  return http.servers.some(({ root }) => root.handler.kind === 'kong');
}

export function compileHttp(id: number, config: Config, http: HttpConfig, env: CompileEnv): HttpRuntime {
  return new Compiler(id, config, http, env).run();
}

class Compiler {
  readonly #config: Config;
  readonly #http: HttpConfig;
  readonly #env: CompileEnv;
  readonly #variables: VariableTable;
  readonly #book: TargetBook<UpstreamGroup>;
  readonly #generation: HttpGeneration;
  readonly #groups: UpstreamGroup[];
  readonly #accessLogs: AccessLogCompiler;
  readonly #limits: LimitBook;
  readonly #linkLog: LinkLog;
  readonly #caches: Map<string, CacheZone>;
  readonly #charsets: Charsets;
  /** What is let go when the last request is over. */
  readonly #closes: (() => void)[] = [];
  #serial = 0;

  constructor(id: number, config: Config, http: HttpConfig, env: CompileEnv) {
    this.#config = config;
    this.#http = http;
    this.#env = env;
    this.#variables = new VariableTable(http, {
      prefix: config.prefix,
      connections: () => traffic.totals(),
      keyvals: env.keyvals,
    });
    this.#book = new TargetBook(
      (upstream, table) => new UpstreamGroup(upstream, table, env.group, this.#variables, null),
    );
    this.#generation = new HttpGeneration(id, http, this.#variables, env.errorLog(config.main.errorLog));
    const { debugConnections } = config.main;
    if (debugConnections.length > 0) this.#generation.debugConnections = new NetworkList(debugConnections);
    this.#generation.debugs = debugConnections.length > 0;
    this.#accessLogs = new AccessLogCompiler(http.logFormats, this.#variables, env.accessLogs);
    this.#limits = new LimitBook(http.limitZones, env.limitZones, env.group.workerId, this.#variables);
    const log = env.errorLog(config.main.errorLog);
    this.#linkLog = (level, message) => log.write(level, message);
    this.#caches = new Map(
      http.caches.map((cache) => [
        cache.name,
        new parts.caching!.CacheZone(cache, env.cacheZones[cache.name]!, env.group.workerId, (level, text) =>
          log.write(level, text),
        ),
      ]),
    );
    this.#charsets = new Charsets(http.charsets);
    this.#groups = http.upstreams.map((upstream, i) => this.#group(upstream, i));
  }

  run(): HttpRuntime {
    for (const server of this.#http.servers) this.#generation.servers.push(this.#server(server));
    const listens = new Map<string, ListenRuntime>();
    for (const listen of this.#http.listens) listens.set(listen.address, this.#listen(listen));
    return { generation: this.#generation, listens, groups: this.#groups, close: () => this.#close() };
  }

  #close(): void {
    for (const close of this.#closes) close();
    this.#accessLogs.close();
    for (const cache of this.#caches.values()) cache.close();
  }

  #group(upstream: HttpConfig['upstreams'][number], index: number): UpstreamGroup {
    const sticky = upstream.sticky;
    const zone = sticky?.mode === 'learn' ? (this.#env.learnZones[sticky.zone.name] ?? null) : null;
    const table = this.#env.tables[index]!;
    const vias = viasOf(upstream, this.#linkLog);
    const group = new UpstreamGroup(upstream, table, this.#env.group, this.#variables, zone, null, vias);
    this.#book.add(group);
    if (vias !== null) this.#closes.push(() => closeVias(vias));
    return group;
  }

  #listen(listen: ListenConfig): ListenRuntime {
    const servers = listen.servers.map((i) => this.#generation.servers[i]!);
    const defaultServer = this.#generation.servers[listen.defaultServer]!;
    return {
      generation: this.#generation,
      config: listen,
      defaultServer,
      hosts: new HostTable(servers, defaultServer, this.#variables),
    };
  }

  #server(config: ServerConfig): Server {
    const root = this.#location(config.root, config);
    const server = new Server(config, root);
    if (config.statusZone !== undefined) server.zone = this.#env.zone('server', config.statusZone);
    server.rewrite = compileRewrite(config.rewrite, {
      table: this.#variables,
      log: config.root.rewriteLog,
      makeLocation: null,
    });
    const locations: Location[] = [];
    for (const child of root.children) {
      if (child.config.match.kind === 'named') server.named.set(child.config.match.name.replace(/^@/, ''), child);
      else locations.push(child);
    }
    server.locations = new LocationTree(locations, this.#variables);
    return server;
  }

  /** @param named the location that this one stands for: itself, unless it is an `if` or a `limit_except` */
  #location(config: LocationConfig, server: ServerConfig, named: LocationConfig = config): Location {
    const log = this.#env.errorLog(config.core.errorLog ?? this.#config.main.errorLog);
    if (log.enabled('debug')) this.#generation.debugs = true;
    const loc = new Location(config, server, log);
    const makeLocation = (location: LocationConfig): Location => this.#location(location, server, named);
    loc.rewrite = compileRewrite(config.rewrite, { table: this.#variables, log: config.rewriteLog, makeLocation });
    const handler = this.#handler(loc, named, server);
    // No other handler knows what to do with a request that asks for a tunnel.
    const onlyOthers = server.allowConnect === true && config.handler.kind !== 'tunnel';
    loc.handler = onlyOthers ? (r) => (r.method === METHOD_CONNECT ? finalize(r, 405) : handler(r)) : handler;
    const gzip = compileGzip(config.gzip);
    const { filters } = parts;
    const charset = new LocationCharset(config.charset, this.#charsets, this.#variables);
    if (charset.active || 'pass' in config.handler) loc.charset = charset;
    loc.headFilter = joinHooks([
      config.sliceSize === undefined ? null : sliceHook,
      compileHeaders(config.headers, this.#variables),
      trailerHook(compileTrailers(config.headers, this.#variables)),
      filters === null ? null : filters.compileAddition(config.addition),
      filters === null ? null : filters.compileSsi(config.ssi, this.#variables),
      charset.active ? charset.hook : null,
      filters === null ? null : filters.compileSubFilter(config.subFilter, this.#variables),
      gzip === null ? null : gzip.hook,
      compileLimitRate(config.core, this.#variables),
    ]);
    loc.rewritesBody = rewritesBody(
      [config.ssi, config.subFilter, config.addition],
      gzip === null ? null : gzip.changes,
      charset.active ? charset.changesLength : null,
    );
    loc.keepaliveDisabled = compileKeepaliveDisable(config.core);
    loc.postAction = compilePostAction(config.core.postAction);
    if (config.statusZone !== undefined) loc.zone = this.#env.zone('location', config.statusZone);
    loc.accessLog = this.#accessLogs.compile(config);
    const realip = (loc.realip = compileRealip(config.realip));
    // Before the location is known the server's settings hold; here those of the location, if nothing was taken yet.
    if (realip !== null) loc.phases.push((r) => (realip(r), NEXT));
    for (const phase of [
      compileLimitReq(config.limitReq, this.#limits),
      compileLimitConn(config.limitConn, this.#limits),
      this.#access(config),
    ]) {
      if (phase !== null) loc.phases.push(phase);
    }
    if (config.referer !== null) loc.referer = new RefererMatcher(config.referer, server, this.#variables);
    const tryFiles = compileTryFiles(config, this.#variables);
    if (tryFiles !== null) loc.phases.push(tryFiles);
    const mirror = compileMirror(config.mirror);
    if (mirror !== null) loc.phases.push(mirror);
    loc.symlinks = compileSymlinks(config.core, this.#variables);
    loc.earlyHints = this.#earlyHints(config.core.earlyHints);
    loc.errorPages = compileErrorPages(config, this.#variables);
    loc.resolver = config.core.resolver === null ? null : this.#env.resolver(config.core.resolver);
    loc.children = config.locations.map((child) => this.#location(child, server));
    const nested = loc.children.filter((child) => child.config.match.kind !== 'named');
    if (nested.length > 0 && config.match.kind !== 'server') loc.locations = new LocationTree(nested, this.#variables);
    if (config.limitExcept !== null)
      loc.limitExcept = new LimitExcept(this.#location(config.limitExcept, server, named));
    return loc;
  }

  #earlyHints(conditions: readonly string[] | undefined): Location['earlyHints'] {
    if (conditions === undefined) return null;
    const values = conditions.map((text) => this.#variables.compile(text));
    return (r) => holds(values, r);
  }

  /** Who may come in. A new kind of checker is a line here; the order is nginx's. */
  #access(config: LocationConfig): Phase | null {
    const directory = `${dirname(this.#config.file)}/`;
    return compileAccess(
      [
        compileRules(config),
        parts.passwords === null
          ? null
          : parts.passwords.compileAuthBasic(config.authBasic, this.#variables, directory),
        compileAuthRequest(config.authRequest, this.#variables),
      ],
      config.core.satisfy,
      config.core.authDelayMs,
    );
  }

  #kong(loc: Location): Location['handler'] {
    const { kong, kongHandler, group } = this.#env;
    const { KongRuntime, errorBody } = kongHandler!;
    const runtime = new KongRuntime(
      { location: loc.config, group, variables: this.#variables, book: this.#book },
      kong,
    );
    const stop = kong.follow((change) => runtime.take(change));
    this.#closes.push(() => {
      stop();
      runtime.close();
    });
    loc.errorBody = errorBody;
    return (r) => runtime.handle(r);
  }

  #admin({ what, writable }: AdminConfig, named: LocationConfig, server: ServerConfig): Location['handler'] {
    const api = what === 'dashboard' ? apiOf(server.root) : null;
    return adminHandler(what, writable, named.name, this.#env.admin, api);
  }

  #handler(loc: Location, named: LocationConfig, server: ServerConfig): Location['handler'] {
    const { handler } = loc.config;
    if ('pass' in handler) {
      return compilePass(loc, handler, named.match, {
        group: handler.pass.upstream === null ? null : this.#groups[handler.pass.upstream]!,
        variables: this.#variables,
        book: this.#book,
        serial: ++this.#serial,
        directory: dirname(this.#config.file),
        caches: this.#caches,
      });
    }
    switch (handler.kind) {
      case 'stub_status':
        return stubStatus;
      case 'admin':
        return this.#admin(handler, named, server);
      case 'kong':
        return this.#kong(loc);
      default:
        return staticHandler(loc, this.#variables);
    }
  }
}
