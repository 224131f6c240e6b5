/** http core: settings of servers, and `server_name`. */
import { checkRegex } from '../variables.ts';
import type { ServerConfig, ServerNameConfig } from '../../model.ts';
import { Args, Context, HTTP_SERVER } from '../context.ts';
import { table } from '../directive.ts';
import type { Buffers } from '../directive.ts';
import { parseHostName } from '../hostnames.ts';
import { serverPart } from '../module.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';
import { hostname } from 'node:os';
import { encodeText } from '../../bytes.ts';

export interface ServerName {
  /** As written, in lower case unless it is a regular expression. */
  text: string;
  configs: ServerNameConfig[];
}

export interface ServerRaw {
  clientHeaderBufferSize?: number;
  largeClientHeaderBuffers?: Buffers;
  clientHeaderTimeoutMs?: number;
  maxHeaders?: number;
  ignoreInvalidHeaders?: boolean;
  underscoresInHeaders?: boolean;
  mergeSlashes?: boolean;
  http2?: boolean;
  names: ServerName[];
}

export const serverRawSlot = slot<ServerRaw>('http_core.srv', () => ({ names: [] }));
const srv = table<ServerRaw>((cf) => cf.scope.srv.get(serverRawSlot));

function serverName(cf: Conf, raw: ServerRaw): void {
  for (const arg of cf.args.slice(1)) {
    if ((arg.startsWith('*') && (arg.length < 3 || arg[1] !== '.')) || arg === '.') {
      throw cf.error(`server name "${arg}" is invalid`);
    }
    if (arg.includes('/')) cf.warn(`server name "${arg}" has suspicious symbols`);

    if (arg.startsWith('~')) {
      const pattern = arg.slice(1);
      if (pattern === '') throw cf.error(`empty regex in server name "${arg}"`);
      const regex = checkRegex(cf, pattern, /[A-Z]/.test(pattern));
      raw.names.push({ text: arg, configs: [{ kind: 'regex', regex }] });
      continue;
    }
    const text = (arg.toLowerCase() === '$hostname' ? encodeText(hostname()) : arg).toLowerCase();
    raw.names.push({ text, configs: nameConfigs(text) });
  }
}

/** What a name matches; a wildcard in the wrong place matches nothing and is told of when listens are checked. */
function nameConfigs(text: string): ServerNameConfig[] {
  const parsed = parseHostName(text);
  if (parsed === null) return [];
  return [
    ...(parsed.exact === null ? [] : [{ kind: 'exact' as const, name: parsed.exact }]),
    ...(parsed.wildcard === null ? [] : [parsed.wildcard]),
  ];
}

export const coreSrvDirectives = [
  srv.size('client_header_buffer_size', HTTP_SERVER, 'clientHeaderBufferSize'),
  srv.buffers('large_client_header_buffers', HTTP_SERVER, 'largeClientHeaderBuffers'),
  srv.msec('client_header_timeout', HTTP_SERVER, 'clientHeaderTimeoutMs'),
  srv.number('max_headers', HTTP_SERVER, 'maxHeaders'),
  srv.flag('ignore_invalid_headers', HTTP_SERVER, 'ignoreInvalidHeaders'),
  srv.flag('underscores_in_headers', HTTP_SERVER, 'underscoresInHeaders'),
  srv.flag('merge_slashes', HTTP_SERVER, 'mergeSlashes'),
  srv.flag('http2', HTTP_SERVER, 'http2'),
  srv.custom('server_name', Context.server, Args.oneOrMore, serverName),
];

export const coreServer = serverPart<ServerRaw>({
  slot: serverRawSlot,

  result(raw, server): Partial<ServerConfig> {
    const { names } = server.slots.get(serverRawSlot);
    const first = names[0]?.text ?? '';
    return {
      place: server.place,
      names: names.length === 0 ? [{ kind: 'exact', name: '' }] : names.flatMap((name) => name.configs),
      serverName: first.startsWith('.') ? first.slice(1) : first,
      clientHeaderBufferSize: raw.clientHeaderBufferSize ?? 1024,
      largeClientHeaderBuffers: raw.largeClientHeaderBuffers ?? { count: 4, size: 8192 },
      clientHeaderTimeoutMs: raw.clientHeaderTimeoutMs ?? 60_000,
      maxHeaders: raw.maxHeaders ?? 1000,
      ignoreInvalidHeaders: raw.ignoreInvalidHeaders ?? true,
      underscoresInHeaders: raw.underscoresInHeaders ?? false,
      mergeSlashes: raw.mergeSlashes ?? true,
      allowHttp09: false,
    };
  },
});
