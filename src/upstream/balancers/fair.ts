/**
 * any-proxy's `fair`: the server whose heartbeats have been answered fastest, on the mean over its life, gets everything
 * until another one is faster. One that was not measured yet comes first, and in the order of the configuration.
 */
import type { Attempt } from '../attempt.ts';
import type { Selection } from '../selection.ts';
import { H } from '../table/layout.ts';
import { type Balancer, NONE } from './balancer.ts';

export class FairBalancer implements Balancer {
  readonly choosesBackup = false;
  readonly inflight = false;
  private version = -1;
  private round = -1;
  /** Slots by mean time, by list. */
  private sorted: [number[], number[]] = [[], []];

  defers(): boolean {
    return false;
  }

  select(s: Selection, a: Attempt, list: number): number {
    const round = s.t.head[H.heartbeats]!;
    if (this.version !== s.version || this.round !== round) {
      this.sort(s);
      this.version = s.version;
      this.round = round;
    }
    for (const slot of this.sorted[list]!) if (s.usable(a, slot)) return slot;
    return NONE;
  }

  private sort(s: Selection): void {
    const { average } = s.t;
    this.sorted = [[], []];
    for (const list of [0, 1] as const) {
      const slots = Array.from({ length: s.count(list) }, (_, i) => s.at(list, i));
      this.sorted[list] = slots.sort((x, y) => average[x]! - average[y]!);
    }
  }
}
