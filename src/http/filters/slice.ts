/**
 * `slice`: an answer is fetched in pieces of one size, each by a request of its own (`proxy_set_header Range
 * $slice_range`), so that a cache can keep the pieces of something large (ngx_http_slice_filter_module).
 *
 * Asking for `$slice_range` is what begins it. The first piece is the client's own request; when its answer is a 206 it
 * becomes a 200 (or the client's range of it), and the pieces that follow are subrequests whose bodies are joined.
 */
import type { Buffer } from 'node:buffer';
import type { BodyProducer, HttpRequest } from '../request.ts';
import { SENT } from '../request.ts';
import * as engine from '../engine.ts';
import { logRequest } from '../request-log.ts';
import { CLONE, subrequest } from '../subrequest.ts';
import type { SubrequestChannel, SubrequestSink } from '../subrequest.ts';
import { extended } from '../proxy/hide.ts';
import { H } from '../wire/known.ts';
import { ChainedFilter, prependFilter } from './chain.ts';
import { parseHttpDate } from './http-date.ts';
import { checkPreconditions } from './not-modified.ts';
import type { HeadHook } from './headers.ts';
import { contentRange, requestedRanges } from './ranges.ts';

/** A request that is answered in pieces; its subrequests have the same. */
export class SliceState {
  readonly size: number;
  /** Where the piece at hand begins. */
  start: number;
  /** Where the last piece ends. */
  end = 0;
  /** All pieces must have this one; null: the first has none. */
  etag: string | null = null;

  constructor(size: number, start: number) {
    this.size = size;
    this.start = start;
  }

  /** `$slice_range`. */
  get range(): string {
    return `bytes=${this.start}-${this.start + this.size - 1}`;
  }
}

/** `$slice_range`; null where nothing is sliced. */
export function sliceRange(r: HttpRequest): string | null {
  if (r.slice === null) {
    const size = r.loc.config.sliceSize ?? 0;
    if (size === 0 || r.parent !== null || r.status !== 0) return null;
    r.slice = new SliceState(size, size * Math.floor(wantedStart(r) / size));
  }
  return r.slice.range;
}

/** Where the one range begins that the client asks for; 0 if there is none, or if it hangs on a condition. */
function wantedStart(r: HttpRequest): number {
  if (r.header(H['if-range']) !== null) return 0;
  const match = /^bytes= *(\d{1,15}) *- *\d* *$/i.exec(r.header(H.range) ?? '');
  return match === null ? 0 : Number(match[1]);
}

interface Piece {
  start: number;
  /** Behind the last byte. */
  end: number;
  total: number;
}

/** The piece that an answer says it is, if it is the one that was asked for; otherwise what is wrong. */
function pieceOf(r: HttpRequest, state: SliceState): Piece | string {
  const field = (id: number, name: string): string | null => r.fields.get(name) ?? r.block?.get(id) ?? null;
  if (r.status !== 206) return `unexpected status code ${r.status} in slice response`;
  const etag = field(H.etag, 'etag');
  if (state.etag !== null && etag !== state.etag) return 'etag mismatch in slice response';
  state.etag = etag;
  const text = field(H['content-range'], 'content-range') ?? '';
  const match = /^bytes *(\d{1,15}) *- *(\d{1,15}) *\/ *(\d{1,15}|\*) *$/.exec(text);
  if (match === null) return 'invalid range in slice response';
  if (match[3] === '*') return 'no complete length in slice response';
  const piece = { start: Number(match[1]), end: Number(match[2]) + 1, total: Number(match[3]) };
  const end = Math.min(piece.start + state.size, piece.total);
  if (piece.start !== state.start || piece.end !== end) {
    return `unexpected range in slice response: ${piece.start}-${piece.end}, expected: ${state.start}-${end}`;
  }
  return piece;
}

/** For locations that slice: runs before all else that looks at an answer's head. */
export const sliceHook: HeadHook = (r) => {
  const state = r.slice;
  if (state === null || r.parent !== null) return;
  if (r.status !== 206) {
    r.slice = null;
    return;
  }
  const piece = pieceOf(r, state);
  if (typeof piece === 'string') {
    logRequest(r, 'error', piece);
    r.slice = null;
    prependFilter(r, new Broken());
    return;
  }
  state.start = piece.end;
  r.status = 200;
  r.reason = null;
  r.contentLength = piece.total;
  r.fields.remove('content-range');
  if (r.hide !== null) r.hide = extended(r.hide, ['content-range', 'accept-ranges']);
  let wanted = { start: 0, end: piece.total };
  const date = r.block?.get(H['last-modified']) ?? null;
  const modified = date === null ? -1 : parseHttpDate(date);
  const condition = checkPreconditions(r, state.etag, modified);
  if (condition !== 0) {
    r.slice = null;
    if (condition === 304) notModified(r);
    else prependFilter(r, new Refused());
    return;
  }
  const ranges = requestedRanges(r, piece.total, state.etag, modified, true);
  if (ranges === 'none') r.fields.add('Accept-Ranges', 'bytes');
  else if (Array.isArray(ranges)) {
    wanted = ranges[0]!;
    r.status = 206;
    r.contentLength = wanted.end - wanted.start;
    r.fields.set('Content-Range', contentRange(wanted, piece.total));
    if (state.start + state.size <= wanted.start) state.start = state.size * Math.floor(wanted.start / state.size);
  }
  state.end = wanted.end;
  prependFilter(r, new SliceFilter(r, state, piece.start, wanted));
};

/** The first piece is not what was asked for: the client must see that there is no answer. */
class Broken extends ChainedFilter {
  override sendHead(r: HttpRequest): number {
    r.channel.abort(r);
    return SENT;
  }

  override sendBody(): number {
    return SENT;
  }
}

/** The joined answer is not what the client has seen before: the server did not know of its condition. */
class Refused extends ChainedFilter {
  override sendHead(r: HttpRequest): number {
    const { producer } = r;
    r.producer = null;
    if (producer !== null) producer.onAbort(r);
    engine.finalize(r, 412);
    return SENT;
  }

  override sendBody(): number {
    return SENT;
  }
}

function notModified(r: HttpRequest): void {
  r.status = 304;
  r.contentType = null;
  r.contentLength = -1;
  if (r.hide !== null) r.hide = extended(r.hide, ['content-type']);
}

class SliceFilter extends ChainedFilter implements SubrequestSink, BodyProducer {
  readonly #r: HttpRequest;
  readonly #state: SliceState;
  readonly #wanted: { start: number; end: number };
  /** Where the bytes that come next belong. */
  #offset: number;
  #piece: HttpRequest | null = null;
  #closed = false;

  constructor(r: HttpRequest, state: SliceState, offset: number, wanted: { start: number; end: number }) {
    super();
    this.#r = r;
    this.#state = state;
    this.#offset = offset;
    this.#wanted = wanted;
  }

  override sendHead(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    if (r.headerOnly) return this.nextHead(r, null, 0, 0, last);
    const [from, to] = this.#cut(start, end);
    const ends = last && this.#done;
    const result = this.nextHead(r, from < to ? buf : null, from, to, ends);
    if (last && !ends) this.#nextPiece();
    return result;
  }

  override sendBody(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    const [from, to] = this.#cut(start, end);
    const ends = last && this.#done;
    let result = SENT;
    if (from < to || ends) result = this.nextBody(r, from < to ? buf : null, from, to, ends);
    if (last && !ends) this.#nextPiece();
    return result;
  }

  get #done(): boolean {
    return this.#state.start >= this.#state.end;
  }

  #cut(start: number, end: number): [from: number, to: number] {
    const offset = this.#offset;
    this.#offset += end - start;
    const from = start + Math.max(0, this.#wanted.start - offset);
    const to = Math.min(end, start + this.#wanted.end - offset);
    return from < to ? [from, to] : [start, start];
  }

  #nextPiece(): void {
    const r = this.#r;
    if (this.#closed || r.aborted) return;
    r.producer = this;
    this.#offset = this.#state.start;
    const piece = subrequest(r, r.uri, r.args, this, CLONE);
    if (piece === null) {
      this.#fail(null);
      return;
    }
    piece.slice = this.#state;
    this.#piece = piece;
  }

  onHead(piece: HttpRequest): void {
    const found = pieceOf(piece, this.#state);
    if (typeof found === 'string') this.#fail(found);
    else this.#state.start = found.end;
  }

  onBody(_piece: HttpRequest, buf: Buffer, start: number, end: number): number {
    if (this.#closed) return SENT;
    const [from, to] = this.#cut(start, end);
    return from < to ? this.nextBody(this.#r, buf, from, to, false) : SENT;
  }

  onEnd(_piece: HttpRequest, complete: boolean): void {
    this.#piece = null;
    if (this.#closed) return;
    if (!complete) this.#fail('slice response broke off');
    else if (this.#done) this.nextBody(this.#r, null, 0, 0, true);
    else this.#nextPiece();
  }

  /** The client takes more. */
  onDrain(): void {
    if (this.#piece !== null) (this.#piece.channel as SubrequestChannel).drained();
  }

  onAbort(): void {
    this.#closed = true;
  }

  #fail(why: string | null): void {
    if (this.#closed) return;
    this.#closed = true;
    if (why !== null) logRequest(this.#r, 'error', why);
    // Not from within the piece that is being read.
    queueMicrotask(() => this.#r.channel.abort(this.#r));
  }

  override close(): void {
    this.#closed = true;
    super.close();
  }
}
