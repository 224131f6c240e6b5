/**
 * What a single statement cannot see: things that must exist, must not exist twice, must go together.
 *
 * nginx checks these when everything is read; the texts and their order are its own.
 */
import { ConfigError, at } from '../errors.ts';
import { checkedLocations } from '../health-checks.ts';
import type { HttpConfig, ListenConfig, Place, UpstreamServerConfig } from '../model.ts';
import type { StreamConfig } from '../stream-model.ts';
import type { Cycle } from './cycle.ts';
import { HostNameSet, parseHostName } from './hostnames.ts';
import type { ListenSocket } from './listens.ts';
import { sslSlot } from './modules/ssl.ts';
import type { LocationNode, ServerBlock } from './nodes.ts';
import type { RawResolver } from './resolver.ts';
import type { ServerName } from './server-names.ts';
import type { Scope } from './scope.ts';
import type { RawUpstream } from './upstreams.ts';

const fault = (text: string, place: Place, suffix = at(place)): ConfigError => new ConfigError(text, place, suffix);

/** Two locations of one block with the same path, or the same name. @throws {ConfigError} of the later one */
export function checkLocations(node: LocationNode): void {
  const seen = new Set<string>();
  for (const child of node.locations) {
    const { match } = child;
    if (match.kind === 'exact' || match.kind === 'prefix') {
      const key = `${match.kind} ${match.path}`;
      if (seen.has(key)) throw fault(`duplicate location "${match.path}"`, child.place);
      seen.add(key);
    }
    checkLocations(child);
  }
}

/**
 * Servers, zones and resolvers of the groups.
 *
 * @param resolver that of `http` or `stream`
 * @throws {ConfigError} with the place of the block in its text
 */
export function checkUpstreams(upstreams: readonly RawUpstream[], resolver: RawResolver | undefined): void {
  for (const upstream of upstreams) {
    const { name, place, servers } = upstream;
    if (upstream.explicit && servers.some((server) => server.resolve && server.lookup === undefined)) {
      const where = `upstream "${name}"${at(place)}`;
      if (upstream.zone === null) {
        throw fault(`resolving names at run time requires ${where} to be in shared memory`, place, '');
      }
      if (upstream.resolver === undefined && resolver === undefined) {
        throw fault(`no resolver defined to resolve names at run time in ${where}`, place, '');
      }
    }
    if (servers.length > 0 && servers.every((server) => server.backup)) {
      throw fault(`no servers in upstream "${name}"`, place);
    }
  }
}

/** Groups of stream that a `proxy_pass` without port made. @throws {ConfigError} */
export function checkPorts(upstreams: readonly RawUpstream[]): void {
  for (const { explicit, noPort, url, name, place } of upstreams) {
    if (explicit || !noPort || url?.kind === 'unix') continue;
    throw fault(`no port in upstream "${name}"`, place);
  }
}

/** One address cannot serve both protocols: nginx would fail to bind it. @throws {ConfigError} */
export function checkApart(cycle: Cycle, http: readonly ListenConfig[], stream: readonly ListenConfig[]): void {
  const taken = new Set(http.map(({ address }) => address));
  const both = stream.find(({ address, kind }) => kind !== 'udp' && taken.has(address));
  if (both === undefined) return;
  const place = { file: cycle.options.file, line: 0 };
  throw new ConfigError(`both "http" and "stream" listen on "${both.address}"`, place, ` in ${cycle.options.file}`);
}

/** A zone's size must be given by one of those who share it. @throws {ConfigError} */
export function checkZones(cycle: Cycle): void {
  for (const { name, size } of cycle.zones.values()) {
    if (size === 0) throw new ConfigError(`zero size shared memory zone "${name}"`, null, '');
  }
}

/** TLS needs a certificate on every socket that speaks it. @throws {ConfigError} with the server's place */
export function checkCertificates(sockets: readonly ListenSocket<ServerBlock>[], block: Scope): void {
  const has = (server: ServerBlock): boolean =>
    (server.slots.get(sslSlot).certificates ?? block.srv.get(sslSlot).certificates) !== undefined;
  const rejects = (server: ServerBlock): boolean =>
    server.slots.get(sslSlot).rejectHandshake ?? block.srv.get(sslSlot).rejectHandshake ?? false;

  for (const { options, servers, defaultServer } of sockets) {
    if (!options.ssl || has(defaultServer)) continue;
    const lacking = rejects(defaultServer) ? servers.find((server) => !has(server) && !rejects(server)) : defaultServer;
    if (lacking !== undefined) {
      throw fault('no "ssl_certificate" is defined for the "listen ... ssl" directive', lacking.place);
    }
  }
}

/**
 * Names of the servers that share a socket. A name given twice is only warned of: the first server keeps it.
 *
 * @throws {ConfigError} for a wildcard in the wrong place
 */
export function checkServerNames<S extends ServerBlock>(
  cycle: Cycle,
  sockets: readonly ListenSocket<S>[],
  namesOf: (server: S) => readonly ServerName[],
): void {
  for (const { address, servers, defaultServer } of sockets) {
    // With one server nginx never looks at the names, unless that server captures from them.
    const captures = namesOf(defaultServer).some(
      ({ configs }) => configs[0]?.kind === 'regex' && /\((?!\?[:=!>#i-])/.test(configs[0].regex.pattern),
    );
    if (servers.length < 2 && !captures) continue;

    const known = new HostNameSet();
    for (const server of servers) {
      const names = namesOf(server);
      for (const { text, configs } of names.length === 0 ? [{ text: '', configs: [] }] : names) {
        if (configs[0]?.kind === 'regex') continue;
        const name = parseHostName(text);
        if (name === null) {
          throw fault(`invalid server name or wildcard "${text}" on ${address.text}`, server.place, '');
        }
        if (!known.add(name)) {
          cycle.warn(`conflicting server name "${text}" on ${address.text}, ignored`, server.place, 'warn', '');
        }
      }
    }
  }
}

/** Probes of gRPC make their own connections. @throws {ConfigError} where servers are reached another way */
export function checkGrpcProbes(http: HttpConfig): void {
  for (const { location, upstream } of checkedLocations(http)) {
    const check = location.healthChecks!.find(({ type }) => type === 'grpc');
    if (check === undefined) continue;
    const { name, servers } = http.upstreams[upstream]!;
    const other = servers.find(reachedOtherwise);
    if (other === undefined) continue;
    throw fault(`"type=grpc" cannot check "${other.server}" of upstream "${name}"`, check.place);
  }
}

function reachedOtherwise({ via }: UpstreamServerConfig): boolean {
  return via !== undefined && (via.transport !== 'tcp' || via.tunnel !== null);
}

/** Datagrams go to servers as they are. @throws {ConfigError} where they would have to go another way */
export function checkDatagrams({ listens, servers, upstreams }: StreamConfig): void {
  for (const { kind, quic, servers: on } of listens) {
    if (kind !== 'udp' || quic === true) continue;
    for (const index of on) {
      const { handler, place } = servers[index]!;
      if (handler.kind !== 'proxy' || handler.upstream === null) continue;
      const { name, servers: members } = upstreams[handler.upstream]!;
      const other = members.find(reachedOtherwise);
      if (other !== undefined) throw fault(`datagrams cannot go to "${other.server}" of upstream "${name}"`, place);
    }
  }
}

/** QUIC shows one certificate, whatever name it is asked for. @throws {ConfigError} where servers of an address have several */
export function checkQuicCertificates({ listens, servers }: StreamConfig): void {
  for (const { quic, address, servers: on } of listens) {
    if (quic !== true) continue;
    let first: string | null = null;
    for (const index of on) {
      const { ssl, place } = servers[index]!;
      const certificates = ssl?.certificates ?? [];
      if (certificates.length === 0) continue;
      const text = JSON.stringify(certificates.map(({ certificate }) => certificate));
      first ??= text;
      if (certificates.length === 1 && text === first) continue;
      throw fault(`QUIC on ${address} can show one certificate, and there are several`, place);
    }
    if (first === null) throw fault(`no "ssl_certificate" is defined for QUIC on ${address}`, servers[on[0]!]!.place);
  }
}

/** any-proxy's tunnels prove nothing: they are taken from addresses that are named. @throws {ConfigError} */
export function checkTunnels({ listens, servers }: StreamConfig): void {
  for (const { tunnel, address, defaultServer } of listens) {
    const server = servers[defaultServer]!;
    if (tunnel === undefined || server.tunnel.wire === 'headrace' || server.readHello !== undefined) continue;
    const text = `"tunnel_wire ${server.tunnel.wire}" on ${address} needs "hello_from": its tunnels know no keys`;
    throw fault(text, server.place);
  }
}

/** The first bytes are looked at before it is known which server a session belongs to. @throws {ConfigError} */
export function checkHello({ listens, servers }: StreamConfig): void {
  for (const { address, kind, quic, servers: on, defaultServer } of listens) {
    if ((kind === 'udp' && quic !== true) || servers[defaultServer]!.readHello !== undefined) continue;
    const late = on.find((index) => servers[index]!.readHello !== undefined);
    if (late === undefined) continue;
    throw fault(`"hello_from" has to be in the default server of ${address}, too`, servers[late]!.place);
  }
}
