/**
 * What any-proxy's packets and the frames of its tunnel have in common: a magic, the header's length (two bytes, the high one
 * first), a header and a body of TOML. Pure.
 */
import { Buffer } from 'node:buffer';
import { readToml, writeToml } from './toml.ts';

export const LENGTH_BYTES = 2;
/** Most bytes of a header, and of a body. */
export const PART_MAX = 4096;

/** @param body TOML */
export function tomlFrame(magic: Buffer, type: number, body: Buffer): Buffer {
  const header = Buffer.from(
    writeToml([
      ['header_type', type],
      ['body_size', body.length],
    ]),
    'latin1',
  );
  const length = Buffer.from([header.length >> 8, header.length & 255]);
  return Buffer.concat([magic, length, header, body]);
}

/** What a header says; null: it cannot be read, or lacks something. */
export function readHeader(bytes: Buffer, start: number, end: number): { type: number; size: number } | null {
  const header = readToml(bytes.toString('utf8', start, end));
  const type = header?.get('header_type');
  const size = header?.get('body_size');
  return typeof type === 'number' && typeof size === 'number' ? { type, size } : null;
}
