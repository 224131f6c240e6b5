/** As much of DER (X.690) as OCSP needs: definite lengths, short tags. Pure. */
import { Buffer } from 'node:buffer';

/** An element: where it begins, and where its content stands. */
export interface Der {
  tag: number;
  at: number;
  start: number;
  end: number;
}

export const INTEGER = 0x02;
export const BIT_STRING = 0x03;
export const OCTET_STRING = 0x04;
export const OID = 0x06;
export const ENUMERATED = 0x0a;
export const GENERALIZED_TIME = 0x18;
export const SEQUENCE = 0x30;

/** `[n]` of a constructed type. */
export function context(n: number): number {
  return 0xa0 | n;
}

/** @throws {RangeError} when the bytes are no element that ends before `limit` */
export function readDer(buf: Buffer, at: number, limit: number = buf.length): Der {
  if (at + 2 > limit) throw new RangeError('DER ends early');
  const tag = buf[at]!;
  let length = buf[at + 1]!;
  let start = at + 2;
  if (length >= 0x80) {
    const bytes = length & 0x7f;
    if (bytes === 0 || bytes > 4 || start + bytes > limit) throw new RangeError('DER of an unknown length');
    length = buf.readUIntBE(start, bytes);
    start += bytes;
  }
  if ((tag & 0x1f) === 0x1f || start + length > limit) throw new RangeError('DER is not well-formed');
  return { tag, at, start, end: start + length };
}

/** The elements inside one. @throws {RangeError} */
export function parts(buf: Buffer, outer: Der): Der[] {
  const found: Der[] = [];
  for (let at = outer.start; at < outer.end;) {
    const inner = readDer(buf, at, outer.end);
    found.push(inner);
    at = inner.end;
  }
  return found;
}

/** The element at this place, which must be of a type. @throws {RangeError} */
export function expect(element: Der | undefined, tag: number): Der {
  if (element === undefined || element.tag !== tag) throw new RangeError(`DER: type ${tag} was expected`);
  return element;
}

/** The content of an element. */
export function content(buf: Buffer, { start, end }: Der): Buffer {
  return buf.subarray(start, end);
}

/** All of an element. */
export function whole(buf: Buffer, { at, end }: Der): Buffer {
  return buf.subarray(at, end);
}

/** Milliseconds since the epoch. @throws {RangeError} */
export function time(buf: Buffer, element: Der): number {
  const text = content(buf, expect(element, GENERALIZED_TIME)).toString('latin1');
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.\d+)?Z$/.exec(text);
  if (match === null) throw new RangeError('DER: no time');
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number);
  return Date.UTC(year!, month! - 1, day, hour, minute, second);
}

/** Composes an element. */
export function der(tag: number, ...inside: Buffer[]): Buffer {
  const body = Buffer.concat(inside);
  const n = body.length;
  const length = n < 0x80 ? [n] : n < 0x100 ? [0x81, n] : [0x82, n >> 8, n & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}
