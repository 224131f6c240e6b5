/**
 * A logical stream over several connections: the rules of the tunnel without sockets and timers. Events come in, frames
 * and calls go out; time is told by whoever drives it.
 *
 * Both sides number the bytes of each direction. A receiver says which it has in order, and up to which it takes; a sender
 * keeps what is not acknowledged, so that a connection may be lost without losing, repeating or exchanging a byte.
 */
import type { Buffer } from 'node:buffer';
import { Inbound } from './inbound.ts';
import type { Delivery } from './reassembly.ts';
import { SendQueue } from './send-queue.ts';
import type { SessionEvents, SessionLimits, SessionLink } from './session-events.ts';
import { byteFrame, DONE, FIN, FRAME_UNIT, MORE, offsetsFrame, readOffset, REASONS, RESET, WINDOW } from './wire.ts';
import type { StreamTerms } from './wire.ts';

/** How often it is asked whether more connections would help. */
const GROW_MS = 300;
/** How long a side that is done waits for the other to be. */
const DONE_MS = 5000;
/** How long what was written last may wait for progress, when nobody is there any more who would care. */
const LINGER_MS = 30_000;
/** Whoever writes waits while more than this has never gone out. */
export const UNSENT_MAX: number = 256 * 1024;

export class TunnelSession implements Delivery {
  readonly isClient: boolean;
  readonly links: SessionLink[] = [];
  /** Connections that there should be. */
  target: number;
  maxLinks: number;
  /** All has been said; only calls without effect follow. */
  closed = false;
  readonly #events: SessionEvents;
  readonly #resumeMs: number;
  readonly #out: SendQueue;
  readonly #in: Inbound;
  #channelSize: number;

  // Receiving.
  /** The window has to be told, but no connection takes anything at present. */
  #windowDue = false;
  #endTold = false;
  /** Nobody reads any more. */
  #discard = false;

  // Sending.
  #finWanted = false;
  #finLink: SessionLink | null = null;
  #finAcked = false;
  #waiting = false;
  #full = 0;
  #blocked = false;
  #lingers = false;

  // The end.
  #completing = false;
  #peerDone = false;

  #growAt = Infinity;
  #resumeAt = Infinity;
  #lingerAt = Infinity;
  #doneAt = Infinity;

  constructor(isClient: boolean, limits: SessionLimits, events: SessionEvents) {
    this.isClient = isClient;
    this.maxLinks = limits.maxLinks;
    this.target = Math.min(limits.startLinks, limits.maxLinks);
    this.#channelSize = limits.channelSize;
    this.#resumeMs = limits.resumeMs;
    this.#events = events;
    this.#out = new SendQueue(limits.channelSize);
    this.#in = new Inbound(Math.min(8192, 64 + 2 * limits.maxLinks * limits.channelSize));
  }

  /** What the other side is told when one more connection joins. */
  terms(): StreamTerms {
    // For each connection as much as the other side may have unacknowledged on it.
    this.#in.widen((this.links.length + 1) * this.#channelSize * FRAME_UNIT);
    const { maxLinks } = this;
    return { maxLinks, channelSize: this.#channelSize, acked: this.#in.acked, limit: this.#in.grant() };
  }

  /** Bytes of memory that the session holds, those in the hands of connections and of whoever reads not counted. */
  get held(): number {
    return this.#in.bytes.held + this.#out.end - this.#out.acked;
  }

  /** All that was written, and the end, has arrived. */
  get delivered(): boolean {
    return this.#finAcked;
  }

  /** All that the other side sends has come. */
  get received(): boolean {
    return this.#in.complete;
  }

  // ------------------------------------------------------------------------------------------------ connections

  /** A connection serves the session from now on. */
  attach(link: SessionLink, now: number): void {
    if (this.closed) return;
    this.links.push(link);
    this.#resumeAt = Infinity;
    this.target = Math.max(this.target, this.links.length);
    if (this.#completing) this.#sendDone(link);
    else this.#pump(now);
  }

  /** What the other side says when a connection joins. @returns false: it broke the protocol */
  learn(terms: StreamTerms, now: number): boolean {
    this.maxLinks = Math.min(this.maxLinks, terms.maxLinks);
    this.target = Math.min(this.target, this.maxLinks);
    this.#channelSize = Math.min(this.#channelSize, terms.channelSize);
    this.#out.channelSize = this.#channelSize;
    return this.#acknowledged(terms.acked, terms.limit, now);
  }

  /** A connection is gone. */
  lose(link: SessionLink, now: number): void {
    const at = this.links.indexOf(link);
    if (at < 0) return;
    this.links.splice(at, 1);
    if (this.closed) return;
    this.#out.lose(link);
    if (this.#finLink === link) this.#finLink = null;
    if (this.links.length === 0) {
      if (this.#completing && this.#peerDone) {
        this.#over(true);
        return;
      }
      this.#resumeAt = now + this.#resumeMs;
    } else {
      // It may have carried what was told last.
      this.#sendWindow();
    }
    this.#pump(now);
    if (this.isClient) this.#events.wantLink();
  }

  /** A connection takes more. */
  writable(link: SessionLink, now: number): void {
    link.writable = true;
    if (this.closed) return;
    if (this.#windowDue) this.#sendWindow();
    this.#pump(now);
  }

  // ------------------------------------------------------------------------------------------------ sending

  /** Takes a copy. @returns false: write nothing more before `drained` */
  write(buf: Buffer, start: number, end: number, now: number): boolean {
    if (this.closed || this.#finWanted) return true;
    this.#out.write(buf, start, end);
    this.#pump(now);
    if (this.#out.unsent <= UNSENT_MAX) return true;
    this.#waiting = true;
    return false;
  }

  /** Nothing more will be written. */
  end(now: number): void {
    if (this.closed || this.#finWanted) return;
    this.#finWanted = true;
    this.#pump(now);
  }

  /** Nobody is there any more: what was written still goes out, what comes is thrown away. */
  close(now: number): void {
    if (this.closed || this.#lingers) return;
    this.#lingers = true;
    this.#discard = true;
    this.#lingerAt = now + LINGER_MS;
    this.end(now);
    this.consumed(this.#in.bytes.next, now);
    this.#checkLinger();
  }

  /** Ends it at once; the other side is told why. */
  reset(code: number): void {
    if (this.closed) return;
    for (const link of this.links) this.#control(link, byteFrame(RESET, code));
    this.#finish(false);
  }

  #pump(now: number): void {
    const blocked = this.#out.pump(this.links);
    this.#blocked = blocked === 'channels' && this.links.length > 0;
    if (this.#blocked && this.#growAt === Infinity) this.#growAt = now + GROW_MS;
    if (this.#finWanted && !this.#finAcked && this.#finLink === null && this.#out.unsent === 0) this.#sendFin();
    if (this.#waiting && this.#out.unsent <= UNSENT_MAX / 2) {
      this.#waiting = false;
      this.#events.drained();
    }
  }

  #sendFin(): void {
    const link = this.#anyLink();
    if (link === null) return;
    this.#finLink = link;
    this.#control(link, offsetsFrame(FIN, this.#out.end));
  }

  /** The one that will send it soonest. */
  #anyLink(): SessionLink | null {
    let best: SessionLink | null = null;
    for (const link of this.links) {
      if (link.doneSent) continue;
      if (best === null || (link.writable && !best.writable) || (link.writable && link.bytes < best.bytes)) best = link;
    }
    return best;
  }

  #control(link: SessionLink, frame: Buffer): void {
    link.send(frame, 0, frame.length);
  }

  // ------------------------------------------------------------------------------------------------ receiving

  /** Payload, or a piece of it. @returns false: the other side broke the protocol */
  onPayload(link: SessionLink, offset: number, buf: Buffer, start: number, end: number, now: number): boolean {
    if (this.closed) return true;
    if (link.doneSeen || !this.#in.take(offset, buf, start, end, this, now)) return false;
    if (this.closed) return true;
    if (this.#in.muchCame) this.#sendWindow();
    this.#checkEnd(now);
    return true;
  }

  /** A frame of payload has come to its end. */
  onDataFrame(): void {
    if (this.#in.countFrame(this.#channelSize)) this.#sendWindow();
  }

  deliver(buf: Buffer, start: number, end: number): void {
    if (this.#discard) this.#in.consume(this.#in.bytes.next, Infinity);
    else if (!this.closed) this.#events.deliver(buf, start, end);
  }

  /** Whoever reads has taken so many bytes since the beginning. */
  consumed(total: number, now: number): void {
    if (!this.closed && this.#in.consume(total, now)) this.#sendWindow();
  }

  /** Tells what has come, and what may. */
  #sendWindow(): void {
    this.#in.told();
    const link = this.#anyLink();
    this.#windowDue = link === null || !link.writable;
    if (this.#windowDue) return;
    this.#control(link!, offsetsFrame(WINDOW, this.#in.acked, this.#in.grant()));
  }

  /** A frame that is not payload. @returns false: the other side broke the protocol */
  onControl(link: SessionLink, type: number, payload: Buffer, now: number): boolean {
    if (this.closed) return true;
    switch (type) {
      case WINDOW:
        if (payload.length !== 16 || link.doneSeen) return false;
        return this.#acknowledged(readOffset(payload, 0), readOffset(payload, 8), now);
      case FIN:
        return payload.length === 8 && !link.doneSeen && this.#onFin(readOffset(payload, 0), now);
      case RESET:
        if (payload.length !== 1) return false;
        this.#onReset(payload[0]!);
        return true;
      case DONE:
        return payload.length === 8 && !link.doneSeen && this.#onDone(link, readOffset(payload, 0), now);
      case MORE:
        if (!this.isClient) return false;
        this.#grow();
        return true;
      default:
        return false;
    }
  }

  #acknowledged(acked: number, limit: number, now: number): boolean {
    const out = this.#out;
    const all = this.#finWanted && out.unsent === 0 ? out.end + 1 : out.sentEnd;
    if (acked < 0 || limit < 0 || acked > all) return false;
    if (acked > out.acked && this.#lingers) this.#lingerAt = now + LINGER_MS;
    if (acked > out.end) this.#finAcked = true;
    out.ack(Math.min(acked, out.end));
    out.limit = Math.max(out.limit, limit);
    this.#pump(now);
    if (this.#finAcked) {
      this.#checkLinger();
      this.#checkComplete(now);
    }
    return true;
  }

  #onFin(offset: number, now: number): boolean {
    if (!this.#in.end(offset)) return false;
    this.#checkEnd(now);
    return true;
  }

  #checkEnd(now: number): void {
    if (this.#endTold || !this.received) return;
    this.#endTold = true;
    this.#sendWindow();
    if (!this.#discard) this.#events.ended();
    this.#checkComplete(now);
  }

  #onReset(code: number): void {
    this.#finish(false);
    this.#events.failed(code);
  }

  // ------------------------------------------------------------------------------------------------ the end

  /** Nobody listens, and all that was written has arrived: the other side need not send the rest. */
  #checkLinger(): void {
    if (this.#lingers && this.#finAcked && !this.received) this.reset(REASONS.cancelled);
  }

  #checkComplete(now: number): void {
    if (this.#completing || this.closed || !this.#finAcked || !this.received) return;
    this.#completing = true;
    this.#doneAt = now + DONE_MS;
    for (const link of this.links.slice()) this.#sendDone(link);
  }

  #sendDone(link: SessionLink): void {
    link.doneSent = true;
    this.#control(link, offsetsFrame(DONE, this.#in.acked));
    this.#checkRelease(link);
  }

  #onDone(link: SessionLink, acked: number, now: number): boolean {
    link.doneSeen = true;
    this.#peerDone = true;
    if (!this.#acknowledged(acked, 0, now)) return false;
    // Who is done has all of ours, and we have told that all of theirs is here.
    if (!this.#completing) this.#checkComplete(now);
    if (!this.#completing) return false;
    this.#checkRelease(link);
    return true;
  }

  #checkRelease(link: SessionLink): void {
    if (!link.doneSent || !link.doneSeen) return;
    const at = this.links.indexOf(link);
    if (at < 0) return;
    this.links.splice(at, 1);
    link.frames = 0;
    link.bytes = 0;
    this.#events.releaseLink(link);
    if (this.links.length === 0) this.#over(true);
  }

  /** The server knows that all has arrived (it said so, for the connections were lost meanwhile). */
  finishedElsewhere(): void {
    if (this.closed) return;
    const clean = this.received || this.#discard;
    this.#finish(clean);
    if (!clean) this.#events.failed(REASONS.lost);
  }

  /** Drops the connections. */
  #finish(clean: boolean): void {
    const links = this.links.splice(0);
    for (const link of links) this.#events.dropLink(link);
    this.#over(clean);
  }

  #over(clean: boolean): void {
    if (this.closed) return;
    this.closed = true;
    this.#out.clear();
    this.#in.bytes.trim();
    this.#in.ackAt = this.#growAt = this.#resumeAt = this.#lingerAt = this.#doneAt = Infinity;
    this.#events.over(clean);
  }

  fail(code: number): void {
    if (this.closed) return;
    this.reset(code);
    this.#events.failed(code);
  }

  // ------------------------------------------------------------------------------------------------ time

  /** When `tick` wants to be called; infinite: there is nothing to wait for. */
  get deadline(): number {
    return Math.min(this.#in.ackAt, this.#growAt, this.#resumeAt, this.#lingerAt, this.#doneAt);
  }

  tick(now: number): void {
    if (this.closed) return;
    if (now >= this.#in.ackAt) this.#sendWindow();
    if (now >= this.#growAt) this.#checkFull(now);
    if (now >= this.#resumeAt) {
      this.#resumeAt = Infinity;
      // With both ends said, what is missing is only the other side's word that it knows.
      if (this.#completing) this.#over(true);
      else this.fail(REASONS.lost);
    } else if (now >= this.#doneAt) {
      this.#finish(true);
    } else if (now >= this.#lingerAt) this.reset(REASONS.lost);
  }

  /** More connections help when those that there are cannot take what there is, for a while. */
  #checkFull(now: number): void {
    if (!this.#blocked) {
      this.#full = 0;
      this.#growAt = Infinity;
      this.#in.bytes.trim();
      return;
    }
    this.#growAt = now + GROW_MS;
    if (++this.#full < 2) return;
    this.#full = 0;
    if (this.isClient) this.#grow();
    else if (this.links.length < this.maxLinks) {
      const link = this.#anyLink();
      if (link !== null) this.#control(link, byteFrame(MORE, 0));
    }
  }

  #grow(): void {
    if (this.target >= this.maxLinks || this.target > this.links.length) return;
    this.target++;
    this.#events.wantLink();
  }
}
