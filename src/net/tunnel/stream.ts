/** A logical stream as a socket: what is written to it goes through the tunnel, and what comes out is read from it. */
import type { Buffer } from 'node:buffer';
import { clock } from '../clock.ts';
import { PipeSocket } from '../pipe.ts';
import type { PipeAddresses } from '../pipe.ts';
import { Timer } from '../timers.ts';
import type { TunnelLink } from './link.ts';
import { TunnelSession } from './session.ts';
import type { SessionEvents, SessionLimits, SessionLink } from './session-events.ts';
import { REASONS, reasonText } from './wire.ts';

/** What a stream wants of the side that it is on. */
export interface StreamHost {
  /** One more connection is wanted. */
  wantLink(stream: TunnelSocket): void;
  /** A connection is free for others. */
  release(link: TunnelLink): void;
  /** Nothing follows. @param clean all that either side has sent has arrived */
  over(stream: TunnelSocket, clean: boolean): void;
}

export class TunnelSocket extends PipeSocket implements SessionEvents {
  /** Random: it is how connections find the stream. */
  readonly id: Buffer;
  readonly session: TunnelSession;
  readonly #host: StreamHost;
  readonly #timer = new Timer(() => this.#onTimer());
  #pending: ((error?: Error | null) => void) | null = null;
  #delivered = 0;
  #counting = false;
  /** It has failed, but what has arrived is still to be read. */
  #problem: Error | null = null;
  /** Connections so far. */
  links = 0;

  constructor(id: Buffer, addresses: PipeAddresses, isClient: boolean, limits: SessionLimits, host: StreamHost) {
    super(addresses);
    this.id = id;
    this.#host = host;
    this.session = new TunnelSession(isClient, limits, this);
  }

  /** A connection serves the stream from now on. */
  attach(link: TunnelLink): void {
    this.links++;
    link.take(this);
    this.session.attach(link, clock.now);
    this.schedule();
  }

  // ------------------------------------------------------------------------------------------------ of streams

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.#problem !== null || this.session.write(chunk, 0, chunk.length, clock.now)) done();
    else this.#pending = done;
    this.schedule();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.session.end(clock.now);
    this.schedule();
    done();
  }

  override _read(): void {
    this.#count();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (this.cut || error !== null) this.session.reset(REASONS.cancelled);
    else this.session.close(clock.now);
    this.schedule();
    const pending = this.#pending;
    this.#pending = null;
    pending?.(error ?? new Error('closed'));
    done(error);
  }

  /** What has been read is known a moment later. */
  #count(): void {
    if (this.#counting) return;
    this.#counting = true;
    queueMicrotask(this.#counted);
  }

  readonly #counted = (): void => {
    this.#counting = false;
    this.session.consumed(this.#delivered - this.readableLength, clock.now);
    this.schedule();
  };

  // ------------------------------------------------------------------------------------------------ of the session

  deliver(buf: Buffer, start: number, end: number): void {
    this.#delivered += end - start;
    this.hand(buf, start, end);
    this.#count();
  }

  ended(): void {
    this.push(null);
    // Who reads nothing is told all the same.
    if (this.readableLength === 0) this.read(0);
  }

  drained(): void {
    const pending = this.#pending;
    this.#pending = null;
    pending?.();
  }

  failed(code: number): void {
    const error = new Error(`tunnel: ${reasonText(code)}`);
    if (!this.session.received || this.readableEnded) {
      this.destroy(error);
      return;
    }
    // All that the other side had to say is here: it is read first.
    this.#problem = error;
    this.drained();
    this.once('end', () => void this.destroy(error));
  }

  wantLink(): void {
    this.#host.wantLink(this);
  }

  releaseLink(link: SessionLink): void {
    (link as TunnelLink).free();
    this.#host.release(link as TunnelLink);
  }

  dropLink(link: SessionLink): void {
    (link as TunnelLink).drop();
  }

  over(clean: boolean): void {
    this.#timer.drop();
    this.#host.over(this, clean);
  }

  // ------------------------------------------------------------------------------------------------ time

  #onTimer(): void {
    this.session.tick(clock.now);
    this.schedule();
  }

  /** After whatever may have changed what the session waits for. */
  schedule(): void {
    const { deadline } = this.session;
    if (deadline === Infinity) this.#timer.cancel();
    else if (!this.#timer.armed || deadline < this.#timer.deadline) {
      this.#timer.arm(Math.max(0, deadline - clock.now));
    }
  }
}
