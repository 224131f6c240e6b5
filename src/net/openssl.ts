/**
 * OpenSSL as Node brings it, called directly (`node:ffi`): the server's side of TLS for connections whose bytes travel by
 * io_uring. Contexts are Node's own (`tls.createSecureContext`), so that ciphers, certificates and versions mean the same
 * everywhere; what is done here is what `TLSSocket` does, without its streams, which cost more than the cryptography.
 *
 * Names are those of OpenSSL's manual. Pointers are bigints and never leave this room.
 */
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { inspect } from 'node:util';
import { groupName } from './tls-names.ts';
import type { TicketKeys } from './tls-tickets.ts';

export type Pointer = bigint;
type Signature = { return: string; arguments: string[] };

/** What of `node:ffi` is used. */
interface Ffi {
  dlopen(path: null, symbols: Record<string, Signature>): { lib: Library; functions: unknown };
  toBuffer(at: Pointer, length: number, copy: boolean): Buffer;
  toString(at: Pointer): string;
  getRawPointer(of: Buffer): Pointer;
  setUint8(at: Pointer, offset: number, value: number): void;
  setUint64(at: Pointer, offset: number, value: Pointer): void;
}

interface Library {
  registerCallback(signature: Signature, fn: (...args: never[]) => number): Pointer;
}

interface Functions {
  SSL_new(context: Pointer): Pointer;
  SSL_free(ssl: Pointer): void;
  SSL_set_accept_state(ssl: Pointer): void;
  SSL_set_bio(ssl: Pointer, read: Pointer, write: Pointer): void;
  SSL_ctrl(ssl: Pointer, command: number, n: number, argument: Pointer): number;
  SSL_do_handshake(ssl: Pointer): number;
  SSL_read(ssl: Pointer, at: Pointer, n: number): number;
  SSL_write(ssl: Pointer, at: Pointer, n: number): number;
  SSL_shutdown(ssl: Pointer): number;
  SSL_get_error(ssl: Pointer, result: number): number;
  SSL_get_version(ssl: Pointer): Pointer;
  SSL_get_current_cipher(ssl: Pointer): Pointer;
  SSL_CIPHER_get_name(cipher: Pointer): Pointer;
  SSL_session_reused(ssl: Pointer): number;
  SSL_get_session(ssl: Pointer): Pointer;
  SSL_SESSION_get_id(session: Pointer, length: Pointer): Pointer;
  SSL_CTX_ctrl(context: Pointer, command: number, n: number, argument: Pointer): number;
  SSL_CTX_callback_ctrl(context: Pointer, command: number, callback: Pointer): number;
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context: Pointer, callback: Pointer): number;
  SSL_CTX_sess_set_new_cb(context: Pointer, callback: Pointer): void;
  SSL_CTX_sess_set_get_cb(context: Pointer, callback: Pointer): void;
  SSL_CTX_set_alpn_select_cb(context: Pointer, callback: Pointer, argument: Pointer): void;
  OBJ_nid2sn(id: number): Pointer;
  BIO_s_mem(): Pointer;
  BIO_new(method: Pointer): Pointer;
  BIO_write(bio: Pointer, at: Pointer, n: number): number;
  BIO_read(bio: Pointer, at: Pointer, n: number): number;
  BIO_ctrl(bio: Pointer, command: number, n: number, argument: Pointer): number;
  ERR_get_error(): bigint;
  ERR_clear_error(): void;
  ERR_error_string_n(error: bigint, at: Pointer, n: bigint): void;
  HMAC_Init_ex(context: Pointer, key: Pointer, length: number, digest: Pointer, engine: Pointer): number;
  EVP_sha256(): Pointer;
  EVP_aes_128_cbc(): Pointer;
  EVP_EncryptInit_ex(context: Pointer, cipher: Pointer, engine: Pointer, key: Pointer, iv: Pointer): number;
  EVP_DecryptInit_ex(context: Pointer, cipher: Pointer, engine: Pointer, key: Pointer, iv: Pointer): number;
}

const P = 'pointer';
const I = 'i32';
const of = (result: string, ...args: string[]): Signature => ({ return: result, arguments: args });

/** A C `long` is 64 bits: its upper half is of no use to us, and 32 bits come and go without a bigint. */
const SIGNATURES: Record<keyof Functions, Signature> = {
  SSL_new: of(P, P),
  SSL_free: of('void', P),
  SSL_set_accept_state: of('void', P),
  SSL_set_bio: of('void', P, P, P),
  SSL_ctrl: of(I, P, I, I, P),
  SSL_do_handshake: of(I, P),
  SSL_read: of(I, P, P, I),
  SSL_write: of(I, P, P, I),
  SSL_shutdown: of(I, P),
  SSL_get_error: of(I, P, I),
  SSL_get_version: of(P, P),
  SSL_get_current_cipher: of(P, P),
  SSL_CIPHER_get_name: of(P, P),
  SSL_session_reused: of(I, P),
  SSL_get_session: of(P, P),
  SSL_SESSION_get_id: of(P, P, P),
  SSL_CTX_ctrl: of(I, P, I, I, P),
  SSL_CTX_callback_ctrl: of(I, P, I, P),
  SSL_CTX_set_tlsext_ticket_key_evp_cb: of(I, P, P),
  SSL_CTX_sess_set_new_cb: of('void', P, P),
  SSL_CTX_sess_set_get_cb: of('void', P, P),
  SSL_CTX_set_alpn_select_cb: of('void', P, P, P),
  OBJ_nid2sn: of(P, I),
  BIO_s_mem: of(P),
  BIO_new: of(P, P),
  BIO_write: of(I, P, P, I),
  BIO_read: of(I, P, P, I),
  BIO_ctrl: of(I, P, I, I, P),
  ERR_get_error: of('u64'),
  ERR_clear_error: of('void'),
  ERR_error_string_n: of('void', 'u64', P, 'u64'),
  HMAC_Init_ex: of(I, P, P, I, P, P),
  EVP_sha256: of(P),
  EVP_aes_128_cbc: of(P),
  EVP_EncryptInit_ex: of(I, P, P, P, P, P),
  EVP_DecryptInit_ex: of(I, P, P, P, P, P),
};

const CTRL_MODE = 33;
const CTRL_SESS_CACHE_MODE = 44;
const CTRL_TICKET_KEY_CALLBACK = 72;
const CTRL_NEGOTIATED_GROUP = 134;
/** As nginx has it without a cache: SERVER, NO_INTERNAL_LOOKUP and NO_INTERNAL_STORE; tickets alone resume. */
const SESS_CACHE_NONE = 0x302;
const MODE_RELEASE_BUFFERS = 0x10;
const BIO_PENDING = 10;
const TLSEXT_OK = 0;
const TLSEXT_ALERT_FATAL = 2;
const TLSEXT_NOACK = 3;
const UNKNOWN_GROUP = 0x1000000;

export const WANT_READ = 2;
export const ZERO_RETURN = 6;

/** What a handshake under way answers with: OpenSSL asks for it during `SSL_do_handshake`. */
export interface Negotiation {
  alpn: readonly string[];
  tickets: TicketKeys | null;
  /** Set by the handshake: the protocol that both speak. */
  protocol: string;
}

/** One TLS connection; its bytes come from one buffer and go to another (BIOs in memory). */
export interface Session {
  readonly ssl: Pointer;
  readonly incoming: Pointer;
  readonly outgoing: Pointer;
}

export class OpenSsl {
  readonly lib: Functions;
  readonly #ffi: Ffi;
  readonly #library: Library;
  readonly #memory: Pointer;
  readonly #alpn: Pointer;
  readonly #tickets: Pointer;
  readonly #text = Buffer.allocUnsafeSlow(256);
  readonly #textAt: Pointer;
  readonly #contexts = new WeakMap<object, Pointer>();
  #negotiation: Negotiation | null = null;

  constructor(ffi: Ffi) {
    this.#ffi = ffi;
    const { lib, functions } = ffi.dlopen(null, SIGNATURES);
    this.#library = lib;
    this.lib = functions as Functions;
    this.#memory = this.lib.BIO_s_mem();
    this.#textAt = ffi.getRawPointer(this.#text);
    const alpn = (_ssl: Pointer, out: Pointer, length: Pointer, offered: Pointer, n: number): number =>
      this.#chooseProtocol(out, length, offered, n);
    this.#alpn = this.#library.registerCallback(of(I, P, P, P, P, 'u32', P), alpn);
    const tickets = (_ssl: Pointer, name: Pointer, iv: Pointer, cipher: Pointer, mac: Pointer, seal: number): number =>
      this.#ticketKey(name, iv, cipher, mac, seal === 1);
    this.#tickets = this.#library.registerCallback(of(I, P, P, P, P, P, I), tickets);
  }

  /** Where a buffer is; it must be kept as long as that is used. */
  addressOf(buf: Buffer): Pointer {
    return this.#ffi.getRawPointer(buf);
  }

  /**
   * The `SSL_CTX` behind a context of Node, made ready for connections that Node knows nothing of: it has callbacks that
   * look for their `TLSSocket`. A context that went through here serves no `TLSSocket` any more.
   */
  context(context: SecureContext): Pointer {
    const inner = context.context as object;
    const known = this.#contexts.get(inner);
    if (known !== undefined) return known;
    const { lib } = this;
    const at = addressOfContext(context);
    lib.SSL_CTX_ctrl(at, CTRL_SESS_CACHE_MODE, SESS_CACHE_NONE, 0n);
    lib.SSL_CTX_sess_set_new_cb(at, 0n);
    lib.SSL_CTX_sess_set_get_cb(at, 0n);
    lib.SSL_CTX_set_alpn_select_cb(at, this.#alpn, 0n);
    // Node's own would come before ours.
    lib.SSL_CTX_set_tlsext_ticket_key_evp_cb(at, 0n);
    lib.SSL_CTX_callback_ctrl(at, CTRL_TICKET_KEY_CALLBACK, this.#tickets);
    this.#contexts.set(inner, at);
    return at;
  }

  open(context: Pointer): Session {
    const { lib } = this;
    const ssl = lib.SSL_new(context);
    if (ssl === 0n) throw new Error(this.error());
    const incoming = lib.BIO_new(this.#memory);
    const outgoing = lib.BIO_new(this.#memory);
    lib.SSL_set_bio(ssl, incoming, outgoing);
    lib.SSL_ctrl(ssl, CTRL_MODE, MODE_RELEASE_BUFFERS, 0n);
    lib.SSL_set_accept_state(ssl);
    return { ssl, incoming, outgoing };
  }

  /** Goes on with the handshake. @returns 1: done; else ask `SSL_get_error` */
  handshake(session: Session, negotiation: Negotiation): number {
    this.#negotiation = negotiation;
    // What others left in the thread's list of errors would be taken for ours.
    this.lib.ERR_clear_error();
    try {
      return this.lib.SSL_do_handshake(session.ssl);
    } finally {
      this.#negotiation = null;
    }
  }

  /** Bytes that stand in a BIO. */
  pending(bio: Pointer): number {
    return this.lib.BIO_ctrl(bio, BIO_PENDING, 0, 0n);
  }

  /** OpenSSL's words for what went wrong first; its list of errors is empty afterwards. */
  error(): string {
    const { lib } = this;
    const code = lib.ERR_get_error();
    if (code === 0n) return 'unknown error';
    lib.ERR_error_string_n(code, this.#textAt, BigInt(this.#text.length));
    lib.ERR_clear_error();
    return this.#text.toString('latin1', 0, this.#text.indexOf(0));
  }

  version({ ssl }: Session): string {
    return this.#ffi.toString(this.lib.SSL_get_version(ssl));
  }

  cipher({ ssl }: Session): string {
    const cipher = this.lib.SSL_get_current_cipher(ssl);
    return cipher === 0n ? '' : this.#ffi.toString(this.lib.SSL_CIPHER_get_name(cipher));
  }

  reused({ ssl }: Session): boolean {
    return this.lib.SSL_session_reused(ssl) === 1;
  }

  /** The group that keys were exchanged in; empty: none was. */
  group({ ssl }: Session): string {
    const id = this.lib.SSL_ctrl(ssl, CTRL_NEGOTIATED_GROUP, 0, 0n);
    if (id === 0) return '';
    // A number of OpenSSL's own, or that of the protocol, marked.
    return (id & UNKNOWN_GROUP) !== 0 ? groupName(id & ~UNKNOWN_GROUP) : this.#ffi.toString(this.lib.OBJ_nid2sn(id));
  }

  sessionId({ ssl }: Session): string {
    const session = this.lib.SSL_get_session(ssl);
    if (session === 0n) return '';
    const at = this.lib.SSL_SESSION_get_id(session, this.#textAt);
    return this.#ffi.toBuffer(at, this.#text.readUInt32LE(0), true).toString('hex');
  }

  // ------------------------------------------------------------------------------------ asked by OpenSSL

  /** RFC 7301: of the server's protocols the first that the client offers; none in common ends the handshake. */
  #chooseProtocol(out: Pointer, length: Pointer, offered: Pointer, n: number): number {
    const negotiation = this.#negotiation;
    if (negotiation === null || negotiation.alpn.length === 0) return TLSEXT_NOACK;
    const list = this.#ffi.toBuffer(offered, n, true);
    for (const protocol of negotiation.alpn) {
      for (let at = 0; at < n; at += list[at]! + 1) {
        if (list.toString('latin1', at + 1, at + 1 + list[at]!) !== protocol) continue;
        this.#ffi.setUint64(out, 0, offered + BigInt(at + 1));
        this.#ffi.setUint8(length, 0, list[at]!);
        negotiation.protocol = protocol;
        return TLSEXT_OK;
      }
    }
    return TLSEXT_ALERT_FATAL;
  }

  /** `SSL_CTX_set_tlsext_ticket_key_cb`. @returns 0: not known; 1: good; 2: good, but make a new one */
  #ticketKey(nameAt: Pointer, ivAt: Pointer, cipher: Pointer, mac: Pointer, seal: boolean): number {
    const tickets = this.#negotiation?.tickets;
    if (tickets === undefined || tickets === null) return 0;
    const { lib } = this;
    const keys = tickets.current();
    const name = this.#ffi.toBuffer(nameAt, 16, false);
    let index = 0;
    if (seal) {
      keys[0]!.name.copy(name);
      randomBytes(16).copy(this.#ffi.toBuffer(ivAt, 16, false));
    } else index = keys.findIndex((key) => key.name.equals(name));
    const key = keys[index];
    if (key === undefined) return 0;
    const { hmac, aes } = key;
    lib.HMAC_Init_ex(mac, this.addressOf(hmac), hmac.length, lib.EVP_sha256(), 0n);
    if (seal) lib.EVP_EncryptInit_ex(cipher, lib.EVP_aes_128_cbc(), 0n, this.addressOf(aes), ivAt);
    else lib.EVP_DecryptInit_ex(cipher, lib.EVP_aes_128_cbc(), 0n, this.addressOf(aes), ivAt);
    return index === 0 ? 1 : 2;
  }
}

/** Node tells the address nowhere else. @throws when it does not tell it here */
function addressOfContext(context: SecureContext): Pointer {
  const text = inspect((context.context as { _external?: unknown })._external);
  const found = /^\[External: (?:0x)?([0-9a-f]+)\]$/.exec(text);
  if (found === null) throw new Error(`no address of a TLS context: ${text}`);
  return BigInt(`0x${found[1]!}`);
}

let loaded: OpenSsl | null | undefined;

/** Of this thread; null: this Node has no FFI, or its OpenSSL cannot be called. */
export function openSsl(): OpenSsl | null {
  if (loaded !== undefined) return loaded;
  const get = (process as { getBuiltinModule?: (id: string) => unknown }).getBuiltinModule;
  const ffi = get?.('node:ffi') as Ffi | undefined;
  try {
    if (ffi !== undefined) addressOfContext(createSecureContext());
    loaded = ffi === undefined ? null : new OpenSsl(ffi);
  } catch {
    loaded = null;
  }
  return loaded;
}
