/**
 * The main thread's desk for administrative requests: workers hand them over, a service of `admin/` answers. The service's
 * code is loaded with the first request.
 */
import type { AdminReply, AdminRequest, AskedAnswer } from '../http/handlers/admin.ts';
import { describeError } from '../observe/errno.ts';
import type { Lateness } from '../health/monitor.ts';
import type { ErrorLog } from '../observe/error-log.ts';
import type { AdminMessage } from '../worker/protocol.ts';
import type { Generation } from './generations.ts';
import type { Groups } from './groups.ts';
import type { KeyvalZones } from './keyvals.ts';
import type { LiveWorker } from './worker-pool.ts';

/** What a service sees of the process, and may do to it. */
export interface AdminView {
  readonly log: ErrorLog;
  /** Epoch milliseconds: when the process started. */
  readonly startedAt: number;
  /** Epoch milliseconds: when the running configuration was loaded. */
  loadedAt(): number;
  /** The running one. */
  generation(): Generation;
  /** Worker threads that carry traffic: their numbers in the configuration's order, and those that logs show. */
  workers(): LiveWorker[];
  /** Workers that took the place of one that died. */
  respawned(): number;
  readonly groups: Groups;
  /** Those of `stream`. */
  readonly streamGroups: Groups;
  /** The zones of `keyval_zone`; null: there are none. */
  keyvals(): KeyvalZones | null;
  /** How late health checks were; null: there never was one. */
  lateness(): Lateness | null;
}

export interface AdminService {
  /**
   * Answers a request, at once or later, in one piece or in many.
   * @returns told when pieces are taken, and when whoever asked is gone before the last one
   */
  handle(request: AdminRequest, reply: (reply: AdminReply) => void): AskedAnswer;
  /** Ends answers that have no end of their own, and what goes on without being asked. */
  stop(): void;
  /** Another generation runs: such answers end, what goes on is what this one wants. */
  follow(): void;
}

export type AdminFactory = (view: AdminView) => Promise<AdminService>;

/** A worker thread, as far as answers go. */
export interface Asker {
  adminReply(id: number, reply: AdminReply): void;
}

const NOTHING: AskedAnswer = { next() {}, leave() {} };

export class AdminDesk {
  readonly #view: AdminView;
  readonly #factory: AdminFactory;
  #service: Promise<AdminService> | null = null;
  /** What is under way, by worker and number of the request. */
  readonly #open = new Map<Asker, Map<number, AskedAnswer>>();

  constructor(view: AdminView, factory: AdminFactory) {
    this.#view = view;
    this.#factory = factory;
  }

  take(asker: Asker, message: AdminMessage): void {
    const open = this.#open.get(asker);
    if (message.type === 'adminNext') open?.get(message.id)?.next();
    else if (message.type === 'adminGone') {
      const answer = open?.get(message.id);
      open?.delete(message.id);
      answer?.leave();
    } else void this.#answer(asker, message.id, message.request);
  }

  async #answer(asker: Asker, id: number, request: AdminRequest): Promise<void> {
    let open = this.#open.get(asker);
    if (open === undefined) this.#open.set(asker, (open = new Map()));
    open.set(id, NOTHING);
    const reply = (piece: AdminReply): void => {
      if (!open.has(id)) return;
      if (!piece.more) open.delete(id);
      asker.adminReply(id, piece);
    };
    try {
      const service = await this.#load();
      if (!open.has(id)) return;
      const answer = service.handle(request, reply);
      if (open.has(id)) open.set(id, answer);
    } catch (error) {
      this.#view.log.alert(`administrative request "${request.method} ${request.path}": ${describeError(error)}`);
      reply({ status: 500, fields: [], body: '', more: false });
    }
  }

  /** A worker thread has ended: nobody waits there any more. */
  gone(asker: Asker): void {
    const open = this.#open.get(asker);
    this.#open.delete(asker);
    for (const answer of open?.values() ?? []) answer.leave();
  }

  /** Another generation runs. @param wanted it has something that goes on without being asked */
  follow(wanted: boolean): void {
    if (this.#service === null && !wanted) return;
    void this.#load().then((service) => service.follow());
  }

  /** The process is about to end: nobody shall wait for a page that somebody looks at. */
  stop(): void {
    void this.#service?.then((service) => service.stop());
  }

  #load(): Promise<AdminService> {
    return (this.#service ??= this.#factory(this.#view));
  }
}
