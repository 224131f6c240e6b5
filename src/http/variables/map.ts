/** `map`: a variable whose value is chosen by the value of others. */
import type { MapConfig } from '../../config/model.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import { HostMatcher } from './host-match.ts';
import { RequestRegex } from './regex.ts';
import type { CaptureSlots } from './regex.ts';
import type { Getter, Value } from './value.ts';

/** nginx's limit for variables that need variables. */
const MAX_DEPTH = 100;
let depth = 0;

export interface MapContext extends CaptureSlots {
  compile(text: string): Value;
}

/**
 * Compiles a map.
 *
 * @returns its getter, without caching: the table adds that unless the map is volatile
 */
export function compileMap(config: MapConfig, context: MapContext): Getter {
  const source = context.compile(config.source);
  const fallback = context.compile(config.default);
  const names = new HostMatcher<Value>();
  for (const [key, value] of config.exact) names.addExact(key.toLowerCase(), context.compile(value));
  for (const { kind, name, value } of config.wildcards) {
    if (kind === 'suffix') names.addSuffix(name, context.compile(value));
    else names.addPrefix(name, context.compile(value));
  }
  const regexes = config.regexes.map((entry) => ({
    regex: new RequestRegex(entry.regex, context),
    value: context.compile(entry.value),
  }));

  const choose = (r: HttpRequest): Value => {
    let key = source.get(r);
    if (config.hostnames && key.endsWith('.')) key = key.slice(0, -1);
    const value = names.find(key.toLowerCase());
    if (value !== undefined) return value;
    // nginx tries no expression on an empty value.
    if (key !== '') for (const entry of regexes) if (entry.regex.exec(r, key)) return entry.value;
    return fallback;
  };

  return (r) => {
    if (depth >= MAX_DEPTH) {
      logRequest(r, 'error', `cycle while evaluating variable "${config.variable}"`);
      return null;
    }
    depth++;
    try {
      return choose(r).get(r);
    } finally {
      depth--;
    }
  };
}
