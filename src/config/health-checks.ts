/** Where a configuration asks for health checks. */
import type { HttpConfig, LocationConfig, ServerConfig } from './model.ts';

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
