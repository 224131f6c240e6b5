/**
 * From entities to what the data plane runs on: a whole at first, then the parts that a change touches.
 *
 * ```ts
 * const view = new KongView(snapshot.entities);
 * start(view.config(snapshot.revision));
 * apply(view.update(changes, marks, revision));
 * ```
 */
import { parseHost } from './host.ts';
import type {
  KongAddress,
  KongCertificate,
  KongConfig,
  KongFailureLimits,
  KongHash,
  KongHealthchecks,
  KongMark,
  KongPath,
  KongRoute,
  KongService,
  KongTarget,
  KongUpdate,
  KongUpstream,
} from './model.ts';
import { isObject } from './schema.ts';
import type { Entity, EntityKind, Json, JsonObject } from './schema.ts';

// Entities were checked when they were written: fields have the types that their schemas say.
const text = (value: Json | undefined): string => value as string;
const textOrNull = (value: Json | undefined): string | null => (value ?? null) as string | null;
const number = (value: Json | undefined): number => value as number;
const numberOrNull = (value: Json | undefined): number | null => (value ?? null) as number | null;
const flag = (value: Json | undefined): boolean => value as boolean;
const texts = (value: Json | undefined): string[] => (value ?? []) as string[];
const numbers = (value: Json | undefined): number[] => value as number[];
const record = (value: Json | undefined): JsonObject => (isObject(value) ? value : {});
const reference = (value: Json | undefined): string | null => (isObject(value) ? text(value.id) : null);
const milliseconds = (value: Json | undefined): number => Math.round(number(value) * 1000);

function headerList(value: Json | undefined): { name: string; values: string[] }[] {
  return Object.entries(record(value)).map(([name, values]) => ({ name, values: texts(values) }));
}

export function toService(entity: Entity): KongService {
  return {
    id: entity.id,
    name: textOrNull(entity.name),
    enabled: flag(entity.enabled),
    protocol: entity.protocol as KongService['protocol'],
    host: text(entity.host),
    port: number(entity.port),
    path: textOrNull(entity.path),
    retries: number(entity.retries),
    connectTimeoutMs: number(entity.connect_timeout),
    writeTimeoutMs: number(entity.write_timeout),
    readTimeoutMs: number(entity.read_timeout),
    tlsVerify: (entity.tls_verify ?? null) as boolean | null,
    tlsVerifyDepth: numberOrNull(entity.tls_verify_depth),
    clientCertificate: reference(entity.client_certificate),
    caCertificates: texts(entity.ca_certificates),
  };
}

function toPath(path: string): KongPath {
  return path.startsWith('~') ? { kind: 'regex', text: path.slice(1) } : { kind: 'prefix', text: path };
}

function toAddresses(value: Json | undefined): KongAddress[] {
  return ((value ?? []) as JsonObject[]).map(({ ip, port }) => ({ ip: textOrNull(ip), port: numberOrNull(port) }));
}

export function toRoute(entity: Entity): KongRoute {
  return {
    id: entity.id,
    name: textOrNull(entity.name),
    createdAt: number(entity.created_at),
    protocols: entity.protocols as KongRoute['protocols'],
    methods: texts(entity.methods),
    hosts: texts(entity.hosts),
    paths: texts(entity.paths).map(toPath),
    headers: headerList(entity.headers),
    snis: texts(entity.snis),
    sources: toAddresses(entity.sources),
    destinations: toAddresses(entity.destinations),
    stripPath: flag(entity.strip_path),
    preserveHost: flag(entity.preserve_host),
    regexPriority: number(entity.regex_priority),
    pathHandling: entity.path_handling as KongRoute['pathHandling'],
    httpsRedirectStatusCode: entity.https_redirect_status_code as KongRoute['httpsRedirectStatusCode'],
    requestBuffering: flag(entity.request_buffering),
    responseBuffering: flag(entity.response_buffering),
    service: reference(entity.service),
  };
}

function toHash(entity: Entity, which: 'hash_on' | 'hash_fallback'): KongHash {
  const kind = entity[which] as KongHash['kind'];
  switch (kind) {
    case 'cookie':
      return { kind, name: text(entity.hash_on_cookie), path: text(entity.hash_on_cookie_path) };
    case 'header':
    case 'query_arg':
    case 'uri_capture':
      return { kind, name: text(entity[`${which}_${kind}`]) };
    case 'none':
    case 'consumer':
    case 'ip':
    case 'path':
      return { kind };
  }
}

function toLimits(unhealthy: JsonObject): KongFailureLimits {
  return {
    httpStatuses: numbers(unhealthy.http_statuses),
    tcpFailures: number(unhealthy.tcp_failures),
    timeouts: number(unhealthy.timeouts),
    httpFailures: number(unhealthy.http_failures),
  };
}

function toHealthchecks(checks: JsonObject): KongHealthchecks {
  const active = record(checks.active);
  const passive = record(checks.passive);
  const [up, down] = [record(active.healthy), record(active.unhealthy)];
  const passiveUp = record(passive.healthy);
  return {
    threshold: number(checks.threshold),
    active: {
      type: active.type as KongHealthchecks['active']['type'],
      timeoutMs: milliseconds(active.timeout),
      concurrency: number(active.concurrency),
      httpPath: text(active.http_path),
      httpsSni: textOrNull(active.https_sni),
      httpsVerifyCertificate: flag(active.https_verify_certificate),
      headers: headerList(active.headers),
      healthy: {
        intervalMs: milliseconds(up.interval),
        httpStatuses: numbers(up.http_statuses),
        successes: number(up.successes),
      },
      unhealthy: { intervalMs: milliseconds(down.interval), ...toLimits(down) },
    },
    passive: {
      type: passive.type as KongHealthchecks['passive']['type'],
      healthy: { httpStatuses: numbers(passiveUp.http_statuses), successes: number(passiveUp.successes) },
      unhealthy: toLimits(record(passive.unhealthy)),
    },
  };
}

export function toTarget(entity: Entity): KongTarget {
  const target = text(entity.target);
  const parsed = parseHost(target);
  if ('error' in parsed) throw new TypeError(`a stored target is not one: ${target}`);
  return {
    id: entity.id,
    createdAt: number(entity.created_at),
    target,
    kind: parsed.kind,
    host: parsed.host,
    port: parsed.port ?? 0,
    weight: number(entity.weight),
    failover: flag(entity.failover),
  };
}

const byHostAndPort = (a: KongTarget, b: KongTarget): number =>
  a.host === b.host ? a.port - b.port : a.host < b.host ? -1 : 1;

/** @param targets entities of its targets */
export function toUpstream(entity: Entity, targets: Iterable<Entity>): KongUpstream {
  const sticky = textOrNull(entity.sticky_sessions_cookie);
  return {
    id: entity.id,
    name: text(entity.name),
    algorithm: entity.algorithm as KongUpstream['algorithm'],
    hashOn: toHash(entity, 'hash_on'),
    hashFallback: toHash(entity, 'hash_fallback'),
    stickyCookie:
      entity.algorithm === 'sticky-sessions' && sticky !== null
        ? { name: sticky, path: text(entity.sticky_sessions_cookie_path) }
        : null,
    slots: number(entity.slots),
    hostHeader: textOrNull(entity.host_header),
    clientCertificate: reference(entity.client_certificate),
    useSrvName: flag(entity.use_srv_name),
    healthchecks: toHealthchecks(record(entity.healthchecks)),
    targets: Array.from(targets, toTarget).sort(byHostAndPort),
  };
}

/** Entities by kind and id. */
type Tables = Record<EntityKind, Map<string, Entity>>;

/** Lists that are given whole when any of these kinds has changed. */
const LISTS = {
  routes: ['routes'],
  services: ['services'],
  certificates: ['certificates', 'snis'],
  caCertificates: ['ca_certificates'],
  consumers: ['consumers'],
} as const satisfies Partial<Record<keyof KongUpdate, readonly EntityKind[]>>;

/** All entities as they are now, and what the data plane has to know of them. */
export class KongView {
  readonly #tables: Tables;
  /** Targets of an upstream, by id. */
  readonly #targets = new Map<string, Map<string, Entity>>();

  constructor(entities: Record<EntityKind, readonly Entity[]>) {
    this.#tables = Object.fromEntries(
      Object.entries(entities).map(([kind, list]) => [kind, new Map(list.map((entity) => [entity.id, entity]))]),
    ) as Tables;
    for (const target of entities.targets) this.#targetsOf(target).set(target.id, target);
  }

  config(revision: number): KongConfig {
    return {
      revision,
      ...this.#lists(() => true),
      upstreams: Array.from(this.#tables.upstreams.values(), (upstream) => this.#upstream(upstream)),
    };
  }

  /** All of them, as they are now. */
  entities(): Record<EntityKind, Entity[]> {
    return Object.fromEntries(
      Object.entries(this.#tables).map(([kind, table]) => [kind, [...table.values()]]),
    ) as Record<EntityKind, Entity[]>;
  }

  /**
   * Takes in changes.
   *
   * @returns what of the data plane they touch
   */
  update(
    changes: readonly { kind: EntityKind; id: string; entity: Entity | null }[],
    marks: KongMark[],
    revision: number,
  ): KongUpdate {
    const kinds = new Set<EntityKind>();
    const upstreams = new Set<string>();
    for (const { kind, id, entity } of changes) {
      kinds.add(kind);
      if (kind === 'upstreams') upstreams.add(id);
      if (kind === 'targets') for (const upstream of this.#setTarget(id, entity)) upstreams.add(upstream);
      if (entity === null) this.#tables[kind].delete(id);
      else this.#tables[kind].set(id, entity);
    }
    const update: KongUpdate = { revision, ...this.#lists((kind) => kinds.has(kind)) };
    if (upstreams.size > 0) {
      const set: KongUpstream[] = [];
      const removed: string[] = [];
      for (const id of upstreams) {
        const upstream = this.#tables.upstreams.get(id);
        if (upstream !== undefined) set.push(this.#upstream(upstream));
        else {
          removed.push(id);
          this.#targets.delete(id);
        }
      }
      update.upstreams = { set, removed };
    }
    if (marks.length > 0) update.marks = marks;
    return update;
  }

  /** @returns the upstreams that it belonged and belongs to */
  #setTarget(id: string, entity: Entity | null): string[] {
    const touched: string[] = [];
    const before = this.#tables.targets.get(id);
    if (before !== undefined) {
      this.#targetsOf(before).delete(id);
      touched.push(reference(before.upstream) ?? '');
    }
    if (entity !== null) {
      this.#targetsOf(entity).set(id, entity);
      touched.push(reference(entity.upstream) ?? '');
    }
    return touched;
  }

  #targetsOf(target: Entity): Map<string, Entity> {
    const upstream = reference(target.upstream) ?? '';
    let targets = this.#targets.get(upstream);
    if (targets === undefined) {
      targets = new Map();
      this.#targets.set(upstream, targets);
    }
    return targets;
  }

  #upstream(entity: Entity): KongUpstream {
    return toUpstream(entity, this.#targets.get(entity.id)?.values() ?? []);
  }

  #lists(changed: (kind: EntityKind) => boolean): Omit<KongConfig, 'revision' | 'upstreams'>;
  #lists(changed: (kind: EntityKind) => boolean): Partial<Omit<KongConfig, 'revision' | 'upstreams'>> {
    const make = {
      routes: () => Array.from(this.#tables.routes.values(), toRoute),
      services: () => Array.from(this.#tables.services.values(), toService),
      certificates: () => this.#certificates(),
      caCertificates: () =>
        Array.from(this.#tables.ca_certificates.values(), ({ id, cert }) => ({ id, cert: text(cert) })),
      consumers: () =>
        Array.from(this.#tables.consumers.values(), ({ id, username, custom_id: customId }) => ({
          id,
          username: textOrNull(username),
          customId: textOrNull(customId),
        })),
    };
    const wanted = Object.entries(LISTS).filter(([, kinds]) => kinds.some(changed));
    return Object.fromEntries(wanted.map(([name]) => [name, make[name as keyof typeof make]()]));
  }

  #certificates(): KongCertificate[] {
    const names = Map.groupBy(this.#tables.snis.values(), ({ certificate }) => reference(certificate) ?? '');
    return Array.from(this.#tables.certificates.values(), (entity) => ({
      id: entity.id,
      cert: text(entity.cert),
      key: text(entity.key),
      certAlt: textOrNull(entity.cert_alt),
      keyAlt: textOrNull(entity.key_alt),
      snis: (names.get(entity.id) ?? []).map(({ name }) => text(name)),
    }));
  }
}
