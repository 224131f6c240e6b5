/** `allow`, `deny`. */
import { parseCidr } from '../../address.ts';
import type { AccessRule } from '../../model-access.ts';
import { ALL, Args, Context } from '../context.ts';
import { table } from '../directive.ts';
import { locationPart, streamPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';

interface AccessRaw {
  rules?: AccessRule[];
}
const accessSlot = slot<AccessRaw>('access', () => ({}));
const loc = table<AccessRaw>((cf) => cf.scope.loc.get(accessSlot));
const CONTEXTS = ALL | Context.limitExcept;

/** Reads the network of the `allow` or `deny` at hand. @throws {ConfigError} if it is none */
export function accessRule(cf: Conf): AccessRule {
  const [name, text = ''] = cf.args;
  const deny = name === 'deny';
  if (text === 'all' || text === 'unix:') return { deny, network: text };
  const cidr = parseCidr(text);
  if (cidr === null) throw cf.error(`invalid parameter "${text}"`);
  if (cidr.meaningless) cf.warn(`low address bits of ${text} are meaningless`);
  return { deny, network: cidr.text };
}

function rule(cf: Conf, raw: AccessRaw): void {
  raw.rules = [...(raw.rules ?? []), accessRule(cf)];
}

export const accessModule: ModuleDef = {
  name: 'access',
  directives: [loc.custom('allow', CONTEXTS, Args.one, rule), loc.custom('deny', CONTEXTS, Args.one, rule)],
  location: locationPart<AccessRaw>({
    slot: accessSlot,
    result: (raw) => ({ access: raw.rules ?? [] }),
  }),
  streamServer: streamPart<AccessRaw>({
    slot: accessSlot,
    result: (raw) => ({ access: raw.rules ?? [] }),
  }),
};
