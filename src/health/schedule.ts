/**
 * When what is due. Tasks are kept by the tick of 20 ms that they are due in, and those of one tick are run together when it
 * begins: thousands of checks that are spread over a second wake the thread fifty times instead of thousands of times, and
 * their answers come together as well. So a task is up to a tick early, and late only when the thread is. One timer.
 */
import { BUCKETS, bucketOf } from '../observe/histogram.ts';

export interface Task {
  /** Moment, milliseconds of the schedule's clock; the schedule's own once it was given. */
  due: number;
  /** The tick it is kept by; -1: not scheduled. */
  tick: number;
  /** How much later it may run without anybody minding, milliseconds; null: nobody counts how late it is. */
  readonly slackMs: number | null;
  run(): void;
}

export interface ScheduleEnv {
  /** Milliseconds that only go forward. */
  now(): number;
  /** Calls back once, after `ms`; returns what cancels it. */
  timer(ms: number, fire: () => void): () => void;
}

const TICK_MS = 20;
/** A timer is not set for longer: Node's limit, and clocks that were asleep. */
const LONGEST_MS = 60_000;

export class Schedule {
  readonly #env: ScheduleEnv;
  /** Also holds tasks that were removed or moved meanwhile: their `tick` says so. */
  readonly #ticks = new Map<number, Task[]>();
  #cancel: (() => void) | null = null;
  #timerTick = Infinity;
  /** While tasks run: the tick that new ones come after. */
  #running = -1;
  /** Tasks that are scheduled. */
  size = 0;
  /** The most that a task has been late, milliseconds. */
  latest = 0;
  /** Tasks that have run, by how late they were (`observe/histogram.ts`), and the sum of it, milliseconds. */
  readonly late = new Float64Array(BUCKETS);
  lateSumMs = 0;
  /** Those that were later than they may be. */
  tooLate = 0;

  constructor(env: ScheduleEnv) {
    this.#env = env;
  }

  /** Runs the task at a moment; moves it when it is scheduled already. */
  at(task: Task, due: number): void {
    if (task.tick < 0) this.size++;
    const tick = Math.max(Math.floor(due / TICK_MS), this.#running + 1);
    const moved = task.tick !== tick;
    task.due = due;
    task.tick = tick;
    const tasks = this.#ticks.get(tick);
    if (tasks === undefined) this.#ticks.set(tick, [task]);
    else if (moved) tasks.push(task);
    if (this.#running < 0 && tick < this.#timerTick) this.#arm(tick);
  }

  remove(task: Task): void {
    if (task.tick < 0) return;
    task.tick = -1;
    this.size--;
  }

  close(): void {
    for (const tasks of this.#ticks.values()) for (const task of tasks) task.tick = -1;
    this.#ticks.clear();
    this.size = 0;
    this.#cancel?.();
    this.#cancel = null;
    this.#timerTick = Infinity;
  }

  #arm(tick: number): void {
    this.#cancel?.();
    this.#timerTick = tick;
    const ms = Math.min(LONGEST_MS, Math.max(0, tick * TICK_MS - this.#env.now()));
    this.#cancel = this.#env.timer(ms, () => this.#fire());
  }

  #fire(): void {
    this.#cancel = null;
    this.#timerTick = Infinity;
    const now = this.#env.now();
    // a timer may fire a fraction of a millisecond early
    this.#running = Math.floor((now + 1) / TICK_MS);
    for (let tick = this.#first(); tick <= this.#running; tick = this.#first()) {
      const tasks = this.#ticks.get(tick)!;
      this.#ticks.delete(tick);
      for (const task of tasks) {
        if (task.tick !== tick) continue;
        this.remove(task);
        // those before it in this tick have taken their time, too
        if (task.slackMs !== null) this.#noteLate(Math.max(0, this.#env.now() - task.due), task.slackMs);
        task.run();
      }
    }
    this.#running = -1;
    const next = this.#first();
    if (next !== Infinity) this.#arm(next);
  }

  #noteLate(ms: number, slackMs: number): void {
    if (ms > slackMs) this.tooLate++;
    this.latest = Math.max(this.latest, ms);
    this.late[bucketOf(ms)]!++;
    this.lateSumMs += ms;
  }

  /** The earliest tick that has tasks; Infinity: none has. There are few: an interval has fifty ticks a second. */
  #first(): number {
    let first = Infinity;
    for (const tick of this.#ticks.keys()) if (tick < first) first = tick;
    return first;
  }
}
