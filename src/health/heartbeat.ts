/**
 * Heartbeats: the checks of any-proxy. Each server line has its own; they go the way that sessions go, or as a TCP connect
 * or an HTTP request for servers that know no heartbeats. What they take is what `fair` goes by, and a server that misses
 * some gets less before it is taken out.
 */
import { isDeepStrictEqual } from 'node:util';
import type { UpstreamConfig } from '../config/model.ts';
import type { HeartbeatConfig } from '../config/via-model.ts';
import type { LinkLog, Vias } from '../net/via.ts';
import { viasOf } from '../net/via.ts';
import { noteRoundTrip, weaken } from '../upstream/table/heartbeat.ts';
import { ConnectProbeKind, HelloProbeKind, HttpProbeKind } from './heartbeat-probes.ts';
import type { HealthCheck } from './monitor.ts';
import type { ProbeKind } from './probe.ts';

/** The heartbeats of a group's servers; none: empty. */
export function heartbeatsOf(upstream: UpstreamConfig, table: SharedArrayBuffer, log: LinkLog): HealthCheck[] {
  const checks: { heartbeat: HeartbeatConfig; servers: Set<string> }[] = [];
  for (const { server, heartbeat } of upstream.servers) {
    if (heartbeat === undefined) continue;
    const same = checks.find((check) => isDeepStrictEqual(rules(check.heartbeat), rules(heartbeat)));
    if (same === undefined) checks.push({ heartbeat, servers: new Set([server]) });
    else same.servers.add(server);
  }
  if (checks.length === 0) return [];
  const vias = viasOf(upstream, log);
  return checks.map(({ heartbeat, servers }) => ({
    id: JSON.stringify(['heartbeat', rules(heartbeat)]),
    name: 'heartbeat',
    intervalMs: heartbeat.intervalMs,
    jitterMs: 0,
    fails: heartbeat.fails,
    passes: 1,
    mandatory: false,
    port: heartbeat.port,
    kind: kindOf(upstream, heartbeat, vias),
    servers,
    ended({ slot, generation }, { passed, ms }, inRow) {
      if (!passed) weaken(table, slot, generation, inRow);
      else if (ms !== undefined) noteRoundTrip(table, slot, generation, ms);
    },
  }));
}

/** All but where it stands. */
function rules(heartbeat: HeartbeatConfig): Omit<HeartbeatConfig, 'place'> {
  const { intervalMs, timeoutMs, fails, type, port, uri } = heartbeat;
  return { intervalMs, timeoutMs, fails, type, port, uri };
}

function kindOf(upstream: UpstreamConfig, { type, timeoutMs, uri }: HeartbeatConfig, vias: Vias | null): ProbeKind {
  switch (type) {
    case 'hello':
      return new HelloProbeKind(vias, timeoutMs);
    case 'http': {
      const hosts = new Map(upstream.servers.map(({ server, host }) => [server, host]));
      return new HttpProbeKind(hosts, uri, timeoutMs);
    }
    case 'connect':
      return new ConnectProbeKind(timeoutMs);
  }
}
