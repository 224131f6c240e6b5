/** `map source $variable { … }`. */
import type { MapConfig } from '../../model.ts';
import { Args, Context } from '../context.ts';
import { directive } from '../directive.ts';
import { HostNameSet, parseHostName } from '../hostnames.ts';
import type { ModuleDef } from '../module.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';
import { checkRegex, checkValue, defineVariable } from '../variables.ts';

const mapsSlot = slot<{ maps: MapConfig[] }>('map', () => ({ maps: [] }));

function map(cf: Conf): void {
  const [, source = '', name = ''] = cf.args;
  checkValue(cf, source);
  if (!name.startsWith('$')) throw cf.error(`invalid variable name "${name}"`);
  const config: MapConfig = {
    source,
    variable: defineVariable(cf, name.slice(1)),
    hostnames: false,
    volatile: false,
    default: '',
    exact: [],
    wildcards: [],
    regexes: [],
  };
  cf.scope.main.get(mapsSlot).maps.push(config);

  const names = new HostNameSet();
  const state = { hasDefault: false };
  cf.lines((line) => entry(line, config, names, state));
}

function entry(cf: Conf, config: MapConfig, names: HostNameSet, state: { hasDefault: boolean }): void {
  const { args } = cf;
  if (args.length === 1 && (args[0] === 'hostnames' || args[0] === 'volatile')) {
    config[args[0]] = true;
    return;
  }
  if (args.length !== 2) throw cf.error('invalid number of the map parameters');
  let [key = '', value = ''] = args;
  if (key === 'include') {
    cf.include();
    return;
  }

  checkValue(cf, value);
  if (key === 'default') {
    if (state.hasDefault) throw cf.error('duplicate default map parameter');
    state.hasDefault = true;
    config.default = value;
    return;
  }
  if (key.startsWith('~')) {
    const caseless = key.startsWith('~*');
    config.regexes.push({ regex: checkRegex(cf, key.slice(caseless ? 2 : 1), caseless), value });
    return;
  }

  // A leading backslash is for keys that begin like something else.
  if (key.startsWith('\\')) key = key.slice(1);
  const name = config.hostnames ? parseHostName(key) : { exact: key.toLowerCase(), wildcard: null };
  if (name === null) throw cf.error(`invalid hostname or wildcard "${key}"`);
  if (!names.add(name)) throw cf.error(`conflicting parameter "${key.toLowerCase()}"`);
  if (name.exact !== null) config.exact.push([name.exact, value]);
  if (name.wildcard !== null) config.wildcards.push({ ...name.wildcard, value });
}

export const mapModule: ModuleDef = {
  name: 'map',
  directives: [directive('map', Context.http | Context.stream, Args.two, map, true)],
  http: (build) => ({ maps: build.block.main.get(mapsSlot).maps }),
  stream: (build) => ({ maps: build.block.main.get(mapsSlot).maps }),
};
