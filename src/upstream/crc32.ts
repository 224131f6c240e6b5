/** CRC-32 (IEEE 802.3, as zlib), over byte strings: keys are short, and a call into zlib costs more than the sum. */
const TABLE = new Int32Array(256);
for (let n = 0; n < 256; n++) {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  TABLE[n] = c;
}

/** State before any byte. */
export const CRC_START = -1;

/** Adds a string of one byte per character (latin1). */
export function crcText(state: number, text: string): number {
  let c = state;
  for (let i = 0; i < text.length; i++) c = TABLE[(c ^ text.charCodeAt(i)) & 0xff]! ^ (c >>> 8);
  return c;
}

/** Adds four bytes, the lowest first. */
export function crcUint32(state: number, value: number): number {
  let c = state;
  for (let i = 0; i < 32; i += 8) c = TABLE[(c ^ (value >>> i)) & 0xff]! ^ (c >>> 8);
  return c;
}

/** The sum, 0 to 2^32 - 1. */
export function crcEnd(state: number): number {
  return ~state >>> 0;
}

export function crc32(text: string): number {
  return crcEnd(crcText(CRC_START, text));
}
