/** `keyval_zone` and `keyval`: variables whose values are found by keys, and changed while everything runs. */
import { decodeText, encodeText } from '../../bytes.ts';
import { ConfigError, at } from '../../errors.ts';
import { parseKeyvalState, StateFault } from '../../keyval-state.ts';
import type { KeyvalConfig, KeyvalRecord, KeyvalType, KeyvalZoneConfig } from '../../model-variables.ts';
import { parseSize, parseTime } from '../../units.ts';
import { Args, Context, isStream } from '../context.ts';
import { errnoText } from '../cycle.ts';
import { directive } from '../directive.ts';
import type { ModuleDef } from '../module.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';
import { checkValue, defineVariable } from '../variables.ts';

/** Of one protocol block; a slot of its main level. */
const keyvalSlot = slot<{ zones: KeyvalZoneConfig[]; keyvals: KeyvalConfig[] }>('keyval', () => ({
  zones: [],
  keyvals: [],
}));

/** nginx takes eight pages at least. */
const MIN_SIZE = 8 * 4096;

const isType = (text: string): text is KeyvalType => text === 'string' || text === 'ip' || text === 'prefix';

function zoneTag(cf: Conf): string {
  return isStream(cf.context) ? 'stream_keyval' : 'keyval';
}

/** Reads `zone=name:size`. */
function readZone(cf: Conf, arg: string): { name: string; size: number } {
  const colon = arg.indexOf(':');
  const size = colon < 0 ? null : parseSize(arg.slice(colon + 1));
  if (size === null) throw cf.error(`invalid zone size "${arg}"`);
  const name = arg.slice('zone='.length, colon);
  if (name === '') throw cf.error(`invalid zone name "${arg}"`);
  if (size < MIN_SIZE) throw cf.error(`zone "${arg}" is too small`);
  return { name, size };
}

function keyvalZone(cf: Conf): void {
  const zone: KeyvalZoneConfig = { name: '', size: 0, type: 'string', timeoutMs: 0, stateFile: null, records: [] };
  let sync = false;
  for (const arg of cf.args.slice(1)) {
    const [name = '', text] = arg.split(/=(.*)/s);
    const invalid = () => cf.error(`invalid parameter "${arg}"`);
    if (name === 'zone' && text !== undefined) Object.assign(zone, readZone(cf, arg));
    else if (name === 'state' && text !== undefined && text !== '')
      zone.stateFile = decodeText(cf.cycle.fullName(text));
    else if (name === 'timeout' && text !== undefined) {
      const ms = parseTime(text, 'ms');
      if (ms === null || ms === 0) throw cf.error(`invalid timeout value "${arg}"`);
      zone.timeoutMs = ms;
    } else if (name === 'type' && text !== undefined) {
      if (!isType(text)) throw cf.error(`invalid type "${arg}", it must be "string", "ip" or "prefix"`);
      zone.type = text;
    } else if (arg === 'sync') sync = true;
    else throw invalid();
  }
  if (zone.name === '') throw cf.error('"keyval_zone" must have "zone" parameter');
  if (sync && zone.timeoutMs === 0) throw cf.error('"sync" requires "timeout"');
  if (sync)
    cf.warn(`"sync" of keyval_zone "${zone.name}" has no effect: there is no zone_sync, each node has its own pairs`);
  const { zones } = cf.scope.main.get(keyvalSlot);
  if (zones.some(({ name }) => name === zone.name)) throw cf.error(`duplicate keyval_zone "${zone.name}"`);
  cf.addZone(zone.name, zone.size, zoneTag(cf));
  if (zone.stateFile !== null) {
    claimState(cf, zone.stateFile, zone.name);
    zone.records = readState(cf, zone.stateFile, zone.type);
  }
  zones.push(zone);
}

/** Zones by the file of their state, of http and stream alike. */
const stateSlot = slot<{ owners: Map<string, string> }>('keyval.state', () => ({ owners: new Map() }));

/** Two zones that write one file would each undo what the other one has written. */
function claimState(cf: Conf, file: string, zone: string): void {
  const { owners } = cf.cycle.core.get(stateSlot);
  const owner = owners.get(file);
  if (owner !== undefined) throw cf.error(`state file "${file}" is already used by keyval_zone "${owner}"`);
  owners.set(file, zone);
}

/** What a state file holds; one that does not exist yet holds nothing. */
function readState(cf: Conf, file: string, type: KeyvalType): KeyvalRecord[] {
  let text: string;
  try {
    text = cf.cycle.readFile(encodeText(file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw cf.error(`open() "${file}" failed (${errnoText(error)})`);
  }
  try {
    return parseKeyvalState(text, type);
  } catch (error) {
    if (!(error instanceof StateFault)) throw error;
    const place = { file, line: error.line };
    throw new ConfigError(error.message, place, at(place));
  }
}

function keyval(cf: Conf): void {
  const [, key = '', name = '', zoneArg = ''] = cf.args;
  checkValue(cf, key);
  if (!name.startsWith('$')) throw cf.error(`invalid variable name "${name}"`);
  const variable = defineVariable(cf, name.slice(1));
  const zone = zoneArg.startsWith('zone=') ? zoneArg.slice('zone='.length) : '';
  if (zone === '') throw cf.error(`invalid parameter "${zoneArg}"`);
  // The zone may be defined further down.
  cf.addZone(zone, 0, zoneTag(cf));
  cf.scope.main.get(keyvalSlot).keyvals.push({ key, variable, zone });
}

/** Absent where there is none, as configurations without it are to stay what they are. */
function result({ zones, keyvals }: ReturnType<typeof keyvalSlot.create>): {
  keyvalZones?: KeyvalZoneConfig[];
  keyvals?: KeyvalConfig[];
} {
  return {
    ...(zones.length > 0 ? { keyvalZones: zones } : null),
    ...(keyvals.length > 0 ? { keyvals } : null),
  };
}

export const keyvalModule: ModuleDef = {
  name: 'keyval',
  directives: [
    directive('keyval_zone', Context.http | Context.stream, Args.oneOrMore, keyvalZone),
    directive('keyval', Context.http | Context.stream, Args.three, keyval),
  ],
  http: (build) => result(build.block.main.get(keyvalSlot)),
  stream: (build) => result(build.block.main.get(keyvalSlot)),
};
