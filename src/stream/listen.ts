/** One listening address of a worker, over all reloads: its sessions, and the generation that new ones run under. */
import type { TunnelGate } from '../net/accept-opening.ts';
import type { TlsInfo } from '../net/tls-info.ts';
import type { Transport } from '../net/transport.ts';
import type { StreamListenRuntime } from './runtime.ts';
import type { Session } from './session.ts';

/** Doubly linked, so that ending a session costs nothing. */
export class SessionList {
  #first: Session | null = null;
  size = 0;
  /** Called when the last one has gone. */
  onEmpty: (() => void) | null = null;

  add(s: Session): void {
    s.next = this.#first;
    if (this.#first !== null) this.#first.previous = s;
    this.#first = s;
    this.size++;
  }

  remove(s: Session): void {
    if (s.previous !== null) s.previous.next = s.next;
    else if (this.#first === s) this.#first = s.next;
    else return;
    if (s.next !== null) s.next.previous = s.previous;
    s.next = null;
    s.previous = null;
    this.size--;
    if (this.size === 0 && this.onEmpty !== null) this.onEmpty();
  }

  /** Calls `visit` for each; it may end the session. */
  each(visit: (s: Session) => void): void {
    for (let s = this.#first; s !== null;) {
      const next: Session | null = s.next;
      visit(s);
      s = next;
    }
  }
}

export class StreamListen {
  readonly sessions: SessionList;
  runtime: StreamListenRuntime;
  /** Takes connections of tunnels; null: there are none here. */
  tunnels: TunnelGate | null = null;
  /** TLS of connections that tunnels have taken: what comes out of them has it, too. */
  readonly tlsOf = new WeakMap<Transport, TlsInfo>();

  constructor(runtime: StreamListenRuntime, sessions: SessionList) {
    this.runtime = runtime;
    this.sessions = sessions;
  }

  /** As logs show it. */
  get address(): string {
    return this.runtime.config.address;
  }
}
