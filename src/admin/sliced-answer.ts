/** Answers that are made in slices (`shared/slices.ts`) and sent as the client takes them. */
import type { AdminReply, AskedAnswer } from '../http/handlers/admin.ts';
import { inTurn, SLICE_MS } from '../shared/slices.ts';

/** Characters of a page that are sent at a time. */
const PIECE = 128 * 1024;

/** The parts of an answer that are there before its body. */
export type AnswerHead = Pick<AdminReply, 'status' | 'fields'>;

/** A reply that is made in steps. */
export interface SteppedReply {
  head: AnswerHead;
  steps: Iterator<string>;
}

/**
 * An answer whose text is made step by step: each gives some of it, or nothing. What is short goes out in one piece; more
 * than that is made as the client takes it, so no page is ever in memory whole.
 */
export class SlicedAnswer implements AskedAnswer {
  readonly #head: AnswerHead;
  readonly #steps: Iterator<string>;
  readonly #reply: (reply: AdminReply) => void;
  readonly #failed: (error: unknown) => void;
  #text = '';
  #begun = false;
  #over = false;

  /** @param failed told of what a step has thrown; the client is told by this */
  constructor({ head, steps }: SteppedReply, reply: (reply: AdminReply) => void, failed: (error: unknown) => void) {
    this.#head = head;
    this.#steps = steps;
    this.#reply = reply;
    this.#failed = failed;
    this.next();
  }

  next(): void {
    inTurn(this.#slice);
  }

  leave(): void {
    this.#over = true;
  }

  readonly #slice = (): void => {
    if (this.#over) return;
    const until = performance.now() + SLICE_MS;
    try {
      do {
        const step = this.#steps.next();
        if (step.done === true) return this.#send(false);
        this.#text += step.value;
        if (this.#text.length >= PIECE) return this.#send(true);
      } while (performance.now() < until);
    } catch (error) {
      this.#over = true;
      this.#failed(error);
      this.#reply({ status: 500, fields: [], body: '', more: false, broken: this.#begun });
      return;
    }
    inTurn(this.#slice);
  };

  #send(more: boolean): void {
    const body = this.#text;
    this.#text = '';
    this.#begun = true;
    this.#over = !more;
    this.#reply({ ...this.#head, body, more, waits: more });
  }
}
