/** Answers a request from the cache: its head as the location would pass it on, preconditions, ranges, the body. */
import { Buffer } from 'node:buffer';
import type { HttpRequest } from '../request.ts';
import * as engine from '../engine.ts';
import { checkPreconditions } from '../filters/not-modified.ts';
import { contentRange, multipart, requestedRanges } from '../filters/ranges.ts';
import type { ByteRange, MultipartSegment } from '../filters/ranges.ts';
import { sendFile } from '../handlers/static-send.ts';
import { H } from '../wire/known.ts';
import { METHOD_HEAD } from '../wire/request-head.ts';
import { accelRedirect, limitRate } from '../proxy/accel.ts';
import { extended, hopHidden } from '../proxy/hide.ts';
import { dropDuplicates } from '../proxy/rewrite-answer.ts';
import type { CachedAnswer } from './entry.ts';
import type { CachePlan } from './plan.ts';
import type { CacheZone } from './zone.ts';

/** @param status how the cache answers */
export function serve(r: HttpRequest, plan: CachePlan, zone: CacheZone, answer: CachedAnswer, status: number): void {
  const { head, header } = answer;
  const { upstream } = plan;
  r.cacheStatus = status;
  zone.countServed(status, header.bodyLength);
  r.upstream ??= answer;
  r.status = head.status;
  r.reason = null;
  r.block = head;
  r.hide = upstream.responseHide;
  if (answer.special) {
    if (head.has(H['x-accel-limit-rate']) && upstream.accel.limitRate) limitRate(r, head);
    if (head.has(H['x-accel-redirect']) && upstream.accel.redirect) {
      r.block = null;
      r.hide = null;
      accelRedirect(r, head, upstream.cookies);
      return;
    }
    r.hide = hopHidden(r.hide, r, head);
  }
  r.contentLength = header.bodyLength;
  if (upstream.rewritesAnswer) upstream.rewriteAnswer(r, upstream, head);
  if (head.repeats) dropDuplicates(r, head);
  if (answer.special && head.has(H['x-accel-charset']) && upstream.accel.charset)
    r.loc.charset?.accelerate(r, head.get(H['x-accel-charset'])!);

  if (r.method === METHOD_HEAD) {
    // What a HEAD got has no body to count.
    const announced = head.get(H['content-length']);
    if (header.bodyLength === 0 && announced !== null && /^\d{1,15}$/.test(announced)) {
      r.contentLength = Number(announced);
    }
  }
  const plain = r.status === 200 && r.errorStatus === 0;
  if (plain && r.head.count !== 0) {
    const condition = checkPreconditions(r, answer.etag, answer.lastModified);
    if (condition === 412) {
      engine.finalize(r, 412);
      return;
    }
    if (condition === 304) {
      notModified(r, plan);
      r.sendHead(null, 0, 0, true);
      return;
    }
  }
  const ranges =
    plain && r.contentLength >= 0 && (answer.acceptRanges || upstream.config.forceRanges)
      ? offered(r, plan, answer)
      : null;
  if (ranges === 'unsatisfiable') {
    r.fields.set('Content-Range', `bytes */${header.bodyLength}`);
    engine.finalize(r, 416);
    return;
  }
  if (r.headerOnly) {
    r.sendHead(null, 0, 0, true);
    return;
  }
  send(r, plan, answer, ranges);
}

/** Turns the answer that stands in `r` into a 304. */
export function notModified(r: HttpRequest, plan: CachePlan): void {
  r.status = 304;
  r.reason = null;
  r.contentType = null;
  r.contentLength = -1;
  r.hide = r.hide === plan.upstream.responseHide ? plan.hideForNotModified : extended(r.hide!, NOT_MODIFIED_HIDDEN);
}

const NOT_MODIFIED_HIDDEN = ['content-type', 'accept-ranges'];

/** @returns null: the whole is sent */
function offered(r: HttpRequest, plan: CachePlan, answer: CachedAnswer): ByteRange[] | 'unsatisfiable' | null {
  const length = answer.header.bodyLength;
  const ranges = requestedRanges(r, length, answer.etag, answer.lastModified, false);
  if (ranges === 'unsatisfiable') return ranges;
  r.hide = r.hide === plan.upstream.responseHide ? plan.hideForRanges : extended(r.hide!, ['accept-ranges']);
  if (ranges === 'off') return null;
  if (ranges === 'none') {
    r.fields.add('Accept-Ranges', 'bytes');
    return null;
  }
  return ranges;
}

function send(r: HttpRequest, plan: CachePlan, answer: CachedAnswer, ranges: ByteRange[] | null): void {
  const { body, header } = answer;
  const length = header.bodyLength;
  if (ranges === null) {
    if (body !== null) r.sendHead(body, 0, length, true);
    else sendFile(r, answer.read(), [shifted({ start: 0, end: length }, answer)], answer.path, answer.doneReading);
    return;
  }
  r.status = 206;
  r.reason = null;
  r.hide = r.hide === plan.hideForRanges ? plan.hideForRange : extended(r.hide!, ['content-range']);
  const first = ranges[0]!;
  if (ranges.length === 1) {
    r.fields.set('Content-Range', contentRange(first, length));
    r.contentLength = first.end - first.start;
    if (body !== null) r.sendHead(body, first.start, first.end, true);
    else sendFile(r, answer.read(), [shifted(first, answer)], answer.path, answer.doneReading);
    return;
  }
  const parts = multipart(r, ranges, r.contentType ?? answer.head.get(H['content-type']), length);
  r.hide = r.hide === plan.hideForRange ? plan.hideForParts : extended(r.hide!, ['content-type']);
  r.contentType = parts.contentType;
  r.contentLength = parts.length;
  if (body === null) {
    const segments = parts.segments.map((segment) => ('start' in segment ? shifted(segment, answer) : segment));
    sendFile(r, answer.read(), segments, answer.path, answer.doneReading);
    return;
  }
  const bytes = Buffer.concat(
    parts.segments.map((segment) => ('start' in segment ? body.subarray(segment.start, segment.end) : segment)),
  );
  r.sendHead(bytes, 0, bytes.length, true);
}

/** Where a stretch of the body stands in the file. */
function shifted({ start, end }: ByteRange, answer: CachedAnswer): MultipartSegment {
  return { start: start + answer.bodyStart, end: end + answer.bodyStart };
}
