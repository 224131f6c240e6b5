/** The request's way to the server: what is sent, and a body's pieces as they come or as they lie in memory and file. */
import { Buffer } from 'node:buffer';
import type { HttpRequest } from '../request.ts';
import { HELD } from '../request.ts';
import type { BodyConsumer } from '../server/body.ts';
import { H } from '../wire/known.ts';
import { METHOD_LOCK, METHOD_PATCH, METHOD_POST } from '../wire/request-head.ts';
import type { Exchange } from './exchange.ts';
import type { Target } from './target.ts';
import type { OutgoingRequest, UpstreamChannel } from './upstream-channel.ts';
import { NO_BODY, UNKNOWN_LENGTH } from './upstream-channel.ts';
import type { UpstreamPlan } from './upstream-plan.ts';

/** Where pieces of buffered bodies are read into on their way. */
const pieceBuffer = Buffer.allocUnsafeSlow(65536);
/** A body that comes in such pieces may be moved on within the kernel. */
const PASSED_MIN = 16384;
/** The longest body that goes out together with the head. */
const TOGETHER_MAX = 65536;

export class RequestSender implements OutgoingRequest, BodyConsumer {
  readonly #exchange: Exchange;
  r!: HttpRequest;
  plan!: UpstreamPlan;
  uri: string | null = null;
  bodyLength = NO_BODY;
  first: Buffer | null = null;
  firstLength = 0;
  secure = false;
  /** All of the request was given to the channel. */
  done = false;

  get cached(): boolean {
    const { session } = this.#exchange;
    return session !== null && session.wantsWhole;
  }

  get convertsHead(): boolean {
    const { session } = this.#exchange;
    return session !== null && session.convertsHead;
  }

  /** proxy_set_body. */
  #setBody: Buffer | null = null;
  #streamed = false;
  /** How much of a buffered body was sent. */
  #offset = 0;
  #started = false;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  /** Decides what is sent, and reads the body first if it is to be buffered; `exchange.begun` follows. */
  prepare(r: HttpRequest, plan: UpstreamPlan, target: Target): void {
    const { config } = plan;
    this.r = r;
    this.plan = plan;
    this.secure = target.tls !== null;
    this.uri = r.head.pos === 0 ? '/' : plan.uriOf(r, target);
    this.#streamed = false;
    this.#setBody = plan.body === null ? null : Buffer.from(plan.body.get(r), 'latin1');
    if (r.body.complete || !config.passRequestBody || plan.body !== null) {
      if (!r.body.complete) r.body.discard();
      this.#exchange.begun();
    } else if (config.requestBuffering || (r.bodyLength < 0 && !plan.streamsUnknown)) {
      r.body.buffer(this.#bodyReady);
    } else if (arrivedWhole(r)) {
      r.body.buffer(this.#bodyReady, true);
    } else {
      this.#streamed = true;
      this.#exchange.begun();
    }
  }

  readonly #bodyReady = (): void => {
    if (this.#exchange.active) this.#exchange.begun();
  };

  /** Before an attempt. */
  rewind(): void {
    this.#started = false;
    this.done = false;
    this.#offset = 0;
  }

  /** Sends the request on a channel on which the exchange has begun. */
  send(channel: UpstreamChannel): void {
    const { r, plan } = this;
    const { body } = r;
    let length = NO_BODY;
    this.first = null;
    this.firstLength = 0;
    if (this.#setBody !== null) length = this.#setBody.length;
    else if (!plan.config.passRequestBody) length = NO_BODY;
    else if (this.#streamed) length = r.bodyLength < 0 ? UNKNOWN_LENGTH : r.bodyLength;
    else if (r.bodyLength !== 0 || r.head.has(H['content-length'])) length = body.length;
    this.bodyLength = length;
    if (this.#setBody !== null) {
      this.first = this.#setBody;
      this.firstLength = length;
    } else if (length >= 0 && !this.#streamed && body.memoryLength > 0 && body.memoryLength <= TOGETHER_MAX) {
      this.first = body.memory;
      this.#offset = this.firstLength = body.memoryLength;
    }
    this.#started = true;
    const result = channel.sendRequest(this);
    if (this.#streamed) {
      if (result !== HELD) body.stream(this);
    } else if (length <= 0 || this.firstLength === length) this.#sent();
    else if (result !== HELD) this.#sendBuffered(channel);
  }

  /** Sends what is left of a buffered body, piece by piece. */
  #sendBuffered(channel: UpstreamChannel): void {
    const { body } = this.r;
    while (this.#offset < body.length) {
      const n = body.read(this.#offset, pieceBuffer);
      if (n <= 0) {
        this.#exchange.bodyLost();
        return;
      }
      this.#offset += n;
      if (channel.sendBody(pieceBuffer, 0, n, this.#offset === body.length) === HELD) {
        this.#exchange.armSending();
        return;
      }
    }
    channel.endBody();
    this.#sent();
  }

  onBodyData(r: HttpRequest, buf: Buffer, start: number, end: number): number {
    const { channel } = this.#exchange;
    if (channel === null) return 0;
    this.#exchange.armSending();
    const result = channel.sendBody(buf, start, end, r.body.lastPiece);
    if (end - start >= PASSED_MIN && !r.body.lastPiece && result !== HELD && r.channel.passBody !== undefined) {
      const to = channel.bareBody?.() ?? null;
      if (to !== null) r.channel.passBody(r, to);
    }
    return result;
  }

  onBodyEnd(): void {
    const { channel } = this.#exchange;
    if (channel === null) return;
    channel.endBody();
    this.#sent();
  }

  #sent(): void {
    this.done = true;
    this.#exchange.requestSent();
  }

  /** The server takes more. */
  drained(channel: UpstreamChannel): void {
    if (this.done) return;
    this.#exchange.armSending();
    const { r } = this;
    if (!this.#streamed) this.#sendBuffered(channel);
    else if (r.body.held) r.channel.resumeReading(r);
    else if (!r.body.complete || r.body.undecided) r.body.stream(this);
    else if (!this.done) this.#sent();
  }

  /** Whether the request can be sent once more, to another server: what every retry asks for (spec 2.13). */
  get repeatable(): boolean {
    if (!this.#started) return true;
    const { r, plan } = this;
    if (this.#streamed && (r.body.received > 0 || !r.body.complete)) return false;
    const unsafe = r.method === METHOD_POST || r.method === METHOD_LOCK || r.method === METHOD_PATCH;
    return !unsafe || plan.config.nextUpstream.nonIdempotent;
  }

  release(): void {
    this.#setBody = null;
    this.first = null;
  }
}

/** All of the body came with the head: there is nothing to stream, and nginx treats it as buffered. */
function arrivedWhole({ body, loc }: HttpRequest): boolean {
  return body.atHand >= 0 && body.atHand <= loc.core.clientBodyBufferSize;
}
