/**
 * The sending half of a logical stream: what was written and is not acknowledged, cut into frames, and which connection
 * each frame went out on. What went out on a connection that is lost goes out again on others.
 */
import { Buffer } from 'node:buffer';
import {
  DATA,
  DATA_HEADER,
  FIRST_CREDIT,
  FRAME_HEADER,
  FRAME_UNIT,
  PAYLOAD_MAX,
  writeHead,
  writeOffset,
} from './wire.ts';

/** A connection as far as sending goes. */
export interface Channel {
  /** It takes more. */
  writable: boolean;
  /** Frames, and bytes of payload, that went out on it and are not acknowledged. */
  frames: number;
  bytes: number;
  /** Sends bytes, which are free afterwards; sets `writable`. */
  send(buf: Buffer, start: number, end: number): void;
}

/** Frames that were acknowledged leave their memory for others: to get it from the system costs more than to fill it. */
class ChunkPool {
  readonly #free: Buffer[] = [];
  readonly #size: number;
  readonly #most: number;

  constructor(payload: number, most: number) {
    this.#size = DATA_HEADER + payload;
    this.#most = most;
  }

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#size);
  }

  give(buf: Buffer): void {
    if (buf.length === this.#size && this.#free.length < this.#most) this.#free.push(buf);
  }
}

const SMALL = 4096;
/** One of each size a thread. A chunk that does not fill its memory wastes three quarters of it at most. */
const middlePool = new ChunkPool(FRAME_UNIT, 64);
const largePool = new ChunkPool(PAYLOAD_MAX, 64);

function chunkMemory(payload: number): Buffer {
  if (payload <= SMALL) return Buffer.allocUnsafe(DATA_HEADER + payload);
  return payload <= FRAME_UNIT ? middlePool.take() : largePool.take();
}

function giveBack(buf: Buffer): void {
  middlePool.give(buf);
  largePool.give(buf);
}

interface Chunk {
  offset: number;
  length: number;
  /** Room for the frame's header, then the payload; may have room for more of it. */
  buf: Buffer;
  /** What it went out on last; null: it waits. */
  channel: Channel | null;
  acked: boolean;
}

/** Why nothing more goes out. */
export type Blocked = 'nothing' | 'limit' | 'channels';

export class SendQueue {
  /** The offset behind what was written. */
  end = 0;
  /** All before it is acknowledged. */
  acked = 0;
  /** What the other side takes. */
  limit: number = FIRST_CREDIT;
  /** Frames that may be unacknowledged on one connection, and so many times FRAME_UNIT bytes. */
  channelSize: number;
  /** Bytes that have never gone out. */
  unsent = 0;
  /** Ascending by offset; those before `#first` are gone. */
  #sent: Chunk[] = [];
  #first = 0;
  /** Of those sent: lost, to go out again, ascending. */
  #again: Chunk[] = [];
  #fresh: Chunk[] = [];

  constructor(channelSize: number) {
    this.channelSize = channelSize;
  }

  /** Takes a copy. */
  write(buf: Buffer, start: number, end: number): void {
    let at = start;
    this.unsent += end - start;
    const tail = this.#fresh.at(-1);
    if (tail !== undefined) {
      const n = Math.min(end - at, tail.buf.length - DATA_HEADER - tail.length);
      buf.copy(tail.buf, DATA_HEADER + tail.length, at, at + n);
      tail.length += n;
      this.end += n;
      at += n;
    }
    while (at < end) {
      const n = Math.min(end - at, PAYLOAD_MAX);
      // Where something waits, small writes that follow share its frame.
      const room = this.#fresh.length > 0 ? PAYLOAD_MAX : n;
      const chunk = {
        offset: this.end,
        length: n,
        buf: chunkMemory(room),
        channel: null,
        acked: false,
      };
      buf.copy(chunk.buf, DATA_HEADER, at, at + n);
      this.#fresh.push(chunk);
      this.end += n;
      at += n;
    }
  }

  /** Sends what may be sent. @returns what stands in the way of more */
  pump(channels: readonly Channel[]): Blocked {
    for (;;) {
      while (this.#again.length > 0 && this.#again[0]!.acked) this.#again.shift();
      const again = this.#again[0];
      const chunk = again ?? this.#fresh[0];
      if (chunk === undefined) return 'nothing';
      // What was lost stands in the way of all acknowledgements: it goes out however much waits for those.
      const channel = this.#pick(channels, again === undefined ? this.channelSize : Infinity);
      if (channel === null) return 'channels';
      if (again === undefined && chunk.offset + chunk.length > this.limit) return 'limit';
      if (again !== undefined) this.#again.shift();
      else {
        this.#fresh.shift();
        this.#sent.push(chunk);
        this.unsent -= chunk.length;
      }
      this.#send(chunk, channel);
    }
  }

  #pick(channels: readonly Channel[], most: number): Channel | null {
    let best: Channel | null = null;
    for (const channel of channels) {
      if (!channel.writable || channel.frames >= most || channel.bytes >= most * FRAME_UNIT) continue;
      if (best === null || channel.bytes < best.bytes) best = channel;
    }
    return best;
  }

  #send(chunk: Chunk, channel: Channel): void {
    chunk.channel = channel;
    channel.frames++;
    channel.bytes += chunk.length;
    writeHead(chunk.buf, 0, DATA, DATA_HEADER - FRAME_HEADER + chunk.length);
    writeOffset(chunk.buf, FRAME_HEADER, chunk.offset);
    channel.send(chunk.buf, 0, DATA_HEADER + chunk.length);
  }

  /** The other side has all before `offset`, which is not past `sentEnd`. */
  ack(offset: number): void {
    if (offset <= this.acked) return;
    this.acked = offset;
    const sent = this.#sent;
    while (this.#first < sent.length) {
      const chunk = sent[this.#first]!;
      if (chunk.offset + chunk.length > offset) break;
      this.#first++;
      chunk.acked = true;
      giveBack(chunk.buf);
      if (chunk.channel === null) continue;
      chunk.channel.frames--;
      chunk.channel.bytes -= chunk.length;
    }
    if (this.#first === sent.length || this.#first > 1024) {
      sent.splice(0, this.#first);
      this.#first = 0;
    }
  }

  /** The offset behind what has gone out. */
  get sentEnd(): number {
    return this.end - this.unsent;
  }

  /** A connection is gone: what went out on it and is not acknowledged waits again. */
  lose(channel: Channel): void {
    let found = false;
    for (let i = this.#first; i < this.#sent.length; i++) {
      const chunk = this.#sent[i]!;
      if (chunk.channel !== channel) continue;
      chunk.channel = null;
      this.#again.push(chunk);
      found = true;
    }
    channel.frames = 0;
    channel.bytes = 0;
    if (found) this.#again.sort((a, b) => a.offset - b.offset);
  }

  /** Nothing of it will be sent any more. */
  clear(): void {
    this.#sent = [];
    this.#first = 0;
    this.#again = [];
    this.#fresh = [];
    this.unsent = 0;
  }
}
