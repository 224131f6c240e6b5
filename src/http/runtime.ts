/**
 * The compiled form of a configuration's http part, per worker and generation: what the request path reads. Everything
 * that can be decided when a configuration is loaded is decided here, by `compile.ts`.
 */
import type { CoreConfig, HttpConfig, LocationConfig, ServerConfig } from '../config/model.ts';
import type { HttpRequest } from './request.ts';
import type { Value } from './variables/value.ts';
import type { VariableTable } from './variables/table.ts';
import type { RewriteProgram } from './rewrite/program.ts';
import type { AccessLog } from './log/access-log.ts';
import type { LocationCharset } from './filters/charset/charset.ts';
import type { SymlinkGuard } from './handlers/symlinks.ts';
import type { LocationTree } from './server/location-tree.ts';
import type { BuiltinPage } from './server/error-pages.ts';
import type { RefererMatcher } from './access/referer.ts';
import type { Resolver } from '../discovery/resolver.ts';
import type { ZoneCounter } from '../observe/zones.ts';
import type { ErrorLog } from '../observe/error-log.ts';
import type { NetworkList } from '../net/networks.ts';

/** A phase of a location, before its content. */
export type Phase = (r: HttpRequest) => number;
/** Go on with the next phase. */
export const NEXT = 0;
/** The phase answers, or goes on later by `engine.resume(r)`. */
export const TAKEN = 1;
/** `uri` has changed: look for a location again. */
export const AGAIN = 2;

/** Produces the answer. */
export type Handler = (r: HttpRequest) => void;

export class HttpGeneration {
  readonly id: number;
  readonly config: HttpConfig;
  readonly variables: VariableTable;
  readonly servers: Server[] = [];
  readonly log: ErrorLog;
  /** Clients whose requests are logged whatever levels logs have (debug_connection); null: none. */
  debugConnections: NetworkList | null = null;
  /** Somebody wants lines of the level `debug`. */
  debugs = false;
  /** Requests and tunnels under way under this generation. */
  active = 0;
  /** Called when a replaced generation has no request left. */
  onDrained: (() => void) | null = null;

  constructor(id: number, config: HttpConfig, variables: VariableTable, log: ErrorLog) {
    this.id = id;
    this.config = config;
    this.variables = variables;
    this.log = log;
  }

  release(): void {
    if (--this.active === 0 && this.onDrained !== null) this.onDrained();
  }
}

export class Server {
  readonly config: ServerConfig;
  /** Settings where no location matches. */
  readonly root: Location;
  /** Null: the server block has no rewrite directives. */
  rewrite: RewriteProgram | null = null;
  locations!: LocationTree;
  readonly named: Map<string, Location> = new Map();
  /** Counts its requests (status_zone); null: nobody asked. */
  zone: ZoneCounter | null = null;

  constructor(config: ServerConfig, root: Location) {
    this.config = config;
    this.root = root;
  }
}

export class Location {
  readonly config: LocationConfig;
  readonly core: CoreConfig;
  readonly server: ServerConfig;
  /** Null: no rewrite directives. */
  rewrite: RewriteProgram | null = null;
  /** Access and other checks between rewrite and content; empty for most. */
  phases: Phase[] = [];
  handler!: Handler;
  /** Adds what add_header, expires and the like ask for, and installs body filters; null: nothing to do. */
  headFilter: ((r: HttpRequest) => void) | null = null;
  /** Links that files are not reached by (disable_symlinks); null: all are followed. */
  symlinks: SymlinkGuard | null = null;
  /** What charsets answers are in; null: nobody asked, and no server can. */
  charset: LocationCharset | null = null;
  accessLog: AccessLog | null = null;
  /** Whether the answer whose head stands in a request will be given another body: no ranges can be had of it. Null: none will. */
  rewritesBody: ((r: HttpRequest) => boolean) | null = null;
  /** Tells of a request whether its connection is closed after it (keepalive_disable); null: of none. */
  keepaliveDisabled: ((r: HttpRequest) => boolean) | null = null;
  /** Runs when a request has been answered; null: no post_action. */
  postAction: ((r: HttpRequest) => void) | null = null;
  /** Counts its requests (status_zone); null: nobody asked. */
  zone: ZoneCounter | null = null;
  /** Whether hints of servers (103) are passed on; null: never. */
  earlyHints: ((r: HttpRequest) => boolean) | null = null;
  errorPages: CompiledErrorPage[] | null = null;
  /** Makes the body of errors; null: nginx's pages. */
  errorBody: ((r: HttpRequest, status: number) => BuiltinPage) | null = null;
  /** Takes the client's address from a field, behind trusted proxies (set_real_ip_from); null: not configured. */
  realip: ((r: HttpRequest) => void) | null = null;
  /** Pages that may lead here (valid_referers); null: not configured. */
  referer: RefererMatcher | null = null;
  /** For targets with variables; null: none configured. */
  resolver: Resolver | null = null;
  /** All locations that stand inside this one. */
  children: Location[] = [];
  /** Nested locations; null: none. */
  locations: LocationTree | null = null;
  /** Null: all methods are treated alike. */
  limitExcept: LimitExcept | null = null;
  log: ErrorLog;
  readonly #ignoreClientAbort: boolean;

  constructor(config: LocationConfig, server: ServerConfig, log: ErrorLog) {
    this.config = config;
    this.core = config.core;
    const { handler } = config;
    this.#ignoreClientAbort = 'pass' in handler && config[handler.kind]!.ignoreClientAbort;
    this.server = server;
    this.log = log;
  }

  /** Whether a client that ends its side in the middle of a request is taken as gone (proxy_ignore_client_abort off, or held back). */
  abortOnClientEnd(r: HttpRequest): boolean {
    if (r.producer !== null && r.producer.delays === true) return true;
    if (r.upstream !== null) return r.upstream.leavesWithClient;
    return r.family !== null && r.family.live.size > 0 && !this.#ignoreClientAbort;
  }

  /** Whether a request goes on without its client until a server answers (proxy_ignore_client_abort on). */
  goesOnAlone(r: HttpRequest): boolean {
    return r.upstream !== null && this.#ignoreClientAbort;
  }
}

/** `limit_except`: the settings for methods that it does not list. */
export class LimitExcept {
  readonly #location: Location;
  readonly #listed: Set<string>;

  constructor(location: Location) {
    const { match } = location.config;
    this.#location = location;
    this.#listed = new Set(match.kind === 'limit_except' ? match.methods.map((method) => method.toUpperCase()) : []);
    if (this.#listed.has('GET')) this.#listed.add('HEAD');
  }

  /** Null: the request's method is listed. */
  of(r: HttpRequest): Location | null {
    return this.#listed.has(r.methodName) ? null : this.#location;
  }
}

export interface CompiledErrorPage {
  statuses: number[];
  overwrite: number;
  uri: Value;
  /** `@name`, or null. */
  named: string | null;
}
