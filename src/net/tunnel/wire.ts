/**
 * The tunnel's frames (docs/tunnel.md): a type, a length of three bytes, and what the type says. Numbers are written with
 * the high byte first; offsets take eight bytes and stay below 2^53.
 */
import { Buffer } from 'node:buffer';

/**
 * What a connection of a tunnel begins with. The first byte is no text and begins no TLS record; CR and LF show when
 * somebody on the way changed line ends.
 */
export const TUNNEL_MAGIC: Buffer = Buffer.from([0x95, 0x48, 0x52, 0x54, 0x4e, 0x4c, 0x0d, 0x0a]);
export const TUNNEL_VERSION = 1;

// A connection's own, before anything is carried.
export const HELLO = 0x01;
export const CHALLENGE = 0x02;
export const PROOF = 0x03;
export const WELCOME = 0x04;
export const REFUSE = 0x05;
// A logical stream takes a connection, and gives it back.
export const OPEN = 0x10;
export const ACCEPT = 0x11;
export const REJECT = 0x12;
// Of a logical stream.
export const DATA = 0x20;
export const WINDOW = 0x21;
export const FIN = 0x22;
export const RESET = 0x23;
export const DONE = 0x24;
export const MORE = 0x25;
// Whether the connection lives.
export const PING = 0x30;
export const PONG = 0x31;

export const FRAME_HEADER = 4;
/** Bytes of a DATA frame before its payload. */
export const DATA_HEADER: number = FRAME_HEADER + 8;
/** Most payload of a frame. */
export const PAYLOAD_MAX = 64 * 1024;
/** As so many bytes a frame counts in `channelSize`: fewer frames cost less, and memory is what is counted. */
export const FRAME_UNIT = 16 * 1024;
/** Most bytes of a frame that is not DATA. */
export const CONTROL_MAX = 512;
/** What may be sent before the other side has said how much it takes. */
export const FIRST_CREDIT = 64 * 1024;
export const SESSION_ID_BYTES = 16;

/** Why a connection is refused, or a logical stream ends before its time. */
export const REASONS = {
  cancelled: 1,
  lost: 2,
  protocol: 3,
  unauthorized: 4,
  version: 5,
  full: 6,
  unknown: 7,
  finished: 8,
  shutdown: 9,
} as const;
export type ReasonCode = (typeof REASONS)[keyof typeof REASONS];

const TEXTS: Readonly<Record<number, string>> = {
  1: 'the other side has given up',
  2: 'all connections were lost',
  3: 'the other side broke the protocol',
  4: 'not authorized',
  5: 'no common version',
  6: 'too many streams',
  7: 'the stream is not known',
  8: 'the stream has ended',
  9: 'shutting down',
};

export function reasonText(code: number): string {
  return TEXTS[code] ?? `reason ${code}`;
}

const HIGH = 2 ** 32;
/** Offsets are numbers of JavaScript. */
const HIGH_LIMIT = 2 ** 21;

export function writeOffset(buf: Buffer, at: number, offset: number): void {
  buf.writeUInt32BE(Math.floor(offset / HIGH), at);
  buf.writeUInt32BE(offset % HIGH, at + 4);
}

/** -1: past 2^53. */
export function readOffset(buf: Buffer, at: number): number {
  const high = buf.readUInt32BE(at);
  return high >= HIGH_LIMIT ? -1 : high * HIGH + buf.readUInt32BE(at + 4);
}

export function writeHead(buf: Buffer, at: number, type: number, length: number): void {
  buf[at] = type;
  buf[at + 1] = (length >> 16) & 255;
  buf[at + 2] = (length >> 8) & 255;
  buf[at + 3] = length & 255;
}

/** A frame of its own memory. */
export function frame(type: number, payload: Buffer): Buffer {
  const buf = Buffer.allocUnsafe(FRAME_HEADER + payload.length);
  writeHead(buf, 0, type, payload.length);
  payload.copy(buf, FRAME_HEADER);
  return buf;
}

/** A frame of offsets. */
export function offsetsFrame(type: number, ...offsets: number[]): Buffer {
  const buf = Buffer.allocUnsafe(FRAME_HEADER + 8 * offsets.length);
  writeHead(buf, 0, type, 8 * offsets.length);
  offsets.forEach((offset, i) => writeOffset(buf, FRAME_HEADER + 8 * i, offset));
  return buf;
}

/** A frame of one byte. */
export function byteFrame(type: number, value: number): Buffer {
  return Buffer.from([type, 0, 0, 1, value]);
}

/** What a client wants of a logical stream, and what a server grants. */
export interface StreamTerms {
  /** Most connections. */
  maxLinks: number;
  /** Frames that may be unacknowledged on one connection. */
  channelSize: number;
  /** Bytes that were received in order. */
  acked: number;
  /** Up to which offset the other side may send. */
  limit: number;
}

const TERMS = 2 + 2 + 8 + 8;
/** A stream that exists is meant. */
const JOIN = 1;

function writeTerms(buf: Buffer, at: number, terms: StreamTerms): void {
  buf.writeUInt16BE(terms.maxLinks, at);
  buf.writeUInt16BE(terms.channelSize, at + 2);
  writeOffset(buf, at + 4, terms.acked);
  writeOffset(buf, at + 12, terms.limit);
}

function readTerms(buf: Buffer, at: number): StreamTerms | null {
  const acked = readOffset(buf, at + 4);
  const limit = readOffset(buf, at + 12);
  const maxLinks = buf.readUInt16BE(at);
  const channelSize = buf.readUInt16BE(at + 2);
  if (acked < 0 || limit < 0 || maxLinks === 0 || channelSize === 0) return null;
  return { maxLinks, channelSize, acked, limit };
}

export function openFrame(id: Buffer, join: boolean, terms: StreamTerms): Buffer {
  const payload = Buffer.alloc(1 + SESSION_ID_BYTES + TERMS);
  payload[0] = join ? JOIN : 0;
  id.copy(payload, 1);
  writeTerms(payload, 1 + SESSION_ID_BYTES, terms);
  return frame(OPEN, payload);
}

/** Null: not one. */
export function readOpen(payload: Buffer): { id: Buffer; join: boolean; terms: StreamTerms } | null {
  if (payload.length !== 1 + SESSION_ID_BYTES + TERMS || payload[0]! > JOIN) return null;
  const terms = readTerms(payload, 1 + SESSION_ID_BYTES);
  if (terms === null) return null;
  return { id: Buffer.from(payload.subarray(1, 1 + SESSION_ID_BYTES)), join: payload[0] === JOIN, terms };
}

export function acceptFrame(terms: StreamTerms): Buffer {
  const payload = Buffer.alloc(TERMS);
  writeTerms(payload, 0, terms);
  return frame(ACCEPT, payload);
}

/** Null: not one. */
export function readAccept(payload: Buffer): StreamTerms | null {
  return payload.length === TERMS ? readTerms(payload, 0) : null;
}
