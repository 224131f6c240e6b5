/** `rewrite`, `return`, `break`, `if`, `set`: a small program for each server and location. */
import type { IfCondition, RewriteOp } from '../../model.ts';
import { parseNumber } from '../../units.ts';
import { Args, Context } from '../context.ts';
import { directive, table } from '../directive.ts';
import { locationPart } from '../module.ts';
import type { Build, ModuleDef } from '../module.ts';
import { childNode, nodeSlot } from '../nodes.ts';
import type { RawRewriteOp } from '../nodes.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';
import { checkRegex, checkValue, defineVariable, useVariable } from '../variables.ts';

const { http: HTTP, server: SERVER, location: LOCATION, ifInServer: SIF, ifInLocation: LIF } = Context;
const ANY = SERVER | SIF | LOCATION | LIF;

/** The program that is being written: that of the location, also inside of its `if`. */
const programSlot = slot<{ ops: RawRewriteOp[] | null }>('rewrite.program', () => ({ ops: null }));

interface RewriteRaw {
  log?: boolean;
  warn?: boolean;
}
const rewriteSlot = slot<RewriteRaw>('rewrite', () => ({}));
const loc = table<RewriteRaw>((cf) => cf.scope.loc.get(rewriteSlot));

function program(cf: Conf): RawRewriteOp[] {
  return cf.scope.loc.get(programSlot).ops ?? cf.scope.loc.get(nodeSlot).rewrite;
}

const isUrl = (text: string): boolean => /^(https?:\/\/|\$scheme)/.test(text);

function rewrite(cf: Conf): void {
  const [, pattern = '', replacement = '', flagText] = cf.args;
  if (replacement === '') throw cf.error('empty replacement');
  const regex = checkRegex(cf, pattern, false);
  let flag: Extract<RewriteOp, { op: 'rewrite' }>['flag'] = isUrl(replacement) ? 'redirect' : 'none';
  if (flagText !== undefined) {
    if (!['last', 'break', 'redirect', 'permanent'].includes(flagText)) {
      throw cf.error(`invalid parameter "${flagText}"`);
    }
    // A replacement that is a URL redirects whatever the flag says, unless it says how.
    if (flag === 'none' || flagText === 'permanent') flag = flagText as typeof flag;
  }
  checkValue(cf, replacement);
  program(cf).push({ op: 'rewrite', regex, replacement, flag });
}

function returnOp(cf: Conf): void {
  const [, first = '', second] = cf.args;
  const status = parseNumber(first);
  const invalid = () => cf.error(`invalid return code "${first}"`);
  if (status === null) {
    if (second !== undefined || !isUrl(first)) throw invalid();
    program(cf).push({ op: 'return', status: 302, text: checkValue(cf, first) });
    return;
  }
  if (status > 999) throw invalid();
  program(cf).push({ op: 'return', status, text: second === undefined ? null : checkValue(cf, second) });
}

function set(cf: Conf): void {
  const [, name = '', value = ''] = cf.args;
  if (!name.startsWith('$')) throw cf.error(`invalid variable name "${name}"`);
  const variable = defineVariable(cf, name.slice(1));
  useVariable(cf, variable);
  program(cf).push({ op: 'set', variable, value: checkValue(cf, value) });
}

/** The words between the brackets of `if (…)`. */
function conditionWords(cf: Conf): string[] {
  const words = cf.args.slice(1);
  const invalid = (text: string) => cf.error(`invalid condition "${text}"`);
  const first = words[0] as string;
  if (!first.startsWith('(')) throw invalid(first);
  words[0] = first.slice(1);
  const last = words[words.length - 1] as string;
  if (!last.endsWith(')')) throw invalid(last);
  words[words.length - 1] = last.slice(0, -1);
  if (words[0] === '' && first === '(') words.shift();
  if (words[words.length - 1] === '' && last === ')') words.pop();
  if (words.length === 0) throw invalid('');
  return words;
}

function readCondition(cf: Conf): IfCondition {
  const words = conditionWords(cf);
  const [subject = '', operator, operand = ''] = words;
  const invalid = (text: string) => cf.error(`invalid condition "${text}"`);

  if (subject.length > 1 && subject.startsWith('$')) {
    if (words.length !== 1 && words.length !== 3) throw invalid(subject);
    const variable = useVariable(cf, subject.slice(1));
    if (operator === undefined) return { kind: 'truthy', variable };
    const negate = operator.startsWith('!');
    switch (operator) {
      case '=':
      case '!=':
        return { kind: 'equal', variable, negate, value: checkValue(cf, operand) };
      case '~':
      case '~*':
      case '!~':
      case '!~*':
        return { kind: 'regex', variable, negate, regex: checkRegex(cf, operand, operator.endsWith('*')) };
      default:
        throw cf.error(`unexpected "${operator}" in condition`);
    }
  }

  if (/^!?-.$/s.test(subject)) {
    if (words.length !== 2) throw invalid(subject);
    const path = checkValue(cf, operator as string);
    const test = subject.slice(-1);
    if (test !== 'f' && test !== 'd' && test !== 'e' && test !== 'x') throw invalid(subject);
    return { kind: 'file', test, negate: subject.startsWith('!'), path };
  }
  throw invalid(subject);
}

function ifBlock(cf: Conf): void {
  const parent = cf.scope.loc.get(nodeSlot);
  const node = childNode(cf.scope, { kind: 'if' }, parent.name, cf.blockPlace);
  const ops: RawRewriteOp[] = [];
  const target = program(cf);
  target.push({ op: 'if', condition: readCondition(cf), ops, node });
  node.slots.get(programSlot).ops = ops;
  cf.block(cf.context === SERVER ? SIF : LIF, { ...cf.scope, loc: node.slots });
}

/** The program with the settings of its `if`s. @param location settings of an `if` */
export function finishOps(
  ops: readonly RawRewriteOp[],
  location: (node: Extract<RawRewriteOp, { op: 'if' }>['node']) => Extract<RewriteOp, { op: 'if' }>['location'],
): RewriteOp[] {
  return ops.map((op) =>
    op.op === 'if'
      ? { op: 'if', condition: op.condition, ops: finishOps(op.ops, location), location: location(op.node) }
      : op,
  );
}

export const rewriteModule: ModuleDef = {
  name: 'rewrite',
  directives: [
    directive('rewrite', ANY, Args.twoOrThree, rewrite),
    directive('return', ANY, Args.oneOrTwo, returnOp),
    directive('break', ANY, Args.none, (cf) => void program(cf).push({ op: 'break' })),
    directive('if', SERVER | LOCATION, Args.oneOrMore, ifBlock, true),
    directive('set', ANY, Args.two, set),
    loc.flag('rewrite_log', HTTP | ANY, 'log'),
    loc.flag('uninitialized_variable_warn', HTTP | ANY, 'warn'),
  ],
  location: locationPart<RewriteRaw>({
    slot: rewriteSlot,
    result: (raw, _node, _build: Build) => ({ rewriteLog: raw.log ?? false }),
  }),
};
