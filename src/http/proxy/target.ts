/** Where a request goes: the group of a literal proxy_pass, or one found per request for a target with variables. */
import type { PeerAddress, UpstreamConfig } from '../../config/model.ts';
import { parseUrl, peerAddress } from '../../config/address.ts';
import { createTable } from '../../upstream/group.ts';
import type { GroupEnv } from '../../upstream/group.ts';
import type { Resolver } from '../../discovery/resolver.ts';
import { clock } from '../../net/clock.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import type { VariableTable } from '../variables/table.ts';
import { UpstreamGroup } from './group.ts';
import type { ProxyPlan } from './plan.ts';
import { targetOf } from './request-writer.ts';

export interface Target {
  readonly group: UpstreamGroup | null;
  /** `$proxy_host` and `$proxy_port`. */
  readonly proxyHost: string;
  readonly proxyPort: string;
  /** What stands in the request line; null: the client's own target. */
  uriOf(r: HttpRequest, plan: ProxyPlan): string | null;
  /** Which idle connections are fit. */
  variantOf(r: HttpRequest, plan: ProxyPlan): string;
}

/** A target that was evaluated for one request. */
class FoundTarget implements Target {
  readonly group: UpstreamGroup;
  readonly proxyHost: string;
  readonly proxyPort: string;
  readonly #uri: string | null;

  constructor(group: UpstreamGroup, proxyHost: string, proxyPort: string, uri: string | null) {
    this.group = group;
    this.proxyHost = proxyHost;
    this.proxyPort = proxyPort;
    this.#uri = uri;
  }

  uriOf(r: HttpRequest, plan: ProxyPlan): string | null {
    return targetOf(r, plan, this.#uri);
  }

  variantOf(r: HttpRequest, plan: ProxyPlan): string {
    return plan.variantOf(r);
  }
}

/** What targets with variables are looked up in; one per generation and worker. */
export class TargetBook {
  /** Groups of the configuration, by lower-case name; implicit ones (a literal proxy_pass) by `host:port`. */
  readonly #named = new Map<string, UpstreamGroup>();
  /** Groups made of addresses that were found at run time, most recently used last. */
  readonly #found = new Map<string, UpstreamGroup>();
  readonly #env: GroupEnv;
  readonly #variables: VariableTable;

  constructor(env: GroupEnv, variables: VariableTable) {
    this.#env = env;
    this.#variables = variables;
  }

  add(group: UpstreamGroup): void {
    const { name, implicit, port } = group.config;
    const key = name.toLowerCase();
    this.#named.set(implicit ? `${key} ${port}` : key, group);
  }

  /** @param noPort the target names no port: only such a one can mean an `upstream {}` */
  named(host: string, port: number, noPort: boolean): UpstreamGroup | null {
    const key = host.toLowerCase();
    return (noPort ? this.#named.get(key) : undefined) ?? this.#named.get(`${key} ${port}`) ?? null;
  }

  /** A group of just these addresses; the same one as long as they stay the same. */
  of(name: string, addresses: readonly PeerAddress[]): UpstreamGroup {
    const key = `${name} ${addresses.map((a) => a.text).join(' ')}`;
    let group = this.#found.get(key);
    if (group !== undefined) this.#found.delete(key);
    else {
      const config = implicitGroup(name, addresses);
      group = new UpstreamGroup(config, createTable(config), this.#env, this.#variables, null);
      if (this.#found.size >= MAX_FOUND) this.#found.delete(this.#found.keys().next().value!);
    }
    this.#found.set(key, group);
    return group;
  }
}

const MAX_FOUND = 1024;

function implicitGroup(name: string, addresses: readonly PeerAddress[]): UpstreamConfig {
  const place = { file: '', line: 0 };
  return {
    name,
    place,
    implicit: true,
    port: addresses[0]?.port ?? 80,
    balancer: { kind: 'round_robin' },
    sticky: null,
    zone: null,
    // Each address is a server of its own. nginx makes them anew for every request: no failure is remembered.
    servers: addresses.map((address) => ({
      place,
      server: address.text,
      host: address.host,
      port: address.port,
      addresses: [address],
      weight: 1,
      maxConns: 0,
      maxFails: 0,
      failTimeoutSec: 10,
      slowStartMs: 0,
      backup: false,
      down: false,
      drain: false,
      route: null,
      resolve: false,
      service: null,
    })),
    keepalive: { connections: 0, local: false, requests: 1, timeMs: 0, timeoutMs: 0 },
    resolver: null,
    resolverTimeoutMs: 30000,
    queue: null,
    ntlm: false,
    stateFile: null,
  };
}

/** Evaluates a target with variables and finds its group; null: an error was logged, the answer is 502 (500 for nonsense). */
export function resolveTarget(r: HttpRequest, plan: ProxyPlan, done: (target: Target | null) => void): void {
  const text = plan.target!.get(r);
  const scheme = /^https?:\/\//i.exec(text);
  if (scheme === null) {
    logRequest(r, 'error', `invalid URL prefix in "${text}"`);
    done(null);
    return;
  }
  const secure = scheme[0].length === 8;
  const defaultPort = secure ? 443 : 80;
  const parsed = parseUrl(text.slice(scheme[0].length), { defaultPort, uriPart: true });
  if (!parsed.ok) {
    logRequest(r, 'error', `${parsed.error} in upstream "${text}"`);
    done(null);
    return;
  }
  const { url } = parsed;
  const uri = url.uri === '' ? null : url.uri.startsWith('/') ? url.uri : `/${url.uri}`;
  const proxyHost =
    url.kind === 'unix' ? 'localhost' : url.noPort || url.port === defaultPort ? url.host : `${url.host}:${url.port}`;
  const finish = (group: UpstreamGroup): void => {
    const target = new FoundTarget(group, proxyHost, url.kind === 'unix' ? '' : String(url.port), uri);
    r.proxyTarget = { host: target.proxyHost, port: target.proxyPort };
    done(target);
  };
  const book = plan.book;
  const named = url.kind === 'inet' ? book.named(url.host, url.port, url.noPort) : null;
  if (named !== null) {
    finish(named);
    return;
  }
  if (url.kind === 'unix' || url.address !== null) {
    finish(book.of(proxyHost, [peerAddress(url.kind, url.address ?? url.host, url.port)]));
    return;
  }
  const resolver: Resolver | null = r.loc.resolver;
  if (resolver === null) {
    logRequest(r, 'error', `no resolver defined to resolve ${url.host}`);
    done(null);
    return;
  }
  resolver.lookup(url.host, r.loc.core.resolverTimeoutMs, (resolution) => {
    clock.update();
    if (r.aborted) return;
    if (!resolution.ok) {
      logRequest(r, 'error', `${url.host} could not be resolved (${resolution.code}: ${resolution.text})`);
      done(null);
      return;
    }
    finish(
      book.of(
        proxyHost,
        resolution.addresses.map((a) => peerAddress(a.family === 4 ? 'inet' : 'inet6', a.address, url.port)),
      ),
    );
  });
}
