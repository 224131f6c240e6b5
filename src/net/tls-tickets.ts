/**
 * Keys of session tickets (RFC 5077, RFC 8446 section 4.6.1), the same in all threads of the process: made of one secret,
 * so that a session resumes whichever worker it comes to, and changing with time, so that an old ticket opens nothing.
 */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import type { SecureContext } from 'node:tls';

/** Made once by the main thread, kept over reloads. */
export interface TicketSecret {
  key: Uint8Array;
  /** Milliseconds since the epoch: where periods are counted from. */
  sinceMs: number;
}

export function createTicketSecret(): TicketSecret {
  return { key: randomBytes(48), sinceMs: Date.now() };
}

export interface TicketKey {
  /** 16 bytes each. */
  name: Buffer;
  hmac: Buffer;
  aes: Buffer;
}

/** What Node keeps behind a context: tickets are given to `onticketkeycallback` once that is enabled. */
interface InnerContext {
  enableTicketKeyCallback?: () => void;
  onticketkeycallback?: (name: Buffer, iv: Buffer, encrypt: boolean) => [number, ...Buffer[]];
  setTicketKeys(keys: Buffer): void;
}

/** Answers of the callback: not known, good, good but to be made anew. */
const UNKNOWN = 0;
const GOOD = 1;
const RENEW = 2;
const NOTHING = Buffer.alloc(16);

export class TicketKeys {
  readonly #secret: TicketSecret;
  readonly #identity: string;
  readonly #periodMs: number;
  /** Of files: the first one encrypts. */
  readonly #fixed: TicketKey[];
  #period = -1;
  #keys: TicketKey[] = [];

  /**
   * @param identity sessions are not carried between servers whose identities differ
   * @param lifetimeSec of sessions: a key encrypts for so long, and decrypts for as long again
   * @param files contents of ssl_session_ticket_key files, 48 or 80 bytes, one character a byte
   */
  constructor(secret: TicketSecret, identity: string, lifetimeSec: number, files: readonly string[]) {
    this.#secret = secret;
    this.#identity = identity;
    this.#periodMs = Math.max(1, lifetimeSec) * 1000;
    this.#fixed = files.map((text) => fromFile(Buffer.from(text, 'latin1')));
  }

  install(context: SecureContext): void {
    const inner = context.context as InnerContext;
    if (typeof inner.enableTicketKeyCallback !== 'function') {
      const { name, hmac, aes } = this.current()[0]!;
      inner.setTicketKeys(Buffer.concat([name, hmac, aes]));
      return;
    }
    inner.onticketkeycallback = (name, _iv, encrypt) => {
      const keys = this.current();
      if (encrypt) {
        const key = keys[0]!;
        return [GOOD, key.hmac, key.aes, key.name, randomBytes(16)];
      }
      const i = keys.findIndex((key) => key.name.equals(name));
      return i < 0 ? [UNKNOWN, NOTHING, NOTHING] : [i === 0 ? GOOD : RENEW, keys[i]!.hmac, keys[i]!.aes];
    };
    inner.enableTicketKeyCallback();
  }

  /** The one that encrypts first, then those that still decrypt. */
  current(): TicketKey[] {
    if (this.#fixed.length > 0) return this.#fixed;
    const period = Math.floor((Date.now() - this.#secret.sinceMs) / this.#periodMs);
    if (period !== this.#period) {
      this.#period = period;
      this.#keys = [this.#derive(period), this.#derive(period - 1)];
    }
    return this.#keys;
  }

  #derive(period: number): TicketKey {
    const bytes = createHmac('sha512', this.#secret.key)
      .update(`${this.#identity} ${this.#periodMs} ${period}`)
      .digest();
    return { name: bytes.subarray(0, 16), hmac: bytes.subarray(16, 32), aes: bytes.subarray(32, 48) };
  }
}

/** nginx's formats: 48 bytes are name, AES-128 and HMAC key; 80 are name, HMAC and AES-256 key, of which Node takes halves. */
function fromFile(bytes: Buffer): TicketKey {
  const name = bytes.subarray(0, 16);
  if (bytes.length === 48) return { name, aes: bytes.subarray(16, 32), hmac: bytes.subarray(32, 48) };
  return { name, hmac: bytes.subarray(16, 32), aes: bytes.subarray(48, 64) };
}

/** A short name for whatever must be equal for a session to be good: sessions of one server mean nothing to another. */
export function sessionIdentity(parts: unknown): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}
