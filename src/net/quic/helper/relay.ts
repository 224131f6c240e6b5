/** One stream in the helper: between a unix socket, where pieces have their lengths (../frames.ts), and QUIC. */
import type { DenoConn, DenoQuicStream } from './deno.ts';

const FIN = 0;
const RESET = 0xffff_ffff;
const STOP = 0xffff_fffe;
const PIECE_MAX = 1024 * 1024;
const LINE_MAX = 64 * 1024;
const READ_SIZE = 64 * 1024;

export async function writeAll(conn: DenoConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

export function lineOf(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value)}\n`);
}

/** Reads from a unix socket: a line, then numbers and bytes. */
export class ConnReader {
  readonly #conn: DenoConn;
  readonly #buf = new Uint8Array(READ_SIZE);
  #start = 0;
  #end = 0;

  constructor(conn: DenoConn) {
    this.#conn = conn;
  }

  /** @returns false: nothing more comes */
  async #fill(): Promise<boolean> {
    this.#start = this.#end = 0;
    const n = await this.#conn.read(this.#buf);
    if (n === null || n === 0) return false;
    this.#end = n;
    return true;
  }

  /** Null: the other end is gone. */
  async line(): Promise<string | null> {
    const bytes: number[] = [];
    for (;;) {
      if (this.#start === this.#end && !(await this.#fill())) return null;
      const byte = this.#buf[this.#start++]!;
      if (byte === 10) return new TextDecoder().decode(new Uint8Array(bytes));
      if (bytes.push(byte) > LINE_MAX) return null;
    }
  }

  /** A length, or a sign; -1: the other end is gone. */
  async head(): Promise<number> {
    let value = 0;
    for (let i = 0; i < 4; i++) {
      if (this.#start === this.#end && !(await this.#fill())) return -1;
      value = value * 256 + this.#buf[this.#start++]!;
    }
    return value;
  }

  /** Up to `most` bytes, of their own memory; null: the other end is gone. */
  async bytes(most: number): Promise<Uint8Array | null> {
    if (this.#start === this.#end && !(await this.#fill())) return null;
    const end = Math.min(this.#end, this.#start + most);
    const piece = this.#buf.slice(this.#start, end);
    this.#start = end;
    return piece;
  }
}

function sign(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/**
 * Carries bytes both ways, as fast as whoever takes them, until both sides have ended or one has cut.
 *
 * @param cut shows the other side of QUIC that the stream is cut. Deno has no reset of a stream: to abort its writing
 *   half looks like an end, which a cut must never do. So writing is left open, and the connection says it.
 */
export async function relay(
  conn: DenoConn,
  reader: ConnReader,
  stream: DenoQuicStream,
  cut: () => void,
): Promise<void> {
  const down = stream.readable.getReader();
  const up = stream.writable.getWriter();
  // Whoever waits for these is told by what fails then.
  up.closed.catch(() => {});
  down.closed.catch(() => {});
  let isCut = false;
  const cutOff = (): void => {
    isCut = true;
    cut();
    down.cancel().catch(() => {});
  };

  const upward = async (): Promise<void> => {
    for (;;) {
      const head = await reader.head();
      if (head === FIN) await up.close();
      else if (head === STOP) down.cancel().catch(() => {});
      else if (head > 0 && head <= PIECE_MAX) {
        for (let left = head; left > 0;) {
          const piece = await reader.bytes(left);
          if (piece === null) {
            cutOff();
            return;
          }
          left -= piece.length;
          await up.write(piece);
        }
      } else {
        // A reset, or the worker's end: after an end of its own that is all there is to say.
        if (head >= 0 || !ended) cutOff();
        return;
      }
      if (head === FIN) ended = true;
    }
  };
  let ended = false;

  const downward = async (): Promise<void> => {
    try {
      for (;;) {
        const { value, done } = await down.read();
        if (done) break;
        for (let at = 0; at < value.length; at += PIECE_MAX) {
          const piece = value.subarray(at, at + PIECE_MAX);
          const framed = new Uint8Array(4 + piece.length);
          new DataView(framed.buffer).setUint32(0, piece.length);
          framed.set(piece, 4);
          await writeAll(conn, framed);
        }
      }
      await writeAll(conn, sign(isCut ? RESET : FIN));
    } catch {
      await writeAll(conn, sign(RESET)).catch(() => {});
      cutOff();
    }
  };

  const upwards = upward().catch(async () => {
    // The other side of QUIC takes no more.
    await writeAll(conn, sign(STOP)).catch(() => {});
    cutOff();
  });
  await downward();
  await conn.closeWrite().catch(() => {});
  await upwards;
  conn.close();
}
