/** When what is due: a heap of moments and one timer, however many checks there are. */

export interface Task {
  /** Moment, milliseconds of the schedule's clock; the schedule's own once it was given. */
  due: number;
  /** Place in the heap; -1: not scheduled. */
  place: number;
  run(): void;
}

export interface ScheduleEnv {
  /** Milliseconds that only go forward. */
  now(): number;
  /** Calls back once, after `ms`; returns what cancels it. */
  timer(ms: number, fire: () => void): () => void;
}

/** Tasks that come due within this are run in one go. */
const GRAIN_MS = 1;
/** A timer is not set for longer: Node's limit, and clocks that were asleep. */
const LONGEST_MS = 60_000;

export class Schedule {
  readonly #env: ScheduleEnv;
  readonly #heap: Task[] = [];
  #cancel: (() => void) | null = null;
  #timerAt = Infinity;
  #running = false;
  /** The most that a task has been late, milliseconds. */
  latest = 0;

  constructor(env: ScheduleEnv) {
    this.#env = env;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** Runs the task at a moment; moves it when it is scheduled already. */
  at(task: Task, due: number): void {
    if (task.place >= 0) this.remove(task);
    task.due = due;
    this.#heap.push(task);
    this.#up(this.#heap.length - 1, task);
    if (!this.#running) this.#arm();
  }

  remove(task: Task): void {
    const { place } = task;
    if (place < 0) return;
    task.place = -1;
    const last = this.#heap.pop()!;
    if (last === task) return;
    this.#heap[place] = last;
    this.#down(this.#up(place, last), last);
  }

  close(): void {
    for (const task of this.#heap.splice(0)) task.place = -1;
    this.#cancel?.();
    this.#cancel = null;
    this.#timerAt = Infinity;
  }

  #arm(): void {
    const first = this.#heap[0];
    if (first === undefined || first.due >= this.#timerAt) return;
    this.#cancel?.();
    this.#timerAt = first.due;
    const ms = Math.min(LONGEST_MS, Math.max(0, first.due - this.#env.now()));
    this.#cancel = this.#env.timer(ms, () => this.#fire());
  }

  #fire(): void {
    this.#cancel = null;
    this.#timerAt = Infinity;
    this.#running = true;
    const now = this.#env.now();
    for (let first = this.#heap[0]; first !== undefined && first.due <= now + GRAIN_MS; first = this.#heap[0]) {
      this.remove(first);
      this.latest = Math.max(this.latest, now - first.due);
      first.run();
    }
    this.#running = false;
    this.#arm();
  }

  #up(at: number, task: Task): number {
    const heap = this.#heap;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent]!;
      if (above.due <= task.due) break;
      heap[at] = above;
      above.place = at;
      at = parent;
    }
    heap[at] = task;
    task.place = at;
    return at;
  }

  #down(at: number, task: Task): void {
    const heap = this.#heap;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.due < heap[child]!.due) child++;
      const below = heap[child]!;
      if (below.due >= task.due) break;
      heap[at] = below;
      below.place = at;
      at = child;
    }
    heap[at] = task;
    task.place = at;
  }
}
