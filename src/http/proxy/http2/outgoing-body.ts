/** A request's body on its way to a server by HTTP/2: what the windows do not let through waits here. */
import { Buffer } from 'node:buffer';
import { output } from '../../../net/output.ts';
import { HELD, SENT } from '../../../net/transport.ts';
import type { Transport } from '../../../net/transport.ts';
import { DATA, DEFAULT_WINDOW, FLAG_END_STREAM } from '../../wire/h2/constants.ts';
import { writeFrameHead } from '../../wire/h2/frame-writer.ts';
import { PeerSettings } from '../../wire/h2/settings.ts';

export class OutgoingBody {
  readonly settings = new PeerSettings();
  connectionWindow: number = DEFAULT_WINDOW;
  window: number = DEFAULT_WINDOW;
  /** END_STREAM went out. */
  ended = false;
  /** Who sends was told to wait. */
  holds = false;

  #id = 0;
  #pending: Buffer | null = null;
  #start = 0;
  /** END_STREAM goes out when nothing is pending any more. */
  #endsAfter = false;

  begin(id: number): void {
    this.#id = id;
    this.window = this.settings.initialWindow;
    this.#pending = null;
    this.ended = this.holds = this.#endsAfter = false;
  }

  get waiting(): boolean {
    return this.#pending !== null;
  }

  /**
   * Writes what stands in the output, with as much of `buf[start, end)` behind it as the windows allow; the rest waits.
   * @returns `SENT` or `HELD`
   */
  send(transport: Transport, buf: Buffer, start: number, end: number, last: boolean): number {
    if (this.#pending === null) start = this.#frames(buf, start, end, last);
    const result = output.length > 0 ? transport.write(output.buf, 0, output.length) : SENT;
    if (start === end) return result;
    const rest = buf.subarray(start, end);
    this.#pending =
      this.#pending === null ? Buffer.from(rest) : Buffer.concat([this.#pending.subarray(this.#start), rest]);
    this.#start = 0;
    this.holds = true;
    if (last) this.#endsAfter = true;
    return HELD;
  }

  /** Appends DATA frames as far as the windows allow; returns where it stopped. */
  #frames(buf: Buffer, start: number, end: number, last: boolean): number {
    while (start < end) {
      const n = Math.min(this.settings.maxFrame, end - start, this.window, this.connectionWindow);
      if (n <= 0) break;
      const ends = last && start + n === end;
      writeFrameHead(output, n, DATA, ends ? FLAG_END_STREAM : 0, this.#id);
      output.bytes(buf, start, start + n);
      start += n;
      this.window -= n;
      this.connectionWindow -= n;
      if (ends) this.ended = true;
    }
    return start;
  }

  /** The body is complete. */
  end(transport: Transport): void {
    if (this.ended) return;
    if (this.#pending !== null) {
      this.#endsAfter = true;
      return;
    }
    this.ended = true;
    output.length = 0;
    writeFrameHead(output, 0, DATA, FLAG_END_STREAM, this.#id);
    transport.write(output.buf, 0, output.length);
  }

  /** A window has opened, or the transport takes more. @returns whether whoever waits may go on */
  pump(transport: Transport): boolean {
    const pending = this.#pending;
    if (pending !== null) {
      output.length = 0;
      this.#start = this.#frames(pending, this.#start, pending.length, this.#endsAfter);
      if (this.#start === pending.length) this.#pending = null;
      const result = output.length > 0 ? transport.write(output.buf, 0, output.length) : SENT;
      if (this.#pending !== null || result === HELD) return false;
    }
    const held = this.holds;
    this.holds = false;
    return held;
  }
}
