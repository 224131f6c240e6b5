/**
 * Groups of servers: those of `upstream` blocks and those that a literal `proxy_pass` host makes
 * (ngx_http_upstream_add).
 */
import { parseUrl, peerAddress } from '../address.ts';
import type { ParsedUrl } from '../address.ts';
import { ConfigError, at } from '../errors.ts';
import { DEFAULT_SERVER } from '../server-defaults.ts';
import type {
  BalancerConfig,
  PassScheme,
  Place,
  StickyConfig,
  UpstreamConfig,
  UpstreamServerConfig,
} from '../model.ts';
import type { AddressBox } from './cycle.ts';
import { isStream } from './context.ts';
import type { Build } from './module.ts';
import type { Conf } from './parser.ts';
import type { RawResolver } from './resolver.ts';
import { slot } from './scope.ts';
import { finishExtras } from './via.ts';
import type { RawVia, ViaDefaults } from './via.ts';

/** What a balancing method can do with; the flags of nginx that differ between methods. */
export interface Capabilities {
  backup: boolean;
  slowStart: boolean;
}

export interface RawUpstreamServer extends Omit<UpstreamServerConfig, 'addresses' | 'via'> {
  box: AddressBox;
  via?: RawVia;
}

export interface RawUpstream {
  name: string;
  place: Place;
  explicit: boolean;
  /** Port of the use that made it; 0 for explicit groups. */
  port: number;
  noPort: boolean;
  servers: RawUpstreamServer[];
  /** Host of an implicit group, to be resolved unless the group turns out to be explicit. */
  url: ParsedUrl | null;
  capabilities: Capabilities;
  balancer: BalancerConfig | null;
  /** A method or `sticky` was written: the next method warns. */
  methodSeen: boolean;
  leastTimeSeen: boolean;
  sticky: StickyConfig | null;
  zone: { name: string; size: number } | null;
  keepalive: { connections?: number; local?: boolean; requests?: number; timeMs?: number; timeoutMs?: number };
  resolver?: RawResolver;
  resolverTimeoutMs?: number;
  queue: UpstreamConfig['queue'];
  ntlm: boolean;
  stateFile: string | null;
  viaDefaults: ViaDefaults;
}

/** Upstreams of one protocol block; a slot of its main level. */
export const upstreamsSlot = slot<{ list: RawUpstream[] }>('upstreams', () => ({ list: [] }));

/** The group whose block is at hand. */
export const groupSlot = slot<{ group: RawUpstream | null }>('upstream', () => ({ group: null }));

export function groupOf(cf: Conf): RawUpstream {
  return cf.scope.srv.get(groupSlot).group as RawUpstream;
}

/** Eight pages: less cannot hold what nginx's allocator needs. */
export const MIN_ZONE_SIZE = 32768;

export interface RawPass {
  scheme: PassScheme;
  upstream: RawUpstream | null;
  variableTarget: string | null;
  hostHeader: string;
  port: string;
  uri: string | null;
}

function newUpstream(cf: Conf, name: string, explicit: boolean): RawUpstream {
  return {
    name,
    place: cf.blockPlace,
    explicit,
    port: 0,
    noPort: true,
    servers: [],
    url: null,
    capabilities: { backup: true, slowStart: true },
    balancer: null,
    methodSeen: false,
    leastTimeSeen: false,
    sticky: null,
    zone: null,
    keepalive: {},
    queue: null,
    ntlm: false,
    stateFile: null,
    viaDefaults: { ssl: {}, keys: [], heartbeat: null },
  };
}

/** Opens an `upstream` block. @throws {ConfigError} if there is one of that name, or a use that names a port */
export function createUpstream(cf: Conf, name: string): RawUpstream {
  const { list } = cf.scope.main.get(upstreamsSlot);
  for (const known of list) {
    if (known.name.toLowerCase() !== name.toLowerCase()) continue;
    if (known.explicit) throw cf.error(`duplicate upstream "${name}"`);
    if (!known.noPort) {
      const text = `upstream "${name}" may not have port ${known.port}`;
      throw new ConfigError(text, known.place, at(known.place));
    }
    // A use further up made it; from now on it is this block's.
    Object.assign(known, newUpstream(cf, known.name, true));
    return known;
  }
  const upstream = newUpstream(cf, name, true);
  list.push(upstream);
  return upstream;
}

/**
 * Finds the group of a literal address, or makes an implicit one.
 *
 * @param text address as written, without scheme
 * @param defaultPort 0 in stream, where a port must be written
 * @throws {ConfigError} `<error> in upstream "…"`, `upstream "…" may not have port N`
 */
export function useUpstream(cf: Conf, text: string, defaultPort: number): { upstream: RawUpstream; url: ParsedUrl } {
  const parsed = parseUrl(text, isStream(cf.context) ? {} : { defaultPort, uriPart: true });
  if (!parsed.ok) throw cf.error(`${parsed.error} in upstream "${text}"`);
  const { url } = parsed;
  const { list } = cf.scope.main.get(upstreamsSlot);
  for (const known of list) {
    if (known.name.toLowerCase() !== url.host.toLowerCase()) continue;
    if (known.explicit && !url.noPort) throw cf.error(`upstream "${url.host}" may not have port ${url.port}`);
    if (known.port !== 0 && url.port !== 0 && known.port !== url.port) continue;
    return { upstream: known, url };
  }

  const upstream = newUpstream(cf, url.host, false);
  upstream.port = url.port;
  upstream.noPort = url.noPort;
  upstream.url = url;
  list.push(upstream);
  return { upstream, url };
}

/** A server line with everything at its default. */
export function newServer(
  place: Place,
  server: string,
  host: string,
  port: number,
  box: AddressBox,
): RawUpstreamServer {
  return { place, server, host, port, box, ...DEFAULT_SERVER };
}

/** Gives an implicit group its one server line; its name is resolved like those of explicit ones. */
export function fillImplicit(
  upstream: RawUpstream,
  resolve: (host: string, port: number, failure: (error: string) => ConfigError) => AddressBox,
): void {
  const { url, place, name } = upstream;
  if (url === null || upstream.explicit || upstream.servers.length > 0) return;
  if (url.kind !== 'unix' && url.port === 0) throw new ConfigError(`no port in upstream "${name}"`, place, at(place));
  const box =
    url.address === null
      ? resolve(url.host, url.port, (error) => new ConfigError(`${error} in upstream "${name}"`, place, at(place)))
      : { addresses: [peerAddress(url.kind, url.address, url.port)] };
  const host = url.kind === 'unix' ? `unix:${url.host}` : url.host;
  upstream.servers.push(newServer(place, url.noPort ? host : `${host}:${url.portText}`, url.host, url.port, box));
}

/** nginx 1.29.7 and later keep connections in every explicit group. */
const KEEPALIVE = { connections: 32, local: true, requests: 1000, timeMs: 3_600_000, timeoutMs: 60_000 };

/** The model's form; resolvers are filled in by the caller, who knows those of `http`. */
export function upstreamConfig(
  raw: RawUpstream,
  resolver: UpstreamConfig['resolver'],
  resolverTimeoutMs: number,
  zoneSize: (name: string) => number,
  build: Build,
): UpstreamConfig {
  const { keepalive, zone } = raw;
  return {
    name: raw.name,
    place: raw.place,
    implicit: !raw.explicit,
    port: raw.port,
    balancer: raw.balancer ?? { kind: 'round_robin' },
    sticky: raw.sticky,
    zone: zone === null ? null : { name: zone.name, size: zoneSize(zone.name) },
    servers: raw.servers.map(({ box, via, heartbeat, ...server }) => ({
      ...server,
      ...finishExtras(raw, via, heartbeat, server, build),
      addresses: server.resolve && server.lookup === undefined ? [] : box.addresses,
    })),
    keepalive: raw.explicit
      ? { ...KEEPALIVE, ...(keepalive.connections === undefined ? {} : { local: false }), ...keepalive }
      : { ...KEEPALIVE, connections: 0 },
    resolver,
    resolverTimeoutMs,
    queue: raw.queue,
    ntlm: raw.ntlm,
    stateFile: raw.stateFile,
  };
}
