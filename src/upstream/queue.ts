/**
 * `queue`: requests that no peer can take now wait for one, first in first out over all workers (spec 2.14).
 *
 * The line lies in the group's table, guarded by its lock: a doubly linked list of places, so that who leaves early leaves
 * from the middle. Whatever may free capacity (an answer ends, a peer recovers or is added, time passes) grants turns:
 * as many as there are free connections, to those who came first. A turn is a reservation: newcomers join the line as long
 * as anybody is in it, so nobody gets before those who wait. The worker of a request that was granted its turn is rung
 * (`GroupEnv.ring`), and picks; what it may find then is its own affair (a retry has tried some peers already): a turn
 * that came to nothing keeps its place, and others are not held up by it.
 *
 * Without the directive nothing of this exists but one comparison when an attempt ends.
 */
import type { Selection } from './selection.ts';
import { BACKUP, clearQueue, F, H, PRIMARY, type Table } from './table/layout.ts';
import { eligible, full } from './table/rules.ts';

/** `Table.queueState`: 0 is a free place. */
const WAITING = 1;
const GRANTED = 2;

/** Joins the end of the line. @returns the place, or -1: the queue is full, which is counted. */
export function joinQueue(t: Table, row: number): number {
  const { head } = t;
  const at = head[H.queueFree]!;
  if (at < 0) {
    t.headF[F.queueOverflows] = t.headF[F.queueOverflows]! + 1;
    return -1;
  }
  head[H.queueFree] = t.queueNext[at]!;
  t.queueRow[at] = row;
  t.queueState[at] = WAITING;
  t.queueSeen[at] = head[H.queueEvents]! - 1;
  t.queueTicket[at] = ++t.headF[F.queueTickets]!;
  append(t, at);
  return at;
}

function append(t: Table, at: number): void {
  const { head } = t;
  const last = head[H.queueLast]!;
  t.queueNext[at] = -1;
  t.queuePrev[at] = last;
  if (last < 0) head[H.queueFirst] = at;
  else t.queueNext[last] = at;
  head[H.queueLast] = at;
  head[H.queued] = head[H.queued]! + 1;
}

/** Leaves the line: chosen, given up, late. */
export function leaveQueue(t: Table, at: number): void {
  const { head } = t;
  const before = t.queuePrev[at]!;
  const after = t.queueNext[at]!;
  if (before < 0) head[H.queueFirst] = after;
  else t.queueNext[before] = after;
  if (after < 0) head[H.queueLast] = before;
  else t.queuePrev[after] = before;
  if (t.queueState[at] === GRANTED) head[H.queueGranted] = head[H.queueGranted]! - 1;
  t.queueState[at] = 0;
  t.queueNext[at] = head[H.queueFree]!;
  head[H.queueFree] = at;
  head[H.queued] = head[H.queued]! - 1;
}

export function hasTurn(t: Table, at: number): boolean {
  return t.queueState[at] === GRANTED;
}

/** A turn came to nothing: it waits on, and is asked again after the next event. */
export function passTurn(t: Table, at: number): void {
  if (t.queueState[at] !== GRANTED) return;
  t.queueState[at] = WAITING;
  t.queueSeen[at] = t.head[H.queueEvents]!;
  t.head[H.queueGranted] = t.head[H.queueGranted]! - 1;
}

/** Something has happened that may let somebody in. */
export function queueEvent(t: Table): void {
  t.head[H.queueEvents] = (t.head[H.queueEvents]! + 1) | 0;
}

/**
 * Grants turns as far as there is room.
 * @param rows marked with 1 for each worker that has to be rung
 * @returns whether any was marked
 */
export function grantTurns(s: Selection, rows: Uint8Array): boolean {
  const { t } = s;
  const { head } = t;
  const open = head[H.queued]! - head[H.queueGranted]!;
  if (open === 0) return false;
  let room = capacity(s, head[H.queued]!) - head[H.queueGranted]!;
  let rung = false;
  for (let at = head[H.queueFirst]!; at >= 0 && room > 0; at = t.queueNext[at]!) {
    if (t.queueState[at] !== WAITING || t.queueSeen[at] === head[H.queueEvents]) continue;
    t.queueState[at] = GRANTED;
    head[H.queueGranted] = head[H.queueGranted]! + 1;
    rows[t.queueRow[at]!] = 1;
    rung = true;
    room--;
  }
  return rung;
}

/** Requests that the peers could take now, counted up to `enough`. O(peers), and only while somebody waits. */
function capacity(s: Selection, enough: number): number {
  const { t } = s;
  if (s.single) return t.down[s.at(PRIMARY, 0)] === 0 ? roomOf(t, s.at(PRIMARY, 0), enough) : 0;
  let room = 0;
  for (const list of [PRIMARY, BACKUP]) {
    for (let i = 0; i < s.count(list) && room < enough; i++) {
      const slot = s.at(list, i);
      if (!eligible(t, slot, s.now)) continue;
      // after fail_timeout one request finds out whether it is well again
      const probing = t.maxFails[slot]! > 0 && t.fails[slot]! >= t.maxFails[slot]!;
      room += probing ? 1 : roomOf(t, slot, enough);
    }
  }
  return room;
}

function roomOf(t: Table, slot: number, enough: number): number {
  if (full(t, slot)) return 0;
  return t.maxConns[slot] === 0 ? enough : t.maxConns[slot]! - t.conns[slot]!;
}

/** After a worker's death: its requests leave, and the line, which it may have left half changed, is made anew. */
export function reclaimQueue(t: Table, row: number): void {
  const size = t.head[H.queueSize]!;
  const places: number[] = [];
  for (let at = 0; at < size; at++) if (t.queueState[at] !== 0 && t.queueRow[at] !== row) places.push(at);
  const states = new Map(places.map((at) => [at, t.queueState[at]!]));
  places.sort((a, b) => t.queueTicket[a]! - t.queueTicket[b]!);
  clearQueue(t);
  t.head[H.queueFree] = -1;
  for (let at = size - 1; at >= 0; at--) {
    if (states.has(at)) continue;
    t.queueNext[at] = t.head[H.queueFree]!;
    t.head[H.queueFree] = at;
  }
  for (const at of places) {
    t.queueState[at] = states.get(at)!;
    if (t.queueState[at] === GRANTED) t.head[H.queueGranted] = t.head[H.queueGranted]! + 1;
    append(t, at);
  }
}
