/**
 * any-proxy's tunnel frames as its programs have them since 2024-08: a magic, the header's length (two bytes, the high one
 * first), a header and a body of TOML, and behind a data frame its bytes. Pure: bytes in, frames out.
 */
import { Buffer } from 'node:buffer';
import { LENGTH_BYTES, PART_MAX, readHeader, tomlFrame } from '../../anyproxy/toml-frame.ts';
import { readToml, writeToml } from '../../anyproxy/toml.ts';
import type { TomlValue } from '../../anyproxy/toml.ts';
import { MAGIC_NONE, sniffMagic } from '../../magic.ts';

export const ANYPROXY_TUNNEL_MAGIC: Buffer = Buffer.from('${7tunnel_anyproxy}', 'latin1');
/** Compared exactly by the other side, although it has been the same through changes that are not. */
export const ANYPROXY_TUNNEL_VERSION = 'tunnel.0.1.0';

const MAGIC_BYTES = ANYPROXY_TUNNEL_MAGIC.length;
/** Most bytes of a data frame. */
export const ANYPROXY_PACK_MAX: number = 16 * 1024 * 1024;

const HELLO = 0;
const HELLO_ACK = 1;
const DATA = 2;
const ADD_CONNECT = 3;
const MAX_CONNECT = 4;
const CLOSE = 5;

export interface AnyproxyHello {
  sessionId: string;
  minStreamCacheSize: number;
  channelSize: number;
  /** Which connection of the stream it is. */
  index: number;
  /** The server is to say that the connection belongs to the stream. */
  wantsAck: boolean;
}

export interface AnyproxyFrames {
  onHello(hello: AnyproxyHello): void;
  onHelloAck(): void;
  /** A data frame begins. */
  onPack(packId: number, size: number): void;
  /** Bytes of it; valid during the call. */
  onPackBytes(buf: Buffer, start: number, end: number): void;
  /** The server would like one more connection. */
  onAddConnect(): void;
  /** The client has no more. */
  onMaxConnect(): void;
  /** @param byClient who ends the stream */
  onStreamEnd(byClient: boolean): void;
}

function frame(type: number, entries: readonly (readonly [string, TomlValue])[]): Buffer {
  return tomlFrame(ANYPROXY_TUNNEL_MAGIC, type, Buffer.from(writeToml(entries)));
}

export function anyproxyHello(hello: AnyproxyHello): Buffer {
  return frame(HELLO, [
    ['version', ANYPROXY_TUNNEL_VERSION],
    ['session_id', hello.sessionId],
    ['min_stream_cache_size', hello.minStreamCacheSize],
    ['channel_size', hello.channelSize],
    ['client_peer_stream_index', hello.index],
    ['is_ack', hello.wantsAck],
  ]);
}

export function anyproxyHelloAck(): Buffer {
  return frame(HELLO_ACK, []);
}

/** What stands before the bytes of a data frame. */
export function anyproxyDataHead(packId: number, size: number): Buffer {
  return frame(DATA, [
    ['pack_id', packId],
    ['pack_size', size],
  ]);
}

export function anyproxyAddConnect(): Buffer {
  return frame(ADD_CONNECT, [['peer_stream_size', 0]]);
}

export function anyproxyMaxConnect(size: number): Buffer {
  return frame(MAX_CONNECT, [['peer_stream_size', size]]);
}

export function anyproxyClose(byClient: boolean): Buffer {
  return frame(CLOSE, [['is_client', byClient]]);
}

export class AnyproxyFrameReader {
  readonly #to: AnyproxyFrames;
  /** Of a frame up to its body's end; never more than this. */
  readonly #scratch = Buffer.allocUnsafe(MAGIC_BYTES + LENGTH_BYTES + 2 * PART_MAX);
  #have = 0;
  #need = MAGIC_BYTES + LENGTH_BYTES;
  #headerEnd = 0;
  #type = -1;
  /** Bytes of the present data frame that have not come. */
  #rest = 0;
  #stopped = false;

  constructor(to: AnyproxyFrames) {
    this.#to = to;
  }

  /** Nothing more is told, whatever is still in the bytes that are being read. */
  stop(): void {
    this.#stopped = true;
  }

  /** @returns false: these are no frames; the reader must not be used again */
  feed(buf: Buffer, start: number, end: number): boolean {
    let at = start;
    while (at < end && !this.#stopped) {
      if (this.#rest > 0) {
        const stop = Math.min(end, at + this.#rest);
        this.#rest -= stop - at;
        this.#to.onPackBytes(buf, at, stop);
        at = stop;
        continue;
      }
      const taken = Math.min(this.#need - this.#have, end - at);
      buf.copy(this.#scratch, this.#have, at, at + taken);
      this.#have += taken;
      at += taken;
      if (!this.#magicFits()) return false;
      if (this.#have === this.#need && !this.#filled()) return false;
    }
    return true;
  }

  #magicFits(): boolean {
    return sniffMagic(ANYPROXY_TUNNEL_MAGIC, this.#scratch, 0, this.#have) !== MAGIC_NONE;
  }

  #filled(): boolean {
    const bytes = this.#scratch;
    if (this.#headerEnd === 0) {
      const length = bytes.readUInt16BE(MAGIC_BYTES);
      if (length < 1 || length > PART_MAX) return false;
      this.#headerEnd = this.#need = MAGIC_BYTES + LENGTH_BYTES + length;
      return true;
    }
    if (this.#type < 0) {
      const header = readHeader(bytes, MAGIC_BYTES + LENGTH_BYTES, this.#headerEnd);
      if (header === null) return false;
      const { type, size } = header;
      if (type < HELLO || type > CLOSE || size < 0 || size > PART_MAX) return false;
      this.#type = type;
      this.#need = this.#headerEnd + size;
      if (size > 0) return true;
    }
    const body = readToml(bytes.toString('utf8', this.#headerEnd, this.#need));
    const type = this.#type;
    this.#have = 0;
    this.#need = MAGIC_BYTES + LENGTH_BYTES;
    this.#headerEnd = 0;
    this.#type = -1;
    return body !== null && this.#tell(type, body);
  }

  #tell(type: number, body: ReadonlyMap<string, TomlValue>): boolean {
    const to = this.#to;
    switch (type) {
      case HELLO: {
        const sessionId = body.get('session_id');
        const minStreamCacheSize = body.get('min_stream_cache_size');
        const channelSize = body.get('channel_size');
        const index = body.get('client_peer_stream_index');
        const wantsAck = body.get('is_ack');
        if (body.get('version') !== ANYPROXY_TUNNEL_VERSION || typeof sessionId !== 'string') return false;
        if (typeof minStreamCacheSize !== 'number' || typeof channelSize !== 'number') return false;
        if (typeof index !== 'number' || typeof wantsAck !== 'boolean' || sessionId === '') return false;
        to.onHello({ sessionId, minStreamCacheSize, channelSize, index, wantsAck });
        return true;
      }
      case HELLO_ACK:
        to.onHelloAck();
        return true;
      case DATA: {
        const packId = body.get('pack_id');
        const size = body.get('pack_size');
        if (typeof packId !== 'number' || typeof size !== 'number') return false;
        if (packId < 1 || packId > 0xffff_ffff || size < 0 || size > ANYPROXY_PACK_MAX) return false;
        this.#rest = size;
        to.onPack(packId, size);
        return true;
      }
      case ADD_CONNECT:
        to.onAddConnect();
        return true;
      case MAX_CONNECT:
        to.onMaxConnect();
        return true;
      default: {
        const byClient = body.get('is_client');
        if (typeof byClient !== 'boolean') return false;
        to.onStreamEnd(byClient);
        return true;
      }
    }
  }
}
