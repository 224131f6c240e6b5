/**
 * The body of a client's request: read in whole (memory, then a temporary file), streamed, or thrown away, as whoever
 * answers asks. Fed by the connection; knows lengths and limits, not sockets.
 */
import { Buffer } from 'node:buffer';
import { ChunkedDecoder, CHUNK_BAD, CHUNK_DATA, CHUNK_END } from '../wire/chunked.ts';
import type { HttpRequest } from '../request.ts';
import { HELD } from '../request.ts';
import { TempFile } from './temp-file.ts';

/** Takes a streamed body. */
export interface BodyConsumer {
  /** @returns `HELD`: read no more until `r.channel.resumeReading(r)`. The bytes are valid during the call only. */
  onBodyData(r: HttpRequest, buf: Buffer, start: number, end: number): number;
  onBodyEnd(r: HttpRequest): void;
}

/** What is left of a body whose length is not known is more than this. */
const LENGTH_KNOWN = Number.MAX_SAFE_INTEGER / 2;

/** What to do with body bytes. */
const UNDECIDED = 0;
const DISCARD = 1;
const BUFFER = 2;
const STREAM = 3;

/** `feed` met bytes that are no body: the connection cannot go on. */
export const FEED_BAD = -1;
/** The body is larger than `client_max_body_size`. */
export const FEED_TOO_LARGE = -2;
/** The temporary file could not be written. */
export const FEED_FAILED = -3;

export class RequestBody {
  /** All of it has been read. */
  complete = true;
  /** Bytes of content read so far. */
  received = 0;
  /** Length of the content, if all of it arrived with the head and waits to be taken; else negative. */
  atHand = -1;
  /** The consumer asked to wait. */
  held = false;
  /** What the consumer is given at this moment is known to be the last of it. */
  lastPiece = false;
  /** Content in memory once buffered: the first `memoryLength` bytes of `memory`; the rest is in the file. */
  memory: Buffer | null = null;
  memoryLength = 0;
  #file: TempFile | null = null;

  #r: HttpRequest | null = null;
  #mode = UNDECIDED;
  #inMemory = false;
  #chunked = false;
  /** Frames carry it (HTTP/2) and say where it ends. */
  #framed = false;
  #remaining = 0;
  #limit = 0;
  #decoder: ChunkedDecoder | null = null;
  #consumer: BodyConsumer | null = null;
  #ready: ((r: HttpRequest) => void) | null = null;

  /**
   * Begins a request's body. `length` -1: it is not known; the body is chunked then, unless it is `framed`: brought as it
   * is, and ended by `end`.
   */
  begin(r: HttpRequest, length: number, framed = false): void {
    this.#r = r;
    this.complete = length === 0;
    this.#framed = framed;
    if (this.complete && this.received === 0 && this.memory === null && this.#mode === UNDECIDED) return;
    this.#release();
    this.received = 0;
    this.held = false;
    this.lastPiece = false;
    this.#mode = UNDECIDED;
    this.#chunked = length < 0 && !framed;
    this.#remaining = length < 0 && framed ? Number.MAX_SAFE_INTEGER : length;
    this.#limit = 0;
    if (this.#chunked) {
      this.#decoder ??= new ChunkedDecoder(true);
      this.#decoder.reset();
    }
  }

  /** Nobody has said yet what to do with it: the connection must not read on. */
  get undecided(): boolean {
    return this.#mode === UNDECIDED && !this.complete;
  }

  /** It is read, or was, as a whole. */
  get buffered(): boolean {
    return this.#mode === BUFFER;
  }

  get discarding(): boolean {
    return this.#mode === DISCARD;
  }

  /**
   * Read it in whole, then call `ready` (at once when it is complete). Bytes go on arriving by `feed`.
   * @param inMemory it would not be read in whole, had it not come so: `client_body_in_file_only` is not meant for it
   */
  buffer(ready: (r: HttpRequest) => void, inMemory = false): void {
    const r = this.#r!;
    if (this.complete) {
      ready(r);
      return;
    }
    this.#mode = BUFFER;
    this.#inMemory = inMemory;
    this.#ready = ready;
    this.#limit = r.loc.core.clientMaxBodySize;
    r.channel.resumeReading(r);
  }

  /** Hand bytes on as they arrive. */
  stream(consumer: BodyConsumer): void {
    const r = this.#r!;
    if (this.complete) {
      consumer.onBodyEnd(r);
      return;
    }
    this.#mode = STREAM;
    this.#consumer = consumer;
    this.#limit = r.loc.core.clientMaxBodySize;
    r.channel.resumeReading(r);
  }

  discard(): void {
    if (this.complete) return;
    this.#mode = DISCARD;
    this.#limit = 0;
    this.#consumer = null;
    this.#ready = null;
    this.held = false;
    this.#release();
  }

  /**
   * Takes body bytes from `buf[pos, end)`.
   * @param last frames say that the body ends with them
   * @returns where the body's bytes end (`end` unless it is complete or held), or one of `FEED_…`
   */
  feed(buf: Buffer, pos: number, end: number, last = false): number {
    if (this.#chunked) return this.#feedChunked(buf, pos, end);
    const take = Math.min(this.#remaining, end - pos);
    if (this.#framed) {
      if (take < end - pos) return FEED_BAD;
      if (this.#limit > 0 && this.received + take > this.#limit) return FEED_TOO_LARGE;
    }
    this.#remaining -= take;
    this.lastPiece = this.#remaining === 0 || (last && this.#remaining > LENGTH_KNOWN);
    if (this.#framed && !last) this.lastPiece = false;
    if (!this.#take(buf, pos, pos + take)) return FEED_FAILED;
    if (this.#remaining === 0 && !this.#framed) this.#finish();
    return pos + take;
  }

  /** The data of all chunks that came together is moved together, over their framing: it goes on as one piece. */
  #feedChunked(buf: Buffer, pos: number, end: number): number {
    const decoder = this.#decoder!;
    let start = pos;
    let at = pos;
    for (;;) {
      const event = decoder.next(buf, pos, end);
      pos = decoder.pos;
      if (event === CHUNK_DATA) {
        const n = decoder.dataEnd - decoder.dataStart;
        // A chunk that is announced too large is refused before all of it has come, as nginx does.
        if (this.#limit > 0 && this.received + (at - start) + n + decoder.left > this.#limit) return FEED_TOO_LARGE;
        if (at === start) start = at = decoder.dataStart;
        else if (decoder.dataStart !== at) buf.copyWithin(at, decoder.dataStart, decoder.dataEnd);
        at += n;
        continue;
      }
      if (event === CHUNK_BAD) return FEED_BAD;
      this.lastPiece = event === CHUNK_END;
      if (at > start && !this.#take(buf, start, at)) return FEED_FAILED;
      if (event === CHUNK_END) this.#finish();
      return pos;
    }
  }

  /** Frames say that a body ends; false: it is shorter than its Content-Length said. */
  end(): boolean {
    if (this.complete) return true;
    if (this.#remaining > 0 && this.#remaining < LENGTH_KNOWN) return false;
    this.#finish();
    return true;
  }

  /** It goes to somebody as it comes: what has not come yet cannot be held back for long. */
  get streaming(): boolean {
    return this.#mode === STREAM;
  }

  #take(buf: Buffer, start: number, end: number): boolean {
    this.received += end - start;
    if (this.#mode === STREAM) {
      this.held = this.#consumer!.onBodyData(this.#r!, buf, start, end) === HELD;
    } else if (this.#mode === BUFFER) {
      return this.#store(buf, start, end);
    }
    return true;
  }

  #finish(): void {
    this.complete = true;
    const r = this.#r!;
    if (this.#mode === STREAM) this.#consumer!.onBodyEnd(r);
    else if (this.#mode === BUFFER) {
      const ready = this.#ready!;
      this.#ready = null;
      ready(r);
    }
  }

  /** Memory up to `client_body_buffer_size`, then a file that has no name any more. */
  #store(buf: Buffer, start: number, end: number): boolean {
    const n = end - start;
    const core = this.#r!.loc.core;
    let file = this.#file;
    if (file === null) {
      const inFile = core.clientBodyInFileOnly !== 'off' && !this.#inMemory;
      const known = this.#remaining + this.received;
      const size = this.#chunked || known > LENGTH_KNOWN ? core.clientBodyBufferSize : known;
      if (!inFile && this.memory === null && size <= core.clientBodyBufferSize) {
        this.memory = Buffer.allocUnsafe(size);
      }
      if (this.memory !== null && this.memoryLength + n <= this.memory.length) {
        buf.copy(this.memory, this.memoryLength, start, end);
        this.memoryLength += n;
        return true;
      }
      file = this.#openFile();
      if (file === null) return false;
    }
    return file.append(this.#r!, buf, start, end);
  }

  /** What was in memory so far becomes the file's beginning: who is given its name finds the whole body there. */
  #openFile(): TempFile | null {
    const r = this.#r!;
    const file = TempFile.open(r, r.loc.core.clientBodyTempPath, r.loc.core.clientBodyInFileOnly);
    if (file === null) return null;
    this.#file = file;
    const { memory, memoryLength } = this;
    this.memory = null;
    this.memoryLength = 0;
    return memory === null || file.append(r, memory, 0, memoryLength) ? file : null;
  }

  /** Bytes of the content that are in a file. */
  get fileLength(): number {
    return this.#file === null ? 0 : this.#file.length;
  }

  /** Name of the file that holds the body (`$request_body_file`); null: it is in memory. */
  get filePath(): string | null {
    return this.#file === null ? null : this.#file.path;
  }

  /** The content of another request's body, once it was read in whole; of any other there is none. */
  share(other: RequestBody): void {
    if (!other.complete || other.length === 0) return;
    this.#mode = BUFFER;
    this.memory = other.memory;
    this.memoryLength = other.memoryLength;
    this.#file = other.#file;
    if (this.#file !== null) this.#file.users++;
  }

  /** Length of the buffered content. */
  get length(): number {
    return this.memoryLength + this.fileLength;
  }

  /** Reads buffered content from `offset` into `into`; returns the number of bytes (0 at the end). */
  read(offset: number, into: Buffer): number {
    if (offset < this.memoryLength)
      return this.memory!.copy(into, 0, offset, Math.min(this.memoryLength, offset + into.length));
    return this.#file === null ? 0 : this.#file.read(into, offset - this.memoryLength);
  }

  /** Frees file and memory; the request is over. */
  close(): void {
    if (this.#mode === UNDECIDED) return;
    this.#release();
    this.#consumer = null;
    this.#ready = null;
  }

  #release(): void {
    if (this.#file !== null) {
      this.#file.release();
      this.#file = null;
    }
    this.memoryLength = 0;
    this.memory = null;
  }
}
