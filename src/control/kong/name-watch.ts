/** Keeps the name of one target resolved: asks again when an answer is no longer good, or some time after a failure. */
import { setTimeout as later } from 'node:timers';
import type { NameAnswer, Names } from './names.ts';

/** After a failure. */
const RETRY_MS = 5000;

export class NameWatch {
  readonly #name: string;
  readonly #names: Names;
  readonly #take: (answer: NameAnswer) => void;
  readonly #fail: (text: string) => void;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;
  /** `A`, `AAAA`, `SRV`, or why there are no addresses. */
  dns = 'unknown';
  /** There was an answer: what it said holds while the name server is away. */
  answered = false;

  constructor(name: string, names: Names, take: (answer: NameAnswer) => void, fail: (text: string) => void) {
    this.#name = name;
    this.#names = names;
    this.#take = take;
    this.#fail = fail;
    void this.#ask();
  }

  async #ask(): Promise<void> {
    let waitMs = RETRY_MS;
    try {
      const answer = await this.#names.resolve(this.#name);
      if (this.#closed) return;
      this.dns = answer.dns;
      this.answered = true;
      waitMs = answer.validMs;
      this.#take(answer);
    } catch (error) {
      if (this.#closed) return;
      const { message } = error as Error;
      if (!this.answered && this.dns !== message) {
        this.dns = message;
        this.#fail(message);
      }
    }
    this.#timer = later(() => void this.#ask(), waitMs);
    this.#timer.unref();
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}
