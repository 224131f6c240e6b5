/** A list by last use in shared memory: links between nodes, and where it begins and ends in a header. Call with the lock held. */

/** No node. */
export const NIL = -1;

/** The memory that holds a list. */
export interface LruMemory {
  readonly head: Int32Array;
  /** By node: who was used after it, and before it. */
  readonly newer: Int32Array;
  readonly older: Int32Array;
}

/** Words of the header. */
export interface LruEnds {
  readonly newest: number;
  readonly oldest: number;
}

/** Puts a node that is in no list at the end of those used last. */
export function enqueue(m: LruMemory, ends: LruEnds, node: number): void {
  const before = m.head[ends.newest]!;
  m.newer[node] = NIL;
  m.older[node] = before;
  if (before === NIL) m.head[ends.oldest] = node;
  else m.newer[before] = node;
  m.head[ends.newest] = node;
}

/** Takes a node out. */
export function dequeue(m: LruMemory, ends: LruEnds, node: number): void {
  const newer = m.newer[node]!;
  const older = m.older[node]!;
  if (newer === NIL) m.head[ends.newest] = older;
  else m.older[newer] = older;
  if (older === NIL) m.head[ends.oldest] = newer;
  else m.newer[older] = newer;
}
