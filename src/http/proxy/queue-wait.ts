/** An exchange that waits in its group's queue (`queue N timeout=`): nobody can take it now, somebody may soon. */
import type { Attempt } from '../../upstream/group.ts';
import { clock } from '../../net/clock.ts';
import { Timer } from '../../net/timers.ts';
import type { UpstreamGroup } from './group.ts';

/** What waits. */
interface Waiter {
  readonly attempt: Attempt;
  /** Milliseconds waited in sum; -1: not at all. */
  queueMs: number;
}

export class QueueWait {
  readonly #waiter: Waiter;
  readonly #turn: () => void;
  readonly #timer: Timer;
  /** Null: it does not wait. */
  #group: UpstreamGroup | null = null;
  #since = 0;

  /**
   * @param turn it may choose again; it still waits until it ends the wait
   * @param late it has waited long enough
   */
  constructor(waiter: Waiter, turn: () => void, late: () => void) {
    this.#waiter = waiter;
    this.#turn = turn;
    this.#timer = new Timer(() => {
      this.end();
      late();
    });
  }

  /** The group has given it a place. Once more after a turn that came to nothing: it waits on. */
  begin(group: UpstreamGroup): void {
    if (this.#group !== null) return;
    this.#group = group;
    this.#waiter.attempt.onTurn = this.#turn;
    this.#since = clock.now;
    this.#timer.arm(group.config.queue!.timeoutMs);
  }

  /** A server was chosen, or it leaves. */
  end(): void {
    const group = this.#group;
    if (group === null) return;
    this.#group = null;
    this.#timer.cancel();
    group.peers.stopWaiting(this.#waiter.attempt);
    this.#waiter.queueMs = Math.max(0, this.#waiter.queueMs) + Math.round(clock.now - this.#since);
  }
}
