/**
 * Between a server that is fast and a client that is slow: keeps the bytes of an answer that the client does not take
 * yet, in memory first, then in a temporary file, so that the server is done with the request. Who needs all of the
 * answer in a file (a cache, proxy_store) gets it as a by-product: the file is kept from the first byte on.
 *
 * The stream is a row of offsets: `[0, sent)` the client has, `[sent, appended)` it has not. The end of it stands in
 * memory, in pieces; before that it stands in the file. Pieces are written one after another, never two at a time, and
 * reads never overlap: what waits for the disk is bounded, and everything else goes on meanwhile.
 *
 * Not on the path of clients that keep up: they never meet this.
 */
import { Buffer } from 'node:buffer';
import { close, read, write } from 'node:fs';
import { clock } from '../../net/clock.ts';
import { HELD, SENT } from '../request.ts';

/** Who has the bytes to send, and who brings them. */
export interface BufferOwner {
  /** Sends to the client. @returns `SENT`, or `HELD`: `AnswerBuffer.drained` follows. With `last` the request may be over */
  forward(buf: Buffer | null, start: number, end: number, last: boolean): number;
  /** No more bytes than what is on its way. */
  pauseServer(): void;
  resumeServer(): void;
  /** A file is needed; null: there can be none, as was logged. Called once. */
  openFile(): number | null;
  /** The file cannot be written (once), or not be read back: then `fatal`, for bytes are lost. */
  fileFailed(error: Error, fatal: boolean): void;
  /** All that was appended is in the file, and no more follows: may be called before or after the client has it. */
  fileComplete?(): void;
}

export interface BufferLimits {
  /** Bytes that may wait in memory. */
  memory: number;
  /** Bytes that may wait in the file; 0: there is no file. */
  file: number;
  /** All of it is to be in the file, whatever the client takes. */
  keep: boolean;
  /** Where the stream begins in the file. */
  base: number;
}

interface Piece {
  buf: Buffer;
  /** How much of it is filled. */
  length: number;
}

/** Small bytes are gathered to pieces of this size. */
const PIECE = 16 * 1024;
const READ_SIZE = 64 * 1024;
/** What may wait to be written when all goes to the file. */
const WRITES_BEHIND = 256 * 1024;
/** A complete answer of no more than this is written by who wants it in a file, at once and whole. */
const WHOLE_MAX = 64 * 1024;

const spareReads: Buffer[] = [];
const MAX_SPARE = 16;

export class AnswerBuffer {
  /** Bytes that came, and that the client got. */
  appended = 0;
  sent = 0;
  /** No more bytes come. */
  ended = false;
  /** Nothing is to be sent to a client, for there is none (any more). */
  #mute = false;
  readonly #owner: BufferOwner;
  readonly #memoryLimit: number;
  readonly #fileLimit: number;
  #base: number;
  #keep: boolean;

  /** The pieces in memory, which begin at offset `#memoryFrom`. */
  #pieces: Piece[] = [];
  #memoryFrom = 0;
  /** What stands in the file: `[fileFrom, fileTo)`, from `#base` on. */
  #fileFrom = 0;
  #fileTo = 0;
  #fd = -1;
  #fileRefused = false;
  #writing = false;
  #reading = false;
  #readBuffer: Buffer | null = null;
  #held = false;
  #paused = false;
  #pumping = false;
  #closed = false;
  /** The last bytes were sent: that is said once. */
  #lastSent = false;
  #completeTold = false;
  /** The last bytes wait until `release`: a cache wants its file in place first. */
  #holdLast = false;

  constructor(owner: BufferOwner, limits: BufferLimits) {
    this.#owner = owner;
    this.#memoryLimit = limits.memory;
    this.#fileLimit = limits.keep ? Infinity : limits.file;
    this.#keep = limits.keep;
    this.#base = limits.base;
    this.#holdLast = limits.keep;
    this.#fileRefused = !limits.keep && limits.file === 0;
  }

  /** The client has all that came. */
  get inStep(): boolean {
    return this.sent === this.appended && !this.#held;
  }

  /** Bytes that stand in memory. */
  get inMemory(): number {
    return this.appended - this.#memoryFrom;
  }

  /** The client does not take more at present, as `forward` has said: of what was sent before there was this buffer. */
  hold(): void {
    this.#held = true;
  }

  /**
   * Takes bytes of the server, which are copied.
   * @param last no more follow
   */
  append(buf: Buffer, start: number, end: number, last: boolean): void {
    if (last) this.ended = true;
    // A client that keeps up gets them from where they stand.
    const direct = this.inStep && !this.#mute && end > start && !(last && this.#holdLast);
    if (direct && !this.#keep && this.#pieces.length === 0) {
      this.appended += end - start;
      this.sent = this.#memoryFrom = this.#fileFrom = this.#fileTo = this.appended;
      this.#lastSent = last;
      if (this.#owner.forward(buf, start, end, last) === HELD) this.#held = true;
      return;
    }
    this.#store(buf, start, end);
    if (direct) {
      this.sent = this.appended;
      if (this.#owner.forward(buf, start, end, false) === HELD) this.#held = true;
    } else if (this.#mute) this.sent = this.appended;
    if (this.#closed) return;
    this.#write();
    // The end is still to be said when the last bytes went out beside pieces that are being written.
    if (!direct || last) this.#pump();
    if (!this.#closed) this.#regulate();
  }

  /** There is no client (any more): what is left goes to the file alone. */
  mute(): void {
    this.#mute = true;
    this.#held = false;
    this.sent = this.appended;
    this.#write();
    if (!this.#closed) this.#regulate();
  }

  /** The client takes bytes again. */
  drained(): void {
    this.#held = false;
    this.#pump();
    if (!this.#closed) this.#regulate();
  }

  /** The file is nobody's business any more: it is needed for what the client has not got yet, if at all. */
  forgetFile(): void {
    this.#keep = false;
    this.#holdLast = false;
    this.#dropSent();
    this.#pump();
    if (!this.#closed) this.#regulate();
  }

  /** The last bytes may go: the file is where it has to be. */
  release(): void {
    this.#holdLast = false;
    this.#keep = false;
    this.#pump();
  }

  /** It is over; the file is closed as soon as nobody reads or writes it. */
  close(): void {
    this.#closed = true;
    this.#pieces = [];
    this.#closeFile();
  }

  /** The bytes so far, if all of them still stand in memory and nothing was written. */
  whole(): Buffer | null {
    if (this.#fd >= 0 || this.#memoryFrom !== 0) return null;
    return Buffer.concat(this.#pieces.map(({ buf, length }) => buf.subarray(0, length)));
  }

  // ------------------------------------------------------------------------------------ memory

  #store(buf: Buffer, start: number, end: number): void {
    const n = end - start;
    if (n === 0) return;
    const tail = this.#pieces.at(-1);
    // The first piece may be on its way to the disk: it takes no more then.
    if (tail !== undefined && tail.buf.length - tail.length >= n && !(this.#writing && this.#pieces.length === 1)) {
      buf.copy(tail.buf, tail.length, start, end);
      tail.length += n;
    } else {
      const piece = { buf: Buffer.allocUnsafeSlow(Math.max(PIECE, n)), length: n };
      buf.copy(piece.buf, 0, start, end);
      this.#pieces.push(piece);
    }
    this.appended += n;
  }

  /** Lets go of pieces that nobody needs any more. */
  #dropSent(): void {
    if (this.#keep) return;
    while (this.#pieces.length > 0 && !this.#writing) {
      const { length } = this.#pieces[0]!;
      if (this.#memoryFrom + length > this.sent) break;
      this.#pieces.shift();
      this.#memoryFrom += length;
      // The file has nothing that is still to be sent: it begins anew.
      this.#fileFrom = this.#fileTo = this.#memoryFrom;
    }
    if (!this.#writing && !this.#reading && this.sent >= this.#fileTo && this.#fileTo > this.#fileFrom) {
      this.#fileFrom = this.#fileTo = this.#memoryFrom;
    }
  }

  /** Pauses the server while too much waits, lets it go on when there is room. */
  #regulate(): void {
    if (this.ended) return;
    const limit = this.#keep ? Math.max(this.#memoryLimit, 2 * WHOLE_MAX) : this.#memoryLimit;
    const room = this.#fileRefused ? limit : limit + WRITES_BEHIND;
    const waiting = this.#keep ? this.inMemory : Math.min(this.inMemory, this.appended - this.sent);
    if (waiting >= room) {
      this.#paused = true;
      this.#owner.pauseServer();
    } else if (this.#paused && waiting <= limit / 2) {
      this.#paused = false;
      this.#owner.resumeServer();
    }
  }

  // ------------------------------------------------------------------------------------ to the file

  /** Writes the oldest piece, if it must go to the file. */
  #write(): void {
    if (this.#writing || this.#closed) return;
    if (this.#pieces.length === 0) {
      this.#tellComplete();
      return;
    }
    if (this.#fileRefused) return;
    if (this.#keep) {
      // Pieces that take no more, and what is left at the end; nothing while the answer may turn out to be a small one.
      const growing = this.#pieces.length === 1 && this.#pieces[0]!.length < PIECE;
      if (!this.ended && (this.#fd < 0 ? this.inMemory <= WHOLE_MAX : growing)) return;
    } else if (this.inMemory <= this.#memoryLimit || this.#memoryFrom < this.sent) return;
    const { buf, length } = this.#pieces[0]!;
    if (this.#fileTo - this.#fileFrom + length > this.#fileLimit) return;
    if (this.#fd < 0) {
      if (this.#keep && this.ended && this.inMemory <= WHOLE_MAX) {
        this.#tellComplete();
        return;
      }
      const fd = this.#owner.openFile();
      if (fd === null) {
        this.#fileRefused = true;
        if (this.#keep) this.forgetFile();
        return;
      }
      this.#fd = fd;
    }
    this.#writing = true;
    this.#writeFrom(buf, 0, length);
  }

  #writeFrom(buf: Buffer, start: number, end: number): void {
    const position = this.#base + this.#fileTo - this.#fileFrom + start;
    write(this.#fd, buf, start, end - start, position, (error, n) => {
      clock.update();
      if (error === null && start + n < end && !this.#closed) {
        this.#writeFrom(buf, start + n, end);
        return;
      }
      this.#writing = false;
      if (this.#closed) {
        this.#closeFile();
        return;
      }
      if (error !== null) {
        // What was written before can still be read; the rest stays in memory.
        this.#fileRefused = true;
        this.#owner.fileFailed(error, false);
        if (this.#closed) return;
        if (this.#keep) this.forgetFile();
        else this.#pump();
      } else {
        this.#pieces.shift();
        this.#memoryFrom += end;
        this.#fileTo = this.#memoryFrom;
        this.#dropSent();
        this.#write();
      }
      if (!this.#closed) this.#regulate();
    });
  }

  #tellComplete(): void {
    if (!this.#keep || !this.ended || this.#completeTold) return;
    this.#completeTold = true;
    this.#owner.fileComplete?.();
  }

  // ------------------------------------------------------------------------------------ to the client

  /** Sends what the client takes, from the file or from memory. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    while (!this.#held && !this.#reading && !this.#closed && !this.#mute && !this.#lastSent) {
      if (this.sent === this.appended) {
        if (!this.ended || this.#holdLast) break;
        this.#lastSent = true;
        this.#owner.forward(null, 0, 0, true);
        break;
      }
      if (this.sent < this.#memoryFrom) {
        this.#readBack();
        break;
      }
      if (!this.#sendPiece()) break;
    }
    this.#pumping = false;
  }

  /** @returns false: it was the last one, which waits, or the request is over */
  #sendPiece(): boolean {
    let at = this.#memoryFrom;
    let i = 0;
    while (at + this.#pieces[i]!.length <= this.sent) at += this.#pieces[i++]!.length;
    const { buf, length } = this.#pieces[i]!;
    const from = this.sent - at;
    const final = this.ended && i === this.#pieces.length - 1;
    if (final && this.#holdLast) return false;
    this.sent = at + length;
    this.#lastSent = final;
    // The bytes stay: nothing else is put where they stand.
    const result = this.#owner.forward(buf, from, length, final);
    if (final || this.#closed) return false;
    if (result === HELD) this.#held = true;
    this.#dropSent();
    return true;
  }

  #readBack(): void {
    const n = Math.min(READ_SIZE, this.#memoryFrom - this.sent);
    const buf = (this.#readBuffer = spareReads.pop() ?? Buffer.allocUnsafeSlow(READ_SIZE));
    this.#reading = true;
    read(this.#fd, buf, 0, n, this.#base + this.sent - this.#fileFrom, (error, got) => {
      clock.update();
      this.#reading = false;
      if (this.#closed) {
        this.#closeFile();
        return;
      }
      if (error !== null || got === 0) {
        this.#owner.fileFailed(error ?? new Error('temporary file was cut'), true);
        return;
      }
      if (!this.#mute) {
        this.sent += got;
        const final = this.ended && this.sent === this.appended && !this.#holdLast;
        this.#lastSent = final;
        const result = this.#owner.forward(buf, 0, got, final);
        this.#spare();
        if (final || this.#closed) return;
        if (result !== SENT) this.#held = true;
        this.#dropSent();
      } else this.#spare();
      this.#write();
      this.#pump();
      if (!this.#closed) this.#regulate();
    });
  }

  #spare(): void {
    if (this.#readBuffer !== null && spareReads.length < MAX_SPARE) spareReads.push(this.#readBuffer);
    this.#readBuffer = null;
  }

  #closeFile(): void {
    if (this.#fd < 0 || this.#writing || this.#reading) return;
    const fd = this.#fd;
    this.#fd = -1;
    close(fd, ignore);
    this.#spare();
  }
}

function ignore(): void {}
