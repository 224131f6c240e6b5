/** `limit_conn_zone`, `limit_conn` and their settings. */
import type { LimitConnConfig } from '../../model-access.ts';
import { parseNumber } from '../../units.ts';
import { ALL, Args, Context, isStream } from '../context.ts';
import { directive, table } from '../directive.ts';
import { limitDirectives, limitSettings, limitZonesSlot, readLimitZone } from '../limits.ts';
import type { LimitRaw } from '../limits.ts';
import { locationPart, streamPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';

interface LimitConnRaw extends LimitRaw {
  limits?: LimitConnConfig['limits'];
}
const limitConnSlot = slot<LimitConnRaw>('limit_conn', () => ({}));
const pick = (cf: Conf): LimitConnRaw => cf.scope.loc.get(limitConnSlot);
const loc = table<LimitConnRaw>(pick);

/** Reads the `limit_conn` at hand into a list. @throws {ConfigError} */
export function readLimitConn(cf: Conf, limits: LimitConnConfig['limits']): string | void {
  const [, zone = '', text = ''] = cf.args;
  cf.addZone(zone, 0, isStream(cf.context) ? 'stream_limit_conn' : 'limit_conn');
  if (limits.some((limit) => limit.zone === zone)) return 'is duplicate';
  const connections = parseNumber(text);
  if (connections === null || connections === 0) throw cf.error(`invalid number of connections "${text}"`);
  if (connections > 65535) throw cf.error('connection limit must be less 65536');
  limits.push({ zone, connections });
}

export const limitConnModule: ModuleDef = {
  name: 'limit_conn',
  directives: [
    directive('limit_conn_zone', Context.http | Context.stream, Args.two, (cf) =>
      readLimitZone(cf, 'conn', () => null),
    ),
    loc.custom('limit_conn', ALL, Args.two, (cf, raw) => readLimitConn(cf, (raw.limits ??= []))),
    ...limitDirectives('limit_conn', pick),
  ],
  location: locationPart<LimitConnRaw>({
    slot: limitConnSlot,
    result: (raw) => ({ limitConn: { limits: raw.limits ?? [], ...limitSettings(raw) } }),
  }),
  streamServer: streamPart<LimitConnRaw>({
    slot: limitConnSlot,
    result: (raw) => ({ limitConn: { limits: raw.limits ?? [], ...limitSettings(raw) } }),
  }),
  stream: (build) => ({ limitZones: build.block.main.get(limitZonesSlot).zones }),
};
