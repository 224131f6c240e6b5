/** A worker's side of the conversation about administrative requests; the main thread's is `control/admin-desk.ts`. */
import type { AdminGate, AdminReply, AdminRequest, AskedAnswer } from '../http/handlers/admin.ts';
import type { FromWorker } from './protocol.ts';

/** The main thread does not answer: the client is told so. */
const ANSWER_MS = 30_000;

interface Asked {
  reply: (reply: AdminReply) => void;
  timer: NodeJS.Timeout | null;
}

export class MainThreadGate implements AdminGate {
  readonly #say: (message: FromWorker) => void;
  readonly #asked = new Map<number, Asked>();
  #last = 0;

  constructor(say: (message: FromWorker) => void) {
    this.#say = say;
  }

  ask(request: AdminRequest, reply: (reply: AdminReply) => void): AskedAnswer {
    const id = ++this.#last;
    const timer = setTimeout(() => {
      this.#asked.delete(id);
      this.#say({ type: 'adminGone', id });
      reply({ status: 504, fields: [], body: '', more: false });
    }, ANSWER_MS);
    this.#asked.set(id, { reply, timer });
    this.#say({ type: 'admin', id, request });
    return {
      next: () => {
        if (this.#asked.has(id)) this.#say({ type: 'adminNext', id });
      },
      leave: () => {
        const asked = this.#asked.get(id);
        if (asked === undefined) return;
        if (asked.timer !== null) clearTimeout(asked.timer);
        this.#asked.delete(id);
        this.#say({ type: 'adminGone', id });
      },
    };
  }

  /** The main thread has answered. */
  answered(id: number, reply: AdminReply): void {
    const asked = this.#asked.get(id);
    if (asked === undefined) return;
    if (asked.timer !== null) clearTimeout(asked.timer);
    asked.timer = null;
    if (!reply.more) this.#asked.delete(id);
    asked.reply(reply);
  }
}
