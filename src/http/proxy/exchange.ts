/**
 * The exchange driver: takes a request to one server of a group after another until one answers. Knows no wire format
 * (`upstream-channel.ts` is what it sees of a server's side), and leaves the request's way out to `request-sender.ts` and
 * the answer's way back to `answer-relay.ts`.
 *
 * The upstream side is always given up (peer, channel) before the answer's last bytes are handed to the client: after
 * that call the request may be over and another one under way.
 */
import { Attempt, BUSY, type PeerInfo } from '../../upstream/group.ts';
import { clock } from '../../net/clock.ts';
import { Timer } from '../../net/timers.ts';
import type { BodyProducer, HttpRequest, UpstreamAttempt, UpstreamTrace } from '../request.ts';
import { logRequest } from '../request-log.ts';
import * as engine from '../engine.ts';
import type { CacheSession } from '../cache/session.ts';
import type { HeaderBlock } from '../wire/header-block.ts';
import type { ResponseHead } from '../wire/response-head.ts';
import { AnswerRelay } from './answer-relay.ts';
import { AttemptRecord } from './attempt-record.ts';
import { reportAttempt } from './attempt-report.ts';
import { endDetached, leaveClient } from './detachment.ts';
import * as failures from './failures.ts';
import { CONNECTING, ERROR, INVALID, READING, SENDING, TIMEOUT } from './failures.ts';
import { RateGate } from './rate-gate.ts';
import { QueueWait } from './queue-wait.ts';
import { RequestSender } from './request-sender.ts';
import { resolveTarget, type Target } from './target.ts';
import type { Failure, UpstreamChannel } from './upstream-channel.ts';
import type { UpstreamPlan } from './upstream-plan.ts';

export class Exchange implements BodyProducer, UpstreamTrace {
  r!: HttpRequest;
  plan!: UpstreamPlan;
  target!: Target;
  /** Begun, and not over yet. */
  active = false;
  /** What the present attempt goes over; null: none yet, or given up. */
  channel: UpstreamChannel | null = null;
  peer: PeerInfo | null = null;
  readonly attempt = new Attempt();
  readonly record = new AttemptRecord();
  readonly sender = new RequestSender(this);
  readonly relay = new AnswerRelay(this);
  /** The cache that the answer is fetched for; null: none. */
  session: CacheSession | null = null;
  /** The client's request is over, and the answer is fetched nevertheless: `r` is a copy of it. */
  detached = false;
  queueMs = -1;
  lastServerName = '';

  readonly #timer = new Timer(() => this.#timedOut());
  #timerKind = CONNECTING;
  /** Connecting; there is no channel yet. */
  #dialing: { cancel(): void } | null = null;
  #firstAt = 0;
  /** Its place in the group's queue; null: it never had to wait. */
  #waiting: QueueWait | null = null;
  #reused = false;
  /** Lets the answer through at a rate; null: as it comes. */
  #gate: RateGate | null = null;

  // ------------------------------------------------------------------------------------ begin

  /** Begins: finds the group, reads the body first if it is buffered, chooses a server. */
  begin(r: HttpRequest, plan: UpstreamPlan, session: CacheSession | null): void {
    this.r = r;
    this.plan = plan;
    this.session = session;
    this.active = true;
    if (r.upstream !== null) {
      // An X-Accel-Redirect brought it here; this answer has a type of its own.
      this.record.inherit(r.upstream.attempts);
      r.upstream.release();
      if (plan.answersHaveType) r.contentType = null;
    }
    r.upstream = this;
    r.producer = this;
    if (plan.target === null) {
      this.target = plan;
      this.sender.prepare(r, plan, plan);
    } else resolveTarget(r, plan, (target) => this.#targetFound(target));
  }

  #targetFound(target: Target | number): void {
    if (!this.active) return;
    if (typeof target === 'number') {
      this.#finalize(target);
      return;
    }
    this.target = target;
    this.sender.prepare(this.r, this.plan, target);
  }

  /** The request can be sent. */
  begun(): void {
    const { r } = this;
    const refusal = this.plan.refuse(r);
    if (refusal !== null) {
      logRequest(r, 'error', refusal);
      this.#finalize(500);
      return;
    }
    const group = this.target.group!;
    group.begin(this.attempt, r, this.plan.config.nextUpstreamTries);
    this.#firstAt = clock.now;
    this.#select();
  }

  // ------------------------------------------------------------------------------------ an attempt

  #select(): void {
    this.record.begin();
    this.sender.rewind();
    this.#choose();
  }

  /** Chooses a server, at once or when it is this request's turn in the group's queue. */
  #choose(): void {
    const { r, plan, target, record } = this;
    const group = target.group!;
    const slot = group.peers.pick(this.attempt);
    if (slot < 0) {
      if (slot === BUSY) this.#nobody();
      else (this.#waiting ??= new QueueWait(this, this.#turn, () => this.#nobody())).begin(group);
      return;
    }
    if (this.#waiting !== null) this.#waiting.end();
    const peer = (this.peer = group.peers.peer(slot));
    record.address = peer.address;
    this.lastServerName = peer.server;
    if (group.sticky !== null) group.sticky.chosen(r, peer);
    const open = plan.take(r, target, peer);
    if (open !== null) {
      this.#reused = true;
      this.#connected(open);
      return;
    }
    this.#reused = false;
    this.#arm(CONNECTING, plan.config.connectTimeoutMs);
    this.#dialing = plan.open(r, target, peer, this.#opened, this.#openFailed);
  }

  readonly #turn = (): void => this.#choose();

  /** No server can be chosen. */
  #nobody(): void {
    const { r, plan, record } = this;
    const { name } = this.target.group!.config;
    this.peer = null;
    record.address = name;
    record.status = plan.nobody(r);
    const url = `${plan.scheme}://${name}${this.sender.uri ?? r.head.target()}`;
    logRequest(r, 'error', 'no live upstreams while connecting to upstream', url);
    this.#answerFailure(ERROR, record.status);
  }

  readonly #opened = (channel: UpstreamChannel): void => {
    this.#dialing = null;
    if (this.active) this.#connected(channel);
    else channel.destroy();
  };

  readonly #openFailed = (message: string, ours = false): void => {
    this.#dialing = null;
    if (this.active) this.#failed(ours ? failures.OURS : ERROR, message);
  };

  #connected(channel: UpstreamChannel): void {
    const { plan, record } = this;
    this.channel = channel;
    record.connectMs = record.elapsed();
    this.#gate = plan.limitRate === null ? null : new RateGate(this.relay, channel, this.r, plan.limitRate);
    const headOnly = plan.headOnly(this.r) && !(this.session !== null && this.session.convertsHead);
    channel.begin(this.#gate ?? this.relay, headOnly, plan.config.bufferSize);
    this.#arm(SENDING, plan.config.sendTimeoutMs);
    this.sender.send(channel);
  }

  /** All of the request was given to the channel: the answer's turn. */
  requestSent(): void {
    if (!this.relay.upstreamDone) this.armReading();
  }

  armSending(): void {
    this.#arm(SENDING, this.plan.config.sendTimeoutMs);
  }

  armReading(): void {
    this.#arm(READING, this.plan.config.readTimeoutMs);
  }

  disarm(): void {
    this.#timer.cancel();
  }

  #arm(kind: number, ms: number): void {
    this.#timerKind = kind;
    this.#timer.arm(ms);
  }

  // ------------------------------------------------------------------------------------ its end

  /** Notes what the channel has carried. */
  count(channel: UpstreamChannel): void {
    this.record.bytesSent = channel.bytesSent;
    this.record.bytesReceived = channel.bytesReceived;
  }

  /** The answer was read to its end: gives the peer back, keeps the channel if it can be used again. */
  finishUpstream(channel: UpstreamChannel): void {
    const { record } = this;
    this.#timer.cancel();
    record.responseMs = record.elapsed();
    this.count(channel);
    reportAttempt(this, false, false);
    this.#giveBack(channel);
  }

  #giveBack(channel: UpstreamChannel): void {
    const group = this.target.group!;
    this.channel = null;
    this.#gate?.close();
    if (group.ntlm !== null && group.ntlm.keep(this, channel)) return;
    if (group.idle === null) channel.destroy();
    else if (channel.finish(this.sender.done, group.config.keepalive))
      group.keep(channel, group.poolKey(this.peer!), this.plan.variantOf(this.r, this.target));
  }

  /** An answer with this status may be had better elsewhere: whether another server is tried now. */
  tryNextFor(status: number, channel: UpstreamChannel): boolean {
    if (this.plan.nextStatus[status] !== 1 || !this.#mayRetry() || this.attempt.triesLeft <= 1) return false;
    const { record } = this;
    const unavailing = status === 403 || status === 404;
    this.count(channel);
    record.responseMs = record.elapsed();
    reportAttempt(this, !unavailing, unavailing);
    if (channel.complete) this.#giveBack(channel);
    else this.#dropChannel();
    this.#next();
    return true;
  }

  #next(): void {
    this.record.push();
    this.relay.head = null;
    this.#select();
  }

  // ------------------------------------------------------------------------------------ failures

  onFailure(failure: Failure): void {
    if (failure.kind === 'cut') this.cut(failure.message);
    else this.#failed(failure.kind === 'error' ? ERROR : INVALID, failure.message);
  }

  #timedOut(): void {
    if (!this.active) return;
    if (this.relay.headDone) {
      this.cut('upstream timed out (110: Connection timed out) while reading upstream');
      return;
    }
    this.#failed(TIMEOUT, failures.timedOutText(this.#timerKind));
  }

  /** The answer's head makes no sense here. */
  invalidHead(message: string): void {
    this.#failed(INVALID, message);
  }

  bodyLost(): void {
    this.#failed(ERROR, 'request body could not be read back');
  }

  /** An attempt failed before its answer began. */
  #failed(why: number, message: string): void {
    const { r, plan, record } = this;
    logRequest(r, 'error', message, this.upstreamText());
    this.#timer.cancel();
    this.#dialing?.cancel();
    this.#dialing = null;
    this.#dropChannel();
    const status = failures.STATUSES[why]!;
    record.status = status;
    record.responseMs = record.elapsed();
    reportAttempt(this, why !== failures.OURS, false);
    // A server may close an idle connection at any time: that says nothing about it.
    if (this.#reused && why === ERROR) this.attempt.grantExtraTry();
    if (this.attempt.triesLeft > 0 && this.#mayRetry() && failures.allowed(plan, why)) this.#next();
    else this.#answerFailure(why, status);
  }

  /** No server answers: something older may, else an error page. */
  #answerFailure(why: number, status: number): void {
    const { session } = this;
    if (session !== null) {
      const old = session.insteadOfFailure(failures.REASONS[why]!);
      if (old !== null && !this.detached) {
        this.giveUp(false);
        session.serveOld(old);
        return;
      }
      session.failed(status);
    }
    this.#finalize(status);
  }

  #dropChannel(): void {
    const { channel } = this;
    if (channel === null) return;
    this.count(channel);
    channel.destroy();
    this.channel = null;
    this.#gate?.close();
  }

  #mayRetry(): boolean {
    if (!this.sender.repeatable) return false;
    const limit = this.plan.config.nextUpstreamTimeoutMs;
    return limit === 0 || clock.now - this.#firstAt < limit;
  }

  /** The answer broke off after its head: the client must see that, too. */
  cut(message: string): void {
    const { r, record } = this;
    logRequest(r, 'error', message, this.upstreamText());
    record.responseMs = record.elapsed();
    if (!r.headSent) {
      this.giveUp(true);
      record.status = 502;
      this.#finalize(502);
      return;
    }
    this.#dropChannel();
    this.#timer.cancel();
    this.relay.buffering.close();
    if (this.attempt.slot >= 0) reportAttempt(this, false, false);
    this.active = false;
    if (this.detached) {
      endDetached(this);
      return;
    }
    r.producer = null;
    r.channel.abort(r);
  }

  #finalize(status: number): void {
    const { r } = this;
    this.giveUp(false);
    if (this.detached) endDetached(this);
    else engine.finalize(r, status);
  }

  /** Lets go of server and channel. */
  giveUp(failed: boolean): void {
    const { record } = this;
    this.active = false;
    if (this.#waiting !== null) this.#waiting.end();
    this.#timer.cancel();
    this.relay.buffering.close();
    this.#dialing?.cancel();
    this.#dialing = null;
    if (record.responseMs < 0) record.responseMs = record.elapsed();
    if (this.channel !== null) {
      this.relay.copyHead();
      this.#dropChannel();
    }
    if (this.attempt.slot >= 0) reportAttempt(this, failed, false);
    if (this.r.producer === this) this.r.producer = null;
  }

  // ------------------------------------------------------------------------------------ the client

  onDrain(): void {
    this.relay.onClientDrain();
  }

  /** The client is gone. */
  onAbort(): void {
    if (this.relay.tunnelling) return;
    // What is fetched for a cache is fetched to its end.
    if (this.active && this.channel !== null && this.keepsOn) {
      leaveClient(this);
      return;
    }
    if (this.active && this.record.status === 0) this.record.status = 499;
    this.giveUp(false);
  }

  /** The answer is wanted even without the client. */
  get keepsOn(): boolean {
    return this.plan.store !== null || (this.session !== null && this.session.cacheable);
  }

  get leavesWithClient(): boolean {
    return !this.plan.config.ignoreClientAbort && !this.keepsOn;
  }

  get validators(): { etag: string; lastModified: number } | null {
    return this.session === null ? null : this.session.validators;
  }

  // ------------------------------------------------------------------------------------ trace

  get attempts(): UpstreamAttempt[] {
    return this.record.attempts;
  }

  get head(): ResponseHead | null {
    return this.relay.head;
  }

  get trailers(): HeaderBlock | null {
    return this.relay.trailers;
  }

  /** `http://127.0.0.1:80/uri`, as the log shows it. */
  upstreamText(): string {
    const separator = this.peer?.family === 'unix' ? ':' : '';
    return `${this.plan.scheme}://${this.record.address}${separator}${this.sender.uri ?? this.r.head.target()}`;
  }

  /** The request is over: back to the pool of exchanges. */
  release(): void {
    if (this.active && this.channel !== null) this.giveUp(false);
    this.active = false;
    this.#timer.cancel();
    this.session?.close(this.record.bytesReceived);
    this.session = null;
    this.record.release();
    this.sender.release();
    this.relay.release();
    this.queueMs = -1;
    this.peer = null;
    if (spare.length < MAX_SPARE) spare.push(this);
  }
}

const spare: Exchange[] = [];
const MAX_SPARE = 512;

/** Starts the exchange of a request that a location passes to a server. */
export function proxy(r: HttpRequest, plan: UpstreamPlan): void {
  (spare.pop() ?? new Exchange()).begin(r, plan, null);
}

/** The same for a request whose answer may be cached. */
export function fetchFor(r: HttpRequest, plan: UpstreamPlan, session: CacheSession): void {
  (spare.pop() ?? new Exchange()).begin(r, plan, session);
}
