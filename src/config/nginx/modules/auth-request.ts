/** `auth_request`, `auth_request_set`. */
import type { AuthRequestConfig } from '../../model-content.ts';
import { Args, HTTP_ALL } from '../context.ts';
import { table } from '../directive.ts';
import { locationPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import { slot } from '../scope.ts';
import { checkValue, defineVariable } from '../variables.ts';

interface AuthRequestRaw {
  /** Empty: `off`. */
  uri?: string;
  sets?: AuthRequestConfig['sets'];
}

const authRequestSlot = slot<AuthRequestRaw>('auth_request', () => ({}));
const loc = table<AuthRequestRaw>((cf) => cf.scope.loc.get(authRequestSlot));

export const authRequestModule: ModuleDef = {
  name: 'auth_request',
  directives: [
    loc.custom('auth_request', HTTP_ALL, Args.one, (cf, raw): string | void => {
      if (raw.uri !== undefined) return 'is duplicate';
      const uri = cf.args[1] as string;
      raw.uri = uri === 'off' ? '' : uri;
    }),
    loc.custom('auth_request_set', HTTP_ALL, Args.two, (cf, raw) => {
      const [, name = '', value = ''] = cf.args;
      if (!name.startsWith('$')) throw cf.error(`invalid variable name "${name}"`);
      const variable = defineVariable(cf, name.slice(1));
      raw.sets = [...(raw.sets ?? []), { variable, value: checkValue(cf, value) }];
    }),
  ],
  location: locationPart<AuthRequestRaw>({
    slot: authRequestSlot,
    result: (raw) =>
      raw.uri === undefined || raw.uri === '' ? {} : { authRequest: { uri: raw.uri, sets: raw.sets ?? [] } },
  }),
};
