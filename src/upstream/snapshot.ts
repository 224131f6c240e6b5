/** The state of a group for APIs and metrics. */
import { BUCKETS } from '../observe/histogram.ts';
import { CODE_COUNT, CODES } from '../observe/status-codes.ts';
import type { Selection } from './selection.ts';
import { currentOf } from './select/index.ts';
import { BACKUP, CHECKING, DOWN, DRAINING, F, H, PRIMARY, type Table, UNHEALTHY } from './table/layout.ts';
import { blocked } from './table/rules.ts';
import type { PeerInfo } from './table/text.ts';

export const PEER_STATES = ['up', 'draining', 'down', 'unavail', 'checking', 'unhealthy'] as const;

export type PeerState = (typeof PEER_STATES)[number];

/** Times in milliseconds of the group's clock; averages 0 when there is no sample. */
export interface PeerSnapshot extends PeerInfo {
  /** Index of the server line, -1: added at run time. */
  serverIndex: number;
  backup: boolean;
  resolved: boolean;
  state: PeerState;
  weight: number;
  effectiveWeight: number;
  currentWeight: number;
  maxConns: number;
  maxFails: number;
  failTimeoutSec: number;
  slowStartMs: number;
  /** Requests in flight. */
  conns: number;
  /** Failures that count against it now. */
  fails: number;
  requests: number;
  failsTotal: number;
  /** Times that it became unavailable by its failures. */
  unavail: number;
  /** Answers by class: 1xx, 2xx, 3xx, 4xx, 5xx. */
  responses: [number, number, number, number, number];
  /** By status, those that occurred; null: they are not counted so (the group has no zone). */
  codes: [status: number, count: number][] | null;
  sent: number;
  received: number;
  selectedMs: number;
  /** Since when it is unavailable, unhealthy or checking; 0: it is not. */
  downStartMs: number;
  /** How long it was so in sum, the present time included. */
  downtimeMs: number;
  connectMs: number;
  headerMs: number;
  responseMs: number;
  /** Answers by response time, each counted in the bucket it falls into (`observe/histogram.ts`); and the sum of their times. */
  hist: number[];
  histSumMs: number;
}

export interface QueueSnapshot {
  /** Requests that wait. */
  size: number;
  maxSize: number;
  /** Requests that found it full. */
  overflows: number;
}

/** State of the queue; null without the directive. */
export function takeQueueSnapshot(t: Table): QueueSnapshot | null {
  const maxSize = t.head[H.queueSize]!;
  if (maxSize === 0) return null;
  return { size: t.head[H.queued]!, maxSize, overflows: t.headF[F.queueOverflows]! };
}

/** Copies the state of all live peers, primaries first. Call with the lock held. */
export function takeSnapshot(s: Selection): PeerSnapshot[] {
  const peers: PeerSnapshot[] = [];
  for (const list of [PRIMARY, BACKUP]) {
    for (let i = 0; i < s.count(list); i++) peers.push(peerSnapshot(s, s.at(list, i), list));
  }
  return peers;
}

/** Call with the lock held. */
export function stateOf(s: Selection, slot: number): PeerState {
  const down = s.t.down[slot]!;
  if ((down & DOWN) !== 0) return 'down';
  if ((down & UNHEALTHY) !== 0) return 'unhealthy';
  if ((down & CHECKING) !== 0) return 'checking';
  if ((down & DRAINING) !== 0) return 'draining';
  return !s.single && blocked(s.t, slot, s.now) ? 'unavail' : 'up';
}

function codesOf(t: Table, slot: number): [number, number][] | null {
  if (t.codes.length === 0) return null;
  const found: [number, number][] = [];
  const from = slot * CODE_COUNT;
  for (let i = 0; i < CODE_COUNT; i++) if (t.codes[from + i] !== 0) found.push([CODES[i]!, t.codes[from + i]!]);
  return found;
}

/** How long it could not be chosen in sum, the present time included. Call with the lock held. */
export function downtimeOf({ t, nowMs }: Selection, slot: number): number {
  const since = t.downStart[slot]!;
  return t.downtime[slot]! + (since === 0 ? 0 : Math.max(0, nowMs - since));
}

/** Copies the state of one live peer. Call with the lock held. */
export function peerSnapshot(s: Selection, slot: number, list: number): PeerSnapshot {
  const { t } = s;
  const answers = t.responses.subarray(slot * 5, slot * 5 + 5);
  return {
    ...s.info(slot),
    serverIndex: t.server[slot]!,
    backup: list === BACKUP,
    resolved: t.resolved[slot] === 1,
    state: stateOf(s, slot),
    weight: t.weight[slot]!,
    effectiveWeight: t.effective[slot]!,
    currentWeight: currentOf(t, slot),
    maxConns: t.maxConns[slot]!,
    maxFails: t.maxFails[slot]!,
    failTimeoutSec: t.failTimeout[slot]!,
    slowStartMs: t.slowStart[slot]!,
    conns: t.conns[slot]!,
    fails: t.fails[slot]!,
    requests: t.requests[slot]!,
    failsTotal: t.failsTotal[slot]!,
    unavail: t.unavail[slot]!,
    responses: [answers[0]!, answers[1]!, answers[2]!, answers[3]!, answers[4]!],
    codes: codesOf(t, slot),
    sent: t.sent[slot]!,
    received: t.received[slot]!,
    selectedMs: t.selected[slot]!,
    downStartMs: t.downStart[slot]!,
    downtimeMs: downtimeOf(s, slot),
    connectMs: t.connectTime[slot]!,
    headerMs: t.headerTime[slot]!,
    responseMs: t.responseTime[slot]!,
    hist: [...t.hist.subarray(slot * BUCKETS, (slot + 1) * BUCKETS)],
    histSumMs: t.histSum[slot]!,
  };
}
