/** `limit_conn`: how many requests or connections of a key are under way, over all workers. */
import { LOCK, rowOf } from '../shared/lock.ts';
import { KeyTable, NIL } from './key-table.ts';

/** No more may begin, or the zone is full. */
export const REFUSED = -1;

/** A thread's handle on a zone. */
export class ConnectionTable {
  readonly #table: KeyTable;

  constructor(buffer: SharedArrayBuffer, workerId: number) {
    this.#table = new KeyTable(buffer, workerId);
  }

  get used(): number {
    return this.#table.used;
  }

  /** How many of the key are under way. */
  count(key: string): number {
    const t = this.#table;
    t.enter();
    const node = t.find(key);
    const count = node === NIL ? 0 : t.value[node]!;
    t.leave();
    return count;
  }

  /**
   * Counts one more of the key, if there are fewer than `limit`.
   * @param key one character a byte
   * @returns what `release` has to be given; `REFUSED`: not counted
   */
  take(key: string, limit: number): number {
    const t = this.#table;
    t.enter();
    let node = t.find(key);
    if (node === NIL) node = t.insert(false);
    else if (t.value[node]! >= limit) node = NIL;
    if (node !== NIL) {
      t.value[node]!++;
      t.parts[node * t.rows + t.row]!++;
    }
    t.leave();
    return node === NIL ? REFUSED : node;
  }

  /** One that `take` has counted is over. */
  release(node: number): void {
    const t = this.#table;
    t.enter();
    t.parts[node * t.rows + t.row]!--;
    if (--t.value[node]! <= 0) t.remove(node);
    t.leave();
  }
}

/** After a worker's death, before its successor starts: what it had under way is over. Main thread. */
export function reclaimConnections(buffer: SharedArrayBuffer, workerId: number): void {
  const t = new KeyTable(buffer, -1);
  const row = rowOf(t, workerId);
  // From here on whoever waits for the dead worker's lock takes it over.
  Atomics.store(t.alive, row, 0);
  t.head[LOCK.indexStale] = 1;
  t.enter();
  if (t.parts.length > 0) {
    for (let node = 0; node < t.capacity; node++) if (t.isTaken(node)) reclaim(t, node, row);
  }
  t.leave();
}

function reclaim(t: KeyTable, node: number, row: number): void {
  t.parts[node * t.rows + row] = 0;
  // Summed anew rather than subtracted: the worker may have died between two writes.
  let count = 0;
  for (let r = 0; r < t.rows; r++) count += t.parts[node * t.rows + r]!;
  t.value[node] = count;
  if (count === 0) t.remove(node);
}
