/** What the tests of the wire formats share: splitting bytes into reads, and bytes that are nearly right. */
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import type { HeaderBlock } from '../../../src/http/wire/header-block.ts';
import { MORE } from '../../../src/http/wire/outcomes.ts';

/** One field as text. */
export type Field = [name: string, value: string];

export function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

export function fieldsOf(block: HeaderBlock): Field[] {
  return Array.from({ length: block.count }, (_, i): Field => [block.name(i), block.value(i)]);
}

/**
 * Feeds `bytes` in reads that end at `cuts`, into a buffer that moves now and then, as a connection does.
 * @returns what the last call of `parse` came to
 */
export function parseInReads(block: HeaderBlock, bytes: Buffer, cuts: readonly number[], moving = false): number {
  let room = Buffer.alloc(bytes.length + 64, 0x2f);
  let offset = 0;
  block.reset(room, 0);
  let from = 0;
  let result = MORE;
  for (const end of [...cuts.filter((c) => c > 0 && c < bytes.length).toSorted((a, b) => a - b), bytes.length]) {
    if (end === from && end !== 0) continue;
    bytes.copy(room, offset + from, from, end);
    result = block.parse(offset + end);
    if (result !== MORE) break;
    if (moving) {
      // What lies behind the bytes must not matter: another filling each time.
      const moved = Buffer.alloc(bytes.length + 64, end % 2 === 0 ? 0x0a : 0x3a);
      const delta = (end % 7) - offset;
      room.copy(moved, offset + delta, offset, offset + end);
      room = moved;
      block.rebase(room, delta);
      offset += delta;
    }
    from = end;
  }
  return result;
}

/** Cuts after every byte. */
export function everyByte(bytes: Buffer): number[] {
  return Array.from({ length: bytes.length }, (_, i) => i);
}

export const tokenChar: fc.Arbitrary<string> = fc.constantFrom(
  ..."!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
);
export const token: fc.Arbitrary<string> = fc.string({ unit: tokenChar, minLength: 1, maxLength: 20 });

const valueChar = fc.oneof(
  { weight: 9, arbitrary: fc.integer({ min: 0x21, max: 0x7e }) },
  { weight: 1, arbitrary: fc.constantFrom(0x20, 0x09, 0x80, 0xff) },
);

/** A field value without white space around it. */
export const value: fc.Arbitrary<string> = fc
  .array(valueChar, { maxLength: 40 })
  .map((codes) => String.fromCharCode(...codes).replace(/^[\t ]+|[\t ]+$/g, ''));

const KNOWN = ['Host', 'CONNECTION', 'content-length', 'Transfer-Encoding', 'Cookie', 'X-Forwarded-For', 'ETag'];

export const fields: fc.Arbitrary<Field[]> = fc.array(fc.tuple(fc.oneof(token, fc.constantFrom(...KNOWN)), value), {
  maxLength: 12,
});

const optionalSpace = fc.constantFrom('', '', ' ', '\t', '  \t');

/** Field lines with white space around values, all ending alike. */
export function fieldLines(list: readonly Field[], eol: string, spaces: readonly string[] = []): string {
  return list.map(([n, v], i) => `${n}:${spaces[i * 2] ?? ' '}${v}${spaces[i * 2 + 1] ?? ''}${eol}`).join('');
}

export const spaces: fc.Arbitrary<string[]> = fc.array(optionalSpace, { minLength: 24, maxLength: 24 });

/** Changes to a text that is right: bytes put in, taken out, replaced. What comes out is mostly wrong. */
export const mutations: fc.Arbitrary<{ at: number; kind: number; text: string }[]> = fc.array(
  fc.record({
    at: fc.nat(400),
    kind: fc.nat(2),
    text: fc.constantFrom(
      '\r',
      '\n',
      '\r\n',
      ' ',
      '\t',
      '\0',
      ':',
      '\x7f',
      '\x80',
      '\x0b',
      '_',
      '#',
      '%',
      '/',
      '?',
      '.',
      'HTTP/',
      '0',
    ),
  }),
  { minLength: 0, maxLength: 3 },
);

export function mutate(text: string, changes: readonly { at: number; kind: number; text: string }[]): string {
  let out = text;
  for (const { at, kind, text: piece } of changes) {
    const i = out.length === 0 ? 0 : at % out.length;
    out = out.slice(0, i) + (kind === 2 ? '' : piece) + out.slice(kind === 0 ? i : i + 1);
  }
  return out;
}

export const cuts: fc.Arbitrary<number[]> = fc.array(fc.nat(400), { maxLength: 8 });

/** Names whose hash (times 31 plus next) is that of `lower`: two neighbours changed so that the sum stays. */
export function collisionsOf(lower: string): string[] {
  const found: string[] = [];
  const valid = /^[!#$%&'*+\-.^_`|~0-9a-z]$/;
  for (let i = 0; i + 1 < lower.length; i++) {
    for (const d of [-3, -2, -1, 1, 2, 3]) {
      const a = String.fromCharCode(lower.charCodeAt(i) + d);
      const b = String.fromCharCode(lower.charCodeAt(i + 1) - 31 * d);
      if (valid.test(a) && valid.test(b)) found.push(lower.slice(0, i) + a + b + lower.slice(i + 2));
    }
  }
  return found;
}
