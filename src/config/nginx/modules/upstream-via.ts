/** Directives of `upstream` beyond nginx: what `via=` and heartbeats of its servers go by. */
import { Args, UPSTREAM_BLOCK } from '../context.ts';
import { directive } from '../directive.ts';
import type { Directive } from '../directive.ts';
import { readTunnelKey } from '../tunnel-key.ts';
import { groupOf } from '../upstreams.ts';
import { readHeartbeat } from '../via.ts';
import { sslDirectives } from './upstream-ssl.ts';

export const viaDirectives: readonly Directive[] = [
  ...sslDirectives('via_', (cf) => groupOf(cf).viaDefaults.ssl, UPSTREAM_BLOCK),
  directive('tunnel_key', UPSTREAM_BLOCK, Args.two, (cf) => {
    groupOf(cf).viaDefaults.keys.push(readTunnelKey(cf));
  }),
  directive('heartbeat', UPSTREAM_BLOCK, Args.oneOrMore | Args.none, (cf): string | void => {
    const { viaDefaults } = groupOf(cf);
    if (viaDefaults.heartbeat !== null) return 'is duplicate';
    viaDefaults.heartbeat = readHeartbeat(cf, cf.args.slice(1));
  }),
];
