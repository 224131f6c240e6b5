/** The Huffman code of HPACK (RFC 7541 section 5.2, appendix B). Pure. */
import { Buffer as Bytes } from 'node:buffer';
import type { Buffer } from 'node:buffer';

/**
 * Bits of each symbol's code; the last one is EOS. The code is canonical (codes of one length follow each other in order
 * of their symbols, shorter ones first), so the lengths say it all.
 */
// oxfmt-ignore
const LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
  10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5,
  6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22,
  23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22,
  22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26,
  26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27,
  27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27,
  27, 27, 27, 27, 26, 30,
];

const EOS = 256;
const CODES: Uint32Array = canonicalCodes();

function canonicalCodes(): Uint32Array {
  const order = LENGTHS.map((_, symbol) => symbol).sort((a, b) => LENGTHS[a]! - LENGTHS[b]! || a - b);
  const codes = new Uint32Array(257);
  let code = 0;
  let length = LENGTHS[order[0]!]!;
  for (const symbol of order) {
    code = code * 2 ** (LENGTHS[symbol]! - length);
    length = LENGTHS[symbol]!;
    codes[symbol] = code++;
  }
  return codes;
}

const BITS = Uint8Array.from(LENGTHS);

/** Bits of a step of `STEPS`: the state that follows, then these. */
const EMITS = 1 << 8;
/**
 * The string may end here: only ones are left over. RFC 7541 allows seven; some encoders (nginx's test suite has one) add
 * eight where a string ends with an octet, and nginx takes that.
 */
const ENDS = 1 << 9;
const MAX_PADDING = 8;
const FAILS = 1 << 10;
const SYMBOL_SHIFT = 16;

/**
 * For each inner node of the code's tree and each four bits that may come: where they lead and which symbol they
 * complete (at most one: the shortest code has five bits).
 */
let steps: Uint32Array | null = null;

/** Made when the first encoded string comes: a client that never sends one costs nothing. */
function makeSteps(): Uint32Array {
  // The tree as pairs of links: >= 0 an inner node, < 0 a symbol.
  const links: number[] = [0, 0];
  /** Nodes that are reached from the root by ones alone, and how many. */
  const ones = new Map<number, number>([[0, 0]]);
  for (let symbol = 0; symbol <= EOS; symbol++) {
    let node = 0;
    for (let bit = LENGTHS[symbol]! - 1; bit > 0; bit--) {
      const at = node * 2 + ((CODES[symbol]! >>> bit) & 1);
      if (links[at] === 0) {
        links[at] = links.length / 2;
        links.push(0, 0);
      }
      node = links[at]!;
    }
    links[node * 2 + (CODES[symbol]! & 1)] = -1 - symbol;
  }
  for (let node = 0, n = 0; n <= MAX_PADDING && node >= 0; n++) {
    ones.set(node, n);
    node = links[node * 2 + 1]!;
  }
  const table = new Uint32Array((links.length / 2) * 16);
  for (let start = 0; start < links.length / 2; start++) {
    for (let nibble = 0; nibble < 16; nibble++) table[start * 16 + nibble] = stepOf(links, ones, start, nibble);
  }
  return table;
}

function stepOf(links: readonly number[], ones: ReadonlyMap<number, number>, start: number, nibble: number): number {
  let node = start;
  let step = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const link = links[node * 2 + ((nibble >> bit) & 1)]!;
    if (link >= 0) {
      node = link;
      continue;
    }
    const symbol = -1 - link;
    if (symbol === EOS) return FAILS;
    step = EMITS | (symbol << SYMBOL_SHIFT);
    node = 0;
  }
  return step | node | (ones.has(node) ? ENDS : 0);
}

/**
 * Decodes `src[start, end)` into `dst` from `at`; needs at most `decodedMax(end - start)` bytes there.
 * @returns where the decoded bytes end, or -1: not a valid encoding (EOS, or padding that is none)
 */
export function decode(src: Buffer, start: number, end: number, dst: Buffer, at: number): number {
  const table = (steps ??= makeSteps());
  let state = 0;
  let step = ENDS;
  for (let i = start; i < end; i++) {
    const byte = src[i]!;
    step = table[state * 16 + (byte >> 4)]!;
    if ((step & EMITS) !== 0) dst[at++] = step >>> SYMBOL_SHIFT;
    else if ((step & FAILS) !== 0) return -1;
    step = table[(step & 0xff) * 16 + (byte & 15)]!;
    if ((step & EMITS) !== 0) dst[at++] = step >>> SYMBOL_SHIFT;
    else if ((step & FAILS) !== 0) return -1;
    state = step & 0xff;
  }
  return (step & ENDS) === 0 ? -1 : at;
}

/** The most bytes that `n` encoded bytes can stand for. */
export function decodedMax(n: number): number {
  return Math.floor((n * 8) / 5) + 1;
}

/** Bytes that latin1 `text` takes when encoded. */
export function encodedLength(text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) bits += BITS[text.charCodeAt(i)]!;
  return (bits + 7) >> 3;
}

/** Bytes that `src[start, end)` takes when encoded. */
export function encodedBytesLength(src: Buffer, start: number, end: number): number {
  let bits = 0;
  for (let i = start; i < end; i++) bits += BITS[src[i]!]!;
  return (bits + 7) >> 3;
}

/** Encodes `src[start, end)` into `dst` from `at`; returns where it ends. */
export function encodeBytes(src: Buffer, start: number, end: number, dst: Buffer, at: number): number {
  let held = 0;
  let bits = 0;
  for (let i = start; i < end; i++) {
    const symbol = src[i]!;
    let left = BITS[symbol]!;
    const code = CODES[symbol]!;
    if (left > 16) {
      left -= 16;
      held = (held << left) | (code >>> 16);
      bits += left;
      while (bits >= 8) dst[at++] = held >>> (bits -= 8);
      held = ((held & ((1 << bits) - 1)) << 16) | (code & 0xffff);
      bits += 16;
    } else {
      held = (held << left) | code;
      bits += left;
    }
    while (bits >= 8) dst[at++] = held >>> (bits -= 8);
    held &= (1 << bits) - 1;
  }
  if (bits > 0) dst[at++] = (held << (8 - bits)) | ((1 << (8 - bits)) - 1);
  return at;
}

/** Encodes latin1 `text` into `dst` from `at`; returns where it ends. */
export function encode(text: string, dst: Buffer, at: number): number {
  const n = text.length;
  if (scratch.length < n) scratch = Bytes.allocUnsafeSlow(n * 2);
  if (n > 48) scratch.latin1Write(text, 0, n);
  else for (let i = 0; i < n; i++) scratch[i] = text.charCodeAt(i);
  return encodeBytes(scratch, 0, n, dst, at);
}

let scratch = Bytes.allocUnsafeSlow(4096);
