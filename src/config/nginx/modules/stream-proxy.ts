/** stream: `proxy_pass` and `proxy_*`. */
import { hasVariables } from '../../value.ts';
import type { StreamProxyConfig } from '../../stream-model.ts';
import { Args, Context, STREAM_ALL } from '../context.ts';
import { directive, table } from '../directive.ts';
import { inherit, slot } from '../scope.ts';
import { streamPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import { streamServerSlot } from '../nodes.ts';
import type { Conf } from '../parser.ts';
import { useUpstream } from '../upstreams.ts';
import { checkValue } from '../variables.ts';
import { checkBind } from './proxy-bind.ts';
import type { SendHelloRaw } from './stream-hello.ts';
import { proxySlot } from './proxy-raw.ts';
import type { ProxyRaw } from './proxy-raw.ts';
import { finishUpstreamSsl } from './upstream-ssl.ts';

interface StreamProxyRaw extends SendHelloRaw {
  connectTimeoutMs?: number;
  timeoutMs?: number;
  bufferSize?: number;
  uploadRate?: string;
  downloadRate?: string;
  requests?: number;
  responses?: number;
  nextUpstream?: boolean;
  nextUpstreamTries?: number;
  nextUpstreamTimeoutMs?: number;
  proxyProtocol?: 0 | 1 | 2;
  halfClose?: boolean;
  sessionDrop?: boolean;
  /** `address: null`: `off`. */
  bind?: { address: string | null; transparent: boolean };
  socketKeepalive?: boolean;
  socketRcvbuf?: number;
  socketSndbuf?: number;
  ssl?: boolean;
  alpn?: string[];
  /** What `proxy_ssl_*` said, which http has too. */
  sslRaw?: ProxyRaw;
}

const streamProxySlot = slot<StreamProxyRaw>('stream_proxy', () => ({}));
const srv = table<StreamProxyRaw>((cf) => cf.scope.srv.get(streamProxySlot));

function proxyPass(cf: Conf): string | void {
  const server = cf.scope.srv.get(streamServerSlot);
  if (server.handler.kind === 'proxy') return 'is duplicate';
  const text = checkValue(cf, cf.args[1] as string);
  server.handler = hasVariables(text)
    ? { kind: 'proxy', upstream: null, variableTarget: text }
    : { kind: 'proxy', upstream: useUpstream(cf, text, 0).upstream, variableTarget: null };
}

function proxyProtocol(cf: Conf, raw: StreamProxyRaw): string | void {
  if (raw.proxyProtocol !== undefined) return 'is duplicate';
  const text = cf.args[1] as string;
  if (text === 'v2') raw.proxyProtocol = 2;
  else if (text === 'on' || text === 'off') raw.proxyProtocol = text === 'on' ? 1 : 0;
  else throw cf.error(`invalid value "${text}"`);
}

function alpn(cf: Conf, raw: StreamProxyRaw): string | void {
  if (raw.alpn !== undefined) return 'is duplicate';
  raw.alpn = cf.args.slice(1).map((name) => checkValue(cf, name));
  if (raw.alpn.some((name) => !hasVariables(name) && name.length > 255)) return 'protocol too long';
}

export const streamProxyModule: ModuleDef = {
  name: 'stream_proxy',
  directives: [
    directive('proxy_pass', Context.streamServer, Args.one, proxyPass),
    srv.custom('proxy_bind', STREAM_ALL, Args.oneOrTwo, (cf, raw) => checkBind(cf, raw)),
    srv.msec('proxy_connect_timeout', STREAM_ALL, 'connectTimeoutMs'),
    srv.msec('proxy_timeout', STREAM_ALL, 'timeoutMs'),
    srv.size('proxy_buffer_size', STREAM_ALL, 'bufferSize'),
    srv.sizeValue('proxy_upload_rate', STREAM_ALL, 'uploadRate'),
    srv.sizeValue('proxy_download_rate', STREAM_ALL, 'downloadRate'),
    srv.number('proxy_requests', STREAM_ALL, 'requests'),
    srv.number('proxy_responses', STREAM_ALL, 'responses'),
    srv.flag('proxy_next_upstream', STREAM_ALL, 'nextUpstream'),
    srv.number('proxy_next_upstream_tries', STREAM_ALL, 'nextUpstreamTries'),
    srv.msec('proxy_next_upstream_timeout', STREAM_ALL, 'nextUpstreamTimeoutMs'),
    srv.custom('proxy_protocol', STREAM_ALL, Args.one, proxyProtocol),
    srv.flag('proxy_hello', STREAM_ALL, 'hello'),
    srv.choice('proxy_hello_magic', STREAM_ALL, 'helloMagic', ['2023-12', '2024-08']),
    srv.value('proxy_hello_domain', STREAM_ALL, 'helloDomain'),
    srv.flag('proxy_half_close', STREAM_ALL, 'halfClose'),
    srv.flag('proxy_session_drop', STREAM_ALL, 'sessionDrop'),
    srv.flag('proxy_socket_keepalive', STREAM_ALL, 'socketKeepalive'),
    srv.size('proxy_socket_rcvbuf', STREAM_ALL, 'socketRcvbuf'),
    srv.size('proxy_socket_sndbuf', STREAM_ALL, 'socketSndbuf'),
    srv.flag('proxy_ssl', STREAM_ALL, 'ssl'),
    srv.custom('proxy_ssl_alpn', STREAM_ALL, Args.oneOrMore, alpn),
  ],
  streamServer: streamPart<StreamProxyRaw>({
    slot: streamProxySlot,

    merge(parent, child, server, build) {
      const level = parent === null ? build.block.srv : server.slots;
      return inherit(parent, { ...child, sslRaw: inherit(parent?.sslRaw ?? null, level.get(proxySlot)) });
    },

    result(raw, server, build) {
      const proxy: StreamProxyConfig = {
        connectTimeoutMs: raw.connectTimeoutMs ?? 60_000,
        timeoutMs: raw.timeoutMs ?? 600_000,
        bufferSize: raw.bufferSize ?? 16_384,
        uploadRate: raw.uploadRate ?? '0',
        downloadRate: raw.downloadRate ?? '0',
        requests: raw.requests ?? 0,
        responses: raw.responses ?? null,
        nextUpstream: raw.nextUpstream ?? true,
        nextUpstreamTries: raw.nextUpstreamTries ?? 0,
        nextUpstreamTimeoutMs: raw.nextUpstreamTimeoutMs ?? 0,
        proxyProtocol: raw.proxyProtocol ?? 0,
        hello: { on: raw.hello ?? false, magic: raw.helloMagic ?? '2024-08', domain: raw.helloDomain ?? null },
        halfClose: raw.halfClose ?? false,
        sessionDrop: raw.sessionDrop ?? false,
        bind: raw.bind === undefined || raw.bind.address === null ? null : (raw.bind as StreamProxyConfig['bind']),
        socketKeepalive: raw.socketKeepalive ?? false,
        socketRcvbuf: raw.socketRcvbuf ?? 0,
        socketSndbuf: raw.socketSndbuf ?? 0,
        ssl: raw.ssl === true ? finishUpstreamSsl(raw.sslRaw ?? {}, 'proxy_', true, server.place, build) : null,
        alpn: raw.alpn ?? [],
      };
      return { proxy };
    },
  }),
};
