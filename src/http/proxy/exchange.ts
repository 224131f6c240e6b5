/**
 * The exchange driver: takes a request to one server of a group after another until one answers, and streams the answer
 * to the client. Knows no wire format; `http1-upstream.ts` reads and writes the bytes.
 *
 * The upstream side is always given up (peer, connection) before the answer's last bytes are handed to the client:
 * after that call the request may be over and another one under way.
 */
import { Buffer } from 'node:buffer';
import { Attempt } from '../../upstream/group.ts';
import { BUSY } from '../../upstream/group.ts';
import type { AttemptKeys, Outcome, PeerInfo } from '../../upstream/group.ts';
import { clock } from '../../net/clock.ts';
import { output } from '../../net/output.ts';
import { Timer } from '../../net/timers.ts';
import type { BodyProducer, HttpRequest, UpstreamAttempt, UpstreamTrace } from '../request.ts';
import { HELD, SENT } from '../request.ts';
import { logRequest } from '../request-log.ts';
import type { BodyConsumer } from '../server/body.ts';
import * as engine from '../engine.ts';
import { CONNECTION_OTHER, connectionFlags, nominatedFields } from '../server/framing.ts';
import type { HeaderBlock } from '../wire/header-block.ts';
import { H } from '../wire/known.ts';
import { METHOD_HEAD, METHOD_LOCK, METHOD_PATCH, METHOD_POST } from '../wire/request-head.ts';
import type { ResponseHead } from '../wire/response-head.ts';
import { accelRedirect, limitRate } from './accel.ts';
import { composeRequest, CHUNKED_BODY, NO_BODY } from './request-writer.ts';
import { openUpstream } from './dial.ts';
import { extended } from './hide.ts';
import type { Failure, Http1Upstream, UpstreamEvents } from './http1-upstream.ts';
import type { ProxyPlan } from './plan.ts';
import { dropDuplicates, rewriteAnswer } from './rewrite-answer.ts';
import { resolveTarget } from './target.ts';
import type { Target } from './target.ts';
import { Tunnel } from './tunnel.ts';

/** What the timer waits for. */
const CONNECTING = 0;
const SENDING = 1;
const READING = 2;

/** Why an attempt failed, as proxy_next_upstream names it. */
const ERROR = 0;
const TIMEOUT = 1;
const INVALID = 2;

/** Where pieces of buffered bodies are read into on their way. */
const pieceBuffer = Buffer.allocUnsafeSlow(65536);

const outcome: Outcome = { failed: false, next: false, hadHeader: false, headerMs: 0, responseMs: 0 };
const keys: AttemptKeys = {};

export class Exchange implements BodyProducer, BodyConsumer, UpstreamEvents, UpstreamTrace {
  r!: HttpRequest;
  plan!: ProxyPlan;
  target!: Target;
  readonly attempt = new Attempt();
  conn: Http1Upstream | null = null;
  /** Connecting; the connection is not usable yet. */
  #dialing: { cancel(): void } | null = null;
  #peer: PeerInfo | null = null;
  readonly #timer = new Timer(() => this.#timedOut());
  #timerKind = CONNECTING;

  // The present attempt.
  #selectedAt = 0;
  #connectMs = -1;
  #headerMs = -1;
  #responseMs = -1;
  #status = 0;
  #address = '';
  #reused = false;
  #sentSomething = false;
  #requestDone = false;
  #bodyOffset = 0;
  #bytesBefore = 0;
  #bytesReadBefore = 0;
  #bytesSent = 0;
  #bytesReceived = 0;
  #responseLength = 0;

  // The whole exchange.
  #past: UpstreamAttempt[] = [];
  #redirected = false;
  #firstAt = 0;
  #streamBody = false;
  #uri: string | null = null;
  #setBody: Buffer | null = null;
  #headDone = false;
  #upstreamDone = false;
  #active = false;
  head: ResponseHead | null = null;
  trailers: HeaderBlock | null = null;
  queueMs = -1;
  lastServerName = '';

  // ------------------------------------------------------------------------------------ begin

  /** Begins: reads the body first if it is buffered, finds the group, chooses a server. */
  begin(r: HttpRequest, plan: ProxyPlan): void {
    this.r = r;
    this.plan = plan;
    this.#active = true;
    if (r.upstream !== null) {
      this.#inherit(r.upstream);
      // An X-Accel-Redirect brought it here; this answer has its own.
      r.contentType = null;
    }
    r.upstream = this;
    r.producer = this;
    if (plan.target === null) {
      this.target = plan as Target;
      this.#start();
    } else resolveTarget(r, plan, (target) => this.#targetFound(target));
  }

  /** After an internal redirect: the attempts of the exchange before stay visible. */
  #inherit(before: UpstreamTrace): void {
    this.#past = before.attempts;
    this.#redirected = true;
    before.release();
  }

  #targetFound(target: Target | null): void {
    if (!this.#active) return;
    if (target === null) {
      this.#finalize(502);
      return;
    }
    this.target = target;
    this.#start();
  }

  #start(): void {
    const { r, plan } = this;
    const config = plan.config;
    this.#uri = r.head.pos === 0 ? '/' : this.target.uriOf(r, plan);
    this.#streamBody = false;
    this.#setBody = null;
    if (plan.body !== null) {
      const text = plan.body.get(r);
      this.#setBody = Buffer.from(text, 'latin1');
    }
    if (r.body.complete || !config.passRequestBody || plan.body !== null) {
      if (!r.body.complete) r.body.discard();
      this.#begun();
    } else if (config.requestBuffering || (r.bodyLength < 0 && !plan.http11)) {
      r.body.buffer(this.#bodyReady);
    } else {
      this.#streamBody = true;
      this.#begun();
    }
  }

  readonly #bodyReady = (): void => {
    if (this.#active) this.#begun();
  };

  #begun(): void {
    const { r, target } = this;
    const group = target.group!;
    keys.hashKey = '';
    keys.clientAddress = undefined;
    keys.stickySid = '';
    if (!group.keyless) {
      if (group.hashKey !== null) keys.hashKey = group.hashKey.get(r);
      if (group.byAddress) keys.clientAddress = r.client.bytes;
      if (group.sticky !== null) keys.stickySid = group.sticky.hint(r);
    }
    group.peers.begin(this.attempt, keys, this.plan.config.nextUpstreamTries);
    this.#firstAt = clock.now;
    this.#select();
  }

  // ------------------------------------------------------------------------------------ an attempt

  #select(): void {
    const { r, plan, target } = this;
    const group = target.group!;
    this.#selectedAt = clock.now;
    this.#connectMs = this.#headerMs = this.#responseMs = -1;
    this.#status = 0;
    this.#sentSomething = false;
    this.#requestDone = false;
    this.#bodyOffset = 0;
    this.#bytesSent = this.#bytesReceived = this.#responseLength = 0;
    const slot = group.peers.pick(this.attempt);
    if (slot === BUSY) {
      this.#peer = null;
      this.#address = group.config.name;
      this.#status = 502;
      logRequest(
        r,
        'error',
        'no live upstreams while connecting to upstream',
        `${plan.pass.scheme}://${group.config.name}${this.#uri ?? r.head.target()}`,
      );
      this.#finalize(502);
      return;
    }
    const peer = (this.#peer = group.peers.peer(slot));
    this.#address = peer.address;
    this.lastServerName = peer.server;
    if (group.sticky !== null) group.sticky.chosen(r, peer);
    const idle = group.idle === null ? null : group.idle.take(peer.address, this.#variant());
    if (idle !== null) {
      this.#reused = true;
      this.conn = idle;
      this.#connected(idle);
      return;
    }
    this.#reused = false;
    this.#arm(CONNECTING, plan.config.connectTimeoutMs);
    this.#dialing = openUpstream(r, plan, target, peer, this.#opened, this.#openFailed);
  }

  #variant(): string {
    return this.target.variantOf(this.r, this.plan);
  }

  readonly #opened = (conn: Http1Upstream): void => {
    this.#dialing = null;
    if (!this.#active) {
      conn.destroy();
      return;
    }
    this.conn = conn;
    this.#connected(conn);
  };

  readonly #openFailed = (message: string): void => {
    this.#dialing = null;
    if (this.#active) this.#failed(ERROR, message);
  };

  #connected(conn: Http1Upstream): void {
    const { r, plan } = this;
    this.#connectMs = elapsed(this.#selectedAt);
    conn.begin(this, r.method === METHOD_HEAD && plan.method === null, plan.config.bufferSize);
    this.#bytesBefore = conn.transport.bytesWritten;
    this.#bytesReadBefore = conn.transport.bytesRead;
    this.#arm(SENDING, plan.config.sendTimeoutMs);
    this.#send(conn);
  }

  #send(conn: Http1Upstream): void {
    const { r, plan } = this;
    const o = output;
    o.length = 0;
    let length = NO_BODY;
    const body = r.body;
    if (this.#setBody !== null) length = this.#setBody.length;
    else if (!plan.config.passRequestBody) length = NO_BODY;
    else if (this.#streamBody) length = r.bodyLength < 0 ? CHUNKED_BODY : r.bodyLength;
    else if (r.bodyLength !== 0 || r.head.has(H['content-length'])) length = body.length;
    composeRequest(o, r, plan, this.#uri, length);
    if (this.#setBody !== null) o.bytes(this.#setBody, 0, this.#setBody.length);
    else if (length >= 0 && !this.#streamBody && body.memoryLength > 0 && body.memoryLength <= 65536) {
      o.bytes(body.memory!, 0, body.memoryLength);
      this.#bodyOffset = body.memoryLength;
    }
    this.#sentSomething = true;
    const result = conn.transport.write(o.buf, 0, o.length);
    if (result === HELD) {
      if (this.#streamBody || (this.#setBody === null && this.#bodyOffset < body.length)) return;
    } else if (this.#streamBody) {
      body.stream(this);
      return;
    } else if (this.#setBody === null && length > 0 && this.#bodyOffset < body.length) {
      this.#sendBuffered();
      return;
    }
    this.#requestSent();
  }

  /** Sends what is left of a buffered body, piece by piece. */
  #sendBuffered(): void {
    const body = this.r.body;
    const conn = this.conn!;
    while (this.#bodyOffset < body.length) {
      const n = body.read(this.#bodyOffset, pieceBuffer);
      if (n <= 0) {
        this.#failed(ERROR, 'request body could not be read back');
        return;
      }
      this.#bodyOffset += n;
      if (conn.transport.write(pieceBuffer, 0, n) === HELD) {
        this.#arm(SENDING, this.plan.config.sendTimeoutMs);
        return;
      }
    }
    this.#requestSent();
  }

  onBodyData(_r: HttpRequest, buf: Buffer, start: number, end: number): number {
    const conn = this.conn;
    if (conn === null) return SENT;
    const o = output;
    o.length = 0;
    if (this.r.bodyLength < 0) {
      o.hex(end - start);
      o.crlf();
      o.bytes(buf, start, end);
      o.crlf();
    } else o.bytes(buf, start, end);
    this.#arm(SENDING, this.plan.config.sendTimeoutMs);
    return conn.transport.write(o.buf, 0, o.length);
  }

  onBodyEnd(): void {
    const conn = this.conn;
    if (conn === null) return;
    if (this.r.bodyLength < 0) {
      const last = Buffer.from('0\r\n\r\n');
      conn.transport.write(last, 0, last.length);
    }
    this.#requestSent();
  }

  #requestSent(): void {
    this.#requestDone = true;
    if (!this.#headDone || !this.#upstreamDone) this.#arm(READING, this.plan.config.readTimeoutMs);
  }

  onUpstreamDrain(): void {
    if (this.#tunnel !== null) {
      this.#tunnel.onUpstreamDrain();
      return;
    }
    if (this.#requestDone || this.conn === null) return;
    this.#arm(SENDING, this.plan.config.sendTimeoutMs);
    const { r } = this;
    if (this.#streamBody) {
      if (r.body.held) r.channel.resumeReading(r);
      else if (!r.body.complete || r.body.undecided) r.body.stream(this);
      else if (!this.#requestDone) this.#requestSent();
    } else this.#sendBuffered();
  }

  // ------------------------------------------------------------------------------------ the answer

  onHead(head: ResponseHead): void {
    const { r, plan } = this;
    const conn = this.conn!;
    const status = head.status;
    this.head = head;
    this.#status = status;
    this.#headerMs = elapsed(this.#selectedAt);
    if (status === 101) {
      this.#upgrade(head, conn);
      return;
    }
    if (plan.nextStatus[status] === 1 && this.#mayRetry() && this.attempt.triesLeft > 1) {
      this.#countBytes(conn);
      this.#responseMs = elapsed(this.#selectedAt);
      this.#endAttempt(status !== 403 && status !== 404, status === 403 || status === 404);
      conn.destroy();
      this.conn = null;
      this.#pushAttempt();
      this.head = null;
      this.#select();
      return;
    }
    const group = this.target.group!;
    group.peers.headerReceived(this.attempt, this.#headerMs);
    if (group.sticky !== null) group.sticky.headerReceived(r, this.#peer!);

    if (plan.config.interceptErrors && status >= 300 && r.loc.errorPages !== null && this.#intercept(status, head))
      return;
    if (head.has(H['x-accel-limit-rate']) && plan.accel.limitRate) limitRate(r, head);
    if (head.has(H['x-accel-redirect']) && plan.accel.redirect) {
      this.#giveUp(false);
      accelRedirect(r, this.head!, plan.cookies);
      return;
    }

    this.#headDone = true;
    r.status = status;
    r.block = head;
    r.hide = plan.responseHide;
    if (head.has(H.connection) && (connectionFlags(head) & CONNECTION_OTHER) !== 0) {
      r.hide = extended(r.hide, nominatedFields(head));
    }
    r.contentLength = conn.contentLength;
    if (plan.rewritesAnswer) rewriteAnswer(r, plan, this.target, head);
    if (head.repeats) dropDuplicates(r, head);
  }

  /** proxy_intercept_errors: the location's own page takes the place of the answer. */
  #intercept(status: number, head: ResponseHead): boolean {
    const { r } = this;
    if (r.inErrorPage || !r.loc.errorPages!.some((page) => page.statuses.includes(status))) return false;
    if (status === 401) {
      for (let i = head.first(H['www-authenticate']); i >= 0; i = head.next(i))
        r.fields.add('WWW-Authenticate', head.value(i));
    }
    this.#giveUp(false);
    engine.finalize(r, status);
    return true;
  }

  onBody(buf: Buffer, start: number, end: number, last: boolean): void {
    const { r } = this;
    const conn = this.conn!;
    this.#responseLength += end - start;
    if (conn.extra) {
      logRequest(
        r,
        'warn',
        'upstream sent more data than specified in "Content-Length" header while reading upstream',
        this.#upstreamText(),
      );
    }
    if (last) {
      if (conn.trailers !== null) {
        this.trailers = conn.trailers;
        if (this.plan.config.passTrailers === true) r.trailers = conn.trailers;
      }
      this.#finishUpstream(conn);
    } else this.#arm(READING, this.plan.config.readTimeoutMs);

    if (!r.headSent) {
      // A large piece is sent from where it stands, with our head written over the server's.
      if (end - start >= 4096) conn.keepHead();
      const result = r.sendHead(buf, start, end, last);
      this.#afterSend(result, last, conn);
      return;
    }
    if (end === start && !last) return;
    this.#afterSend(r.sendBody(buf, start, end, last), last, conn);
  }

  /** The client does not take more at present: stop reading from the server until it does. */
  #afterSend(result: number, last: boolean, conn: Http1Upstream): void {
    if (result === SENT) return;
    // Held: the request is not over, `this` is still its exchange.
    if (last) this.#keepHead();
    else {
      conn.transport.pause();
      conn.transport.slowDown();
    }
  }

  /** The connection goes on to other exchanges while ours is not logged yet: keep what the log may ask for. */
  #keepHead(): void {
    if (this.head === null) return;
    const copy = this.head.snapshot();
    if (this.r.block === this.head) this.r.block = copy;
    this.head = copy;
  }

  onDrain(): void {
    if (this.#tunnel !== null) this.#tunnel.onClientDrain();
    else this.conn?.transport.resume();
  }

  /** The answer was read to its end: give the peer back, keep the connection or close it. */
  #finishUpstream(conn: Http1Upstream): void {
    this.#upstreamDone = true;
    this.#timer.cancel();
    this.#responseMs = elapsed(this.#selectedAt);
    this.#countBytes(conn);
    this.#endAttempt(false, false);
    const group = this.target.group!;
    const config = group.config.keepalive;
    this.conn = null;
    if (
      conn.reusable &&
      this.#requestDone &&
      group.idle !== null &&
      conn.requests < config.requests &&
      clock.now - conn.createdAt <= config.timeMs &&
      !conn.transport.ended &&
      !conn.transport.busy
    ) {
      conn.release();
      group.keep(conn, this.#address, this.#variant());
    } else conn.destroy();
  }

  #countBytes(conn: Http1Upstream): void {
    this.#bytesSent = conn.transport.bytesWritten - this.#bytesBefore;
    this.#bytesReceived = conn.transport.bytesRead - this.#bytesReadBefore;
  }

  /** Tells the group what became of the attempt. */
  #endAttempt(failed: boolean, next: boolean): void {
    outcome.failed = failed;
    outcome.next = next;
    outcome.hadHeader = this.#headerMs >= 0 && !failed && !next;
    outcome.headerMs = Math.max(0, this.#headerMs);
    outcome.responseMs = this.#responseMs >= 0 ? this.#responseMs : elapsed(this.#selectedAt);
    outcome.status = this.#status;
    outcome.bytesSent = this.#bytesSent;
    outcome.bytesReceived = this.#bytesReceived;
    const group = this.target.group!;
    if (group.sticky !== null && !failed) group.sticky.done(this.r, this.#peer!);
    if (group.peers.done(this.attempt, outcome)) {
      logRequest(
        this.r,
        'warn',
        'upstream server temporarily disabled while connecting to upstream',
        this.#upstreamText(),
      );
    }
  }

  // ------------------------------------------------------------------------------------ failures

  onFailure(failure: Failure): void {
    if (failure.kind === 'cut') this.#cut(failure.message);
    else this.#failed(failure.kind === 'error' ? ERROR : INVALID, failure.message);
  }

  #timedOut(): void {
    if (!this.#active) return;
    if (this.#headDone) {
      this.#cut('upstream timed out (110: Connection timed out) while reading upstream');
      return;
    }
    const doing =
      this.#timerKind === CONNECTING
        ? 'connecting to upstream'
        : this.#timerKind === SENDING
          ? 'sending request to upstream'
          : 'reading response header from upstream';
    this.#failed(TIMEOUT, `upstream timed out (110: Connection timed out) while ${doing}`);
  }

  /** An attempt failed before its answer began. */
  #failed(why: number, message: string): void {
    const { r, plan } = this;
    logRequest(r, 'error', message, this.#upstreamText());
    this.#timer.cancel();
    this.#dialing?.cancel();
    this.#dialing = null;
    const conn = this.conn;
    if (conn !== null) {
      this.#countBytes(conn);
      conn.destroy();
      this.conn = null;
    }
    const status = why === TIMEOUT ? 504 : 502;
    this.#status = status;
    this.#responseMs = elapsed(this.#selectedAt);
    this.#endAttempt(true, false);
    // A server may close an idle connection at any time: that says nothing about it.
    if (this.#reused && why === ERROR) this.attempt.grantExtraTry();
    if (this.attempt.triesLeft > 0 && this.#mayRetry() && allowed(plan, why)) {
      this.#pushAttempt();
      this.head = null;
      this.#select();
      return;
    }
    this.#finalize(status);
  }

  /** What every retry asks for, whatever its reason (spec 2.13). */
  #mayRetry(): boolean {
    const { r, plan } = this;
    const next = plan.config.nextUpstream;
    if (this.#sentSomething) {
      if (this.#streamBody && r.body.received > 0) return false;
      if (this.#streamBody && !r.body.complete) return false;
      const unsafe = r.method === METHOD_POST || r.method === METHOD_LOCK || r.method === METHOD_PATCH;
      if (unsafe && !next.nonIdempotent) return false;
    }
    const limit = plan.config.nextUpstreamTimeoutMs;
    return limit === 0 || clock.now - this.#firstAt < limit;
  }

  /** The answer broke off after its head: the client must see that, too. */
  #cut(message: string): void {
    const { r } = this;
    logRequest(r, 'error', message, this.#upstreamText());
    this.#responseMs = elapsed(this.#selectedAt);
    if (!r.headSent) {
      this.#giveUp(true);
      this.#status = 502;
      engine.finalize(r, 502);
      return;
    }
    const conn = this.conn;
    if (conn !== null) {
      this.#countBytes(conn);
      conn.destroy();
      this.conn = null;
    }
    this.#timer.cancel();
    this.#endAttempt(false, false);
    this.#active = false;
    r.producer = null;
    r.channel.abort(r);
  }

  #finalize(status: number): void {
    const { r } = this;
    this.#giveUp(false);
    engine.finalize(r, status);
  }

  /** Lets go of server and connection. */
  #giveUp(failed: boolean): void {
    this.#active = false;
    this.#timer.cancel();
    this.#dialing?.cancel();
    this.#dialing = null;
    if (this.#responseMs < 0) this.#responseMs = elapsed(this.#selectedAt);
    const conn = this.conn;
    if (conn !== null) {
      this.#countBytes(conn);
      this.#keepHead();
      conn.destroy();
      this.conn = null;
    }
    if (this.attempt.slot >= 0) this.#endAttempt(failed, false);
    if (this.r.producer === this) this.r.producer = null;
  }

  /** The client is gone. */
  onAbort(): void {
    if (this.#tunnel !== null) return;
    if (this.#active && this.#status === 0) this.#status = 499;
    this.#giveUp(false);
  }

  // ------------------------------------------------------------------------------------ upgrade

  #tunnel: Tunnel | null = null;

  #upgrade(head: ResponseHead, conn: Http1Upstream): void {
    const { r, plan } = this;
    if (!r.head.has(H.upgrade)) {
      this.#failed(
        INVALID,
        'upstream sent unexpected "101 Switching Protocols" while reading response header from upstream',
      );
      return;
    }
    this.#headDone = true;
    this.#upstreamDone = true;
    this.#timer.cancel();
    r.status = 101;
    r.block = head;
    r.hide = extendedWithoutUpgrade(plan);
    r.keepAlive = false;
    conn.upgrade();
    this.#tunnel = new Tunnel(r, conn, plan, () => this.#tunnelOver(conn));
    r.sendHead(null, 0, 0, false);
    this.#keepHead();
    r.channel.takeOver(r, this.#tunnel);
  }

  #tunnelOver(conn: Http1Upstream): void {
    this.#responseMs = elapsed(this.#selectedAt);
    this.#countBytes(conn);
    this.#endAttempt(false, false);
    conn.destroy();
    this.conn = null;
    this.#active = false;
  }

  onTunnelData(buf: Buffer, start: number, end: number): void {
    this.#responseLength += end - start;
    this.#tunnel?.onUpstreamData(buf, start, end);
  }

  onTunnelEnd(): void {
    this.#tunnel?.onUpstreamEnd();
  }

  // ------------------------------------------------------------------------------------ trace

  get attempts(): UpstreamAttempt[] {
    return this.#address === '' ? this.#past : [...this.#past, this.#present()];
  }

  #present(): UpstreamAttempt {
    return {
      address: this.#address,
      status: this.#status,
      connectMs: this.#connectMs,
      headerMs: this.#headerMs,
      responseMs: this.#responseMs,
      responseLength: this.#responseLength,
      bytesReceived: this.#bytesReceived,
      bytesSent: this.#bytesSent,
      redirected: this.#redirected,
    };
  }

  #pushAttempt(): void {
    this.#past = [...this.#past, this.#present()];
    this.#redirected = false;
    this.#address = '';
  }

  /** `http://127.0.0.1:80/uri`, as the log shows it. */
  #upstreamText(): string {
    const separator = this.#peer?.family === 'unix' ? ':' : '';
    return `${this.plan.pass.scheme}://${this.#address}${separator}${this.#uri ?? this.r.head.target()}`;
  }

  #arm(kind: number, ms: number): void {
    this.#timerKind = kind;
    this.#timer.arm(ms);
  }

  /** The request is over: back to the pool of exchanges. */
  release(): void {
    if (this.#active && this.conn !== null) this.#giveUp(false);
    this.#active = false;
    this.#timer.cancel();
    this.#past = NO_ATTEMPTS;
    this.#address = '';
    this.#redirected = false;
    this.#headDone = false;
    this.#upstreamDone = false;
    this.#tunnel = null;
    this.#peer = null;
    this.#setBody = null;
    this.head = null;
    this.trailers = null;
    if (spare.length < MAX_SPARE) spare.push(this);
  }
}

const NO_ATTEMPTS: UpstreamAttempt[] = [];
const spare: Exchange[] = [];
const MAX_SPARE = 512;

/** Starts the exchange of a request that a location proxies. */
export function proxy(r: HttpRequest, plan: ProxyPlan): void {
  (spare.pop() ?? new Exchange()).begin(r, plan);
}

function elapsed(since: number): number {
  return Math.round(clock.now - since);
}

function allowed(plan: ProxyPlan, why: number): boolean {
  const next = plan.config.nextUpstream;
  return why === ERROR ? next.error : why === TIMEOUT ? next.timeout : next.invalidHeader;
}

/** The Upgrade field of a 101 is for the client. */
function extendedWithoutUpgrade(plan: ProxyPlan): ProxyPlan['responseHide'] {
  const ids = plan.responseHide.ids.slice();
  ids[H.upgrade] = 0;
  return { ids, others: plan.responseHide.others };
}
