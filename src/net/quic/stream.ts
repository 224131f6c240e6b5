/** A stream of QUIC as a socket: its bytes go through the helper. */
import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { PipeSocket } from '../pipe.ts';
import type { PipeAddresses } from '../pipe.ts';
import { QUIC_FIN, QUIC_PIECE_MAX, QUIC_RESET, QUIC_STOP, QuicFrameReader, quicPiece, quicSign } from './frames.ts';

export class QuicSocket extends PipeSocket {
  /** What TLS agreed on. */
  readonly alpn: string;
  /** The name that the client asked for; empty: none, or this is the client's side. */
  readonly serverName: string;
  readonly #socket: Socket;
  #sentEnd = false;
  #seenEnd = false;

  constructor(socket: Socket, addresses: PipeAddresses, alpn: string, serverName: string) {
    super(addresses);
    this.alpn = alpn;
    this.serverName = serverName;
    this.#socket = socket;
    socket.on('close', () => this.#lost());
  }

  /** Bytes that have come. */
  onBytes(buf: Buffer): void {
    if (!this.destroyed && !this.push(buf)) this.#socket.pause();
  }

  onSign(sign: number): void {
    if (sign === QUIC_FIN) {
      this.#seenEnd = true;
      this.push(null);
    } else if (sign === QUIC_RESET) {
      this.#seenEnd = true;
      this.destroy(quicError('the other side reset the stream'));
    } else if (!this.writableFinished) this.destroy(quicError('the other side reads no more'));
  }

  onHelperEnd(): void {
    if (!this.#seenEnd) this.#lost();
  }

  /** The helper has closed, or has ended itself. */
  #lost(): void {
    if (this.#seenEnd && this.#sentEnd) this.destroy();
    else this.destroy(quicError('the connection is lost'));
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    // Whoever writes nothing wants to know when what stands before it is taken.
    let taken = chunk.length > 0 || !this.#socket.writableNeedDrain;
    for (let at = 0; at < chunk.length; at += QUIC_PIECE_MAX) {
      taken = this.#socket.write(quicPiece(chunk.subarray(at, at + QUIC_PIECE_MAX)));
    }
    if (taken) done();
    else this.#socket.once('drain', done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#sentEnd = true;
    this.#socket.write(quicSign(QUIC_FIN), done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const socket = this.#socket;
    if (!socket.destroyed) {
      if (this.cut || error !== null) socket.write(quicSign(QUIC_RESET));
      else {
        if (!this.#sentEnd) socket.write(quicSign(QUIC_FIN));
        if (!this.#seenEnd) socket.write(quicSign(QUIC_STOP));
      }
      this.#sentEnd = this.#seenEnd = true;
      // What still comes is for nobody.
      socket.end();
      socket.resume();
    }
    done(error);
  }
}

function quicError(text: string): Error {
  return new Error(`QUIC: ${text}`);
}

/** Reads a stream's line, and gives what follows to the stream that is made of it. @returns nothing while there is none */
export function readQuicStream(socket: Socket, onLine: (line: string) => QuicSocket | null): void {
  let stream: QuicSocket | null = null;
  const reader = new QuicFrameReader({
    onLine(line) {
      stream = onLine(line);
      if (stream === null) socket.destroy();
    },
    onBytes: (buf) => stream?.onBytes(buf),
    onSign: (sign) => stream?.onSign(sign),
  });
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    if (!reader.feed(chunk)) socket.destroy();
  });
  // The helper writes no more; it may go on to read.
  socket.on('end', () => {
    if (stream === null) socket.destroy();
    else stream.onHelperEnd();
  });
}
