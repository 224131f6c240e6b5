/** `map`: a variable whose value is chosen by the value of others. */
import type { LogLevel, MapConfig } from '../config/model.ts';
import type { VariableContext } from './context.ts';
import { HostMatcher } from './host-match.ts';
import { CaptureRegex } from './regex.ts';
import type { CaptureSlots } from './regex.ts';
import type { Getter, Value } from './value.ts';

/** nginx's limit for variables that need variables. */
const MAX_DEPTH = 100;
let depth = 0;

/** What a map needs of the variables around it. */
export interface MapTable<C extends VariableContext> extends CaptureSlots {
  compile(text: string): Value<C>;
  report(c: C, level: LogLevel, message: string): void;
}

/**
 * Compiles a map.
 *
 * @returns its getter, without caching: the table adds that unless the map is volatile
 */
export function compileMap<C extends VariableContext>(config: MapConfig, table: MapTable<C>): Getter<C> {
  const source = table.compile(config.source);
  const fallback = table.compile(config.default);
  const names = new HostMatcher<Value<C>>();
  for (const [key, value] of config.exact) names.addExact(key.toLowerCase(), table.compile(value));
  for (const { kind, name, value } of config.wildcards) {
    if (kind === 'suffix') names.addSuffix(name, table.compile(value));
    else names.addPrefix(name, table.compile(value));
  }
  const regexes = config.regexes.map((entry) => ({
    regex: new CaptureRegex(entry.regex, table),
    value: table.compile(entry.value),
  }));

  const choose = (c: C): Value<C> => {
    let key = source.get(c);
    if (config.hostnames && key.endsWith('.')) key = key.slice(0, -1);
    const value = names.find(key.toLowerCase());
    if (value !== undefined) return value;
    // nginx tries no expression on an empty value.
    if (key !== '') for (const entry of regexes) if (entry.regex.exec(c, key)) return entry.value;
    return fallback;
  };

  return (c) => {
    if (depth >= MAX_DEPTH) {
      table.report(c, 'error', `cycle while evaluating variable "${config.variable}"`);
      return null;
    }
    depth++;
    try {
      return choose(c).get(c);
    } finally {
      depth--;
    }
  };
}
