/** `proxy_pass` and what proxied requests may be told. Rewriting of answers: `proxy-rewrites.ts`; TLS: `proxy-ssl.ts`. */
import { ConfigError, at } from '../../errors.ts';
import type { NextUpstream, Place, ProxyConfig } from '../../model.ts';
import { hasVariables } from '../../value.ts';
import { Args, Context, HTTP_ALL } from '../context.ts';
import { table } from '../directive.ts';
import type { Buffers } from '../directive.ts';
import { locationPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import { nodeSlot } from '../nodes.ts';
import type { LocationNode } from '../nodes.ts';
import type { Conf } from '../parser.ts';
import { useUpstream } from '../upstreams.ts';
import { checkValue } from '../variables.ts';
import { proxySlot } from './proxy-raw.ts';
import type { ProxyRaw } from './proxy-raw.ts';
import { rewriteDirectives } from './proxy-rewrites.ts';
import { checkBind } from './proxy-bind.ts';
import { finishProxySsl, proxySslDirectives } from './proxy-ssl.ts';

const loc = table<ProxyRaw>((cf) => cf.scope.loc.get(proxySlot));
const { location: LOCATION, ifInLocation: LIF, limitExcept: LMT } = Context;
const PAGE = 4096;

/** Whether a URI part has a place to be put: nginx must know which part of the request's URI it replaces. */
function hasPlainPath(node: LocationNode): boolean {
  return node.match.kind === 'prefix' || node.match.kind === 'exact';
}

function proxyPass(cf: Conf): string | void {
  const node = cf.scope.loc.get(nodeSlot);
  if (node.handler?.kind === 'proxy') return 'is duplicate';
  const target = cf.args[1] as string;
  if (node.match.kind === 'prefix') node.match.autoRedirect = node.name.endsWith('/');

  if (hasVariables(target)) {
    checkValue(cf, target);
    const pass = {
      scheme: 'http' as const,
      upstream: null,
      variableTarget: target,
      hostHeader: '',
      port: '',
      uri: null,
    };
    node.handler = { kind: 'proxy', pass };
    return;
  }

  const match = /^(https?):\/\//i.exec(target);
  if (match === null) throw cf.error('invalid URL prefix');
  const scheme = (match[1] as string).toLowerCase() as 'http' | 'https';
  const defaultPort = scheme === 'http' ? 80 : 443;
  const { upstream, url } = useUpstream(cf, target.slice(match[0].length), defaultPort);
  if (url.uri !== '' && !hasPlainPath(node)) {
    throw cf.error(
      '"proxy_pass" cannot have URI part in location given by regular expression, or inside named location, ' +
        'or inside "if" statement, or inside "limit_except" block',
    );
  }
  const plainPort = url.noPort || url.port === defaultPort;
  node.handler = {
    kind: 'proxy',
    pass: {
      scheme,
      upstream,
      variableTarget: null,
      hostHeader: url.kind === 'unix' ? 'localhost' : plainPort ? url.host : `${url.host}:${url.portText}`,
      port: url.kind === 'unix' ? '' : plainPort ? String(defaultPort) : url.portText,
      uri: url.uri === '' ? null : url.uri,
    },
  };
}

const NEXT_UPSTREAM = (
  'error timeout invalid_header non_idempotent http_500 http_502 http_503 http_504 http_403 http_404 http_429 ' +
  'updating off'
).split(' ');

const IGNORED_HEADERS = (
  'X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset Expires Cache-Control ' +
  'Set-Cookie Vary'
).split(' ');

function nextUpstream(words: readonly string[]): NextUpstream {
  const listed = words.includes('off') ? [] : words;
  return {
    error: listed.includes('error'),
    timeout: listed.includes('timeout'),
    invalidHeader: listed.includes('invalid_header'),
    nonIdempotent: listed.includes('non_idempotent'),
    statuses: listed
      .filter((word) => word.startsWith('http_'))
      .map((word) => Number(word.slice('http_'.length)))
      .sort((a, b) => a - b),
  };
}

/** What the buffers must be to each other. @throws {ConfigError} in nginx's words */
function bufferSizes(raw: ProxyRaw, place: Place) {
  const fail = (text: string) => new ConfigError(text, place, at(place));
  const bufferSize = raw.bufferSize ?? PAGE;
  const buffers: Buffers = raw.buffers ?? { count: 8, size: PAGE };
  const largest = Math.max(bufferSize, buffers.size);
  const maximum = 'the maximum of the value of "proxy_buffer_size" and one of the "proxy_buffers"';
  if (buffers.count < 2) throw fail('there must be at least 2 "proxy_buffers"');

  const busyBuffersSize = raw.busyBuffersSize ?? 2 * largest;
  if (busyBuffersSize < largest) {
    throw fail(`"proxy_busy_buffers_size" must be equal to or greater than ${maximum}`);
  }
  if (busyBuffersSize > (buffers.count - 1) * buffers.size) {
    throw fail('"proxy_busy_buffers_size" must be less than the size of all "proxy_buffers" minus one buffer');
  }
  const tempFileWriteSize = raw.tempFileWriteSize ?? 2 * largest;
  if (tempFileWriteSize < largest) {
    throw fail(`"proxy_temp_file_write_size" must be equal to or greater than ${maximum}`);
  }
  const maxTempFileSize = raw.maxTempFileSize ?? 1024 ** 3;
  if (maxTempFileSize !== 0 && maxTempFileSize < largest) {
    throw fail(
      '"proxy_max_temp_file_size" must be equal to zero to disable temporary files usage or must be equal to or ' +
        `greater than ${maximum}`,
    );
  }
  return { bufferSize, buffers, busyBuffersSize, tempFileWriteSize, maxTempFileSize };
}

export const proxyModule: ModuleDef = {
  name: 'proxy',
  directives: [
    loc.custom('proxy_pass', LOCATION | LIF | LMT, Args.one, proxyPass),
    loc.custom('proxy_bind', HTTP_ALL, Args.oneOrTwo, (cf, raw) => checkBind(cf, raw)),
    loc.custom('proxy_set_header', HTTP_ALL, Args.two, (cf, raw) => {
      const [, name = '', value = ''] = cf.args;
      raw.setHeaders = [...(raw.setHeaders ?? []), { name, value: checkValue(cf, value) }];
    }),
    loc.value('proxy_set_body', HTTP_ALL, 'setBody'),
    loc.value('proxy_method', HTTP_ALL, 'method'),
    loc.choice('proxy_http_version', HTTP_ALL, 'httpVersion', ['1.0', '1.1', '2']),
    loc.flag('proxy_pass_request_headers', HTTP_ALL, 'passRequestHeaders'),
    loc.flag('proxy_pass_request_body', HTTP_ALL, 'passRequestBody'),
    loc.flag('proxy_pass_trailers', HTTP_ALL, 'passTrailers'),
    loc.list('proxy_hide_header', HTTP_ALL, 'hideHeaders'),
    loc.list('proxy_pass_header', HTTP_ALL, 'passHeaders'),
    loc.words('proxy_ignore_headers', HTTP_ALL, Args.oneOrMore, 'ignoreHeaders', IGNORED_HEADERS),
    loc.msec('proxy_connect_timeout', HTTP_ALL, 'connectTimeoutMs'),
    loc.msec('proxy_send_timeout', HTTP_ALL, 'sendTimeoutMs'),
    loc.msec('proxy_read_timeout', HTTP_ALL, 'readTimeoutMs'),
    loc.flag('proxy_buffering', HTTP_ALL, 'buffering'),
    loc.flag('proxy_request_buffering', HTTP_ALL, 'requestBuffering'),
    loc.size('proxy_buffer_size', HTTP_ALL, 'bufferSize'),
    loc.buffers('proxy_buffers', HTTP_ALL, 'buffers'),
    loc.size('proxy_busy_buffers_size', HTTP_ALL, 'busyBuffersSize'),
    loc.size('proxy_max_temp_file_size', HTTP_ALL, 'maxTempFileSize'),
    loc.size('proxy_temp_file_write_size', HTTP_ALL, 'tempFileWriteSize'),
    loc.words('proxy_next_upstream', HTTP_ALL, Args.oneOrMore, 'nextUpstream', NEXT_UPSTREAM),
    loc.number('proxy_next_upstream_tries', HTTP_ALL, 'nextUpstreamTries'),
    loc.msec('proxy_next_upstream_timeout', HTTP_ALL, 'nextUpstreamTimeoutMs'),
    loc.flag('proxy_intercept_errors', HTTP_ALL, 'interceptErrors'),
    loc.flag('proxy_ignore_client_abort', HTTP_ALL, 'ignoreClientAbort'),
    loc.flag('proxy_force_ranges', HTTP_ALL, 'forceRanges'),
    loc.sizeValue('proxy_limit_rate', HTTP_ALL, 'limitRate'),
    loc.flag('proxy_socket_keepalive', HTTP_ALL, 'socketKeepalive'),
    loc.size('proxy_socket_rcvbuf', HTTP_ALL, 'socketRcvbuf'),
    loc.size('proxy_socket_sndbuf', HTTP_ALL, 'socketSndbuf'),
    ...rewriteDirectives,
    ...proxySslDirectives,
  ],
  location: locationPart<ProxyRaw>({
    slot: proxySlot,

    result(raw, node, build) {
      const proxy: ProxyConfig = {
        httpVersion: raw.httpVersion ?? '1.1',
        method: raw.method ?? null,
        setHeaders: raw.setHeaders ?? [],
        setBody: raw.setBody ?? null,
        passRequestHeaders: raw.passRequestHeaders ?? true,
        passRequestBody: raw.passRequestBody ?? true,
        hideHeaders: raw.hideHeaders ?? [],
        passHeaders: raw.passHeaders ?? [],
        ignoreHeaders: raw.ignoreHeaders ?? [],
        connectTimeoutMs: raw.connectTimeoutMs ?? 60_000,
        sendTimeoutMs: raw.sendTimeoutMs ?? 60_000,
        readTimeoutMs: raw.readTimeoutMs ?? 60_000,
        buffering: raw.buffering ?? true,
        requestBuffering: raw.requestBuffering ?? true,
        ...bufferSizes(raw, node.place),
        nextUpstream: nextUpstream(raw.nextUpstream ?? ['error', 'timeout']),
        nextUpstreamTries: raw.nextUpstreamTries ?? 0,
        nextUpstreamTimeoutMs: raw.nextUpstreamTimeoutMs ?? 0,
        interceptErrors: raw.interceptErrors ?? false,
        ignoreClientAbort: raw.ignoreClientAbort ?? false,
        forceRanges: raw.forceRanges ?? false,
        limitRate: raw.limitRate ?? '0',
        bind: raw.bind === undefined || raw.bind.address === null ? null : raw.bind,
        socketKeepalive: raw.socketKeepalive ?? false,
        redirects: raw.redirects ?? [{ kind: 'default' }],
        cookieDomains: raw.cookieDomains ?? [],
        cookiePaths: raw.cookiePaths ?? [],
        cookieFlags: raw.cookieFlags ?? [],
        ssl: finishProxySsl(raw, node, build),
      };
      if (raw.passTrailers !== undefined) proxy.passTrailers = raw.passTrailers;
      return { proxy };
    },
  }),
};
