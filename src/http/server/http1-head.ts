/** The head of a request of HTTP/1, as it comes: in one piece as a rule, in any pieces within `large_client_header_buffers`. */
import { Buffer } from 'node:buffer';
import type { ServerConfig } from '../../config/model.ts';
import { TOKEN, TOKEN_WITHOUT_UNDERSCORE } from '../wire/bytes.ts';
import { BAD, DONE, MORE } from '../wire/outcomes.ts';
import { RequestHead } from '../wire/request-head.ts';
import { maxHead } from './framing.ts';
import { refusalOf } from './refusals.ts';
import type { Refusal } from './refusals.ts';

const INITIAL_ROOM = 2048;
const TOO_LARGE: Refusal = { status: 494, why: 'client sent too large request' };
const LINE_TOO_LARGE: Refusal = {
  status: 414,
  why: 'client sent too long URI while reading client request line',
};

/** One a connection, for all of its requests. */
export class HeadReader {
  readonly head: RequestHead = new RequestHead();
  /** Bytes of it that are here. */
  length = 0;
  /** Where the last read ended in what it was given. */
  pos = 0;
  /** Why the last read refused the head. */
  refusal: Refusal = TOO_LARGE;
  #buf: Buffer | null = null;

  /**
   * Takes bytes of the head from `src[pos, end)`.
   * @returns `DONE`; `MORE`: all was taken; anything else: it is refused
   */
  read(src: Buffer, pos: number, end: number, config: ServerConfig): number {
    const { head } = this;
    if (this.length === 0) this.#begin(config);
    for (;;) {
      const room = this.#buf!.length - this.length;
      const take = Math.min(room, end - pos);
      src.copy(this.#buf!, this.length, pos, pos + take);
      const before = this.length;
      this.length += take;
      const result = head.parse(this.length);
      if (result === DONE) {
        this.length = head.pos;
        this.pos = pos + head.pos - before;
        return head.pos > maxHead(config) ? this.#refuse(TOO_LARGE) : DONE;
      }
      pos += take;
      this.pos = end;
      if (result !== MORE) return this.#refuse(refusalOf(result, head.lineDone));
      if (this.length === this.#buf!.length && !this.#grow(config)) {
        this.length = 0;
        return this.#refuse(head.lineDone ? TOO_LARGE : LINE_TOO_LARGE);
      }
      if (pos >= end) return MORE;
    }
  }

  #begin(config: ServerConfig): void {
    const { head } = this;
    this.#buf ??= Buffer.allocUnsafeSlow(INITIAL_ROOM);
    head.reset(this.#buf, 0);
    // An underscore makes a name invalid, and what is invalid goes on when it is not to be ignored.
    head.token = config.underscoresInHeaders || !config.ignoreInvalidHeaders ? TOKEN : TOKEN_WITHOUT_UNDERSCORE;
    head.skipInvalid = config.ignoreInvalidHeaders;
    head.maxFields = config.maxHeaders > 0 ? config.maxHeaders : 1000;
    head.maxLine = Math.max(config.largeClientHeaderBuffers.size, config.clientHeaderBufferSize);
  }

  #refuse(why: Refusal): number {
    this.refusal = why;
    return BAD;
  }

  /** Makes room for a larger head within `large_client_header_buffers`; false: there must be none. */
  #grow(config: ServerConfig): boolean {
    const { count, size } = config.largeClientHeaderBuffers;
    const { head } = this;
    if (this.length - head.pos >= size || this.length >= count * size) return false;
    const grown = Buffer.allocUnsafeSlow(Math.min(Math.max(this.#buf!.length * 2, 1024), count * size));
    this.#buf!.copy(grown, 0, 0, this.length);
    this.#buf = grown;
    head.rebase(grown, 0);
    return true;
  }

  /** Another request follows. */
  next(): void {
    this.length = 0;
    if (this.#buf!.length > INITIAL_ROOM) this.#buf = null;
  }

  /** None follows. */
  close(): void {
    this.#buf = null;
  }
}
