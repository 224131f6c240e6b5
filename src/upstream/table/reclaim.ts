/** After a worker's death. Main thread only. */
import { reclaimQueue } from '../queue.ts';
import { H, Table, ZOMBIE } from './layout.ts';
import { locked } from './lists.ts';
import { rowOf } from '../../shared/lock.ts';
import { release } from './slots.ts';

/**
 * Ends what a dead worker had begun: its lock is broken, its requests in flight are subtracted, and the index, which it
 * may have left half changed, is built anew by the next pick. Call it before a worker with the same id starts.
 */
export function reclaimWorker(buffer: SharedArrayBuffer, workerId: number): void {
  const t = new Table(buffer);
  const row = rowOf(t, workerId);
  // from here on whoever waits for the dead worker's lock takes it over
  Atomics.store(t.alive, row, 0);
  locked(t, () => {
    t.head[H.indexStale] = 1;
    t.idleBy[row] = 0;
    Atomics.store(t.head, H.waiters, 0);
    for (let slot = 0; slot < t.capacity; slot++) reclaimSlot(t, slot, row);
    if (t.head[H.queueSize] !== 0) reclaimQueue(t, row);
  });
}

function reclaimSlot(t: Table, slot: number, row: number): void {
  const mine = row * t.capacity + slot;
  const lost = t.inflightBy[mine]!;
  t.connsBy[mine] = 0;
  t.inflightBy[mine] = 0;
  // summed anew rather than subtracted: the worker may have died between the two writes
  const conns = sum(t.connsBy, slot, t);
  const changed = conns !== t.conns[slot];
  t.conns[slot] = conns;
  const before = t.inflightReqs[slot]!;
  const reqs = sum(t.inflightBy, slot, t);
  if (lost !== 0 || reqs !== before) {
    // which of the elapsed times were the dead worker's is not known: it takes its share of the sum
    t.inflightLast[slot] = before > 0 ? Math.floor((t.inflightLast[slot]! * reqs) / before) : 0;
    t.inflightReqs[slot] = reqs;
  }
  if (changed && conns === 0 && t.state[slot] === ZOMBIE) release(t, slot);
}

function sum(plane: Int32Array, slot: number, t: Table): number {
  let total = 0;
  for (let row = 0; row < t.rows; row++) total += plane[row * t.capacity + slot]!;
  return total;
}
