/** What a logical stream receives: the bytes in order, and what the other side has to be told of them. */
import type { Buffer } from 'node:buffer';
import { Reassembly } from './reassembly.ts';
import type { Delivery } from './reassembly.ts';
import { FIRST_CREDIT } from './wire.ts';

/** Acknowledgements wait so long for others. */
const ACK_DELAY_MS = 20;

export class Inbound {
  readonly bytes: Reassembly;
  /** When the other side is to be told at the latest. */
  ackAt = Infinity;
  /** What the other side was told that it may send. */
  granted: number = FIRST_CREDIT;
  /** The offset where the other side ends; -1: not known. */
  fin = -1;
  #window = FIRST_CREDIT;
  #consumed = 0;
  #toldBefore = 0;
  #frames = 0;

  /** @param maxGaps more is what no honest sender makes */
  constructor(maxGaps: number) {
    this.bytes = new Reassembly(maxGaps);
  }

  /** So much may be unread from now on. It never becomes less: what was granted is granted. */
  widen(window: number): void {
    this.#window = Math.max(this.#window, window);
  }

  /** Takes a piece. @returns false: the other side broke the protocol */
  take(offset: number, buf: Buffer, start: number, end: number, to: Delivery, now: number): boolean {
    const stop = offset + end - start;
    if (stop > this.granted || (this.fin >= 0 && stop > this.fin)) return false;
    if (!this.bytes.receive(offset, buf, start, end, to)) return false;
    this.ackAt = Math.min(this.ackAt, now + ACK_DELAY_MS);
    return true;
  }

  /** @returns false: the other side broke the protocol */
  end(offset: number): boolean {
    if (offset < this.bytes.next || offset > this.granted || (this.fin >= 0 && this.fin !== offset)) return false;
    this.fin = offset;
    return true;
  }

  /** All that the other side sends has come. */
  get complete(): boolean {
    return this.fin >= 0 && this.bytes.next === this.fin;
  }

  /** The end counts as a byte. */
  get acked(): number {
    return this.bytes.next + (this.complete ? 1 : 0);
  }

  /** So much has come that the other side is to be told at once. */
  get muchCame(): boolean {
    return this.bytes.next - this.#toldBefore >= this.#window >> 2;
  }

  /** A frame has come to its end. @returns whether so many have that the other side is to be told at once */
  countFrame(channelSize: number): boolean {
    return ++this.#frames >= Math.max(1, channelSize >> 2);
  }

  /** Whoever reads has taken so many bytes since the beginning. @returns whether the other side is to be told at once */
  consume(total: number, now: number): boolean {
    if (total <= this.#consumed) return false;
    this.#consumed = total;
    this.ackAt = Math.min(this.ackAt, now + ACK_DELAY_MS);
    return total + this.#window - this.granted >= this.#window >> 2;
  }

  /** The other side is being told. @returns up to where it may send */
  grant(): number {
    this.granted = Math.max(this.granted, this.#consumed + this.#window);
    return this.granted;
  }

  /** Was told: the next time is when more has come. */
  told(): void {
    this.ackAt = Infinity;
    this.#frames = 0;
    this.#toldBefore = this.bytes.next;
  }
}
