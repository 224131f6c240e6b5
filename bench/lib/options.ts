/** The command line of `npm run bench`. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { scenarios, type Scenario } from './scenarios.ts';
import { proxies } from '../proxies/index.ts';
import type { Proxy } from '../proxies/types.ts';

export type Options = {
  readonly scenarios: readonly Scenario[];
  readonly proxies: readonly Proxy[];
  readonly seconds: number;
  readonly rounds: number;
  readonly warmUpSeconds: number;
  readonly starts: boolean;
  readonly out: string;
};

export const USAGE = `npm run bench -- [options]

  --scenarios a,b  ${scenarios.map((one) => one.name).join(', ')}
  --proxies a,b    ${proxies.map((one) => one.name).join(', ')}
  --seconds N      of each measurement (default 5)
  --rounds N       in which all proxies take turns; the median counts (default 3)
  --quick          2 seconds, 1 round: to see that it works, not to quote
  --no-starts      without the times from start to first answer
  --out DIR        where latest.json, latest-meta.json and latest.svg go (default bench/results)
`;

/** Parses the arguments. Throws with a sentence for the user. */
export function parseOptions(args: readonly string[]): Options | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      scenarios: { type: 'string' },
      proxies: { type: 'string' },
      seconds: { type: 'string' },
      rounds: { type: 'string' },
      quick: { type: 'boolean' },
      'no-starts': { type: 'boolean' },
      out: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return 'help';
  const seconds = positive('seconds', values.seconds, values.quick ? 2 : 5);
  return {
    scenarios: named('scenario', values.scenarios, scenarios),
    proxies: named('proxy', values.proxies, proxies),
    seconds,
    rounds: positive('rounds', values.rounds, values.quick ? 1 : 3),
    warmUpSeconds: values.quick ? 1 : 2,
    starts: !values['no-starts'],
    out: values.out ?? join(import.meta.dirname, '../results'),
  };
}

function positive(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} ${text}: a whole number from 1 is needed`);
  return value;
}

/** The members of `all` that a comma separated list names, in the order of `all`; without a list all of them. */
function named<T extends { readonly name: string }>(what: string, list: string | undefined, all: readonly T[]): T[] {
  if (list === undefined) return [...all];
  const names = list.split(',').map((name) => name.trim());
  const known = all.map((one) => one.name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`no ${what} is called '${unknown}'; there are ${known.join(', ')}`);
  return all.filter((one) => names.includes(one.name));
}
