/**
 * The file of a cached answer: a header part, then the body as it was sent (without chunks). All numbers little endian.
 *
 * ```
 *  0  4  magic, "HRc" and the format's version
 *  4  4  offset of the body: length of the header part
 *  8  4  CRC-32 of the header part, with zeros in these four bytes
 * 12  2  length of the key          14  1  of Vary          15  1  of ETag
 * 16  4  of the answer's head       20  4  not used, 0
 * 24  8  length of the body, a double as all that follow
 * 32  8  valid until                40  8  seconds more while it is updated (stale-while-revalidate)
 * 48  8  seconds more if the update fails (stale-if-error)
 * 56  8  Last-Modified, -1: none    64  8  when it was made
 * 72 16  MD5 of main key and request fields that Vary names; zeros: no Vary
 * 88     key, Vary, ETag, head (status line, fields, empty line)
 * ```
 *
 * Times are seconds since the epoch. A file whose length is not that of header part and body was cut, and is a miss.
 */
import { Buffer } from 'node:buffer';
import { crc32 } from 'node:zlib';

const MAGIC = 0x01635248;
const FIXED = 88;
/** Longest Vary and ETag that are kept. */
export const MAX_VARY = 128;
export const MAX_ETAG = 128;
/** Largest header part that is believed. */
const MAX_HEADER = 4 * 1024 * 1024;

/** Enough to see how long the header part is. */
export const PREFIX_BYTES = 12;

export interface FileHeader {
  /** Text of the key (one character a byte). */
  key: string;
  /** `Vary` of the answer; '': it has none. */
  vary: string;
  /** 16 bytes; null without `vary`. */
  variant: Buffer | null;
  /** '': none. */
  etag: string;
  /** Seconds since the epoch; -1: not known. */
  lastModified: number;
  /** Seconds since the epoch. */
  validUntil: number;
  /** Seconds after `validUntil` in which it may be sent while it is updated. */
  staleUpdating: number;
  /** Seconds after `validUntil` in which it may be sent if the update fails. */
  staleError: number;
  /** When it was made. Seconds since the epoch. */
  date: number;
  bodyLength: number;
  /** Status line, fields and empty line. */
  head: Buffer;
}

/** Length of the header part that `encodeHeader` will make. */
export function headerLength(header: FileHeader): number {
  return FIXED + header.key.length + header.vary.length + header.etag.length + header.head.length;
}

export function encodeHeader(header: FileHeader): Buffer {
  const { key, vary, etag, head, variant } = header;
  const length = headerLength(header);
  const buf = Buffer.alloc(length);
  buf.writeUInt32LE(MAGIC, 0);
  buf.writeUInt32LE(length, 4);
  buf.writeUInt16LE(key.length, 12);
  buf.writeUInt8(vary.length, 14);
  buf.writeUInt8(etag.length, 15);
  buf.writeUInt32LE(head.length, 16);
  buf.writeDoubleLE(header.bodyLength, 24);
  buf.writeDoubleLE(header.validUntil, 32);
  buf.writeDoubleLE(header.staleUpdating, 40);
  buf.writeDoubleLE(header.staleError, 48);
  buf.writeDoubleLE(header.lastModified, 56);
  buf.writeDoubleLE(header.date, 64);
  variant?.copy(buf, 72);
  let at = FIXED;
  for (const text of [key, vary, etag]) at += buf.latin1Write(text, at, text.length);
  head.copy(buf, at);
  buf.writeUInt32LE(crc32(buf), 8);
  return buf;
}

/** How long the header part is, by the first `PREFIX_BYTES` of a file; -1: this is none of ours. */
export function announcedLength(buf: Buffer): number {
  if (buf.length < PREFIX_BYTES || buf.readUInt32LE(0) !== MAGIC) return -1;
  const length = buf.readUInt32LE(4);
  return length >= FIXED && length <= MAX_HEADER ? length : -1;
}

/** Bytes that `keyIn` needs for a key of so many characters. */
export const KEY_AT: number = FIXED;

/** The key that stands in the first bytes of a file; its length alone when it does not end within them. */
export function keyIn(buf: Buffer): string | number {
  const length = buf.readUInt16LE(12);
  return KEY_AT + length <= buf.length ? buf.latin1Slice(KEY_AT, KEY_AT + length) : length;
}

/**
 * Reads the header part at the beginning of `buf`, which holds all of it.
 *
 * @param fileSize of the whole file
 * @returns what is wrong with the file, in words for the log, or the header; texts and buffers are copies
 */
export function decodeHeader(buf: Buffer, fileSize: number): FileHeader | string {
  const length = announcedLength(buf);
  if (length < 0) return 'is not a file of this cache';
  if (buf.length < length) return 'is too small';
  const sum = buf.readUInt32LE(8);
  buf.writeUInt32LE(0, 8);
  const right = crc32(buf.subarray(0, length)) === sum;
  buf.writeUInt32LE(sum, 8);
  if (!right) return 'has a wrong checksum';
  const keyLength = buf.readUInt16LE(12);
  const varyLength = buf.readUInt8(14);
  const etagLength = buf.readUInt8(15);
  const headLength = buf.readUInt32LE(16);
  if (FIXED + keyLength + varyLength + etagLength + headLength !== length) return 'has wrong lengths';
  const bodyLength = buf.readDoubleLE(24);
  if (fileSize !== length + bodyLength) return 'is cut or too long';
  let at = FIXED;
  const text = (n: number): string => buf.latin1Slice(at, (at += n));
  const header: FileHeader = {
    key: text(keyLength),
    vary: text(varyLength),
    variant: varyLength === 0 ? null : Buffer.from(buf.subarray(72, 88)),
    etag: text(etagLength),
    bodyLength,
    validUntil: buf.readDoubleLE(32),
    staleUpdating: buf.readDoubleLE(40),
    staleError: buf.readDoubleLE(48),
    lastModified: buf.readDoubleLE(56),
    date: buf.readDoubleLE(64),
    head: Buffer.from(buf.subarray(at, length)),
  };
  return header;
}
