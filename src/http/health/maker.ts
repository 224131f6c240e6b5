/** What checks of all protocols have in common: the location's settings, and a request that nobody has sent. */
import { dirname } from 'node:path';
import type { CheckedLocation } from '../../config/health-checks.ts';
import type {
  Config,
  HealthCheckConfig,
  HttpConfig,
  LocationConfig,
  ProxySslConfig,
  UpstreamPassConfig,
  UpstreamSettings,
} from '../../config/model.ts';
import type { Matcher } from '../../health/match.ts';
import { checkOf, type HealthCheck } from '../../health/monitor.ts';
import type { ProbeKind } from '../../health/probe.ts';
import { viasOf } from '../../net/via.ts';
import type { ErrorLog } from '../../observe/error-log.ts';
import { TargetBook } from '../../upstream/target-book.ts';
import type { UpstreamGroup } from '../proxy/group.ts';
import { UpstreamTls } from '../proxy/tls.ts';
import type { CommonParts } from '../proxy/upstream-plan.ts';
import { HttpGeneration } from '../runtime.ts';
import type { VariableTable } from '../variables/table.ts';
import type { HttpAnswer } from './answer.ts';
import { ProbeRequest } from './probe-request.ts';

/** What checks are made with. */
export interface MakerEnv {
  config: Config;
  http: HttpConfig;
  variables: VariableTable;
  log: ErrorLog;
}

/** Makes the checks of one location. */
export abstract class CheckMaker {
  protected readonly location: LocationConfig;
  protected readonly variables: VariableTable;
  protected readonly pass: UpstreamPassConfig;
  readonly #env: MakerEnv;
  readonly #checked: CheckedLocation;

  constructor(env: MakerEnv, checked: CheckedLocation) {
    const { handler } = checked.location;
    if (!('pass' in handler)) throw new TypeError('a check of a location that passes nothing on');
    this.#env = env;
    this.#checked = checked;
    this.location = checked.location;
    this.variables = env.variables;
    this.pass = handler.pass;
  }

  /** Of the family that the location passes requests with. */
  protected abstract readonly settings: UpstreamSettings;
  /** What of the location a probe depends on, besides its name: who changes that has another check. */
  protected abstract readonly identity: unknown;
  protected abstract kind(check: HealthCheckConfig, matcher: Matcher): ProbeKind;

  make(check: HealthCheckConfig, matcher: Matcher): HealthCheck {
    return checkOf(check, matcher.name, [this.location.name, this.identity], this.kind(check, matcher));
  }

  protected request(uri: string): ProbeRequest {
    const { http, variables, log } = this.#env;
    const { location, server } = this.#checked;
    const generation = new HttpGeneration(0, http, variables, log);
    return new ProbeRequest({ generation, location, server, variables, log }, uri);
  }

  /** @param ssl null: plain whatever the scheme says */
  protected parts(ssl: ProxySslConfig | null): CommonParts {
    const { config, http, variables, log } = this.#env;
    const secure = /^(https|grpcs|suwsgi)$/.test(this.pass.scheme);
    const tls = secure && ssl !== null ? new UpstreamTls(ssl, variables, dirname(config.file)) : null;
    const book = new TargetBook<UpstreamGroup>(() => {
      throw new TypeError('probes go to servers of a group, not to targets that variables name');
    });
    const upstream = http.upstreams[this.#checked.upstream]!;
    const vias = viasOf(upstream, (level, message) => log.write(level, message));
    // its name, its settings and its ways are needed, not its peers
    const group = { config: upstream, vias } as UpstreamGroup;
    return { pass: this.pass, group, tls, variables, book, serial: 0 };
  }

  /** What every kind of probe wants to know. */
  protected common(check: HealthCheckConfig, matcher: Matcher, request: ProbeRequest): CommonSettings {
    const { connectTimeoutMs, sendTimeoutMs, readTimeoutMs, bufferSize: headLimit } = this.settings;
    const variable = (name: string, answer: HttpAnswer): string => request.valueAfter(name, answer);
    const { keepaliveTimeMs } = check;
    return { matcher, connectTimeoutMs, sendTimeoutMs, readTimeoutMs, headLimit, keepaliveTimeMs, variable };
  }
}

export interface CommonSettings {
  matcher: Matcher;
  connectTimeoutMs: number;
  sendTimeoutMs: number;
  readTimeoutMs: number;
  headLimit: number;
  keepaliveTimeMs: number;
  variable: (name: string, answer: HttpAnswer) => string;
}
