/**
 * `listen`: reading one, and joining all into listening sockets once their names are resolved
 * (ngx_http_add_listen and what it calls).
 */
import { parseUrl, peerAddress } from '../address.ts';
import type { ParsedUrl } from '../address.ts';
import { ConfigError, at } from '../errors.ts';
import type { ListenConfig, PeerAddress, Place } from '../model.ts';
import { parseNumber, parseSize, parseTime } from '../units.ts';
import type { AddressBox, Cycle } from './cycle.ts';
import type { ServerBlock } from './nodes.ts';
import { isStream } from './context.ts';
import type { Conf } from './parser.ts';

export interface ListenOptions {
  udp: boolean;
  quic: boolean;
  tunnel: NonNullable<ListenConfig['tunnel']> | null;
  /** An option of the socket itself was written: only one `listen` of an address may. */
  set: boolean;
  defaultServer: boolean;
  ssl: boolean;
  http2: boolean;
  proxyProtocol: boolean;
  ipv6only: boolean;
  backlog: number;
  soKeepalive: { on: boolean; idleMs: number } | null;
  /** Bytes; 0: the system's. */
  rcvbuf: number;
  sndbuf: number;
}

export interface RawListen {
  place: Place;
  url: ParsedUrl;
  box: AddressBox;
  options: ListenOptions;
}

/** A listening socket and the servers on it, in order. */
export interface ListenSocket<S extends ServerBlock> {
  address: PeerAddress;
  options: ListenOptions;
  servers: S[];
  defaultServer: S;
}

const BACKLOG = 511;

const newOptions = (): ListenOptions => ({
  udp: false,
  quic: false,
  tunnel: null,
  set: false,
  defaultServer: false,
  ssl: false,
  http2: false,
  proxyProtocol: false,
  ipv6only: true,
  backlog: BACKLOG,
  soKeepalive: null,
  rcvbuf: 0,
  sndbuf: 0,
});

/** Reads the `listen` at hand. @throws {ConfigError} */
export function readListen(cf: Conf, server: ServerBlock): string | void {
  const text = cf.args[1] as string;
  const stream = isStream(cf.context);
  const parsed = parseUrl(text, stream ? { listen: true } : { listen: true, defaultPort: 80 });
  const failure = (error: string) => `${error} in "${text}" of the "listen" directive`;
  if (!parsed.ok) throw cf.error(failure(parsed.error));
  const { url } = parsed;
  if (url.noPort && stream) throw cf.error(failure('no port'));
  const box =
    url.address === null
      ? cf.resolveLater(url.host, url.port, failure)
      : { addresses: [peerAddress(url.kind, url.address, url.port)] };

  const options = newOptions();
  for (const arg of cf.args.slice(2)) {
    if (!stream || !readStreamOption(cf, options, arg)) readOption(cf, options, arg);
  }
  const unfit = options.udp ? unfitForUdp(cf, options) : null;
  if (unfit !== null) return `"${unfit}" parameter is incompatible with "udp"`;
  server.listens.push({ place: cf.blockPlace, url, box, options });
}

/** What `listen` takes in stream and not in http, and the reverse. */
function readStreamOption(cf: Conf, options: ListenOptions, arg: string): boolean {
  if (arg === 'http2' || arg === 'default') throw cf.error(`invalid parameter "${arg}"`);
  if (arg === 'udp') options.udp = true;
  else if (arg === 'quic') options.quic = options.udp = options.ssl = true;
  else if (arg === 'tunnel') options.tunnel = 'only';
  else if (arg === 'tunnel=also') options.tunnel = 'also';
  else return false;
  return true;
}

/** The first parameter of the statement at hand that datagrams have no use for. */
function unfitForUdp(cf: Conf, options: ListenOptions): string | null {
  const has = (name: string): boolean => cf.args.some((arg) => arg === name || arg.startsWith(`${name}=`));
  for (const name of ['fastopen', 'backlog', 'deferred', 'multipath']) if (has(name)) return name;
  if (options.ssl && !options.quic) return 'ssl';
  if (options.tunnel !== null && !options.quic) return 'tunnel';
  if (options.soKeepalive !== null) return 'so_keepalive';
  return options.proxyProtocol ? 'proxy_protocol' : null;
}

function readOption(cf: Conf, options: ListenOptions, arg: string): void {
  const [key = '', value] = arg.split(/=(.*)/s);
  const own = (good: boolean): void => {
    if (!good) throw cf.error(`invalid ${key} "${arg}"`);
    options.set = true;
  };
  switch (value === undefined ? key : `${key}=`) {
    case 'default_server':
    case 'default':
      options.defaultServer = true;
      return;
    case 'bind':
    case 'deferred':
    case 'reuseport':
    case 'multipath':
      options.set = true;
      return;
    case 'ssl':
      options.ssl = true;
      return;
    case 'http2':
      cf.warn('the "listen ... http2" directive is deprecated, use the "http2" directive instead');
      options.http2 = true;
      return;
    case 'quic':
      throw cf.error('the "quic" parameter requires ngx_http_v3_module');
    case 'proxy_protocol':
      options.proxyProtocol = true;
      return;
    case 'fastopen=':
      own(parseNumber(value as string) !== null);
      return;
    case 'backlog=': {
      const backlog = parseNumber(value as string);
      own(backlog !== null && backlog !== 0);
      options.backlog = backlog as number;
      return;
    }
    case 'rcvbuf=':
    case 'sndbuf=': {
      const size = parseSize(value as string);
      own(size !== null);
      options[key as 'rcvbuf' | 'sndbuf'] = size as number;
      return;
    }
    case 'accept_filter=':
      cf.warn(`accept filters "${arg}" are not supported on this platform, ignored`);
      return;
    case 'ipv6only=':
      if (!arg.startsWith('ipv6only=o')) break;
      if (value !== 'on' && value !== 'off') throw cf.error(`invalid ipv6only flags "${value}"`);
      options.ipv6only = value === 'on';
      options.set = true;
      return;
    case 'so_keepalive=':
      options.soKeepalive = soKeepalive(cf, value as string);
      options.set = true;
      return;
    default:
  }
  throw cf.error(`invalid parameter "${arg}"`);
}

function soKeepalive(cf: Conf, text: string): { on: boolean; idleMs: number } {
  if (text === 'on' || text === 'off') return { on: text === 'on', idleMs: 0 };
  const invalid = () => cf.error(`invalid so_keepalive value: "${text}"`);
  const [idle = '', interval = '', ...rest] = text.split(':');
  const count = rest.join(':');
  const idleSec = idle === '' ? 0 : parseTime(idle, 's');
  const intervalSec = interval === '' ? 0 : parseTime(interval, 's');
  const probes = count === '' ? 0 : parseNumber(count);
  if (idleSec === null || intervalSec === null || probes === null) throw invalid();
  if (idleSec === 0 && intervalSec === 0 && probes === 0) throw invalid();
  return { on: true, idleMs: idleSec * 1000 };
}

/** Bits of what a socket speaks; nginx warns when two `listen`s of one address disagree. */
function protocols(options: ListenOptions): number {
  const tunnel = options.tunnel === null ? 0 : options.tunnel === 'also' ? 8 : 16;
  return (options.proxyProtocol ? 1 : 0) | (options.ssl ? 2 : 0) | (options.http2 ? 4 : 0) | tunnel;
}

interface Joining<S extends ServerBlock> extends ListenSocket<S> {
  protocols: number;
  protocolsSet: boolean;
  protocolsChanged: boolean;
}

/**
 * Joins the `listen`s of all servers.
 *
 * @param servers in order of configuration
 * @throws {ConfigError} `a duplicate listen …`, `duplicate listen options for …`, `a duplicate default server for …`
 */
export function joinListens<S extends ServerBlock>(cycle: Cycle, servers: readonly S[]): ListenSocket<S>[] {
  const sockets = new Map<string, Joining<S>>();
  for (const server of servers) {
    if (server.listens.length === 0) {
      const port = cycle.options.superUser ? 80 : 8000;
      join(cycle, sockets, peerAddress('inet', '0.0.0.0', port), newOptions(), server, server.place);
    }
    for (const { url, box, options, place } of server.listens) {
      const seen = new Set<string>();
      for (let port = url.port; port <= Math.max(url.port, url.lastPort); port++) {
        for (const found of box.addresses) {
          const kind = found.family === 'unix' ? 'unix' : found.family === 6 ? 'inet6' : 'inet';
          const address = peerAddress(kind, found.host, port);
          if (seen.has(address.text)) continue;
          seen.add(address.text);
          join(cycle, sockets, address, { ...options }, server, place);
        }
      }
    }
  }
  return [...sockets.values()].map(({ address, options, servers: on, defaultServer }) => ({
    address,
    options,
    servers: on,
    defaultServer,
  }));
}

function join<S extends ServerBlock>(
  cycle: Cycle,
  sockets: Map<string, Joining<S>>,
  address: PeerAddress,
  options: ListenOptions,
  server: S,
  place: Place,
): void {
  const { text } = address;
  const key = options.udp ? `udp ${text}` : text;
  const known = sockets.get(key);
  if (known === undefined) {
    sockets.set(key, {
      address,
      options,
      servers: [server],
      defaultServer: server,
      protocols: 0,
      protocolsSet: false,
      protocolsChanged: false,
    });
    return;
  }

  const fail = (message: string) => new ConfigError(message, place, at(place));
  if (known.options.quic !== options.quic) throw fail(`"quic" and "udp" cannot both listen on ${text}`);
  if (known.servers.includes(server)) throw fail(`a duplicate listen ${text}`);
  known.servers.push(server);

  const before = known.options;
  const { defaultServer } = before;
  const mine = protocols(options);
  const theirs = protocols(before);
  if (options.set && before.set) throw fail(`duplicate listen options for ${text}`);
  if (options.defaultServer) {
    if (defaultServer) throw fail(`a duplicate default server for ${text}`);
    known.defaultServer = server;
  }

  if (redefinesProtocols(known, before.set, options.set, mine, theirs)) {
    cycle.warn(`protocol options redefined for ${text}`, place);
  }
  known.options = {
    ...(options.set ? options : before),
    set: before.set || options.set,
    defaultServer: defaultServer || options.defaultServer,
    ssl: before.ssl || options.ssl,
    http2: before.http2 || options.http2,
    proxyProtocol: before.proxyProtocol || options.proxyProtocol,
    tunnel: before.tunnel ?? options.tunnel,
  };
}

/** Whether nginx warns of this `listen`; keeps what it remembers of the protocols written so far. */
function redefinesProtocols(
  known: Joining<ServerBlock>,
  wasSet: boolean,
  isSet: boolean,
  mine: number,
  theirs: number,
): boolean {
  const firstDiffers = known.protocolsSet && mine !== known.protocols;
  const changed = known.protocolsChanged;
  known.protocolsSet = true;
  if ((mine | theirs) !== theirs) {
    // Options added.
    known.protocols = theirs;
    known.protocolsChanged = true;
    return (wasSet && !isSet) || changed || (mine | theirs) !== mine;
  }
  known.protocols = mine;
  if ((theirs | mine) !== mine) {
    // Options left out.
    known.protocolsChanged = true;
    return isSet || firstDiffers;
  }
  return (isSet && changed) || firstDiffers;
}

/** The model's form. @param indexOf index of a server among those of its protocol */
export function listenConfig<S extends ServerBlock>(
  socket: ListenSocket<S>,
  indexOf: (server: S) => number,
): ListenConfig {
  const { address, options } = socket;
  return {
    address: address.text,
    kind: options.udp ? 'udp' : address.family === 'unix' ? 'unix' : 'tcp',
    host: address.host,
    port: address.port,
    ipv6only: options.ipv6only,
    backlog: options.backlog,
    ssl: options.ssl,
    http2: options.http2,
    proxyProtocol: options.proxyProtocol,
    servers: socket.servers.map(indexOf),
    defaultServer: indexOf(socket.defaultServer),
    soKeepalive: options.soKeepalive,
    rcvbuf: options.rcvbuf,
    sndbuf: options.sndbuf,
    ...(options.quic ? { quic: true } : null),
    ...(options.tunnel === null ? null : { tunnel: options.tunnel }),
  };
}
