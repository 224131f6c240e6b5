/** Sends a file, or ranges of it, in pieces: no more is read than the client takes. */
import { closeSync, readSync } from 'node:fs';
import { Buffer } from 'node:buffer';
import type { MultipartSegment } from '../filters/ranges.ts';
import type { BodyProducer, HttpRequest } from '../request.ts';
import { HELD } from '../request.ts';
import { logRequest } from '../request-log.ts';
import { failedText } from '../../observe/errno.ts';

/** Bytes that are read and sent at once. */
const PIECE = 128 * 1024;

/** One for all requests of the thread: what is sent is copied where the client is slow. */
let shared: Buffer | null = null;

/** Bytes that one request may send before others have their turn, however fast its client takes them. */
const TURN_BYTES = 2 * 1024 * 1024;

/** The answer could not be completed. */
const FAILED = -1;

/**
 * Sends the head that stands in `r` and the segments of a file as its body.
 *
 * @param path for messages
 * @param done called once when all was read, or the client is gone; as a rule it closes the file
 */
export function sendFile(
  r: HttpRequest,
  fd: number,
  segments: readonly MultipartSegment[],
  path: string,
  done: (fd: number) => void = closeSync,
): void {
  if (r.headerOnly || r.contentLength === 0) {
    done(fd);
    r.sendHead(null, 0, 0, true);
    return;
  }
  new FileProducer(r, fd, segments, path, done).start();
}

class FileProducer implements BodyProducer {
  readonly #segments: readonly MultipartSegment[];
  readonly #path: string;
  readonly #finished: (fd: number) => void;
  #r: HttpRequest | null;
  #fd: number;
  /** The present segment, and how much of it was read. */
  #segment = 0;
  #offset = 0;

  constructor(
    r: HttpRequest,
    fd: number,
    segments: readonly MultipartSegment[],
    path: string,
    finished: (fd: number) => void,
  ) {
    this.#finished = finished;
    this.#r = r;
    this.#fd = fd;
    this.#segments = segments;
    this.#path = path;
  }

  start(): void {
    const r = this.#r!;
    r.producer = this;
    const n = this.#fill();
    if (n === FAILED) {
      // Nothing was sent: the client sees the connection end before the head, as with nginx.
      this.#abort(r);
      return;
    }
    const last = this.#atEnd();
    if (last) this.#done();
    const result = r.sendHead(shared, 0, n, last);
    if (!last && this.#r !== null && result !== HELD) this.#pump(r, n);
  }

  /** Sends pieces until the client has enough for now. @param sent bytes of this turn so far */
  #pump(r: HttpRequest, sent: number): void {
    while (sent < TURN_BYTES) {
      const n = this.#fill();
      if (n === FAILED) {
        this.#abort(r);
        return;
      }
      const last = this.#atEnd();
      if (last) this.#done();
      const result = r.sendBody(shared, 0, n, last);
      // Sending may have met the end of the connection.
      if (last || result === HELD || this.#r === null) return;
      sent += n;
    }
    setImmediate(() => {
      if (this.#r !== null) this.#pump(this.#r, 0);
    });
  }

  /** Fills the buffer from the segments. @returns the number of bytes, or `FAILED` */
  #fill(): number {
    const buf = (shared ??= Buffer.allocUnsafeSlow(PIECE));
    let n = 0;
    while (n < PIECE && !this.#atEnd()) {
      const segment = this.#segments[this.#segment]!;
      if ('start' in segment) {
        const from = segment.start + this.#offset;
        const want = Math.min(PIECE - n, segment.end - from);
        const read = this.#read(buf, n, want, from);
        if (read <= 0) return FAILED;
        n += read;
        this.#offset += read;
        if (segment.start + this.#offset < segment.end) continue;
      } else {
        const copied = segment.copy(buf, n, this.#offset);
        n += copied;
        this.#offset += copied;
        if (this.#offset < segment.length) continue;
      }
      this.#segment++;
      this.#offset = 0;
    }
    return n;
  }

  #read(buf: Buffer, at: number, want: number, from: number): number {
    try {
      const n = readSync(this.#fd, buf, at, want, from);
      if (n === 0) {
        logRequest(this.#r!, 'alert', `"${this.#path}" was truncated while it was sent`);
      }
      return n;
    } catch (error) {
      logRequest(this.#r!, 'alert', failedText(`read() "${this.#path}"`, error));
      return FAILED;
    }
  }

  #atEnd(): boolean {
    return this.#segment >= this.#segments.length;
  }

  /** All was read: when it is sent the request may be over, and be another's. */
  #done(): void {
    this.#closeFile();
    this.#r = null;
  }

  onDrain(r: HttpRequest): void {
    if (this.#r !== null) this.#pump(r, 0);
  }

  onAbort(): void {
    this.#done();
  }

  /** The announced length cannot be kept: the client must see that the answer is cut. */
  #abort(r: HttpRequest): void {
    this.onAbort();
    r.producer = null;
    r.channel.abort(r);
  }

  #closeFile(): void {
    if (this.#fd < 0) return;
    this.#finished(this.#fd);
    this.#fd = -1;
  }
}
