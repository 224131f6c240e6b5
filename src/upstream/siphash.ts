/**
 * SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF") with a key of zeros: what Rust's default hasher
 * gives, so that any-proxy and Headrace place a client alike. 64-bit words are pairs of 32-bit halves.
 */

/** v0 to v3, low half first. One hash is made at a time. */
const v = new Int32Array(8);

/** v[a] += v[b] */
function add(a: number, b: number): void {
  const low = (v[a]! >>> 0) + (v[b]! >>> 0);
  v[a] = low;
  v[a + 1] = v[a + 1]! + v[b + 1]! + (low > 0xffffffff ? 1 : 0);
}

/** v[a] = rotate left by `bits` (below 32), xor v[b] */
function turn(a: number, bits: number, b: number): void {
  const low = v[a]!;
  const high = v[a + 1]!;
  v[a] = ((low << bits) | (high >>> (32 - bits))) ^ v[b]!;
  v[a + 1] = ((high << bits) | (low >>> (32 - bits))) ^ v[b + 1]!;
}

/** v[a] = rotate left by 32 */
function swap(a: number): void {
  const low = v[a]!;
  v[a] = v[a + 1]!;
  v[a + 1] = low;
}

function round(): void {
  add(0, 2);
  turn(2, 13, 0);
  swap(0);
  add(4, 6);
  turn(6, 16, 4);
  add(0, 6);
  turn(6, 21, 0);
  add(4, 2);
  turn(2, 17, 4);
  swap(4);
}

function take(low: number, high: number): void {
  v[6] = v[6]! ^ low;
  v[7] = v[7]! ^ high;
  round();
  v[0] = v[0]! ^ low;
  v[1] = v[1]! ^ high;
}

/** Hashes the bytes of an ASCII text. */
function hash(text: string): void {
  // "somepseudorandomlygeneratedbytes"
  v[1] = 0x736f6d65;
  v[0] = 0x70736575;
  v[3] = 0x646f7261;
  v[2] = 0x6e646f6d;
  v[5] = 0x6c796765;
  v[4] = 0x6e657261;
  v[7] = 0x74656462;
  v[6] = 0x79746573;
  const { length } = text;
  const word = (from: number): number => {
    let value = 0;
    for (let i = Math.min(4, length - from); --i >= 0;) value = (value << 8) | text.charCodeAt(from + i);
    return value;
  };
  const whole = length & ~7;
  for (let at = 0; at < whole; at += 8) take(word(at), word(at + 4));
  take(word(whole), (word(whole + 4) & 0xffffff) | (length << 24));
  v[4] = v[4]! ^ 0xff;
  round();
  round();
  round();
}

/** The 64-bit hash of an ASCII text, modulo `size` (below 2^21). */
export function sipHashModulo(text: string, size: number): number {
  hash(text);
  const low = (v[0]! ^ v[2]! ^ v[4]! ^ v[6]!) >>> 0;
  const high = (v[1]! ^ v[3]! ^ v[5]! ^ v[7]!) >>> 0;
  return ((high % size) * (0x100000000 % size) + (low % size)) % size;
}
