/** Traditional crypt(3): 25 rounds of DES (FIPS 46-3) whose expansion is changed by the salt. Old files still hold it. */
import { ALPHABET, from64 } from './base64.ts';

const permutation = (text: string): readonly number[] => text.split(' ').map(Number);

const KEY_LEFT = permutation('57 49 41 33 25 17 9 1 58 50 42 34 26 18 10 2 59 51 43 35 27 19 11 3 60 52 44 36');
const KEY_RIGHT = permutation('63 55 47 39 31 23 15 7 62 54 46 38 30 22 14 6 61 53 45 37 29 21 13 5 28 20 12 4');
const KEY_CHOICE = permutation(
  '14 17 11 24 1 5 3 28 15 6 21 10 23 19 12 4 26 8 16 7 27 20 13 2 ' +
    '41 52 31 37 47 55 30 40 51 45 33 48 44 49 39 56 34 53 46 42 50 36 29 32',
);
const SHIFTS = permutation('1 1 2 2 2 2 2 2 1 2 2 2 2 2 2 1');
const EXPANSION = permutation(
  '32 1 2 3 4 5 4 5 6 7 8 9 8 9 10 11 12 13 12 13 14 15 16 17 ' +
    '16 17 18 19 20 21 20 21 22 23 24 25 24 25 26 27 28 29 28 29 30 31 32 1',
);
const PERMUTATION = permutation(
  '16 7 20 21 29 12 28 17 1 15 23 26 5 18 31 10 2 8 24 14 32 27 3 9 19 13 30 6 22 11 4 25',
);
const FINAL = permutation(
  '40 8 48 16 56 24 64 32 39 7 47 15 55 23 63 31 38 6 46 14 54 22 62 30 37 5 45 13 53 21 61 29 ' +
    '36 4 44 12 52 20 60 28 35 3 43 11 51 19 59 27 34 2 42 10 50 18 58 26 33 1 41 9 49 17 57 25',
);

/** The boxes, four rows of sixteen values each, a hexadecimal digit a value. */
const BOXES = [
  'e4d12fb83a6c59070f74e2d1a6cb953841e8d62bfc973a50fc8249175b3ea06d',
  'f18e6b34972dc05a3d47f28ec01a69b50e7ba4d158c6932fd8a13f42b67c05e9',
  'a09e63f51dc7b428d709346a285ecbf1d6498f30b12c5ae71ad069874fe3b52c',
  '7de3069a1285bc4fd8b56f03472c1ae9a690cb7df13e52843f06a1d8945bc72e',
  '2c417ab6853fd0e9eb2c47d150fa3986421bad78f9c5630eb8c71e2d6f09a453',
  'c1af92680d34e75baf427c9561de0b389ef528c3704a1db6432c95fabe17608d',
  '4b2ef08d3c975a61d0b7491ae35c2f8614bdc37eaf6805926bd814a7950fe23c',
  'd2846fb1a93e50c71fd8a374c56b0e927b419ce206adf35821e74a8dfc90356b',
].map((digits) => Array.from(digits, (digit) => Number.parseInt(digit, 16)));

/** One bit a byte: simple, and fast enough for what is done once a log-in. */
type Bits = Uint8Array;

const choose = (bits: Bits, places: readonly number[]): Bits => Uint8Array.from(places, (place) => bits[place - 1]!);

/** Sixteen round keys of 48 bits: the low seven bits of each of eight characters are the key. */
function roundKeys(password: Buffer): Bits[] {
  const key = new Uint8Array(64);
  for (let i = 0; i < 8 && i < password.length; i++) {
    for (let bit = 0; bit < 7; bit++) key[i * 8 + bit] = (password[i]! >> (6 - bit)) & 1;
  }
  let left = [...choose(key, KEY_LEFT)];
  let right = [...choose(key, KEY_RIGHT)];
  return SHIFTS.map((shift) => {
    left = [...left.slice(shift), ...left.slice(0, shift)];
    right = [...right.slice(shift), ...right.slice(0, shift)];
    return choose(Uint8Array.from([...left, ...right]), KEY_CHOICE);
  });
}

/** The expansion with the bits exchanged that the salt's twelve bits say. */
function saltedExpansion(salt: number): readonly number[] {
  const places = [...EXPANSION];
  for (let bit = 0; bit < 12; bit++) {
    if (((salt >> bit) & 1) === 0) continue;
    const kept = places[bit]!;
    places[bit] = places[bit + 24]!;
    places[bit + 24] = kept;
  }
  return places;
}

function round(right: Bits, key: Bits, expansion: readonly number[]): Bits {
  const out = new Uint8Array(32);
  for (let box = 0; box < 8; box++) {
    let index = 0;
    for (let i = box * 6; i < box * 6 + 6; i++) index = (index << 1) | (right[expansion[i]! - 1]! ^ key[i]!);
    const row = ((index >> 4) & 2) | (index & 1);
    const value = BOXES[box]![row * 16 + ((index >> 1) & 15)]!;
    for (let bit = 0; bit < 4; bit++) out[box * 4 + bit] = (value >> (3 - bit)) & 1;
  }
  return choose(out, PERMUTATION);
}

/**
 * @param setting two characters of salt, and maybe an old result
 * @returns the 13 characters that stand in password files; null: that is no salt
 */
export function desCrypt(password: Buffer, setting: string): string | null {
  const low = from64(setting.charAt(0));
  const high = from64(setting.charAt(1));
  if (low < 0 || high < 0) return null;
  const keys = roundKeys(password);
  const expansion = saltedExpansion(low | (high << 6));
  let left: Bits = new Uint8Array(32);
  let right: Bits = new Uint8Array(32);
  for (let pass = 0; pass < 25; pass++) {
    for (const key of keys) {
      const mixed = round(right, key, expansion);
      for (let i = 0; i < 32; i++) mixed[i]! ^= left[i]!;
      left = right;
      right = mixed;
    }
    // The last round does not exchange the halves; initial and final permutation between passes undo each other.
    [left, right] = [right, left];
  }
  const bits = [...choose(Uint8Array.from([...left, ...right]), FINAL), 0, 0];
  let text = setting.slice(0, 2);
  for (let at = 0; at < 66; at += 6) text += ALPHABET[Number.parseInt(bits.slice(at, at + 6).join(''), 2)];
  return text;
}
