/** The commands of SSI and their parameters. */
import { SsiError } from './evaluate.ts';
import type { SsiParam } from './parser.ts';

export type SsiCommand =
  | 'include'
  | 'echo'
  | 'config'
  | 'set'
  | 'if'
  | 'elif'
  | 'else'
  | 'endif'
  | 'block'
  | 'endblock';

export interface SsiCommandRule {
  /** Parameters; true: must be there. */
  params: Record<string, boolean>;
  /** Null: stands anywhere; else behind which part of an `if`. */
  within: readonly string[] | null;
}

/** By name; what is no command is undefined. */
export const COMMANDS: Readonly<Record<SsiCommand, SsiCommandRule>> & Record<string, SsiCommandRule | undefined> =
  Object.assign(Object.create(null) as Record<string, undefined>, {
    include: { params: { virtual: false, file: false, wait: false, set: false, stub: false }, within: null },
    echo: { params: { var: true, default: false, encoding: false }, within: null },
    config: { params: { errmsg: false, timefmt: false }, within: null },
    set: { params: { var: true, value: true }, within: null },
    if: { params: { expr: true }, within: null },
    elif: { params: { expr: true }, within: ['if'] },
    else: { params: {}, within: ['if'] },
    endif: { params: {}, within: ['if', 'else'] },
    block: { params: { name: true }, within: null },
    endblock: { params: {}, within: null },
  });

const MAX_PARAMS = 16;

/**
 * Parameters by name.
 * @throws {SsiError} in nginx's words
 */
export function checkParams(name: string, rule: SsiCommandRule, params: readonly SsiParam[]): Map<string, string> {
  if (params.length > MAX_PARAMS) throw new SsiError(`too many SSI command parameters: "${name}"`);
  const found = new Map<string, string>();
  for (const param of params) {
    if (!Object.hasOwn(rule.params, param.name)) {
      throw new SsiError(`invalid parameter name: "${param.name}" in "${name}" SSI command`);
    }
    if (found.has(param.name)) {
      throw new SsiError(`duplicate "${param.name}" parameter in "${name}" SSI command`);
    }
    found.set(param.name, param.value);
  }
  for (const [key, mandatory] of Object.entries(rule.params)) {
    if (mandatory && !found.has(key)) {
      throw new SsiError(`mandatory "${key}" parameter is absent in "${name}" SSI command`);
    }
  }
  return found;
}
