/** Reads a PROXY protocol header from a connection that was just accepted, before anything else is read from it. */
import type { Socket } from 'node:net';
import { PROXY_BROKEN, PROXY_MORE, ProxyHeaderReader } from './proxy-protocol.ts';
import type { ProxyProtocolInfo } from './proxy-protocol.ts';
import { Timer } from './timers.ts';
import type { Transport, TransportOwner } from './transport.ts';

/** One of them is called, once. */
export interface ProxyHeaderOutcome {
  /** `info` null: the header tells nothing. The connection's own bytes follow. */
  ready(info: ProxyProtocolInfo | null): void;
  /** The connection is closed. `why` null: the client left. */
  failed(why: string | null): void;
}

/** For plain connections: `ready` has to give the transport its owner, which then gets what stood behind the header. */
export function readProxyHeader(transport: Transport, timeoutMs: number, outcome: ProxyHeaderOutcome): void {
  transport.owner = new HeaderOwner(transport, timeoutMs, outcome);
}

class HeaderOwner implements TransportOwner {
  readonly #transport: Transport;
  readonly #outcome: ProxyHeaderOutcome;
  readonly #reader = new ProxyHeaderReader();
  readonly #timer: Timer;
  #settled = false;

  constructor(transport: Transport, timeoutMs: number, outcome: ProxyHeaderOutcome) {
    this.#transport = transport;
    this.#outcome = outcome;
    this.#timer = new Timer(() => this.#fail('client timed out'));
    this.#timer.arm(timeoutMs);
  }

  onData(buf: Buffer, start: number, end: number): void {
    if (this.#settled) return;
    const next = this.#reader.feed(buf, start, end);
    if (next === PROXY_MORE) return;
    if (next === PROXY_BROKEN) {
      this.#fail(this.#reader.error);
      return;
    }
    this.#settle();
    this.#outcome.ready(this.#reader.info);
    if (next < end) this.#transport.owner.onData(buf, next, end);
  }

  onEnd(): void {
    this.#fail(null);
  }

  onDrain(): void {}

  onClose(): void {
    this.#fail(null);
  }

  #settle(): void {
    this.#settled = true;
    this.#timer.drop();
  }

  #fail(why: string | null): void {
    if (this.#settled) return;
    this.#settle();
    this.#transport.destroy();
    this.#outcome.failed(why);
  }
}

/** For sockets that TLS takes over: what stood behind the header is unread again when `ready` is called. */
export function readProxyHeaderRaw(socket: Socket, timeoutMs: number, outcome: ProxyHeaderOutcome): void {
  const reader = new ProxyHeaderReader();
  const timer = setTimeout(() => fail('client timed out'), timeoutMs);
  timer.unref();
  let settled = false;
  const settle = (): void => {
    settled = true;
    clearTimeout(timer);
    socket.off('data', onData);
    socket.off('end', onEnd);
    socket.off('close', onEnd);
    socket.off('error', onEnd);
  };
  const fail = (why: string | null): void => {
    if (settled) return;
    settle();
    // A reset that was under way must not be nobody's.
    socket.on('error', () => {});
    socket.destroy();
    outcome.failed(why);
  };
  const onData = (chunk: Buffer): void => {
    const next = reader.feed(chunk, 0, chunk.length);
    if (next === PROXY_MORE) return;
    if (next === PROXY_BROKEN) {
      fail(reader.error);
      return;
    }
    socket.pause();
    settle();
    if (next < chunk.length) socket.unshift(chunk.subarray(next));
    outcome.ready(reader.info);
    socket.resume();
  };
  const onEnd = (): void => fail(null);
  socket.on('data', onData);
  socket.on('end', onEnd);
  socket.on('close', onEnd);
  socket.on('error', onEnd);
}
