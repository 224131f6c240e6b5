/** Byte ranges (RFC 9110 section 14), as ngx_http_range_filter_module answers them. */
import { Buffer } from 'node:buffer';
import type { HttpRequest, PartsInfo } from '../request.ts';
import { SENT } from '../request.ts';
import { H } from '../wire/known.ts';
import { ChainedFilter, prependFilter } from './chain.ts';
import { parseHttpDate } from './http-date.ts';

export interface ByteRange {
  start: number;
  /** Behind the last byte. */
  end: number;
}

/** `max_ranges` was not set: many small ranges that would cost more than the whole are refused. */
const UNLIMITED = 2147483647;
/** What a part of a multipart answer costs besides its bytes, by nginx's reckoning. */
const PART_COST = 256;
const PART_ALLOWANCE = 4096;

const ITEM = /^ *(?:(\d+) *- *(\d*)|-(\d+)) *$/;

/**
 * Parses the value of a `Range` field for content of `length` bytes.
 *
 * @param max most ranges that are answered (`max_ranges`)
 * @returns the ranges; `none`: send the whole; `unsatisfiable`: 416
 */
export function parseRanges(value: string, length: number, max: number): ByteRange[] | 'none' | 'unsatisfiable' {
  const ranges: ByteRange[] = [];
  let size = 0;
  for (const item of value.slice(6).split(',')) {
    const match = ITEM.exec(item);
    if (match === null) return 'unsatisfiable';
    let start: number;
    let end = length;
    if (match[3] !== undefined) {
      const suffix = Number(match[3]);
      if (!Number.isSafeInteger(suffix)) return 'unsatisfiable';
      start = suffix < length ? length - suffix : 0;
    } else {
      start = Number(match[1]);
      const last = match[2] === '' ? length : Number(match[2]);
      if (!Number.isSafeInteger(start) || !Number.isSafeInteger(last)) return 'unsatisfiable';
      if (last < length) end = last + 1;
    }
    if (start < end) {
      ranges.push({ start, end });
      size += end - start;
      if (ranges.length > max) return 'none';
    } else if (start === 0) {
      return 'none';
    }
  }
  if (ranges.length === 0) return 'unsatisfiable';
  if (ranges.length === 1) return ranges;
  if (size > length) return 'none';
  if (max === UNLIMITED && size + ranges.length * PART_COST > length + PART_ALLOWANCE) return 'none';
  return ranges;
}

/**
 * The ranges that a request asks of an answer with status 200 whose length is known. What filters go by (type, length,
 * fields) must stand in `r` already.
 *
 * @param etag the answer's, null if it has none
 * @param lastModified seconds since the epoch, -1 if not known
 * @param single answer one range only (bodies that stream past)
 * @returns `off`: ranges are not to be offered at all (`max_ranges 0`, a body that filters change)
 */
export function requestedRanges(
  r: HttpRequest,
  length: number,
  etag: string | null,
  lastModified: number,
  single: boolean,
): ByteRange[] | 'none' | 'unsatisfiable' | 'off' {
  const max = r.loc.core.maxRanges;
  // A range of the main request's answer was asked for.
  if (max === 0 || r.version < 10 || r.parent !== null) return 'off';
  const range = r.header(H.range);
  if (range === null || range.length < 7 || range.slice(0, 6).toLowerCase() !== 'bytes=') return 'none';
  // A filter will make another body of it: what is at hand cannot be cut for the client. (Of what is fetched in slices
  // the range alone was asked for.)
  if (r.loc.rewritesBody !== null && r.slice === null && r.loc.rewritesBody(r)) return 'off';
  const condition = r.header(H['if-range']);
  if (condition !== null) {
    if (condition.length >= 2 && condition.endsWith('"')) {
      if (condition !== etag) return 'none';
    } else if (lastModified === -1 || parseHttpDate(condition) !== lastModified) return 'none';
  }
  return parseRanges(range, length, single ? 1 : max);
}

/** `bytes 0-99/1000`. */
export function contentRange(range: ByteRange, length: number): string {
  return `bytes ${range.start}-${range.end - 1}/${length}`;
}

/** A stretch of a multipart answer: text of ours, or bytes of the content. */
export type MultipartSegment = Buffer | ByteRange;

export interface Multipart extends PartsInfo {
  contentType: string;
  segments: MultipartSegment[];
  /** Length of all segments. */
  length: number;
}

let boundaryNumber = Math.floor(Math.random() * 0xffffffff);

/**
 * The body of an answer with several ranges (RFC 9110 section 14.6), which is noted in `r`.
 * @param own type of the content, before filters change it
 */
export function multipart(r: HttpRequest, ranges: readonly ByteRange[], own: string | null, length: number): Multipart {
  const contentType = r.loc.charset === null ? own : r.loc.charset.typeOf(r);
  const boundary = String((boundaryNumber = (boundaryNumber + 1) % 0xffffffff)).padStart(20, '0');
  const typeLine = contentType === null ? '' : `Content-Type: ${contentType}\r\n`;
  const segments: MultipartSegment[] = [];
  const texts: ByteRange[] = [];
  let total = 0;
  for (const range of ranges) {
    const head = `\r\n--${boundary}\r\n${typeLine}Content-Range: ${contentRange(range, length)}\r\n\r\n`;
    segments.push(Buffer.from(head, 'latin1'), range);
    texts.push({ start: total, end: total + head.length });
    total += head.length + range.end - range.start;
  }
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`, 'latin1');
  const end = total + tail.length;
  segments.push(tail);
  texts.push({ start: total, end });
  const type = `multipart/byteranges; boundary=${boundary}`;
  const body: Multipart = { contentType: type, partType: own, texts, segments, length: end };
  r.multipart = body;
  return body;
}

/**
 * Lets one range of a body that streams past through. The message ends when the body does, not with the range: until
 * then whoever produces it goes on, and the request must not be over.
 */
class RangeFilter extends ChainedFilter {
  readonly #range: ByteRange;
  #offset = 0;

  constructor(range: ByteRange) {
    super();
    this.#range = range;
  }

  override sendHead(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    const [from, to] = this.#cut(start, end);
    return this.nextHead(r, from < to ? buf : null, from, to, last);
  }

  override sendBody(r: HttpRequest, buf: Buffer | null, start: number, end: number, last: boolean): number {
    const [from, to] = this.#cut(start, end);
    if (from >= to && !last) return SENT;
    return this.nextBody(r, from < to ? buf : null, from, to, last);
  }

  /** Moves on by the bytes of a buffer; tells which of them are in the range. */
  #cut(start: number, end: number): [from: number, to: number] {
    const offset = this.#offset;
    this.#offset += end - start;
    const from = start + Math.max(0, this.#range.start - offset);
    const to = Math.min(end, start + this.#range.end - offset);
    return from < to ? [from, to] : [start, start];
  }
}

/**
 * Offers ranges of a body that streams past (proxy_force_ranges): call before the answer's head is sent, with `r.status`
 * and `r.contentLength` as they would be without. Sets fields, status and length, and installs a filter.
 *
 * @returns true when the range cannot be had: finalize with 416, for which `Content-Range` is set in `r.fields`
 */
export function offerRanges(r: HttpRequest, etag: string | null, lastModified: number): boolean {
  const length = r.contentLength;
  if (r.status !== 200 || length < 0) return false;
  const ranges = requestedRanges(r, length, etag, lastModified, true);
  if (ranges === 'off') return false;
  if (ranges === 'unsatisfiable') {
    r.fields.set('Content-Range', `bytes */${length}`);
    return true;
  }
  if (ranges === 'none') {
    r.fields.add('Accept-Ranges', 'bytes');
    return false;
  }
  const range = ranges[0]!;
  r.status = 206;
  r.reason = null;
  r.fields.set('Content-Range', contentRange(range, length));
  r.contentLength = range.end - range.start;
  prependFilter(r, new RangeFilter(range));
  return false;
}
