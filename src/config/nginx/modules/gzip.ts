/** `gzip` and what belongs to it, `gunzip`, `gzip_static`. */
import type { GzipConfig, GzipProxied } from '../../model-answers.ts';
import { Args, Context, HTTP_ALL } from '../context.ts';
import { bounds, table } from '../directive.ts';
import { locationPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import { inherit, slot } from '../scope.ts';
import { checkRegex } from '../variables.ts';

interface GzipRaw extends Partial<Omit<GzipConfig, 'httpVersion'>> {
  httpVersion?: '1.0' | '1.1';
}
const gzipSlot = slot<GzipRaw>('gzip', () => ({}));
const loc = table<GzipRaw>((cf) => cf.scope.loc.get(gzipSlot));

const PROXIED: readonly GzipProxied[] = [
  'off',
  'expired',
  'no-cache',
  'no-store',
  'private',
  'no_last_modified',
  'no_etag',
  'auth',
  'any',
];

const DEFAULTS: GzipConfig = {
  on: false,
  gunzip: false,
  static: 'off',
  types: [],
  minLength: 20,
  level: 1,
  vary: false,
  httpVersion: 11,
  proxied: ['off'],
  disable: [],
  disableMsie6: false,
};

export const gzipModule: ModuleDef = {
  name: 'gzip',
  directives: [
    loc.flag('gzip', HTTP_ALL | Context.ifInLocation, 'on'),
    loc.flag('gunzip', HTTP_ALL, 'gunzip'),
    loc.choice('gzip_static', HTTP_ALL, 'static', ['off', 'on', 'always']),
    loc.custom('gzip_types', HTTP_ALL, Args.oneOrMore, (cf, raw) => {
      raw.types ??= [];
      for (const arg of cf.args.slice(1)) {
        const type = arg.toLowerCase();
        if (raw.types.includes(type) || type === 'text/html') cf.warn(`duplicate MIME type "${arg}"`);
        else raw.types.push(type);
      }
    }),
    loc.size('gzip_min_length', HTTP_ALL, 'minLength'),
    loc.number('gzip_comp_level', HTTP_ALL, 'level', bounds(1, 9)),
    loc.flag('gzip_vary', HTTP_ALL, 'vary'),
    loc.choice('gzip_http_version', HTTP_ALL, 'httpVersion', ['1.0', '1.1']),
    loc.words('gzip_proxied', HTTP_ALL, Args.oneOrMore, 'proxied', PROXIED),
    loc.custom('gzip_disable', HTTP_ALL, Args.oneOrMore, (cf, raw) => {
      for (const arg of cf.args.slice(1)) {
        if (arg === 'msie6') raw.disableMsie6 = true;
        else if (arg === 'degradation') cf.warn('"degradation" is not supported, ignored');
        else raw.disable = [...(raw.disable ?? []), checkRegex(cf, arg, true)];
      }
    }),
  ],
  location: locationPart<GzipRaw>({
    slot: gzipSlot,
    result: ({ httpVersion, ...raw }) => ({
      gzip: {
        ...DEFAULTS,
        ...(inherit(null, raw) as Partial<GzipConfig>),
        httpVersion: httpVersion === '1.0' ? 10 : 11,
      },
    }),
  }),
};
