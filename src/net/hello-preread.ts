/**
 * A TLS ClientHello as `ssl_preread` sees it: without ending TLS, as far as its bytes have come (RFC 8446 section 4.1.2,
 * RFC 6066 section 3, RFC 7301 section 3.1). Pure.
 */
import { Buffer } from 'node:buffer';

export interface PrereadHello {
  /** As OpenSSL names it: `TLSv1.3`; empty: a version nobody knows. */
  version: string;
  /** As sent; empty: none. */
  serverName: string;
  /** Protocols that the client offers, joined by commas; empty: none. */
  alpn: string;
}

/** More bytes are needed. */
export const PREREAD_MORE = 0;
/** This is no ClientHello, or a malformed one. */
export const PREREAD_DECLINED = 1;

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const ALPN = 16;
const SUPPORTED_VERSIONS = 43;
const RANDOM = 32;

/** @param bytes everything that has arrived */
export function prereadHello(bytes: Buffer): PrereadHello | typeof PREREAD_MORE | typeof PREREAD_DECLINED {
  let message: Buffer | null = null;
  for (let at = 0; bytes.length - at >= 5;) {
    // SSLv2's form of a hello for later versions has a length, a type and a version.
    if ((bytes[at]! & 0x80) !== 0 && bytes[at + 2] === CLIENT_HELLO && (bytes[at + 3] === 0 || bytes[at + 3] === 3)) {
      return { version: versionText(bytes[at + 3]!, bytes[at + 4]!), serverName: '', alpn: '' };
    }
    if (bytes[at] !== HANDSHAKE || bytes[at + 1] !== 3) return PREREAD_DECLINED;
    const end = at + 5 + bytes.readUInt16BE(at + 3);
    if (end > bytes.length) break;
    const record = bytes.subarray(at + 5, end);
    message = message === null ? record : Buffer.concat([message, record]);
    const outcome = parse(message);
    if (outcome !== PREREAD_MORE) return outcome;
    at = end;
  }
  return PREREAD_MORE;
}

/** Thrown where the message ends before its time, or contradicts itself. */
const MORE = new Error('more');
const BROKEN = new Error('broken');

/** Walks a message that may have arrived in part. */
class Cursor {
  at: number;
  readonly #bytes: Buffer;
  /** Where the message ends, by its own word. */
  readonly #end: number;

  constructor(bytes: Buffer, at: number, end: number) {
    this.#bytes = bytes;
    this.at = at;
    this.#end = end;
  }

  get left(): number {
    return this.#end - this.at;
  }

  /** Passes over `n` bytes. @returns where they begin */
  take(n: number): number {
    if (n > this.left) throw BROKEN;
    if (this.at + n > this.#bytes.length) throw MORE;
    this.at += n;
    return this.at - n;
  }

  byte(): number {
    return this.#bytes[this.take(1)]!;
  }

  short(): number {
    return this.#bytes.readUInt16BE(this.take(2));
  }

  text(n: number): string {
    const start = this.take(n);
    return this.#bytes.latin1Slice(start, start + n);
  }
}

function parse(message: Buffer): PrereadHello | typeof PREREAD_MORE | typeof PREREAD_DECLINED {
  if (message.length < 4) return PREREAD_MORE;
  if (message[0] !== CLIENT_HELLO) return PREREAD_DECLINED;
  try {
    return readHello(message, new Cursor(message, 4, 4 + message.readUIntBE(1, 3)));
  } catch (error) {
    if (error === MORE) return PREREAD_MORE;
    if (error === BROKEN) return PREREAD_DECLINED;
    throw error;
  }
}

function readHello(message: Buffer, c: Cursor): PrereadHello {
  const start = c.take(2);
  const hello = { version: versionText(message[start]!, message[start + 1]!), serverName: '', alpn: '' };
  c.take(RANDOM);
  c.take(c.byte());
  c.take(c.short());
  c.take(c.byte());
  if (c.left === 0) return hello;
  c.take(2);
  let named = false;
  let offered = false;
  while (c.left > 0) {
    const type = c.short();
    const length = c.short();
    if (type === SERVER_NAME && !named) {
      named = true;
      hello.serverName = serverName(c);
    } else if (type === ALPN && !offered) {
      offered = true;
      hello.alpn = protocols(c);
    } else if (type === SUPPORTED_VERSIONS) {
      hello.version = 'TLSv1.3';
      c.take(c.byte());
    } else c.take(length);
  }
  return hello;
}

/** The first name of the list, which has one. */
function serverName(c: Cursor): string {
  const list = c.short();
  if (c.byte() !== 0) throw BROKEN;
  const size = c.short();
  if (list < 3 + size) throw BROKEN;
  const name = c.text(size);
  c.take(list - 3 - size);
  return name;
}

function protocols(c: Cursor): string {
  const names: string[] = [];
  for (let left = c.short(); left > 0;) {
    const size = c.byte();
    if (size === 0 || left < 1 + size) throw BROKEN;
    names.push(c.text(size));
    left -= 1 + size;
  }
  return names.join(',');
}

function versionText(major: number, minor: number): string {
  if (major === 0) return minor === 2 ? 'SSLv2' : '';
  return (major === 3 && ['SSLv3', 'TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'][minor]) || '';
}
