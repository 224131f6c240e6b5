/** All modules. To add one: a file in `modules/` and a line here. */
import type { Directive, Registry } from './directive.ts';
import type { ModuleDef } from './module.ts';
import { accepted } from './modules/accepted.ts';
import { accessModule } from './modules/access.ts';
import { authBasicModule } from './modules/auth-basic.ts';
import { adminModule } from './modules/admin.ts';
import { charsetModule } from './modules/charset.ts';
import { fastcgiModule, scgiModule, uwsgiModule } from './modules/cgi.ts';
import { apiModule } from './modules/api.ts';
import { core } from './modules/core.ts';
import { geoModule } from './modules/geo.ts';
import { gzipModule } from './modules/gzip.ts';
import { headersModule } from './modules/headers.ts';
import { grpcModule } from './modules/grpc.ts';
import { healthCheckModule } from './modules/health-check.ts';
import { http2Module } from './modules/http2.ts';
import { httpCore } from './modules/http-core.ts';
import { keyvalModule } from './modules/keyval.ts';
import { limitConnModule } from './modules/limit-conn.ts';
import { limitReqModule } from './modules/limit-req.ts';
import { logModule } from './modules/log.ts';
import { mapModule } from './modules/map.ts';
import { additionModule } from './modules/addition.ts';
import { authRequestModule } from './modules/auth-request.ts';
import { subFilterModule } from './modules/sub-filter.ts';
import { mirrorModule } from './modules/mirror.ts';
import { memcachedModule } from './modules/memcached.ts';
import { proxyModule } from './modules/proxy.ts';
import { realipModule } from './modules/realip.ts';
import { refererModule } from './modules/referer.ts';
import { rewriteModule } from './modules/rewrite.ts';
import { sliceModule } from './modules/slice.ts';
import { splitClientsModule } from './modules/split-clients.ts';
import { ssiModule } from './modules/ssi.ts';
import { sslModule } from './modules/ssl.ts';
import { streamCore } from './modules/stream-core.ts';
import { streamHelloModule } from './modules/stream-hello.ts';
import { streamHandlers } from './modules/stream-handlers.ts';
import { streamHealthCheckModule } from './modules/stream-health-check.ts';
import { streamProxyModule } from './modules/stream-proxy.ts';
import { stubStatus } from './modules/stub-status.ts';
import { tunnelModule } from './modules/tunnel.ts';
import { upstreamModule } from './modules/upstream.ts';

export const MODULES: readonly ModuleDef[] = [
  core,
  httpCore,
  http2Module,
  logModule,
  upstreamModule,
  mapModule,
  geoModule,
  splitClientsModule,
  keyvalModule,
  sliceModule,
  rewriteModule,
  proxyModule,
  mirrorModule,
  authRequestModule,
  subFilterModule,
  additionModule,
  ssiModule,
  fastcgiModule,
  scgiModule,
  uwsgiModule,
  grpcModule,
  memcachedModule,
  tunnelModule,
  headersModule,
  healthCheckModule,
  realipModule,
  accessModule,
  authBasicModule,
  refererModule,
  limitReqModule,
  limitConnModule,
  gzipModule,
  charsetModule,
  sslModule,
  stubStatus,
  streamCore,
  streamHandlers,
  streamHelloModule,
  streamProxyModule,
  streamHealthCheckModule,
  adminModule,
  apiModule,
  accepted,
];

/** Directives by name. A name may have several entries, for different blocks. */
export function buildRegistry(modules: readonly ModuleDef[]): Registry {
  const registry = new Map<string, Directive[]>();
  for (const { directives } of modules) {
    for (const directive of directives) {
      const known = registry.get(directive.name);
      if (known === undefined) registry.set(directive.name, [directive]);
      else known.push(directive);
    }
  }
  return registry;
}

export const REGISTRY: Registry = buildRegistry(MODULES);
