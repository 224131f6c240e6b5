/** `add_header`, `add_trailer`, their `_inherit`, `expires`. */
import type { HeadersConfig } from '../../model.ts';
import { parseTime } from '../../units.ts';
import { hasVariables } from '../../value.ts';
import { Args, Context, HTTP_ALL } from '../context.ts';
import { table } from '../directive.ts';
import { locationPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import type { Conf } from '../parser.ts';
import { inherit, slot } from '../scope.ts';
import { checkValue } from '../variables.ts';

type Headers = HeadersConfig['addHeaders'];
type Inherit = 'on' | 'off' | 'merge';

interface HeadersRaw {
  addHeaders?: Headers;
  addTrailers?: Headers;
  headersInherit?: Inherit;
  trailersInherit?: Inherit;
  expires?: string;
}
const headersSlot = slot<HeadersRaw>('headers', () => ({}));
const loc = table<HeadersRaw>((cf) => cf.scope.loc.get(headersSlot));
const CONTEXTS = HTTP_ALL | Context.ifInLocation;
const DAY_SECONDS = 24 * 60 * 60;

function add(key: 'addHeaders' | 'addTrailers') {
  return (cf: Conf, raw: HeadersRaw): void => {
    const [, name = '', value = '', always] = cf.args;
    checkValue(cf, value);
    if (always !== undefined && always !== 'always') throw cf.error(`invalid parameter "${always}"`);
    raw[key] = [...(raw[key] ?? []), { name, value, always: always !== undefined }];
  };
}

function expires(cf: Conf, raw: HeadersRaw): string | void {
  if (raw.expires !== undefined) return 'is duplicate';
  const args = cf.args.slice(1);
  const modified = args.length === 2;
  if (modified && args[0] !== 'modified') return 'invalid value';
  const text = args[args.length - 1] as string;
  checkValue(cf, text);
  raw.expires = args.join(' ');
  if (hasVariables(text)) return;

  if (!modified && (text === 'epoch' || text === 'max' || text === 'off')) return;
  if (text.startsWith('@')) {
    if (modified) return 'daily time cannot be used with "modified" parameter';
    const time = parseTime(text.slice(1), 's');
    if (time === null) return 'invalid value';
    return time > DAY_SECONDS ? 'daily time value must be less than 24 hours' : undefined;
  }
  return parseTime(text.replace(/^[+-]/, ''), 's') === null ? 'invalid value' : undefined;
}

/** Inherited as a whole where a block has none of its own; `merge` adds the parent's behind, `off` takes none. */
function mergeList(parent: Headers | undefined, child: Headers | undefined, mode: Inherit): Headers | undefined {
  if (mode === 'off' || parent === undefined) return child;
  if (child === undefined) return parent;
  return mode === 'merge' ? [...child, ...parent] : child;
}

export const headersModule: ModuleDef = {
  name: 'headers',
  directives: [
    loc.custom('expires', CONTEXTS, Args.oneOrTwo, expires),
    loc.custom('add_header', CONTEXTS, Args.twoOrThree, add('addHeaders')),
    loc.custom('add_trailer', CONTEXTS, Args.twoOrThree, add('addTrailers')),
    loc.choice('add_header_inherit', CONTEXTS, 'headersInherit', ['on', 'off', 'merge']),
    loc.choice('add_trailer_inherit', CONTEXTS, 'trailersInherit', ['on', 'off', 'merge']),
  ],
  location: locationPart<HeadersRaw>({
    slot: headersSlot,

    merge(parent, child) {
      const merged = inherit(parent, child);
      merged.addHeaders = mergeList(parent?.addHeaders, child.addHeaders, merged.headersInherit ?? 'on');
      merged.addTrailers = mergeList(parent?.addTrailers, child.addTrailers, merged.trailersInherit ?? 'on');
      return merged;
    },

    result: (raw) => ({
      headers: {
        addHeaders: raw.addHeaders ?? [],
        addTrailers: raw.addTrailers ?? [],
        expires: raw.expires === undefined || raw.expires === 'off' ? null : raw.expires,
      },
    }),
  }),
};
