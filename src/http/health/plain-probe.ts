/**
 * Asks a server by HTTP/1 over a plain connection: what most checks do, and the cheapest way to do it. Thousands of servers
 * are asked every second by one thread, so a probe makes nothing anew but the connection, and not even that with
 * `keepalive_time`: options and the bytes that are sent are there from the start. What it says of an answer is what
 * `http-probe.ts` says, which speaks everything else.
 */
import type { Buffer } from 'node:buffer';
import type { Matcher } from '../../health/match.ts';
import type { Probe, ProbeKind, ProbeOutcome, ProbeTarget } from '../../health/probe.ts';
import { clock } from '../../net/clock.ts';
import { type ConnectOptions, dial } from '../../net/dial.ts';
import { Timer } from '../../net/timers.ts';
import { NOBODY, SENT, type Transport, type TransportOwner } from '../../net/transport.ts';
import { failedText } from '../../observe/errno.ts';
import { announcedLength, headFault, HeadReader, READING_HEAD } from '../proxy/head-reader.ts';
import { CONNECTION_CLOSE, connectionFlags } from '../server/framing.ts';
import { CHUNK_BAD, CHUNK_DATA, CHUNK_END, ChunkedDecoder } from '../wire/chunked.ts';
import { EOL_CRLF } from '../wire/header-block.ts';
import { H } from '../wire/known.ts';
import { DONE, MORE, NOT_HTTP } from '../wire/outcomes.ts';
import type { ResponseHead } from '../wire/response-head.ts';
import { type AnswerSettings, headIsAll, HttpAnswer, lastChecked } from './answer.ts';

export interface PlainProbeSettings extends AnswerSettings {
  matcher: Matcher;
  /** All of the request. */
  request(): Buffer;
  /** Null: any local address. Port 0: any. */
  localAddress(): { text: string; port: number } | null;
  connectTimeoutMs: number;
  sendTimeoutMs: number;
  readTimeoutMs: number;
  headLimit: number;
  /** 0: a connection is used once. */
  keepaliveTimeMs: number;
}

export class PlainProbeKind implements ProbeKind {
  readonly #settings: PlainProbeSettings;

  constructor(settings: PlainProbeSettings) {
    this.#settings = settings;
  }

  open(target: ProbeTarget): Probe {
    return new PlainProbe(this.#settings, target);
  }
}

/** Of answers that are over. */
const spareReaders: HeadReader[] = [];

const CONNECTING = 'connecting to upstream';
const SENDING = 'sending request to upstream';
const READING = 'reading response header from upstream';
const READING_REST = 'reading response from upstream';

/** How the body of an answer ends, if not by its length. */
const CHUNKED = -1;
const UNTIL_CLOSE = -2;

class PlainProbe implements Probe, TransportOwner {
  readonly #settings: PlainProbeSettings;
  readonly #address: string;
  readonly #options: ConnectOptions;
  readonly #timer = new Timer(() => this.#late());
  #report: ((outcome: ProbeOutcome) => void) | null = null;
  /** The connection of the probe under way, or one that is kept. */
  #transport: Transport | null = null;
  #connectedAt = 0;
  #beganAt = 0;
  #connectMs = 0;
  #stage = CONNECTING;
  /** The connection was there before this probe. */
  #reused = false;
  #heard = false;

  // the answer
  #reader: HeadReader | null = null;
  #answer: HttpAnswer | null = null;
  /** Bytes of the body to come, `CHUNKED` or `UNTIL_CLOSE`. */
  #left = 0;
  #decoder: ChunkedDecoder | null = null;
  #reusable = false;

  constructor(settings: PlainProbeSettings, { address, family, host, port }: ProbeTarget) {
    this.#settings = settings;
    this.#address = address;
    const local = family === 'unix' ? null : settings.localAddress();
    this.#options = {
      host,
      port,
      path: family === 'unix' ? host : null,
      localAddress: local?.text ?? null,
      localPort: local?.port ?? 0,
      keepAlive: false,
      oneWrite: true,
    };
  }

  run(report: (outcome: ProbeOutcome) => void): void {
    this.#report = report;
    this.#heard = false;
    this.#beganAt = clock.update();
    const { keepaliveTimeMs } = this.#settings;
    this.#reused = this.#transport !== null && this.#beganAt - this.#connectedAt < keepaliveTimeMs;
    if (this.#reused) this.#send();
    else this.#dial();
  }

  #dial(): void {
    this.#drop();
    this.#stage = CONNECTING;
    this.#timer.arm(this.#settings.connectTimeoutMs);
    this.#transport = dial(this.#options, this, this.#connected);
  }

  readonly #connected = (): void => {
    this.#connectedAt = clock.now;
    this.#send();
  };

  #send(): void {
    this.#connectMs = clock.now - this.#beganAt;
    this.#left = 0;
    this.#reusable = false;
    const { headLimit, sendTimeoutMs } = this.#settings;
    this.#reader ??= spareReaders.pop() ?? new HeadReader();
    this.#reader.begin(headLimit);
    const bytes = this.#settings.request();
    if (this.#transport!.write(bytes, 0, bytes.length) === SENT) {
      this.#sent();
      return;
    }
    this.#stage = SENDING;
    this.#timer.arm(sendTimeoutMs);
  }

  #sent(): void {
    this.#stage = READING;
    this.#timer.arm(this.#settings.readTimeoutMs);
  }

  onDrain(): void {
    if (this.#stage === SENDING) this.#sent();
  }

  // ------------------------------------------------------------------------------------------------ the answer

  onData(buf: Buffer, start: number, end: number): void {
    if (this.#report === null) {
      // something that nobody asked for: the connection is of no more use
      this.#drop();
      return;
    }
    this.#heard = true;
    const at = this.#answer === null ? this.#readHead(buf, start, end) : start;
    if (at >= 0) this.#readBody(buf, at, end);
  }

  /** @returns where the body begins; -1: not yet, or the probe is over */
  #readHead(buf: Buffer, start: number, end: number): number {
    const reader = this.#reader!;
    const { head } = reader;
    let at = start;
    for (;;) {
      const result = reader.read(buf, at, end);
      if (result === MORE) return -1;
      if (result !== DONE) {
        this.#fail(result === NOT_HTTP ? `upstream sent no valid HTTP/1.0 header ${READING_HEAD}` : headFault(result));
        return -1;
      }
      at = reader.bodyStart;
      if (head.status >= 200 || head.status === 101) break;
      // an interim answer; the next head follows (RFC 9110 section 15.2)
      reader.again();
      if (at >= end) return -1;
    }
    if (!this.#frame(head)) {
      this.#fail(`upstream sent invalid header ${READING_HEAD}`);
      return -1;
    }
    const settings = this.#settings;
    this.#answer = new HttpAnswer(settings, head, this.#address, this.#connectMs, clock.now - this.#beganAt);
    // an answer that cannot pass need not be read
    const verdict = settings.matcher.head(this.#answer);
    if (verdict !== null) {
      this.#end(false, verdict, null);
      return -1;
    }
    if (headIsAll(settings.matcher, settings.keepaliveTimeMs)) {
      this.#reusable = false;
      this.#judge();
      return -1;
    }
    // what waits for the body looks at the head again
    if (settings.matcher.needsBody) reader.keep();
    else this.#letReaderGo();
    this.#stage = READING_REST;
    this.#timer.arm(settings.readTimeoutMs);
    return at;
  }

  /** How the body ends (RFC 9112 section 6.3). @returns false: two readers could understand it differently */
  #frame(head: ResponseHead): boolean {
    const te = head.first(H['transfer-encoding']);
    const length = announcedLength(head);
    if (length < -1 || (te >= 0 && (length >= 0 || head.next(te) >= 0 || !head.valueIs(te, 'chunked')))) return false;
    this.#reusable =
      head.version >= 11 &&
      head.eol === EOL_CRLF &&
      !head.mixed &&
      (!head.has(H.connection) || (connectionFlags(head) & CONNECTION_CLOSE) === 0);
    const { status } = head;
    if (status === 204 || status === 304 || status === 101) {
      this.#left = 0;
      if (status === 101 || te >= 0 || (status === 204 && length > 0)) this.#reusable = false;
    } else if (te >= 0) {
      this.#left = CHUNKED;
      this.#decoder ??= new ChunkedDecoder(false);
      this.#decoder.reset();
    } else this.#left = length < 0 ? UNTIL_CLOSE : length;
    return true;
  }

  #readBody(buf: Buffer, start: number, end: number): void {
    if (this.#left === CHUNKED) {
      this.#readChunks(buf, start, end);
      return;
    }
    const take = this.#left === UNTIL_CLOSE ? end - start : Math.min(this.#left, end - start);
    const more = this.#answer!.take(buf, start, start + take);
    if (this.#left >= 0) {
      this.#left -= take;
      // more than was announced is no answer to anything
      if (start + take < end) this.#reusable = false;
    }
    if (this.#left === 0) this.#judge();
    else this.#readOn(more);
  }

  #readChunks(buf: Buffer, start: number, end: number): void {
    const decoder = this.#decoder!;
    for (let at = start, more = true; ;) {
      const event = decoder.next(buf, at, end);
      at = decoder.pos;
      if (event === CHUNK_DATA) {
        more = this.#answer!.take(buf, decoder.dataStart, decoder.dataEnd) && more;
        continue;
      }
      if (event === CHUNK_BAD) this.#fail('upstream sent invalid chunked response while reading upstream');
      else if (event === CHUNK_END) {
        if (decoder.unclean || at < end) this.#reusable = false;
        this.#judge();
      } else this.#readOn(more);
      return;
    }
  }

  /** The body goes on. @param more whether more of it is looked at */
  #readOn(more: boolean): void {
    if (more) {
      this.#timer.arm(this.#settings.readTimeoutMs);
      return;
    }
    this.#reusable = false;
    this.#judge();
  }

  /** All that is looked at was read. */
  #judge(): void {
    const answer = this.#answer!;
    const { matcher } = this.#settings;
    answer.responseMs = clock.now - this.#beganAt;
    // the head was looked at already
    const verdict = matcher.needsBody ? matcher.all(answer) : null;
    this.#end(verdict === null, verdict ?? lastChecked(matcher), null);
  }

  // ------------------------------------------------------------------------------------------------ the end

  onEnd(): void {
    this.#ended(null);
  }

  onClose(error: Error | null): void {
    this.#transport = null;
    this.#ended(error);
  }

  /** The connection has ended, in order or not. */
  #ended(error: Error | null): void {
    if (this.#report === null) {
      this.#drop();
      return;
    }
    if (error === null && this.#answer !== null && this.#left === UNTIL_CLOSE) {
      this.#reusable = false;
      this.#judge();
      return;
    }
    if (this.#reused && !this.#heard) {
      // the server has closed a connection that was kept: that says nothing about it
      this.#reused = false;
      this.#dial();
      return;
    }
    const what = this.#stage === CONNECTING ? 'connect()' : 'recv()';
    const text = error === null ? 'upstream prematurely closed connection' : failedText(what, error);
    this.#fail(`${text} while ${this.#stage}`);
  }

  #late(): void {
    if (this.#report !== null) this.#fail(`upstream timed out (110: Connection timed out) while ${this.#stage}`);
  }

  #fail(error: string): void {
    this.#reusable = false;
    this.#end(false, this.#stage, error);
  }

  #end(passed: boolean, stage: string, error: string | null): void {
    const report = this.#report;
    if (report === null) return;
    this.#report = null;
    this.#answer = null;
    this.#timer.cancel();
    this.#letReaderGo();
    if (!passed || !this.#reusable || this.#settings.keepaliveTimeMs === 0) this.#drop();
    report({ passed, stage, error });
  }

  #letReaderGo(): void {
    if (this.#reader === null) return;
    spareReaders.push(this.#reader);
    this.#reader = null;
  }

  #drop(): void {
    const transport = this.#transport;
    this.#transport = null;
    if (transport === null) return;
    // What comes of it from now on is nobody's business.
    transport.owner = NOBODY;
    transport.destroy();
  }

  close(): void {
    this.#report = null;
    this.#answer = null;
    this.#timer.drop();
    this.#letReaderGo();
    this.#drop();
  }
}
