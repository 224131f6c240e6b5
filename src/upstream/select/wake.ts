/**
 * Peers that time alone will change, by the second in which it does: those that max_fails has blocked, and under
 * least_time those whose average halves while they are not chosen. A binary heap in shared memory; mostly it is empty,
 * and costs a pick one comparison then.
 */
import { H, type Table } from '../table/layout.ts';

/** Sets the second in which a peer is looked at again; moves it when it is there already. */
export function schedule(t: Table, slot: number, second: number): void {
  let at = t.wakeAt[slot]!;
  if (at < 0) {
    at = t.head[H.wakeCount]!;
    t.head[H.wakeCount] = at + 1;
  } else if (t.wakeTime[slot] === second) {
    return;
  }
  t.wakeTime[slot] = second;
  down(t, up(t, at, slot), slot);
}

/** Forgets a peer. */
export function unschedule(t: Table, slot: number): void {
  const at = t.wakeAt[slot]!;
  if (at < 0) return;
  const last = t.head[H.wakeCount]! - 1;
  t.head[H.wakeCount] = last;
  t.wakeAt[slot] = -1;
  if (at === last) return;
  const moved = t.wakeHeap[last]!;
  down(t, up(t, at, moved), moved);
}

/** Takes out a peer whose time has come, or returns -1. */
export function due(t: Table, second: number): number {
  if (t.head[H.wakeCount] === 0) return -1;
  const slot = t.wakeHeap[0]!;
  if (t.wakeTime[slot]! > second) return -1;
  unschedule(t, slot);
  return slot;
}

/** Empties the heap. */
export function clearWake(t: Table): void {
  t.head[H.wakeCount] = 0;
  t.wakeAt.fill(-1);
}

function place(t: Table, at: number, slot: number): void {
  t.wakeHeap[at] = slot;
  t.wakeAt[slot] = at;
}

function up(t: Table, at: number, slot: number): number {
  const key = t.wakeTime[slot]!;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = t.wakeHeap[parent]!;
    if (t.wakeTime[above]! <= key) break;
    place(t, at, above);
    at = parent;
  }
  place(t, at, slot);
  return at;
}

function down(t: Table, at: number, slot: number): void {
  const key = t.wakeTime[slot]!;
  const count = t.head[H.wakeCount]!;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= count) break;
    if (child + 1 < count && t.wakeTime[t.wakeHeap[child + 1]!]! < t.wakeTime[t.wakeHeap[child]!]!) child++;
    const below = t.wakeHeap[child]!;
    if (t.wakeTime[below]! >= key) break;
    place(t, at, below);
    at = child;
  }
  place(t, at, slot);
}
