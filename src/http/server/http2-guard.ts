/** Counts what a client does that costs us and brings nothing, and says when it is enough. */
import { ENHANCE_YOUR_CALM, NO_ERROR } from '../wire/h2/constants.ts';
import type { FrameFault } from '../wire/h2/frame-check.ts';

/** Bytes other than bodies and heads, over eight times those (nginx's measure of a flood). */
const FLOOD_BYTES = 1 << 20;
/** Frames between two requests that ask for nothing: SETTINGS, PING, empty DATA, … */
const IDLE_FRAMES = 10_000;
/** Streams that the client gave up, before it is asked how many it let come to their end. */
const RESETS = 200;

const FLOOD: FrameFault = { error: ENHANCE_YOUR_CALM, message: 'http2 flood detected' };

export class FloodGuard {
  /** Bytes of bodies and heads, both ways. */
  payload = 0;
  #received = 0;
  #idle = 0;
  #resets = 0;
  #refused = 0;
  #requests = 0;
  #priorities: number;
  readonly #streams: number;

  /** @param streams as many as may be open at a time */
  constructor(streams: number) {
    this.#streams = streams;
    this.#priorities = Math.max(streams, 100);
  }

  request(): void {
    this.#requests++;
    this.#idle = 0;
    this.#priorities += this.#streams;
  }

  /** Bytes came, of whatever frames. Null: go on. */
  received(n: number): FrameFault | null {
    this.#received += n;
    return this.#received / 8 > this.payload + FLOOD_BYTES ? { error: NO_ERROR, message: FLOOD.message } : null;
  }

  /** A frame that asks for nothing. */
  idle(): FrameFault | null {
    return ++this.#idle > IDLE_FRAMES ? FLOOD : null;
  }

  priority(): FrameFault | null {
    return --this.#priorities === 0
      ? { error: ENHANCE_YOUR_CALM, message: 'client sent too many PRIORITY frames' }
      : null;
  }

  /** The client ended a stream, or made us end it: doing so again and again costs us more than it (CVE-2023-44487). */
  reset(): FrameFault | null {
    return ++this.#resets > RESETS && this.#resets * 2 > this.#requests
      ? { error: ENHANCE_YOUR_CALM, message: 'client reset too many streams' }
      : null;
  }

  /** A stream was refused. */
  refused(): FrameFault | null {
    return this.#refused++ > Math.max(this.#streams, 100)
      ? { error: NO_ERROR, message: 'client sent too many refused streams' }
      : null;
  }
}
