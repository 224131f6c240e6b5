/** The client connections of a worker, whatever protocol they speak. */
import type { HttpGeneration } from '../runtime.ts';

export interface ClientConnection {
  next: ClientConnection | null;
  previous: ClientConnection | null;
  /** A new generation has taken over: clients that ask for it in other ways than by their next request are told. */
  reload(): void;
  /** The worker leaves: close when idle, else after what is under way. */
  quit(): void;
  /** The generation was replaced and its time is over: end what still runs under it. */
  expire(generation: HttpGeneration): void;
  /** Close whatever is under way. */
  kill(): void;
}

let serial = 0;

/** Number of the next connection of this thread (`$connection`). */
export function nextSerial(): number {
  return ++serial;
}

/** Doubly linked, so that closing a connection costs nothing. */
export class ConnectionList {
  #first: ClientConnection | null = null;
  size = 0;
  /** Called when the last one has gone. */
  onEmpty: (() => void) | null = null;

  add(c: ClientConnection): void {
    c.next = this.#first;
    if (this.#first !== null) this.#first.previous = c;
    this.#first = c;
    this.size++;
  }

  remove(c: ClientConnection): void {
    if (c.previous !== null) c.previous.next = c.next;
    else if (this.#first === c) this.#first = c.next;
    else return;
    if (c.next !== null) c.next.previous = c.previous;
    c.next = null;
    c.previous = null;
    this.size--;
    if (this.size === 0 && this.onEmpty !== null) this.onEmpty();
  }

  /** Calls `visit` for each; it may close the connection. */
  each(visit: (c: ClientConnection) => void): void {
    for (let c = this.#first; c !== null;) {
      const next: ClientConnection | null = c.next;
      visit(c);
      c = next;
    }
  }
}
