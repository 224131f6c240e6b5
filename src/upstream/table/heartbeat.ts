/** What heartbeats say of a peer besides up and down. Main thread only. */
import { SelectionIndex } from '../select/index.ts';
import { F, H, LIVE, Table } from './layout.ts';
import { locked } from './lists.ts';

function change(buffer: SharedArrayBuffer, slot: number, generation: number, work: (t: Table) => void): void {
  const t = new Table(buffer);
  locked(t, () => {
    if (t.state[slot] === LIVE && t.generation[slot] === generation) work(t);
  });
}

/** Notes how long an answer took: the mean over the peer's life is what `fair` goes by. */
export function noteRoundTrip(buffer: SharedArrayBuffer, slot: number, generation: number, ms: number): void {
  change(buffer, slot, generation, (t) => {
    const count = t.averageAt[slot]! + 1;
    t.average[slot] = t.average[slot]! + (ms - t.average[slot]!) / count;
    t.averageAt[slot] = count;
    t.head[H.heartbeats] = (t.head[H.heartbeats]! + 1) | 0;
  });
}

/** A peer that has failed gets less: its weight divided by its failures, from where it recovers by one a round. */
export function weaken(buffer: SharedArrayBuffer, slot: number, generation: number, fails: number): void {
  change(buffer, slot, generation, (t) => {
    t.effective[slot] = Math.trunc(t.weight[slot]! / Math.max(1, fails));
    new SelectionIndex(t).moved(slot, t.headF[F.now]!);
  });
}
