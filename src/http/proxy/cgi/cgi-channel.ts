/**
 * SCGI and uwsgi to servers: after the parameters the body goes as it is, and the answer is a CGI head and a body, up to
 * its announced length or the connection's end. A connection carries one exchange.
 */
import type { Buffer } from 'node:buffer';
import { output } from '../../../net/output.ts';
import { CgiHead } from '../../wire/cgi-head.ts';
import { DONE, MORE } from '../../wire/outcomes.ts';
import { announcedLength, headFault, HeadReader, READING_HEAD } from '../head-reader.ts';
import { EMPTY, IDLE, TransportChannel } from '../transport-channel.ts';
import type { OutgoingRequest } from '../upstream-channel.ts';

const HEAD = 1;
const BODY = 2;
const TUNNEL = 3;

export class CgiChannel extends TransportChannel {
  readonly #reader = new HeadReader(new CgiHead(true));
  #headOnly = false;
  /** Bytes of the body to come; -1: until the connection ends. */
  #left = 0;

  protected beginAnswer(headOnly: boolean, headLimit: number): void {
    this.#headOnly = headOnly;
    this.#reader.begin(headLimit);
    this.state = HEAD;
  }

  sendRequest(request: OutgoingRequest): number {
    this.compose(request);
    return this.transport.write(output.buf, 0, output.length);
  }

  keepHead(): void {
    this.#reader.keep();
  }

  protected read(src: Buffer, pos: number, end: number): void {
    if (this.state === HEAD) this.#readHead(src, pos, end);
    else if (this.state === BODY) this.#readBody(src, pos, end);
    else this.events?.onTunnelData(src, pos, end);
  }

  #readHead(src: Buffer, pos: number, end: number): void {
    const reader = this.#reader;
    const result = reader.read(src, pos, end);
    if (result === MORE) return;
    if (result !== DONE) {
      this.fail('invalid', headFault(result));
      return;
    }
    const { head, bodyStart } = reader;
    this.contentLength = announcedLength(head);
    if (this.contentLength < -1) {
      this.fail('invalid', `upstream sent invalid "Content-Length" header ${READING_HEAD}`);
      return;
    }
    this.#left = this.#headOnly || head.status === 204 || head.status === 304 ? 0 : this.contentLength;
    this.state = BODY;
    const { requests, events } = this;
    if (!this.giveHead(head)) {
      if (this.state === TUNNEL && this.events === events && bodyStart < end) events!.onTunnelData(src, bodyStart, end);
      return;
    }
    this.#readBody(src, bodyStart, this.#headOnly ? bodyStart : end);
    if (this.requests === requests && this.events === events) this.keepHead();
  }

  #readBody(src: Buffer, pos: number, end: number): void {
    if (this.#left >= 0) {
      if (end - pos > this.#left) {
        end = pos + this.#left;
        this.extra = true;
      }
      this.#left -= end - pos;
    }
    const last = this.#left === 0;
    if (last) this.state = IDLE;
    this.events!.onBody(src, pos, end, last);
  }

  protected ended(error: Error | null): void {
    if (this.state === HEAD) this.endedInHead(error);
    else if (this.state === TUNNEL) this.events?.onTunnelEnd();
    else if (error !== null || this.#left > 0) this.endedInBody(error);
    else {
      this.state = IDLE;
      this.events!.onBody(EMPTY, 0, 0, true);
    }
  }

  override upgrade(): void {
    this.state = TUNNEL;
  }
}
