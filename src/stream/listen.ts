/** One listening address of a worker, over all reloads: its sessions, and the generation that new ones run under. */
import type { TunnelGate } from '../net/accept-opening.ts';
import type { LiveList } from '../net/live-list.ts';
import type { TlsInfo } from '../net/tls-info.ts';
import type { Transport } from '../net/transport.ts';
import type { StreamListenRuntime } from './runtime.ts';
import type { Session } from './session.ts';

export class StreamListen {
  readonly sessions: LiveList<Session>;
  runtime: StreamListenRuntime;
  /** Takes connections of tunnels; null: there are none here. */
  tunnels: TunnelGate | null = null;
  /** TLS of connections that tunnels have taken: what comes out of them has it, too. */
  readonly tlsOf = new WeakMap<Transport, TlsInfo>();

  constructor(runtime: StreamListenRuntime, sessions: LiveList<Session>) {
    this.runtime = runtime;
    this.sessions = sessions;
  }

  /** As logs show it. */
  get address(): string {
    return this.runtime.config.address;
  }
}
