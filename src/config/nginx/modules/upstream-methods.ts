/** Balancing methods. The one written last counts; a method written after another, or after `sticky`, warns. */
import type { BalancerConfig, LeastTimeMode } from '../../model.ts';
import { Args, Context } from '../context.ts';
import { directive } from '../directive.ts';
import type { Directive } from '../directive.ts';
import type { Conf } from '../parser.ts';
import { checkValue } from '../variables.ts';
import { groupOf } from '../upstreams.ts';

const TIME_MODES: readonly LeastTimeMode[] = ['header', 'last_byte'];

/** @param ordered the method knows primary and backup servers and a weight that grows */
function choose(cf: Conf, balancer: BalancerConfig, ordered: boolean): void {
  const group = groupOf(cf);
  if (group.methodSeen) cf.warn('load balancing method redefined');
  group.methodSeen = true;
  group.balancer = balancer;
  // As in nginx, `sticky` wraps what stands before it, and a method after it takes its place.
  group.sticky = null;
  group.capabilities = { backup: ordered, slowStart: ordered };
}

function hash(cf: Conf): void {
  const [, key = '', mode] = cf.args;
  checkValue(cf, key);
  choose(cf, { kind: 'hash', key, consistent: mode === 'consistent' }, false);
  if (mode !== undefined && mode !== 'consistent') throw cf.error(`invalid parameter "${mode}"`);
}

function leastTime(cf: Conf): string | void {
  const [, modeText = '', extra] = cf.args;
  const mode = TIME_MODES.find((known) => known === modeText.toLowerCase());
  choose(cf, { kind: 'least_time', mode: mode ?? 'header', inflight: extra === 'inflight' }, true);
  if (extra !== undefined && extra !== 'inflight') throw cf.error(`invalid parameter "${extra}"`);
  const group = groupOf(cf);
  if (group.leastTimeSeen) return 'is duplicate';
  group.leastTimeSeen = true;
  if (mode === undefined) throw cf.error(`invalid value "${modeText}"`);
}

function random(cf: Conf): void {
  const [, two, method] = cf.args;
  choose(cf, { kind: 'random', two: two === undefined ? null : secondChoice(method) }, false);
  if (two !== undefined && two !== 'two') throw cf.error(`invalid parameter "${two}"`);
  if (method !== undefined && method !== 'least_conn' && !/^least_time=(header|last_byte)$/.test(method)) {
    throw cf.error(`invalid parameter "${method}"`);
  }
}

function secondChoice(method: string | undefined): Extract<BalancerConfig, { kind: 'random' }>['two'] {
  if (method === undefined || !method.startsWith('least_time=')) return { kind: 'least_conn' };
  return { kind: 'least_time', mode: method.slice('least_time='.length) as LeastTimeMode };
}

const { upstream: UPSTREAM } = Context;

export const methodDirectives: readonly Directive[] = [
  directive('hash', UPSTREAM, Args.oneOrTwo, hash),
  directive('ip_hash', UPSTREAM, Args.none, (cf) => choose(cf, { kind: 'ip_hash' }, false)),
  directive('least_conn', UPSTREAM, Args.none, (cf) => choose(cf, { kind: 'least_conn' }, true)),
  directive('least_time', UPSTREAM, Args.oneOrTwo, leastTime),
  directive('random', UPSTREAM, Args.noneToTwo, random),
];
