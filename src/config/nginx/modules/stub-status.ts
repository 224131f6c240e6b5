/** `stub_status`: counters of the process as a page. */
import { Args, Context } from '../context.ts';
import { directive } from '../directive.ts';
import type { ModuleDef } from '../module.ts';
import { nodeSlot } from '../nodes.ts';

export const stubStatus: ModuleDef = {
  name: 'stub_status',
  directives: [
    // Versions before 1.7.5 wanted an argument, which still may stand there.
    directive('stub_status', Context.server | Context.location, Args.none | Args.one, (cf) => {
      cf.scope.loc.get(nodeSlot).handler = { kind: 'stub_status' };
    }),
  ],
};
