/** A client that sends HTTP/2 frames as it is told, right or wrong, and notes what comes back. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { Output } from '../../src/net/output.ts';
import * as h2 from '../../src/http/wire/h2/constants.ts';
import {
  FRAME_BEGIN,
  FRAME_MORE,
  FRAME_PIECE,
  FRAME_WHOLE,
  FrameReader,
  readUint32,
} from '../../src/http/wire/h2/frame-reader.ts';
import { writeFrameHead } from '../../src/http/wire/h2/frame-writer.ts';
import { FieldSink, HpackDecoder } from '../../src/http/wire/h2/hpack-decoder.ts';
import { encodeField } from '../../src/http/wire/h2/hpack-encoder.ts';
import { type Scope, until } from './wait.ts';

export interface Frame {
  type: number;
  flags: number;
  id: number;
  payload: Buffer;
  /** Of HEADERS. */
  fields: Record<string, string>;
}

class Fields extends FieldSink {
  fields: Record<string, string> = {};

  onField(start: number, nameEnd: number, valueEnd: number): void {
    this.fields[this.out.latin1Slice(start, nameEnd)] = this.out.latin1Slice(nameEnd + 2, valueEnd);
  }
}

/** Bytes of a frame. */
export function frame(type: number, flags: number, id: number, payload: Buffer | string = ''): Buffer {
  const bytes = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload;
  const o = new Output();
  writeFrameHead(o, bytes.length, type, flags, id);
  return Buffer.concat([o.buf.subarray(0, o.length), bytes]);
}

/** A header block; nothing is added to tables. */
export function block(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  const o = new Output();
  for (const [name, value] of fields) encodeField(o, name, value);
  return Buffer.from(o.buf.subarray(0, o.length));
}

export function uint32(n: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(n);
  return bytes;
}

export const PREFACE: Buffer = Buffer.from(h2.PREFACE, 'latin1');

export class RawHttp2 {
  readonly frames: Frame[] = [];
  closed = false;
  received = 0;
  readonly socket: Socket;
  readonly #reader = new FrameReader();
  readonly #decoder = new HpackDecoder();

  /** @param where a port of 127.0.0.1, or a connection of one's own (TLS) */
  constructor(scope: Scope, where: number | Socket, settings: Buffer = frame(h2.SETTINGS, 0, 0)) {
    this.socket = typeof where === 'number' ? connect(where, '127.0.0.1') : where;
    scope.after(() => this.socket.destroy());
    this.socket.on('data', (data: Buffer) => this.#onData(data));
    this.socket.on('error', () => {});
    this.socket.on('end', () => (this.closed = true));
    this.socket.on('close', () => (this.closed = true));
    this.send(PREFACE, settings);
  }

  send(...parts: Buffer[]): void {
    this.socket.write(Buffer.concat(parts));
  }

  /** Sends a GET of `path`, or what `extra` makes of it. */
  request(id: number, path: string, extra: readonly (readonly [string, string])[] = [], flags = 5): void {
    this.send(this.head(id, path, extra, flags));
  }

  head(
    id: number,
    path: string,
    extra: readonly (readonly [string, string])[] = [],
    flags = 5,
    method = 'GET',
  ): Buffer {
    const fields = [
      [':method', method],
      [':scheme', 'http'],
      [':path', path],
      [':authority', 'localhost'],
      ...extra,
    ] as const;
    return frame(h2.HEADERS, flags, id, block(fields as readonly (readonly [string, string])[]));
  }

  #onData(data: Buffer): void {
    this.received += data.length;
    const reader = this.#reader;
    for (let pos = 0; ;) {
      const event = reader.next(data, pos, data.length);
      pos = reader.pos;
      if (event === FRAME_MORE) return;
      if (event === FRAME_BEGIN) {
        const { type, flags, id } = reader;
        this.frames.push({ type, flags, id, payload: Buffer.alloc(0), fields: {} });
      } else if (event === FRAME_PIECE || event === FRAME_WHOLE) {
        const last = this.frames.at(-1)!;
        const source = event === FRAME_PIECE ? data : reader.bytes;
        last.payload = Buffer.concat([last.payload, source.subarray(reader.start, reader.end)]);
        if (last.type === h2.HEADERS && reader.done) last.fields = this.#decode(last.payload);
      } else throw new Error(reader.message);
    }
  }

  #decode(payload: Buffer): Record<string, string> {
    const sink = new Fields(Buffer.alloc(256));
    this.#decoder.begin(1 << 20, 1 << 20);
    if (this.#decoder.decode(payload, 0, payload.length, true, sink) < 0) throw new Error(this.#decoder.message);
    return sink.fields;
  }

  find(type: number, id: number | null = null): Frame | undefined {
    return this.frames.find((f) => f.type === type && (id === null || f.id === id));
  }

  /** Waits for a frame. */
  frame(type: number, id: number | null = null): Promise<Frame> {
    return until(
      () => `frame ${type} of stream ${id}; came: ${this.frames.map((f) => `${f.type}/${f.id}`).join(' ')}`,
      () => this.find(type, id),
    );
  }

  /** Waits until a stream has ended; its status and body. */
  async answer(id: number): Promise<{ status: number; fields: Record<string, string>; body: Buffer }> {
    await until(
      () => `answer of stream ${id}; came: ${this.frames.map((f) => `${f.type}/${f.id}`).join(' ')}`,
      () => this.frames.some((f) => f.id === id && f.type <= h2.HEADERS && (f.flags & h2.FLAG_END_STREAM) !== 0),
    );
    const { fields } = this.find(h2.HEADERS, id)!;
    const body = Buffer.concat(this.frames.filter((f) => f.id === id && f.type === h2.DATA).map((f) => f.payload));
    return { status: Number(fields[':status']), fields, body };
  }

  /** Waits for GOAWAY and the end of the connection; the error that was told. */
  async refused(): Promise<number> {
    const goaway = await this.frame(h2.GOAWAY);
    await until('the end of the connection', () => this.closed);
    return readUint32(goaway.payload, 4);
  }
}
