/** Groups for tests: short to write, complete in type. */
import type { BalancerConfig, PeerAddress, UpstreamConfig, UpstreamServerConfig } from '../../src/config/model.ts';
import { Attempt, createTable, Group, type Outcome } from '../../src/upstream/group.ts';

const place = { file: '/test.conf', line: 1 };

export type ServerInit = Partial<UpstreamServerConfig> & { server: string };

export function address(text: string): PeerAddress {
  if (text.startsWith('unix:')) return { text, family: 'unix', host: text.slice(5), port: 0 };
  const colon = text.lastIndexOf(':');
  const host = text.slice(0, colon);
  const port = Number(text.slice(colon + 1));
  return host.startsWith('[') ? { text, family: 6, host: host.slice(1, -1), port } : { text, family: 4, host, port };
}

export function server(init: ServerInit): UpstreamServerConfig {
  const colon = init.server.lastIndexOf(':');
  return {
    place,
    host: colon < 0 ? init.server : init.server.slice(0, colon),
    port: 80,
    addresses: init.resolve ? [] : [address(init.server)],
    weight: 1,
    maxConns: 0,
    maxFails: 1,
    failTimeoutSec: 10,
    slowStartMs: 0,
    backup: false,
    down: false,
    drain: false,
    route: null,
    resolve: false,
    service: null,
    ...init,
  };
}

export function upstream(balancer: BalancerConfig, servers: ServerInit[]): UpstreamConfig {
  return {
    name: 'u',
    place,
    implicit: false,
    port: 80,
    balancer,
    sticky: null,
    zone: { name: 'z', size: 65536 },
    servers: servers.map(server),
    keepalive: { connections: 32, local: true, requests: 1000, timeMs: 3_600_000, timeoutMs: 60_000 },
    resolver: null,
    resolverTimeoutMs: 30_000,
    queue: null,
    ntlm: false,
    stateFile: null,
  };
}

/** Servers 127.0.0.1:8081 and on, by weight. */
export function weighted(weights: number[]): ServerInit[] {
  return weights.map((weight, i) => ({ server: `127.0.0.1:${8081 + i}`, weight }));
}

/** A clock that stands until it is moved. */
export class TestClock {
  ms: number;
  constructor(ms = 1_000_000_000) {
    this.ms = ms;
  }
  now(): number {
    return this.ms;
  }
  advance(seconds: number): void {
    this.ms += seconds * 1000;
  }
}

export const RR: BalancerConfig = { kind: 'round_robin' };
export const LEAST_CONN: BalancerConfig = { kind: 'least_conn' };

export const OK: Outcome = { failed: false, next: false, hadHeader: true, headerMs: 0, responseMs: 0 };
export const FAILED: Outcome = { failed: true, next: false, hadHeader: false, headerMs: 0, responseMs: 0 };

export interface Rig {
  group: Group;
  clock: TestClock;
  table: SharedArrayBuffer;
  config: UpstreamConfig;
  /** Begins a request, picks, ends it well; returns the slot. */
  serve(keys?: Parameters<Group['begin']>[1]): number;
}

export function rig(config: UpstreamConfig, random: () => number = Math.random, table = createTable(config)): Rig {
  const clock = new TestClock();
  const group = new Group(config, table, { workerId: 0, clock, random });
  const attempt = new Attempt();
  return {
    group,
    clock,
    table,
    config,
    serve(keys = {}) {
      group.begin(attempt, keys, 0);
      const slot = group.pick(attempt);
      group.done(attempt, OK);
      return slot;
    },
  };
}
