/** Balancing methods. The one written last counts; a method written after another, or after `sticky`, warns. */
import type { BalancerConfig, LeastTimeMode } from '../../model.ts';
import { Args, UPSTREAM_BLOCK, isStream } from '../context.ts';
import { directive } from '../directive.ts';
import type { Directive } from '../directive.ts';
import type { Conf } from '../parser.ts';
import { checkValue } from '../variables.ts';
import { groupOf } from '../upstreams.ts';

const HTTP_MODES: readonly LeastTimeMode[] = ['header', 'last_byte'];
const STREAM_MODES: readonly LeastTimeMode[] = ['connect', 'first_byte', 'last_byte'];

function timeModes(cf: Conf): readonly LeastTimeMode[] {
  return isStream(cf.context) ? STREAM_MODES : HTTP_MODES;
}

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
  const mode = timeModes(cf).find((known) => known === modeText.toLowerCase());
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
  if (method === undefined || method === 'least_conn') return;
  if (!timeModes(cf).some((mode) => method === `least_time=${mode}`)) throw cf.error(`invalid parameter "${method}"`);
}

function secondChoice(method: string | undefined): Extract<BalancerConfig, { kind: 'random' }>['two'] {
  if (method === undefined || !method.startsWith('least_time=')) return { kind: 'least_conn' };
  return { kind: 'least_time', mode: method.slice('least_time='.length) as LeastTimeMode };
}

export const methodDirectives: readonly Directive[] = [
  directive('hash', UPSTREAM_BLOCK, Args.oneOrTwo, hash),
  directive('ip_hash', UPSTREAM_BLOCK, Args.none, (cf) => choose(cf, { kind: 'ip_hash' }, false)),
  // any-proxy's
  directive('ip_hash_fixed', UPSTREAM_BLOCK, Args.none, (cf) =>
    choose(cf, { kind: 'address_hash', active: false }, false),
  ),
  directive('ip_hash_active', UPSTREAM_BLOCK, Args.none, (cf) =>
    choose(cf, { kind: 'address_hash', active: true }, false),
  ),
  directive('fair', UPSTREAM_BLOCK, Args.none, (cf) => choose(cf, { kind: 'fair' }, false)),
  directive('least_conn', UPSTREAM_BLOCK, Args.none, (cf) => choose(cf, { kind: 'least_conn' }, true)),
  directive('least_time', UPSTREAM_BLOCK, Args.oneOrTwo, leastTime),
  directive('random', UPSTREAM_BLOCK, Args.noneToTwo, random),
];
