/** One connection, whichever way it is made: what tunnels and probes are given to open theirs. */
import { connect } from 'node:net';
import { failedText } from '../observe/errno.ts';
import { dial } from './dial.ts';
import type { ConnectOptions } from './dial.ts';
import { SocketTransport } from './socket-transport.ts';
import type { Transport, TransportOwner } from './transport.ts';

/** Of `connected` and `failed` one is called, once, never before the opening is returned, and neither after `cancel`. */
export interface Opening {
  cancel(): void;
}

export interface LinkOutcome {
  /** The caller gives the transport its owner during the call. */
  connected(transport: Transport): void;
  /**
   * @param message for the log; what was being done stands there already
   * @param ours the server has nothing to do with it
   */
  failed(message: string, ours?: boolean): void;
}

/** Opens a connection. Its time is limited by whoever calls (`cancel`). */
export type DialLink = (outcome: LinkOutcome) => Opening;

/** Owns a transport until it is connected. */
class TcpOpening implements Opening, TransportOwner {
  readonly #outcome: LinkOutcome;
  #transport: Transport | null = null;
  #settled = false;

  constructor(outcome: LinkOutcome) {
    this.#outcome = outcome;
  }

  /** A transport that is being connected. */
  begin(transport: Transport): this {
    this.#transport = transport;
    return this;
  }

  connected(): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#outcome.connected(this.#transport!);
  }

  cancel(): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#transport!.destroy();
  }

  onData(): void {}
  onEnd(): void {}
  onDrain(): void {}

  onClose(error: Error | null): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#outcome.failed(failedText('connect()', error ?? new Error('connection closed')));
  }
}

/** Over plain TCP, or a unix socket. */
export function openTcp(address: ConnectOptions, outcome: LinkOutcome): Opening {
  const opening = new TcpOpening(outcome);
  return opening.begin(dial(address, opening, () => opening.connected()));
}

export function dialTcp(address: ConnectOptions): DialLink {
  return (outcome) => openTcp(address, outcome);
}

/** As `dialTcp`, for who detaches the transport and goes on with its socket. */
export function dialDetachable({ host, port, path, localAddress, localPort, keepAlive }: ConnectOptions): DialLink {
  return (outcome) => {
    const local = localAddress === null ? null : { localAddress, localPort };
    const socket = connect(
      path !== null
        ? { path, allowHalfOpen: true }
        : { host, port, noDelay: true, allowHalfOpen: true, keepAlive, autoSelectFamily: false, ...local },
    );
    const transport = new SocketTransport(socket, null);
    const opening = new TcpOpening(outcome);
    transport.owner = opening;
    socket.once('connect', () => opening.connected());
    return opening.begin(transport);
  };
}
