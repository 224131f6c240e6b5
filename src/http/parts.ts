/**
 * Parts of http that many configurations do without. Reading sources takes a worker's start longer than anything else it
 * does: these are loaded when the first configuration comes that needs them, before it is compiled.
 */
import type { HttpConfig, LocationConfig } from '../config/model.ts';
import type { compileAuthBasic } from './access/basic.ts';
import type { cached } from './cache/handler.ts';
import type { CachePlan } from './cache/plan.ts';
import type { CacheZone } from './cache/zone.ts';
import type { compileAddition } from './filters/addition.ts';
import type { compileSsi } from './filters/ssi/filter.ts';
import type { compileSubFilter } from './filters/sub-filter.ts';
import type { FastcgiPlan } from './proxy/cgi/fastcgi-plan.ts';
import type { ScgiPlan } from './proxy/cgi/scgi-plan.ts';
import type { UwsgiPlan } from './proxy/cgi/uwsgi-plan.ts';
import type { ConnectPlan } from './proxy/connect/connect-plan.ts';
import type { compileSegments, composeBlock } from './proxy/http2/compose.ts';
import type { GrpcPlan } from './proxy/http2/grpc-plan.ts';
import type { Http2Upstream } from './proxy/http2/http2-upstream.ts';
import type { MemcachedPlan } from './proxy/memcached/memcached-plan.ts';

/** HTTP/2 to servers. */
interface UpstreamHttp2 {
  Http2Upstream: typeof Http2Upstream;
  compileSegments: typeof compileSegments;
  composeBlock: typeof composeBlock;
}

/** Protocols to servers other than HTTP. */
interface Protocols {
  ConnectPlan: typeof ConnectPlan;
  FastcgiPlan: typeof FastcgiPlan;
  GrpcPlan: typeof GrpcPlan;
  MemcachedPlan: typeof MemcachedPlan;
  ScgiPlan: typeof ScgiPlan;
  UwsgiPlan: typeof UwsgiPlan;
}

/** `proxy_cache` and its like. */
interface Caching {
  CachePlan: typeof CachePlan;
  CacheZone: typeof CacheZone;
  cached: typeof cached;
}

/** What changes bodies, but for compression. */
interface BodyFilters {
  compileAddition: typeof compileAddition;
  compileSsi: typeof compileSsi;
  compileSubFilter: typeof compileSubFilter;
}

/** `auth_basic`, with all the forms of passwords. */
interface Passwords {
  compileAuthBasic: typeof compileAuthBasic;
}

interface Parts {
  http2: UpstreamHttp2 | null;
  protocols: Protocols | null;
  caching: Caching | null;
  filters: BodyFilters | null;
  passwords: Passwords | null;
}

/** Null: no configuration so far needs it. */
export const parts: Parts = { http2: null, protocols: null, caching: null, filters: null, passwords: null };

/** Loads what a configuration needs. */
export async function loadParts(http: HttpConfig): Promise<void> {
  if (parts.caching === null && http.caches.length > 0) await loadCaching();
  for (const { root } of http.servers) {
    for (const location of withNested(root)) {
      const { proxy, ssi, subFilter, addition, authBasic } = location;
      const { kind } = location.handler;
      // The Kong door has services of gRPC, of which it is told later.
      if (parts.http2 === null && (kind === 'kong' || (kind === 'proxy' && proxy.httpVersion === '2')))
        await loadHttp2();
      if (parts.protocols === null && !['static', 'stub_status', 'admin', 'proxy', 'kong'].includes(kind))
        await loadProtocols();
      if (parts.filters === null && (ssi ?? subFilter ?? addition) !== undefined) await loadFilters();
      if (authBasic.userFile !== null) parts.passwords ??= await import('./access/basic.ts');
    }
  }
}

function* withNested(location: LocationConfig): Generator<LocationConfig> {
  yield location;
  if (location.limitExcept !== null) yield* withNested(location.limitExcept);
  for (const nested of location.locations) yield* withNested(nested);
}

async function loadCaching(): Promise<void> {
  const [{ CachePlan: Plan }, { CacheZone: Zone }, { cached: handler }] = await Promise.all([
    import('./cache/plan.ts'),
    import('./cache/zone.ts'),
    import('./cache/handler.ts'),
  ]);
  parts.caching = { CachePlan: Plan, CacheZone: Zone, cached: handler };
}

async function loadFilters(): Promise<void> {
  const [a, b, c] = await Promise.all([
    import('./filters/addition.ts'),
    import('./filters/ssi/filter.ts'),
    import('./filters/sub-filter.ts'),
  ]);
  parts.filters = { ...a, ...b, ...c };
}

async function loadHttp2(): Promise<void> {
  const [compose, { Http2Upstream: Upstream }] = await Promise.all([
    import('./proxy/http2/compose.ts'),
    import('./proxy/http2/http2-upstream.ts'),
  ]);
  const { compileSegments: segments, composeBlock: block } = compose;
  parts.http2 = { Http2Upstream: Upstream, compileSegments: segments, composeBlock: block };
}

async function loadProtocols(): Promise<void> {
  const [connect, fastcgi, grpc, memcached, scgi, uwsgi] = await Promise.all([
    import('./proxy/connect/connect-plan.ts'),
    import('./proxy/cgi/fastcgi-plan.ts'),
    import('./proxy/http2/grpc-plan.ts'),
    import('./proxy/memcached/memcached-plan.ts'),
    import('./proxy/cgi/scgi-plan.ts'),
    import('./proxy/cgi/uwsgi-plan.ts'),
  ]);
  parts.protocols = { ...connect, ...fastcgi, ...grpc, ...memcached, ...scgi, ...uwsgi };
}
