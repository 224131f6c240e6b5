/**
 * any-proxy's packets: what stands before a pipe's own bytes (hello) or makes a probe of it (heartbeat). A magic of 12
 * bytes, the header's length (two bytes, the high one first), a header and a body of TOML. Pure: bytes in, packet out.
 */
import { Buffer } from 'node:buffer';
import type { ClientAddress } from '../client-address.ts';
import { MAGIC_NONE, sniffMagic } from '../magic.ts';
import { parseSocketAddress } from './address.ts';
import { LENGTH_BYTES, PART_MAX, readHeader, tomlFrame } from './toml-frame.ts';
import { readToml, writeToml } from './toml.ts';
import type { TomlValue } from './toml.ts';

/** By the month since which any-proxy has it: its programs of one do not understand the other. */
export type PacketMagic = '2023-12' | '2024-08';

const MAGICS: Readonly<Record<PacketMagic, Buffer>> = {
  '2023-12': Buffer.from('$${anyproxy}', 'latin1'),
  '2024-08': Buffer.from('${4anyproxy}', 'latin1'),
};
const MAGIC_BYTES = 12;
/** Most bytes of a packet. */
export const PACKET_MAX: number = MAGIC_BYTES + LENGTH_BYTES + 2 * PART_MAX;

/** What is written; it is never checked. */
export const PACKET_VERSION = 'anyproxy.0.1.0';

const HELLO = 0;
const HEARTBEAT = 1;
const HEARTBEAT_ANSWER = 2;

/** What one proxy tells the next about the client. */
export interface Hello {
  /** The same over all proxies; any-proxy demands a `@` in it. */
  requestId: string;
  client: ClientAddress;
  /** The name that the client asked for; empty: none is known. */
  domain: string;
}

export type Packet =
  | { kind: 'hello'; magic: PacketMagic; hello: Hello }
  | { kind: 'heartbeat' | 'heartbeat_answer'; magic: PacketMagic };

/** @throws {RangeError} when it does not fit (PART_MAX) */
export function writeHello(hello: Hello, magic: PacketMagic = '2024-08'): Buffer {
  const { text, port } = hello.client;
  const body = writeToml([
    ['version', PACKET_VERSION],
    ['request_id', hello.requestId],
    ['client_addr', text.includes(':') ? `[${text}]:${port}` : `${text}:${port}`],
    ['domain', hello.domain],
  ]);
  return writePacket(HELLO, body, magic);
}

/** @param answer to a heartbeat that came in */
export function writeHeartbeat(answer: boolean, magic: PacketMagic = '2024-08'): Buffer {
  return writePacket(answer ? HEARTBEAT_ANSWER : HEARTBEAT, writeToml([['version', PACKET_VERSION]]), magic);
}

function writePacket(type: number, text: string, magic: PacketMagic): Buffer {
  const body = Buffer.from(text);
  if (body.length > PART_MAX) {
    throw new RangeError(`packet of ${body.length} bytes: at most ${PART_MAX} are taken`);
  }
  return tomlFrame(MAGICS[magic], type, body);
}

/** More bytes are needed. */
export const PACKET_MORE = -1;
/** No packet begins here. */
export const PACKET_NONE = -2;
/** A packet begins here, and is wrong; `error` says why. */
export const PACKET_BROKEN = -3;

/** Reads one packet, in whatever pieces it arrives; gives up at the first byte that no packet has there. */
export class PacketReader {
  packet: Packet | null = null;
  /** Why it is broken. */
  error = '';
  /** What has arrived in earlier pieces: after PACKET_NONE these bytes are the pipe's own, and stand before the last piece. */
  held: Buffer | null = null;
  #headerEnd = 0;
  #type = 0;
  #end = 0;

  /**
   * Takes `buf[start, end)`, valid during the call.
   * @returns where in `buf` the pipe's own bytes begin, `PACKET_MORE`, `PACKET_NONE` or `PACKET_BROKEN`
   */
  feed(buf: Buffer, start: number, end: number): number {
    const before = this.held === null ? 0 : this.held.length;
    const piece = buf.subarray(start, Math.min(end, start + PACKET_MAX - before));
    const bytes = this.held === null ? piece : Buffer.concat([this.held, piece]);
    const outcome = this.#parse(bytes);
    if (outcome === PACKET_MORE) this.held = this.held === null ? Buffer.from(piece) : bytes;
    if (outcome < 0) return outcome;
    this.held = null;
    return start + outcome - before;
  }

  /** @returns length of the packet, or one of the outcomes */
  #parse(bytes: Buffer): number {
    const magic = magicOf(bytes);
    if (magic === null) return PACKET_NONE;
    if (bytes.length < MAGIC_BYTES + LENGTH_BYTES) return PACKET_MORE;
    if (this.#headerEnd === 0) {
      const length = bytes.readUInt16BE(MAGIC_BYTES);
      if (length < 1 || length > PART_MAX) return this.#broken(`header of ${length} bytes`);
      this.#headerEnd = MAGIC_BYTES + LENGTH_BYTES + length;
    }
    if (bytes.length < this.#headerEnd) return PACKET_MORE;
    if (this.#end === 0) {
      const header = readHeader(bytes, MAGIC_BYTES + LENGTH_BYTES, this.#headerEnd);
      if (header === null) return this.#broken('unreadable header');
      const { type, size } = header;
      if (type < HELLO || type > HEARTBEAT_ANSWER) return this.#broken(`unknown type ${type}`);
      if (size < 1 || size > PART_MAX) return this.#broken(`body of ${size} bytes`);
      this.#type = type;
      this.#end = this.#headerEnd + size;
    }
    if (bytes.length < this.#end) return PACKET_MORE;
    const body = readToml(bytes.toString('utf8', this.#headerEnd, this.#end));
    if (body === null) return this.#broken('unreadable body');
    return this.#take(magic, body) ? this.#end : PACKET_BROKEN;
  }

  #take(magic: PacketMagic, body: ReadonlyMap<string, TomlValue>): boolean {
    if (this.#type !== HELLO) {
      this.packet = { kind: this.#type === HEARTBEAT ? 'heartbeat' : 'heartbeat_answer', magic };
      return true;
    }
    const requestId = body.get('request_id');
    const address = body.get('client_addr');
    const domain = body.get('domain');
    if (typeof requestId !== 'string' || typeof address !== 'string' || typeof domain !== 'string') {
      this.#broken('hello without request_id, client_addr or domain');
      return false;
    }
    const client = parseSocketAddress(address);
    if (client === null) {
      this.#broken(`hello with client_addr "${address}"`);
      return false;
    }
    this.packet = { kind: 'hello', magic, hello: { requestId, client, domain } };
    return true;
  }

  #broken(why: string): number {
    this.error = `broken packet: ${why}`;
    return PACKET_BROKEN;
  }
}

/** The magic that the bytes begin with, as far as they go; null: none. */
function magicOf(bytes: Buffer): PacketMagic | null {
  for (const [name, magic] of Object.entries(MAGICS)) {
    if (sniffMagic(magic, bytes, 0, bytes.length) !== MAGIC_NONE) return name as PacketMagic;
  }
  return null;
}
