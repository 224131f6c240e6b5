/** Giving slots to peers and taking them back. All calls come with the lock held. */
import type { ServerParameters } from '../../config/model.ts';
import { BUCKETS } from '../../observe/histogram.ts';
import { CODE_COUNT } from '../../observe/status-codes.ts';
import {
  CHECKING,
  DOWN,
  DRAINING,
  FAMILY_UNIX,
  FREE,
  H,
  LIVE,
  REMOVED,
  UNHEALTHY,
  ZOMBIE,
  type Table,
} from './layout.ts';
import { sidOf, writeText } from './text.ts';

/** What makes a peer. */
export interface PeerSpec extends ServerParameters {
  /** Index of the server line; -1: added at run time. */
  serverIndex: number;
  server: string;
  address: { text: string; family: 4 | 6 | 'unix'; host: string; port: number };
  route: string | null;
  /** Name that it was resolved from (`originOf`). */
  origin: number;
  resolved: boolean;
  priority: number;
}

/** What a peer has gathered: it goes with the peer when its table is replaced. */
function gathered(t: Table): (Int32Array | Float64Array)[] {
  return [
    t.current,
    t.fails,
    t.checked,
    t.accessed,
    t.connectTime,
    t.headerTime,
    t.responseTime,
    t.inflightTime,
    t.average,
    t.averageAt,
    t.requests,
    t.failsTotal,
    t.unavail,
    t.sent,
    t.received,
    t.selected,
    t.downStart,
    t.downtime,
    t.slowStartAt,
  ];
}

/** What belongs to requests in flight: it ends in the table where it began. */
function inFlight(t: Table): (Int32Array | Float64Array)[] {
  return [t.conns, t.inflightReqs, t.inflightLast, t.inflightChanged];
}

/**
 * Gives a free slot to a new peer. It is in no list yet (`lists.ts`).
 * @returns the slot; -1 when the table is full.
 */
export function claim(t: Table, spec: PeerSpec): number {
  const free = t.head[H.freeCount]!;
  if (free === 0) return -1;
  const at = t.head[H.freeHead]!;
  const slot = t.free[at]!;
  t.head[H.freeHead] = (at + 1) % t.capacity;
  t.head[H.freeCount] = free - 1;
  for (const field of [...gathered(t), ...inFlight(t)]) field[slot] = 0;
  t.responses.fill(0, slot * 5, slot * 5 + 5);
  t.codes.fill(0, slot * CODE_COUNT, (slot + 1) * CODE_COUNT);
  t.hist.fill(0, slot * BUCKETS, (slot + 1) * BUCKETS);
  t.histSum[slot] = 0;
  for (let row = 0; row < t.rows; row++) {
    t.connsBy[row * t.capacity + slot] = 0;
    t.inflightBy[row * t.capacity + slot] = 0;
  }
  t.family[slot] = spec.address.family === 'unix' ? FAMILY_UNIX : spec.address.family;
  t.port[slot] = spec.address.port;
  writeText(t, slot, {
    address: spec.address.text,
    host: spec.address.host,
    server: spec.server,
    sid: sidOf(spec.route, spec.address.text),
  });
  t.generation[slot] = ++t.head[H.generation]!;
  t.born[slot] = t.head[H.version]! + 1;
  t.state[slot] = LIVE;
  t.down[slot] = t.head[H.mandatory] === 1 ? CHECKING : 0;
  t.effective[slot] = spec.weight;
  t.weight[slot] = spec.weight;
  setParams(t, slot, spec);
  return slot;
}

/** Copies what a peer has gathered into its slot of another table. Current weights must be plain in both. */
export function inherit(to: Table, slot: number, from: Table, old: number): void {
  const source = gathered(from);
  gathered(to).forEach((field, i) => {
    field[slot] = source[i]![old]!;
  });
  for (let k = 0; k < 5; k++) to.responses[slot * 5 + k] = from.responses[old * 5 + k]!;
  if (from.codes.length > 0 && to.codes.length > 0) {
    for (let k = 0; k < CODE_COUNT; k++) to.codes[slot * CODE_COUNT + k] = from.codes[old * CODE_COUNT + k]!;
  }
  for (let k = 0; k < BUCKETS; k++) to.hist[slot * BUCKETS + k] = from.hist[old * BUCKETS + k]!;
  to.histSum[slot] = from.histSum[old]!;
  const weight = to.weight[slot]!;
  to.weight[slot] = from.weight[old]!;
  to.effective[slot] = from.effective[old]!;
  setWeight(to, slot, weight);
  const checked = UNHEALTHY | CHECKING;
  to.down[slot] = (to.down[slot]! & ~checked) | (from.down[old]! & checked);
}

/** Gives a peer new parameters; its state stays. A weight that was nominal stays so. */
export function setParams(t: Table, slot: number, spec: PeerSpec): void {
  setWeight(t, slot, spec.weight);
  t.server[slot] = spec.serverIndex;
  t.origin[slot] = spec.origin;
  t.resolved[slot] = spec.resolved ? 1 : 0;
  t.priority[slot] = spec.priority;
  t.maxConns[slot] = spec.maxConns;
  t.maxFails[slot] = spec.maxFails;
  t.failTimeout[slot] = spec.failTimeoutSec;
  t.slowStart[slot] = spec.slowStartMs;
  setDown(t, slot, spec.down, spec.drain);
}

export function setWeight(t: Table, slot: number, weight: number): void {
  const nominal = t.effective[slot] === t.weight[slot];
  t.weight[slot] = weight;
  t.effective[slot] = nominal ? weight : Math.min(t.effective[slot]!, weight);
}

/** Sets the configured bits; what health checks have set stays. */
export function setDown(t: Table, slot: number, down: boolean, drain: boolean): void {
  const kept = t.down[slot]! & ~(DOWN | DRAINING);
  t.down[slot] = kept | (down ? DOWN : 0) | (drain ? DRAINING : 0);
}

/** Removes a peer that is in no list any more: at once, or when its last request ends. */
export function retire(t: Table, slot: number): void {
  t.down[slot] = t.down[slot]! | REMOVED;
  t.state[slot] = ZOMBIE;
  if (t.conns[slot] === 0) release(t, slot);
}

/** A slot without peer and requests is free again, behind all others. */
export function release(t: Table, slot: number): void {
  const count = t.head[H.freeCount]!;
  t.state[slot] = FREE;
  t.free[(t.head[H.freeHead]! + count) % t.capacity] = slot;
  t.head[H.freeCount] = count + 1;
}
