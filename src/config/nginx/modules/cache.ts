/** `proxy_cache*`, `proxy_no_cache`, `proxy_store*` and their like of other modules: what a location does with a cache. */
import type { CacheConfig, TempPath, UseStale } from '../../cache-model.ts';
import { parseNumber, parseTime } from '../../units.ts';
import { hasVariables } from '../../value.ts';
import { Args, HTTP_ALL } from '../context.ts';
import { table, tempPath } from '../directive.ts';
import type { Directive } from '../directive.ts';
import { at, ConfigError } from '../../errors.ts';
import type { Build } from '../module.ts';
import type { LocationNode } from '../nodes.ts';
import type { Conf } from '../parser.ts';
import { checkValue } from '../variables.ts';
import { cachesSlot, zoneTag } from './cache-path.ts';

/** What the directives of one block said. */
export interface CacheRaw {
  /** Null: `off`. */
  cache?: string | null;
  cacheKey?: string;
  cacheValid?: { status: number; sec: number }[];
  cacheMethods?: string[];
  cacheMinUses?: number;
  cacheBypass?: string[];
  noCache?: string[];
  cacheUseStale?: string[];
  cacheLock?: boolean;
  cacheLockTimeoutMs?: number;
  cacheLockAgeMs?: number;
  cacheRevalidate?: boolean;
  cacheBackgroundUpdate?: boolean;
  cacheConvertHead?: boolean;
  cacheMaxRangeOffset?: number;
  cachePurge?: string[];
  /** Null: `off`. */
  store?: { path: string | null } | null;
  storeAccess?: number;
  tempPath?: TempPath;
}

const METHODS = 'GET HEAD POST'.split(' ');
const MIN_STATUS = 100;
const MAX_STATUS = 599;

function cache(module: string, cf: Conf, raw: CacheRaw): string | void {
  if (raw.cache !== undefined) return 'is duplicate';
  const text = cf.args[1] as string;
  if (text === 'off') {
    raw.cache = null;
    return;
  }
  if (raw.store) return `is incompatible with "${module}_store"`;
  checkValue(cf, text);
  if (!hasVariables(text)) {
    if (text === '') throw cf.error('invalid zone name ""');
    const conflict = cf.cycle.addZone(text, 0, zoneTag(module));
    if (conflict !== null) throw cf.error(conflict);
  }
  raw.cache = text;
}

function store(module: string, cf: Conf, raw: CacheRaw): string | void {
  if (raw.store !== undefined) return 'is duplicate';
  const text = cf.args[1] as string;
  if (text === 'off') {
    raw.store = null;
    return;
  }
  if (text === '') throw cf.error('empty path');
  if (raw.cache) return `is incompatible with "${module}_cache"`;
  raw.store = { path: text === 'on' ? null : checkValue(cf, text) };
}

/** `user:rw group:rw all:r`: who may do what with files. */
function storeAccess(cf: Conf, raw: CacheRaw): string | void {
  if (raw.storeAccess !== undefined) return 'is duplicate';
  let access = 0o600;
  for (const arg of cf.args.slice(1)) {
    const match = /^(user|group|all):(r|rw)$/.exec(arg);
    if (match === null) throw cf.error(`invalid value "${arg}"`);
    const bits = match[2] === 'rw' ? 6 : 4;
    if (match[1] === 'user') access |= bits << 6;
    else if (match[1] === 'group') access |= bits << 3;
    else access |= bits | (bits << 3);
  }
  raw.storeAccess = access;
}

function valid(cf: Conf, raw: CacheRaw): void {
  const words = cf.args.slice(1);
  const time = words.pop() as string;
  const sec = parseTime(time, 's');
  if (sec === null) throw cf.error(`invalid time value "${time}"`);
  const statuses = words.length === 0 ? [200, 301, 302] : words.map((word) => statusOf(cf, word));
  raw.cacheValid = [...(raw.cacheValid ?? []), ...statuses.map((status) => ({ status, sec }))];
}

function statusOf(cf: Conf, word: string): number {
  if (word === 'any') return 0;
  const status = parseNumber(word);
  if (status === null || status < MIN_STATUS || status > MAX_STATUS) throw cf.error(`invalid status "${word}"`);
  return status;
}

/** Conditions: true when one of the values is neither empty nor `0`. */
function conditions(key: 'cacheBypass' | 'noCache' | 'cachePurge') {
  return (cf: Conf, raw: CacheRaw): void => {
    for (const arg of cf.args.slice(1)) checkValue(cf, arg);
    raw[key] = [...(raw[key] ?? []), ...cf.args.slice(1)];
  };
}

/**
 * The directives of a module.
 *
 * @param prefix `proxy_`, `fastcgi_` and so on
 * @param staleWords what `_cache_use_stale` may name besides `updating` and `off`
 */
export function cacheDirectives(
  prefix: string,
  pick: (cf: Conf) => CacheRaw,
  staleWords: readonly string[],
): Directive[] {
  const own = table<CacheRaw>(pick);
  const module = prefix.slice(0, -1);
  const name = (rest: string): string => prefix + rest;
  return [
    own.custom(name('cache'), HTTP_ALL, Args.one, (cf, raw) => cache(module, cf, raw)),
    own.value(name('cache_key'), HTTP_ALL, 'cacheKey'),
    own.custom(name('cache_valid'), HTTP_ALL, Args.oneOrMore, valid),
    own.words(name('cache_methods'), HTTP_ALL, Args.oneOrMore, 'cacheMethods', METHODS),
    own.number(name('cache_min_uses'), HTTP_ALL, 'cacheMinUses'),
    own.custom(name('cache_bypass'), HTTP_ALL, Args.oneOrMore, conditions('cacheBypass')),
    own.custom(name('no_cache'), HTTP_ALL, Args.oneOrMore, conditions('noCache')),
    own.custom(name('cache_purge'), HTTP_ALL, Args.oneOrMore, conditions('cachePurge')),
    own.words(name('cache_use_stale'), HTTP_ALL, Args.oneOrMore, 'cacheUseStale', [...staleWords, 'updating', 'off']),
    own.flag(name('cache_lock'), HTTP_ALL, 'cacheLock'),
    own.msec(name('cache_lock_timeout'), HTTP_ALL, 'cacheLockTimeoutMs'),
    own.msec(name('cache_lock_age'), HTTP_ALL, 'cacheLockAgeMs'),
    own.flag(name('cache_revalidate'), HTTP_ALL, 'cacheRevalidate'),
    own.flag(name('cache_background_update'), HTTP_ALL, 'cacheBackgroundUpdate'),
    ...(module === 'proxy' ? [own.flag(name('cache_convert_head'), HTTP_ALL, 'cacheConvertHead')] : []),
    own.offset(name('cache_max_range_offset'), HTTP_ALL, 'cacheMaxRangeOffset'),
    own.custom(name('store'), HTTP_ALL, Args.one, (cf, raw) => store(module, cf, raw)),
    own.custom(name('store_access'), HTTP_ALL, Args.oneToThree, storeAccess),
    own.custom(name('temp_path'), HTTP_ALL, Args.oneToFour, (cf, raw) => {
      if (raw.tempPath !== undefined) return 'is duplicate';
      const dir = tempPath(cf);
      if (dir === null) return 'invalid value';
      raw.tempPath = { dir, levels: cf.args.slice(2).map(Number) };
      return undefined;
    }),
  ];
}

/** The cache of a location; null: it has none. @throws {ConfigError} if there is no such zone */
export function finishCache(module: string, raw: CacheRaw, node: LocationNode, build: Build): CacheConfig | null {
  if (raw.cache === undefined || raw.cache === null) return null;
  const { caches } = build.block.main.get(cachesSlot);
  if (!hasVariables(raw.cache) && !caches.some(({ name }) => name === raw.cache)) {
    throw new ConfigError(`"${module}_cache" zone "${raw.cache}" is unknown`, node.place, at(node.place));
  }
  return {
    zone: raw.cache,
    key: raw.cacheKey ?? (module === 'proxy' ? null : ''),
    valid: raw.cacheValid ?? [],
    methods: [...new Set(['GET', 'HEAD', ...(raw.cacheMethods ?? [])])],
    minUses: raw.cacheMinUses ?? 1,
    bypass: raw.cacheBypass ?? [],
    noCache: raw.noCache ?? [],
    useStale: useStale(raw.cacheUseStale ?? []),
    lock: raw.cacheLock ?? false,
    lockTimeoutMs: raw.cacheLockTimeoutMs ?? 5000,
    lockAgeMs: raw.cacheLockAgeMs ?? 5000,
    revalidate: raw.cacheRevalidate ?? false,
    backgroundUpdate: raw.cacheBackgroundUpdate ?? false,
    convertHead: raw.cacheConvertHead ?? module === 'proxy',
    maxRangeOffset: raw.cacheMaxRangeOffset ?? null,
    purge: raw.cachePurge ?? [],
  };
}

function useStale(words: readonly string[]): UseStale {
  const listed = words.includes('off') ? [] : words;
  return {
    error: listed.includes('error'),
    timeout: listed.includes('timeout'),
    invalidHeader: listed.includes('invalid_header'),
    updating: listed.includes('updating'),
    statuses: listed
      .filter((word) => word.startsWith('http_'))
      .map((word) => Number(word.slice('http_'.length)))
      .sort((a, b) => a - b),
  };
}

/** Where temporary files stand: nginx's `proxy_temp` in the prefix with two levels, if nothing else is said. */
export function finishTempPath(module: string, raw: CacheRaw, build: Build): TempPath {
  return raw.tempPath ?? { dir: `${build.cycle.prefix}${module}_temp`, levels: [1, 2] };
}
