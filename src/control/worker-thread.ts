/**
 * One worker thread and the conversation with it (`worker/protocol.ts`): requests become promises, and every wait
 * ends, at the latest when the thread does.
 */
import { Worker } from 'node:worker_threads';
import { closeLeftBehind, descriptorTable } from '../net/descriptors.ts';
import type { AdminReply } from '../http/handlers/admin.ts';
import type { KongChange } from '../config/kong/groups.ts';
import type { AdminMessage, FromWorker, GenerationData, ToWorker, WorkerInit } from '../worker/protocol.ts';

/** How long a worker may take to start, to compile a configuration or to swap. */
const ANSWER_MS = 60_000;
/** Heap for short-lived objects, MiB: with V8's default a busy worker spends noticeably more time collecting. */
const YOUNG_GENERATION_MB = 96;

/** `lost`: the thread ended, or did not answer in time. */
export type Answer = { outcome: 'ok' } | { outcome: 'refused'; message: string } | { outcome: 'lost'; message: string };

export interface ThreadEvents {
  drained(thread: WorkerThread, generation: number): void;
  /** The worker has an administrative request, or whoever made one is gone. */
  admin(thread: WorkerThread, message: AdminMessage): void;
  /** The thread has ended. `error`: why, when it did not end by itself or by our will. */
  exited(thread: WorkerThread, error: unknown): void;
}

/** How long a thread's event loop was busy and idle so far, milliseconds. */
export interface LoopTimes {
  busyMs: number;
  idleMs: number;
}

interface Waiter {
  type: FromWorker['type'];
  id: number | null;
  done: (answer: Answer) => void;
}

export class WorkerThread {
  readonly workerId: number;
  /** The number that logs show: the thread's. */
  readonly number: number;
  readonly #worker: Worker;
  /** Who hears of what it does by itself; nobody at first for one that was started early. */
  events: ThreadEvents | null;
  readonly #waiters = new Set<Waiter>();
  #error: unknown = null;
  #isOnline = false;
  #expected = false;
  #exited = false;
  readonly #descriptors = descriptorTable();
  /** The generation that runs; 0: none yet. */
  generation = 0;

  constructor(entry: URL, init: Omit<WorkerInit, 'descriptors'>, events: ThreadEvents | null = null) {
    this.workerId = init.workerId;
    this.events = events;
    // Workers take a path for what it is.
    const errorLogPath = init.errorLogPath === 'stderr' ? '/dev/stderr' : init.errorLogPath;
    this.#worker = new Worker(entry, {
      workerData: { ...init, errorLogPath, descriptors: this.#descriptors } satisfies WorkerInit,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    this.number = this.#worker.threadId;
    this.#worker.on('message', (message: FromWorker) => this.#take(message));
    this.#worker.on('error', (error) => (this.#error ??= error));
    this.#worker.on('exit', (code) => this.#ended(code));
  }

  get alive(): boolean {
    return !this.#exited;
  }

  times(): LoopTimes {
    const { active, idle } = this.#worker.performance.eventLoopUtilization();
    return { busyMs: active, idleMs: idle };
  }

  /** The thread runs and listens. */
  online(): Promise<Answer> {
    if (this.#isOnline && !this.#exited) return Promise.resolve({ outcome: 'ok' });
    return this.#wait('online', null);
  }

  prepare(generation: GenerationData): Promise<Answer> {
    this.#send({ type: 'prepare', generation });
    return this.#wait('prepared', generation.id);
  }

  async commit(id: number): Promise<Answer> {
    this.#send({ type: 'commit', id });
    const answer = await this.#wait('committed', id);
    if (answer.outcome === 'ok') this.generation = id;
    return answer;
  }

  abandon(id: number): void {
    this.#send({ type: 'abandon', id });
  }

  tellKong(change: KongChange): void {
    this.#send({ type: 'kong', change });
  }

  reopen(): void {
    this.#send({ type: 'reopen' });
  }

  adminReply(id: number, reply: AdminReply): void {
    this.#send({ type: 'adminReply', id, reply });
  }

  /**
   * Stops gracefully, then ends the thread.
   *
   * @param timeoutMs 0: however long it takes
   * @returns when the thread has ended
   */
  async quit(timeoutMs: number): Promise<void> {
    this.#expected = true;
    this.#send({ type: 'quit', timeoutMs });
    // A worker that does not keep its own time is ended by force.
    await this.#wait('finished', null, timeoutMs === 0 ? 0 : timeoutMs + 1000);
    await this.end();
  }

  /** Ends the thread at once. */
  async end(): Promise<void> {
    this.#expected = true;
    if (!this.#exited) await this.#worker.terminate();
  }

  #send(message: ToWorker): void {
    if (!this.#exited) this.#worker.postMessage(message);
  }

  #wait(type: FromWorker['type'], id: number | null, timeoutMs = ANSWER_MS): Promise<Answer> {
    return new Promise((resolve) => {
      if (this.#exited) return resolve({ outcome: 'lost', message: this.#lostText() });
      let timer: NodeJS.Timeout | null = null;
      const waiter: Waiter = {
        type,
        id,
        done: (answer) => {
          if (timer !== null) clearTimeout(timer);
          this.#waiters.delete(waiter);
          resolve(answer);
        },
      };
      this.#waiters.add(waiter);
      if (timeoutMs === 0) return;
      const late = `worker process ${this.number} did not answer within ${timeoutMs}ms`;
      timer = setTimeout(() => waiter.done({ outcome: 'lost', message: late }), timeoutMs);
    });
  }

  #take(message: FromWorker): void {
    if (message.type === 'drained') return this.events?.drained(this, message.id);
    if (message.type === 'admin' || message.type === 'adminNext' || message.type === 'adminGone') {
      return this.events?.admin(this, message);
    }
    if (message.type === 'online') this.#isOnline = true;
    for (const waiter of this.#waiters) {
      const refused = message.type === 'refused' && waiter.type === 'prepared';
      if (waiter.type !== message.type && !refused) continue;
      if (waiter.id !== null && 'id' in message && message.id !== waiter.id) continue;
      waiter.done(refused ? { outcome: 'refused', message: message.message } : { outcome: 'ok' });
    }
  }

  #lostText(): string {
    return `worker process ${this.number} exited before it was ready`;
  }

  #ended(code: number): void {
    this.#exited = true;
    closeLeftBehind(this.#descriptors);
    const lost: Answer = { outcome: 'lost', message: this.#lostText() };
    for (const waiter of this.#waiters) waiter.done(lost);
    const error = this.#expected ? null : (this.#error ?? new Error(`unexpected exit with status ${code}`));
    this.events?.exited(this, error);
  }
}
