/**
 * Large pieces of a body go on from where they were read: what has to stand around them (an answer's head, a chunk's
 * size line and end) is written into the free bytes before and after them, and all goes out in one write, not copied.
 */
import type { Buffer } from 'node:buffer';
import { readArea } from '../../net/read-area.ts';

/** Below this a copy into the output buffer is as cheap. */
const WORTH_IT = 4096;
/** `\r\n` and `0\r\n\r\n`. */
const LAST_CHUNK = '0\r\n\r\n';

/** Where the framed bytes stand after a call. */
export const framed: { start: number; end: number } = { start: 0, end: 0 };

/** Whether `buf[start, end)` can be framed where it is, with `before` bytes in front. */
export function fits(buf: Buffer | null, start: number, end: number, before: number): boolean {
  return buf === readArea && end - start >= WORTH_IT && start >= before + 16 && end + 8 <= readArea.length;
}

/** Puts the chunk's size line before and its end after; `last` adds the last chunk. Sets `framed`. */
export function frameChunk(start: number, end: number, last: boolean): void {
  const size = (end - start).toString(16);
  let at = start - size.length - 2;
  framed.start = at;
  for (let i = 0; i < size.length; i++) readArea[at++] = size.charCodeAt(i);
  readArea[at++] = 13;
  readArea[at] = 10;
  at = end;
  readArea[at++] = 13;
  readArea[at++] = 10;
  if (last) for (let i = 0; i < LAST_CHUNK.length; i++) readArea[at++] = LAST_CHUNK.charCodeAt(i);
  framed.end = at;
}

/** Puts `head[0, length)` in front of what is framed. */
export function frameHead(head: Buffer, length: number): void {
  framed.start -= length;
  head.copy(readArea, framed.start, 0, length);
}
