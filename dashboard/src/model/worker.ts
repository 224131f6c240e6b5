/** Worker threads: how busy they are. */
import type { WorkerFrame } from '../../../src/admin/dashboard/frame.ts';
import { grown, push, type Series } from '../series.ts';

export class WorkerThread {
  frame: WorkerFrame;
  #before: WorkerFrame;
  readonly busy: Series = [];
  readonly rps: Series = [];

  constructor(frame: WorkerFrame) {
    this.frame = frame;
    this.#before = frame;
  }

  tick(seconds: number): void {
    const { frame } = this;
    const before = this.#before;
    this.#before = frame;
    if (seconds <= 0) return;
    const busy = grown(frame.busyMs, before.busyMs);
    const all = busy + grown(frame.idleMs, before.idleMs);
    push(this.busy, all === 0 ? 0 : busy / all);
    push(this.rps, grown(frame.requests, before.requests) / seconds);
  }
}
