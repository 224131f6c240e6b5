/** The sending side of a client's HTTP/2 connection: frames out, and who may go on when the client takes more. */
import { clock } from '../../net/clock.ts';
import { Output } from '../../net/output.ts';
import { HELD } from '../../net/transport.ts';
import type { Transport } from '../../net/transport.ts';
import { DEFAULT_WINDOW } from '../wire/h2/constants.ts';
import {
  writeGoaway,
  writePingAck,
  writeReset,
  writeSettings,
  writeSettingsAck,
  writeWindowUpdate,
} from '../wire/h2/frame-writer.ts';
import { PeerSettings } from '../wire/h2/settings.ts';
import type { PriorityTree } from './http2-priority.ts';

/** Somebody with bytes that wait. */
export interface Sender {
  readonly id: number;
  waiting: boolean;
  /** The windows or the connection take more: sends at most `most` bytes of body; false: nothing went out. */
  pump(most: number): boolean;
}

/** Bytes of frames other than DATA that may wait for a client that does not read, before we stop reading too. */
const HELD_MOST = 1 << 18;
/** Bytes of one stream's body before it is another's turn. */
const TURN = 65536;

/** Small frames have their own scratch: they may go out while an answer is being composed. */
const control = new Output();

export class Http2Link {
  sendWindow: number = DEFAULT_WINDOW;
  readonly settings = new PeerSettings();
  /** The transport has bytes waiting. */
  held = false;
  /** Since when, by `clock.now`. */
  heldAt = 0;
  closed = false;
  readonly #transport: Transport;
  readonly #waiting = new Set<Sender>();
  /** Bytes written since the transport held. */
  #heldBytes = 0;
  #paused = false;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Writes what stands in `o`; `held` tells whether the client takes more. */
  write(o: Output): void {
    if (this.held) this.#heldBytes += o.length;
    if (this.#transport.write(o.buf, 0, o.length) === HELD && !this.held) {
      this.held = true;
      this.heldAt = clock.now;
    }
    if (this.#heldBytes > HELD_MOST && !this.#paused) {
      this.#paused = true;
      this.#transport.pause();
    }
  }

  /** Says what is agreed on, and opens the connection's window. */
  hello(pairs: readonly (readonly [id: number, value: number])[], increment: number): void {
    control.length = 0;
    writeSettings(control, pairs);
    writeWindowUpdate(control, 0, increment);
    this.write(control);
  }

  acknowledge(): void {
    control.length = 0;
    writeSettingsAck(control);
    this.write(control);
  }

  pong(bytes: Buffer, start: number): void {
    control.length = 0;
    writePingAck(control, bytes, start);
    this.write(control);
  }

  windowUpdate(id: number, increment: number): void {
    control.length = 0;
    writeWindowUpdate(control, id, increment);
    this.write(control);
  }

  reset(id: number, error: number): void {
    control.length = 0;
    writeReset(control, id, error);
    this.write(control);
  }

  goaway(lastId: number, error: number): void {
    control.length = 0;
    writeGoaway(control, lastId, error);
    this.write(control);
  }

  wait(sender: Sender): void {
    sender.waiting = true;
    this.#waiting.add(sender);
  }

  leave(sender: Sender): void {
    sender.waiting = false;
    this.#waiting.delete(sender);
  }

  /** Sends for those who wait: in the order that the client asked for, or in turns. */
  pump(priorities: PriorityTree | null): void {
    if (this.#waiting.size === 0) return;
    const order = [...this.#waiting];
    if (priorities !== null) {
      priorities.sort(order);
      for (const sender of order) {
        if (this.held || this.closed) return;
        if (sender.waiting) sender.pump(Number.MAX_SAFE_INTEGER);
      }
      return;
    }
    const most = Math.min(this.settings.maxFrame, TURN);
    for (let moved = true; moved;) {
      moved = false;
      for (const sender of order) {
        if (this.held || this.closed) return;
        if (sender.waiting && sender.pump(most)) moved = true;
      }
    }
  }

  /** The transport has taken what it held. */
  drained(): void {
    this.held = false;
    this.#heldBytes = 0;
    if (!this.#paused) return;
    this.#paused = false;
    this.#transport.resume();
  }
}
