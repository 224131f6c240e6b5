/** Parts that `limit_req` and `limit_conn` share: zones, and what is done to those who exceed. */
import type { LimitSettings, LimitZoneConfig } from '../model-access.ts';
import type { LogLevel } from '../model.ts';
import { parseSize } from '../units.ts';
import { ALL, HTTP_ALL, isStream } from './context.ts';
import { bounds, table } from './directive.ts';
import type { Directive } from './directive.ts';
import type { Conf } from './parser.ts';
import { slot } from './scope.ts';
import { checkValue } from './variables.ts';

/** Zones of one protocol block; a slot of its main level. */
export const limitZonesSlot = slot<{ zones: LimitZoneConfig[] }>('limit_zones', () => ({ zones: [] }));

/** nginx takes eight pages at least. */
const MIN_SIZE = 8 * 4096;

/**
 * Reads a `limit_…_zone key zone=name:size …`.
 *
 * @param parameter reads another parameter; null: it is none
 * @throws {ConfigError}
 */
export function readLimitZone(
  cf: Conf,
  kind: LimitZoneConfig['kind'],
  parameter: (arg: string) => number | null,
): void {
  const [directive = '', key = ''] = cf.args;
  checkValue(cf, key);
  let name = '';
  let size = 0;
  // One request a second, unless it is told.
  let rate = kind === 'req' ? 1000 : 0;
  for (const arg of cf.args.slice(2)) {
    if (!arg.startsWith('zone=')) {
      const value = parameter(arg);
      if (value === null) throw cf.error(`invalid parameter "${arg}"`);
      rate = value;
      continue;
    }
    const colon = arg.indexOf(':');
    const bytes = colon < 0 ? null : parseSize(arg.slice(colon + 1));
    if (bytes === null) throw cf.error(`invalid zone size "${arg}"`);
    if (bytes < MIN_SIZE) throw cf.error(`zone "${arg}" is too small`);
    name = arg.slice(5, colon);
    size = bytes;
  }
  if (name === '') throw cf.error(`"${directive}" must have "zone" parameter`);
  cf.addZone(name, size, isStream(cf.context) ? `stream_limit_${kind}` : `limit_${kind}`);
  const { zones } = cf.scope.main.get(limitZonesSlot);
  const known = zones.find((zone) => zone.name === name);
  if (known !== undefined) throw cf.error(`${directive} "${name}" is already bound to key "${known.key}"`);
  zones.push({ kind, name, size, key, rate });
}

/** Fields of a raw object that `limitDirectives` write. */
export interface LimitRaw {
  logLevel?: LogLevel;
  status?: number;
  dryRun?: boolean;
}

const LEVELS = ['info', 'notice', 'warn', 'error'] as const;

/** `…_log_level`, `…_status`, `…_dry_run`. */
export function limitDirectives(prefix: 'limit_req' | 'limit_conn', pick: (cf: Conf) => LimitRaw): Directive[] {
  const loc = table<LimitRaw>(pick);
  // Requests are http's alone, and so are statuses of one's own.
  const contexts = prefix === 'limit_conn' ? ALL : HTTP_ALL;
  return [
    loc.choice(`${prefix}_log_level`, contexts, 'logLevel', LEVELS),
    loc.number(`${prefix}_status`, HTTP_ALL, 'status', bounds(400, 599)),
    loc.flag(`${prefix}_dry_run`, contexts, 'dryRun'),
  ];
}

export function limitSettings({ logLevel, status, dryRun }: LimitRaw): LimitSettings {
  return { logLevel: logLevel ?? 'error', status: status ?? 503, dryRun: dryRun ?? false };
}
