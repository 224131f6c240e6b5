/**
 * The door for nginx.conf: text in, `Config` out.
 */
import path from 'node:path';
import { encodeText } from '../bytes.ts';
import { ConfigError } from '../errors.ts';
import type { Diagnostic } from '../errors.ts';
import type { Config, HttpConfig } from '../model.ts';
import type { StreamConfig } from '../stream-model.ts';
import { HttpBuilder } from './build.ts';
import {
  checkApart,
  checkCertificates,
  checkDatagrams,
  checkHello,
  checkGrpcProbes,
  checkQuicCertificates,
  checkLocations,
  checkPorts,
  checkServerNames,
  checkTunnels,
  checkUpstreams,
  checkZones,
} from './check.ts';
import { Cycle } from './cycle.ts';
import type { FileObject, Lookup } from './cycle.ts';
import { joinListens } from './listens.ts';
import { adminFault, finishAdmin } from './modules/admin.ts';
import { finishMain, hasEvents } from './modules/core.ts';
import { coreSlot } from './modules/http-core-loc.ts';
import { serverRawSlot } from './modules/http-core-srv.ts';
import { httpScopeSlot, httpSlot } from './modules/http-core.ts';
import { streamCoreSlot, streamScopeSlot, streamSlot } from './modules/stream-core.ts';
import { Conf } from './parser.ts';
import { MODULES, REGISTRY } from './registry.ts';
import type { Scope } from './scope.ts';
import type { Statement } from './statements.ts';
import { StreamBuilder } from './stream-build.ts';
import { fillImplicit, upstreamsSlot } from './upstreams.ts';
import { checkVariables, variableSlot } from './variables.ts';

export interface LoadOptions {
  /** Prefix directory (`-p`), absolute. */
  prefix: string;
  /** Main configuration file (`-c`), absolute or relative to the prefix. */
  file: string;
  /** Directives of the command line (`-g`). */
  globals?: string;
  /** Error log of the command line (`-e`): the default where the configuration names none; `stderr` or a path. */
  errorLogOverride?: string;
  /** What `worker_processes auto` means. */
  cpuCount: number;
  /** Addresses of a host name; none or an error: `host not found`. */
  lookup: Lookup;
  /** Default: whether the process is root's. Decides on `user` and on the port of servers without `listen`. */
  superUser?: boolean;
  /** Instead of the file system: path -> contents as a byte string (`config/bytes.ts`). Throws like node:fs. */
  readFile?: (file: string) => string;
  /** Instead of the file system: absolute pattern -> absolute paths, sorted. */
  glob?: (pattern: string) => string[];
  /** Instead of an nginx.conf: reads another language and gives what it comes to. */
  read?: (cycle: Cycle) => Statement[];
  /** Certificates and keys that the running configuration has read, by path. */
  objects?: ReadonlyMap<string, FileObject>;
}

export interface LoadResult {
  /** For the next loading: `LoadOptions.objects`. */
  objects: ReadonlyMap<string, FileObject>;
  config: Config;
  warnings: Diagnostic[];
}

/**
 * Reads and checks a configuration.
 *
 * @throws {ConfigError} of the first mistake, in nginx's words; its `warnings` are those before it
 */
export async function loadNginxConfig(options: LoadOptions): Promise<LoadResult> {
  const prefix = path.resolve(options.prefix) + (path.resolve(options.prefix) === '/' ? '' : '/');
  const file = path.resolve(prefix, options.file);
  const superUser = options.superUser ?? process.getuid?.() === 0;
  const cycle = new Cycle({ ...options, prefix, file, superUser });
  try {
    return { config: await load(cycle, options), warnings: cycle.warnings, objects: cycle.objects };
  } catch (error) {
    if (error instanceof ConfigError) error.warnings = cycle.warnings;
    throw error;
  }
}

async function load(cycle: Cycle, options: LoadOptions): Promise<Config> {
  const conf = new Conf(cycle, REGISTRY);
  if (options.globals !== undefined && options.globals !== '') conf.parseParameter(encodeText(options.globals));
  if (options.read === undefined) conf.parseFile(encodeText(cycle.options.file));
  else conf.parseStatements(cycle.options.file, options.read(cycle));

  const scope = cycle.core.get(httpScopeSlot).scope;
  const streamScope = cycle.core.get(streamScopeSlot).scope;
  for (const block of [scope, streamScope]) {
    for (const upstream of block?.main.get(upstreamsSlot).list ?? []) {
      fillImplicit(upstream, (host, port, failure) => cycle.resolveLater(host, port, upstream.place, failure));
    }
  }
  if (streamScope !== null) checkPorts(streamScope.main.get(upstreamsSlot).list);
  await cycle.resolveNames();

  const http = scope === null ? null : finishHttp(cycle, scope);
  const stream = streamScope === null ? null : finishStream(cycle, streamScope);
  if (http !== null && stream !== null) checkApart(cycle, http.listens, stream.listens);
  if (!hasEvents(cycle)) throw new ConfigError('no "events" section in configuration', null, '');
  checkZones(cycle);
  const fault = adminFault(cycle);
  if (fault !== null) throw new ConfigError(fault, null, '');
  return {
    prefix: cycle.prefix,
    file: cycle.options.file,
    main: finishMain(cycle),
    http,
    stream,
    admin: finishAdmin(cycle),
    sources: cycle.sources,
  };
}

function finishHttp(cycle: Cycle, scope: Scope): HttpConfig {
  const { servers } = scope.main.get(httpSlot);
  const sockets = joinListens(cycle, servers);
  const builder = new HttpBuilder(cycle, scope, MODULES);
  checkUpstreams(builder.upstreams, scope.loc.get(coreSlot).resolver);
  const http = builder.build(sockets);
  checkGrpcProbes(http);
  for (const { root } of servers) checkLocations(root);
  checkCertificates(sockets, scope);
  checkVariables(scope.main.get(variableSlot));
  checkServerNames(cycle, sockets, (server) => server.slots.get(serverRawSlot).names);
  return http;
}

function finishStream(cycle: Cycle, scope: Scope): StreamConfig {
  const { servers } = scope.main.get(streamSlot);
  const sockets = joinListens(cycle, servers);
  const builder = new StreamBuilder(cycle, scope, MODULES);
  checkUpstreams(builder.upstreams, scope.srv.get(streamCoreSlot).resolver);
  const stream = builder.build(sockets);
  checkDatagrams(stream);
  checkQuicCertificates(stream);
  checkTunnels(stream);
  checkHello(stream);
  checkCertificates(sockets, scope);
  checkVariables(scope.main.get(variableSlot));
  checkServerNames(cycle, sockets, (server) => server.slots.get(streamCoreSlot).names);
  return stream;
}

export { ConfigError };
export type { Diagnostic, FileObject, Lookup };
