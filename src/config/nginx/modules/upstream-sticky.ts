/** `sticky cookie | route | learn`, and its ancestor `sticky_cookie_insert`. */
import type { StickyConfig } from '../../model.ts';
import { parseSize, parseTime } from '../../units.ts';
import { hasVariables } from '../../value.ts';
import { Args, Context, UPSTREAM_BLOCK, isStream } from '../context.ts';
import { directive } from '../directive.ts';
import type { Directive } from '../directive.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';
import { checkValue, useVariable } from '../variables.ts';
import { MIN_ZONE_SIZE, groupOf } from '../upstreams.ts';

const LEARN_TIMEOUT_MS = 600_000;
const SAME_SITE = ['strict', 'lax', 'none'];

/** Zones of `learn`: each belongs to one group. */
const zonesSlot = slot<{ owners: Map<string, string> }>('sticky.zones', () => ({ owners: new Map() }));

/** A text that nginx puts after `"sticky" directive`. */
class Refusal extends Error {}

function sticky(cf: Conf): string | void {
  const group = groupOf(cf);
  if (group.sticky !== null) return 'is duplicate';
  const mode = cf.args[1] as string;
  group.methodSeen = true;
  try {
    if (mode === 'cookie' && !isStream(cf.context)) group.sticky = cookie(cf, cf.args.slice(2));
    else if (mode === 'route') group.sticky = route(cf);
    else if (mode === 'learn') group.sticky = learn(cf, group.name);
    else throw cf.error(`unknown parameter "${mode}"`);
  } catch (error) {
    if (error instanceof Refusal) return error.message;
    throw error;
  }
}

type CookieConfig = Extract<StickyConfig, { mode: 'cookie' }>;

function cookie(cf: Conf, args: string[]): CookieConfig {
  const [name = '', ...options] = args;
  if (name === '') throw new Refusal('empty cookie name');
  const config: CookieConfig = {
    mode: 'cookie',
    name,
    expires: null,
    domain: null,
    httpOnly: false,
    secure: false,
    sameSite: null,
    path: null,
  };

  const seen = new Set<string>();
  for (const option of options) {
    const [key = '', text] = option.split(/=(.*)/s);
    const isWord = key === 'httponly' || key === 'secure';
    const known = isWord ? text === undefined : text !== undefined && /^(domain|path|expires|samesite)$/.test(key);
    if (!known) throw cf.error(`unknown parameter "${option}"`);
    if (seen.has(key)) throw new Refusal(`parameter "${key}" is duplicate`);
    seen.add(key);
    setCookieOption(cf, config, key, text ?? '');
  }
  useVariable(cf, `cookie_${name}`);
  return config;
}

function setCookieOption(cf: Conf, config: CookieConfig, key: string, text: string): void {
  switch (key) {
    case 'domain':
      if (text === '') throw new Refusal('no value for "domain"');
      config.domain = checkValue(cf, text);
      return;
    case 'path':
      if (text === '') throw new Refusal('no value for "path"');
      config.path = text;
      return;
    case 'expires': {
      const time = text === 'max' ? 'max' : parseTime(text, 's');
      if (time === null) throw new Refusal('invalid "expires" parameter value');
      config.expires = time;
      return;
    }
    case 'samesite':
      checkValue(cf, text);
      if (!hasVariables(text) && !SAME_SITE.includes(text.toLowerCase())) {
        throw new Refusal('invalid "samesite" parameter value');
      }
      config.sameSite = text;
      return;
    case 'httponly':
      config.httpOnly = true;
      return;
    default:
      config.secure = true;
  }
}

function route(cf: Conf): StickyConfig {
  const variables = cf.args.slice(2).map((arg) => {
    if (!arg.startsWith('$')) throw cf.error(`invalid variable name "${arg}"`);
    return useVariable(cf, arg.slice(1));
  });
  return { mode: 'route', variables };
}

function learnZone(text: string): { name: string; size: number } {
  const colon = text.indexOf(':');
  if (colon < 0) throw new Refusal('zone size is not specified');
  if (colon === 0) throw new Refusal('zone name is not specified');
  const size = parseSize(text.slice(colon + 1));
  if (size === null) throw new Refusal('invalid zone size');
  if (size < MIN_ZONE_SIZE) throw new Refusal('zone is too small');
  return { name: text.slice(0, colon), size };
}

function learn(cf: Conf, groupName: string): StickyConfig {
  const create: string[] = [];
  const lookup: string[] = [];
  let zone: { name: string; size: number } | null = null;
  let timeoutMs: number | null = null;
  let header = false;

  for (const option of cf.args.slice(2)) {
    const [key = '', text] = option.split(/=(.*)/s);
    switch (text === undefined ? key : `${key}=`) {
      case 'zone=':
        if (zone !== null) throw new Refusal('duplicate zone');
        zone = learnZone(text as string);
        break;
      case 'timeout=':
        if (timeoutMs !== null) throw new Refusal('duplicate timeout');
        timeoutMs = parseTime(text as string, 'ms');
        if (!timeoutMs) throw new Refusal('invalid timeout');
        break;
      case 'create=':
      case 'lookup=': {
        const value = text as string;
        if (!value.startsWith('$')) throw new Refusal(`missing variable in the "${key}" parameter`);
        (key === 'create' ? create : lookup).push(useVariable(cf, value.slice(1)));
        break;
      }
      case 'header':
        header = true;
        break;
      default:
        throw cf.error(`unknown parameter "${option}"`);
    }
  }

  if (lookup.length === 0) throw new Refusal('"lookup" parameter is not specified');
  // In stream a session is known by what it brings: there is nothing else to create it from.
  if (create.length === 0 && isStream(cf.context)) create.push(...lookup);
  if (create.length === 0) throw new Refusal('"create" parameter is not specified');
  if (zone === null) throw new Refusal('"zone" parameter is not specified');
  cf.addZone(zone.name, zone.size, 'http_upstream_sticky');
  const { owners } = cf.cycle.core.get(zonesSlot);
  const owner = owners.get(zone.name);
  if (owner !== undefined) throw cf.error(`sticky zone "${zone.name}" is already used in upstream "${owner}"`);
  owners.set(zone.name, groupName);
  return { mode: 'learn', create, lookup, zone, timeoutMs: timeoutMs ?? LEARN_TIMEOUT_MS, header };
}

/** `sticky_cookie_insert name [expires=] [domain=] [path=]`: the form before 1.5.7. */
function cookieInsert(cf: Conf): string | void {
  const group = groupOf(cf);
  if (group.sticky !== null) return 'is duplicate';
  cf.warn('the "sticky_cookie_insert" directive is deprecated, use the "sticky" directive instead');
  group.methodSeen = true;
  try {
    group.sticky = cookie(cf, cf.args.slice(1));
  } catch (error) {
    if (error instanceof Refusal) return error.message;
    throw error;
  }
}

export const stickyDirectives: readonly Directive[] = [
  directive('sticky', UPSTREAM_BLOCK, Args.twoOrMore, sticky),
  directive('sticky_cookie_insert', Context.upstream, Args.oneToFour, cookieInsert),
];
