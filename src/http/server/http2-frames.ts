/**
 * What a client's frames say (RFC 9113 section 6): each is checked, and its meaning goes to the connection or to the
 * stream that it is for.
 */
import { Buffer } from 'node:buffer';
import { BlockReader } from '../wire/h2/block-reader.ts';
import * as h2 from '../wire/h2/constants.ts';
import { frameFault } from '../wire/h2/frame-check.ts';
import { FRAME_BAD, FRAME_BEGIN, FRAME_MORE, FRAME_PIECE, FrameReader } from '../wire/h2/frame-reader.ts';
import { readUint31, readUint32 } from '../wire/h2/frame-reader.ts';
import { HpackDecoder } from '../wire/h2/hpack-decoder.ts';
import type { Http2Connection } from './http2-connection.ts';
import { PriorityTree } from './http2-priority.ts';
import { RequestAssembler } from './http2-request.ts';
import type { Http2Stream } from './http2-stream.ts';

const PREFACE = Buffer.from(h2.PREFACE, 'latin1');
/** Where lines go that nobody keeps. */
const scratch = Buffer.allocUnsafeSlow(4096);

export class Http2Frames {
  readonly #connection: Http2Connection;
  readonly #reader = new FrameReader();
  readonly #decoder = new HpackDecoder();
  readonly #block = new BlockReader(this.#decoder);
  readonly #assembler: RequestAssembler;
  /** null: the client has asked for no order. */
  priorities: PriorityTree | null = null;
  #prefaceLeft = PREFACE.length;
  #recvWindow: number = h2.MAX_WINDOW;
  #settingsAcked = false;
  /** The latest stream that the client opened. */
  lastId = 0;
  /** Stream whose header block goes on in CONTINUATION; 0: none. */
  blockId = 0;
  /** null: nobody wants it. */
  blockStream: Http2Stream | null = null;
  #blockBytes = 0;
  /** The block is the end of this stream's request. */
  #trailers: Http2Stream | null = null;
  /** DATA of this stream is being read; null: it is thrown away. */
  #dataStream: Http2Stream | null = null;
  #dataEnds = false;
  /** Opened by what is being read. */
  #newStreams = 0;

  constructor(connection: Http2Connection) {
    this.#connection = connection;
    this.#assembler = new RequestAssembler(this.#limits());
  }

  /** A frame has begun and not ended. */
  get partial(): boolean {
    return this.#reader.partial;
  }

  /** Nothing that still comes is for this stream. */
  forget(stream: Http2Stream): void {
    this.priorities?.closed(stream.id);
    if (this.#dataStream === stream) this.#dataStream = null;
    if (this.blockStream === stream) {
      this.blockStream = null;
      this.#assembler.begin(null, scratch, this.#limits());
    }
    if (this.#trailers === stream) this.#trailers = null;
  }

  /** What one read brought. */
  consume(src: Buffer, pos: number, end: number): void {
    this.#newStreams = 0;
    if (this.#prefaceLeft > 0) {
      for (; pos < end && this.#prefaceLeft > 0; pos++, this.#prefaceLeft--) {
        if (src[pos] === PREFACE[PREFACE.length - this.#prefaceLeft]) continue;
        this.#connection.fail(h2.PROTOCOL_ERROR, 'invalid connection preface');
        return;
      }
    }
    const reader = this.#reader;
    while (!this.#connection.finished) {
      const event = reader.next(src, pos, end);
      pos = reader.pos;
      if (event === FRAME_MORE) return;
      if (event === FRAME_BAD) this.#connection.fail(reader.error, `client sent ${reader.message}`);
      else if (event === FRAME_BEGIN) this.#begin(reader);
      else if (event === FRAME_PIECE) {
        if (reader.type === h2.DATA) this.#data(src, reader);
        else this.#headers(src, reader);
      } else this.#whole(reader);
      this.#connection.complete();
    }
  }

  /** Checks a frame's head. */
  #begin(reader: FrameReader): void {
    const { type, id } = reader;
    if (this.blockId !== 0) {
      if (type !== h2.CONTINUATION) {
        this.#connection.fail(h2.PROTOCOL_ERROR, 'client sent inappropriate frame while CONTINUATION was expected');
      } else if (id !== this.blockId) {
        this.#connection.fail(h2.PROTOCOL_ERROR, 'client sent CONTINUATION frame with incorrect identifier');
      } else {
        this.#blockBytes += reader.length;
        if (reader.length === 0) this.#connection.stop(this.#connection.guard.idle());
      }
      return;
    }
    const fault = frameFault(reader);
    if (fault !== null) {
      this.#connection.fail(fault.error, `client sent ${fault.message}`);
      return;
    }
    switch (type) {
      case h2.DATA:
        this.#beginData(reader);
        return;
      case h2.HEADERS:
        this.#beginHeaders(reader);
        return;
      case h2.PRIORITY:
        this.#connection.stop(this.#connection.guard.priority());
        return;
      case h2.RST_STREAM:
      case h2.WINDOW_UPDATE:
        return;
      case h2.PUSH_PROMISE:
      case h2.CONTINUATION:
        this.#connection.fail(h2.PROTOCOL_ERROR, 'client sent unexpected PUSH_PROMISE or CONTINUATION frame');
        return;
      default:
        this.#connection.stop(this.#connection.guard.idle());
    }
  }

  /** The payload of a short frame has come. */
  #whole(reader: FrameReader): void {
    const { bytes, start, id } = reader;
    switch (reader.type) {
      case h2.PRIORITY:
        this.#priority(id, readUint31(bytes, start), bytes[start]! >= 0x80, bytes[start + 4]! + 1);
        return;
      case h2.RST_STREAM:
        this.#onReset(id, readUint32(bytes, start));
        return;
      case h2.SETTINGS:
        this.#onSettings(reader);
        return;
      case h2.PING:
        if ((reader.flags & h2.FLAG_ACK) === 0) this.#connection.link.pong(bytes, start);
        return;
      case h2.WINDOW_UPDATE:
        this.#onWindow(reader, readUint31(bytes, start));
    }
  }

  // ------------------------------------------------------------------------------------ DATA

  #beginData(reader: FrameReader): void {
    const { id, frameLength } = reader;
    if (frameLength > this.#recvWindow) {
      this.#connection.fail(h2.FLOW_CONTROL_ERROR, 'client violated connection flow control');
      return;
    }
    this.#recvWindow -= frameLength;
    if (this.#recvWindow < h2.MAX_WINDOW / 4) {
      this.#connection.link.windowUpdate(0, h2.MAX_WINDOW - this.#recvWindow);
      this.#recvWindow = h2.MAX_WINDOW;
    }
    this.#dataEnds = (reader.flags & h2.FLAG_END_STREAM) !== 0;
    if (reader.length === 0 && !this.#dataEnds) this.#connection.stop(this.#connection.guard.idle());
    const stream = (this.#dataStream = this.#connection.streams.get(id) ?? null);
    if (stream === null) {
      if (id > this.lastId)
        this.#connection.fail(h2.PROTOCOL_ERROR, 'client sent DATA frame for a stream that is not open');
      return;
    }
    if (frameLength > stream.recvWindow) {
      this.#dataStream = null;
      this.#connection.stop(this.#connection.guard.reset());
      stream.gone(`client violated flow control for stream ${id}`, h2.FLOW_CONTROL_ERROR);
      return;
    }
    stream.recvWindow -= frameLength;
    if (stream.inClosed) {
      this.#dataStream = null;
      this.#connection.stop(this.#connection.guard.reset());
      stream.gone(`client sent DATA frame for half-closed stream ${id}`, h2.STREAM_CLOSED);
    }
  }

  #data(src: Buffer, reader: FrameReader): void {
    const stream = this.#dataStream;
    if (stream === null || stream.id !== reader.id) return;
    this.#connection.guard.payload += reader.end - reader.start;
    stream.body.take(src, reader.start, reader.end, reader.done && this.#dataEnds);
  }

  // ------------------------------------------------------------------------------------ HEADERS

  #beginHeaders(reader: FrameReader): void {
    const { id, flags } = reader;
    if (reader.length === 0) {
      this.#connection.fail(h2.FRAME_SIZE_ERROR, 'client sent HEADERS frame with empty header block');
      return;
    }
    if (this.#connection.goaway) {
      // The table is of no use any more: nothing will be opened here.
      reader.skip();
      if ((flags & h2.FLAG_END_HEADERS) === 0) this.#connection.fail(h2.NO_ERROR, 'client sent a stream after GOAWAY');
      return;
    }
    const trailing = this.#connection.streams.get(id);
    if (trailing !== undefined && !trailing.inClosed) {
      this.#beginTrailers(reader, trailing);
      return;
    }
    if (id % 2 === 0 || id <= this.lastId) {
      const last = `the last was ${this.lastId}`;
      this.#connection.fail(h2.PROTOCOL_ERROR, `client sent HEADERS frame with incorrect identifier ${id}, ${last}`);
      return;
    }
    if (reader.dependency === id) {
      this.#connection.fail(h2.PROTOCOL_ERROR, `client sent HEADERS frame for stream ${id} with incorrect dependency`);
      return;
    }
    this.lastId = id;
    this.blockId = id;
    this.#blockBytes = reader.length;
    const { largeClientHeaderBuffers: buffers } = this.#connection.listen.defaultServer.config;
    this.#decoder.begin(buffers.count * buffers.size, buffers.size);
    this.#block.begin();
    const refusal = this.#mayOpen(reader);
    if (refusal !== null) {
      this.#refuse(refusal);
      return;
    }
    this.#open(reader);
  }

  /** Trailers of a request: nothing looks at them, but the table must know of them (RFC 9113 section 8.1). */
  #beginTrailers(reader: FrameReader, stream: Http2Stream): void {
    const { largeClientHeaderBuffers: buffers } = this.#connection.listen.defaultServer.config;
    if ((reader.flags & h2.FLAG_END_STREAM) === 0) {
      this.#connection.fail(h2.PROTOCOL_ERROR, `client sent trailers that do not end stream ${reader.id}`);
      return;
    }
    this.#decoder.begin(buffers.count * buffers.size, buffers.size);
    this.#block.begin();
    this.blockId = reader.id;
    this.#blockBytes = reader.length;
    this.blockStream = null;
    this.#trailers = stream;
    this.#assembler.begin(null, scratch, this.#limits());
  }

  #mayOpen(reader: FrameReader): string | null {
    const { maxConcurrentStreams, bodyPrereadSize } = this.#connection.settings;
    if (this.#connection.streams.size >= maxConcurrentStreams)
      return `concurrent streams exceeded ${this.#connection.streams.size}`;
    if (this.#newStreams++ >= 2 * maxConcurrentStreams) return 'client sent too many streams at once';
    const body = (reader.flags & h2.FLAG_END_STREAM) === 0;
    return !this.#settingsAcked && body && bodyPrereadSize < h2.DEFAULT_WINDOW
      ? 'client sent stream with data before settings were acknowledged'
      : null;
  }

  #refuse(why: string): void {
    this.#connection.listen.log('info', why, this.#connection.peer.text);
    this.blockStream = null;
    this.#assembler.begin(null, scratch, this.#limits());
    const fault = this.#connection.guard.refused();
    if (fault !== null) {
      this.#connection.stop(fault);
      return;
    }
    this.#connection.link.reset(this.blockId, h2.REFUSED_STREAM);
  }

  #open(reader: FrameReader): void {
    const connection = this.#connection;
    const stream = connection.open(reader.id, (reader.flags & h2.FLAG_END_STREAM) !== 0);
    this.blockStream = stream;
    this.#assembler.begin(stream.head, stream.buf, this.#limits());
    if (reader.dependency >= 0) this.#priority(reader.id, reader.dependency, reader.exclusive, reader.weight);
    connection.goawayWhenDue();
  }

  #headers(src: Buffer, reader: FrameReader): void {
    const ends = (reader.flags & h2.FLAG_END_HEADERS) !== 0;
    if (!this.#block.feed(src, reader.start, reader.end, reader.done && ends, this.#assembler)) {
      this.#connection.fail(this.#decoder.error, `client sent ${this.#decoder.message}`);
      return;
    }
    if (this.blockStream === null) this.#assembler.end = 0;
    if (!reader.done || !ends) return;
    this.blockId = 0;
    const stream = this.blockStream;
    this.blockStream = null;
    if (stream !== null) {
      this.#assembler.finish();
      this.#connection.guard.payload += this.#blockBytes;
      stream.begin(this.#assembler.refusal, this.#blockBytes);
    } else if (this.#trailers !== null) {
      const ended = this.#trailers;
      this.#trailers = null;
      if (ended.id === reader.id) ended.body.take(src, reader.end, reader.end, true);
    }
  }

  // ------------------------------------------------------------------------------------ other frames

  #priority(id: number, dependency: number, exclusive: boolean, weight: number): void {
    if (dependency === id) {
      this.#connection.fail(h2.PROTOCOL_ERROR, `client sent PRIORITY frame for stream ${id} with incorrect dependency`);
    } else {
      const tree = (this.priorities ??= new PriorityTree());
      tree.set(id, dependency, exclusive, weight);
      if (!this.#connection.streams.has(id)) tree.closed(id);
    }
  }

  #onReset(id: number, error: number): void {
    const stream = this.#connection.streams.get(id);
    if (stream === undefined) {
      this.#connection.stop(this.#connection.guard.idle());
      return;
    }
    this.#connection.stop(this.#connection.guard.reset());
    stream.gone(
      error === h2.CANCEL ? `client canceled stream ${id}` : `client terminated stream ${id} with status ${error}`,
    );
  }

  #onSettings(reader: FrameReader): void {
    if (reader.flags === h2.FLAG_ACK) {
      this.#settingsAcked = true;
      return;
    }
    const { settings } = this.#connection.link;
    const before = settings.initialWindow;
    const fault = settings.apply(reader.bytes, reader.start, reader.end);
    if (fault !== null) {
      this.#connection.fail(fault.error, `client sent ${fault.message}`);
      return;
    }
    this.#connection.link.acknowledge();
    const delta = settings.initialWindow - before;
    if (delta === 0) return;
    for (const stream of this.#connection.streams.values()) {
      stream.sendWindow += delta;
      if (stream.sendWindow <= h2.MAX_WINDOW) continue;
      this.#connection.stop(this.#connection.guard.reset());
      stream.gone(`client violated flow control for stream ${stream.id}`, h2.FLOW_CONTROL_ERROR);
    }
    if (delta > 0) this.#connection.link.pump(this.priorities);
  }

  #onWindow(reader: FrameReader, increment: number): void {
    const { id } = reader;
    if (increment === 0) {
      this.#connection.fail(h2.PROTOCOL_ERROR, 'client sent WINDOW_UPDATE frame with incorrect window increment 0');
      return;
    }
    if (id === 0) {
      if (increment > h2.MAX_WINDOW - this.#connection.link.sendWindow) {
        this.#connection.fail(
          h2.FLOW_CONTROL_ERROR,
          'client violated connection flow control: WINDOW_UPDATE is too large',
        );
        return;
      }
      this.#connection.link.sendWindow += increment;
      this.#connection.link.pump(this.priorities);
      return;
    }
    const stream = this.#connection.streams.get(id);
    if (stream === undefined) {
      this.#connection.stop(this.#connection.guard.idle());
      return;
    }
    if (increment > h2.MAX_WINDOW - stream.sendWindow) {
      this.#connection.stop(this.#connection.guard.reset());
      stream.gone(`client violated flow control for stream ${id}: WINDOW_UPDATE is too large`, h2.FLOW_CONTROL_ERROR);
      return;
    }
    stream.sendWindow += increment;
    if (stream.waiting) this.#connection.link.pump(this.priorities);
  }

  #limits(): { maxFields: number; ignoreInvalid: boolean; underscores: boolean } {
    const { maxHeaders, ignoreInvalidHeaders, underscoresInHeaders } = this.#connection.listen.defaultServer.config;
    return {
      maxFields: maxHeaders > 0 ? maxHeaders : 1000,
      ignoreInvalid: ignoreInvalidHeaders,
      underscores: underscoresInHeaders,
    };
  }
}
