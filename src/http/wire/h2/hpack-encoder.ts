/**
 * Header blocks out (RFC 7541 section 6). Pure: appends to an `Output`.
 *
 * Nothing is added to the other side's dynamic table: names of the static table are referred to, values go along. That
 * costs some bytes, and saves the search, the state and the copies on both sides; nginx, too, never refers to the table.
 */
import { Buffer } from 'node:buffer';
import type { Output } from '../../../net/output.ts';
import { knownName, KNOWN_COUNT } from '../known.ts';
import { encode, encodeBytes, encodedBytesLength, encodedLength } from './huffman.ts';
import { staticIndexOf } from './static-table.ts';

/** An integer behind `bits` of prefix; `first` holds the bits above. */
export function encodeInt(o: Output, first: number, bits: number, value: number): void {
  const prefix = (1 << bits) - 1;
  if (value < prefix) {
    o.byte(first | value);
    return;
  }
  o.byte(first | prefix);
  value -= prefix;
  while (value >= 0x80) {
    o.byte((value & 0x7f) | 0x80);
    value >>>= 7;
  }
  o.byte(value);
}

/** `Literal without Indexing` of a lower-case name: what stands before the value. */
export function encodedName(name: string): Buffer {
  const index = staticIndexOf(name);
  if (index > 0) return index < 15 ? Buffer.from([index]) : Buffer.from([15, index - 15]);
  const bytes = Buffer.from(name, 'latin1');
  return Buffer.concat([Buffer.from([0, ...lengthOctets(bytes.length)]), bytes]);
}

function lengthOctets(n: number): number[] {
  if (n < 127) return [n];
  const octets = [127];
  for (n -= 127; n >= 0x80; n >>>= 7) octets.push((n & 0x7f) | 0x80);
  octets.push(n);
  return octets;
}

/** Literal of a field whose value never changes, as short as it can be. */
export function encodedField(name: string, value: string): Buffer {
  const coded = encodedLength(value);
  const text = Buffer.alloc(coded);
  encode(value, text, 0);
  const octets = lengthOctets(coded);
  octets[0] = octets[0]! | 0x80;
  return Buffer.concat([encodedName(name), Buffer.from(octets), text]);
}

const KNOWN: Buffer[] = Array.from({ length: KNOWN_COUNT }, (_, id) => encodedName(knownName(id)));

/** Appends the name of a field by its known identifier (`known.ts`). */
export function encodeKnownName(o: Output, id: number): void {
  const name = KNOWN[id]!;
  o.bytes(name, 0, name.length);
}

/** Appends a literal name from bytes; upper case is lowered (RFC 9113 section 8.2). */
export function encodeNameBytes(o: Output, buf: Buffer, start: number, end: number): void {
  o.byte(0);
  encodeInt(o, 0, 7, end - start);
  o.reserve(end - start);
  const dst = o.buf;
  let at = o.length;
  for (let i = start; i < end; i++) {
    const b = buf[i]!;
    dst[at++] = b >= 0x41 && b <= 0x5a ? b | 0x20 : b;
  }
  o.length = at;
}

/** Appends a value, in Huffman's code if it is shorter so. */
export function encodeValueBytes(o: Output, buf: Buffer, start: number, end: number): void {
  const coded = encodedBytesLength(buf, start, end);
  if (coded >= end - start) {
    encodeInt(o, 0, 7, end - start);
    o.bytes(buf, start, end);
    return;
  }
  encodeInt(o, 0x80, 7, coded);
  o.reserve(coded);
  o.length = encodeBytes(buf, start, end, o.buf, o.length);
}

/** Appends a latin1 value, in Huffman's code if it is shorter so. */
export function encodeValue(o: Output, value: string): void {
  const coded = encodedLength(value);
  if (coded >= value.length) {
    encodeInt(o, 0, 7, value.length);
    o.text(value);
    return;
  }
  encodeInt(o, 0x80, 7, coded);
  o.reserve(coded);
  o.length = encode(value, o.buf, o.length);
}

/** Names that were met, encoded; what configurations name comes again and again. */
const names = new Map<string, Buffer>();
const MAX_NAMES = 1024;

/** Appends a field; the name may be in any case. */
export function encodeField(o: Output, name: string, value: string): void {
  let encoded = names.get(name);
  if (encoded === undefined) {
    encoded = encodedName(name.toLowerCase());
    if (names.size < MAX_NAMES) names.set(name, encoded);
  }
  o.bytes(encoded, 0, encoded.length);
  encodeValue(o, value);
}

const STATUS_INDEX: Record<number, number> = { 200: 8, 204: 9, 206: 10, 304: 11, 400: 12, 404: 13, 500: 14 };

export function encodeStatus(o: Output, status: number): void {
  const index = STATUS_INDEX[status];
  if (index !== undefined) {
    o.byte(0x80 | index);
    return;
  }
  o.byte(8);
  o.byte(3);
  o.byte(0x30 + Math.floor(status / 100));
  o.byte(0x30 + (Math.floor(status / 10) % 10));
  o.byte(0x30 + (status % 10));
}
