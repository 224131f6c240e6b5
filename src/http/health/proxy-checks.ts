/** Checks of locations with `proxy_pass` and `grpc_pass`: by HTTP/1, HTTP/2 or gRPC, with the location's fields. */
import { Buffer } from 'node:buffer';
import type { CheckedLocation } from '../../config/health-checks.ts';
import type { GrpcConfig, HealthCheckConfig, LocationConfig, ProxyConfig } from '../../config/model.ts';
import { GrpcProbeKind } from '../../health/grpc-probe.ts';
import type { Matcher } from '../../health/match.ts';
import type { ProbeKind } from '../../health/probe.ts';
import type { Output } from '../../net/output.ts';
import { localOf } from '../proxy/dial.ts';
import { ProxyPlan } from '../proxy/plan.ts';
import type { OutgoingRequest } from '../proxy/upstream-channel.ts';
import type { CommonParts } from '../proxy/upstream-plan.ts';
import type { HttpRequest } from '../request.ts';
import { HttpProbeKind } from './http-probe.ts';
import { CheckMaker, type MakerEnv } from './maker.ts';
import { PlainProbeKind } from './plain-probe.ts';
import type { ProbeRequest } from './probe-request.ts';

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

interface Field {
  name: string;
  constant: boolean;
  value: (r: HttpRequest) => string;
}

export class ProxyChecks extends CheckMaker {
  protected readonly settings: ProxyConfig | GrpcConfig;
  protected readonly identity: unknown;
  readonly #fields: Field[];

  constructor(env: MakerEnv, checked: CheckedLocation) {
    super(env, checked);
    const { location, pass } = this;
    this.settings = location.handler.kind === 'grpc' ? location.grpc! : location.proxy;
    this.identity = this.settings.setHeaders;
    const fields = this.settings.setHeaders.filter(({ name }) => !OWN_FIELDS.has(name.toLowerCase()));
    this.#fields = fields.map(({ name, value }) => {
      const compiled = this.variables.compile(value);
      return { name, constant: compiled.constant !== null, value: (r) => compiled.get(r) };
    });
    if (!fields.some(({ name }) => name.toLowerCase() === 'host'))
      this.#fields.unshift({ name: 'Host', constant: true, value: () => pass.hostHeader });
  }

  protected kind(check: HealthCheckConfig, matcher: Matcher): ProbeKind {
    const request = this.request(check.uri);
    const parts = this.parts(this.settings.ssl);
    if (check.type === 'grpc') return this.#grpc(check, request, parts);
    const settings = this.common(check, matcher, request);
    const bytes = this.#composer(check, request);
    const plan = new ProbePlan(this.location, parts, check.uri, bytes);
    const { r } = request;
    const plain = plan.tls === null && plan.alpn.length === 0 && plan.group!.vias === null;
    if (!plain) return new HttpProbeKind({ ...settings, request, plan });
    const { bind } = plan;
    const localAddress = bind === null ? (): null => null : () => localOf(r, bind.get(r));
    return new PlainProbeKind({ ...settings, request: bytes, localAddress });
  }

  /** What makes the bytes of a request: the same each time, unless variables are in it. */
  #composer(check: HealthCheckConfig, request: ProbeRequest): () => Buffer {
    if (this.#fields.some(({ constant }) => !constant)) {
      return () => {
        request.begin();
        return Buffer.from(this.#compose(check, request.r), 'latin1');
      };
    }
    const bytes = Buffer.from(this.#compose(check, request.r), 'latin1');
    return () => bytes;
  }

  #compose({ uri, keepaliveTimeMs }: HealthCheckConfig, r: HttpRequest): string {
    const old = this.location.proxy.httpVersion === '1.0';
    let text = `GET ${uri} HTTP/${old ? '1.0' : '1.1'}\r\n`;
    for (const { name, value } of this.#fields) {
      const made = value(r).replace(UNSAFE, ' ');
      if (made !== '') text += `${name}: ${made}\r\n`;
    }
    if (keepaliveTimeMs === 0) text += 'Connection: close\r\n';
    else if (old) text += 'Connection: keep-alive\r\n';
    return `${text}\r\n`;
  }

  #grpc(check: HealthCheckConfig, { r }: ProbeRequest, { tls }: CommonParts): GrpcProbeKind {
    const { connectTimeoutMs, readTimeoutMs } = this.settings;
    const host = (): string => this.#fields.find(({ name }) => name.toLowerCase() === 'host')!.value(r);
    return new GrpcProbeKind({
      service: check.grpcService,
      status: check.grpcStatus,
      secure: tls?.connectOptions(r, this.pass.hostHeader) ?? null,
      authority: host,
      headers: () =>
        this.#fields
          .filter(({ name }) => name.toLowerCase() !== 'host')
          .map(({ name, value }): [string, string] => [name.toLowerCase(), value(r).replace(UNSAFE, ' ')])
          .filter(([, value]) => value !== ''),
      connectTimeoutMs,
      readTimeoutMs,
      keepaliveTimeMs: check.keepaliveTimeMs,
    });
  }
}
