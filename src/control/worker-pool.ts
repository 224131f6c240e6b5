/**
 * The worker threads: started, taken from one generation to the next in two phases, replaced when they die, stopped.
 */
import type { KongChange } from '../config/kong/groups.ts';
import { describeError } from '../observe/errno.ts';
import type { ErrorLog } from '../observe/error-log.ts';
import type { GenerationData } from '../worker/protocol.ts';
import type { EarlyWorkers } from './early-workers.ts';
import { type Answer, type LoopTimes, type ThreadEvents, WorkerThread } from './worker-thread.ts';

/** A worker that dies is replaced at once; one that dies young waits twice as long each time. */
const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 5000;
const YOUNG_MS = 10_000;
/** A worker that is lost while a reload prepares it is started anew this often. */
const PREPARE_TRIES = 3;

export interface PoolOptions {
  /** The module that a worker thread runs. */
  entry: URL;
  log: ErrorLog;
  /** For errors of a worker that has no configuration yet. */
  errorLogPath: string;
  /** The last request of a worker under this generation has ended. */
  onDrained: (workerId: number, generation: number) => void;
  /** A worker asks for an administrative answer. */
  onAdmin: ThreadEvents['admin'];
  /** A worker thread has ended, whatever made it. */
  onEnded: (thread: WorkerThread) => void;
  /** A worker died: what it held in shared memory has to be given back. */
  onLost: (workerId: number) => void;
  /** Threads that run already. */
  early: EarlyWorkers;
  /** Wraps the start of a replacement, which may have to bind ports below 1024. */
  privileged: (work: () => Promise<void>) => Promise<void>;
}

/** A worker thread that carries traffic. */
export interface LiveWorker extends LoopTimes {
  /** Its place in the configuration's order. */
  id: number;
  /** The number that logs show. */
  number: number;
}

interface Slot {
  id: number;
  thread: WorkerThread | null;
  /** The thread runs a committed generation. */
  live: boolean;
  /** A reload is busy with it: it takes care of a thread that dies. */
  preparing: boolean;
  /** It was told to end, and nobody follows. */
  leaving: boolean;
  timer: NodeJS.Timeout | null;
  /** How often its threads died young, in a row. */
  deaths: number;
  liveSinceMs: number;
}

export class WorkerPool {
  readonly #options: PoolOptions;
  readonly #slots: Slot[] = [];
  #current: GenerationData | null = null;
  #count = 0;
  #stopping = false;
  readonly #early: (WorkerThread | undefined)[];

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#early = options.early.threads.slice();
  }

  /** A thread that was started early and fits. */
  #takeEarly(id: number, count: number): WorkerThread | null {
    const thread = this.#early[id];
    this.#early[id] = undefined;
    if (thread === undefined) return null;
    if (count === this.#options.early.count && thread.alive) return thread;
    void thread.end();
    return null;
  }

  /** Worker threads that carry traffic. */
  get live(): number {
    return this.#slots.filter((slot) => slot.live).length;
  }

  /** Those that carry traffic. */
  workers(): LiveWorker[] {
    return this.#slots.flatMap(({ id, live, thread }) =>
      live && thread !== null ? [{ id, number: thread.number, ...thread.times() }] : [],
    );
  }

  /**
   * First phase: all workers compile the configuration and bind its addresses; those that are missing are started.
   *
   * @param count number of workers that the configuration wants
   * @returns null, or why it cannot be run; then call `abandon`
   */
  async prepare(generation: GenerationData, count: number): Promise<string | null> {
    const ids = Array.from({ length: count }, (_, id) => id);
    const failures = await Promise.all(ids.map((id) => this.#prepareSlot(this.#slot(id), generation, count)));
    for (const thread of this.#early.splice(0)) void thread?.end();
    return failures.find((failure) => failure !== null) ?? null;
  }

  #slot(id: number): Slot {
    return (this.#slots[id] ??= {
      id,
      thread: null,
      live: false,
      preparing: false,
      leaving: false,
      timer: null,
      deaths: 0,
      liveSinceMs: 0,
    });
  }

  async #prepareSlot(slot: Slot, generation: GenerationData, count: number): Promise<string | null> {
    slot.preparing = true;
    let failure = 'stopping';
    for (let tries = PREPARE_TRIES; tries > 0 && !this.#stopping; tries--) {
      const answer = await this.#tryPrepare(slot, generation, count);
      if (answer.outcome === 'ok') return null;
      failure = answer.message;
      if (answer.outcome === 'refused') break;
      if (slot.thread !== null) this.#giveUp(slot, slot.thread, failure);
    }
    return failure;
  }

  async #tryPrepare(slot: Slot, generation: GenerationData, count: number): Promise<Answer> {
    if (slot.live && slot.thread !== null) return slot.thread.prepare(generation);
    // It may be about to start with the old generation, perhaps one that kills it: the new one is what it shall run.
    await this.#clear(slot);
    const thread = this.#spawn(slot, count);
    const answer = await thread.online();
    return answer.outcome === 'ok' ? thread.prepare(generation) : answer;
  }

  #spawn(slot: Slot, count: number): WorkerThread {
    const { entry, errorLogPath, log, onAdmin, onDrained, onEnded } = this.#options;
    const init = { workerId: slot.id, workerCount: count, errorLogPath };
    const thread = this.#takeEarly(slot.id, count) ?? new WorkerThread(entry, init);
    thread.events = {
      drained: (_, generation) => {
        log.notice(`worker process ${thread.number} exited with code 0 (generation ${generation} drained)`);
        onDrained(slot.id, generation);
      },
      admin: onAdmin,
      exited: (_, error) => {
        onEnded(thread);
        this.#exited(slot, thread, error);
      },
    };
    slot.thread = thread;
    return thread;
  }

  async #clear(slot: Slot): Promise<void> {
    if (slot.timer !== null) clearTimeout(slot.timer);
    slot.timer = null;
    const { thread } = slot;
    slot.thread = null;
    slot.live = false;
    await thread?.end();
  }

  /** A thread that does not answer is as good as dead. */
  #giveUp(slot: Slot, thread: WorkerThread, reason: string): void {
    if (!thread.alive) return;
    this.#options.log.alert(reason);
    void thread.end();
    this.#exited(slot, thread, null);
  }

  #exited(slot: Slot, thread: WorkerThread, error: unknown): void {
    if (error !== null) {
      this.#options.log.alert(`worker process ${thread.number} exited on fatal error: ${describeError(error)}`);
    }
    if (slot.thread !== thread) return;
    slot.thread = null;
    slot.live = false;
    this.#options.onLost(slot.id);
    if (!slot.preparing && !slot.leaving) this.#replaceLater(slot);
  }

  #replaceLater(slot: Slot): void {
    if (this.#stopping || this.#current === null || slot.id >= this.#count || slot.timer !== null) return;
    const old = slot.liveSinceMs !== 0 && performance.now() - slot.liveSinceMs >= YOUNG_MS;
    slot.deaths = old ? 0 : slot.deaths + 1;
    slot.liveSinceMs = 0;
    const delayMs = slot.deaths <= 1 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (slot.deaths - 2), LONGEST_DELAY_MS);
    slot.timer = setTimeout(() => {
      slot.timer = null;
      void this.#options.privileged(() => this.#replace(slot));
    }, delayMs);
  }

  /** Threads that were started in place of one that died. */
  respawned = 0;

  /** Starts a thread with the generation that runs; whoever takes the slot over meanwhile wins. */
  async #replace(slot: Slot): Promise<void> {
    const thread = this.#spawn(slot, this.#count);
    let answer = await thread.online();
    while (answer.outcome === 'ok' && slot.thread === thread) {
      const generation = this.#current;
      if (generation === null) return;
      answer = await thread.prepare(generation);
      if (answer.outcome !== 'ok' || slot.thread !== thread) break;
      // A reload may have gone by.
      if (generation !== this.#current) continue;
      answer = await thread.commit(generation.id);
      if (answer.outcome !== 'ok' || slot.thread !== thread || generation !== this.#current) continue;
      this.#runs(slot, thread);
      this.respawned++;
      return;
    }
    if (slot.thread !== thread || answer.outcome === 'ok') return;
    const { log } = this.#options;
    log.error(`could not start worker process ${thread.number}: ${answer.message}`);
    slot.thread = null;
    await thread.end();
    if (slot.thread === null && !slot.preparing) this.#replaceLater(slot);
  }

  #runs(slot: Slot, thread: WorkerThread): void {
    slot.live = true;
    slot.liveSinceMs = performance.now();
    this.#options.log.notice(`start worker process ${thread.number}`);
  }

  /**
   * Second phase: all swap. Workers beyond `count` finish what they have and end; one that dies now is replaced.
   *
   * @param quitTimeoutMs for surplus workers; 0: no limit
   * @returns once all have swapped
   */
  async commit(generation: GenerationData, count: number, quitTimeoutMs: number): Promise<void> {
    this.#current = generation;
    this.#count = count;
    const wanted = this.#slots.slice(0, count);
    for (const slot of wanted) slot.preparing = false;
    const surplus = this.#slots.splice(count);
    for (const slot of surplus) void this.#retire(slot, quitTimeoutMs);
    await Promise.all(wanted.map((slot) => this.#commitSlot(slot, generation)));
  }

  async #commitSlot(slot: Slot, generation: GenerationData): Promise<void> {
    const { thread } = slot;
    if (thread === null) return this.#replaceLater(slot);
    const answer = await thread.commit(generation.id);
    if (answer.outcome === 'ok') this.#runs(slot, thread);
    else this.#giveUp(slot, thread, answer.message);
  }

  async #retire(slot: Slot, timeoutMs: number): Promise<void> {
    if (slot.timer !== null) clearTimeout(slot.timer);
    slot.timer = null;
    const { thread } = slot;
    if (thread === null) return;
    if (!slot.live) {
      slot.thread = null;
      return thread.end();
    }
    if (slot.leaving) return thread.quit(timeoutMs);
    slot.leaving = true;
    await thread.quit(timeoutMs);
    this.#options.log.notice(`worker process ${thread.number} exited with code 0`);
  }

  /** Instead of the second phase: forget the generation. Threads that were started for it alone start anew. */
  async abandon(generation: GenerationData): Promise<void> {
    for (const slot of this.#slots) {
      slot.preparing = false;
      if (slot.live) {
        slot.thread?.abandon(generation.id);
        continue;
      }
      await this.#clear(slot);
      this.#replaceLater(slot);
    }
  }

  /** Kong's entities have changed: every thread that runs is told, those too that are about to. */
  tellKong(change: KongChange): void {
    for (const { thread } of this.#slots) thread?.tellKong(change);
  }

  reopen(): void {
    for (const { thread } of this.#slots) thread?.reopen();
  }

  /**
   * Ends all workers.
   *
   * @param timeoutMs for what is under way; 0: no limit
   */
  async quit(timeoutMs: number): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#slots.map((slot) => this.#retire(slot, timeoutMs)));
  }
}
