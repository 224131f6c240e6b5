/** `sub_filter` and its family. */
import type { SubFilterConfig } from '../../model-content.ts';
import { Args, HTTP_ALL } from '../context.ts';
import { table } from '../directive.ts';
import { locationPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import { slot } from '../scope.ts';
import { HTML_TYPES, readTypes, TYPES_ARGS } from '../types-list.ts';
import { checkValue } from '../variables.ts';

interface SubRaw {
  pairs?: SubFilterConfig['pairs'];
  types?: string[];
  once?: boolean;
  lastModified?: boolean;
}

const subSlot = slot<SubRaw>('sub_filter', () => ({}));
const loc = table<SubRaw>((cf) => cf.scope.loc.get(subSlot));

export const subFilterModule: ModuleDef = {
  name: 'sub_filter',
  directives: [
    loc.custom('sub_filter', HTTP_ALL, Args.two, (cf, raw): string | void => {
      const [, search = '', replacement = ''] = cf.args;
      if (search === '') throw cf.error('empty search pattern');
      checkValue(cf, search);
      checkValue(cf, replacement);
      raw.pairs = [...(raw.pairs ?? []), { search, replacement }];
    }),
    loc.custom('sub_filter_types', HTTP_ALL, TYPES_ARGS, (cf, raw) => {
      raw.types = readTypes(cf, raw.types);
    }),
    loc.flag('sub_filter_once', HTTP_ALL, 'once'),
    loc.flag('sub_filter_last_modified', HTTP_ALL, 'lastModified'),
  ],
  location: locationPart<SubRaw>({
    slot: subSlot,
    result: (raw) =>
      raw.pairs === undefined
        ? {}
        : {
            subFilter: {
              pairs: raw.pairs,
              types: raw.types ?? [...HTML_TYPES],
              once: raw.once ?? true,
              lastModified: raw.lastModified ?? false,
            },
          },
  }),
};
