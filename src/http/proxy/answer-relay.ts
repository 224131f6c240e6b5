/** The answer's way from the server to the client: what its head leads to, and its body's pieces as they come. */
import type { Buffer } from 'node:buffer';
import type { LogLevel } from '../../config/model.ts';
import type { HttpRequest } from '../request.ts';
import { SENT } from '../request.ts';
import { logRequest } from '../request-log.ts';
import * as engine from '../engine.ts';
import type { HeaderBlock } from '../wire/header-block.ts';
import { H } from '../wire/known.ts';
import type { ResponseHead } from '../wire/response-head.ts';
import { accelBuffering, accelRedirect, limitRate } from './accel.ts';
import { notModified } from '../cache/serve.ts';
import type { CacheSession } from '../cache/session.ts';
import { parseHttpDate } from '../filters/http-date.ts';
import { checkPreconditions } from '../filters/not-modified.ts';
import { offerRanges } from '../filters/ranges.ts';
import { reportAttempt } from './attempt-report.ts';
import { AnswerBuffering } from './answer-buffering.ts';
import { passHints } from './early-hints.ts';
import type { Exchange } from './exchange.ts';
import { abandonDetached, endDetached } from './detachment.ts';
import { extended, hopHidden } from './hide.ts';
import { StoreKeeper } from './store.ts';
import { dropDuplicates } from './rewrite-answer.ts';
import { Tunnel } from './tunnel.ts';
import type { Failure, UpstreamChannel, UpstreamEvents } from './upstream-channel.ts';

/** A piece of this size is sent from where it stands, with our head written over the server's. */
const IN_PLACE_MIN = 4096;

export class AnswerRelay implements UpstreamEvents {
  readonly #exchange: Exchange;
  /** The answer's head; it goes on being there for the log. */
  head: ResponseHead | null = null;
  trailers: HeaderBlock | null = null;
  /** The head was taken: there is no other server to try any more. */
  headDone = false;
  /** The body was read to its end. */
  upstreamDone = false;
  /** For clients that are slow, and answers that are kept. */
  readonly buffering: AnswerBuffering;
  /** The server need not wait for the client (proxy_buffering, X-Accel-Buffering). */
  buffered = false;
  #tunnel: Tunnel | null = null;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
    this.buffering = new AnswerBuffering(exchange);
  }

  // ------------------------------------------------------------------------------------ head

  onHead(head: ResponseHead): void {
    const exchange = this.#exchange;
    const { r, plan, record } = exchange;
    const channel = exchange.channel!;
    const { status } = head;
    this.head = head;
    record.status = status;
    record.headerMs = record.elapsed();
    if (status === 101 || plan.tunnels) {
      this.#upgrade(head, channel);
      return;
    }
    if (plan.nextStatus[status] === 1 && exchange.tryNextFor(status, channel)) return;
    const { session } = exchange;
    if (session !== null && this.#replaced(session, head, channel)) return;
    const group = exchange.target.group!;
    group.peers.headerReceived(exchange.attempt, record.headerMs);
    if (group.sticky !== null) group.sticky.headerReceived(r, exchange.peer!);

    this.buffered = plan.config.buffering;
    if (head.has(H['x-accel-buffering']) && plan.accel.buffering) this.buffered = accelBuffering(head, this.buffered);
    if (exchange.detached) {
      this.headDone = true;
      this.#keep(head, true);
      if (!this.buffering.active) abandonDetached(exchange);
      return;
    }
    if (status >= 300 && plan.config.interceptErrors && this.#intercept(r, head)) return;
    if (head.has(H['x-accel-limit-rate']) && plan.accel.limitRate) limitRate(r, head);
    if (head.has(H['x-accel-redirect']) && plan.accel.redirect) {
      exchange.giveUp(false);
      accelRedirect(r, this.head!, plan.cookies);
      return;
    }

    this.headDone = true;
    r.status = status;
    r.block = head;
    r.hide = plan.responseHide;
    if (head.has(H.connection) || head.has(H.upgrade)) r.hide = hopHidden(r.hide, r, head);
    r.contentLength = channel.contentLength;
    if (plan.rewritesAnswer) plan.rewriteAnswer(r, exchange.target, head);
    if (head.repeats) dropDuplicates(r, head);
    if (head.has(H['x-accel-charset']) && plan.accel.charset)
      r.loc.charset?.accelerate(r, head.get(H['x-accel-charset'])!);
    const cached = (session !== null || plan.store !== null) && this.#keep(head, false);
    if ((cached || plan.config.forceRanges) && status === 200 && r.errorStatus === 0) this.#conditions(r, head, cached);
  }

  onHints(head: ResponseHead): void {
    passHints(this.#exchange, this.#exchange.r, head);
  }

  /**
   * A cache or a store takes the answer, if it is fit for that.
   * @param alone there is no client
   * @returns whether it is cached
   */
  #keep(head: ResponseHead, alone: boolean): boolean {
    const { r, plan, session } = this.#exchange;
    if (session !== null && session.keeps(head, this.buffered)) {
      this.buffering.keep(session, alone);
      return true;
    }
    if (plan.store !== null && this.buffered && head.status === 200 && !plan.headOnly(r)) {
      this.buffering.keep(new StoreKeeper(r, plan.store, head), alone);
    }
    return false;
  }

  /** proxy_intercept_errors: the location's own page takes the place of the answer. */
  #intercept(r: HttpRequest, head: ResponseHead): boolean {
    const { status } = head;
    const { errorPages } = r.loc;
    if (status !== 404 || this.#exchange.plan.config.intercept404 !== true) {
      if (r.inErrorPage || errorPages === null || !errorPages.some((page) => page.statuses.includes(status)))
        return false;
    }
    if (status === 401) {
      for (let i = head.first(H['www-authenticate']); i >= 0; i = head.next(i))
        r.fields.add('WWW-Authenticate', head.value(i));
    }
    this.#exchange.session?.intercepted(head);
    const { channel } = this.#exchange;
    if (channel!.complete) {
      this.copyHead();
      this.#exchange.finishUpstream(channel!);
    }
    this.#exchange.giveUp(false);
    engine.finalize(r, status);
    return true;
  }

  /** An older answer takes the place of this one: the server is in trouble, or says that nothing has changed. */
  #replaced(session: CacheSession, head: ResponseHead, channel: UpstreamChannel): boolean {
    const exchange = this.#exchange;
    const { status } = head;
    if (status === 304 && session.confirmable) {
      const copy = head.snapshot();
      this.head = copy;
      exchange.finishUpstream(channel);
      exchange.active = false;
      if (exchange.r.producer === exchange) exchange.r.producer = null;
      if (exchange.detached) session.confirmAlone(copy);
      else session.serveConfirmed(copy);
      if (exchange.detached) endDetached(exchange);
      return true;
    }
    const old = session.insteadOfStatus(status);
    if (old === null) return false;
    exchange.giveUp(false);
    if (exchange.detached) endDetached(exchange);
    else session.serveOld(old);
    return true;
  }

  /**
   * The client's conditions and ranges, which the server was not told of or has ignored. When they are not met the
   * request is answered otherwise.
   */
  #conditions(r: HttpRequest, head: ResponseHead, keeps: boolean): void {
    const exchange = this.#exchange;
    const { config } = exchange.plan;
    const etag = head.get(H.etag);
    const modified = head.get(H['last-modified']);
    const lastModified = modified === null ? -1 : parseHttpDate(modified);
    let refused = 0;
    if (keeps) {
      const condition = checkPreconditions(r, etag, lastModified);
      if (condition === 304) {
        notModified(r, exchange.session!.plan);
        return;
      }
      refused = condition;
    }
    if (refused === 0 && (config.forceRanges || (keeps && head.has(H['accept-ranges'])))) {
      r.hide = extended(r.hide!, ['accept-ranges']);
      if (offerRanges(r, etag, lastModified)) refused = 416;
      else if (r.status === 206) r.hide = extended(r.hide, ['content-range']);
    }
    if (refused === 0) return;
    exchange.giveUp(false);
    engine.finalize(r, refused);
  }

  // ------------------------------------------------------------------------------------ body

  onBody(buf: Buffer, start: number, end: number, last: boolean): void {
    const exchange = this.#exchange;
    const { r } = exchange;
    const channel = exchange.channel!;
    exchange.record.responseLength += end - start;
    if (channel.extra) {
      this.#log('warn', 'upstream sent more data than specified in "Content-Length" header while reading upstream');
    }
    if (last) {
      if (channel.trailers !== null) {
        this.trailers = channel.trailers;
        // They may have to wait for the client, and the channel's next answer has others.
        if (exchange.plan.config.passTrailers === true)
          r.trailers = this.buffering.active ? channel.trailers.copy() : channel.trailers;
      }
      this.upstreamDone = true;
      exchange.finishUpstream(channel);
    } else exchange.armReading();

    const { buffering } = this;
    if (buffering.active) {
      buffering.append(buf, start, end, last);
      return;
    }
    let result: number;
    if (!r.headSent) {
      if (end - start >= IN_PLACE_MIN) channel.keepHead();
      result = r.sendHead(buf, start, end, last);
      if (result === SENT && !last) this.#passOn();
    } else if (end === start && !last) return;
    else result = r.sendBody(buf, start, end, last);
    if (result === SENT) return;

    // Held: the client does not take more at present. The request is not over, `this` is still its relay.
    if (last) this.copyHead();
    else buffering.held(this.buffered);
  }

  /** Nothing is done with the rest of the body but to send it: the kernel may move it. */
  #passOn(): void {
    const { r, channel, plan } = this.#exchange;
    if (channel === null || channel.passTo === undefined) return;
    if (plan.limitRate !== null || r.filter !== null || this.buffering.active) return;
    const to = r.channel.bareBody?.(r) ?? null;
    if (to !== null) channel.passTo(to);
  }

  /** The channel goes on to other exchanges while ours is not logged yet: keep what the log may ask for. */
  copyHead(): void {
    if (this.head === null) return;
    const copy = this.head.snapshot();
    const { r } = this.#exchange;
    if (r.block === this.head) r.block = copy;
    this.head = copy;
  }

  onClientDrain(): void {
    if (this.#tunnel !== null) this.#tunnel.onClientDrain();
    else {
      this.buffering.drained();
      this.#passOn();
    }
  }

  // ------------------------------------------------------------------------------------ other events

  onFailure(failure: Failure): void {
    this.#exchange.onFailure(failure);
  }

  onMessage(level: LogLevel, text: string): void {
    this.#log(level, text);
  }

  onUpstreamDrain(): void {
    const { channel, sender } = this.#exchange;
    if (this.#tunnel !== null) this.#tunnel.onUpstreamDrain();
    else if (channel !== null) sender.drained(channel);
  }

  #log(level: LogLevel, text: string): void {
    logRequest(this.#exchange.r, level, text, this.#exchange.upstreamText());
  }

  // ------------------------------------------------------------------------------------ upgrade

  get tunnelling(): boolean {
    return this.#tunnel !== null;
  }

  #upgrade(head: ResponseHead, channel: UpstreamChannel): void {
    const exchange = this.#exchange;
    const { r, plan } = exchange;
    if (!plan.tunnels && !r.head.has(H.upgrade)) {
      exchange.invalidHead(
        'upstream sent unexpected "101 Switching Protocols" while reading response header from upstream',
      );
      return;
    }
    this.headDone = true;
    this.upstreamDone = true;
    exchange.disarm();
    r.status = head.status;
    r.tunnels = true;
    r.block = head;
    r.hide = plan.responseHide;
    r.keepAlive = false;
    channel.upgrade();
    this.#tunnel = new Tunnel(r, channel, plan.config.readTimeoutMs, () => this.#tunnelOver(channel));
    r.sendHead(null, 0, 0, false);
    this.copyHead();
    r.channel.takeOver(r, this.#tunnel);
  }

  #tunnelOver(channel: UpstreamChannel): void {
    const exchange = this.#exchange;
    exchange.record.responseMs = exchange.record.elapsed();
    exchange.count(channel);
    reportAttempt(exchange, false, false);
    channel.destroy();
    exchange.channel = null;
    exchange.active = false;
  }

  onTunnelData(buf: Buffer, start: number, end: number): void {
    this.#exchange.record.responseLength += end - start;
    this.#tunnel?.onUpstreamData(buf, start, end);
  }

  onTunnelEnd(): void {
    this.#tunnel?.onUpstreamEnd();
  }

  release(): void {
    this.headDone = false;
    this.upstreamDone = false;
    this.buffering.close();
    this.#tunnel = null;
    this.head = null;
    this.trailers = null;
  }
}
