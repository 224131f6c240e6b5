/**
 * Coarse timers for connections: one ticker a thread, O(1) to arm, to move and to cancel, no allocation.
 *
 * A timer that is armed again for later stays where it is in the wheel and is moved when its slot comes up, so the
 * usual life of a connection timer (armed again on every read, hardly ever firing) costs a store.
 */
import { clock } from './clock.ts';

const TICK_MS = 20;
const SLOTS = 512;
const MASK = SLOTS - 1;
const NEVER = Number.POSITIVE_INFINITY;
/** The thread stood still when it is so many ticks behind. */
const LATE_TICKS = 5;

/** A node of a slot's ring; embed one per thing that can time out. */
export class Timer {
  /** Moment of `clock.now` at which it fires; infinite: not armed. */
  deadline: number = NEVER;
  /** The tick whose slot holds it; -1: in no slot. */
  slotTick = -1;
  next: Timer;
  prev: Timer;
  readonly fire: () => void;

  constructor(fire: () => void) {
    this.next = this;
    this.prev = this;
    this.fire = fire;
  }

  get armed(): boolean {
    return this.deadline !== NEVER;
  }

  /** Fires `ms` from the clock's present reading; replaces an earlier setting. */
  arm(ms: number): void {
    wheel.arm(this, ms);
  }

  cancel(): void {
    this.deadline = NEVER;
  }

  /** Cancels it for good: it leaves the wheel at once, which would hold its owner in memory until its slot comes up. */
  drop(): void {
    this.deadline = NEVER;
    wheel.remove(this);
  }
}

class TimerWheel {
  #slots: Timer[] = Array.from({ length: SLOTS }, () => new Timer(() => {}));
  #tick = 0;
  #linked = 0;
  #handle: NodeJS.Timeout | null = null;
  #origin = 0;

  arm(timer: Timer, ms: number): void {
    const deadline = clock.now + ms;
    timer.deadline = deadline;
    if (this.#handle === null) this.#start();
    if (timer.slotTick >= 0) {
      // Usually it is armed for later than its slot: nothing to do before the slot comes up.
      if (this.#origin + timer.slotTick * TICK_MS <= deadline) return;
      this.#unlink(timer);
    }
    const tick = Math.ceil((deadline - this.#origin) / TICK_MS);
    this.#link(timer, Math.max(tick, this.#tick + 1));
  }

  #link(timer: Timer, tick: number): void {
    // Beyond one turn of the wheel: it is looked at once a turn.
    const at = Math.min(tick, this.#tick + SLOTS - 1);
    const head = this.#slots[at & MASK]!;
    timer.slotTick = at;
    timer.prev = head.prev;
    timer.next = head;
    head.prev.next = timer;
    head.prev = timer;
    this.#linked++;
  }

  remove(timer: Timer): void {
    if (timer.slotTick >= 0) this.#unlink(timer);
  }

  #unlink(timer: Timer): void {
    timer.prev.next = timer.next;
    timer.next.prev = timer.prev;
    timer.next = timer;
    timer.prev = timer;
    timer.slotTick = -1;
    this.#linked--;
  }

  #start(): void {
    this.#origin = clock.now;
    this.#tick = 0;
    this.#handle = setInterval(() => this.#wake(), TICK_MS);
    this.#handle.unref();
  }

  /**
   * Node runs timers before it polls. After a stall (a paused machine, a long collection) what has come meanwhile must
   * be looked at first, as nginx does: it came in time, we were late.
   */
  #wake(): void {
    clock.resync();
    if (clock.now - this.#origin - this.#tick * TICK_MS < LATE_TICKS * TICK_MS) this.#run();
    else setImmediate(this.#late);
  }

  readonly #late = (): void => this.#run();

  #run(): void {
    clock.resync();
    const target = Math.floor((clock.now - this.#origin) / TICK_MS);
    // After a long stall one full turn sees every slot.
    if (target - this.#tick > SLOTS) this.#tick = target - SLOTS;
    while (this.#tick < target) {
      this.#tick++;
      this.#expire(this.#slots[this.#tick & MASK]!);
    }
    if (this.#linked === 0 && this.#handle !== null) {
      clearInterval(this.#handle);
      this.#handle = null;
    }
  }

  #expire(head: Timer): void {
    // Take the whole ring first: firing may arm timers into this slot again.
    const due: Timer[] = [];
    for (let t = head.next; t !== head; t = t.next) due.push(t);
    for (const timer of due) {
      if (timer.slotTick < 0) continue;
      this.#unlink(timer);
      if (timer.deadline === NEVER) continue;
      if (timer.deadline > clock.now) {
        this.#link(timer, Math.max(Math.ceil((timer.deadline - this.#origin) / TICK_MS), this.#tick + 1));
        continue;
      }
      timer.deadline = NEVER;
      timer.fire();
    }
  }
}

const wheel = new TimerWheel();
