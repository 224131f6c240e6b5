/** Changing who is in a group, and in which order. Used by the main thread. */
import { plain, SelectionIndex, type IndexKind } from '../select/index.ts';
import { BACKUP, F, H, PRIMARY, type Table } from './layout.ts';
import { SharedLock, rowOf } from '../../shared/lock.ts';

/** The lists of a group while they are edited. */
export interface Lists {
  primary: number[];
  backup: number[];
}

function mainLock(t: Table): SharedLock {
  Atomics.store(t.alive, 0, 1);
  return new SharedLock(t, rowOf(t, -1));
}

/** Runs `work` with the lock held, by the main thread unless another one brings its own. */
export function locked<T>(t: Table, work: () => T, lock: SharedLock = mainLock(t)): T {
  lock.enter();
  try {
    return work();
  } finally {
    lock.leave();
  }
}

let made = 0;

/** How many edits this thread has made. */
export function edits(): number {
  return made;
}

/**
 * Changes a group under the lock: `work` edits the lists, claims and retires slots, sets weights and down bits. Then
 * all that follows from it is made: order, totals, version, and the index, so that no request has to. O(n).
 *
 * Members come and go by the main thread alone; other threads may change what their own `lock` lets them.
 */
export function edit<T>(t: Table, work: (lists: Lists) => T, lock?: SharedLock): T {
  made++;
  return locked(
    t,
    () => {
      const kind = t.head[H.indexKind]!;
      plain(t);
      const lists = { primary: readList(t, PRIMARY), backup: readList(t, BACKUP) };
      const result = work(lists);
      writeList(t, PRIMARY, lists.primary);
      writeList(t, BACKUP, lists.backup);
      t.head[H.version] = t.head[H.version]! + 1;
      if (kind !== 0) new SelectionIndex(t).rebuild(t.headF[F.now]!, kind as IndexKind);
      return result;
    },
    lock,
  );
}

/** The slots of a list, in order. */
export function readList(t: Table, list: number): number[] {
  const from = list * t.capacity;
  return Array.from(t.order.subarray(from, from + t.head[H.count + list]!));
}

function writeList(t: Table, list: number, slots: readonly number[]): void {
  let weight = 0;
  let tries = 0;
  slots.forEach((slot, i) => {
    t.order[list * t.capacity + i] = slot;
    t.pos[slot] = i;
    t.list[slot] = list;
    weight += t.weight[slot]!;
    if (t.down[slot] === 0) tries++;
  });
  t.head[H.count + list] = slots.length;
  t.head[H.tries + list] = tries;
  t.headF[F.totalWeight + list] = weight;
}
