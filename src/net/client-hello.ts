/**
 * The first bytes of a connection to a TLS port: which server does the client ask for (RFC 8446 section 4.1.2, RFC 6066
 * section 3)? Read before the handshake begins, for protocol versions, client certificates, tickets and refusals are
 * all the named server's. Pure.
 */

export const HELLO_MORE = 0;
/** A TLS handshake, or something that OpenSSL shall refuse in its own words. */
export const HELLO_TLS = 1;
/** No TLS at all: somebody speaks plain HTTP. */
export const HELLO_PLAIN = 2;

/** More than any hello has, key shares of post-quantum groups included. */
const MAX_HELLO = 65536;
const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const SUPPORTED_GROUPS = 10;
const SIGNATURE_ALGORITHMS = 13;
const SUPPORTED_VERSIONS = 43;

export interface Hello {
  kind: number;
  /** As sent; empty: none. */
  serverName: string;
}

/** @param bytes everything that has arrived */
export function readClientHello(bytes: Buffer): Hello {
  if (bytes.length === 0) return { kind: HELLO_MORE, serverName: '' };
  const first = bytes[0]!;
  // SSLv2 sets the high bit; nginx hands that to OpenSSL too.
  if (first !== HANDSHAKE) return { kind: first >= 0x80 ? HELLO_TLS : HELLO_PLAIN, serverName: '' };
  const message = handshakeMessage(bytes);
  if (message === null) return { kind: bytes.length < MAX_HELLO ? HELLO_MORE : HELLO_TLS, serverName: '' };
  return { kind: HELLO_TLS, serverName: serverNameOf(message) };
}

/** Body of the first handshake message, put together over records; null: it is not whole. Empty: it is no hello. */
function handshakeMessage(bytes: Buffer): Buffer | null {
  const parts: Buffer[] = [];
  let have = 0;
  for (let at = 0; ;) {
    if (at + 5 > bytes.length) return null;
    if (bytes[at] !== HANDSHAKE) return EMPTY;
    const end = at + 5 + bytes.readUInt16BE(at + 3);
    parts.push(bytes.subarray(at + 5, end));
    have += Math.min(end, bytes.length) - at - 5;
    const joined = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
    if (have >= 4) {
      if (joined[0] !== CLIENT_HELLO) return EMPTY;
      const length = joined.readUIntBE(1, 3);
      if (have >= 4 + length) return joined.subarray(4, 4 + length);
    }
    at = end;
  }
}

const EMPTY = Buffer.alloc(0);

/** Where the suites stand, behind version, random and session id; their length in bytes stands before them. */
function suitesAt(hello: Buffer): number {
  const session = 2 + 32;
  return session + 1 + hello.readUInt8(session) + 2;
}

/** The body of an extension, or null. @throws {RangeError} if the message is shorter than it says */
function extension(hello: Buffer, type: number): Buffer | null {
  let at = suitesAt(hello);
  at += hello.readUInt16BE(at - 2);
  at += 1 + hello.readUInt8(at);
  const end = at + 2 + hello.readUInt16BE(at);
  at += 2;
  while (at + 4 <= end) {
    const length = hello.readUInt16BE(at + 2);
    if (hello.readUInt16BE(at) === type) return hello.subarray(at + 4, at + 4 + length);
    at += 4 + length;
  }
  return null;
}

/** Whatever is malformed reads as "none": OpenSSL tells the client. */
function serverNameOf(hello: Buffer): string {
  try {
    const body = extension(hello, SERVER_NAME);
    // A list of one: type, length, name.
    if (body === null || body.readUInt8(2) !== 0) return '';
    const size = body.readUInt16BE(3);
    return 5 + size <= body.length ? body.latin1Slice(5, 5 + size) : '';
  } catch {
    // Shorter than it says.
    return '';
  }
}

function numbers(bytes: Buffer): number[] {
  return Array.from({ length: bytes.length >> 1 }, (_, i) => bytes.readUInt16BE(2 * i));
}

/** What a client offers, by the numbers of the registry, in its order. */
export interface HelloOffers {
  ciphers: number[];
  groups: number[];
  /** Schemes of signatures; versions: where they are listed, as those who speak TLS 1.3 do. */
  signatures: number[];
  versions: number[];
}

/** @param bytes as for `readClientHello` */
export function helloOffers(bytes: Buffer): HelloOffers {
  const hello = bytes[0] === HANDSHAKE ? handshakeMessage(bytes) : null;
  try {
    if (hello === null) return NO_OFFERS;
    const at = suitesAt(hello);
    // A length stands before each list.
    const listed = (type: number, lengthBytes: number): number[] => {
      const body = extension(hello, type);
      return body === null ? [] : numbers(body.subarray(lengthBytes));
    };
    return {
      ciphers: numbers(hello.subarray(at, at + hello.readUInt16BE(at - 2))),
      groups: listed(SUPPORTED_GROUPS, 2),
      signatures: listed(SIGNATURE_ALGORITHMS, 2),
      versions: listed(SUPPORTED_VERSIONS, 1),
    };
  } catch {
    return NO_OFFERS;
  }
}

const NO_OFFERS: HelloOffers = { ciphers: [], groups: [], signatures: [], versions: [] };
