/** The client connections of a worker, whatever protocol they speak. */
import type { LiveList, Living } from '../../net/live-list.ts';
import type { HttpGeneration } from '../runtime.ts';

export interface ClientConnection extends Living<ClientConnection> {
  /** A new generation has taken over: clients that ask for it in other ways than by their next request are told. */
  reload(): void;
  /** The worker leaves: close when idle, else after what is under way. */
  quit(): void;
  /** The generation was replaced and its time is over: end what still runs under it. */
  expire(generation: HttpGeneration): void;
  /** Close whatever is under way. */
  kill(): void;
}

export type ConnectionList = LiveList<ClientConnection>;

let serial = 0;

/** Number of the next connection of this thread (`$connection`). */
export function nextSerial(): number {
  return ++serial;
}
