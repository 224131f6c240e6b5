/** The alphabet of crypt(3). */
export const ALPHABET = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** `count` characters for the low bits of `value`, the lowest six first. */
export function to64(value: number, count: number): string {
  let text = '';
  for (let bits = value; text.length < count; bits >>>= 6) text += ALPHABET[bits & 63];
  return text;
}

/** Three bytes at a time, chosen by their places, the first the highest. */
export function encodeTriples(bytes: Uint8Array, places: readonly (readonly [number, number, number])[]): string {
  return places.map(([a, b, c]) => to64((bytes[a]! << 16) | (bytes[b]! << 8) | bytes[c]!, 4)).join('');
}

/** Six bits of a character; -1: it is none of the alphabet. */
export function from64(char: string): number {
  return char === '' ? -1 : ALPHABET.indexOf(char);
}
