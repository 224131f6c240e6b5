/** `http2` and `http2_…`: HTTP/2 with clients. */
import { parseSize } from '../../units.ts';
import { Args, Context, HTTP_ALL, HTTP_SERVER } from '../context.ts';
import { directive, table } from '../directive.ts';
import type { Directive } from '../directive.ts';
import { locationPart, serverPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import { slot } from '../scope.ts';

interface Http2MainRaw {
  recvBufferSize?: number;
}
interface Http2ServerRaw {
  on?: boolean;
  poolSize?: number;
  maxConcurrentStreams?: number;
  bodyPrereadSize?: number;
  streamsIndexSize?: number;
}
interface Http2LocationRaw {
  chunkSize?: number;
}

const MAX_WINDOW = 0x7fffffff;
const MAX_FRAME = 0xffffff;

const mainSlot = slot<Http2MainRaw>('http2.main', () => ({}));
const serverSlot = slot<Http2ServerRaw>('http2.srv', () => ({}));
const locationSlot = slot<Http2LocationRaw>('http2.loc', () => ({}));
const main = table<Http2MainRaw>((cf) => cf.scope.main.get(mainSlot));
const srv = table<Http2ServerRaw>((cf) => cf.scope.srv.get(serverSlot));

/** A directive that newer versions have no use for. */
function obsolete(name: string, contexts: number, use?: string): Directive {
  return directive(name, contexts, Args.one, (cf) => {
    cf.warn(
      `the "${name}" directive is obsolete, ${use === undefined ? 'ignored' : `use the "${use}" directive instead`}`,
    );
  });
}

export const http2Module: ModuleDef = {
  name: 'http2',
  directives: [
    srv.flag('http2', HTTP_SERVER, 'on'),
    // Checked, then ignored: there is one area that all connections are read into, and nothing is pooled or indexed so.
    main.size('http2_recv_buffer_size', Context.http, 'recvBufferSize', (_cf, size) =>
      size <= 16 ? 'value is too small' : undefined,
    ),
    srv.size('http2_pool_size', HTTP_SERVER, 'poolSize', (cf, size) => {
      if (size < 96) throw cf.error('the pool size must be no less than 96');
      if (size % 16 !== 0) throw cf.error('the pool size must be a multiple of 16');
    }),
    srv.number('http2_streams_index_size', HTTP_SERVER, 'streamsIndexSize', (_cf, n) =>
      n === 0 || (n & (n - 1)) !== 0 ? 'must be a power of two' : undefined,
    ),
    srv.number('http2_max_concurrent_streams', HTTP_SERVER, 'maxConcurrentStreams'),
    srv.size('http2_body_preread_size', HTTP_SERVER, 'bodyPrereadSize', (cf, size) => {
      if (size > MAX_WINDOW) throw cf.error(`the maximum body preread buffer size is ${MAX_WINDOW}`);
    }),
    directive('http2_chunk_size', HTTP_ALL, Args.one, (cf): string | void => {
      const raw = cf.scope.loc.get(locationSlot);
      if (raw.chunkSize !== undefined) return 'is duplicate';
      const size = parseSize(cf.args[1] as string);
      if (size === null) return 'invalid value';
      if (size === 0) throw cf.error('the http2 chunk size cannot be zero');
      raw.chunkSize = Math.min(size, MAX_FRAME);
    }),
    obsolete('http2_max_concurrent_pushes', HTTP_SERVER),
    obsolete('http2_max_requests', HTTP_SERVER, 'keepalive_requests'),
    obsolete('http2_max_field_size', HTTP_SERVER, 'large_client_header_buffers'),
    obsolete('http2_max_header_size', HTTP_SERVER, 'large_client_header_buffers'),
    obsolete('http2_recv_timeout', HTTP_SERVER, 'client_header_timeout'),
    obsolete('http2_idle_timeout', HTTP_SERVER, 'keepalive_timeout'),
    obsolete('http2_push_preload', HTTP_ALL),
    obsolete('http2_push', HTTP_ALL),
  ],
  server: serverPart<Http2ServerRaw>({
    slot: serverSlot,
    result: (raw) => ({
      http2: {
        on: raw.on ?? false,
        maxConcurrentStreams: raw.maxConcurrentStreams ?? 128,
        bodyPrereadSize: raw.bodyPrereadSize ?? 65536,
      },
    }),
  }),
  location: locationPart<Http2LocationRaw>({
    slot: locationSlot,
    result: (raw) => ({ http2: { chunkSize: raw.chunkSize ?? 8192 } }),
  }),
};
