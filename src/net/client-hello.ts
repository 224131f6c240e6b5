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

/** Whatever is malformed reads as "none": OpenSSL tells the client. */
function serverNameOf(hello: Buffer): string {
  try {
    let at = 2 + 32;
    at += 1 + hello.readUInt8(at);
    at += 2 + hello.readUInt16BE(at);
    at += 1 + hello.readUInt8(at);
    const end = at + 2 + hello.readUInt16BE(at);
    at += 2;
    while (at + 4 <= end) {
      const length = hello.readUInt16BE(at + 2);
      if (hello.readUInt16BE(at) === SERVER_NAME) {
        // A list of one: type, length, name.
        if (hello.readUInt8(at + 6) !== 0) return '';
        const size = hello.readUInt16BE(at + 7);
        return at + 9 + size <= at + 4 + length ? hello.latin1Slice(at + 9, at + 9 + size) : '';
      }
      at += 4 + length;
    }
  } catch {
    // Shorter than it says.
  }
  return '';
}
