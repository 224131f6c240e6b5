/** `upstream` blocks: servers, zone, keepalive, resolver, and what NGINX Plus adds. Methods: `upstream-methods.ts`. */
import type { DEFAULT_SERVER } from '../../server-defaults.ts';
import { parseUrl, peerAddress } from '../../address.ts';
import { decodeText, encodeText } from '../../bytes.ts';
import { parseNumber, parseSize, parseTime } from '../../units.ts';
import { Args, Context, UPSTREAM_BLOCK, isStream } from '../context.ts';
import { directive, table } from '../directive.ts';
import type { ModuleDef } from '../module.ts';
import type { Conf } from '../parser.ts';
import { readResolver } from '../resolver.ts';
import { Slots } from '../scope.ts';
import { MIN_ZONE_SIZE, createUpstream, groupOf, groupSlot, newServer } from '../upstreams.ts';
import type { RawUpstream, RawUpstreamServer } from '../upstreams.ts';
import { checkViaOptions, readViaOption, viaName } from '../via.ts';
import { methodDirectives } from './upstream-methods.ts';
import { stickyDirectives } from './upstream-sticky.ts';
import { viaDirectives } from './upstream-via.ts';

const MAX_ROUTE = 32;
const QUEUE_TIMEOUT_MS = 60_000;
const { http: HTTP, upstream: UPSTREAM } = Context;

function upstream(cf: Conf): void {
  const group = createUpstream(cf, cf.args[1] as string);
  const srv = new Slots([[groupSlot, { group }]]);
  const scope = { main: cf.scope.main, srv, loc: new Slots() };
  cf.block(isStream(cf.context) ? Context.streamUpstream : UPSTREAM, scope);
  if (group.servers.length === 0 && group.stateFile === null) throw cf.error('no servers are inside upstream');
  if (group.servers.length > 0 && group.stateFile !== null) {
    throw cf.error('"state" directive cannot be used together with "server" directives');
  }
  if (group.stateFile !== null) cf.linesOfFile(encodeText(group.stateFile), scope, stateLine);
}

/** The file of `state` holds servers and nothing else. */
function stateLine(cf: Conf): void {
  if (cf.args[0] !== 'server') throw cf.error(`unknown "${cf.args[0]}" in a state file, it must be "server"`);
  if (cf.args.length < 2) throw cf.error('invalid number of arguments in "server" directive');
  server(cf);
}

type ServerOptions = Pick<RawUpstreamServer, keyof typeof DEFAULT_SERVER | 'via' | 'heartbeat' | 'lookup'>;

function readServerOption(cf: Conf, group: RawUpstream, options: Partial<ServerOptions>, arg: string): void {
  const [key = '', value] = arg.split(/=(.*)/s);
  const invalid = () => cf.error(`invalid parameter "${arg}"`);
  const unable = () => cf.error(`balancing method does not support parameter "${arg}"`);
  const number = (least: number): number => {
    const parsed = parseNumber(value as string);
    if (parsed === null || parsed < least) throw invalid();
    return parsed;
  };
  switch (value === undefined ? key : `${key}=`) {
    case 'weight=':
      options.weight = number(1);
      return;
    case 'max_conns=':
      options.maxConns = number(0);
      return;
    case 'max_fails=':
      options.maxFails = number(0);
      return;
    case 'fail_timeout=': {
      const time = parseTime(value as string, 's');
      if (time === null) throw invalid();
      options.failTimeoutSec = time;
      return;
    }
    case 'slow_start=': {
      if (!group.capabilities.slowStart) throw unable();
      const time = parseTime(value as string, 'ms');
      if (time === null) throw invalid();
      options.slowStartMs = time;
      return;
    }
    case 'backup':
      if (!group.capabilities.backup) throw unable();
      options.backup = true;
      return;
    // `down` and `drain` are one setting: the last one counts.
    case 'down':
    case 'drain':
      options.down = key === 'down';
      options.drain = key === 'drain';
      return;
    case 'route=':
      if (value === '') throw cf.error('route is empty');
      if ((value as string).length > MAX_ROUTE) throw cf.error(`route is longer than ${MAX_ROUTE}`);
      options.route = value as string;
      return;
    case 'resolve':
      options.resolve = true;
      return;
    case 'service=':
      if (value === '') throw cf.error('service is empty');
      options.service = value as string;
      return;
    default:
      if (value !== undefined && readViaOption(cf, options, key, value)) return;
      throw invalid();
  }
}

function server(cf: Conf): void {
  const group = groupOf(cf);
  const text = cf.args[1] as string;
  const options: Partial<ServerOptions> = {};
  for (const arg of cf.args.slice(2)) readServerOption(cf, group, options, arg);

  const { service = null, resolve = false, lookup } = options;
  if (service !== null && !resolve) throw cf.error(`service upstream "${text}" requires "resolve" parameter`);
  const failure = (error: string) => `${error} in upstream "${text}"`;
  const stream = isStream(cf.context);
  const parsed = parseUrl(text, stream ? {} : { defaultPort: 80 });
  if (!parsed.ok) throw cf.error(failure(parsed.error));
  const { url } = parsed;
  if (stream && url.noPort && service === null) throw cf.error(`no port in upstream "${text}"`);
  if (service !== null && !url.noPort) throw cf.error(`service upstream "${text}" may not have port`);
  if (service !== null && url.address !== null) throw cf.error(`service upstream "${text}" requires domain name`);

  checkViaOptions(cf, options, group.stateFile !== null);
  if (lookup !== undefined && resolve) throw cf.error('"lookup" and "resolve" exclude each other');
  // With a literal address there is nothing to resolve at run time.
  const atRunTime = resolve && url.address === null;
  const box =
    url.address !== null
      ? { addresses: [peerAddress(url.kind, url.address, url.port)] }
      : atRunTime
        ? { addresses: [] }
        : cf.resolveLater(url.host, url.port, failure);
  const port = service !== null ? 0 : url.port;
  group.servers.push({
    ...newServer(cf.blockPlace, text, url.kind === 'inet6' ? (url.address as string) : url.host, port, box),
    ...options,
    server: viaName(options.via, text),
    resolve: atRunTime || (lookup !== undefined && url.address === null),
  });
}

function zone(cf: Conf): void {
  const [, name = '', sizeText] = cf.args;
  if (name === '') throw cf.error(`invalid zone name "${name}"`);
  let size = 0;
  if (sizeText !== undefined) {
    const parsed = parseSize(sizeText);
    if (parsed === null) throw cf.error(`invalid zone size "${sizeText}"`);
    if (parsed < MIN_ZONE_SIZE) throw cf.error(`zone "${name}" is too small`);
    size = parsed;
  }
  cf.addZone(name, size, isStream(cf.context) ? 'stream_upstream' : 'http_upstream');
  groupOf(cf).zone = { name, size };
}

function keepalive(cf: Conf): string | void {
  const { keepalive: raw } = groupOf(cf);
  if (raw.connections !== undefined) return 'is duplicate';
  const [, text = '', local] = cf.args;
  const connections = parseNumber(text);
  if (connections === null) throw cf.error(`invalid value "${text}" in "keepalive" directive`);
  raw.connections = connections;
  if (local === undefined) return;
  if (local !== 'local') throw cf.error(`invalid parameter "${local}"`);
  raw.local = true;
}

function queue(cf: Conf): string | void {
  const group = groupOf(cf);
  if (group.queue !== null) return 'is duplicate';
  const [, text = '', timeoutText] = cf.args;
  const size = parseNumber(text);
  if (!size) throw cf.error(`invalid value "${text}" in "queue" directive`);
  let timeoutMs = QUEUE_TIMEOUT_MS;
  if (timeoutText !== undefined) {
    const time = timeoutText.startsWith('timeout=') ? parseTime(timeoutText.slice(8), 'ms') : null;
    if (time === null) throw cf.error(`invalid parameter "${timeoutText}"`);
    timeoutMs = time;
  }
  group.queue = { size, timeoutMs };
}

const group = table<RawUpstream>(groupOf);
const kept = table<RawUpstream['keepalive']>((cf) => groupOf(cf).keepalive);

export const upstreamModule: ModuleDef = {
  name: 'upstream',
  directives: [
    directive('upstream', HTTP | Context.stream, Args.one, upstream, true),
    directive('server', UPSTREAM_BLOCK, Args.oneOrMore, server),
    directive('zone', UPSTREAM_BLOCK, Args.oneOrTwo, zone),
    directive('keepalive', UPSTREAM, Args.oneOrTwo, keepalive),
    kept.msec('keepalive_time', UPSTREAM, 'timeMs'),
    kept.msec('keepalive_timeout', UPSTREAM, 'timeoutMs'),
    kept.number('keepalive_requests', UPSTREAM, 'requests'),
    group.custom('resolver', UPSTREAM_BLOCK, Args.oneOrMore, (cf, raw): string | void => {
      if (raw.resolver !== undefined) return 'is duplicate';
      raw.resolver = readResolver(cf);
    }),
    group.msec('resolver_timeout', UPSTREAM_BLOCK, 'resolverTimeoutMs'),
    // NGINX Plus
    directive('queue', UPSTREAM, Args.oneOrTwo, queue),
    group.custom('ntlm', UPSTREAM, Args.none, (_cf, raw): string | void => {
      if (raw.ntlm) return 'is duplicate';
      raw.ntlm = true;
    }),
    group.custom('state', UPSTREAM, Args.one, (cf, raw): string | void => {
      if (raw.stateFile !== null) return 'is duplicate';
      raw.stateFile = decodeText(cf.cycle.fullName(cf.args[1] as string));
    }),
    ...viaDirectives,
    ...methodDirectives,
    ...stickyDirectives,
  ],
};
