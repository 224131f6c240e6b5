/** The parameters of `health_check` that http and stream have both. */
import { ConfigError, at } from '../../errors.ts';
import type { CheckRulesConfig, Place } from '../../model.ts';
import { parseNumber, parseTime } from '../../units.ts';
import type { Conf } from '../parser.ts';
import type { RawUpstream } from '../upstreams.ts';

const MAX_PORT = 65535;

/** `key=value`, or `key` alone. */
export class CheckOption {
  readonly arg: string;
  readonly key: string;
  /** Empty when there is none. */
  readonly value: string;
  /** `key=` or `key`. */
  readonly form: string;
  readonly #cf: Conf;

  constructor(cf: Conf, arg: string) {
    const [key = '', value] = arg.split(/=(.*)/s);
    this.#cf = cf;
    this.arg = arg;
    this.key = key;
    this.value = value ?? '';
    this.form = value === undefined ? key : `${key}=`;
  }

  invalid(): ConfigError {
    return this.#cf.error(`invalid parameter "${this.arg}"`);
  }

  /** @returns milliseconds @throws {ConfigError} */
  time(least: number): number {
    const ms = parseTime(this.value, 'ms');
    if (ms === null || ms < least) throw this.invalid();
    return ms;
  }

  /** @throws {ConfigError} */
  number(least: number, most: number): number {
    const n = parseNumber(this.value);
    if (n === null || n < least || n > most) throw this.invalid();
    return n;
  }
}

export function usualRules(cf: Conf): CheckRulesConfig {
  return {
    place: cf.blockPlace,
    intervalMs: 5000,
    jitterMs: 0,
    fails: 1,
    passes: 1,
    port: null,
    match: null,
    mandatory: false,
    persistent: false,
  };
}

/**
 * Reads the directive's parameters into `rules`.
 *
 * @param own reads those that only one of http and stream has; false: it has none of this form
 * @returns the keys that were written
 * @throws {ConfigError}
 */
export function readOptions(
  cf: Conf,
  rules: CheckRulesConfig,
  own: (option: CheckOption) => boolean,
): ReadonlySet<string> {
  const seen = new Set<string>();
  for (const arg of cf.args.slice(1)) {
    const option = new CheckOption(cf, arg);
    if (seen.has(option.key)) throw cf.error(`duplicate parameter "${arg}"`);
    seen.add(option.key);
    if (!readShared(cf, rules, option) && !own(option)) throw option.invalid();
  }
  return seen;
}

function readShared(cf: Conf, rules: CheckRulesConfig, option: CheckOption): boolean {
  switch (option.form) {
    case 'interval=':
      rules.intervalMs = option.time(1);
      return true;
    case 'jitter=':
      rules.jitterMs = option.time(0);
      return true;
    case 'fails=':
      rules.fails = option.number(1, 1e9);
      return true;
    case 'passes=':
      rules.passes = option.number(1, 1e9);
      return true;
    case 'port=':
      rules.port = option.number(1, MAX_PORT);
      return true;
    case 'match=':
      if (option.value === '') throw option.invalid();
      rules.match = option.value;
      return true;
    case 'mandatory':
      rules.mandatory = true;
      return true;
    case 'persistent':
      if (!rules.mandatory) throw cf.error('"persistent" requires "mandatory"');
      rules.persistent = true;
      return true;
    default:
      return false;
  }
}

export const fault = (text: string, place: Place): ConfigError => new ConfigError(text, place, at(place));

/** @throws {ConfigError} unless the group is one of an `upstream` block with `zone` */
export function needZone(group: RawUpstream, place: Place): void {
  if (group.explicit && group.zone !== null) return;
  const text = `health checks require upstream "${group.name}"${at(group.place)} to be in shared memory: "zone"`;
  throw fault(text, place);
}
