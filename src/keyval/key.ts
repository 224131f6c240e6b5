/** Keys as bytes, and what they are hashed with. */

/** The bytes of a key of this thread's, with what their hash is. */
export class Key {
  bytes = new Uint8Array(256);
  length = 0;
  hash = 0;

  /** Room for so many bytes; what was there is gone. */
  reserve(length: number): Uint8Array {
    if (length > this.bytes.length) this.bytes = new Uint8Array(2 ** Math.ceil(Math.log2(length)));
    this.length = length;
    return this.bytes;
  }
}

/** As murmur3 ends. */
export function mix(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/**
 * Factors of a hash: it is the sum of each byte of the key, plus one, times the factor of its place. Nobody outside knows the
 * factors, so nobody can choose keys that meet in a chain; and the hashes of all beginnings of a text are there on the way.
 */
export class Factors {
  readonly #seed: number;
  #known = new Int32Array(0);

  /** @param seed the secret, the same for all threads */
  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Those of the first places, so many at least. */
  upTo(length: number): Int32Array {
    if (length > this.#known.length) {
      this.#known = Int32Array.from({ length: 2 ** Math.ceil(Math.log2(length)) }, (_, i) =>
        mix(this.#seed + Math.imul(i, 0x9e3779b9)),
      );
    }
    return this.#known;
  }
}
