/**
 * The PROXY protocol, versions 1 and 2 with type-length-value entries: what a balancer in front tells of the client
 * before the connection's own bytes begin (HAProxy's doc/proxy-protocol.txt). Pure: bytes in, outcome out.
 */
import { Buffer } from 'node:buffer';
import { formatIpv6, parseIpv4, parseIpv6 } from '../config/address.ts';
import { crc32c } from './crc32c.ts';
import { MAGIC_MORE, MAGIC_NONE, sniffMagic } from './magic.ts';

/** What a header told of the connection. */
export interface ProxyProtocolInfo {
  /** As sent in version 1, in shortest form in version 2. */
  sourceAddress: string;
  /** 0: none. */
  sourcePort: number;
  destinationAddress: string;
  destinationPort: number;
  /**
   * Value of a type-length-value entry, one character a byte, by its name (`authority`, `alpn`, `ssl_cn`, `0x05`…);
   * null: not sent.
   */
  tlv(name: string): string | null;
}

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const V2_FIXED = 16;
/** The longest line of version 1, its CRLF included. */
export const PROXY_V1_MAX = 107;
/** The longest header that is taken. Real ones have a few hundred bytes; nginx's limit is the same. */
export const PROXY_HEADER_MAX = 4096;

/** Whatever begins otherwise need not be waited for. */
const V1_BEGINNINGS = ['PROXY TCP4 ', 'PROXY TCP6 ', 'PROXY UNKNOWN'];

const CR = 0x0d;
const LF = 0x0a;

/** More bytes are needed. */
export const PROXY_MORE = -1;
/** This is no header, or a broken one; `error` says why. */
export const PROXY_BROKEN = -2;

/** Reads one header, in whatever pieces it arrives. */
export class ProxyHeaderReader {
  /** What the header told; null: nothing (`UNKNOWN`, `LOCAL`, datagrams). Set once `feed` has found its end. */
  info: ProxyProtocolInfo | null = null;
  /** Why it is broken. */
  error = '';
  /** What has arrived of the header: never more than PROXY_HEADER_MAX. */
  #held: Buffer | null = null;

  /**
   * Takes `buf[start, end)`, valid during the call.
   *
   * @returns where in `buf` the connection's own bytes begin, `PROXY_MORE`, or `PROXY_BROKEN`
   */
  feed(buf: Buffer, start: number, end: number): number {
    const before = this.#held === null ? 0 : this.#held.length;
    const taken = Math.min(end, start + PROXY_HEADER_MAX - before);
    const piece = buf.subarray(start, taken);
    const bytes = this.#held === null ? piece : Buffer.concat([this.#held, piece]);
    const length = this.#parse(bytes);
    if (length === PROXY_MORE) {
      if (bytes.length < PROXY_HEADER_MAX) this.#held = this.#held === null ? Buffer.from(piece) : bytes;
      else return this.#broken('header is too large');
      return PROXY_MORE;
    }
    this.#held = null;
    return length === PROXY_BROKEN ? PROXY_BROKEN : start + length - before;
  }

  #broken(why: string): number {
    this.error = why;
    return PROXY_BROKEN;
  }

  /** @returns length of the header, PROXY_MORE or PROXY_BROKEN */
  #parse(bytes: Buffer): number {
    const sniffed = sniffMagic(SIGNATURE, bytes, 0, bytes.length);
    if (sniffed === MAGIC_MORE) return PROXY_MORE;
    return sniffed === MAGIC_NONE ? this.#parseV1(bytes) : this.#parseV2(bytes);
  }

  #parseV1(bytes: Buffer): number {
    let at = 0;
    const longest = Math.min(bytes.length, PROXY_V1_MAX);
    while (at < longest && bytes[at] !== CR && bytes[at] !== LF) at++;
    const text = bytes.latin1Slice(0, at);
    const broken = (): number => this.#broken(`broken header: "${text}"`);
    if (!V1_BEGINNINGS.some((beginning) => text.startsWith(beginning.slice(0, text.length)))) return broken();
    if (at === bytes.length && at < PROXY_V1_MAX) return PROXY_MORE;
    if (bytes[at] !== CR || at + 2 > PROXY_V1_MAX) return broken();
    if (at + 1 === bytes.length) return PROXY_MORE;
    if (bytes[at + 1] !== LF) return broken();
    const length = at + 2;
    // What follows UNKNOWN is to be ignored.
    if (/^PROXY UNKNOWN( |$)/.test(text)) return length;
    const match = /^PROXY TCP([46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) ([0-9]{1,5}) ([0-9]{1,5})$/.exec(text);
    if (match === null) return broken();
    const [, family, source = '', destination = '', sourcePort, destinationPort] = match;
    const parse = family === '4' ? parseIpv4 : parseIpv6;
    const ports = [Number(sourcePort), Number(destinationPort)];
    if (parse(source) === null || parse(destination) === null || ports.some((port) => port > 65535)) return broken();
    this.info = new HeaderInfo(source, ports[0]!, destination, ports[1]!, null);
    return length;
  }

  #parseV2(bytes: Buffer): number {
    if (bytes.length < V2_FIXED) return PROXY_MORE;
    const version = bytes[12]! >> 4;
    if (version !== 2) return this.#broken(`unknown PROXY protocol version: ${version}`);
    const end = V2_FIXED + bytes.readUInt16BE(14);
    if (end > PROXY_HEADER_MAX) return this.#broken('header is too large');
    if (bytes.length < end) return PROXY_MORE;
    const command = bytes[12]! & 15;
    if (command > 1) return this.#broken(`unknown PROXY protocol command: ${command}`);
    const family = bytes[13]! >> 4;
    const transport = bytes[13]! & 15;
    // LOCAL: the balancer's own connection, a health check for instance. Of others only streams mean anything here.
    if (command === 0 || transport !== STREAM || (family !== INET && family !== INET6)) return end;
    const size = family === INET ? 4 : 16;
    const ports = V2_FIXED + 2 * size;
    if (ports + 4 > end) return this.#broken('header is too short for its addresses');
    this.info = new HeaderInfo(
      addressText(bytes, V2_FIXED, size),
      bytes.readUInt16BE(ports),
      addressText(bytes, V2_FIXED + size, size),
      bytes.readUInt16BE(ports + 2),
      ports + 4 < end ? Buffer.from(bytes.subarray(ports + 4, end)) : null,
    );
    return end;
  }
}

function addressText(bytes: Buffer, at: number, size: number): string {
  const address = [...bytes.subarray(at, at + size)];
  return size === 4 ? address.join('.') : formatIpv6(address);
}

class HeaderInfo implements ProxyProtocolInfo {
  readonly sourceAddress: string;
  readonly sourcePort: number;
  readonly destinationAddress: string;
  readonly destinationPort: number;
  readonly #tlvs: Buffer | null;

  constructor(source: string, sourcePort: number, destination: string, destinationPort: number, tlvs: Buffer | null) {
    this.sourceAddress = source;
    this.sourcePort = sourcePort;
    this.destinationAddress = destination;
    this.destinationPort = destinationPort;
    this.#tlvs = tlvs;
  }

  tlv(name: string): string | null {
    if (this.#tlvs === null) return null;
    if (!name.startsWith('ssl_')) return findTlv(this.#tlvs, typeOf(name, TLV))?.latin1Slice() ?? null;
    const ssl = findTlv(this.#tlvs, TLV.ssl);
    // One byte of flags and four of the verification's outcome stand before the entries inside.
    if (ssl === null || ssl.length < 5) return null;
    const inner = name.slice(4);
    if (inner === 'verify') return String(ssl.readUInt32BE(1));
    return findTlv(ssl.subarray(5), typeOf(inner, SSL_TLV))?.latin1Slice() ?? null;
  }
}

// ------------------------------------------------------------------------------------------------ entries

/** Types of entries by nginx's names. */
export const TLV = { alpn: 0x01, authority: 0x02, crc32c: 0x03, unique_id: 0x05, ssl: 0x20, netns: 0x30 } as const;
/** Types of entries inside of `ssl`. */
export const SSL_TLV = { version: 0x21, cn: 0x22, cipher: 0x23, sig_alg: 0x24, key_alg: 0x25 } as const;
/** Flags of `ssl`: over TLS; a certificate on this connection; one in this session. */
export const CLIENT_SSL = { ssl: 1, certConnection: 2, certSession: 4 } as const;

/** -1: no type is called so. */
function typeOf(name: string, names: Readonly<Record<string, number>>): number {
  if (/^0x[0-9a-f]+$/.test(name)) return Number.parseInt(name.slice(2), 16);
  return Object.hasOwn(names, name) ? names[name]! : -1;
}

function findTlv(entries: Buffer, type: number): Buffer | null {
  for (let at = 0; at + 3 <= entries.length;) {
    const end = at + 3 + entries.readUInt16BE(at + 1);
    if (end > entries.length) return null;
    if (entries[at] === type) return entries.subarray(at + 3, end);
    at = end;
  }
  return null;
}

// ------------------------------------------------------------------------------------------------ writing

const INET = 1;
const INET6 = 2;
const STREAM = 1;
const DATAGRAM = 2;

/** One side of a connection. */
export interface ProxyEndpoint {
  /** An IP address; anything else (a unix socket): not known. */
  address: string;
  port: number;
}

/** The line of version 1. */
export function writeProxyV1(source: ProxyEndpoint, destination: ProxyEndpoint): Buffer {
  const both = (parse: (text: string) => number[] | null): boolean =>
    parse(source.address) !== null && parse(destination.address) !== null;
  const family = both(parseIpv4) ? 4 : both(parseIpv6) ? 6 : 0;
  if (family === 0) return Buffer.from('PROXY UNKNOWN\r\n', 'latin1');
  const { address, port } = source;
  const text = `PROXY TCP${family} ${address} ${destination.address} ${port} ${destination.port}\r\n`;
  return Buffer.from(text, 'latin1');
}

export interface Tlv {
  type: number;
  value: Buffer;
}

/**
 * Value of an `ssl` entry.
 * @param client bits of `CLIENT_SSL`
 * @param verify 0: the client's certificate was verified
 */
export function sslTlvValue(client: number, verify: number, entries: readonly Tlv[]): Buffer {
  const head = Buffer.alloc(5);
  head[0] = client;
  head.writeUInt32BE(verify, 1);
  return Buffer.concat([head, ...entries.map(tlvBytes)]);
}

function tlvBytes({ type, value }: Tlv): Buffer {
  const head = Buffer.from([type, value.length >> 8, value.length & 255]);
  return Buffer.concat([head, value]);
}

/**
 * A header of version 2, its checksum as the last entry. Addresses of two families are written as IPv6, an unknown one
 * makes it `LOCAL`.
 * @throws {RangeError} when the entries do not fit (PROXY_HEADER_MAX)
 */
export function writeProxyV2(
  source: ProxyEndpoint,
  destination: ProxyEndpoint,
  tlvs: readonly Tlv[] = [],
  datagram = false,
): Buffer {
  const addresses = addressBytes(source, destination);
  const head = Buffer.alloc(V2_FIXED);
  SIGNATURE.copy(head);
  head[12] = addresses === null ? 0x20 : 0x21;
  if (addresses !== null) {
    const family = addresses.length === 12 ? INET : INET6;
    head[13] = (family << 4) | (datagram ? DATAGRAM : STREAM);
  }
  const sum = { type: TLV.crc32c, value: Buffer.alloc(4) };
  const bytes = Buffer.concat([head, addresses ?? Buffer.alloc(0), ...[...tlvs, sum].map(tlvBytes)]);
  if (bytes.length > PROXY_HEADER_MAX) {
    throw new RangeError(`PROXY protocol header of ${bytes.length} bytes: at most ${PROXY_HEADER_MAX} are taken`);
  }
  bytes.writeUInt16BE(bytes.length - V2_FIXED, 14);
  // Over the whole header, with zeros where the sum will stand.
  bytes.writeUInt32BE(crc32c(bytes), bytes.length - 4);
  return bytes;
}

/** Both addresses in one family, and both ports; null: one is not known. */
function addressBytes(source: ProxyEndpoint, destination: ProxyEndpoint): Buffer | null {
  const from = wide(source.address);
  const to = wide(destination.address);
  if (from === null || to === null) return null;
  const narrow = isMapped(from) && isMapped(to);
  const addresses = narrow ? [...from.slice(12), ...to.slice(12)] : [...from, ...to];
  const bytes = Buffer.from([...addresses, 0, 0, 0, 0]);
  bytes.writeUInt16BE(source.port, addresses.length);
  bytes.writeUInt16BE(destination.port, addresses.length + 2);
  return bytes;
}

/** 16 bytes; an IPv4 address as `::ffff:a.b.c.d`. */
function wide(address: string): number[] | null {
  const v4 = parseIpv4(address);
  return v4 === null ? parseIpv6(address) : [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...v4];
}

function isMapped(bytes: readonly number[]): boolean {
  return bytes[10] === 255 && bytes[11] === 255 && bytes.slice(0, 10).every((byte) => byte === 0);
}
