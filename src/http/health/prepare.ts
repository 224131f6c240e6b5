/**
 * What `health_check` in locations becomes: checks that know no configuration any more. A probe goes out as the
 * location's requests would: its fields, its timeouts, its TLS. There is no client and no request: variables that speak
 * of them are empty.
 */
import { Buffer } from 'node:buffer';
import { dirname } from 'node:path';
import { type CheckedLocation, checkedLocations } from '../../config/health-checks.ts';
import type {
  Config,
  GrpcConfig,
  HealthCheckConfig,
  HttpConfig,
  LocationConfig,
  ProxyConfig,
  ServerConfig,
} from '../../config/model.ts';
import { compileMatch, GOOD_STATUS, type Matcher } from '../../health/match.ts';
import type { HealthCheck } from '../../health/monitor.ts';
import type { ProbeKind } from '../../health/probe.ts';
import { GrpcProbeKind } from '../../health/grpc-probe.ts';
import { viasOf } from '../../net/via.ts';
import type { ErrorLog } from '../../observe/error-log.ts';
import type { UpstreamGroup } from '../proxy/group.ts';
import { localOf } from '../proxy/dial.ts';
import { ProxyPlan } from '../proxy/plan.ts';
import { UpstreamTls } from '../proxy/tls.ts';
import type { OutgoingRequest } from '../proxy/upstream-channel.ts';
import type { CommonParts } from '../proxy/upstream-plan.ts';
import { TargetBook } from '../../upstream/target-book.ts';
import type { Output } from '../../net/output.ts';
import { type ClientChannel, HttpRequest, type UpstreamTrace } from '../request.ts';
import { Location, Server, HttpGeneration } from '../runtime.ts';
import { VariableTable } from '../variables/table.ts';
import { RequestHead } from '../wire/request-head.ts';
import type { HttpAnswer } from './answer.ts';
import { HttpProbeKind } from './http-probe.ts';
import { PlainProbeKind } from './plain-probe.ts';

/** The checks of each group that has any, by index into `HttpConfig.upstreams`. */
export function prepareChecks(config: Config, http: HttpConfig, log: ErrorLog): Map<number, HealthCheck[]> {
  const variables = new VariableTable(http, { prefix: config.prefix });
  const matchers = new Map((http.matches ?? []).map((match) => [match.name, compileMatch(match)]));
  const checks = new Map<number, HealthCheck[]>();
  for (const checked of checkedLocations(http)) {
    const maker = new CheckMaker(config, http, checked, variables, log);
    for (const check of checked.location.healthChecks!) {
      const made = maker.make(check, check.match === null ? GOOD_STATUS : matchers.get(check.match)!);
      checks.set(checked.upstream, [...(checks.get(checked.upstream) ?? []), made]);
    }
  }
  return checks;
}

/** Fields that only the probe may write. */
const OWN_FIELDS = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'upgrade', 'te']);
const UNSAFE = /[\r\n\0]|[^\x00-\xff]/g;

/** The location's plan with a request of its own. */
class ProbePlan extends ProxyPlan {
  readonly #uri: string;
  readonly #bytes: () => Buffer;

  constructor(location: LocationConfig, parts: CommonParts, uri: string, bytes: () => Buffer) {
    // it is GET whatever proxy_method says
    super({ ...location, proxy: { ...location.proxy, method: null } }, location.match, parts);
    this.#uri = uri;
    this.#bytes = bytes;
  }

  override compose(o: Output, request: OutgoingRequest): void {
    if (this.alpn.length > 0) super.compose(o, { ...request, uri: this.#uri });
    else {
      const bytes = this.#bytes();
      o.bytes(bytes, 0, bytes.length);
    }
  }
}

class CheckMaker {
  readonly #location: LocationConfig;
  readonly #variables: VariableTable;
  /** Of the family that the location passes requests with. */
  readonly #settings: ProxyConfig | GrpcConfig;
  readonly #parts: CommonParts;
  readonly #request: HttpRequest;
  readonly #fields: { name: string; constant: boolean; value: (r: HttpRequest) => string }[];

  constructor(
    config: Config,
    http: HttpConfig,
    { location, server, upstream }: CheckedLocation,
    variables: VariableTable,
    log: ErrorLog,
  ) {
    this.#location = location;
    this.#variables = variables;
    const { handler } = location;
    if (handler.kind !== 'proxy' && handler.kind !== 'grpc')
      throw new TypeError('a check of a location that does not proxy');
    const { pass } = handler;
    const settings = handler.kind === 'grpc' ? location.grpc! : location.proxy;
    this.#settings = settings;
    const secure = pass.scheme === 'https' || pass.scheme === 'grpcs';
    const tls = secure ? new UpstreamTls(settings.ssl, variables, dirname(config.file)) : null;
    // its name and its settings are needed, not its peers
    const book = new TargetBook<UpstreamGroup>(() => {
      throw new TypeError('probes go to servers of a group, not to targets that variables name');
    });
    const group = http.upstreams[upstream]!;
    const vias = viasOf(group, (level, message) => log.write(level, message));
    const named = { config: group, vias } as UpstreamGroup;
    this.#parts = { pass, group: named, tls, variables, book, serial: 0 };
    this.#request = blankRequest(new HttpGeneration(0, http, variables, log), location, server, log);

    const fields = settings.setHeaders.filter(({ name }) => !OWN_FIELDS.has(name.toLowerCase()));
    this.#fields = fields.map(({ name, value }) => {
      const compiled = variables.compile(value);
      return { name, constant: compiled.constant !== null, value: (r) => compiled.get(r) };
    });
    if (!fields.some(({ name }) => name.toLowerCase() === 'host'))
      this.#fields.unshift({ name: 'Host', constant: true, value: () => pass.hostHeader });
  }

  make(check: HealthCheckConfig, matcher: Matcher): HealthCheck {
    const { place: _, ...rules } = check;
    return {
      id: JSON.stringify([rules, this.#location.name, this.#settings.setHeaders]),
      name: matcher.name,
      intervalMs: check.intervalMs,
      jitterMs: check.jitterMs,
      fails: check.fails,
      passes: check.passes,
      mandatory: check.mandatory,
      port: check.port,
      kind: check.type === 'grpc' ? this.#grpc(check) : this.#http(check, matcher),
    };
  }

  #http(check: HealthCheckConfig, matcher: Matcher): ProbeKind {
    const { connectTimeoutMs, sendTimeoutMs, readTimeoutMs, bufferSize } = this.#settings;
    const { keepaliveTimeMs } = check;
    const settings = {
      matcher,
      connectTimeoutMs,
      sendTimeoutMs,
      readTimeoutMs,
      headLimit: bufferSize,
      keepaliveTimeMs,
      variable: (name: string, answer: HttpAnswer) => this.#variable(name, answer),
    };
    const request = this.#request;
    const bytes = this.#composer(check);
    const plan = new ProbePlan(this.#location, this.#parts, check.uri, bytes);
    if (plan.tls !== null || plan.alpn.length > 0) return new HttpProbeKind({ ...settings, request, plan });
    const { bind } = plan;
    const localAddress = bind === null ? (): null => null : () => localOf(request, bind.get(request));
    return new PlainProbeKind({ ...settings, request: bytes, localAddress });
  }

  /** What makes the bytes of a request: the same each time, unless variables are in it. */
  #composer(check: HealthCheckConfig): () => Buffer {
    if (this.#fields.some(({ constant }) => !constant)) return () => Buffer.from(this.#compose(check), 'latin1');
    const bytes = Buffer.from(this.#compose(check), 'latin1');
    return () => bytes;
  }

  #compose({ uri, keepaliveTimeMs }: HealthCheckConfig): string {
    const old = this.#location.proxy.httpVersion === '1.0';
    let text = `GET ${uri} HTTP/${old ? '1.0' : '1.1'}\r\n`;
    for (const { name, value } of this.#fields) {
      const made = value(this.#request).replace(UNSAFE, ' ');
      if (made !== '') text += `${name}: ${made}\r\n`;
    }
    if (keepaliveTimeMs === 0) text += 'Connection: close\r\n';
    else if (old) text += 'Connection: keep-alive\r\n';
    return `${text}\r\n`;
  }

  /** A variable once an answer is there: `$upstream_…` speak of it, and so do maps of them. */
  #variable(name: string, answer: HttpAnswer): string {
    const r = this.#request;
    const { address, status, connectMs, headerMs, responseMs, length, head } = answer;
    const attempt = { address, status, connectMs, headerMs, responseMs, responseLength: length, redirected: false };
    const trace: UpstreamTrace = {
      attempts: [{ ...attempt, bytesReceived: length, bytesSent: 0 }],
      head,
      trailers: null,
      queueMs: -1,
      lastServerName: '',
      leavesWithClient: false,
      release() {},
    };
    r.upstream = trace;
    r.vars = null;
    r.captures = null;
    const value = this.#variables.lookup(name)(r);
    r.upstream = null;
    return value ?? '';
  }

  #grpc(check: HealthCheckConfig): GrpcProbeKind {
    const { pass, tls } = this.#parts;
    const { connectTimeoutMs, readTimeoutMs } = this.#settings;
    const host = (): string => this.#fields.find(({ name }) => name.toLowerCase() === 'host')!.value(this.#request);
    return new GrpcProbeKind({
      service: check.grpcService,
      status: check.grpcStatus,
      secure: tls?.connectOptions(this.#request, pass.hostHeader) ?? null,
      authority: host,
      headers: () =>
        this.#fields
          .filter(({ name }) => name.toLowerCase() !== 'host')
          .map(({ name, value }): [string, string] => [name.toLowerCase(), value(this.#request).replace(UNSAFE, ' ')])
          .filter(([, value]) => value !== ''),
      connectTimeoutMs,
      readTimeoutMs,
      keepaliveTimeMs: check.keepaliveTimeMs,
    });
  }
}

/** A request that nobody has sent: every variable of a client is empty. */
function blankRequest(gen: HttpGeneration, location: LocationConfig, server: ServerConfig, log: ErrorLog): HttpRequest {
  const nobody = { text: '', port: 0, bytes: new Uint8Array(0) };
  const channel = {
    serial: 0,
    requestCount: 0,
    acceptedAt: 0,
    peer: nobody,
    tls: null,
    listenAddress: '',
    localAddress: () => '',
    localPort: () => 0,
  } as unknown as ClientChannel;
  const r = new HttpRequest(channel);
  const bytes = Buffer.from('GET / HTTP/1.1\r\n\r\n');
  r.head = new RequestHead();
  r.head.reset(bytes, 0);
  r.head.parse(bytes.length);
  r.client = nobody;
  r.uri = '/';
  r.gen = gen;
  r.loc = new Location(location, server, log);
  r.server = new Server(server, r.loc);
  return r;
}
