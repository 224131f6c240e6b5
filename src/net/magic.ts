/** Protocols that begin with bytes of their own, recognized in whatever pieces these arrive. */
import type { Buffer } from 'node:buffer';

/** More bytes are needed to tell. */
export const MAGIC_MORE = -1;
/** The bytes begin with something else. */
export const MAGIC_NONE = -2;

/** Whether `buf[start, end)` begins with the magic. @returns its length, MAGIC_MORE or MAGIC_NONE */
export function sniffMagic(magic: Buffer, buf: Buffer, start: number, end: number): number {
  const n = Math.min(end - start, magic.length);
  if (buf.compare(magic, 0, n, start, start + n) !== 0) return MAGIC_NONE;
  return n < magic.length ? MAGIC_MORE : n;
}
