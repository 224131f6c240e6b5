/** The handler of a location that passes requests to upstreams, by the protocol that is spoken there. */
import type { HandlerConfig, LocationMatch, PassKind, ProxySslConfig } from '../../config/model.ts';
import type { HttpRequest } from '../request.ts';
import type { Handler, Location } from '../runtime.ts';
import * as engine from '../engine.ts';
import { compileTypes } from '../handlers/mime.ts';
import { METHOD_CONNECT, METHOD_GET, METHOD_HEAD } from '../wire/request-head.ts';
import type { VariableTable } from '../variables/table.ts';
import { proxy } from './exchange.ts';
import type { UpstreamGroup } from './group.ts';
import type { MemcachedPlan } from './memcached/memcached-plan.ts';
import { parts } from '../parts.ts';
import { ProxyPlan } from './plan.ts';
import type { TargetBook } from '../../upstream/target-book.ts';
import { UpstreamTls } from './tls.ts';
import { compileStore } from './store.ts';
import type { CommonParts, UpstreamPlan } from './upstream-plan.ts';
import type { CacheZone } from '../cache/zone.ts';

/** What a handler is compiled with. */
export interface PassEnv {
  /** Null: the target holds variables. */
  group: UpstreamGroup | null;
  variables: VariableTable;
  book: TargetBook<UpstreamGroup>;
  serial: number;
  /** Of the configuration file: what names of certificates are relative to. */
  directory: string;
  caches: ReadonlyMap<string, CacheZone>;
}

/** @param match of the location that the directive stands in; `if` and `limit_except` inside it inherit it */
export function compilePass(
  loc: Location,
  handler: Extract<HandlerConfig, { kind: PassKind }>,
  match: LocationMatch,
  env: PassEnv,
): Handler {
  const { config } = loc;
  const { pass } = handler;
  const tlsOf = (ssl: ProxySslConfig): UpstreamTls | null =>
    pass.scheme === 'https' || pass.scheme === 'grpcs' || pass.scheme === 'suwsgi' || mayBeSecure(pass.variableTarget)
      ? new UpstreamTls(ssl, env.variables, env.directory)
      : null;
  const common = (tls: UpstreamTls | null): CommonParts => ({ ...env, pass, tls });
  const { protocols } = parts;
  switch (handler.kind) {
    case 'proxy': {
      const plan = new ProxyPlan(config, match, common(tlsOf(config.proxy.ssl)));
      return passing(loc, plan, handler.kind, env);
    }
    case 'grpc': {
      const plan = new protocols!.GrpcPlan(config.grpc!, common(tlsOf(config.grpc!.ssl)));
      return (r) => proxy(r, plan);
    }
    case 'memcached':
      return memcachedHandler(loc, new protocols!.MemcachedPlan(config.memcached!, common(null)));
    case 'tunnel': {
      const plan = new protocols!.ConnectPlan(config.tunnel!, common(null));
      return (r) => {
        if (r.method === METHOD_CONNECT) proxy(r, plan);
        else engine.finalize(r, 405);
      };
    }
    case 'fastcgi': {
      const plan = new protocols!.FastcgiPlan(config.fastcgi!, common(null));
      return passing(loc, plan, handler.kind, env);
    }
    case 'scgi': {
      const plan = new protocols!.ScgiPlan(config.scgi!, common(null));
      return passing(loc, plan, handler.kind, env);
    }
    case 'uwsgi': {
      const plan = new protocols!.UwsgiPlan(config.uwsgi!, common(tlsOf(config.uwsgi!.ssl)));
      return passing(loc, plan, handler.kind, env);
    }
  }
}

/** The handler of requests that a plan sends on: by way of a cache, if the location has one. */
function passing(loc: Location, plan: UpstreamPlan, module: string, env: PassEnv): Handler {
  plan.store = compileStore(plan.config, loc.core, env.variables);
  const { cache } = plan.config;
  if (cache === null) return (r) => proxy(r, plan);
  const { CachePlan, cached } = parts.caching!;
  const caching = new CachePlan(cache, plan, module, env.caches, env.variables);
  return (r) => cached(r, caching);
}

/** A target with variables may turn out to ask for TLS, unless it begins by saying otherwise. */
function mayBeSecure(target: string | null): boolean {
  return target !== null && !/^(http|grpc|uwsgi):/i.test(target);
}

/** Values have no type: it comes from the URI's extension, as for files. */
function memcachedHandler(loc: Location, plan: MemcachedPlan): Handler {
  const typeOf = compileTypes(loc.core);
  return (r: HttpRequest) => {
    if (r.method !== METHOD_GET && r.method !== METHOD_HEAD) {
      engine.finalize(r, 405);
      return;
    }
    r.contentType ??= typeOf(r.uri);
    proxy(r, plan);
  };
}
