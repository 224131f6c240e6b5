/** `proxy_cache_path` and its like: directories of cached answers and the memory of their keys. */
import { decodeText } from '../../bytes.ts';
import type { CachePace, CacheZoneConfig } from '../../cache-model.ts';
import { parseNumber, parseOffset, parseSize, parseTime } from '../../units.ts';
import { Args, Context } from '../context.ts';
import { directive } from '../directive.ts';
import type { Directive } from '../directive.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';

/** nginx wants two pages. */
const MIN_ZONE = 8192;
const MAX_LEVELS = 3;

/** All caches of `http`, in order. */
export const cachesSlot = slot<{ caches: CacheZoneConfig[] }>('caches', () => ({ caches: [] }));

/** What zones of a module are declared as: the same name cannot be used by two modules. */
export function zoneTag(module: string): string {
  return `http_${module}_cache`;
}

interface Draft extends Omit<CacheZoneConfig, 'name' | 'size'> {
  name: string;
  size: number;
}

type Setter = (cf: Conf, draft: Draft, value: string) => boolean;

/** A number, or what else is wrong is said as `invalid NAME value "ARGUMENT"`. */
function take<T>(parse: (text: string) => T | null, put: (draft: Draft, value: T) => void): Setter {
  return (_cf, draft, text) => {
    const value = parse(text);
    if (value === null) return false;
    put(draft, value);
    return true;
  };
}

function pace(kind: 'loader' | 'manager' | 'purger'): Record<string, Setter> {
  const set = (key: keyof CachePace) => (draft: Draft, value: number) => void (draft[kind][key] = value);
  return {
    [`${kind}_files`]: take(parseNumber, set('files')),
    [`${kind}_sleep`]: take((text) => parseTime(text, 'ms'), set('sleepMs')),
    [`${kind}_threshold`]: take((text) => parseTime(text, 'ms'), set('thresholdMs')),
  };
}

const onOff = (text: string): boolean | null => (text === 'on' ? true : text === 'off' ? false : null);

const PARAMETERS: Record<string, Setter> = {
  keys_zone: keysZone,
  inactive: take(
    (text) => parseTime(text, 's'),
    (draft, value) => void (draft.inactiveSec = value),
  ),
  max_size: take(parseOffset, (draft, value) => void (draft.maxSize = value)),
  min_free: take(parseOffset, (draft, value) => void (draft.minFree = value)),
  ...pace('loader'),
  ...pace('manager'),
  ...pace('purger'),
};

function keysZone(cf: Conf, draft: Draft, text: string): boolean {
  const colon = text.indexOf(':');
  const size = colon < 0 ? null : parseSize(text.slice(colon + 1));
  if (size === null) throw cf.error(`invalid keys zone size "keys_zone=${text}"`);
  if (size < MIN_ZONE) throw cf.error(`keys zone "keys_zone=${text}" is too small`);
  draft.name = text.slice(0, colon);
  draft.size = size;
  return true;
}

function levels(cf: Conf, argument: string): number[] {
  const list = argument.slice('levels='.length).split(':');
  const good = list.length <= MAX_LEVELS && list.every((level) => level === '1' || level === '2');
  if (!good) throw cf.error(`invalid "levels" "${argument}"`);
  return list.map(Number);
}

/** @param module `proxy`, `fastcgi` and so on */
export function cachePath(module: string): Directive {
  const name = `${module}_cache_path`;
  return directive(name, Context.http, Args.twoOrMore, (cf) => {
    const draft: Draft = {
      name: '',
      size: 0,
      dir: decodeText(cf.cycle.fullName((cf.args[1] as string).replace(/(.)\/$/, '$1'))),
      levels: [],
      useTempPath: true,
      inactiveSec: 600,
      maxSize: null,
      minFree: 0,
      loader: { files: 100, sleepMs: 50, thresholdMs: 200 },
      manager: { files: 100, sleepMs: 50, thresholdMs: 200 },
      purger: { files: 10, sleepMs: 50, thresholdMs: 50 },
      purges: false,
    };
    for (const argument of cf.args.slice(2)) parameter(cf, draft, argument);
    if (draft.name === '') throw cf.error(`"${name}" must have "keys_zone" parameter`);
    const conflict = cf.cycle.addZone(draft.name, draft.size, zoneTag(module));
    if (conflict !== null) throw cf.error(conflict);
    const { caches } = cf.scope.main.get(cachesSlot);
    if (caches.some((cache) => cache.name === draft.name)) throw cf.error(`duplicate zone "${draft.name}"`);
    caches.push(draft);
  });
}

function parameter(cf: Conf, draft: Draft, argument: string): void {
  const equals = argument.indexOf('=');
  const key = argument.slice(0, Math.max(0, equals));
  const value = argument.slice(equals + 1);
  if (key === 'levels') {
    draft.levels = levels(cf, argument);
    return;
  }
  if (key === 'use_temp_path' || key === 'purger') {
    const flag = onOff(value);
    if (flag === null) throw cf.error(`invalid ${key} value "${argument}", it must be "on" or "off"`);
    if (key === 'purger') draft.purges = flag;
    else draft.useTempPath = flag;
    return;
  }
  const set = PARAMETERS[key];
  if (set === undefined) throw cf.error(`invalid parameter "${argument}"`);
  if (!set(cf, draft, value)) throw cf.error(`invalid ${key} value "${argument}"`);
}
