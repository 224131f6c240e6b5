/** The plan of a location that passes gRPC on (`grpc_pass`): requests and answers stream both ways, trailers pass. */
import type { GrpcConfig } from '../../../config/model.ts';
import type { Output } from '../../../net/output.ts';
import type { HttpRequest } from '../../request.ts';
import { H } from '../../wire/known.ts';
import { hideTable, REQUEST_HIDDEN, RESPONSE_HIDDEN } from '../hide.ts';
import { targetOf } from '../request-writer.ts';
import type { OutgoingRequest } from '../upstream-channel.ts';
import { UpstreamPlan } from '../upstream-plan.ts';
import type { CommonParts, SplitTarget } from '../upstream-plan.ts';
import { compileSegments, composeBlock, composeTe } from './compose.ts';
import type { BlockPlan } from './compose.ts';
import { Http2Upstream } from './http2-upstream.ts';

/** `X-Pad` is a matter of old HTTP/1 servers. */
const HIDDEN = RESPONSE_HIDDEN.filter((name) => name !== 'X-Pad');

export class GrpcPlan extends UpstreamPlan {
  override readonly alpn: string[] = ['h2'];
  override readonly streamsUnknown = true;
  readonly #block: BlockPlan;
  /** The configuration says itself which `TE` goes out. */
  readonly #setsTe: boolean;

  constructor(config: GrpcConfig, parts: CommonParts) {
    super({ ...parts, settings: config, protocol: 'grpc', hidden: HIDDEN });
    const names = config.setHeaders.map((field) => field.name);
    this.#block = {
      ...compileSegments(config.setHeaders, parts.variables),
      requestHide: hideTable([...REQUEST_HIDDEN, ...names]),
      passFields: true,
    };
    this.#setsTe = names.some((name) => name.toLowerCase() === 'te');
  }

  compose(o: Output, request: OutgoingRequest): void {
    const { r } = request;
    const host = r.proxyTarget?.host ?? this.proxyHost;
    // Only what the client itself has announced: a body that streams has no length.
    const length = r.head.has(H['content-length']) ? request.bodyLength : -1;
    composeBlock(o, request, this.#block, '', host, length);
    if (!this.#setsTe) composeTe(o, r);
  }

  newChannel(): Http2Upstream {
    return new Http2Upstream();
  }

  override uriOf(r: HttpRequest): string | null {
    return targetOf(r, { target: null, replaced: 0 }, null);
  }

  override splitTarget(text: string): SplitTarget | null {
    const scheme = /^grpc(s?):\/\//i.exec(text);
    const secure = scheme !== null && scheme[1] !== '';
    return { address: scheme === null ? text : text.slice(scheme[0].length), defaultPort: 0, secure };
  }
}
