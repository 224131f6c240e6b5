/** Frames out (RFC 9113 section 6). Pure: appends to an `Output`. */
import type { Buffer } from 'node:buffer';
import type { Output } from '../../../net/output.ts';
import {
  CONTINUATION,
  FLAG_ACK,
  FLAG_END_HEADERS,
  FRAME_HEAD,
  GOAWAY,
  HEADERS,
  PING,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
} from './constants.ts';

export function writeFrameHead(o: Output, length: number, type: number, flags: number, id: number): void {
  o.reserve(FRAME_HEAD);
  putFrameHead(o.buf, o.length, length, type, flags, id);
  o.length += FRAME_HEAD;
}

function putFrameHead(buf: Buffer, at: number, length: number, type: number, flags: number, id: number): void {
  buf[at] = length >>> 16;
  buf[at + 1] = length >>> 8;
  buf[at + 2] = length;
  buf[at + 3] = type;
  buf[at + 4] = flags;
  buf[at + 5] = id >>> 24;
  buf[at + 6] = id >>> 16;
  buf[at + 7] = id >>> 8;
  buf[at + 8] = id;
}

function uint32(o: Output, n: number): void {
  o.byte((n >>> 24) & 0xff);
  o.byte((n >>> 16) & 0xff);
  o.byte((n >>> 8) & 0xff);
  o.byte(n & 0xff);
}

/** Identifier and value, pair by pair. */
export function writeSettings(o: Output, pairs: readonly (readonly [id: number, value: number])[]): void {
  writeFrameHead(o, pairs.length * 6, SETTINGS, 0, 0);
  for (const [id, value] of pairs) {
    o.byte(id >>> 8);
    o.byte(id & 0xff);
    uint32(o, value);
  }
}

export function writeSettingsAck(o: Output): void {
  writeFrameHead(o, 0, SETTINGS, FLAG_ACK, 0);
}

export function writeWindowUpdate(o: Output, id: number, increment: number): void {
  writeFrameHead(o, 4, WINDOW_UPDATE, 0, id);
  uint32(o, increment);
}

export function writeReset(o: Output, id: number, error: number): void {
  writeFrameHead(o, 4, RST_STREAM, 0, id);
  uint32(o, error);
}

export function writeGoaway(o: Output, lastId: number, error: number): void {
  writeFrameHead(o, 8, GOAWAY, 0, 0);
  uint32(o, lastId);
  uint32(o, error);
}

/** @param bytes eight of them at `start`: what the other side sent */
export function writePingAck(o: Output, bytes: Buffer, start: number): void {
  writeFrameHead(o, 8, PING, FLAG_ACK, 0);
  o.bytes(bytes, start, start + 8);
}

/** Leaves room for a HEADERS frame's head; the header block follows, then `endHeaders`. @returns what that wants */
export function beginHeaders(o: Output): number {
  o.reserve(FRAME_HEAD);
  o.length += FRAME_HEAD;
  return o.length;
}

/**
 * Ends a header block that began at `start`: writes its frame's head, and splits it into CONTINUATION frames where it is
 * longer than the other side takes.
 */
export function endHeaders(o: Output, start: number, flags: number, id: number, maxFrame: number): void {
  const length = o.length - start;
  if (length <= maxFrame) {
    putFrameHead(o.buf, start - FRAME_HEAD, length, HEADERS, flags | FLAG_END_HEADERS, id);
    return;
  }
  // From the back, so that nothing is overwritten before it has moved.
  const extra = Math.ceil(length / maxFrame) - 1;
  o.reserve(extra * FRAME_HEAD);
  for (let k = extra; k > 0; k--) {
    const from = start + k * maxFrame;
    const n = Math.min(maxFrame, start + length - from);
    const to = from + k * FRAME_HEAD;
    o.buf.copyWithin(to, from, from + n);
    putFrameHead(o.buf, to - FRAME_HEAD, n, CONTINUATION, k === extra ? FLAG_END_HEADERS : 0, id);
  }
  putFrameHead(o.buf, start - FRAME_HEAD, maxFrame, HEADERS, flags, id);
  o.length += extra * FRAME_HEAD;
}
