/**
 * Field names that Headrace looks at, as small numbers: a header block finds them while it parses, so nothing on the
 * request path compares strings or searches a map.
 */

/**
 * Identifier of each known name, from 1; 0 is a name that is not in the table. A literal, so that the compiler sees the
 * numbers: as a computed object each use would be a look-up.
 */
export const H = {
  host: 1,
  connection: 2,
  'content-length': 3,
  'transfer-encoding': 4,
  expect: 5,
  upgrade: 6,
  'keep-alive': 7,
  te: 8,
  trailer: 9,
  'proxy-connection': 10,
  'proxy-authenticate': 11,
  'proxy-authorization': 12,
  date: 13,
  server: 14,
  'content-type': 15,
  'content-encoding': 16,
  location: 17,
  refresh: 18,
  'set-cookie': 19,
  cookie: 20,
  'user-agent': 21,
  referer: 22,
  accept: 23,
  'accept-encoding': 24,
  'accept-language': 25,
  'accept-ranges': 26,
  authorization: 27,
  range: 28,
  'if-range': 29,
  'if-modified-since': 30,
  'if-unmodified-since': 31,
  'if-match': 32,
  'if-none-match': 33,
  'last-modified': 34,
  etag: 35,
  expires: 36,
  'cache-control': 37,
  vary: 38,
  age: 39,
  link: 40,
  'www-authenticate': 41,
  'x-forwarded-for': 42,
  'x-forwarded-proto': 43,
  'x-forwarded-host': 44,
  'x-forwarded-port': 45,
  'x-real-ip': 46,
  'x-request-id': 47,
  forwarded: 48,
  via: 49,
  'x-accel-redirect': 50,
  'x-accel-expires': 51,
  'x-accel-limit-rate': 52,
  'x-accel-buffering': 53,
  'x-accel-charset': 54,
  'x-pad': 55,
  'http2-settings': 56,
  'content-range': 57,
  origin: 58,
  dnt: 59,
  status: 60,
  priority: 61,
  'x-requested-with': 62,
  pragma: 63,
  traceparent: 64,
} as const;

export type KnownName = keyof typeof H;

const NAMES = Object.keys(H) as KnownName[];

/** One more than the highest identifier. */
export const KNOWN_COUNT: number = NAMES.length + 1;

/** Lower-case name of an identifier. */
export function knownName(id: number): string {
  return NAMES[id - 1] ?? '';
}

/** The hash that header blocks compute over the lower-case bytes of a name. */
export function hashName(lower: string): number {
  let h = 0;
  for (let i = 0; i < lower.length; i++) h = (Math.imul(h, 31) + lower.charCodeAt(i)) | 0;
  return h;
}

const SLOTS = 1024;
/** First identifier by the low bits of the hash; collisions go on in `CHAIN`. */
const HEAD = new Uint8Array(SLOTS);
const CHAIN = new Uint8Array(KNOWN_COUNT);
const HASHES = new Int32Array(KNOWN_COUNT);
const LENGTHS = new Uint8Array(KNOWN_COUNT);
/** The names' bytes, `ROW` for each identifier: comparing with bytes is twice as fast as with a string. */
const ROW = 32;
const BYTES = new Uint8Array(KNOWN_COUNT * ROW);
for (let id = 1; id < KNOWN_COUNT; id++) {
  const name = knownName(id);
  const hash = hashName(name);
  HASHES[id] = hash;
  LENGTHS[id] = name.length;
  CHAIN[id] = HEAD[hash & (SLOTS - 1)]!;
  HEAD[hash & (SLOTS - 1)] = id;
  for (let i = 0; i < name.length; i++) BYTES[id * ROW + i] = name.charCodeAt(i);
}

/**
 * Identifier of the name at `buf[start, end)` whose hash is `hash`, or 0. The bytes are compared too, so that a name
 * made to collide is never taken for another.
 */
export function knownId(hash: number, buf: Uint8Array, start: number, end: number): number {
  let id = HEAD[hash & (SLOTS - 1)]!;
  while (id !== 0) {
    if (HASHES[id] === hash && LENGTHS[id] === end - start && sameBytes(id, buf, start, end)) return id;
    id = CHAIN[id]!;
  }
  return 0;
}

/** The bytes are token characters: setting bit 5 lowers letters and makes no other of them a letter, digit or dash. */
function sameBytes(id: number, buf: Uint8Array, start: number, end: number): boolean {
  let k = id * ROW;
  for (let i = start; i < end; i++) if ((buf[i]! | 0x20) !== BYTES[k++]) return false;
  return true;
}

/** Whether the bytes from `start` spell `lower` in any case. */
export function sameName(lower: string, buf: Uint8Array, start: number): boolean {
  for (let i = 0; i < lower.length; i++) {
    let b = buf[start + i]!;
    if (b >= 0x41 && b <= 0x5a) b |= 0x20;
    if (b !== lower.charCodeAt(i)) return false;
  }
  return true;
}
