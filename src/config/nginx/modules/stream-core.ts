/** stream core: the blocks `stream` and `server`, `listen`, and settings of servers. */
import type { StreamServerConfig } from '../../stream-model.ts';
import { Args, Context, STREAM_ALL } from '../context.ts';
import { directive, table } from '../directive.ts';
import { readListen } from '../listens.ts';
import { finishErrorLog, readErrorLog } from '../logging.ts';
import type { RawErrorLog } from '../logging.ts';
import { streamPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import { StreamServerNode, streamServerSlot } from '../nodes.ts';
import type { Conf } from '../parser.ts';
import { finishResolver, readResolver } from '../resolver.ts';
import type { RawResolver } from '../resolver.ts';
import { Slots, slot } from '../scope.ts';
import type { Scope } from '../scope.ts';
import { finishServerNames, readServerNames } from '../server-names.ts';
import type { ServerName } from '../server-names.ts';
import { streamVariables, variableSlot } from '../variables.ts';

export const streamSlot = slot<{ servers: StreamServerNode[] }>('stream_core.main', () => ({ servers: [] }));

/** Holds the scope of the `stream` block once it was read. */
export const streamScopeSlot = slot<{ scope: Scope | null }>('stream', () => ({ scope: null }));

interface CoreRaw {
  names: ServerName[];
  tcpNodelay?: boolean;
  prereadBufferSize?: number;
  prereadTimeoutMs?: number;
  proxyProtocolTimeoutMs?: number;
  resolver?: RawResolver;
  resolverTimeoutMs?: number;
  errorLogs?: RawErrorLog[];
}

export const streamCoreSlot = slot<CoreRaw>('stream_core', () => ({ names: [] }));
const srv = table<CoreRaw>((cf) => cf.scope.srv.get(streamCoreSlot));

function stream(cf: Conf): string | void {
  const holder = cf.cycle.core.get(streamScopeSlot);
  if (holder.scope !== null) return 'is duplicate';
  // Modules that http shares keep their settings with locations or with servers: here both are one level.
  const level = new Slots();
  holder.scope = { main: new Slots([[variableSlot, streamVariables()]]), srv: level, loc: level };
  cf.block(Context.stream, holder.scope);
}

function server(cf: Conf): void {
  const node = new StreamServerNode(cf.blockPlace);
  cf.scope.main.get(streamSlot).servers.push(node);
  cf.block(Context.streamServer, { main: cf.scope.main, srv: node.slots, loc: node.slots });
  if (node.listens.length === 0) throw cf.error('no "listen" is defined for server');
}

export const streamCore: ModuleDef = {
  name: 'stream_core',
  directives: [
    directive('stream', Context.main, Args.none, stream, true),
    directive('server', Context.stream, Args.none, server, true),
    directive('listen', Context.streamServer, Args.oneOrMore, (cf) =>
      readListen(cf, cf.scope.srv.get(streamServerSlot)),
    ),
    srv.custom('server_name', Context.streamServer, Args.oneOrMore, (cf, raw) => readServerNames(cf, raw.names)),
    srv.flag('tcp_nodelay', STREAM_ALL, 'tcpNodelay'),
    srv.size('preread_buffer_size', STREAM_ALL, 'prereadBufferSize'),
    srv.msec('preread_timeout', STREAM_ALL, 'prereadTimeoutMs'),
    srv.msec('proxy_protocol_timeout', STREAM_ALL, 'proxyProtocolTimeoutMs'),
    srv.custom('resolver', STREAM_ALL, Args.oneOrMore, (cf, raw): string | void => {
      if (raw.resolver !== undefined) return 'is duplicate';
      raw.resolver = readResolver(cf);
    }),
    srv.msec('resolver_timeout', STREAM_ALL, 'resolverTimeoutMs'),
    srv.custom('error_log', STREAM_ALL, Args.oneOrMore, (cf, raw) => {
      raw.errorLogs = [...(raw.errorLogs ?? []), readErrorLog(cf)];
    }),
  ],
  streamServer: streamPart<CoreRaw>({
    slot: streamCoreSlot,
    result: (raw, node): Partial<StreamServerConfig> => ({
      ...finishServerNames(node.slots.get(streamCoreSlot).names),
      core: {
        tcpNodelay: raw.tcpNodelay ?? true,
        prereadBufferSize: raw.prereadBufferSize ?? 16_384,
        prereadTimeoutMs: raw.prereadTimeoutMs ?? 30_000,
        proxyProtocolTimeoutMs: raw.proxyProtocolTimeoutMs ?? 30_000,
        resolver: finishResolver(raw.resolver),
        resolverTimeoutMs: raw.resolverTimeoutMs ?? 30_000,
        errorLog: raw.errorLogs === undefined ? null : raw.errorLogs.map(finishErrorLog),
      },
    }),
  }),
};
