/**
 * The head of an answer as CGI programs write it (RFC 3875 section 6): fields, and the status in one of them. Pure.
 *
 * nginx reads a status line, too, if SCGI and uwsgi servers begin with one.
 */
import { H } from './known.ts';
import { BAD, DONE, NOT_HTTP } from './outcomes.ts';
import { ResponseHead } from './response-head.ts';

export class CgiHead extends ResponseHead {
  readonly #statusLine: boolean;

  /** @param statusLine the head may begin with a status line */
  constructor(statusLine: boolean) {
    super();
    this.#statusLine = statusLine;
  }

  override reset(buf: Buffer, pos: number): void {
    super.reset(buf, pos);
    this.version = 10;
    this.reasonStart = this.reasonEnd = pos;
  }

  protected override parseLine(end: number): number {
    if (!this.#statusLine) return DONE;
    const result = super.parseLine(end);
    return result === NOT_HTTP ? DONE : result;
  }

  override parse(end: number): number {
    const result = super.parse(end);
    if (result !== DONE || this.status !== 0) return result;
    const at = this.first(H.status);
    if (at < 0) {
      this.status = this.has(H.location) ? 302 : 200;
      return DONE;
    }
    const start = this.valueStart(at);
    const digits = this.buf.latin1Slice(start, start + 3);
    if (this.valueEnd(at) < start + 3 || !/^[1-9]\d\d$/.test(digits)) return BAD;
    this.status = Number(digits);
    // The status line is written from where the digits stand.
    this.reasonStart = start + 4;
    this.reasonEnd = this.valueEnd(at);
    return DONE;
  }

  protected override empty(): ResponseHead {
    return new CgiHead(this.#statusLine);
  }
}
