/** `tunnel_pass` and what goes with it (ngx_http_tunnel_module): CONNECT requests become tunnels. */
import type { UpstreamSettings } from '../../model.ts';
import { Args, Context, HTTP_ALL } from '../context.ts';
import { table } from '../directive.ts';
import { locationPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import { effectiveHandler } from '../nodes.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';
import { serverRawSlot } from './http-core-srv.ts';
import { passSetter, passSettings, peerDirectives } from './upstream-pass.ts';
import type { PassRaw } from './upstream-pass.ts';

interface TunnelRaw extends PassRaw {
  sendLowat?: number;
}

const tunnelSlot = slot<TunnelRaw>('tunnel', () => ({}));
const pick = (cf: Conf): TunnelRaw => cf.scope.loc.get(tunnelSlot);
const loc = table<TunnelRaw>(pick);
const pass = passSetter('tunnel', ['tunnel'], '$host:$request_port');

export const tunnelModule: ModuleDef = {
  name: 'tunnel',
  directives: [
    loc.custom(
      'tunnel_pass',
      Context.server | Context.location | Context.ifInLocation,
      Args.none | Args.one,
      (cf): string | void => {
        cf.scope.srv.get(serverRawSlot).allowConnect = true;
        return pass(cf);
      },
    ),
    ...peerDirectives('tunnel_', pick, ['error', 'timeout', 'off']),
    loc.size('tunnel_socket_rcvbuf', HTTP_ALL, 'socketRcvbuf'),
    loc.size('tunnel_socket_sndbuf', HTTP_ALL, 'socketSndbuf'),
    loc.size('tunnel_send_lowat', HTTP_ALL, 'sendLowat', (cf) =>
      cf.warn('"tunnel_send_lowat" is not supported, ignored'),
    ),
  ],
  location: locationPart<TunnelRaw>({
    slot: tunnelSlot,
    result(raw, node, build) {
      if (effectiveHandler(node)?.kind !== 'tunnel') return {};
      const tunnel: UpstreamSettings = {
        ...passSettings(raw, 'tunnel_', node, build),
        passRequestHeaders: false,
        passRequestBody: false,
        buffering: false,
      };
      return { tunnel };
    },
  }),
};
