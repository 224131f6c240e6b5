/** The strings of a slot: written once when a peer gets it, decoded by a thread when it first needs them. */
import { hash } from 'node:crypto';
import { FAMILY_UNIX, TEXT_STRIDE, type Table } from './layout.ts';

/** What a peer is to the world: immutable, one object per slot generation and thread. */
export interface PeerInfo {
  readonly slot: number;
  readonly generation: number;
  /** `127.0.0.1:80`, `[::1]:80`, `unix:/path`. */
  readonly address: string;
  readonly family: 4 | 6 | 'unix';
  /** Address without brackets, or the path of a unix socket. */
  readonly host: string;
  readonly port: number;
  /** The server line as written; the target's name for SRV records. */
  readonly server: string;
  /** What stickiness knows the peer by: `route=`, or the MD5 of the address in lower-case hex. */
  readonly sid: string;
}

export interface PeerText {
  address: string;
  host: string;
  server: string;
  sid: string;
}

/** Sid of a peer: its route, or the MD5 of its printable address (nginx, upstream_create_sid). */
export function sidOf(route: string | null, address: string): string {
  return route ?? hash('md5', address);
}

/** Writes the strings of a slot. Throws RangeError when they do not fit (no valid configuration reaches that). */
export function writeText(t: Table, slot: number, text: PeerText): void {
  const base = slot * TEXT_STRIDE;
  let at = base + 8;
  let field = base;
  for (const s of [text.address, text.host, text.server, text.sid]) {
    const size = Buffer.byteLength(s);
    if (at + size > base + TEXT_STRIDE) throw new RangeError(`peer text too long: ${text.server}`);
    t.text.write(s, at);
    t.text.writeUInt16LE(size, field);
    at += size;
    field += 2;
  }
}

/** Decodes a slot. The caller holds the lock, or knows that the slot cannot change hands. */
export function readInfo(t: Table, slot: number): PeerInfo {
  const base = slot * TEXT_STRIDE;
  let at = base + 8;
  const part = (i: number): string => {
    const from = at;
    at += t.text.readUInt16LE(base + i * 2);
    return t.text.toString('utf8', from, at);
  };
  const address = part(0);
  const host = part(1);
  const server = part(2);
  const sid = part(3);
  const family = t.family[slot]!;
  return {
    slot,
    generation: t.generation[slot]!,
    address,
    family: family === FAMILY_UNIX ? 'unix' : family === 6 ? 6 : 4,
    host,
    port: t.port[slot]!,
    server,
    sid,
  };
}
