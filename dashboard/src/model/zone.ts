/** `status_zone` of servers and locations. */
import type { ZoneFrame } from '../../../src/admin/dashboard/frame.ts';
import { blank, grown, push, type Series } from '../series.ts';
import { Times } from './times.ts';

export class Zone {
  frame: ZoneFrame;
  #before: ZoneFrame;
  readonly rps: Series;
  readonly received: Series;
  readonly sent: Series;
  /** By class, 1xx first. */
  readonly classes: Series[];
  readonly times: Times;
  #started = false;

  constructor(frame: ZoneFrame, past: number) {
    this.frame = frame;
    this.#before = frame;
    this.rps = blank(past);
    this.received = blank(past);
    this.sent = blank(past);
    this.classes = frame.responses.map(() => blank(past));
    this.times = new Times(past);
  }

  tick(seconds: number): void {
    const { frame } = this;
    const before = this.#before;
    this.#before = frame;
    if (this.#started && seconds > 0) {
      push(this.rps, grown(frame.requests, before.requests) / seconds);
      push(this.received, grown(frame.received, before.received) / seconds);
      push(this.sent, grown(frame.sent, before.sent) / seconds);
      for (const [i, series] of this.classes.entries()) {
        push(series, grown(frame.responses[i]!, before.responses[i]!) / seconds);
      }
      this.times.note(frame.hist);
    } else {
      if (seconds > 0) for (const series of [this.rps, this.received, this.sent, ...this.classes]) push(series, null);
      this.times.start(frame.hist, seconds > 0);
    }
    this.#started = true;
  }
}
