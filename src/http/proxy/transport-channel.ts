/**
 * A channel that has a connection for itself: what HTTP/1, FastCGI and all other protocols have in common that carry one
 * exchange at a time. It outlives exchanges: between two it lies in the group's idle pool, and is watched there.
 */
import { Buffer } from 'node:buffer';
import type { Transport, TransportOwner } from '../../net/transport.ts';
import { clock } from '../../net/clock.ts';
import { output } from '../../net/output.ts';
import { failedText } from '../../observe/errno.ts';
import type { IdleEntry } from '../../upstream/pool.ts';
import type { HeaderBlock } from '../wire/header-block.ts';
import type { ResponseHead } from '../wire/response-head.ts';
import type { FailureKind, OutgoingRequest, ReuseLimits, UpstreamChannel, UpstreamEvents } from './upstream-channel.ts';

/** States that all protocols have; theirs of an answer under way lie between these. */
export const IDLE = 0;
export const CLOSED = 99;

export abstract class TransportChannel implements UpstreamChannel, TransportOwner {
  transport!: Transport;
  events: UpstreamEvents | null = null;
  /** Exchanges so far. */
  requests = 0;
  contentLength = -1;
  trailers: HeaderBlock | null = null;
  extra = false;
  complete = false;
  onIdleClose: ((channel: UpstreamChannel) => void) | null = null;
  idleEntry: IdleEntry<UpstreamChannel> | null = null;

  protected state: number = IDLE;
  /** The answer that was read leaves the connection fit for another exchange. */
  protected reusable = false;
  readonly #createdAt: number = clock.now;
  /** The transport's counters when the exchange began. */
  #sentBefore = 0;
  #receivedBefore = 0;

  begin(events: UpstreamEvents, headOnly: boolean, headLimit: number): void {
    this.events = events;
    this.requests++;
    this.reusable = false;
    this.extra = false;
    this.complete = false;
    this.trailers = null;
    this.contentLength = -1;
    this.#sentBefore = this.transport.bytesWritten;
    this.#receivedBefore = this.transport.bytesRead;
    this.beginAnswer(headOnly, headLimit);
  }

  /** Makes ready for reading an answer. */
  protected abstract beginAnswer(headOnly: boolean, headLimit: number): void;
  /** Bytes of an answer under way, or of a tunnel. */
  protected abstract read(src: Buffer, pos: number, end: number): void;
  /** The connection ended with an answer under way; `error`: not in order. */
  protected abstract ended(error: Error | null): void;
  abstract sendRequest(request: OutgoingRequest): number;
  abstract keepHead(): void;

  get bytesSent(): number {
    return this.transport.bytesWritten - this.#sentBefore;
  }

  get bytesReceived(): number {
    return this.transport.bytesRead - this.#receivedBefore;
  }

  get closed(): boolean {
    return this.state === CLOSED || this.transport.closed;
  }

  /** Composes what opens the request and the body's beginning into the thread's scratch. */
  protected compose(request: OutgoingRequest): void {
    const o = output;
    o.length = 0;
    request.plan.compose(o, request);
    if (request.first !== null) o.bytes(request.first, 0, request.firstLength);
  }

  sendBody(buf: Buffer, start: number, end: number, _last: boolean): number {
    return this.transport.write(buf, start, end);
  }

  endBody(): void {}

  pause(): void {
    this.transport.pause();
    this.transport.slowDown();
  }

  resume(): void {
    this.transport.resume();
  }

  finish(complete: boolean, limits: ReuseLimits): boolean {
    const { transport } = this;
    if (
      !this.reusable ||
      !complete ||
      this.requests >= limits.requests ||
      clock.now - this.#createdAt > limits.timeMs ||
      transport.ended ||
      transport.busy
    ) {
      this.destroy();
      return false;
    }
    this.events = null;
    if (this.state !== CLOSED) this.state = IDLE;
    // An idle connection is watched: whatever arrives ends it.
    transport.resume();
    return true;
  }

  /** Closes at once; no event follows. */
  destroy(): void {
    this.events = null;
    this.state = CLOSED;
    this.transport.destroy();
  }

  onData(src: Buffer, pos: number, end: number): void {
    if (this.state === IDLE) this.dropIdle();
    else if (this.state !== CLOSED) this.read(src, pos, end);
  }

  onEnd(): void {
    this.#over(null);
  }

  onClose(error: Error | null): void {
    this.#over(error);
  }

  #over(error: Error | null): void {
    if (this.state === IDLE) {
      if (this.events === null) this.dropIdle();
    } else if (this.state !== CLOSED) this.ended(error);
  }

  protected dropIdle(): void {
    this.state = CLOSED;
    this.onIdleClose?.(this);
    this.transport.destroy();
  }

  onDrain(): void {
    this.events?.onUpstreamDrain();
  }

  protected fail(kind: FailureKind, message: string): void {
    const { events } = this;
    this.state = CLOSED;
    this.reusable = false;
    if (events !== null) events.onFailure({ kind, message });
  }

  /**
   * Tells of the head. @returns whether the answer goes on to be read: an exchange may end in this call, and another one
   * begin on this very connection
   */
  protected giveHead(head: ResponseHead): boolean {
    const { events, state, requests } = this;
    events!.onHead(head);
    return this.requests === requests && this.events === events && this.state === state;
  }

  /** The connection ended before the answer's head had come. */
  protected endedInHead(error: Error | null): void {
    this.fail(
      'error',
      error === null
        ? 'upstream prematurely closed connection while reading response header from upstream'
        : `${failedText('recv()', error)} while reading response header from upstream`,
    );
  }

  /** The connection ended before the answer's body had. */
  protected endedInBody(error: Error | null): void {
    this.fail(
      'cut',
      error === null
        ? 'upstream prematurely closed connection while reading upstream'
        : `${failedText('recv()', error)} while reading upstream`,
    );
  }

  upgrade(): void {
    throw new Error('this protocol has no upgrades');
  }

  tunnelWrite(buf: Buffer, start: number, end: number): number {
    return this.transport.write(buf, start, end);
  }

  tunnelEnd(): void {
    this.transport.end();
  }
}

/** For events without bytes. */
export const EMPTY: Buffer = Buffer.alloc(0);
