/**
 * What `health_check` in locations becomes: checks that know no configuration any more. A probe goes out as the
 * location's requests would: its protocol and fields, its timeouts, its TLS.
 */
import { checkedLocations } from '../../config/health-checks.ts';
import type { Config, HttpConfig } from '../../config/model.ts';
import { compileMatch, GOOD_STATUS } from '../../health/match.ts';
import type { HealthCheck } from '../../health/monitor.ts';
import type { ErrorLog } from '../../observe/error-log.ts';
import { VariableTable } from '../variables/table.ts';
import { CgiChecks } from './cgi-checks.ts';
import { ProxyChecks } from './proxy-checks.ts';

/** The checks of each group that has any, by index into `HttpConfig.upstreams`. */
export function prepareChecks(config: Config, http: HttpConfig, log: ErrorLog): Map<number, HealthCheck[]> {
  const variables = new VariableTable(http, { prefix: config.prefix });
  const matchers = new Map((http.matches ?? []).map((match) => [match.name, compileMatch(match)]));
  const checks = new Map<number, HealthCheck[]>();
  for (const checked of checkedLocations(http)) {
    const { kind } = checked.location.handler;
    const Maker = kind === 'proxy' || kind === 'grpc' ? ProxyChecks : CgiChecks;
    const maker = new Maker({ config, http, variables, log }, checked);
    for (const check of checked.location.healthChecks!) {
      const made = maker.make(check, check.match === null ? GOOD_STATUS : matchers.get(check.match)!);
      checks.set(checked.upstream, [...(checks.get(checked.upstream) ?? []), made]);
    }
  }
  return checks;
}
