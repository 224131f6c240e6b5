/**
 * The beginning of a tunnel's connection: a version both know, and, where keys are configured, proof on both sides that
 * they have the same one (HMAC-SHA256 over random bytes of both, RFC 2104). Over TLS the proof covers what only the two
 * ends of this very TLS connection can know (RFC 5705), so that nobody in the middle passes it on.
 */
import { Buffer } from 'node:buffer';
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { CHALLENGE, frame, HELLO, PROOF, REASONS, REFUSE, TUNNEL_MAGIC, TUNNEL_VERSION, WELCOME } from './wire.ts';

/** A key that both sides know. */
export interface TunnelKey {
  /** Which one it is: told in the clear, at most 64 bytes. */
  id: string;
  secret: string;
}

const NONCE = 32;
const MAC = 32;
const KEY_ID_MAX = 64;
/** The proof covers the TLS connection. */
const BOUND = 1;
/** Lowest and highest version, flags, nonce, length of the key's name. */
const HELLO_FIXED = 3 + NONCE + 1;

const NOTHING = Buffer.alloc(0);

function proof(secret: string, side: 'server' | 'client', hello: Buffer, nonce: Buffer, binding: Buffer): Buffer {
  const mac = createHmac('sha256', secret);
  mac.update(`headrace tunnel ${TUNNEL_VERSION} ${side}\0`);
  for (const part of [hello, nonce, binding]) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(part.length);
    mac.update(length).update(part);
  }
  return mac.digest();
}

/** What a message has led to. */
export interface HandshakeStep {
  /** To be sent. */
  send: Buffer | null;
  /** The connection may be used. */
  ready: boolean;
  /** It may not: code of REASONS; 0: not so. */
  refused: number;
}

const step = (send: Buffer | null, ready: boolean, refused = 0): HandshakeStep => ({ send, ready, refused });

/** Refuses, and says so. */
function refuse(code: number): HandshakeStep {
  return step(frame(REFUSE, Buffer.from([code])), false, code);
}

export class ClientHandshake {
  readonly #key: TunnelKey | null;
  readonly #hello: Buffer;
  readonly #binding: Buffer;
  #challenged = false;

  /** @param binding exported from TLS; null: there is none, or it is not to be covered */
  constructor(key: TunnelKey | null, binding: Buffer | null) {
    this.#key = key;
    this.#binding = binding ?? NOTHING;
    const id = Buffer.from(key?.id ?? '');
    const flags = key !== null && binding !== null ? BOUND : 0;
    this.#hello = Buffer.concat([
      Buffer.from([TUNNEL_VERSION, TUNNEL_VERSION, flags]),
      randomBytes(NONCE),
      Buffer.from([id.length]),
      id,
    ]);
  }

  /** What the connection begins with. Without a key it is ready as soon as this is sent. */
  begin(): HandshakeStep {
    return step(Buffer.concat([TUNNEL_MAGIC, frame(HELLO, this.#hello)]), this.#key === null);
  }

  /** @returns null: this message has no place here */
  on(type: number, payload: Buffer): HandshakeStep | null {
    if (type === REFUSE && payload.length === 1) return step(null, false, payload[0]!);
    if (type === WELCOME && payload.length === 1 && (this.#key === null || this.#challenged)) {
      return payload[0] === TUNNEL_VERSION ? step(null, false) : step(null, false, REASONS.version);
    }
    if (type !== CHALLENGE || payload.length !== NONCE + MAC || this.#key === null || this.#challenged) return null;
    const nonce = payload.subarray(0, NONCE);
    const expected = proof(this.#key.secret, 'server', this.#hello, nonce, this.#binding);
    if (!timingSafeEqual(expected, payload.subarray(NONCE))) return step(null, false, REASONS.unauthorized);
    this.#challenged = true;
    return step(frame(PROOF, proof(this.#key.secret, 'client', this.#hello, nonce, this.#binding)), true);
  }
}

export class ServerHandshake {
  readonly #keys: readonly TunnelKey[];
  readonly #binding: Buffer | null;
  #hello: Buffer = NOTHING;
  #nonce: Buffer = NOTHING;
  #secret = '';
  /** The key that the client has proved to have; empty: none is asked for. */
  keyId = '';

  /**
   * @param keys empty: everybody is let in
   * @param binding exported from TLS; null: there is none
   */
  constructor(keys: readonly TunnelKey[], binding: Buffer | null) {
    this.#keys = keys;
    this.#binding = binding;
  }

  /** @returns null: this message has no place here */
  on(type: number, payload: Buffer): HandshakeStep | null {
    if (type === HELLO && this.#hello.length === 0) return this.#onHello(payload);
    if (type === PROOF && payload.length === MAC && this.#nonce.length > 0) return this.#onProof(payload);
    return null;
  }

  #onHello(payload: Buffer): HandshakeStep | null {
    if (payload.length < HELLO_FIXED) return null;
    const idLength = payload[HELLO_FIXED - 1]!;
    if (idLength > KEY_ID_MAX || payload.length !== HELLO_FIXED + idLength) return null;
    this.#hello = Buffer.from(payload);
    if (payload[0]! > TUNNEL_VERSION || payload[1]! < TUNNEL_VERSION) return refuse(REASONS.version);
    if (this.#keys.length === 0) {
      // Who demands that we prove something cannot be served.
      return idLength > 0 ? refuse(REASONS.unauthorized) : step(frame(WELCOME, Buffer.from([TUNNEL_VERSION])), true);
    }
    if (idLength === 0) return refuse(REASONS.unauthorized);
    const id = payload.toString('utf8', HELLO_FIXED);
    // A name that nobody has gets a challenge as any other: names cannot be found out.
    const key = this.#keys.find((k) => k.id === id);
    this.#secret = key?.secret ?? randomBytes(MAC).toString('hex');
    this.keyId = id;
    this.#nonce = randomBytes(NONCE);
    const mac = proof(this.#secret, 'server', this.#hello, this.#nonce, this.#bound());
    return step(frame(CHALLENGE, Buffer.concat([this.#nonce, mac])), false);
  }

  #onProof(payload: Buffer): HandshakeStep {
    const expected = proof(this.#secret, 'client', this.#hello, this.#nonce, this.#bound());
    this.#nonce = NOTHING;
    if (!timingSafeEqual(expected, payload)) return refuse(REASONS.unauthorized);
    return step(frame(WELCOME, Buffer.from([TUNNEL_VERSION])), true);
  }

  #bound(): Buffer {
    return (this.#hello[2]! & BOUND) === 0 ? NOTHING : (this.#binding ?? NOTHING);
  }
}
