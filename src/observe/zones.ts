/**
 * Counters of `status_zone`: of servers and locations, over all worker threads. Each worker has a row of its own in shared
 * memory that only it writes, so counting is an add.
 */
import { BUCKETS, bucketOf } from './histogram.ts';

/** Rows: workers beyond share theirs with others, and then counts may be lost; more than that do not run anywhere. */
const ROWS = 64;

const BEGUN = 0;
const ENDED = 1;
const RECEIVED = 2;
const SENT = 3;
/** Requests that ended without an answer. */
const DISCARDED = 4;
const TIME_MS = 5;
const HIST = 6;
/** Answers by status, 100 to 599. */
const CODES = HIST + BUCKETS;
const FIELDS = CODES + 500;

export interface ZoneTotals {
  processing: number;
  requests: number;
  /** By status: those that occurred. */
  codes: Map<number, number>;
  discarded: number;
  received: number;
  sent: number;
  /** Each in the bucket it falls into (`histogram.ts`). */
  hist: number[];
  timeMs: number;
}

/** Main thread: memory for one zone. */
export function createZone(): SharedArrayBuffer {
  return new SharedArrayBuffer(ROWS * FIELDS * 8);
}

/** A worker's view of a zone. */
export class ZoneCounter {
  readonly #row: Float64Array;

  constructor(memory: SharedArrayBuffer, workerId: number) {
    this.#row = new Float64Array(memory, (workerId % ROWS) * FIELDS * 8, FIELDS);
  }

  /** A request has begun. */
  begin(): void {
    this.#row[BEGUN]!++;
  }

  /** It has ended. @param status 0: without an answer */
  end(status: number, received: number, sent: number, ms: number): void {
    const row = this.#row;
    row[ENDED]!++;
    row[RECEIVED]! += received;
    row[SENT]! += sent;
    if (status < 100 || status > 599) {
      row[DISCARDED]!++;
      return;
    }
    row[CODES + status - 100]!++;
    row[TIME_MS]! += ms;
    row[HIST + bucketOf(ms)]!++;
  }
}

/** Sums of all rows, less what a reset has noted. */
export function zoneSums(memory: SharedArrayBuffer): Float64Array {
  const all = new Float64Array(memory);
  const sums = new Float64Array(FIELDS);
  for (let i = 0; i < all.length; i++) sums[i % FIELDS]! += all[i]!;
  return sums;
}

/** @param before sums at the last reset; null: there was none */
export function zoneTotals(sums: Float64Array, before: Float64Array | null): ZoneTotals {
  const of = (field: number): number => sums[field]! - (before?.[field] ?? 0);
  const codes = new Map<number, number>();
  for (let i = 0; i < 500; i++) if (of(CODES + i) > 0) codes.set(100 + i, of(CODES + i));
  return {
    processing: Math.max(0, sums[BEGUN]! - sums[ENDED]!),
    requests: of(BEGUN),
    codes,
    discarded: of(DISCARDED),
    received: of(RECEIVED),
    sent: of(SENT),
    hist: Array.from({ length: BUCKETS }, (_, i) => of(HIST + i)),
    timeMs: of(TIME_MS),
  };
}
