/** `charset`, `source_charset`, `override_charset`, `charset_types`, `charset_map`. */
import { ConfigError, at } from '../../errors.ts';
import type { CharsetConfig, CharsetMap, CharsetsConfig } from '../../model-answers.ts';
import { hasVariables } from '../../value.ts';
import { Args, Context, HTTP_ALL } from '../context.ts';
import { directive, table } from '../directive.ts';
import { locationPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';
import { readTypes, TYPES_ARGS } from '../types-list.ts';
import { checkValue } from '../variables.ts';

interface CharsetRaw extends Partial<CharsetConfig> {}

const charsetSlot = slot<CharsetRaw>('charset', () => ({}));
const loc = table<CharsetRaw>((cf) => cf.scope.loc.get(charsetSlot));

const charsetsSlot = slot<CharsetsConfig>('charsets', () => ({ names: [], maps: [] }));

const DEFAULT_TYPES = [
  'text/html',
  'text/xml',
  'text/plain',
  'text/vnd.wap.wml',
  'application/javascript',
  'application/rss+xml',
];

/** A code point of UTF-8 in at most three bytes. */
const MAX_UTF8 = 3;
const UTF8 = 'utf-8';

/** Notes a charset's name; out: as it was written first. */
function named(charsets: CharsetsConfig, name: string): string {
  const known = charsets.names.find((other) => other.toLowerCase() === name.toLowerCase());
  if (known !== undefined) return known;
  charsets.names.push(name);
  return name;
}

function setter(key: 'charset' | 'source') {
  return (cf: Conf, raw: CharsetRaw): string | void => {
    if (raw[key] !== undefined) return 'is duplicate';
    const text = cf.args[1] as string;
    if (key === 'charset' && text === 'off') raw.charset = null;
    else if (hasVariables(text)) raw[key] = checkValue(cf, text);
    else raw[key] = named(cf.scope.main.get(charsetsSlot), text);
  };
}

function hex(text: string): number {
  return /^[0-9a-f]+$/i.test(text) ? Number.parseInt(text, 16) : Number.NaN;
}

function charsetMap(cf: Conf): void {
  const [, first = '', second = ''] = cf.args;
  const charsets = cf.scope.main.get(charsetsSlot);
  const from = named(charsets, first);
  const to = named(charsets, second);
  if (from === to) throw cf.error(`"charset_map" between the same charsets "${first}" and "${second}"`);
  if (from.toLowerCase() === UTF8)
    throw cf.error('"charset_map" with "utf-8" charset should be given in the second column');
  if (charsets.maps.some((map) => (map.from === from && map.to === to) || (map.from === to && map.to === from)))
    throw cf.error(`duplicate "charset_map" between "${first}" and "${second}"`);

  const map: CharsetMap = { from, to, pairs: [] };
  charsets.maps.push(map);
  const utf8 = to.toLowerCase() === UTF8;
  cf.lines((line) => {
    if (line.args.length !== 2) throw line.error('invalid parameters number');
    const [left = '', right = ''] = line.args;
    const byte = hex(left);
    if (!(byte <= 255)) throw line.error(`invalid value "${left}"`);
    const bytes = utf8 ? (right.match(/../gs) ?? []).map(hex) : [hex(right)];
    const whole = !utf8 || right.length % 2 === 0;
    if (!whole || bytes.length > MAX_UTF8 || !bytes.every((b) => b <= 255) || (utf8 && !isCharacter(bytes)))
      throw line.error(`invalid value "${right}"`);
    map.pairs.push([byte, bytes]);
  });
}

/** Whether bytes are one character of UTF-8. */
function isCharacter(bytes: readonly number[]): boolean {
  const text = Buffer.from(bytes).toString('utf8');
  return [...text].length === 1 && !text.includes('\ufffd');
}

export const charsetModule: ModuleDef = {
  name: 'charset',
  directives: [
    loc.custom('charset', HTTP_ALL | Context.ifInLocation, Args.one, setter('charset')),
    loc.custom('source_charset', HTTP_ALL | Context.ifInLocation, Args.one, setter('source')),
    loc.flag('override_charset', HTTP_ALL | Context.ifInLocation, 'override'),
    loc.custom('charset_types', HTTP_ALL, TYPES_ARGS, (cf, raw) => {
      raw.types = readTypes(cf, raw.types);
    }),
    directive('charset_map', Context.http, Args.two, charsetMap, true),
  ],
  http: (build) => {
    const charsets = build.block.main.get(charsetsSlot);
    return charsets.names.length === 0 ? {} : { charsets };
  },
  location: locationPart<CharsetRaw>({
    slot: charsetSlot,
    result(raw, node, build) {
      const { charset = null, source = null, override = false, types = DEFAULT_TYPES } = raw;
      if (charset === null && source === null) return {};
      if (charset !== null && source !== null && !hasVariables(charset) && !hasVariables(source)) {
        const { maps } = build.block.main.get(charsetsSlot);
        const joined = maps.some(
          ({ from, to }) => (from === source && to === charset) || (from === charset && to === source),
        );
        if (charset !== source && !joined) {
          const text = `no "charset_map" between the charsets "${source}" and "${charset}"`;
          throw new ConfigError(text, node.place, at(node.place));
        }
      }
      return { charset: { charset, source, override, types } };
    },
  }),
};
