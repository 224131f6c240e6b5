/** `split_clients text $variable { … }`. */
import type { SplitClientsConfig } from '../../model-variables.ts';
import { Args, Context } from '../context.ts';
import { directive } from '../directive.ts';
import type { ModuleDef } from '../module.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';
import { checkValue, defineVariable } from '../variables.ts';

/** Splits of one protocol block; a slot of its main level. */
export const splitsSlot = slot<{ splits: SplitClientsConfig[] }>('split_clients', () => ({ splits: [] }));

/** A hundred percent in hundredths. */
const ALL = 10_000;
const MAX_HASH = 0xffffffff;

/** Reads the `split_clients` at hand. @throws {ConfigError} */
export function splitClients(cf: Conf): void {
  const [, source = '', name = ''] = cf.args;
  checkValue(cf, source);
  if (!name.startsWith('$')) throw cf.error(`invalid variable name "${name}"`);
  const variable = defineVariable(cf, name.slice(1));
  const { splits } = cf.scope.main.get(splitsSlot);
  const shares: { share: number; value: string }[] = [];
  cf.lines((line) => {
    const [share = '', value = ''] = line.args;
    shares.push({ share: share === '*' ? 0 : percent(line, share), value });
  });

  let sum = 0;
  let last = 0;
  const parts = shares.map(({ share, value }) => {
    sum = share === 0 ? ALL : sum + share;
    if (sum > ALL) throw cf.error('percent total is greater than 100%');
    if (sum === ALL) return { below: 0, value };
    last += Math.floor((share * MAX_HASH) / ALL);
    return { below: last, value };
  });
  splits.push({ source, variable, parts });
}

/** Hundredths of a percent. */
function percent(cf: Conf, text: string): number {
  const match = /^([0-9]+)(?:\.([0-9]{0,2}))?%$/.exec(text);
  const share = match === null ? 0 : Number(match[1]) * 100 + Number((match[2] ?? '').padEnd(2, '0'));
  if (share === 0) throw cf.error(`invalid percent value "${text}"`);
  return share;
}

export const splitClientsModule: ModuleDef = {
  name: 'split_clients',
  directives: [directive('split_clients', Context.http | Context.stream, Args.two, splitClients, true)],
  http: (build) => ({ splits: build.block.main.get(splitsSlot).splits }),
  stream: (build) => ({ splits: build.block.main.get(splitsSlot).splits }),
};
