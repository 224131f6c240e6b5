/** `mirror`: copies of requests to other locations, whose answers nobody waits for. */
import { Args, HTTP_ALL } from '../context.ts';
import { table } from '../directive.ts';
import { locationPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import { slot } from '../scope.ts';

interface MirrorRaw {
  /** Empty: `off`. */
  uris?: string[];
  requestBody?: boolean;
}

const mirrorSlot = slot<MirrorRaw>('mirror', () => ({}));
const loc = table<MirrorRaw>((cf) => cf.scope.loc.get(mirrorSlot));

export const mirrorModule: ModuleDef = {
  name: 'mirror',
  directives: [
    loc.custom('mirror', HTTP_ALL, Args.one, (cf, raw): string | void => {
      const uri = cf.args[1] as string;
      if (uri === 'off') {
        if (raw.uris !== undefined) return 'is duplicate';
        raw.uris = [];
        return;
      }
      if (raw.uris?.length === 0) return 'is duplicate';
      raw.uris = [...(raw.uris ?? []), uri];
    }),
    loc.flag('mirror_request_body', HTTP_ALL, 'requestBody'),
  ],
  location: locationPart<MirrorRaw>({
    slot: mirrorSlot,
    result: (raw) =>
      raw.uris === undefined || raw.uris.length === 0
        ? {}
        : { mirror: { uris: raw.uris, requestBody: raw.requestBody ?? true } },
  }),
};
