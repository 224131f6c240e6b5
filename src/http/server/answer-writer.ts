/** Composes an answer in HTTP/1: its head, chunks and last chunk. Pure: appends to an `Output`. */
import { Buffer } from 'node:buffer';
import { clock } from '../../net/clock.ts';
import type { Output } from '../../net/output.ts';
import type { HttpRequest } from '../request.ts';
import {
  composeBlock,
  composeChunked,
  composeConnection,
  composeContentLength,
  composeField,
  composeFields,
  composeStatusLine,
  composeTrailers,
} from '../wire/writer.ts';
import type { ServerLines } from '../wire/writer.ts';

const LAST_CHUNK = Buffer.from('0\r\n\r\n');

/** Appends status line, fields and the empty line, as `r` says; `chunked`: how the body is framed. */
export function composeAnswerHead(o: Output, r: HttpRequest, lines: ServerLines, chunked: boolean): void {
  composeStatusLine(o, r.status, r.reason, r.block);
  lines.compose(o, clock.wall, r.block, r.hide);
  if (r.contentType !== null && r.status !== 204) composeField(o, 'Content-Type', r.contentType);
  if (r.status >= 200 && r.status !== 204) {
    if (r.contentLength >= 0) {
      if (r.status !== 304 || r.block === null) composeContentLength(o, r.contentLength);
    } else if (chunked) composeChunked(o);
  }
  if (r.status === 101) composeField(o, 'Connection', 'upgrade');
  else composeConnection(o, r.keepAlive);
  if (r.keepAlive && r.loc.core.keepaliveHeaderSec > 0) {
    composeField(o, 'Keep-Alive', `timeout=${r.loc.core.keepaliveHeaderSec}`);
  }
  if (r.block !== null) composeBlock(o, r.block, r.hide);
  if (r.fields.count !== 0) composeFields(o, r.fields);
  if (r.setCookie !== null) composeField(o, 'Set-Cookie', r.setCookie);
  o.crlf();
}

/** Appends bytes as one chunk. */
export function composeChunk(o: Output, buf: Buffer, start: number, end: number): void {
  o.hex(end - start);
  o.crlf();
  o.bytes(buf, start, end);
  o.crlf();
}

export function hasTrailers(r: HttpRequest): boolean {
  return r.trailers !== null || r.trailing !== null;
}

/** Appends the last chunk with the trailer fields, if there are any. */
export function composeLastChunk(o: Output, r: HttpRequest): void {
  if (!hasTrailers(r)) {
    o.bytes(LAST_CHUNK, 0, LAST_CHUNK.length);
    return;
  }
  o.text('0\r\n');
  if (r.trailers !== null) composeTrailers(o, r.trailers, r.hide);
  if (r.trailing !== null) {
    r.trailing.fill(r);
    composeFields(o, r.trailing.fields);
  }
  o.crlf();
}
