/** `add_before_body`, `add_after_body`, `addition_types`. */
import { HTTP_ALL } from '../context.ts';
import { table } from '../directive.ts';
import { locationPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import { slot } from '../scope.ts';
import { HTML_TYPES, readTypes, TYPES_ARGS } from '../types-list.ts';

interface AdditionRaw {
  /** Empty: none, though the block around has one. */
  before?: string;
  after?: string;
  types?: string[];
}

const additionSlot = slot<AdditionRaw>('addition', () => ({}));
const loc = table<AdditionRaw>((cf) => cf.scope.loc.get(additionSlot));

export const additionModule: ModuleDef = {
  name: 'addition',
  directives: [
    loc.text('add_before_body', HTTP_ALL, 'before'),
    loc.text('add_after_body', HTTP_ALL, 'after'),
    loc.custom('addition_types', HTTP_ALL, TYPES_ARGS, (cf, raw) => {
      raw.types = readTypes(cf, raw.types);
    }),
  ],
  location: locationPart<AdditionRaw>({
    slot: additionSlot,
    result(raw) {
      const before = raw.before || null;
      const after = raw.after || null;
      if (before === null && after === null) return {};
      return { addition: { before, after, types: raw.types ?? [...HTML_TYPES] } };
    },
  }),
};
