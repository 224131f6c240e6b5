/**
 * A connection to a server that speaks HTTP/2 (RFC 9113), used as nginx does: one stream at a time, the next one on the
 * same connection when the one before is over. So what one answer's client cannot take is held back by TCP, as with
 * HTTP/1, and no window has to be kept small for it.
 */
import { Buffer } from 'node:buffer';
import { Output, output } from '../../../net/output.ts';
import { SENT } from '../../../net/transport.ts';
import { plainNumber } from '../../server/framing.ts';
import { HeaderBlock } from '../../wire/header-block.ts';
import { H } from '../../wire/known.ts';
import { BlockReader } from '../../wire/h2/block-reader.ts';
import * as h2 from '../../wire/h2/constants.ts';
import { frameFault } from '../../wire/h2/frame-check.ts';
import { FRAME_BAD, FRAME_BEGIN, FRAME_MORE, FRAME_PIECE, FrameReader } from '../../wire/h2/frame-reader.ts';
import { frameName, readUint31, readUint32 } from '../../wire/h2/frame-reader.ts';
import {
  beginHeaders,
  endHeaders,
  writePingAck,
  writeReset,
  writeSettings,
  writeSettingsAck,
  writeWindowUpdate,
} from '../../wire/h2/frame-writer.ts';
import { HpackDecoder } from '../../wire/h2/hpack-decoder.ts';
import { IDLE, TransportChannel } from '../transport-channel.ts';
import type { OutgoingRequest } from '../upstream-channel.ts';
import { NO_BODY } from '../upstream-channel.ts';
import { AnswerAssembler } from './answer-head.ts';
import { OutgoingBody } from './outgoing-body.ts';
import { ReceiveWindows } from './receive-windows.ts';

const PREFACE = Buffer.from(h2.PREFACE, 'latin1');
const HEAD = 1;
const BODY = 2;
/** A stream's number has 31 bits; a connection that has used up most of them is left. */
const LAST_ID = 0x7fffff00;
/** Frames that ask for nothing, in one exchange (nginx gives up after a thousand as well). */
const MAX_CONTROL = 1000;
/** Fields of an answer's head: more than any buffer of the configuration. */
const MAX_STRING = 1 << 16;

const control = new Output();

export class Http2Upstream extends TransportChannel {
  readonly #reader = new FrameReader();
  readonly #decoder = new HpackDecoder(0);
  readonly #block = new BlockReader(this.#decoder);
  readonly #assembler = new AnswerAssembler();
  readonly #body = new OutgoingBody();
  #greeted = false;
  #id = -1;
  /** The server takes no further streams. */
  #goaway = false;
  readonly #windows = new ReceiveWindows();
  #control = 0;
  /** A header block goes on in CONTINUATION. */
  #inBlock = false;
  #blockEndsStream = false;
  #trailerBlock: HeaderBlock | null = null;
  #headOnly = false;
  #headLimit = 0;
  /** Bytes of the body to come; -1: not known. */
  #left = -1;
  #dataEnds = false;
  /**
   * END_STREAM has come. The answer ends when this read has been looked at: what the server says behind it may still be
   * that the answer is no good.
   */
  #ending = false;
  /** Body of the present read, moved together: it goes on as one piece, which may be framed where it stands. */
  #bodyStart = -1;
  #bodyEnd = 0;
  #resets = 0;

  protected beginAnswer(headOnly: boolean, headLimit: number): void {
    this.state = HEAD;
    this.#headOnly = headOnly;
    this.#headLimit = headLimit;
    this.#id += 2;
    this.#body.begin(this.#id);
    this.#windows.begin();
    this.#control = 0;
    this.#inBlock = false;
    this.#trailerBlock = null;
    this.#ending = false;
    this.#resets = 0;
    this.#left = -1;
  }

  // ------------------------------------------------------------------------------------ the request

  sendRequest(request: OutgoingRequest): number {
    const o = output;
    o.length = 0;
    if (!this.#greeted) {
      this.#greeted = true;
      o.bytes(PREFACE, 0, PREFACE.length);
      writeSettings(o, [
        [h2.SETTING_HEADER_TABLE_SIZE, 0],
        [h2.SETTING_ENABLE_PUSH, 0],
        [h2.SETTING_INITIAL_WINDOW_SIZE, h2.MAX_WINDOW],
      ]);
      writeWindowUpdate(o, 0, h2.MAX_WINDOW - h2.DEFAULT_WINDOW);
    }
    const block = beginHeaders(o);
    const { settings } = this.#body;
    if (settings.tellTableSize) {
      settings.tellTableSize = false;
      // Our table is empty; that must be said only if it may not be as large as it was.
      if (settings.tableSize < h2.DEFAULT_TABLE_SIZE) o.byte(0x20);
    }
    request.plan.compose(o, request);
    const { bodyLength, first, firstLength } = request;
    const none = bodyLength === NO_BODY || bodyLength === 0;
    endHeaders(o, block, none ? h2.FLAG_END_STREAM : 0, this.#id, settings.maxFrame);
    if (none) this.#body.ended = true;
    if (none || first === null || firstLength === 0) return this.transport.write(o.buf, 0, o.length);
    return this.#body.send(this.transport, first, 0, firstLength, firstLength === bodyLength);
  }

  override sendBody(buf: Buffer, start: number, end: number, last: boolean): number {
    if (this.#body.ended) return SENT;
    output.length = 0;
    return this.#body.send(this.transport, buf, start, end, last);
  }

  override endBody(): void {
    this.#body.end(this.transport);
  }

  #pump(): void {
    if (this.#body.pump(this.transport)) this.events?.onUpstreamDrain();
  }

  override onDrain(): void {
    if (this.#body.waiting) {
      this.#pump();
      return;
    }
    this.#body.holds = false;
    this.events?.onUpstreamDrain();
  }

  // ------------------------------------------------------------------------------------ the answer

  keepHead(): void {}

  /** Between two exchanges a server may say what concerns the connection; anything else ends it. */
  override onData(src: Buffer, pos: number, end: number): void {
    if (this.state === IDLE && this.events === null) {
      this.#control = 0;
      this.read(src, pos, end);
      if (this.#goaway) this.dropIdle();
      return;
    }
    super.onData(src, pos, end);
  }

  protected read(src: Buffer, pos: number, end: number): void {
    const reader = this.#reader;
    this.#bodyStart = -1;
    for (;;) {
      const event = reader.next(src, pos, end);
      pos = reader.pos;
      if (event === FRAME_MORE) break;
      if (event === FRAME_BAD) this.#broken(reader.message);
      else if (event === FRAME_BEGIN) this.#begin(reader);
      else if (event !== FRAME_PIECE) this.#whole(reader);
      else if (reader.type === h2.DATA) this.#data(src, reader);
      else this.#headers(src, reader);
      // The exchange may have ended in this call, and with it the connection.
      if (this.closed) return;
    }
    if (this.#ending) this.#end(src);
    else if (this.#bodyStart >= 0) this.events!.onBody(src, this.#bodyStart, this.#bodyEnd, false);
  }

  #broken(what: string): void {
    if (this.state === IDLE) this.dropIdle();
    else if (this.state === BODY) this.fail('cut', `upstream sent ${what} while reading upstream`);
    else this.fail('invalid', `upstream sent ${what} while reading response header from upstream`);
  }

  #begin(reader: FrameReader): void {
    const { type, id, flags } = reader;
    if (this.#inBlock && (type !== h2.CONTINUATION || id !== this.#id)) {
      this.#broken('an unexpected frame, CONTINUATION was expected');
      return;
    }
    const fault = frameFault(reader);
    if (fault !== null) {
      this.#broken(fault.message);
      return;
    }
    if (reader.frameLength > h2.DEFAULT_FRAME_SIZE) {
      this.#broken(`too large http2 frame: ${reader.frameLength}`);
      return;
    }
    switch (type) {
      case h2.DATA:
      case h2.HEADERS:
        if (id !== this.#id || this.state === IDLE || this.#ending) {
          // Of a stream that is over: what was under way when it ended.
          if (id > this.#id || id % 2 === 0) this.#broken(`frame for unknown stream ${id}`);
          else if (type === h2.HEADERS || this.#ending) this.#broken(`frame for closed stream ${id}`);
          else {
            this.#received(reader, 0);
            reader.skip();
          }
        } else if (type === h2.HEADERS) this.#beginHeaders(reader);
        else if (this.state === HEAD) this.#broken(`unexpected http2 frame: ${type}`);
        else this.#received(reader, id);
        this.#dataEnds = (flags & h2.FLAG_END_STREAM) !== 0;
        return;
      case h2.CONTINUATION:
        if (!this.#inBlock) this.#broken('unexpected continuation frame');
        else if (reader.length === 0 && ++this.#control > MAX_CONTROL) this.#broken('too many continuation frames');
        return;
      case h2.PUSH_PROMISE:
        this.#broken('unexpected push promise frame');
        return;
      case h2.SETTINGS:
      case h2.PING:
        if (++this.#control > MAX_CONTROL) this.#broken(`too many ${frameName(type).toLowerCase()} frames`);
    }
  }

  #received({ frameLength }: FrameReader, id: number): void {
    if (this.#windows.take(frameLength, id, this.transport)) return;
    this.#broken(`a frame that violates flow control, received ${frameLength}`);
  }

  #beginHeaders(reader: FrameReader): void {
    this.#inBlock = true;
    this.#blockEndsStream = (reader.flags & h2.FLAG_END_STREAM) !== 0;
    this.#decoder.begin(Math.max(this.#headLimit, MAX_STRING), MAX_STRING);
    this.#block.begin();
    if (this.state === HEAD) {
      this.#assembler.beginHead();
      return;
    }
    if (!this.#blockEndsStream) {
      this.#broken('trailer without end stream flag');
      return;
    }
    this.#trailerBlock = new HeaderBlock(false);
    this.#assembler.beginTrailers(this.#trailerBlock);
  }

  #headers(src: Buffer, reader: FrameReader): void {
    const ends = (reader.flags & h2.FLAG_END_HEADERS) !== 0;
    if (!this.#block.feed(src, reader.start, reader.end, reader.done && ends, this.#assembler)) {
      this.#broken(`invalid http2 header: ${this.#decoder.message}`);
      return;
    }
    if (!reader.done || !ends) return;
    this.#inBlock = false;
    const assembler = this.#assembler;
    assembler.finish();
    if (assembler.fault !== null) {
      this.#broken(assembler.fault);
      return;
    }
    if (this.#trailerBlock !== null) {
      this.trailers = this.#trailerBlock;
      this.#noteEnd();
      return;
    }
    const { head } = assembler;
    if (head.status < 200) {
      if (this.#blockEndsStream) this.#broken(`unexpected :status "${head.status}"`);
      else if (head.status === 103) this.events!.onHints(head);
      return;
    }
    this.#answer();
  }

  #answer(): void {
    const { head } = this.#assembler;
    const length = head.first(H['content-length']);
    this.contentLength = -1;
    if (length >= 0) {
      this.contentLength = head.next(length) >= 0 ? -1 : plainNumber(head, length);
      if (this.contentLength < 0) {
        this.#broken('invalid "Content-Length" header');
        return;
      }
    }
    const bodiless = this.#headOnly || head.status === 204 || head.status === 304;
    this.#left = bodiless ? 0 : this.contentLength;
    if (this.#blockEndsStream) {
      if (!bodiless && this.contentLength < 0) this.contentLength = 0;
      if (this.#left > 0) {
        this.fail('invalid', 'upstream prematurely closed stream while reading response header from upstream');
        return;
      }
    }
    this.state = BODY;
    if (!this.giveHead(head)) return;
    if (this.#blockEndsStream) this.#noteEnd();
    // The head goes on at once, even if no byte of the body is here yet.
    else this.#bodyStart = this.#bodyEnd = 0;
  }

  #data(src: Buffer, reader: FrameReader): void {
    if (reader.id !== this.#id || this.state !== BODY) return;
    const n = reader.end - reader.start;
    if (this.#left >= 0) {
      this.#left -= n;
      if (this.#left < 0) {
        this.fail('cut', 'upstream sent response body larger than indicated content length while reading upstream');
        return;
      }
    }
    if (n > 0) {
      if (this.#bodyStart < 0 || this.#bodyStart === this.#bodyEnd) {
        this.#bodyStart = reader.start;
        this.#bodyEnd = reader.end;
      } else {
        src.copyWithin(this.#bodyEnd, reader.start, reader.end);
        this.#bodyEnd += n;
      }
    }
    if (reader.done && this.#dataEnds) this.#noteEnd();
  }

  /** END_STREAM has come. */
  #noteEnd(): void {
    if (this.#left > 0) this.fail('cut', 'upstream prematurely closed stream while reading upstream');
    else this.#ending = true;
  }

  #end(src: Buffer): void {
    this.#ending = false;
    this.state = IDLE;
    this.complete = true;
    // An acknowledgement that waits for the turn's end would make the connection look busy, and be the end of it.
    this.transport.flush();
    this.reusable = this.#body.ended && !this.#goaway && this.#id < LAST_ID;
    this.events!.onBody(src, Math.max(0, this.#bodyStart), this.#bodyStart < 0 ? 0 : this.#bodyEnd, true);
  }

  #whole(reader: FrameReader): void {
    const { bytes, start, id } = reader;
    switch (reader.type) {
      case h2.RST_STREAM:
        if (id === this.#id && this.state !== IDLE) this.#rejected(readUint32(bytes, start));
        return;
      case h2.SETTINGS:
        this.#onSettings(reader);
        return;
      case h2.PING:
        if ((reader.flags & h2.FLAG_ACK) !== 0) {
          this.#broken('ping frame with ack flag');
          return;
        }
        control.length = 0;
        writePingAck(control, bytes, start);
        this.transport.write(control.buf, 0, control.length);
        return;
      case h2.GOAWAY:
        this.#goaway = true;
        this.reusable = false;
        if (this.state !== IDLE && this.#id > readUint31(bytes, start)) {
          // The stream was not looked at: another connection may try.
          this.fail(
            'error',
            `upstream sent goaway with error ${readUint32(bytes, start + 4)} while reading response header from upstream`,
          );
        }
        return;
      case h2.WINDOW_UPDATE:
        this.#onWindow(id, readUint31(bytes, start));
    }
  }

  #rejected(error: number): void {
    if (this.#ending && error === h2.NO_ERROR && this.#resets++ === 0) {
      // It does not want the rest of the request (RFC 9113 section 8.1).
      if (!this.#body.ended) this.#goaway = true;
      return;
    }
    const message = `upstream rejected request with error ${error}`;
    if (this.state === HEAD) {
      this.fail(
        error === h2.REFUSED_STREAM ? 'error' : 'invalid',
        `${message} while reading response header from upstream`,
      );
    } else this.fail('cut', `${message} while reading upstream`);
  }

  #onSettings(reader: FrameReader): void {
    if (reader.flags === h2.FLAG_ACK) return;
    const before = this.#body.settings.initialWindow;
    const fault = this.#body.settings.apply(reader.bytes, reader.start, reader.end);
    if (fault !== null) {
      this.#broken(fault.message);
      return;
    }
    control.length = 0;
    writeSettingsAck(control);
    this.transport.write(control.buf, 0, control.length);
    this.#body.window += this.#body.settings.initialWindow - before;
    if (this.#body.window > h2.MAX_WINDOW) this.#broken('settings frame with too large initial window size');
    else this.#pump();
  }

  #onWindow(id: number, increment: number): void {
    if (increment === 0) {
      this.#broken('zero window update');
      return;
    }
    const window = id === 0 ? this.#body.connectionWindow : this.#body.window;
    if (increment > h2.MAX_WINDOW - window) {
      if (id === 0 || id === this.#id) this.#broken('too large window update');
      return;
    }
    if (id === 0) this.#body.connectionWindow += increment;
    else if (id === this.#id) this.#body.window += increment;
    else return;
    this.#pump();
  }

  /** The server must not go on working for an answer that nobody waits for. */
  override destroy(): void {
    if (this.state !== IDLE && !this.closed && this.#greeted) {
      control.length = 0;
      writeReset(control, this.#id, h2.CANCEL);
      this.transport.write(control.buf, 0, control.length);
      this.transport.flush();
    }
    super.destroy();
  }

  protected ended(error: Error | null): void {
    if (this.state === HEAD) this.endedInHead(error);
    else this.endedInBody(error);
  }
}
