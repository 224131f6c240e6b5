/** `limit_req_zone`, `limit_req` and their settings. */
import type { LimitReqConfig } from '../../model-access.ts';
import { parseNumber } from '../../units.ts';
import { Args, Context, HTTP_ALL } from '../context.ts';
import { directive, table } from '../directive.ts';
import { limitDirectives, limitSettings, limitZonesSlot, readLimitZone } from '../limits.ts';
import type { LimitRaw } from '../limits.ts';
import { locationPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';

interface LimitReqRaw extends LimitRaw {
  limits?: LimitReqConfig['limits'];
}
const limitReqSlot = slot<LimitReqRaw>('limit_req', () => ({}));
const pick = (cf: Conf): LimitReqRaw => cf.scope.loc.get(limitReqSlot);
const loc = table<LimitReqRaw>(pick);

/** `rate=10r/s` in thousandths of a request in a second. */
function readRate(cf: Conf, arg: string): number | null {
  if (!arg.startsWith('rate=')) return null;
  const scale = arg.endsWith('r/m') ? 60 : 1;
  const rate = parseNumber(arg.slice(5).replace(/r\/[sm]$/, ''));
  if (rate === null || rate === 0) throw cf.error(`invalid rate "${arg}"`);
  return Math.floor((rate * 1000) / scale);
}

/** `nodelay`: more than any burst. */
const NO_DELAY = Number.MAX_SAFE_INTEGER;

function limitReq(cf: Conf, raw: LimitReqRaw): string | void {
  let zone: string | null = null;
  let burst = 0;
  let delay = 0;
  const count = (name: string, arg: string): number => {
    const value = parseNumber(arg.slice(name.length + 1));
    if (value === null || value === 0) throw cf.error(`invalid ${name} value "${arg}"`);
    return value * 1000;
  };
  for (const arg of cf.args.slice(1)) {
    if (arg.startsWith('zone=')) zone = arg.slice(5);
    else if (arg.startsWith('burst=')) burst = count('burst', arg);
    else if (arg.startsWith('delay=')) delay = count('delay', arg);
    else if (arg === 'nodelay') delay = NO_DELAY;
    else throw cf.error(`invalid parameter "${arg}"`);
  }
  if (zone === null) throw cf.error('"limit_req" must have "zone" parameter');
  cf.addZone(zone, 0, 'limit_req');
  raw.limits ??= [];
  if (raw.limits.some((limit) => limit.zone === zone)) return 'is duplicate';
  raw.limits.push({ zone, burst, delay });
}

export const limitReqModule: ModuleDef = {
  name: 'limit_req',
  directives: [
    directive('limit_req_zone', Context.http, Args.three, (cf) => {
      readLimitZone(cf, 'req', (arg) => readRate(cf, arg));
    }),
    loc.custom('limit_req', HTTP_ALL, Args.oneToThree, limitReq),
    ...limitDirectives('limit_req', pick),
  ],
  location: locationPart<LimitReqRaw>({
    slot: limitReqSlot,
    result: (raw) => ({ limitReq: { limits: raw.limits ?? [], ...limitSettings(raw) } }),
  }),
  http: (build) => ({ limitZones: build.block.main.get(limitZonesSlot).zones }),
};
