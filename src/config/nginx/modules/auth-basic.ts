/** `auth_basic`, `auth_basic_user_file`. */
import { Args, Context, HTTP_ALL } from '../context.ts';
import { table } from '../directive.ts';
import { locationPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import { slot } from '../scope.ts';
import { checkValue } from '../variables.ts';

interface AuthBasicRaw {
  realm?: string;
  userFile?: string;
}
const authBasicSlot = slot<AuthBasicRaw>('auth_basic', () => ({}));
const loc = table<AuthBasicRaw>((cf) => cf.scope.loc.get(authBasicSlot));
const CONTEXTS = HTTP_ALL | Context.limitExcept;

export const authBasicModule: ModuleDef = {
  name: 'auth_basic',
  directives: [
    loc.value('auth_basic', CONTEXTS, 'realm'),
    loc.custom('auth_basic_user_file', CONTEXTS, Args.one, (cf, raw): string | void => {
      if (raw.userFile !== undefined) return 'is duplicate';
      const text = cf.args[1] as string;
      raw.userFile = checkValue(cf, text.startsWith('$') ? text : cf.cycle.fullName(text, 'conf'));
    }),
  ],
  location: locationPart<AuthBasicRaw>({
    slot: authBasicSlot,
    result: (raw) => ({
      authBasic: {
        realm: raw.realm === undefined || raw.realm === 'off' ? null : raw.realm,
        userFile: raw.userFile ?? null,
      },
    }),
  }),
};
