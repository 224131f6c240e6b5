/**
 * A body filter around a zlib stream: compresses or unpacks what passes. Work is done in the pool of threads of Node, so
 * a worker goes on meanwhile; what waits is bounded by the stream's own limits on both sides.
 */
import { Buffer } from 'node:buffer';
import type { Gunzip, Gzip } from 'node:zlib';
import { clock } from '../../net/clock.ts';
import { logRequest } from '../request-log.ts';
import type { BodyProducer, HttpRequest } from '../request.ts';
import { HELD, SENT } from '../request.ts';
import { ChainedFilter } from './chain.ts';

export class ZlibFilter extends ChainedFilter implements BodyProducer {
  readonly #r: HttpRequest;
  readonly #stream: Gzip | Gunzip;
  /** What stands here is the answer's producer; this filter takes its place, for it is who sends. */
  #producer: BodyProducer | null = null;
  #installed = false;
  /** The producer was told to wait. */
  #full = false;
  /** The client takes no more for now. */
  #held = false;
  #closed = false;

  constructor(r: HttpRequest, stream: Gzip | Gunzip) {
    super();
    this.#r = r;
    this.#stream = stream;
    stream.on('data', (chunk: Buffer) => this.#send(chunk));
    stream.on('end', () => this.#finish());
    stream.on('drain', () => this.#drained());
    stream.on('error', (error) => this.#fail(error));
  }

  override sendHead(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    const result = this.nextHead(r, null, 0, 0, false);
    // Head only: there is no body to come.
    if (this.#closed || r.headerOnly) return result;
    this.#held = result === HELD;
    return this.#feed(r, buf, start, end, last);
  }

  override sendBody(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    return this.#closed ? SENT : this.#feed(r, buf, start, end, last);
  }

  #feed(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    if (!this.#installed) {
      this.#installed = true;
      this.#producer = r.producer;
      r.producer = this;
    }
    // The bytes stand in a buffer that will be read into again.
    let full = false;
    if (buf !== null && end > start) full = !this.#stream.write(Buffer.from(buf.subarray(start, end)));
    if (last) this.#stream.end();
    this.#full = !last && (full || this.#held);
    if (this.#held) this.#stream.pause();
    return this.#full ? HELD : SENT;
  }

  #send(chunk: Buffer): void {
    if (this.#closed) return;
    clock.update();
    if (this.nextBody(this.#r, chunk, 0, chunk.length, false) !== HELD) return;
    this.#held = true;
    this.#stream.pause();
  }

  #finish(): void {
    if (this.#closed) return;
    clock.update();
    const r = this.#r;
    this.#closed = true;
    if (r.producer === this) r.producer = null;
    // With this the request may be over, and be another's.
    this.nextBody(r, null, 0, 0, true);
  }

  /** The stream takes more. */
  #drained(): void {
    if (this.#closed || !this.#full || this.#held) return;
    this.#full = false;
    clock.update();
    if (this.#producer !== null) this.#producer.onDrain(this.#r);
  }

  /** The client takes more. */
  onDrain(): void {
    this.#held = false;
    if (this.#closed) return;
    this.#stream.resume();
    if (!this.#stream.writableNeedDrain) this.#drained();
  }

  onAbort(r: HttpRequest): void {
    const producer = this.#producer;
    this.#stop();
    if (producer !== null) producer.onAbort(r);
  }

  #fail(error: Error): void {
    if (this.#closed) return;
    const r = this.#r;
    const producer = this.#producer;
    logRequest(r, 'error', `zlib failed: ${error.message}`);
    this.#stop();
    r.producer = null;
    if (producer !== null) producer.onAbort(r);
    r.channel.abort(r);
  }

  #stop(): void {
    this.#closed = true;
    this.#producer = null;
    this.#stream.destroy();
  }

  override close(): void {
    this.#stop();
    super.close();
  }
}
