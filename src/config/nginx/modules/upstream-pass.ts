/**
 * What all modules have in common that pass requests to upstreams: one table of directives for each family, and the
 * settings they come to. `proxy_`, `fastcgi_`, `scgi_`, `uwsgi_` and `memcached_` differ by the prefix and a few words.
 */
import { ConfigError, at } from '../../errors.ts';
import type { NextUpstream, PassKind, PassScheme, Place, UpstreamSettings } from '../../model.ts';
import { hasVariables } from '../../value.ts';
import { Args, HTTP_ALL } from '../context.ts';
import { table } from '../directive.ts';
import type { Buffers, Directive } from '../directive.ts';
import type { Build } from '../module.ts';
import { nodeSlot } from '../nodes.ts';
import type { LocationNode } from '../nodes.ts';
import type { Conf } from '../parser.ts';
import { useUpstream } from '../upstreams.ts';
import { checkValue } from '../variables.ts';
import { checkBind } from './proxy-bind.ts';
import type { BindRaw } from './proxy-bind.ts';
import { cacheDirectives, finishCache, finishTempPath } from './cache.ts';
import type { CacheRaw } from './cache.ts';
import { cachePath } from './cache-path.ts';

const PAGE = 4096;

/** What these directives of one block said. */
export interface PassRaw
  extends BindRaw, Partial<Omit<UpstreamSettings, 'nextUpstream' | 'bind' | 'buffers' | keyof CacheRaw>>, CacheRaw {
  buffers?: Buffers;
  nextUpstream?: string[];
  socketRcvbuf?: number;
  socketSndbuf?: number;
}

type Pick = (cf: Conf) => PassRaw;

/** What `…_next_upstream` takes; HTTP servers also have `http_502` and `http_504`. */
export const NEXT_UPSTREAM: readonly string[] =
  'error timeout invalid_header non_idempotent http_500 http_503 http_403 http_404 http_429 updating off'.split(' ');

/** What `…_cache_use_stale` takes besides `updating` and `off`; HTTP servers also have `http_502` and `http_504`. */
export const USE_STALE: readonly string[] =
  'error timeout invalid_header http_500 http_503 http_403 http_404 http_429'.split(' ');

const IGNORED_HEADERS = (
  'X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset Expires Cache-Control ' +
  'Set-Cookie Vary'
).split(' ');

/** How a server is reached and when another one is tried: what every family has. @param prefix `proxy_` */
export function peerDirectives(prefix: string, pick: Pick, nextUpstream: readonly string[]): Directive[] {
  const loc = table<PassRaw>(pick);
  return [
    loc.custom(`${prefix}bind`, HTTP_ALL, Args.oneOrTwo, (cf, raw) => checkBind(cf, raw)),
    loc.flag(`${prefix}socket_keepalive`, HTTP_ALL, 'socketKeepalive'),
    loc.msec(`${prefix}connect_timeout`, HTTP_ALL, 'connectTimeoutMs'),
    loc.msec(`${prefix}send_timeout`, HTTP_ALL, 'sendTimeoutMs'),
    loc.msec(`${prefix}read_timeout`, HTTP_ALL, 'readTimeoutMs'),
    loc.size(`${prefix}buffer_size`, HTTP_ALL, 'bufferSize'),
    loc.words(`${prefix}next_upstream`, HTTP_ALL, Args.oneOrMore, 'nextUpstream', nextUpstream),
    loc.number(`${prefix}next_upstream_tries`, HTTP_ALL, 'nextUpstreamTries'),
    loc.msec(`${prefix}next_upstream_timeout`, HTTP_ALL, 'nextUpstreamTimeoutMs'),
  ];
}

/** How requests and answers pass: what every family has whose answers have fields of their own. */
export function relayDirectives(prefix: string, pick: Pick, useStale: readonly string[] = USE_STALE): Directive[] {
  const loc = table<PassRaw>(pick);
  return [
    loc.size(`${prefix}socket_rcvbuf`, HTTP_ALL, 'socketRcvbuf'),
    loc.size(`${prefix}socket_sndbuf`, HTTP_ALL, 'socketSndbuf'),
    loc.flag(`${prefix}pass_request_headers`, HTTP_ALL, 'passRequestHeaders'),
    loc.flag(`${prefix}pass_request_body`, HTTP_ALL, 'passRequestBody'),
    loc.list(`${prefix}hide_header`, HTTP_ALL, 'hideHeaders'),
    loc.list(`${prefix}pass_header`, HTTP_ALL, 'passHeaders'),
    loc.words(`${prefix}ignore_headers`, HTTP_ALL, Args.oneOrMore, 'ignoreHeaders', IGNORED_HEADERS),
    loc.flag(`${prefix}buffering`, HTTP_ALL, 'buffering'),
    loc.flag(`${prefix}request_buffering`, HTTP_ALL, 'requestBuffering'),
    loc.buffers(`${prefix}buffers`, HTTP_ALL, 'buffers'),
    loc.size(`${prefix}busy_buffers_size`, HTTP_ALL, 'busyBuffersSize'),
    loc.size(`${prefix}max_temp_file_size`, HTTP_ALL, 'maxTempFileSize'),
    loc.size(`${prefix}temp_file_write_size`, HTTP_ALL, 'tempFileWriteSize'),
    loc.flag(`${prefix}intercept_errors`, HTTP_ALL, 'interceptErrors'),
    loc.flag(`${prefix}ignore_client_abort`, HTTP_ALL, 'ignoreClientAbort'),
    loc.flag(`${prefix}force_ranges`, HTTP_ALL, 'forceRanges'),
    loc.sizeValue(`${prefix}limit_rate`, HTTP_ALL, 'limitRate'),
    ...cacheDirectives(prefix, pick, useStale),
    cachePath(prefix.slice(0, -1)),
  ];
}

function nextUpstreamOf(words: readonly string[]): NextUpstream {
  const listed = words.includes('off') ? [] : words;
  const statuses = listed.filter((word) => word.startsWith('http_')).map((word) => Number(word.slice('http_'.length)));
  // memcached's words.
  if (listed.includes('not_found')) statuses.push(404);
  return {
    error: listed.includes('error'),
    timeout: listed.includes('timeout'),
    invalidHeader: listed.includes('invalid_header') || listed.includes('invalid_response'),
    nonIdempotent: listed.includes('non_idempotent'),
    statuses: statuses.sort((a, b) => a - b),
  };
}

/** What the buffers must be to each other. @throws {ConfigError} in nginx's words */
function bufferSizes(raw: PassRaw, prefix: string, place: Place) {
  const fail = (text: string) => new ConfigError(text, place, at(place));
  const bufferSize = raw.bufferSize ?? PAGE;
  const buffers: Buffers = raw.buffers ?? { count: 8, size: PAGE };
  const largest = Math.max(bufferSize, buffers.size);
  const maximum = `the maximum of the value of "${prefix}buffer_size" and one of the "${prefix}buffers"`;
  if (buffers.count < 2) throw fail(`there must be at least 2 "${prefix}buffers"`);

  const busyBuffersSize = raw.busyBuffersSize ?? 2 * largest;
  if (busyBuffersSize < largest) {
    throw fail(`"${prefix}busy_buffers_size" must be equal to or greater than ${maximum}`);
  }
  if (busyBuffersSize > (buffers.count - 1) * buffers.size) {
    throw fail(`"${prefix}busy_buffers_size" must be less than the size of all "${prefix}buffers" minus one buffer`);
  }
  const tempFileWriteSize = raw.tempFileWriteSize ?? 2 * largest;
  if (tempFileWriteSize < largest) {
    throw fail(`"${prefix}temp_file_write_size" must be equal to or greater than ${maximum}`);
  }
  const maxTempFileSize = raw.maxTempFileSize ?? 1024 ** 3;
  if (maxTempFileSize !== 0 && maxTempFileSize < largest) {
    throw fail(
      `"${prefix}max_temp_file_size" must be equal to zero to disable temporary files usage or must be equal to or ` +
        `greater than ${maximum}`,
    );
  }
  return { bufferSize, buffers, busyBuffersSize, tempFileWriteSize, maxTempFileSize };
}

/** Settings from what a block and those around it said. @throws {ConfigError} for buffers that do not fit together */
export function passSettings(raw: PassRaw, prefix: string, node: LocationNode, build: Build): UpstreamSettings {
  const module = prefix.slice(0, -1);
  const settings: UpstreamSettings = {
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
    ...bufferSizes(raw, prefix, node.place),
    tempPath: finishTempPath(module, raw, build),
    cache: finishCache(module, raw, node, build),
    store: raw.store ?? null,
    storeAccess: raw.storeAccess ?? 0o600,
    nextUpstream: nextUpstreamOf(raw.nextUpstream ?? ['error', 'timeout']),
    nextUpstreamTries: raw.nextUpstreamTries ?? 0,
    nextUpstreamTimeoutMs: raw.nextUpstreamTimeoutMs ?? 0,
    interceptErrors: raw.interceptErrors ?? false,
    ignoreClientAbort: raw.ignoreClientAbort ?? false,
    forceRanges: raw.forceRanges ?? false,
    limitRate: raw.limitRate ?? '0',
    bind: raw.bind === undefined || raw.bind.address === null ? null : raw.bind,
    socketKeepalive: raw.socketKeepalive ?? false,
  };
  if (raw.passTrailers !== undefined) settings.passTrailers = raw.passTrailers;
  return settings;
}

/**
 * The setter of `fastcgi_pass` and those like it: an address or a group's name, without URI.
 *
 * @param schemes what may stand before it, as `name://`; the first one is meant when nothing does
 * @param fallback what is meant when nothing is written
 */
export function passSetter(kind: PassKind, schemes: readonly [PassScheme, ...PassScheme[]], fallback = '') {
  return (cf: Conf): string | void => {
    const node = cf.scope.loc.get(nodeSlot);
    if (node.handler?.kind === kind) return 'is duplicate';
    const text = cf.args[1] ?? fallback;
    if (node.match.kind === 'prefix') node.match.autoRedirect = node.name.endsWith('/');

    if (hasVariables(text)) {
      checkValue(cf, text);
      const pass = { scheme: schemes[0], upstream: null, variableTarget: text, hostHeader: '', port: '', uri: null };
      node.handler = { kind, pass };
      return;
    }
    const written = schemes.find((scheme) => text.toLowerCase().startsWith(`${scheme}://`));
    const { upstream, url } = useUpstream(cf, written === undefined ? text : text.slice(written.length + 3), 0);
    const pass = { variableTarget: null, hostHeader: url.host, port: url.noPort ? '' : url.portText, uri: null };
    node.handler = { kind, pass: { ...pass, scheme: written ?? schemes[0], upstream } };
  };
}
