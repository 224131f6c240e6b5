/**
 * Puts subrequests into the body of their parent: bytes go out in the order in which they were handed in, and those of a
 * subrequest where it was included (ngx_http_postpone_filter_module). Subrequests run at once; one whose turn has not come
 * may hold one piece of its answer here and waits then, as the parent's own producer does. So what is held is bounded.
 */
import { Buffer } from 'node:buffer';
import type { BodyFilter, BodyProducer, HttpRequest } from '../request.ts';
import { HELD, SENT } from '../request.ts';
import type { SubrequestSink, SubrequestChannel } from '../subrequest.ts';
import { subrequest } from '../subrequest.ts';
import { H } from '../wire/known.ts';
import { ChainedFilter, prependFilter } from './chain.ts';

/** What wants to know of an included subrequest. */
export interface IncludeWatcher {
  /** It is over; its last bytes may still wait for their turn. */
  onIncluded(r: HttpRequest, complete: boolean): void;
}

export interface IncludeOptions {
  watcher?: IncludeWatcher;
  /** What is included if the answer is empty or an error. */
  replacement?: string | undefined;
  /** How it begins (`FROM_SERVER`, `CLONE`, `NAMED`). */
  how?: number;
}

/** A subrequest's place in its parent's body. */
class Slot implements SubrequestSink {
  readonly #owner: PostponeFilter;
  readonly #options: IncludeOptions;
  channel: SubrequestChannel | null = null;
  /** Bytes that wait for their turn. */
  pending: Buffer | null = null;
  over = false;
  /** It was told to wait. */
  waits = false;

  constructor(owner: PostponeFilter, options: IncludeOptions) {
    this.#owner = owner;
    this.#options = options;
  }

  onHead(): void {}

  onBody(_r: HttpRequest, buf: Buffer, start: number, end: number): number {
    const result = this.#owner.fromSlot(this, buf, start, end);
    this.waits = result === HELD;
    return result;
  }

  onEnd(r: HttpRequest, complete: boolean): void {
    const { watcher, replacement } = this.#options;
    if (r.bodyBytesSent === 0 && replacement !== undefined && replacement !== '') {
      this.pending = Buffer.from(replacement, 'latin1');
    }
    this.over = true;
    if (watcher !== undefined) watcher.onIncluded(r, complete);
    this.#owner.advance();
  }

  onError(r: HttpRequest): boolean {
    const { replacement } = this.#options;
    if (replacement === undefined || r.headSent) return false;
    r.clearAnswer();
    const parent = r.parent!;
    const type = parent.contentType ?? parent.block?.get(H['content-type']) ?? null;
    r.respond(200, type, Buffer.from(replacement, 'latin1'));
    return true;
  }
}

export class PostponeFilter extends ChainedFilter implements BodyProducer {
  readonly #r: HttpRequest;
  readonly #queue: (Buffer | Slot)[] = [];
  /** Who makes the parent's own bytes; this filter stands in its place, to be told when the client takes more. */
  #producer: BodyProducer | null = null;
  #producerWaits = false;
  /** The next filter or the connection has enough for now. */
  #held = false;
  /** The body ends behind what is queued. */
  #last = false;
  #advancing = false;
  #closed = false;

  constructor(r: HttpRequest) {
    super();
    this.#r = r;
  }

  override sendHead(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    this.#producer = r.producer;
    r.producer = this;
    return this.#passed(this.nextHead(r, buf, start, end, last), last);
  }

  override sendBody(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    if (this.#queue.length === 0 && !this.#held) return this.#passed(this.nextBody(r, buf, start, end, last), last);
    if (buf !== null && end > start) this.#queue.push(Buffer.from(buf.subarray(start, end)));
    if (last) this.#last = true;
    this.#producerWaits = true;
    return HELD;
  }

  /** After bytes of the parent's own went on. The request may be over, and this filter closed, if they were the last. */
  #passed(result: number, last: boolean): number {
    if (last) return result;
    this.#held = result === HELD;
    this.#producerWaits = this.#held;
    return result;
  }

  /**
   * Includes a subrequest at this place of the body.
   * @returns null: it could not be begun, which was logged
   */
  include(uri: string, args: string, options: IncludeOptions = {}): HttpRequest | null {
    const slot = new Slot(this, options);
    const child = subrequest(this.#r, uri, args, slot, options.how);
    if (child === null) return null;
    slot.channel = child.channel as SubrequestChannel;
    this.#queue.push(slot);
    return child;
  }

  /**
   * For who hands on several pieces of one call: whether its producer must wait.
   * @returns `HELD`: the filter before this one will be drained
   */
  settle(): number {
    if (this.#queue.length === 0 && !this.#held) return SENT;
    this.#producerWaits = true;
    return HELD;
  }

  /** @internal A slot's bytes: passed on when it is its turn, else kept. */
  fromSlot(slot: Slot, buf: Buffer, start: number, end: number): number {
    if (this.#closed) return SENT;
    if (this.#queue[0] === slot && !this.#held && slot.pending === null) {
      this.#held = this.nextBody(this.#r, buf, start, end, false) === HELD;
      return this.#held ? HELD : SENT;
    }
    const piece = Buffer.from(buf.subarray(start, end));
    slot.pending = slot.pending === null ? piece : Buffer.concat([slot.pending, piece]);
    return HELD;
  }

  /** Sends what may go out now. */
  advance(): void {
    if (this.#advancing || this.#closed) return;
    this.#advancing = true;
    const queue = this.#queue;
    while (!this.#held && queue.length > 0) {
      const entry = queue[0]!;
      if (entry instanceof Slot) {
        const { pending } = entry;
        if (pending !== null) {
          entry.pending = null;
          this.#send(pending);
        } else if (entry.over) queue.shift();
        else if (entry.waits) {
          entry.waits = false;
          entry.channel!.drained();
          // Without anything new it will come by itself.
          if (entry.pending === null && !entry.over && !entry.waits) break;
        } else break;
      } else {
        queue.shift();
        if (queue.length === 0 && this.#last) {
          this.#last = false;
          this.nextBody(this.#r, entry, 0, entry.length, true);
          return;
        }
        this.#send(entry);
      }
      if (this.#closed) return;
    }
    this.#advancing = false;
    if (queue.length > 0 || this.#held) return;
    if (this.#last) {
      this.#last = false;
      this.nextBody(this.#r, null, 0, 0, true);
    } else if (this.#producerWaits) {
      this.#producerWaits = false;
      if (this.#producer !== null) this.#producer.onDrain(this.#r);
    }
  }

  #send(bytes: Buffer): void {
    this.#held = this.nextBody(this.#r, bytes, 0, bytes.length, false) === HELD;
  }

  onDrain(): void {
    this.#held = false;
    this.advance();
  }

  onAbort(r: HttpRequest): void {
    const producer = this.#producer;
    this.#producer = null;
    this.close();
    if (producer !== null) producer.onAbort(r);
  }

  override close(): void {
    this.#closed = true;
    this.#queue.length = 0;
    this.#producer = null;
    super.close();
  }
}

/** The request's place for subrequests, put before what stands between it and the client: one for all filters. */
export function postpone(r: HttpRequest): PostponeFilter {
  let at: BodyFilter | null = r.filter;
  while (at !== null) {
    if (at instanceof PostponeFilter) return at;
    at = at instanceof ChainedFilter ? at.next : null;
  }
  const filter = new PostponeFilter(r);
  prependFilter(r, filter);
  return filter;
}
