/**
 * Field names that Headrace looks at, as small numbers: a header block finds them while it parses, so nothing on the
 * request path compares strings or searches a map.
 */

const NAMES = [
  'host', 'connection', 'content-length', 'transfer-encoding', 'expect', 'upgrade', 'keep-alive', 'te', 'trailer',
  'proxy-connection', 'proxy-authenticate', 'proxy-authorization', 'date', 'server', 'content-type', 'content-encoding',
  'location', 'refresh', 'set-cookie', 'cookie', 'user-agent', 'referer', 'accept', 'accept-encoding', 'accept-language',
  'accept-ranges', 'authorization', 'range', 'if-range', 'if-modified-since', 'if-unmodified-since', 'if-match',
  'if-none-match', 'last-modified', 'etag', 'expires', 'cache-control', 'vary', 'age', 'link', 'www-authenticate',
  'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-port', 'x-real-ip', 'x-request-id', 'forwarded',
  'via', 'x-accel-redirect', 'x-accel-expires', 'x-accel-limit-rate', 'x-accel-buffering', 'x-accel-charset', 'x-pad',
  'http2-settings', 'content-range', 'origin', 'dnt', 'status', 'priority', 'x-requested-with', 'pragma', 'traceparent',
] as const;

export type KnownName = (typeof NAMES)[number];

/** Identifiers count from 1; 0 is a name that is not in the table. */
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

/** Identifier of each known name. */
export const H: Readonly<Record<KnownName, number>> = Object.fromEntries(NAMES.map((n, i) => [n, i + 1])) as Record<
  KnownName,
  number
>;

const SLOTS = 1024;
/** First identifier by the low bits of the hash; collisions go on in `CHAIN`. */
const HEAD = new Uint8Array(SLOTS);
const CHAIN = new Uint8Array(KNOWN_COUNT);
const HASHES = new Int32Array(KNOWN_COUNT);
const LENGTHS = new Uint8Array(KNOWN_COUNT);
for (let id = 1; id < KNOWN_COUNT; id++) {
  const hash = hashName(knownName(id));
  HASHES[id] = hash;
  LENGTHS[id] = knownName(id).length;
  CHAIN[id] = HEAD[hash & (SLOTS - 1)]!;
  HEAD[hash & (SLOTS - 1)] = id;
}

/**
 * Identifier of the name at `buf[start, end)` whose hash is `hash`, or 0. The bytes are compared too, so that a name
 * made to collide is never taken for another.
 */
export function knownId(hash: number, buf: Uint8Array, start: number, end: number): number {
  let id = HEAD[hash & (SLOTS - 1)]!;
  while (id !== 0) {
    if (HASHES[id] === hash && LENGTHS[id] === end - start && sameName(NAMES[id - 1]!, buf, start)) return id;
    id = CHAIN[id]!;
  }
  return 0;
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
