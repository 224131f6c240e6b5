/**
 * Finds SSI commands (`<!--#name parameter="value" … -->`) in a body that streams past. Pure: bytes in, outcomes out; a
 * command may be cut anywhere. What is kept is bounded by nginx's limits.
 */
import { Buffer } from 'node:buffer';

/** More bytes are needed. */
export const SSI_MORE = 0;
/** Text that is no command: `buf[textStart, textEnd)`. */
export const SSI_TEXT = 1;
/** The first `literal` bytes of `<!--#` that came earlier were no command after all. */
export const SSI_LITERAL = 2;
/** A command: `command` and `params`. */
export const SSI_COMMAND = 3;
/** A malformed command has ended; `error` says why. */
export const SSI_ERROR = 4;

export const OPENING: Buffer = Buffer.from('<!--#');
const MAX_COMMAND = 32;
const MAX_NAME = 32;

/** Where in a command the parser is. */
const TEXT = 0;
const BEFORE_COMMAND = 1;
const COMMAND = 2;
const BEFORE_NAME = 3;
const NAME = 4;
const BEFORE_EQUAL = 5;
const BEFORE_VALUE = 6;
const VALUE = 7;
const QUOTED = 8;
const AFTER_VALUE = 9;
const END = 10;
const END2 = 11;
/** The same for what is malformed: skipped up to `-->`. */
const SKIP = 12;
const SKIP_END = 13;
const SKIP_END2 = 14;

const DASH = 0x2d;
const GREATER = 0x3e;

function isSpace(c: number): boolean {
  return c === 0x20 || c === 0x09 || c === 0x0d || c === 0x0a;
}

export interface SsiParam {
  name: string;
  /** As written, escapes and variables not looked at. */
  value: string;
}

export class SsiParser {
  /** Where the next call goes on. */
  pos = 0;
  textStart = 0;
  textEnd = 0;
  literal = 0;
  command = '';
  params: SsiParam[] = [];
  error = '';
  readonly #maxValue: number;
  #state = TEXT;
  /** Bytes of `<!--#` seen. */
  #matched = 0;
  #name = '';
  #value = '';
  #quote = 0;

  /** @param maxValue longest value of a parameter (`ssi_value_length`) */
  constructor(maxValue: number) {
    this.#maxValue = maxValue;
  }

  /** Looks at `buf[pos, end)`; returns one of `SSI_…`. */
  next(buf: Buffer, pos: number, end: number): number {
    while (pos < end) {
      if (this.#state === TEXT) {
        if (this.#matched === 0) {
          const found = buf.subarray(pos, end).indexOf(0x3c);
          this.textStart = pos;
          this.textEnd = found < 0 ? end : pos + found;
          this.pos = this.textEnd;
          if (found >= 0) {
            this.#matched = 1;
            this.pos++;
          }
          if (this.textEnd > this.textStart) return SSI_TEXT;
          pos = this.pos;
          continue;
        }
        if (buf[pos] !== OPENING[this.#matched]) {
          this.literal = this.#matched;
          this.#matched = 0;
          this.pos = pos;
          return SSI_LITERAL;
        }
        pos++;
        if (++this.#matched === OPENING.length) {
          this.#matched = 0;
          this.#state = BEFORE_COMMAND;
        }
        continue;
      }
      const outcome = this.#step(buf[pos++]!);
      if (outcome !== SSI_MORE) {
        this.pos = pos;
        return outcome;
      }
    }
    this.pos = pos;
    return SSI_MORE;
  }

  /** The body has ended: how many bytes of `<!--#` are still to be sent. */
  finish(): number {
    const literal = this.#state === TEXT ? this.#matched : 0;
    this.#matched = 0;
    this.#state = TEXT;
    return literal;
  }

  #step(c: number): number {
    switch (this.#state) {
      case BEFORE_COMMAND:
        if (isSpace(c)) break;
        this.command = String.fromCharCode(c);
        this.params = [];
        this.#state = COMMAND;
        break;
      case COMMAND:
        if (isSpace(c)) this.#state = BEFORE_NAME;
        else if (c === DASH) this.#state = END;
        else if (this.command.length === MAX_COMMAND) {
          this.#fail(`the "${this.command}${String.fromCharCode(c)}..." SSI command is too long`);
        } else this.command += String.fromCharCode(c);
        break;
      case BEFORE_NAME:
        if (isSpace(c)) break;
        if (c === DASH) {
          this.#state = END;
          break;
        }
        this.#name = String.fromCharCode(c);
        this.#state = NAME;
        break;
      case NAME:
        if (isSpace(c)) this.#state = BEFORE_EQUAL;
        else if (c === 0x3d) this.#state = BEFORE_VALUE;
        else if (c === DASH) this.#unexpected(c, `after "${this.#name}" parameter in`);
        else if (this.#name.length === MAX_NAME) {
          this.#fail(`too long "${this.#name}${String.fromCharCode(c)}..." parameter in "${this.command}" SSI command`);
        } else this.#name += String.fromCharCode(c);
        break;
      case BEFORE_EQUAL:
        if (isSpace(c)) break;
        if (c === 0x3d) this.#state = BEFORE_VALUE;
        else this.#unexpected(c, `after "${this.#name}" parameter in`);
        break;
      case BEFORE_VALUE:
        if (isSpace(c)) break;
        if (c !== 0x22 && c !== 0x27) {
          this.#unexpected(c, `before value of "${this.#name}" parameter in`);
          break;
        }
        this.#quote = c;
        this.#value = '';
        this.#state = VALUE;
        break;
      case VALUE:
        if (c === this.#quote) {
          this.params.push({ name: this.#name, value: this.#value });
          this.#state = AFTER_VALUE;
          break;
        }
        if (c === 0x5c) this.#state = QUOTED;
        this.#append(c);
        break;
      case QUOTED:
        this.#state = VALUE;
        this.#append(c);
        break;
      case AFTER_VALUE:
        if (isSpace(c)) this.#state = BEFORE_NAME;
        else if (c === DASH) this.#state = END;
        else this.#unexpected(c, `after "${this.#value}" value of "${this.#name}" parameter in`);
        break;
      case END:
        if (c === DASH) this.#state = END2;
        else this.#unexpected(c, 'in');
        break;
      case END2:
        if (c === GREATER) {
          this.#state = TEXT;
          return SSI_COMMAND;
        }
        this.#unexpected(c, 'in');
        break;
      case SKIP:
        if (c === DASH) this.#state = SKIP_END;
        break;
      case SKIP_END:
        this.#state = c === DASH ? SKIP_END2 : SKIP;
        break;
      case SKIP_END2:
        if (c === GREATER) {
          this.#state = TEXT;
          return SSI_ERROR;
        }
        if (c !== DASH) this.#state = SKIP;
        break;
    }
    return SSI_MORE;
  }

  #append(c: number): void {
    if (this.#value.length === this.#maxValue) {
      this.#fail(
        `too long "${this.#value}${String.fromCharCode(c)}..." value of "${this.#name}" parameter ` +
          `in "${this.command}" SSI command`,
      );
    } else this.#value += String.fromCharCode(c);
  }

  #unexpected(c: number, where: string): void {
    this.#fail(`unexpected "${String.fromCharCode(c)}" symbol ${where} "${this.command}" SSI command`);
    if (c === DASH) this.#state = SKIP_END;
  }

  #fail(error: string): void {
    this.error = error;
    this.#state = SKIP;
  }
}
