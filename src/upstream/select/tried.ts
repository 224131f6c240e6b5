/** A step of round robin passes over what the request has tried: those peers neither gain nor pay (spec 2.2). */
import type { Attempt } from '../attempt.ts';
import type { Selection } from '../selection.ts';
import { OUT } from './buckets.ts';
import type { IndexKind } from './index.ts';

/** The usable peer of a list that the index puts first, taken in turns among equals; -1: none. It pays for the step. */
export function least(s: Selection, a: Attempt, list: number, kind: IndexKind): number {
  s.index.ready(s.now, kind);
  if (!a.fresh) withdrawTried(s, a, list);
  const chosen = s.index.stepLeast(list, s.now);
  if (chosen >= 0) s.index.charge(chosen);
  if (!a.fresh) restoreTried(s, a, list);
  return chosen;
}

/** Takes the tried peers of a list out of the index. */
export function withdrawTried(s: Selection, a: Attempt, list: number): void {
  for (let slot = a.nextTried(0); slot >= 0; slot = a.nextTried(slot + 1)) {
    if (s.t.list[slot] === list) s.index.detach(slot);
  }
}

/** Puts them back. */
export function restoreTried(s: Selection, a: Attempt, list: number): void {
  for (let slot = a.nextTried(0); slot >= 0; slot = a.nextTried(slot + 1)) {
    if (s.t.list[slot] === list && s.t.where[slot] === OUT) s.index.attach(slot, s.now);
  }
}
