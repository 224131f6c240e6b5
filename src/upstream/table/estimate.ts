/** How long a peer will take, as least_time sees it (spec 2.9). */
import type { LeastTimeMode } from '../../config/model.ts';
import type { Table } from './layout.ts';

/** Peers slower than this are equally bad: their connections decide, milliseconds. */
const SLOWEST = 5000;
/** Times within this are equal: their peers take turns, milliseconds. */
const GRAIN = 20;

/** The averages that a mode looks at. */
export function timesOf(t: Table, mode: LeastTimeMode): Float64Array {
  return mode === 'connect' ? t.connectTime : mode === 'last_byte' ? t.responseTime : t.headerTime;
}

/** How often the average is halved: once for each window that the peer was not chosen in. */
function halvings(t: Table, slot: number, now: number): number {
  const idle = now - t.checked[slot]!;
  const window = t.failTimeout[slot]!;
  return idle > window ? Math.floor(idle / (window + 1)) : 0;
}

function halved(time: number, times: number): number {
  return times === 0 ? time : times > 52 ? 0 : Math.floor(time / 2 ** times);
}

/**
 * Estimated milliseconds until a peer has served its requests and one more.
 * @param now the group's whole seconds.
 * @param conns requests that it serves; more than there are for a peer in slow start.
 */
export function estimate(t: Table, slot: number, now: number, times: Float64Array, conns = t.conns[slot]!): number {
  const average = times[slot]!;
  let time = average === 0 ? 0 : halved(average, halvings(t, slot, now));
  if (t.inflightReqs[slot]! > 0) time = Math.max(time, t.inflightTime[slot]!);
  const load = 1 + conns;
  if (time > SLOWEST) return SLOWEST * load;
  // as an integer: a remainder of doubles costs more than all the rest
  const ms = time | 0;
  return (ms + GRAIN - (ms % GRAIN)) * load;
}

/** The second in which the estimate changes if nothing happens to the peer; 0: it will not. */
export function estimateChanges(t: Table, slot: number, now: number, times: Float64Array): number {
  const average = times[slot]!;
  if (average === 0) return 0;
  const passed = halvings(t, slot, now);
  if (halved(average, passed) === 0) return 0;
  return t.checked[slot]! + (passed + 1) * (t.failTimeout[slot]! + 1);
}
