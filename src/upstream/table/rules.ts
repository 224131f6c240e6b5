/** Who may be chosen (spec 2, "skip set"), and how the averages move. */
import { CHECKING, F, H, UNHEALTHY, type Table } from './layout.ts';

const CLOCK_SET_BACK_SEC = 60;

/** Too many failures, and the window since the last check is not over. `now` in whole seconds. */
export function blocked(t: Table, slot: number, now: number): boolean {
  const limit = t.maxFails[slot]!;
  return limit > 0 && t.fails[slot]! >= limit && now - t.checked[slot]! <= t.failTimeout[slot]!;
}

/** As many requests as `max_conns` allows. */
export function full(t: Table, slot: number): boolean {
  const limit = t.maxConns[slot]!;
  return limit > 0 && t.conns[slot]! >= limit;
}

/** May be chosen by any request that has not tried it. */
export function eligible(t: Table, slot: number, now: number): boolean {
  return t.down[slot] === 0 && !blocked(t, slot, now) && !full(t, slot);
}

/**
 * Counts the time in which a peer cannot be chosen though nobody has switched it off: by its failures (until a request
 * succeeds), unhealthy, or waiting to be let in. Call it when one of these has changed. `nowMs` 0: time is not known.
 */
export function noteDowntime(t: Table, slot: number, nowMs: number): void {
  const failing = t.maxFails[slot]! > 0 && t.fails[slot]! >= t.maxFails[slot]!;
  const began = t.downStart[slot]!;
  if (failing || (t.down[slot]! & (UNHEALTHY | CHECKING)) !== 0) {
    if (began === 0) t.downStart[slot] = nowMs;
  } else if (began !== 0) {
    t.downtime[slot] = t.downtime[slot]! + Math.max(0, nowMs - began);
    t.downStart[slot] = 0;
  }
}

/**
 * The group's time in whole seconds: the latest that any thread has seen, since threads cache their clocks and a peer
 * must not be free for one and blocked for another. Call with the lock held.
 */
export function groupSeconds(t: Table, nowMs: number): number {
  const mine = Math.floor(nowMs / 1000);
  const seen = t.headF[F.now]!;
  if (mine > seen) {
    t.headF[F.now] = mine;
    return mine;
  }
  if (seen - mine > CLOCK_SET_BACK_SEC) {
    // the clock was set back: what was computed from the old one (when blocked peers come back) is void
    t.headF[F.now] = mine;
    t.head[H.indexStale] = 1;
    return mine;
  }
  return seen;
}

/** Moving average of nginx: 5 % of the sample, rounded; 0 means that there was none yet. */
export function averaged(average: number, sample: number): number {
  return average === 0 ? sample : Math.trunc(0.5 + (sample * 0.05 + average * 0.95));
}
