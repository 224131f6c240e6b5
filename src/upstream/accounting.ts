/** What taking a peer and giving it back do to its state (spec 2.2, 2.3, 2.9). All calls come with the lock held. */
import { CODE_COUNT, placeOf } from '../observe/status-codes.ts';
import type { Attempt, Outcome } from './attempt.ts';
import type { BalancerConfig, LeastTimeMode } from '../config/model.ts';
import { BUCKETS, bucketOf } from '../observe/histogram.ts';
import type { Selection } from './selection.ts';
import { noteLatency } from './balancers/peak_ewma.ts';
import { PRIMARY, ZOMBIE, type Table } from './table/layout.ts';
import { averaged, blocked, noteDowntime } from './table/rules.ts';
import { release } from './table/slots.ts';
import { planSlowStart } from './table/slow-start.ts';

/** The chosen peer becomes the attempt's. `row`: the worker's row in the per-worker planes. */
export function takePeer(s: Selection, a: Attempt, slot: number, row: number, inflight: boolean): void {
  const { t } = s;
  t.conns[slot] = t.conns[slot]! + 1;
  const mine = row * t.capacity + slot;
  t.connsBy[mine] = t.connsBy[mine]! + 1;
  t.requests[slot] = t.requests[slot]! + 1;
  t.selected[slot] = s.nowMs;
  a.slot = slot;
  a.selectedMs = s.nowMs;
  if (a.list !== PRIMARY || !s.single) {
    a.markTried(slot);
    if (s.now - t.checked[slot]! > t.failTimeout[slot]!) t.checked[slot] = s.now;
    if (inflight) enterFlight(s, a, slot, row);
  }
  s.index.moved(slot, s.now);
}

/** The attempt gives its peer back. @returns whether the peer is now "temporarily disabled". */
export function releasePeer(
  s: Selection,
  a: Attempt,
  row: number,
  outcome: Outcome,
  balancer: BalancerConfig,
): boolean {
  const { t } = s;
  const { slot } = a;
  if (a.inflight) leaveFlight(s, a, row, outcome.responseMs);
  count(t, slot, outcome);
  if (!outcome.failed && !outcome.next) {
    sample(t, slot, outcome, balancer);
    if (balancer.kind === 'peak_ewma' && outcome.hadHeader) noteLatency(t, slot, outcome.responseMs, s.nowMs);
  }
  let disabled = false;
  if (a.list === PRIMARY && s.single) {
    t.fails[slot] = 0;
    a.triesLeft = 0;
  } else {
    if (outcome.failed) disabled = fail(s, slot);
    else if (t.accessed[slot]! < t.checked[slot]!) {
      t.fails[slot] = 0;
      if (t.downStart[slot] !== 0) noteDowntime(t, slot, s.nowMs);
    }
    if (a.triesLeft > 0) a.triesLeft--;
  }
  t.conns[slot] = t.conns[slot]! - 1;
  const mine = row * t.capacity + slot;
  t.connsBy[mine] = t.connsBy[mine]! - 1;
  if (t.state[slot] === ZOMBIE) {
    if (t.conns[slot] === 0) release(t, slot);
  } else {
    s.index.moved(slot, s.now);
  }
  return disabled;
}

/** A stream has connected: failures before this attempt count no more (NGX_STREAM_UPSTREAM_NOTIFY_CONNECT). */
export function forgiveConnected(s: Selection, a: Attempt): void {
  const { t } = s;
  const { slot } = a;
  if ((a.list === PRIMARY && s.single) || t.accessed[slot]! >= t.checked[slot]!) return;
  t.fails[slot] = 0;
  s.index.moved(slot, s.now);
}

function fail(s: Selection, slot: number): boolean {
  const { t } = s;
  const wasBlocked = blocked(t, slot, s.now);
  const limit = t.maxFails[slot]!;
  t.fails[slot] = t.fails[slot]! + 1;
  t.accessed[slot] = s.now;
  t.checked[slot] = s.now;
  if (limit === 0) return false;
  t.effective[slot] = Math.max(0, t.effective[slot]! - Math.trunc(t.weight[slot]! / limit));
  if (t.fails[slot]! < limit) return false;
  planSlowStart(t, slot, (s.now + t.failTimeout[slot]! + 1) * 1000);
  noteDowntime(t, slot, s.nowMs);
  if (!wasBlocked) t.unavail[slot] = t.unavail[slot]! + 1;
  return true;
}

function count(t: Table, slot: number, outcome: Outcome): void {
  if (outcome.failed) t.failsTotal[slot] = t.failsTotal[slot]! + 1;
  const { status, bytesSent, bytesReceived } = outcome;
  if (status !== undefined && status >= 100 && status < 600) {
    const at = slot * 5 + Math.trunc(status / 100) - 1;
    t.responses[at] = t.responses[at]! + 1;
    if (t.codes.length > 0) countCode(t, slot, status);
  }
  if (bytesSent !== undefined) t.sent[slot] = t.sent[slot]! + bytesSent;
  if (bytesReceived !== undefined) t.received[slot] = t.received[slot]! + bytesReceived;
}

function countCode(t: Table, slot: number, status: number): void {
  const place = placeOf(status);
  if (place < 0) return;
  const at = slot * CODE_COUNT + place;
  t.codes[at] = t.codes[at]! + 1;
}

/**
 * Times of an attempt that succeeded. An http answer without a header is no sample at all; a stream's connect and total
 * time count without a first byte. With `inflight` the balancer's own metric was taken when it was reached (`reached`).
 */
function sample(t: Table, slot: number, outcome: Outcome, balancer: BalancerConfig): void {
  const { hadHeader, connectMs } = outcome;
  if (!hadHeader && connectMs === undefined) return;
  const taken = balancer.kind === 'least_time' && balancer.inflight ? balancer.mode : 'last_byte';
  t.responseTime[slot] = averaged(t.responseTime[slot]!, outcome.responseMs);
  const bucket = slot * BUCKETS + bucketOf(outcome.responseMs);
  t.hist[bucket] = t.hist[bucket]! + 1;
  t.histSum[slot] = t.histSum[slot]! + outcome.responseMs;
  if (connectMs !== undefined && taken !== 'connect') {
    t.connectTime[slot] = averaged(t.connectTime[slot]!, connectMs);
  }
  if (hadHeader && taken !== 'header' && taken !== 'first_byte') {
    t.headerTime[slot] = averaged(t.headerTime[slot]!, outcome.headerMs);
  }
}

// ------------------------------------------------------------------------------- least_time ... inflight

function enterFlight(s: Selection, a: Attempt, slot: number, row: number): void {
  const { t } = s;
  const reqs = t.inflightReqs[slot]!;
  if (reqs > 0) {
    t.inflightLast[slot] = t.inflightLast[slot]! + (s.nowMs - t.inflightChanged[slot]!) * reqs;
  }
  t.inflightChanged[slot] = s.nowMs;
  t.inflightReqs[slot] = reqs + 1;
  const mine = row * t.capacity + slot;
  t.inflightBy[mine] = t.inflightBy[mine]! + 1;
  a.inflight = true;
}

function leaveFlight(s: Selection, a: Attempt, row: number, elapsedMs: number): void {
  const { t } = s;
  const { slot } = a;
  const reqs = t.inflightReqs[slot]!;
  if (reqs <= 1) {
    t.inflightLast[slot] = 0;
  } else {
    const sum = t.inflightLast[slot]! + (s.nowMs - t.inflightChanged[slot]!) * reqs - elapsedMs;
    // clocks of threads may differ by a tick
    t.inflightLast[slot] = Math.max(0, sum);
    t.inflightChanged[slot] = s.nowMs;
  }
  t.inflightReqs[slot] = Math.max(0, reqs - 1);
  const mine = row * t.capacity + slot;
  t.inflightBy[mine] = t.inflightBy[mine]! - 1;
  a.inflight = false;
}

/**
 * A time that is known before the request ends: with `inflight`, the balancer's own metric is taken as soon as it is.
 * @param event what has just been reached.
 */
export function reached(
  s: Selection,
  a: Attempt,
  row: number,
  mode: LeastTimeMode,
  event: LeastTimeMode,
  ms: number,
): void {
  if (!a.inflight || event !== mode) return;
  const { t } = s;
  const times = mode === 'connect' ? t.connectTime : t.headerTime;
  times[a.slot] = averaged(times[a.slot]!, ms);
  leaveFlight(s, a, row, ms);
}
