/** Where a configuration asks for health checks. */
import type { Config, HttpConfig, LocationConfig, ServerConfig, UpstreamConfig } from './model.ts';
import type { StreamConfig, StreamServerConfig } from './stream-model.ts';

/** A location with its checks, and the group that they check. */
export interface CheckedLocation {
  location: LocationConfig;
  server: ServerConfig;
  /** Index into `HttpConfig.upstreams`. */
  upstream: number;
}

/** All locations with `health_check`. */
export function checkedLocations(http: HttpConfig): CheckedLocation[] {
  const found: CheckedLocation[] = [];
  const walk = (location: LocationConfig, server: ServerConfig): void => {
    const { handler } = location;
    const upstream = 'pass' in handler ? handler.pass.upstream : null;
    if (location.healthChecks !== undefined && upstream !== null) found.push({ location, server, upstream });
    for (const child of location.locations) walk(child, server);
  };
  for (const server of http.servers) walk(server.root, server);
  return found;
}

/** A server of stream with its checks, and the group that they check. */
export interface CheckedServer {
  server: StreamServerConfig;
  /** Index into `StreamConfig.upstreams`. */
  upstream: number;
}

/** All servers of stream with `health_check`. */
export function checkedServers(stream: StreamConfig): CheckedServer[] {
  return stream.servers.flatMap((server) => {
    const { handler, healthChecks } = server;
    const upstream = handler.kind === 'proxy' ? handler.upstream : null;
    return healthChecks.length === 0 || upstream === null ? [] : [{ server, upstream }];
  });
}

export function hasHealthChecks({ http, stream }: Config): boolean {
  const beats = ({ upstreams }: { upstreams: UpstreamConfig[] }): boolean =>
    upstreams.some(({ servers }) => servers.some(({ heartbeat }) => heartbeat !== undefined));
  if (http !== null && (checkedLocations(http).length > 0 || beats(http))) return true;
  return stream !== null && (checkedServers(stream).length > 0 || beats(stream));
}

/** Groups with a mandatory check, by index: their new servers wait for their first passes. */
export interface MandatoryGroups {
  http: ReadonlySet<number>;
  stream: ReadonlySet<number>;
}

export function mandatoryGroups({ http, stream }: Config): MandatoryGroups {
  const locations = http === null ? [] : checkedLocations(http);
  const servers = stream === null ? [] : checkedServers(stream);
  const mandatory = (checks: readonly { mandatory: boolean }[]): boolean => checks.some((check) => check.mandatory);
  return {
    http: new Set(
      locations.filter(({ location }) => mandatory(location.healthChecks!)).map(({ upstream }) => upstream),
    ),
    stream: new Set(servers.filter(({ server }) => mandatory(server.healthChecks)).map(({ upstream }) => upstream)),
  };
}
