/** A group of the Kong door in the main thread: its table over changes, its names, its health. */
import type { KongGroup } from '../../config/kong/groups.ts';
import type { KongUpstream } from '../../config/kong/model.ts';
import type { UpstreamConfig, UpstreamServerConfig } from '../../config/model.ts';
import { ActiveChecks, type CheckedTarget } from '../../health/kong/active.ts';
import { allocateHealth, type HealthEvent, TargetHealth } from '../../health/kong/target-health.ts';
import { checksOf } from '../../health/kong/rules.ts';
import type { ErrorLog } from '../../observe/error-log.ts';
import { Selection } from '../../upstream/selection.ts';
import { type PeerSnapshot, takeSnapshot } from '../../upstream/snapshot.ts';
import { createTable } from '../../upstream/table/create.ts';
import { Table } from '../../upstream/table/layout.ts';
import { locked } from '../../upstream/table/lists.ts';
import { reloadTable } from '../../upstream/table/reload.ts';
import { replaceResolved } from '../../upstream/table/resolve.ts';
import { updateServer } from '../../upstream/table/servers.ts';
import type { HealthMemory } from './memory.ts';
import { NameWatch } from './name-watch.ts';
import type { NameAnswer, Names } from './names.ts';

export interface PlaneGroupEnv {
  key: string;
  log: ErrorLog;
  maxWorkers: number;
  names: Names;
  /** Who was unhealthy when it went. */
  memory: HealthMemory;
  certificate(id: string): { cert: string; key: string } | null;
}

export class PlaneGroup {
  readonly #env: PlaneGroupEnv;
  /** As workers get it. */
  data: KongGroup;
  /** With its servers. */
  #config: UpstreamConfig;
  /** By server text. */
  readonly #watches = new Map<string, NameWatch>();
  /** Those of them that are services (SRV). */
  readonly #services = new Set<string>();
  /** Weights of targets as configured. */
  #weights = new Map<string, number>();
  readonly #active = new ActiveChecks({
    targets: () => this.#checked(),
    report: (target, event, detail) => this.#report(target, event, detail),
  });

  constructor(env: PlaneGroupEnv, upstream: KongUpstream | null, config: UpstreamConfig) {
    this.#env = env;
    this.#weights = weightsOf(config);
    const table = createTable(config, { maxWorkers: env.maxWorkers });
    const health = allocateHealth(new Table(table).capacity);
    this.#config = config;
    this.data = { key: env.key, upstream: withoutTargets(upstream), ...toldOf(config), table, health };
    this.#recall(new Set());
    this.#follow();
    this.followChecks();
  }

  /** The group as it is configured from now on; peers that stay keep all they have. */
  replace(upstream: KongUpstream | null, wanted: UpstreamConfig): void {
    this.#weights = weightsOf(wanted);
    const there = this.#peers();
    const config = this.#withServices(wanted);
    const { table: before, health: counted } = this.data;
    const table = reloadTable(before, config);
    const health = table === before ? counted : allocateHealth(new Table(table).capacity);
    this.#config = config;
    this.data = { ...this.data, upstream: withoutTargets(upstream), ...toldOf(config), table, health };
    const checked = upstream !== null && checksOf(upstream.healthchecks).any;
    const cells = new TargetHealth(health);
    for (const { slot, generation, state } of this.snapshot()) {
      if (state !== 'unhealthy') continue;
      if (!checked) {
        cells.set(slot, generation, true);
        updateServer(table, slot, generation, { unhealthy: false });
      } else if (table !== before) cells.set(slot, generation, false);
    }
    this.#remember(there);
    this.#follow();
    this.followChecks();
  }

  /** Active checks as they are configured now; certificates may have changed too. */
  followChecks(): void {
    const { upstream } = this.data;
    if (upstream === null || !checksOf(upstream.healthchecks).active) {
      this.#active.follow(null);
      return;
    }
    const { clientCertificate, hostHeader, healthchecks } = upstream;
    const certificate = clientCertificate === null ? null : this.#env.certificate(clientCertificate);
    this.#active.follow({ active: healthchecks.active, hostHeader, certificate });
  }

  /** Those that drain are not checked. */
  #checked(): CheckedTarget[] {
    const { servers } = this.#config;
    return this.snapshot().flatMap(({ slot, generation, state, host, port, serverIndex }) => {
      const name = servers[serverIndex]?.host;
      return state === 'draining' || name === undefined
        ? []
        : [{ slot, generation, healthy: state !== 'unhealthy', host, port, name }];
    });
  }

  #report({ slot, generation, host, port }: CheckedTarget, event: HealthEvent, detail: string): void {
    const { upstream, health, table } = this.data;
    if (upstream === null) return;
    const { healthy, unhealthy } = upstream.healthchecks.active;
    const limits = { ...unhealthy, successes: healthy.successes };
    const verdict = new TargetHealth(health).report(slot, generation, event, limits);
    if (verdict === 'unchanged') return;
    updateServer(table, slot, generation, { unhealthy: verdict === 'unhealthy' });
    const text = `target ${host}:${port} of upstream "${upstream.name}" is ${verdict}: probe: ${detail}`;
    this.#env.log.write(verdict === 'unhealthy' ? 'warn' : 'notice', text);
  }

  /** All peers as they are now. */
  snapshot(): PeerSnapshot[] {
    const config = this.#config;
    const table = new Table(this.data.table);
    const env = { workerId: -1, clock: { now: Date.now }, random: Math.random };
    const selection = new Selection(config, table, env);
    return locked(table, () => {
      selection.tellTime();
      return takeSnapshot(selection);
    });
  }

  /** Peers by what they are to Kong: address and name of the target. True: it is unhealthy. */
  #peers(): Map<string, boolean> {
    return new Map(this.snapshot().map((peer) => [this.#identity(peer), peer.state === 'unhealthy']));
  }

  #identity({ host, port, serverIndex }: PeerSnapshot): string {
    return `${host} ${port} ${this.#config.servers[serverIndex]?.host ?? ''}`;
  }

  /** Notes who has gone, and gives those that are new the state that they had when they went. */
  #remember(there: ReadonlyMap<string, boolean>): void {
    const { upstream } = this.data;
    if (upstream === null) return;
    const now = this.#peers();
    for (const [peer, unhealthy] of there) {
      if (unhealthy && !now.has(peer)) this.#env.memory.remember(upstream.name, peer, performance.now());
    }
    this.#recall(new Set(there.keys()));
  }

  /** @param known those that are not new */
  #recall(known: ReadonlySet<string>): void {
    const { upstream } = this.data;
    const { memory } = this.#env;
    if (upstream === null || memory.size === 0 || !checksOf(upstream.healthchecks).any) return;
    for (const peer of this.snapshot()) {
      const identity = this.#identity(peer);
      if (!known.has(identity) && memory.recall(upstream.name, identity, performance.now())) this.mark(peer, false);
    }
  }

  /** Peers of a target, by its place in the configuration. */
  peersOf(target: number): PeerSnapshot[] {
    return this.snapshot().filter(({ serverIndex }) => serverIndex === target);
  }

  /** By hand: counters begin anew. */
  mark({ slot, generation }: PeerSnapshot, healthy: boolean): void {
    new TargetHealth(this.data.health).set(slot, generation, healthy);
    updateServer(this.data.table, slot, generation, { unhealthy: !healthy });
  }

  /** Watches the names of the targets that are there now; those of targets that stay go on. */
  #follow(): void {
    const { servers } = this.#config;
    const named = new Map(servers.flatMap(({ resolve, server, host }) => (resolve ? [[server, host] as const] : [])));
    for (const [server, watch] of this.#watches) {
      if (named.has(server)) continue;
      watch.close();
      this.#watches.delete(server);
    }
    for (const [server, host] of named) {
      if (this.#watches.has(server)) continue;
      const take = (answer: NameAnswer): void => this.#resolved(server, answer);
      const fail = (text: string): void => this.#env.log.error(`${host} could not be resolved: ${text}`);
      this.#watches.set(server, new NameWatch(host, this.#env.names, take, fail));
    }
  }

  /** What is known of a target's name: the kind of record, or why there are no addresses. */
  dnsOf(server: string): string {
    return this.#watches.get(server)?.dns ?? 'unknown';
  }

  /** An answer: addresses have the weight of the target, records of services their own weight and port. */
  #resolved(server: string, { dns, records }: NameAnswer): void {
    const config = this.#config;
    const { table, upstream } = this.data;
    const index = config.servers.findIndex((one) => one.server === server);
    const line = config.servers[index];
    if (line === undefined) return;
    if (dns === 'SRV') this.#services.add(server);
    else this.#services.delete(server);
    const changed = this.#withServices(config);
    this.#config = changed;
    const found = records.map(({ host, family, port, weight, target }) => {
      const own = port === 0 ? line.port : port;
      const name = dns === 'SRV' && upstream?.useSrvName === true ? target : line.host;
      return { host, family, port: own, weight, target: `${name}:${own}`, priority: 0 };
    });
    const there = this.#peers();
    const { exhausted } = replaceResolved(table, changed, index, found);
    this.#remember(there);
    if (exhausted > 0) this.#env.log.error(`no room for ${exhausted} addresses of "${server}"`);
  }

  /** Targets whose names are services take port and weight from the records. */
  #withServices(config: UpstreamConfig): UpstreamConfig {
    const servers = config.servers.map((line): UpstreamServerConfig => {
      if (!line.resolve) return line;
      return this.#services.has(line.server)
        ? { ...line, service: 'srv', weight: 1 }
        : { ...line, service: null, weight: this.#weights.get(line.server) ?? line.weight };
    });
    return { ...config, servers };
  }

  close(): void {
    const { upstream } = this.data;
    for (const [peer, unhealthy] of upstream === null ? [] : this.#peers()) {
      if (unhealthy) this.#env.memory.remember(upstream!.name, peer, performance.now());
    }
    this.#active.close();
    for (const watch of this.#watches.values()) watch.close();
  }
}

function withoutTargets(upstream: KongUpstream | null): KongGroup['upstream'] {
  if (upstream === null) return null;
  const { targets: _, ...rest } = upstream;
  return rest;
}

/** Peers are in the table: thousands of targets need not be told to each worker by messages as well. */
const toldOf = (config: UpstreamConfig): Pick<KongGroup, 'config' | 'targets'> => ({
  config: { ...config, servers: [] },
  targets: config.servers.length,
});

const weightsOf = ({ servers }: UpstreamConfig): Map<string, number> =>
  new Map(servers.map(({ server, weight }) => [server, weight]));
