/** A group of the Kong door in the main thread: its table over changes, its names, its health. */
import { lookup } from 'node:dns/promises';
import { setTimeout as later } from 'node:timers';
import type { KongGroup } from '../../config/kong/groups.ts';
import type { KongUpstream } from '../../config/kong/model.ts';
import type { UpstreamConfig, UpstreamServerConfig } from '../../config/model.ts';
import { ActiveChecks, type CheckedTarget } from '../../health/kong/active.ts';
import { allocateHealth, type HealthEvent, TargetHealth } from '../../health/kong/target-health.ts';
import { checksOf } from '../../health/kong/rules.ts';
import { describeError } from '../../observe/errno.ts';
import type { ErrorLog } from '../../observe/error-log.ts';
import { Selection } from '../../upstream/selection.ts';
import { type PeerSnapshot, takeSnapshot } from '../../upstream/snapshot.ts';
import { createTable } from '../../upstream/table/create.ts';
import { Table } from '../../upstream/table/layout.ts';
import { locked } from '../../upstream/table/lists.ts';
import { reloadTable } from '../../upstream/table/reload.ts';
import { replaceResolved } from '../../upstream/table/resolve.ts';
import { updateServer } from '../../upstream/table/servers.ts';

/** How often names are looked up: the system does not say for how long its answers are good. */
const LOOK_UP_MS = 5000;

export interface PlaneGroupEnv {
  key: string;
  log: ErrorLog;
  maxWorkers: number;
  certificate(id: string): { cert: string; key: string } | null;
}

/** What is known of a target's name. */
interface NameState {
  /** `A`, `AAAA`, or why there are no addresses. */
  dns: string;
}

export class PlaneGroup {
  readonly #env: PlaneGroupEnv;
  data: KongGroup;
  /** By server text. */
  readonly names = new Map<string, NameState>();
  #timer: NodeJS.Timeout | null = null;
  #closed = false;
  /** Counts the configurations: an answer that was asked for an earlier one is passed over. */
  #round = 0;

  readonly #active = new ActiveChecks({
    targets: () => this.#checked(),
    report: (target, event, detail) => this.#report(target, event, detail),
  });

  constructor(env: PlaneGroupEnv, upstream: KongUpstream | null, config: UpstreamConfig) {
    this.#env = env;
    const table = createTable(config, { maxWorkers: env.maxWorkers });
    const health = allocateHealth(new Table(table).capacity);
    this.data = { key: env.key, upstream: withoutTargets(upstream), config, table, health };
    this.#lookUp();
    this.followChecks();
  }

  /** The group as it is configured from now on; peers that stay keep all they have. */
  replace(upstream: KongUpstream | null, config: UpstreamConfig): void {
    const { table: before, health: counted } = this.data;
    const table = reloadTable(before, config);
    const health = table === before ? counted : allocateHealth(new Table(table).capacity);
    this.data = { ...this.data, upstream: withoutTargets(upstream), config, table, health };
    const checked = upstream !== null && checksOf(upstream.healthchecks).any;
    const cells = new TargetHealth(health);
    for (const { slot, generation, state } of this.snapshot()) {
      if (state !== 'unhealthy') continue;
      if (!checked) {
        cells.set(slot, generation, true);
        updateServer(table, slot, generation, { unhealthy: false });
      } else if (table !== before) cells.set(slot, generation, false);
    }
    this.#lookUp();
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
    const { servers } = this.data.config;
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
    const { config } = this.data;
    const table = new Table(this.data.table);
    const env = { workerId: -1, clock: { now: Date.now }, random: Math.random };
    const selection = new Selection(config, table, env);
    return locked(table, () => {
      selection.tellTime();
      return takeSnapshot(selection);
    });
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

  #lookUp(): void {
    const round = ++this.#round;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const { servers } = this.data.config;
    const named = [...servers.entries()].filter(([, { resolve }]) => resolve);
    for (const name of this.names.keys()) {
      if (!named.some(([, { server }]) => server === name)) this.names.delete(name);
    }
    if (named.length === 0) return;
    void Promise.all(named.map(([index, server]) => this.#lookUpOne(index, server, round))).then(() => {
      if (this.#closed || round !== this.#round) return;
      this.#timer = later(() => this.#lookUp(), LOOK_UP_MS);
      this.#timer.unref();
    });
  }

  async #lookUpOne(index: number, { server, host, port }: UpstreamServerConfig, round: number): Promise<void> {
    try {
      const found = await lookup(host, { all: true, order: 'ipv4first' });
      if (this.#closed || round !== this.#round) return;
      const records = found.map(({ address, family }) => ({
        host: address,
        family: family === 6 ? (6 as const) : (4 as const),
      }));
      const { exhausted } = replaceResolved(this.data.table, this.data.config, index, records);
      if (exhausted > 0) this.#env.log.error(`no room for ${exhausted} addresses of "${host}:${port}"`);
      this.names.set(server, { dns: found.some(({ family }) => family === 4) ? 'A' : 'AAAA' });
    } catch (error) {
      if (this.#closed || round !== this.#round) return;
      const known = this.names.get(server)?.dns;
      const text = `dns server error: ${describeError(error)}`;
      if (known !== text) this.#env.log.error(`${host} could not be resolved: ${describeError(error)}`);
      // What was known stays: a name server that is away must not empty a group.
      if (known !== 'A' && known !== 'AAAA') this.names.set(server, { dns: text });
    }
  }

  close(): void {
    this.#closed = true;
    this.#active.close();
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}

function withoutTargets(upstream: KongUpstream | null): KongGroup['upstream'] {
  if (upstream === null) return null;
  const { targets: _, ...rest } = upstream;
  return rest;
}
