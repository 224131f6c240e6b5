/**
 * A client's HTTP/2 connection (RFC 9113): frames in and out, its streams, its windows. What one client may cost is
 * bounded throughout: streams, header blocks, frames that bring nothing, resets, and what waits to be sent.
 */
import { Buffer } from 'node:buffer';
import type { ServerConfig } from '../../config/model.ts';
import { clock } from '../../net/clock.ts';
import { Timer } from '../../net/timers.ts';
import type { Transport, TransportOwner } from '../../net/transport.ts';
import type { ProxyProtocolInfo } from '../../net/proxy-protocol.ts';
import { flushTurn } from '../../observe/access-log-writer.ts';
import { CLOSED as GONE, traffic } from '../../observe/traffic.ts';
import type { ClientAddress, TlsInfo } from '../request.ts';
import type { HttpGeneration, Server } from '../runtime.ts';
import { BlockReader } from '../wire/h2/block-reader.ts';
import * as h2 from '../wire/h2/constants.ts';
import { frameFault } from '../wire/h2/frame-check.ts';
import type { FrameFault } from '../wire/h2/frame-check.ts';
import { FRAME_BAD, FRAME_BEGIN, FRAME_MORE, FRAME_PIECE, FrameReader } from '../wire/h2/frame-reader.ts';
import { readUint31, readUint32 } from '../wire/h2/frame-reader.ts';
import { HpackDecoder } from '../wire/h2/hpack-decoder.ts';
import type { ClientConnection } from './connection-list.ts';
import { nextSerial } from './connection-list.ts';
import { FloodGuard } from './http2-guard.ts';
import { Http2Link } from './http2-link.ts';
import { PriorityTree } from './http2-priority.ts';
import { RequestAssembler } from './http2-request.ts';
import { Http2Stream } from './http2-stream.ts';
import type { HttpListen } from './listen.ts';
import { RequestCheck } from './request-check.ts';

const PREFACE = Buffer.from(h2.PREFACE, 'latin1');

const spare: Http2Stream[] = [];
const MAX_SPARE = 1024;

export class Http2Connection implements ClientConnection, TransportOwner {
  next: ClientConnection | null = null;
  previous: ClientConnection | null = null;
  readonly serial: number = nextSerial();
  readonly acceptedAt: number = clock.now;
  readonly listen: HttpListen;
  readonly peer: ClientAddress;
  readonly tls: TlsInfo | null;
  readonly proxyProtocol: ProxyProtocolInfo | null;
  readonly check: RequestCheck;
  readonly settings: ServerConfig['http2'];
  requestCount = 0;

  readonly link: Http2Link;
  readonly guard: FloodGuard;

  readonly #transport: Transport;
  readonly #reader = new FrameReader();
  readonly #decoder = new HpackDecoder();
  readonly #block = new BlockReader(this.#decoder);
  readonly #assembler: RequestAssembler;
  readonly #streams = new Map<number, Http2Stream>();
  #priorities: PriorityTree | null = null;
  readonly #timer = new Timer(() => this.#timedOut());
  #prefaceLeft = PREFACE.length;
  #recvWindow: number = h2.MAX_WINDOW;
  #settingsAcked = false;
  #lastId = 0;
  /** Stream whose header block goes on in CONTINUATION; 0: none. */
  #blockId = 0;
  #blockStream: Http2Stream | null = null;
  #blockBytes = 0;
  #waitsForBlock = false;
  /** DATA of this stream is being read; null: it is thrown away. */
  #dataStream: Http2Stream | null = null;
  #dataEnds = false;
  /** Answers that came to their end while a frame is being looked at. */
  #done: Http2Stream[] = [];
  #later: Http2Stream[] = [];
  #dispatching = false;
  #goaway = false;
  #finished = false;
  #lingering = false;
  #newStreams = 0;

  /** `proxyProtocol`: what the balancer in front told; null: nothing. */
  constructor(
    transport: Transport,
    listen: HttpListen,
    peer: ClientAddress,
    tls: TlsInfo | null,
    proxyProtocol: ProxyProtocolInfo | null = null,
  ) {
    this.#transport = transport;
    this.listen = listen;
    this.peer = peer;
    this.tls = tls;
    this.proxyProtocol = proxyProtocol;
    this.check = new RequestCheck(listen, tls !== null);
    this.settings = listen.defaultServer.config.http2;
    this.#assembler = new RequestAssembler(this.#limits());
    this.link = new Http2Link(transport);
    this.guard = new FloodGuard(this.settings.maxConcurrentStreams);
    transport.owner = this;
    listen.connections.add(this);
    this.#arm(listen.defaultServer.config.clientHeaderTimeoutMs);
    this.link.hello(
      [
        [h2.SETTING_MAX_CONCURRENT_STREAMS, this.settings.maxConcurrentStreams],
        [h2.SETTING_INITIAL_WINDOW_SIZE, this.settings.bodyPrereadSize],
        [h2.SETTING_MAX_FRAME_SIZE, h2.MAX_FRAME_SIZE],
      ],
      h2.MAX_WINDOW - h2.DEFAULT_WINDOW,
    );
  }

  localAddress(): string {
    const { config } = this.listen;
    return config.kind === 'unix' ? config.address : (this.#transport.socket.localAddress ?? '');
  }

  localPort(): number {
    return this.#transport.socket.localPort ?? this.listen.config.port;
  }

  /** Whether a server may be reached by HTTP/2 (`http2 on`, or `listen … http2`). */
  servesHttp2(server: Server): boolean {
    return server.config.http2.on || this.listen.config.http2;
  }

  #limits(): { maxFields: number; ignoreInvalid: boolean; underscores: boolean } {
    const { maxHeaders, ignoreInvalidHeaders, underscoresInHeaders } = this.listen.defaultServer.config;
    return {
      maxFields: maxHeaders > 0 ? maxHeaders : 1000,
      ignoreInvalid: ignoreInvalidHeaders,
      underscores: underscoresInHeaders,
    };
  }

  // ------------------------------------------------------------------------------------ reading

  onData(src: Buffer, start: number, end: number): void {
    if (this.#finished) return;
    this.#newStreams = 0;
    this.#dispatching = true;
    this.#consume(src, start, end);
    this.#flushLater();
    this.#dispatching = false;
    this.#complete();
    if (this.#finished) return;
    this.#stop(this.guard.received(end - start));
    this.#settle();
  }

  #consume(src: Buffer, pos: number, end: number): void {
    if (this.#prefaceLeft > 0) {
      for (; pos < end && this.#prefaceLeft > 0; pos++, this.#prefaceLeft--) {
        if (src[pos] === PREFACE[PREFACE.length - this.#prefaceLeft]) continue;
        this.#fail(h2.PROTOCOL_ERROR, 'invalid connection preface');
        return;
      }
    }
    const reader = this.#reader;
    while (!this.#finished) {
      const event = reader.next(src, pos, end);
      pos = reader.pos;
      if (event === FRAME_MORE) return;
      if (event === FRAME_BAD) this.#fail(reader.error, `client sent ${reader.message}`);
      else if (event === FRAME_BEGIN) this.#begin(reader);
      else if (event === FRAME_PIECE) {
        if (reader.type === h2.DATA) this.#data(src, reader);
        else this.#headers(src, reader);
      } else this.#whole(reader);
      if (this.#done.length > 0) this.#complete();
    }
  }

  /** A stream has body that may go on when this read is over. */
  later(stream: Http2Stream): void {
    if (!this.#later.includes(stream)) this.#later.push(stream);
  }

  #flushLater(): void {
    if (this.#later.length === 0) return;
    const later = this.#later;
    this.#later = [];
    for (const stream of later) if (stream.connection === this) stream.flushAhead();
  }

  /** Checks a frame's head. */
  #begin(reader: FrameReader): void {
    const { type, id } = reader;
    if (this.#blockId !== 0) {
      if (type !== h2.CONTINUATION) {
        this.#fail(h2.PROTOCOL_ERROR, 'client sent inappropriate frame while CONTINUATION was expected');
      } else if (id !== this.#blockId) {
        this.#fail(h2.PROTOCOL_ERROR, 'client sent CONTINUATION frame with incorrect identifier');
      } else {
        this.#blockBytes += reader.length;
        if (reader.length === 0) this.#stop(this.guard.idle());
      }
      return;
    }
    const fault = frameFault(reader);
    if (fault !== null) {
      this.#fail(fault.error, `client sent ${fault.message}`);
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
        this.#stop(this.guard.priority());
        return;
      case h2.RST_STREAM:
      case h2.WINDOW_UPDATE:
        return;
      case h2.PUSH_PROMISE:
      case h2.CONTINUATION:
        this.#fail(h2.PROTOCOL_ERROR, 'client sent unexpected PUSH_PROMISE or CONTINUATION frame');
        return;
      default:
        this.#stop(this.guard.idle());
    }
  }

  /** A guard may say that it is enough. */
  #stop(fault: FrameFault | null): void {
    if (fault !== null) this.#fail(fault.error, fault.message);
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
        if ((reader.flags & h2.FLAG_ACK) === 0) this.link.pong(bytes, start);
        return;
      case h2.WINDOW_UPDATE:
        this.#onWindow(reader, readUint31(bytes, start));
    }
  }

  // ------------------------------------------------------------------------------------ DATA

  #beginData(reader: FrameReader): void {
    const { id, frameLength } = reader;
    if (frameLength > this.#recvWindow) {
      this.#fail(h2.FLOW_CONTROL_ERROR, 'client violated connection flow control');
      return;
    }
    this.#recvWindow -= frameLength;
    if (this.#recvWindow < h2.MAX_WINDOW / 4) {
      this.link.windowUpdate(0, h2.MAX_WINDOW - this.#recvWindow);
      this.#recvWindow = h2.MAX_WINDOW;
    }
    this.#dataEnds = (reader.flags & h2.FLAG_END_STREAM) !== 0;
    if (reader.length === 0 && !this.#dataEnds) this.#stop(this.guard.idle());
    const stream = (this.#dataStream = this.#streams.get(id) ?? null);
    if (stream === null) {
      if (id > this.#lastId) this.#fail(h2.PROTOCOL_ERROR, 'client sent DATA frame for a stream that is not open');
      return;
    }
    if (frameLength > stream.recvWindow) {
      this.#dataStream = null;
      this.#stop(this.guard.reset());
      stream.gone(`client violated flow control for stream ${id}`, h2.FLOW_CONTROL_ERROR);
      return;
    }
    stream.recvWindow -= frameLength;
    if (stream.inClosed) {
      this.#dataStream = null;
      this.#stop(this.guard.reset());
      stream.gone(`client sent DATA frame for half-closed stream ${id}`, h2.STREAM_CLOSED);
    }
  }

  #data(src: Buffer, reader: FrameReader): void {
    const stream = this.#dataStream;
    if (stream === null || stream.id !== reader.id) return;
    this.guard.payload += reader.end - reader.start;
    stream.onData(src, reader.start, reader.end, reader.done && this.#dataEnds);
  }

  // ------------------------------------------------------------------------------------ HEADERS

  #beginHeaders(reader: FrameReader): void {
    const { id, flags } = reader;
    if (reader.length === 0) {
      this.#fail(h2.FRAME_SIZE_ERROR, 'client sent HEADERS frame with empty header block');
      return;
    }
    if (this.#goaway) {
      // The table is of no use any more: nothing will be opened here.
      reader.skip();
      if ((flags & h2.FLAG_END_HEADERS) === 0) this.#fail(h2.NO_ERROR, 'client sent a stream after GOAWAY');
      return;
    }
    const trailing = this.#streams.get(id);
    if (trailing !== undefined && !trailing.inClosed) {
      this.#beginTrailers(reader, trailing);
      return;
    }
    if (id % 2 === 0 || id <= this.#lastId) {
      const last = `the last was ${this.#lastId}`;
      this.#fail(h2.PROTOCOL_ERROR, `client sent HEADERS frame with incorrect identifier ${id}, ${last}`);
      return;
    }
    if (reader.dependency === id) {
      this.#fail(h2.PROTOCOL_ERROR, `client sent HEADERS frame for stream ${id} with incorrect dependency`);
      return;
    }
    this.#lastId = id;
    this.#blockId = id;
    this.#blockBytes = reader.length;
    const { largeClientHeaderBuffers: buffers } = this.listen.defaultServer.config;
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
    const { largeClientHeaderBuffers: buffers } = this.listen.defaultServer.config;
    if ((reader.flags & h2.FLAG_END_STREAM) === 0) {
      this.#fail(h2.PROTOCOL_ERROR, `client sent trailers that do not end stream ${reader.id}`);
      return;
    }
    this.#decoder.begin(buffers.count * buffers.size, buffers.size);
    this.#block.begin();
    this.#blockId = reader.id;
    this.#blockBytes = reader.length;
    this.#blockStream = null;
    this.#trailers = stream;
    this.#assembler.begin(null, scratch, this.#limits());
  }

  #trailers: Http2Stream | null = null;

  #mayOpen(reader: FrameReader): string | null {
    const { maxConcurrentStreams, bodyPrereadSize } = this.settings;
    if (this.#streams.size >= maxConcurrentStreams) return `concurrent streams exceeded ${this.#streams.size}`;
    if (this.#newStreams++ >= 2 * maxConcurrentStreams) return 'client sent too many streams at once';
    const body = (reader.flags & h2.FLAG_END_STREAM) === 0;
    return !this.#settingsAcked && body && bodyPrereadSize < h2.DEFAULT_WINDOW
      ? 'client sent stream with data before settings were acknowledged'
      : null;
  }

  #refuse(why: string): void {
    this.listen.log('info', why, this.peer.text);
    this.#blockStream = null;
    this.#assembler.begin(null, scratch, this.#limits());
    const fault = this.guard.refused();
    if (fault !== null) {
      this.#stop(fault);
      return;
    }
    this.link.reset(this.#blockId, h2.REFUSED_STREAM);
  }

  #open(reader: FrameReader): void {
    const stream = spare.pop() ?? new Http2Stream();
    this.requestCount++;
    this.guard.request();
    stream.open(this, reader.id, this.link.settings.initialWindow, this.settings.bodyPrereadSize);
    stream.inClosed = (reader.flags & h2.FLAG_END_STREAM) !== 0;
    this.#streams.set(reader.id, stream);
    this.#blockStream = stream;
    this.#assembler.begin(stream.head, stream.buf, this.#limits());
    if (reader.dependency >= 0) this.#priority(reader.id, reader.dependency, reader.exclusive, reader.weight);
    const { keepaliveTimeoutMs, keepaliveRequests, keepaliveTimeMs } = this.listen.defaultServer.root.core;
    if (
      keepaliveTimeoutMs === 0 ||
      this.requestCount >= keepaliveRequests ||
      clock.now - this.acceptedAt > keepaliveTimeMs
    ) {
      this.#sayGoaway(h2.NO_ERROR);
    }
  }

  #headers(src: Buffer, reader: FrameReader): void {
    const ends = (reader.flags & h2.FLAG_END_HEADERS) !== 0;
    if (!this.#block.feed(src, reader.start, reader.end, reader.done && ends, this.#assembler)) {
      this.#fail(this.#decoder.error, `client sent ${this.#decoder.message}`);
      return;
    }
    if (this.#blockStream === null) this.#assembler.end = 0;
    if (!reader.done || !ends) return;
    this.#blockId = 0;
    const stream = this.#blockStream;
    this.#blockStream = null;
    if (stream !== null) {
      this.#assembler.finish();
      this.guard.payload += this.#blockBytes;
      stream.begin(this.#assembler.refusal, this.#blockBytes);
    } else if (this.#trailers !== null) {
      const ended = this.#trailers;
      this.#trailers = null;
      if (ended.id === reader.id) ended.onData(src, reader.end, reader.end, true);
    }
  }

  // ------------------------------------------------------------------------------------ other frames

  #priority(id: number, dependency: number, exclusive: boolean, weight: number): void {
    if (dependency === id) {
      this.#fail(h2.PROTOCOL_ERROR, `client sent PRIORITY frame for stream ${id} with incorrect dependency`);
    } else {
      const tree = (this.#priorities ??= new PriorityTree());
      tree.set(id, dependency, exclusive, weight);
      if (!this.#streams.has(id)) tree.closed(id);
    }
  }

  #onReset(id: number, error: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      this.#stop(this.guard.idle());
      return;
    }
    this.#stop(this.guard.reset());
    stream.gone(
      error === h2.CANCEL ? `client canceled stream ${id}` : `client terminated stream ${id} with status ${error}`,
    );
  }

  #onSettings(reader: FrameReader): void {
    if (reader.flags === h2.FLAG_ACK) {
      this.#settingsAcked = true;
      return;
    }
    const { settings } = this.link;
    const before = settings.initialWindow;
    const fault = settings.apply(reader.bytes, reader.start, reader.end);
    if (fault !== null) {
      this.#fail(fault.error, `client sent ${fault.message}`);
      return;
    }
    this.link.acknowledge();
    const delta = settings.initialWindow - before;
    if (delta === 0) return;
    for (const stream of this.#streams.values()) {
      stream.sendWindow += delta;
      if (stream.sendWindow <= h2.MAX_WINDOW) continue;
      this.#stop(this.guard.reset());
      stream.gone(`client violated flow control for stream ${stream.id}`, h2.FLOW_CONTROL_ERROR);
    }
    if (delta > 0) this.link.pump(this.#priorities);
  }

  #onWindow(reader: FrameReader, increment: number): void {
    const { id } = reader;
    if (increment === 0) {
      this.#fail(h2.PROTOCOL_ERROR, 'client sent WINDOW_UPDATE frame with incorrect window increment 0');
      return;
    }
    if (id === 0) {
      if (increment > h2.MAX_WINDOW - this.link.sendWindow) {
        this.#fail(h2.FLOW_CONTROL_ERROR, 'client violated connection flow control: WINDOW_UPDATE is too large');
        return;
      }
      this.link.sendWindow += increment;
      this.link.pump(this.#priorities);
      return;
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      this.#stop(this.guard.idle());
      return;
    }
    if (increment > h2.MAX_WINDOW - stream.sendWindow) {
      this.#stop(this.guard.reset());
      stream.gone(`client violated flow control for stream ${id}: WINDOW_UPDATE is too large`, h2.FLOW_CONTROL_ERROR);
      return;
    }
    stream.sendWindow += increment;
    if (stream.waiting) this.link.pump(this.#priorities);
  }

  onDrain(): void {
    this.link.drained();
    if (this.#finished) return;
    this.link.pump(this.#priorities);
    this.#settle();
  }

  // ------------------------------------------------------------------------------------ ends

  /** A stream's last byte was handed over. */
  ended(stream: Http2Stream): void {
    if (this.#dispatching) this.#done.push(stream);
    else {
      stream.complete();
      this.#settle();
    }
  }

  #complete(): void {
    const done = this.#done;
    if (done.length === 0) return;
    this.#done = [];
    for (const stream of done) stream.complete();
  }

  /** A stream is over: it waits for another request, of whatever connection. */
  closed(stream: Http2Stream): void {
    if (this.#streams.get(stream.id) === stream) this.#streams.delete(stream.id);
    this.#priorities?.closed(stream.id);
    if (this.#dataStream === stream) this.#dataStream = null;
    if (this.#blockStream === stream) {
      this.#blockStream = null;
      this.#assembler.begin(null, scratch, this.#limits());
    }
    if (this.#trailers === stream) this.#trailers = null;
    if (spare.length < MAX_SPARE) spare.push(stream);
    if (!this.#dispatching) this.#settle();
  }

  /** With no stream open: wait for the next one, or close. */
  #settle(): void {
    if (this.#finished) return;
    if (this.#blockId !== 0) {
      // Once for a block: who sends it byte by byte does not get more time.
      if (!this.#waitsForBlock) this.#arm(this.listen.defaultServer.config.clientHeaderTimeoutMs);
      this.#waitsForBlock = true;
      return;
    }
    this.#waitsForBlock = false;
    if (this.#streams.size > 0) this.#timer.cancel();
    else if (this.#goaway) this.#linger();
    else if (this.requestCount > 0 && !this.#timer.armed) {
      this.#arm(this.listen.defaultServer.root.core.keepaliveTimeoutMs);
    }
  }

  #sayGoaway(error: number): void {
    if (this.#goaway) return;
    this.#goaway = true;
    this.link.goaway(this.#lastId, error);
  }

  /** Ends the connection: all streams are cut, the client is told why. */
  #fail(error: number, why: string): void {
    if (this.#finished) return;
    this.listen.log('info', why, this.peer.text);
    this.#sayGoaway(error);
    this.#cut(why);
    this.#linger();
  }

  #cut(why: string): void {
    this.#finished = this.link.closed = true;
    for (const stream of this.#streams.values()) stream.gone(why);
  }

  /** Sends FIN and reads what still comes for a while, so that the client can read our last frames before a reset. */
  #linger(): void {
    this.#finished = this.link.closed = true;
    if (this.#lingering) return;
    this.#lingering = true;
    const { core } = this.listen.defaultServer.root;
    flushTurn();
    this.#transport.end();
    this.#transport.resume();
    this.#arm(Math.min(core.lingeringTimeoutMs, core.lingeringTimeMs));
  }

  #arm(ms: number): void {
    this.#timer.arm(ms);
  }

  #timedOut(): void {
    if (this.#lingering) {
      this.#close();
      return;
    }
    const stream = this.#blockStream;
    if (stream !== null) {
      // The rest of its header block may still come: the other streams live.
      stream.timedOut('client timed out (110: Connection timed out) while reading client request headers');
      this.#arm(this.listen.defaultServer.root.core.keepaliveTimeoutMs);
      return;
    }
    if (this.#blockId !== 0 || this.requestCount === 0 || this.#reader.partial)
      this.#fail(h2.PROTOCOL_ERROR, 'client timed out (110: Connection timed out)');
    else {
      this.#sayGoaway(h2.NO_ERROR);
      this.#linger();
    }
  }

  /** A stream has waited for `send_timeout`, and all that time the client took nothing of what was sent. */
  notTaken(why: string): void {
    this.#cut(why);
    flushTurn();
    this.#transport.destroy();
  }

  #close(): void {
    flushTurn();
    this.#transport.close(this.listen.defaultServer.root.core.sendTimeoutMs);
  }

  onEnd(): void {
    if (this.#lingering) {
      this.#close();
      return;
    }
    if (this.#streams.size > 0) this.listen.log('info', 'client prematurely closed connection', this.peer.text);
    this.#cut('client prematurely closed connection');
    this.#close();
  }

  onClose(error: Error | null): void {
    this.#cut(error === null ? 'client closed connection' : `client closed connection (${error.message})`);
    this.#timer.drop();
    traffic.row[GONE]!++;
    this.listen.connections.remove(this);
  }

  /** What was agreed on (streams, windows, who is served) may have changed: the client comes again. */
  reload(): void {
    this.quit();
  }

  quit(): void {
    if (this.#finished) return;
    this.#sayGoaway(h2.NO_ERROR);
    if (this.#streams.size === 0) this.#linger();
  }

  expire(generation: HttpGeneration): void {
    for (const stream of this.#streams.values()) {
      if (stream.request.gen === generation) stream.gone('worker is shutting down', h2.INTERNAL_ERROR);
    }
  }

  kill(): void {
    this.#cut('worker is shutting down');
    this.#transport.destroy();
  }
}

/** Where lines go that nobody keeps. */
const scratch = Buffer.allocUnsafeSlow(4096);
