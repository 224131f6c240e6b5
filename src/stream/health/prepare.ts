/**
 * What `health_check` in servers of stream becomes: checks that know no configuration any more. A probe goes the way that
 * the server's sessions go. There is no client: variables that speak of one are empty.
 */
import type { Buffer } from 'node:buffer';
import { dirname } from 'node:path';
import { type CheckedServer, checkedServers } from '../../config/health-checks.ts';
import type { Config, StreamCheckConfig, UpstreamConfig } from '../../config/model.ts';
import type { StreamConfig } from '../../config/stream-model.ts';
import { checkOf, type HealthCheck } from '../../health/monitor.ts';
import { writeProxyV1, writeProxyV2 } from '../../net/proxy-protocol.ts';
import { viasOf } from '../../net/via.ts';
import type { ErrorLog } from '../../observe/error-log.ts';
import { TargetBook } from '../../upstream/target-book.ts';
import type { StreamGroup } from '../proxy/group.ts';
import { ProxyPlan } from '../proxy/plan.ts';
import { StreamServer } from '../runtime.ts';
import { StreamVariables } from '../variables/table.ts';
import { compileStreamMatch, NO_MATCH, type StreamMatcher } from './match.ts';
import { ProbeSession } from './session.ts';
import { type StreamProbeSettings, TcpProbeKind } from './tcp-probe.ts';
import { UdpProbeKind } from './udp-probe.ts';

/** The checks of each group of stream that has any, by index into `StreamConfig.upstreams`. */
export function prepareStreamChecks(config: Config, stream: StreamConfig, log: ErrorLog): Map<number, HealthCheck[]> {
  const variables = new StreamVariables(stream, { prefix: config.prefix });
  const matchers = new Map(stream.matches.map((match) => [match.name, compileStreamMatch(match)]));
  const checks = new Map<number, HealthCheck[]>();
  for (const checked of checkedServers(stream)) {
    const { proxy } = checked.server;
    const plan = new ProxyPlan(proxy, null, null, NO_TARGETS, variables, dirname(config.file));
    for (const check of checked.server.healthChecks) {
      const matcher = check.match === null ? NO_MATCH : matchers.get(check.match)!;
      const made = makeCheck(check, checked, stream.upstreams[checked.upstream]!, plan, matcher, log);
      checks.set(checked.upstream, [...(checks.get(checked.upstream) ?? []), made]);
    }
  }
  return checks;
}

/** Probes go to servers of a group. */
const NO_TARGETS = new TargetBook<StreamGroup>(() => {
  throw new TypeError('probes go to servers of a group, not to targets that variables name');
});

function makeCheck(
  check: StreamCheckConfig,
  { server }: CheckedServer,
  group: UpstreamConfig,
  plan: ProxyPlan,
  matcher: StreamMatcher,
  log: ErrorLog,
): HealthCheck {
  const runtime = new StreamServer(server, log);
  const settings: StreamProbeSettings = {
    plan,
    matcher,
    host: group.name,
    header: ownHeader(plan.config.proxyProtocol),
    timeoutMs: server.healthTimeoutMs,
    vias: viasOf(group, (level, message) => log.write(level, message)),
    session: (address) =>
      new ProbeSession(
        runtime,
        check.udp,
        `health check "${matcher.name}" of peer ${address} in upstream "${group.name}"`,
      ),
  };
  const kind = check.udp ? new UdpProbeKind(settings, check.intervalMs) : new TcpProbeKind(settings);
  return checkOf(check, matcher.name, [plan.tls !== null, server.healthTimeoutMs], kind);
}

/** The header of a connection that the proxy makes for itself: UNKNOWN in version 1, LOCAL in version 2. */
function ownHeader(version: 0 | 1 | 2): Buffer | null {
  const nobody = { address: '', port: 0 };
  if (version === 0) return null;
  return version === 1 ? writeProxyV1(nobody, nobody) : writeProxyV2(nobody, nobody);
}
