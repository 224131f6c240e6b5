/**
 * A pairing heap threaded through the table's slots (`child`, `next`, `prev`), so that any peer can leave from anywhere
 * without allocation. The root is the peer that smooth weighted round robin would take: greatest current weight, then
 * first in the list. That order has no ties, so the shape of the heap never shows in a choice.
 *
 * Fredman, Sedgewick, Sleator, Tarjan: The pairing heap (1986).
 */
import type { Table } from '../table/layout.ts';

export const NIL = -1;

/** Melds two heaps, returns the root. Both arguments are roots. */
export function meld(t: Table, a: number, b: number): number {
  const ka = t.current[a]!;
  const kb = t.current[b]!;
  let root = a;
  let other = b;
  if (kb > ka || (kb === ka && t.pos[b]! < t.pos[a]!)) {
    root = b;
    other = a;
  }
  const first = t.child[root]!;
  t.next[other] = first;
  if (first !== NIL) t.prev[first] = other;
  t.prev[other] = root;
  t.child[root] = other;
  return root;
}

/** Adds a peer that is in no heap; returns the new root. */
export function push(t: Table, root: number, slot: number): number {
  t.child[slot] = NIL;
  t.next[slot] = NIL;
  t.prev[slot] = NIL;
  return root === NIL ? slot : meld(t, root, slot);
}

/** Takes a peer out; returns the new root. */
export function cut(t: Table, root: number, slot: number): number {
  const orphans = pair(t, slot);
  if (slot === root) return orphans;
  const before = t.prev[slot]!;
  const after = t.next[slot]!;
  if (t.child[before] === slot) t.child[before] = after;
  else t.next[before] = after;
  if (after !== NIL) t.prev[after] = before;
  return orphans === NIL ? root : meld(t, root, orphans);
}

/** Melds the children of a peer: pairs from the left, then all from the right (amortized O(log n)). */
function pair(t: Table, slot: number): number {
  const { next, prev } = t;
  let node = t.child[slot]!;
  if (node === NIL) return NIL;
  let done = NIL;
  while (node !== NIL) {
    const second = next[node]!;
    let rest = NIL;
    let pairRoot = node;
    if (second !== NIL) {
      rest = next[second]!;
      next[node] = NIL;
      next[second] = NIL;
      pairRoot = meld(t, node, second);
    }
    next[pairRoot] = done;
    done = pairRoot;
    node = rest;
  }
  let root = done;
  done = next[root]!;
  next[root] = NIL;
  while (done !== NIL) {
    const rest = next[done]!;
    next[done] = NIL;
    root = meld(t, root, done);
    done = rest;
  }
  prev[root] = NIL;
  return root;
}
