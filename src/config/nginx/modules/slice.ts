/** `slice`: answers that are fetched in pieces (ngx_http_slice_module). */
import { HTTP_ALL } from '../context.ts';
import { table } from '../directive.ts';
import { locationPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import { slot } from '../scope.ts';

interface SliceRaw {
  slice?: number;
}

const sliceSlot = slot<SliceRaw>('slice', () => ({}));
const loc = table<SliceRaw>((cf) => cf.scope.loc.get(sliceSlot));

export const sliceModule: ModuleDef = {
  name: 'slice',
  directives: [loc.size('slice', HTTP_ALL, 'slice')],
  location: locationPart<SliceRaw>({
    slot: sliceSlot,
    result: ({ slice }) => (slice === undefined || slice === 0 ? {} : { sliceSize: slice }),
  }),
};
