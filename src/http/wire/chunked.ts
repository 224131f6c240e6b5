/**
 * Decoder of the chunked transfer coding (RFC 9112 section 7.1): tells where the data stands in the bytes that arrived,
 * copies nothing. Strict for requests; for answers a bare LF is taken as a line end and `unclean` tells so.
 */
import { CR, FIELD, HEX, HTAB, LF, SP } from './bytes.ts';
import { HeaderBlock } from './header-block.ts';
import { DONE } from './outcomes.ts';

/** `dataStart`…`dataEnd` hold body bytes; call again. */
export const CHUNK_DATA = 1;
/** All bytes were consumed. */
export const CHUNK_MORE = 0;
/** The body has ended; `pos` is behind its last byte. */
export const CHUNK_END = 2;
export const CHUNK_BAD = -1;

const SIZE_FIRST = 0;
const SIZE = 1;
const EXTENSION = 2;
const SIZE_LF = 3;
const DATA = 4;
const DATA_CR = 5;
const DATA_LF = 6;
const TRAILER = 7;
const END = 8;
/** White space behind the size: an extension or the line's end follows. */
const SIZE_SPACE = 9;

/** Largest size that is exact as a number. */
const MAX_SIZE = Number.MAX_SAFE_INTEGER;
const MAX_EXTENSION = 4096;
const MAX_TRAILER = 16384;

/** `chunksIn`: the body goes on behind the bytes at hand; they are no chunked body. */
export const CHUNKS_GO_ON = -1;
export const CHUNKS_BAD = -2;

export class ChunkedDecoder {
  pos = 0;
  dataStart = 0;
  dataEnd = 0;
  /** A bare LF was taken for a line end. */
  unclean = false;
  /** Trailer fields, once `CHUNK_END` was answered; null when there were none. */
  trailers: HeaderBlock | null = null;

  #strict: boolean;
  #state = SIZE_FIRST;
  #left = 0;
  #extension = 0;
  #trailerBytes: Buffer | null = null;
  #trailerLength = 0;

  constructor(strict: boolean) {
    this.#strict = strict;
  }

  reset(): void {
    this.#state = SIZE_FIRST;
    this.#left = 0;
    this.#extension = 0;
    this.#trailerLength = 0;
    this.#trailerBytes = null;
    this.trailers = null;
    this.unclean = false;
  }

  /**
   * Decodes `buf[pos, end)` up to the next event.
   * @returns `CHUNK_DATA`, `CHUNK_MORE`, `CHUNK_END` or `CHUNK_BAD`; `this.pos` is where to go on
   */
  next(buf: Buffer, pos: number, end: number): number {
    let state = this.#state;
    while (pos < end || state === END) {
      if (state === DATA) {
        const take = Math.min(this.#left, end - pos);
        this.dataStart = pos;
        this.dataEnd = this.pos = pos + take;
        this.#left -= take;
        this.#state = this.#left === 0 ? DATA_CR : DATA;
        return CHUNK_DATA;
      }
      if (state === END) {
        this.pos = pos;
        return CHUNK_END;
      }
      if (state === TRAILER) {
        const result = this.#trailer(buf, pos, end);
        if (result === CHUNK_MORE) pos = end;
        return result;
      }
      const b = buf[pos++]!;
      switch (state) {
        case SIZE_FIRST:
          if (HEX[b] === 255) return CHUNK_BAD;
          this.#left = HEX[b]!;
          state = SIZE;
          break;
        case SIZE:
          if (HEX[b] !== 255) {
            this.#left = this.#left * 16 + HEX[b]!;
            if (this.#left > MAX_SIZE) return CHUNK_BAD;
          } else if (b === CR) state = SIZE_LF;
          else if (b === LF && this.#lenient()) state = this.#afterSize();
          else if (b === 0x3b || b === SP || b === HTAB) {
            this.#extension = 0;
            state = b === 0x3b ? EXTENSION : SIZE_SPACE;
          } else return CHUNK_BAD;
          break;
        case SIZE_SPACE:
          // Another digit must not follow: "1 0" is 1 to some readers and 16 to others.
          if (b === CR) state = SIZE_LF;
          else if (b === LF && this.#lenient()) state = this.#afterSize();
          else if (b === 0x3b) state = EXTENSION;
          else if ((b !== SP && b !== HTAB) || ++this.#extension > MAX_EXTENSION) return CHUNK_BAD;
          break;
        case EXTENSION:
          if (b === CR) state = SIZE_LF;
          else if (b === LF && this.#lenient()) state = this.#afterSize();
          else if (FIELD[b] === 0 || ++this.#extension > MAX_EXTENSION) return CHUNK_BAD;
          break;
        case SIZE_LF:
          if (b !== LF) return CHUNK_BAD;
          state = this.#afterSize();
          break;
        case DATA_CR:
          if (b === CR) state = DATA_LF;
          else if (b === LF && this.#lenient()) state = SIZE_FIRST;
          else return CHUNK_BAD;
          break;
        default:
          if (b !== LF) return CHUNK_BAD;
          state = SIZE_FIRST;
      }
      this.#state = state;
    }
    this.pos = pos;
    return CHUNK_MORE;
  }

  /** Bytes of the present chunk that are still to come. */
  get left(): number {
    return this.#left;
  }

  #lenient(): boolean {
    if (this.#strict) return false;
    this.unclean = true;
    return true;
  }

  #afterSize(): number {
    return this.#left === 0 ? TRAILER : DATA;
  }

  /** Collects the trailer section (bounded) and parses it as header fields when it is complete. */
  #trailer(buf: Buffer, pos: number, end: number): number {
    // By far the most frequent: no trailers, the empty line stands here whole.
    if (this.#trailerLength === 0 && buf[pos] === CR && pos + 1 < end && buf[pos + 1] === LF) {
      this.#state = END;
      this.pos = pos + 2;
      return CHUNK_END;
    }
    this.#trailerBytes ??= Buffer.allocUnsafe(MAX_TRAILER);
    while (pos < end) {
      if (this.#trailerLength === MAX_TRAILER) return CHUNK_BAD;
      const b = buf[pos++]!;
      const bytes: Buffer = this.#trailerBytes;
      bytes[this.#trailerLength++] = b;
      if (b !== LF) continue;
      const n = this.#trailerLength;
      const crlf = n >= 2 && bytes[n - 2] === CR;
      if (!crlf && !this.#lenient()) return CHUNK_BAD;
      const lineLength = crlf ? n - 2 : n - 1;
      if (lineLength > 0 && bytes[lineLength - 1] !== LF) continue;
      this.#state = END;
      this.pos = pos;
      if (lineLength === 0) return CHUNK_END;
      const block = new HeaderBlock(this.#strict);
      block.reset(bytes, 0);
      if (block.parse(n) !== DONE) return CHUNK_BAD;
      this.trailers = block;
      return CHUNK_END;
    }
    this.pos = pos;
    return CHUNK_MORE;
  }
}

const look = new ChunkedDecoder(true);

/**
 * Looks at a request's chunked body that has arrived with its head, without taking it.
 * @returns the length of its content, if all of it is there; else `CHUNKS_GO_ON` or `CHUNKS_BAD`
 */
export function chunksIn(buf: Buffer, pos: number, end: number): number {
  look.reset();
  let length = 0;
  for (;;) {
    const event = look.next(buf, pos, end);
    pos = look.pos;
    if (event === CHUNK_DATA) length += look.dataEnd - look.dataStart;
    else if (event === CHUNK_END) return length;
    else return event === CHUNK_BAD ? CHUNKS_BAD : CHUNKS_GO_ON;
  }
}
