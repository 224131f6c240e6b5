import type { PeerInfo } from './table/text.ts';

/** Byte strings and hints that a choice may depend on. Strings hold one byte per character (latin1). */
export interface AttemptKeys {
  /** Value of the `hash` key; empty or missing: round robin. */
  hashKey?: string;
  /** Client address, 4 or 16 bytes; empty for unix sockets. */
  clientAddress?: Uint8Array;
  /** Sid that the request is bound to. */
  stickySid?: string;
  /** The very peer of that sid that it is bound to, where several may share one; missing: any of them. */
  bound?: PeerInfo | null;
}

const NO_ADDRESS = new Uint8Array(0);

/**
 * One request's journey through a group: what it has tried, what it may try yet, and the state its algorithm carries
 * from one try to the next. Made once per request object, used again after `Group.begin`; picking allocates nothing.
 */
export class Attempt {
  /** Peer that is held now; -1: none. */
  slot = -1;
  /** 0 primary list, 1 backup list. */
  list = 0;
  /** Tries left: another one may be made while it is above 0 after `done`. */
  triesLeft = 0;
  /** Table version that the tried set belongs to. */
  version = 0;
  /** When the present peer was selected, milliseconds of the group's clock. */
  selectedMs = 0;
  /** Place in the group's queue; -1: it does not wait. */
  place = -1;
  /** Called, some time after `pick` answered WAITING, when it is its turn: pick again. Set by who may wait. */
  onTurn: (() => void) | null = null;
  /** Counted in the peer's in-flight requests (least_time ... inflight). */
  inflight = false;

  hashKey = '';
  clientAddress: Uint8Array = NO_ADDRESS;
  stickySid = '';
  bound: PeerInfo | null = null;

  /** hash: sum of hashes so far. ip_hash: the hash. consistent hash: CRC of the key, -1 before it is known. */
  hash = 0;
  /** hash: rounds so far. consistent hash: points that were passed over. */
  rehash = 0;
  /** Candidates that could not be used; past 20 it is round robin's turn. */
  misses = 0;

  // slots 0-31, 32-63, and the rest when it is needed
  private low = 0;
  private high = 0;
  private rest: Uint32Array | null = null;
  /** Nothing was tried on this list yet. */
  fresh = true;

  /** Back to nothing, keys forgotten. */
  reset(): void {
    this.slot = -1;
    this.list = 0;
    this.triesLeft = 0;
    this.version = 0;
    this.inflight = false;
    this.hashKey = '';
    this.clientAddress = NO_ADDRESS;
    this.stickySid = '';
    this.bound = null;
    this.hash = 0;
    this.rehash = 0;
    this.misses = 0;
    this.clearTried();
  }

  /** One more try, after an error on a reused connection: it says nothing about the peer (spec 2.12). */
  grantExtraTry(): void {
    this.triesLeft++;
  }

  hasTried(slot: number): boolean {
    if (this.fresh) return false;
    if (slot < 32) return (this.low & (1 << slot)) !== 0;
    if (slot < 64) return (this.high & (1 << (slot - 32))) !== 0;
    const word = (slot - 64) >>> 5;
    return this.rest !== null && word < this.rest.length && (this.rest[word]! & (1 << (slot & 31))) !== 0;
  }

  markTried(slot: number): void {
    this.fresh = false;
    if (slot < 32) this.low |= 1 << slot;
    else if (slot < 64) this.high |= 1 << (slot - 32);
    else {
      const word = (slot - 64) >>> 5;
      const rest = this.rest !== null && word < this.rest.length ? this.rest : this.grow(word + 1);
      rest[word] = rest[word]! | (1 << (slot & 31));
    }
  }

  unmarkTried(slot: number): void {
    if (slot < 32) this.low &= ~(1 << slot);
    else if (slot < 64) this.high &= ~(1 << (slot - 32));
    else if (this.rest !== null) this.rest[(slot - 64) >>> 5]! &= ~(1 << (slot & 31));
  }

  clearTried(): void {
    if (this.fresh) return;
    this.low = 0;
    this.high = 0;
    this.rest?.fill(0);
    this.fresh = true;
  }

  /** The first tried slot from `slot` on, or -1. */
  nextTried(slot: number): number {
    const words = 2 + (this.rest === null ? 0 : this.rest.length);
    let word = slot >>> 5;
    if (word >= words) return -1;
    let bits = this.word(word) & (-1 << (slot & 31));
    while (bits === 0) {
      if (++word >= words) return -1;
      bits = this.word(word);
    }
    return word * 32 + 31 - Math.clz32(bits & -bits);
  }

  private word(i: number): number {
    return i === 0 ? this.low : i === 1 ? this.high : this.rest![i - 2]!;
  }

  private grow(words: number): Uint32Array {
    const grown = new Uint32Array(Math.max(words, 2 * (this.rest?.length ?? 0)));
    if (this.rest !== null) grown.set(this.rest);
    this.rest = grown;
    return grown;
  }
}

/** What became of an attempt. Times in milliseconds since the peer was selected. */
export interface Outcome {
  /** Counts against the peer (spec 2.13). */
  failed: boolean;
  /** A listed 403 or 404: another peer is tried, but this one did not fail, and its time is no sample. */
  next: boolean;
  /** A response header (a first byte) arrived: the times below are samples. */
  hadHeader: boolean;
  headerMs: number;
  responseMs: number;
  /** Time to connect; streams only. */
  connectMs?: number;
  /** Status of the answer, for the counters; 0 or missing: none. */
  status?: number;
  bytesSent?: number;
  bytesReceived?: number;
}
