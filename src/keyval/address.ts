/** Addresses and networks as keys: read from text into bytes, without an allocation for those that are looked up. */

/** What was read last: 4 or 16 bytes. */
export const address = new Uint8Array(16);
/** Bits of the network that was read last. */
let bits = 0;

const groups = new Uint16Array(8);

/**
 * Reads an IPv4 or IPv6 address or a network in CIDR notation. IPv4 addresses in IPv6 form (`::ffff:192.0.2.1`) are IPv4.
 * @returns 4 or 16: bytes in `address`; 0: it is none
 */
export function readNetwork(text: string): number {
  const slash = text.indexOf('/');
  const end = slash < 0 ? text.length : slash;
  const width = readAddress(text, end);
  if (width === 0) return 0;
  bits = width * 8;
  if (slash >= 0) {
    const n = smallNumber(text, slash + 1, text.length, 3);
    if (n < 0 || n > bits) return 0;
    bits = n;
  }
  if (width === 4 || !isMapped() || bits < 96) return width;
  address.copyWithin(0, 12, 16);
  bits -= 96;
  return 4;
}

/** Bits of the network that `readNetwork` read. */
export function networkBits(): number {
  return bits;
}

/** Clears what is behind the first bits of `address`. */
export function mask(width: number, keep: number): void {
  for (let i = keep >> 3; i < width; i++) {
    const rest = keep - i * 8;
    address[i] = rest <= 0 ? 0 : address[i]! & (0xff00 >> rest);
  }
}

function isMapped(): boolean {
  for (let i = 0; i < 10; i++) if (address[i] !== 0) return false;
  return address[10] === 0xff && address[11] === 0xff;
}

function readAddress(text: string, end: number): number {
  // Longer ones exist in no form.
  if (end < 2 || end > 45) return 0;
  for (let i = 0; i < end; i++) if (text.charCodeAt(i) === 0x3a) return readIpv6(text, end) ? 16 : 0;
  return readIpv4(text, 0, end, 0) ? 4 : 0;
}

/** Decimal digits; -1: others, none, or more than `most`. */
function smallNumber(text: string, from: number, to: number, most: number): number {
  if (to <= from || to - from > most) return -1;
  let n = 0;
  for (let i = from; i < to; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    n = n * 10 + digit;
  }
  return n;
}

function readIpv4(text: string, from: number, to: number, place: number): boolean {
  let start = from;
  for (let i = 0; i < 4; i++) {
    let end = i === 3 ? to : text.indexOf('.', start);
    if (end < 0 || end > to) return false;
    const n = smallNumber(text, start, end, 3);
    if (n < 0 || n > 255) return false;
    address[place + i] = n;
    start = ++end;
  }
  return true;
}

/** 0 to 15; -1: not a digit. */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** RFC 4291, section 2.2. */
function readIpv6(text: string, end: number): boolean {
  /** Groups read, and how many of them stand before `::`. */
  let count = 0;
  let gap = -1;
  let i = 0;
  if (text.charCodeAt(0) === 0x3a) {
    if (text.charCodeAt(1) !== 0x3a) return false;
    gap = 0;
    i = 2;
  }
  while (i < end) {
    if (count === 8) return false;
    const start = i;
    let value = 0;
    for (; i < end; i++) {
      const digit = hexDigit(text.charCodeAt(i));
      if (digit < 0) break;
      value = value * 16 + digit;
    }
    if (i < end && text.charCodeAt(i) === 0x2e) {
      // The last four bytes may be written as IPv4.
      if (count > 6 || !readIpv4(text, start, end, 0)) return false;
      groups[count++] = (address[0]! << 8) | address[1]!;
      groups[count++] = (address[2]! << 8) | address[3]!;
      break;
    }
    if (i === start || i - start > 4) return false;
    groups[count++] = value;
    if (i === end) break;
    if (text.charCodeAt(i) !== 0x3a) return false;
    i++;
    if (i < end && text.charCodeAt(i) === 0x3a) {
      if (gap >= 0) return false;
      gap = count;
      i++;
    } else if (i === end) return false;
  }
  if (gap < 0 ? count !== 8 : count > 7) return false;
  const behind = gap < 0 ? 0 : count - gap;
  address.fill(0);
  for (let g = 0; g < count; g++) {
    const place = gap >= 0 && g >= gap ? 8 - behind + (g - gap) : g;
    address[place * 2] = groups[g]! >> 8;
    address[place * 2 + 1] = groups[g]! & 0xff;
  }
  return true;
}
