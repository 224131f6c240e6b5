/**
 * What goes between a worker and its QUIC helper for each stream, over a unix socket: a line that says what it is for, then
 * pieces of bytes, each behind its length. An end and a cut have lengths of their own, so that neither is taken for the
 * other.
 */
import { Buffer } from 'node:buffer';

/** Instead of a length: nothing more will be written. */
export const QUIC_FIN = 0;
/** The stream is cut. */
export const QUIC_RESET = 0xffff_ffff;
/** Nothing more will be read. */
export const QUIC_STOP = 0xffff_fffe;
/** Most bytes of a piece. */
export const QUIC_PIECE_MAX: number = 1024 * 1024;
/** Most bytes of the line. */
export const QUIC_LINE_MAX: number = 64 * 1024;

export interface QuicPieces {
  /** The first line, without its end. */
  onLine(line: string): void;
  /** Bytes of the stream: part of what was fed. */
  onBytes(buf: Buffer): void;
  /** One of the signs above. */
  onSign(sign: number): void;
}

export class QuicFrameReader {
  readonly #to: QuicPieces;
  #line: Buffer | null = Buffer.alloc(0);
  #head = 0;
  #headLength = 0;
  #left = 0;

  constructor(to: QuicPieces) {
    this.#to = to;
  }

  /** @returns false: this is not what a helper says */
  feed(buf: Buffer): boolean {
    let at = 0;
    if (this.#line !== null) {
      at = this.#readLine(buf, this.#line);
      if (at < 0) return this.#line !== null && this.#line.length <= QUIC_LINE_MAX;
    }
    while (at < buf.length) {
      if (this.#left > 0) {
        const end = Math.min(buf.length, at + this.#left);
        this.#left -= end - at;
        this.#to.onBytes(buf.subarray(at, end));
        at = end;
        continue;
      }
      this.#head = this.#head * 256 + buf[at++]!;
      if (++this.#headLength < 4) continue;
      const length = this.#head;
      this.#head = 0;
      this.#headLength = 0;
      if (length === QUIC_FIN || length >= QUIC_STOP) this.#to.onSign(length);
      else if (length > QUIC_PIECE_MAX) return false;
      else this.#left = length;
    }
    return true;
  }

  /** @returns where the line has ended; -1: it has not */
  #readLine(buf: Buffer, before: Buffer): number {
    const end = buf.indexOf(10);
    const line = Buffer.concat([before, end < 0 ? buf : buf.subarray(0, end)]);
    if (end < 0) {
      this.#line = line;
      return -1;
    }
    this.#line = null;
    this.#to.onLine(line.toString('utf8'));
    return end + 1;
  }
}

/** A piece, copied. */
export function quicPiece(bytes: Uint8Array): Buffer {
  const buf = Buffer.allocUnsafe(4 + bytes.length);
  buf.writeUInt32BE(bytes.length, 0);
  buf.set(bytes, 4);
  return buf;
}

export function quicSign(sign: number): Buffer {
  const buf = Buffer.allocUnsafe(4);
  buf.writeUInt32BE(sign, 0);
  return buf;
}
