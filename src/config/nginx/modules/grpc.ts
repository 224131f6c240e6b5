/** `grpc_pass` and what goes with it (ngx_http_grpc_module). */
import type { GrpcConfig } from '../../model.ts';
import { Args, Context, HTTP_ALL } from '../context.ts';
import { table } from '../directive.ts';
import { locationPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import { effectiveHandler, nodeSlot } from '../nodes.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';
import { checkValue } from '../variables.ts';
import { NEXT_UPSTREAM, passSetter, passSettings, peerDirectives, relayDirectives } from './upstream-pass.ts';
import type { PassRaw } from './upstream-pass.ts';
import { finishUpstreamSsl, sslDirectives, usesTls } from './upstream-ssl.ts';
import type { SslRaw } from './upstream-ssl.ts';

interface GrpcRaw extends PassRaw, SslRaw {
  setHeaders?: GrpcConfig['setHeaders'];
}

const grpcSlot = slot<GrpcRaw>('grpc', () => ({}));
const pick = (cf: Conf): GrpcRaw => cf.scope.loc.get(grpcSlot);
const loc = table<GrpcRaw>(pick);

/** Answers always stream, and so do requests: of what other families have, the rest has no meaning here. */
const RELAYS = new Set(
  'socket_rcvbuf socket_sndbuf hide_header pass_header ignore_headers intercept_errors'
    .split(' ')
    .map((name) => `grpc_${name}`),
);
const NEXT = [...NEXT_UPSTREAM.filter((word) => word !== 'updating'), 'http_502', 'http_504'];

const setPass = passSetter('grpc', ['grpc', 'grpcs']);

/** `:authority` is host and port as they are written. */
function grpcPass(cf: Conf): string | void {
  const problem = setPass(cf);
  if (typeof problem === 'string') return problem;
  const { handler } = cf.scope.loc.get(nodeSlot);
  if (handler?.kind !== 'grpc') return;
  const { pass } = handler;
  if (pass.port !== '') pass.hostHeader = `${pass.hostHeader}:${pass.port}`;
}

export const grpcModule: ModuleDef = {
  name: 'grpc',
  directives: [
    loc.custom('grpc_pass', Context.location | Context.ifInLocation, Args.one, grpcPass),
    loc.custom('grpc_set_header', HTTP_ALL, Args.two, (cf, raw) => {
      const [, name = '', value = ''] = cf.args;
      raw.setHeaders = [...(raw.setHeaders ?? []), { name, value: checkValue(cf, value) }];
    }),
    ...peerDirectives('grpc_', pick, NEXT),
    ...relayDirectives('grpc_', pick).filter(({ name }) => RELAYS.has(name)),
    ...sslDirectives('grpc_', pick),
  ],
  location: locationPart<GrpcRaw>({
    slot: grpcSlot,
    result(raw, node, build) {
      if (effectiveHandler(node)?.kind !== 'grpc') return {};
      const grpc: GrpcConfig = {
        // There is one buffer, for the answer's head.
        ...passSettings({ ...raw, buffers: { count: 8, size: raw.bufferSize ?? 4096 } }, 'grpc_', node, build),
        buffering: false,
        requestBuffering: false,
        passTrailers: true,
        setHeaders: raw.setHeaders ?? [],
        ssl: finishUpstreamSsl(raw, 'grpc_', usesTls(node, 'grpc'), node.place, build),
      };
      return { grpc };
    },
  }),
};
