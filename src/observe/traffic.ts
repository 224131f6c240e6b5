/**
 * Counters of client connections and requests over all worker threads (`stub_status`, `$connections_…`): a row of shared
 * memory for each worker, that only its thread writes, so counting is an add.
 */

/** Rows: more workers than this share theirs. */
const ROWS = 512;
/** Numbers in a row: one cache line, so that threads do not wait for each other. */
const STRIDE = 8;

/** Connections accepted, and closed. */
export const ACCEPTED = 0;
export const CLOSED = 1;
/** Requests begun, and ended. */
export const BEGUN = 2;
export const ENDED = 3;
/** Connections on which a part of a head has arrived. */
export const READING = 4;

/** Main thread: makes the memory, once for all generations. */
export function createTraffic(): SharedArrayBuffer {
  return new SharedArrayBuffer(ROWS * STRIDE * 8);
}

export interface TrafficTotals {
  active: number;
  accepted: number;
  requests: number;
  reading: number;
  writing: number;
  waiting: number;
}

function sum(all: Float64Array): TrafficTotals {
  const sums = new Float64Array(STRIDE);
  for (let i = 0; i < all.length; i++) sums[i % STRIDE]! += all[i]!;
  const active = Math.max(0, sums[ACCEPTED]! - sums[CLOSED]!);
  const writing = Math.max(0, sums[BEGUN]! - sums[ENDED]!);
  const reading = Math.max(0, sums[READING]!);
  return {
    active,
    accepted: sums[ACCEPTED]!,
    requests: sums[BEGUN]!,
    reading,
    writing,
    waiting: Math.max(0, active - reading - writing),
  };
}

/** What all threads have counted in a memory. */
export function totalsOf(memory: SharedArrayBuffer): TrafficTotals {
  return sum(new Float64Array(memory));
}

/** What one worker has counted. */
export interface TrafficRow {
  accepted: number;
  closed: number;
  begun: number;
  ended: number;
}

/** The rows of all workers, by number; main thread. */
export function trafficRows(memory: SharedArrayBuffer): TrafficRow[] {
  const all = new Float64Array(memory);
  return Array.from({ length: ROWS }, (_, worker) => {
    const row = all.subarray(worker * STRIDE, (worker + 1) * STRIDE);
    return { accepted: row[ACCEPTED]!, closed: row[CLOSED]!, begun: row[BEGUN]!, ended: row[ENDED]! };
  });
}

class Traffic {
  /** This thread's numbers. */
  row: Float64Array = new Float64Array(STRIDE);
  #all: Float64Array = this.row;

  /** Counts in `memory` from now on. What a dead worker of this number left open is closed. */
  use(memory: SharedArrayBuffer, workerId: number): void {
    if (this.#all.buffer === memory) return;
    this.#all = new Float64Array(memory);
    this.row = new Float64Array(memory, (workerId % ROWS) * STRIDE * 8, STRIDE);
    this.row[CLOSED] = this.row[ACCEPTED]!;
    this.row[ENDED] = this.row[BEGUN]!;
    this.row[READING] = 0;
  }

  totals(): TrafficTotals {
    return sum(this.#all);
  }
}

/** One a thread. */
export const traffic: Traffic = new Traffic();
