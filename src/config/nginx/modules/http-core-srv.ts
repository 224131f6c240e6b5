/** http core: settings of servers, and `server_name`. */
import type { ServerConfig } from '../../model.ts';
import { Args, Context, HTTP_SERVER } from '../context.ts';
import { table } from '../directive.ts';
import type { Buffers } from '../directive.ts';
import { serverPart } from '../module.ts';
import { finishServerNames, readServerNames } from '../server-names.ts';
import type { ServerName } from '../server-names.ts';
import { slot } from '../scope.ts';

export interface ServerRaw {
  clientHeaderBufferSize?: number;
  largeClientHeaderBuffers?: Buffers;
  clientHeaderTimeoutMs?: number;
  maxHeaders?: number;
  ignoreInvalidHeaders?: boolean;
  underscoresInHeaders?: boolean;
  mergeSlashes?: boolean;
  /** Set by tunnel_pass. */
  allowConnect?: boolean;
  names: ServerName[];
}

export const serverRawSlot = slot<ServerRaw>('http_core.srv', () => ({ names: [] }));
const srv = table<ServerRaw>((cf) => cf.scope.srv.get(serverRawSlot));

export const coreSrvDirectives = [
  srv.size('client_header_buffer_size', HTTP_SERVER, 'clientHeaderBufferSize'),
  srv.buffers('large_client_header_buffers', HTTP_SERVER, 'largeClientHeaderBuffers'),
  srv.msec('client_header_timeout', HTTP_SERVER, 'clientHeaderTimeoutMs'),
  srv.number('max_headers', HTTP_SERVER, 'maxHeaders'),
  srv.flag('ignore_invalid_headers', HTTP_SERVER, 'ignoreInvalidHeaders'),
  srv.flag('underscores_in_headers', HTTP_SERVER, 'underscoresInHeaders'),
  srv.flag('merge_slashes', HTTP_SERVER, 'mergeSlashes'),
  srv.custom('server_name', Context.server, Args.oneOrMore, (cf, raw) => readServerNames(cf, raw.names)),
];

export const coreServer = serverPart<ServerRaw>({
  slot: serverRawSlot,

  result(raw, server): Partial<ServerConfig> {
    const { names } = server.slots.get(serverRawSlot);
    return {
      place: server.place,
      ...finishServerNames(names),
      clientHeaderBufferSize: raw.clientHeaderBufferSize ?? 1024,
      largeClientHeaderBuffers: raw.largeClientHeaderBuffers ?? { count: 4, size: 8192 },
      clientHeaderTimeoutMs: raw.clientHeaderTimeoutMs ?? 60_000,
      maxHeaders: raw.maxHeaders ?? 1000,
      ignoreInvalidHeaders: raw.ignoreInvalidHeaders ?? true,
      underscoresInHeaders: raw.underscoresInHeaders ?? false,
      mergeSlashes: raw.mergeSlashes ?? true,
      allowHttp09: false,
      ...(raw.allowConnect === true ? { allowConnect: true } : null),
    };
  },
});
