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
import type { ServerNode } from './nodes.ts';
import type { Conf } from './parser.ts';

export interface ListenOptions {
  /** An option of the socket itself was written: only one `listen` of an address may. */
  set: boolean;
  defaultServer: boolean;
  ssl: boolean;
  http2: boolean;
  proxyProtocol: boolean;
  ipv6only: boolean;
  backlog: number;
  soKeepalive: { on: boolean; idleMs: number } | null;
}

export interface RawListen {
  place: Place;
  server: ServerNode;
  url: ParsedUrl;
  box: AddressBox;
  options: ListenOptions;
}

/** A listening socket and the servers on it, in order. */
export interface ListenSocket {
  address: PeerAddress;
  options: ListenOptions;
  servers: ServerNode[];
  defaultServer: ServerNode;
}

const BACKLOG = 511;

const newOptions = (): ListenOptions => ({
  set: false,
  defaultServer: false,
  ssl: false,
  http2: false,
  proxyProtocol: false,
  ipv6only: true,
  backlog: BACKLOG,
  soKeepalive: null,
});

/** Reads the `listen` at hand. @throws {ConfigError} */
export function readListen(cf: Conf, server: ServerNode): string | void {
  const text = cf.args[1] as string;
  const parsed = parseUrl(text, { listen: true, defaultPort: 80 });
  const failure = (error: string) => `${error} in "${text}" of the "listen" directive`;
  if (!parsed.ok) throw cf.error(failure(parsed.error));
  const { url } = parsed;
  const box =
    url.address === null
      ? cf.resolveLater(url.host, url.port, failure)
      : { addresses: [peerAddress(url.kind, url.address, url.port)] };

  const options = newOptions();
  for (const arg of cf.args.slice(2)) readOption(cf, options, arg);
  server.listens.push({ place: cf.blockPlace, server, url, box, options });
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
    case 'sndbuf=':
      own(parseSize(value as string) !== null);
      return;
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
  return (options.proxyProtocol ? 1 : 0) | (options.ssl ? 2 : 0) | (options.http2 ? 4 : 0);
}

interface Joining extends ListenSocket {
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
export function joinListens(cycle: Cycle, servers: readonly ServerNode[]): ListenSocket[] {
  const sockets = new Map<string, Joining>();
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

function join(
  cycle: Cycle,
  sockets: Map<string, Joining>,
  address: PeerAddress,
  options: ListenOptions,
  server: ServerNode,
  place: Place,
): void {
  const { text } = address;
  const known = sockets.get(text);
  if (known === undefined) {
    sockets.set(text, {
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
  };
}

/** Whether nginx warns of this `listen`; keeps what it remembers of the protocols written so far. */
function redefinesProtocols(known: Joining, wasSet: boolean, isSet: boolean, mine: number, theirs: number): boolean {
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

/** The model's form. @param indexOf index of a server in `HttpConfig.servers` */
export function listenConfig(
  socket: ListenSocket,
  http2: boolean,
  indexOf: (server: ServerNode) => number,
): ListenConfig {
  const { address, options } = socket;
  return {
    address: address.text,
    kind: address.family === 'unix' ? 'unix' : 'tcp',
    host: address.host,
    port: address.port,
    ipv6only: options.ipv6only,
    backlog: options.backlog,
    ssl: options.ssl,
    http2: http2 || options.http2,
    proxyProtocol: options.proxyProtocol,
    servers: socket.servers.map(indexOf),
    defaultServer: indexOf(socket.defaultServer),
    soKeepalive: options.soKeepalive,
  };
}
