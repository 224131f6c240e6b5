/**
 * One lock per group: a word that is 0, or the owner's row + 1, so that a dead thread's lock can be taken over.
 *
 * Uncontended it costs two compare-and-exchange. Held, it is spun on for a moment (a critical section is well below a
 * microsecond) and then waited for with a timeout. A lock is broken when its owner is known to be dead
 * (`Table.alive`), or when the same acquisition has held it for `STUCK_MS`: threads of one process are stopped and
 * continued together, so only a dead thread holds a lock that long. Whoever breaks it rebuilds what is derived.
 */
import { H } from './layout.ts';

/**
 * What a lock is made of: the words H.lock, H.waiters, H.lockSeq and H.indexStale of `head` (which any shared
 * structure can keep free), and an "alive" word for each row.
 */
export interface Lockable {
  readonly head: Int32Array;
  readonly alive: Int32Array;
}

const SPINS = 200;
const WAIT_MS = 2;
const STUCK_MS = 2000;

/** Row of a worker's planes in the table. The main thread is worker -1. */
export function rowOf(table: Lockable, workerId: number): number {
  const row = workerId + 1;
  const rows = table.alive.length;
  if (!Number.isInteger(row) || row < 0 || row >= rows) {
    throw new RangeError(`worker ${workerId} is outside of the table's ${rows - 1} workers`);
  }
  return row;
}

export class GroupLock {
  private readonly head: Int32Array;
  private readonly alive: Int32Array;
  private readonly owner: number;

  constructor(table: Lockable, row: number) {
    this.head = table.head;
    this.alive = table.alive;
    this.owner = row + 1;
  }

  /** Takes the lock. Not reentrant. */
  enter(): void {
    const head = this.head;
    if (Atomics.compareExchange(head, H.lock, 0, this.owner) !== 0) this.contend();
    head[H.lockSeq] = (head[H.lockSeq]! + 1) | 0;
  }

  /** Gives the lock back. Harmless when another thread has broken it meanwhile. */
  leave(): void {
    const head = this.head;
    Atomics.compareExchange(head, H.lock, this.owner, 0);
    if (Atomics.load(head, H.waiters) > 0) Atomics.notify(head, H.lock, 1);
  }

  private contend(): void {
    const head = this.head;
    for (let i = 0; i < SPINS; i++) {
      if (Atomics.load(head, H.lock) === 0 && this.seize(0)) return;
    }
    let seq = Atomics.load(head, H.lockSeq);
    let patience = STUCK_MS / WAIT_MS;
    for (;;) {
      const holder = Atomics.load(head, H.lock);
      if (holder === 0) {
        if (this.seize(0)) return;
        continue;
      }
      if (Atomics.load(this.alive, holder - 1) === 0 || patience <= 0) {
        if (this.seize(holder)) {
          head[H.indexStale] = 1;
          return;
        }
        continue;
      }
      Atomics.add(head, H.waiters, 1);
      const woken = Atomics.wait(head, H.lock, holder, WAIT_MS);
      Atomics.sub(head, H.waiters, 1);
      const present = Atomics.load(head, H.lockSeq);
      if (present !== seq) patience = STUCK_MS / WAIT_MS;
      else if (woken === 'timed-out') patience--;
      seq = present;
    }
  }

  private seize(from: number): boolean {
    return Atomics.compareExchange(this.head, H.lock, from, this.owner) === from;
  }
}
