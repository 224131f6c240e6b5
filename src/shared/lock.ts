/**
 * One lock per shared structure: a word that is 0, or the owner's row + 1, so that a dead thread's lock can be taken over.
 *
 * Uncontended it costs two compare-and-exchange. Held, it is spun on for a moment (a critical section is well below a
 * microsecond) and then waited for with a timeout. A lock is broken when its owner is known to be dead
 * (`alive`), or when the same acquisition has held it for `STUCK_MS`: threads of one process are stopped and
 * continued together, so only a dead thread holds a lock that long. Whoever breaks it rebuilds what is derived.
 */
/** Words of a structure's header that belong to its lock. */
export const LOCK = {
  lock: 3,
  waiters: 4,
  /** Counts acquisitions: tells a stuck owner from a busy lock. */
  lockSeq: 5,
  /** Whoever held the lock died: what is derived has to be built anew. */
  indexStale: 12,
} as const;

/** What a lock is made of: the words of `LOCK` in `head`, and an "alive" word for each row. */
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

/** After a worker's death: its lock is open, and whoever takes it next builds anew what is derived. Main thread. */
export function releaseDead({ head, alive }: Lockable, row: number): void {
  Atomics.store(alive, row, 0);
  if (Atomics.load(head, LOCK.lock) !== row + 1) return;
  head[LOCK.indexStale] = 1;
  Atomics.compareExchange(head, LOCK.lock, row + 1, 0);
  Atomics.notify(head, LOCK.lock);
}

export class SharedLock {
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
    if (Atomics.compareExchange(head, LOCK.lock, 0, this.owner) !== 0) this.contend();
    head[LOCK.lockSeq] = (head[LOCK.lockSeq]! + 1) | 0;
  }

  /** Gives the lock back. Harmless when another thread has broken it meanwhile. */
  leave(): void {
    const head = this.head;
    Atomics.compareExchange(head, LOCK.lock, this.owner, 0);
    if (Atomics.load(head, LOCK.waiters) > 0) Atomics.notify(head, LOCK.lock, 1);
  }

  private contend(): void {
    const head = this.head;
    for (let i = 0; i < SPINS; i++) {
      if (Atomics.load(head, LOCK.lock) === 0 && this.seize(0)) return;
    }
    let seq = Atomics.load(head, LOCK.lockSeq);
    let patience = STUCK_MS / WAIT_MS;
    for (;;) {
      const holder = Atomics.load(head, LOCK.lock);
      if (holder === 0) {
        if (this.seize(0)) return;
        continue;
      }
      if (Atomics.load(this.alive, holder - 1) === 0 || patience <= 0) {
        if (this.seize(holder)) {
          head[LOCK.indexStale] = 1;
          return;
        }
        continue;
      }
      Atomics.add(head, LOCK.waiters, 1);
      const woken = Atomics.wait(head, LOCK.lock, holder, WAIT_MS);
      Atomics.sub(head, LOCK.waiters, 1);
      const present = Atomics.load(head, LOCK.lockSeq);
      if (present !== seq) patience = STUCK_MS / WAIT_MS;
      else if (woken === 'timed-out') patience--;
      seq = present;
    }
  }

  private seize(from: number): boolean {
    return Atomics.compareExchange(this.head, LOCK.lock, from, this.owner) === from;
  }
}
