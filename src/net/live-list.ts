/** Connections or sessions that live: doubly linked through themselves, so that the end of one costs nothing. */

/** What the list keeps in its members. */
export interface Living<T> {
  next: T | null;
  previous: T | null;
}

export class LiveList<T extends Living<T>> {
  #first: T | null = null;
  size = 0;
  /** Called when the last one has gone. */
  onEmpty: (() => void) | null = null;

  add(one: T): void {
    one.next = this.#first;
    if (this.#first !== null) this.#first.previous = one;
    this.#first = one;
    this.size++;
  }

  /** Nothing happens when it is not in the list. */
  remove(one: T): void {
    if (one.previous !== null) one.previous.next = one.next;
    else if (this.#first === one) this.#first = one.next;
    else return;
    if (one.next !== null) one.next.previous = one.previous;
    one.next = null;
    one.previous = null;
    this.size--;
    if (this.size === 0 && this.onEmpty !== null) this.onEmpty();
  }

  /** Calls `visit` for each; it may end it. */
  each(visit: (one: T) => void): void {
    for (let one = this.#first; one !== null;) {
      const next: T | null = one.next;
      visit(one);
      one = next;
    }
  }
}
